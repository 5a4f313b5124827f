"""Small worlds as tables, dated by day, and the dates that split them."""

import dataclasses
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.dataset import PreprocessOptions, SplitOptions
from finrec_dgl.dataset.splits import iso
from finrec_dgl.tables import Tables
from finrec_dgl.text import EncoderSpec

START = 1_483_228_800  # 2017-01-01
DAY = 86_400
DIM = 12
VALID_DAY, CUT_DAY, LAST_DAY = 60, 75, 100


def day(number: float) -> int:
    """Seconds since 1970 UTC of a day of the world."""
    return START + int(number * DAY)


VALID_CUT, CUT = day(VALID_DAY), day(CUT_DAY)
DATES = SplitOptions(kind="temporal", cut=iso(CUT), valid_cut=iso(VALID_CUT))
NO_TEXT = EncoderSpec(name="none")


def options(split=DATES, **others) -> PreprocessOptions:
    """Options of a small world; text goes through the tests' own encoder."""
    return PreprocessOptions(split=split, **others)


def make_tables(seed=0, users=25, items=18, events=260, dated=True, **others) -> Tables:
    """Users u0.., items i0..; posts, profiles in versions and ties of two kinds; some repeated."""
    rng = np.random.default_rng(seed)

    def some(name, count, size):
        return pa.array([f"{name}{number}" for number in rng.integers(0, count, size)], pa.string())

    def times(size):
        return pa.array(START + rng.integers(0, LAST_DAY * DAY, size), pa.int64())

    def words(size, share):
        texts = [f"text {number}" for number in rng.integers(0, 3 * size, size)]
        return pa.array(texts, pa.string(), mask=rng.random(size) > share)

    def versions(name, count, rows):
        table = pa.table({f"{name}_id": some(name[0], count, rows)})
        table = table.append_column("timestamp", times(rows))
        undated = pa.array(rng.random(rows) < 0.2)
        table = table.set_column(
            1, "timestamp", pc.if_else(undated, pa.scalar(None, pa.int64()), table["timestamp"])
        )
        first = table.append_column("row", pa.array(np.arange(rows)))
        first = first.group_by([f"{name}_id", "timestamp"]).aggregate([("row", "min")])["row_min"]
        table = table.take(pa.array(np.sort(first.to_numpy())))
        table = table.append_column("about", words(len(table), 0.8))
        kind = pa.array([f"kind {number}" for number in rng.integers(0, 4, len(table))])
        missing = pa.array(rng.random(len(table)) < 0.2)
        table = table.append_column("kind", pc.if_else(missing, pa.scalar(None, pa.string()), kind))
        # by a generator of its own, so that worlds stay what they were without numbers
        sizes = np.random.default_rng((seed, len(name))).lognormal(3, 2, len(table))
        texts = pa.array([None if size > 200 else f"{size:.3f}" for size in sizes], pa.string())
        table = table.append_column("size", texts)
        rest = ["about", "kind", "size"]
        return (
            table
            if dated
            else table.group_by(f"{name}_id", use_threads=False)
            .aggregate([(one, "first") for one in rest])
            .rename_columns([f"{name}_id", *rest])
        )

    interactions = {
        "user_id": some("u", users, events),
        "item_id": some("i", items, events),
        "weight": pa.array(rng.random(events)),
        "text": words(events, 0.6),
    }
    ties = {
        "source_id": some("u", users, 60),
        "target_id": some("u", users, 60),
        "kind": pa.array(np.array(["friend", "family"])[rng.integers(0, 2, 60)], pa.string()),
    }
    if dated:
        interactions["timestamp"] = times(events)
        ties["timestamp"] = times(60)
    # every user has an undated profile, for a tie must name known users
    everyone = {
        "user_id": [f"u{number}" for number in range(users)],
        "about": [None] * users,
        "kind": [None] * users,
        "size": [None] * users,
    }
    profiles = versions("user", users, 40)
    if dated:
        profiles = profiles.filter(pc.is_valid(profiles["timestamp"]))
        everyone["timestamp"] = [None] * users
        profiles = pa.concat_tables(
            [
                pa.table(
                    everyone, schema=pa.schema([profiles.schema.field(name) for name in everyone])
                ).select(profiles.column_names),
                profiles,
            ]
        )
    else:
        absent = pc.is_in(
            pa.array(everyone["user_id"]), value_set=profiles["user_id"].combine_chunks()
        )
        rest = pa.table(everyone, schema=profiles.schema).filter(pc.invert(absent))
        profiles = pa.concat_tables([profiles, rest])
    fields = {
        "interactions": pa.table(interactions),
        "items": versions("item", items, 40),
        "users": profiles,
        "ties": pa.table(ties),
        "item_text": ("about",),
        "item_categories": ("kind",),
        "item_title": "about",
        "user_text": ("about",),
        "user_categories": ("kind",),
        "item_numbers": ("size",),
        "user_numbers": ("size",),
    }
    return Tables(**{**fields, **others})


def late(table: pa.Table, time: int = CUT) -> np.ndarray:
    """bool [rows]: dated at or after ``time``."""
    return pc.fill_null(pc.greater_equal(table["timestamp"], time), False).to_numpy()


def truncated(tables: Tables, time: int) -> Tables:
    """All that was there before ``time``, and one more event just after it, to cut at."""
    kept = {
        name: getattr(tables, name).filter(pa.array(~late(getattr(tables, name), time)))
        for name in ("interactions", "items", "users", "ties")
    }
    events = kept["interactions"]
    after = events.slice(0, 1)
    after = after.set_column(
        after.column_names.index("timestamp"), "timestamp", pa.array([time + 1], pa.int64())
    )
    kept["interactions"] = pa.concat_tables([events, after])
    return dataclasses.replace(
        tables, **{name: one if len(one) else None for name, one in kept.items()}
    )


def interactions(rows, texts=None) -> pa.Table:
    """A table of (user, item[, day]) rows."""
    columns = {
        "user_id": pa.array([row[0] for row in rows], pa.string()),
        "item_id": pa.array([row[1] for row in rows], pa.string()),
    }
    if len(rows[0]) > 2:
        columns["timestamp"] = pa.array([day(row[2]) for row in rows], pa.int64())
    if texts is not None:
        columns["text"] = pa.array(texts, pa.string())
    return pa.table(columns)


def named_pairs(dataset, pairs) -> set[tuple[str, str]]:
    """The pairs by the ids of their users and items."""
    users, items = dataset.user_ids.to_pylist(), dataset.item_ids.to_pylist()
    return {(users[u], items[i]) for u, i in zip(pairs.user, pairs.item, strict=True)}


def vector_of(text: str) -> np.ndarray:
    """A unit vector that only this text has, the same in every run."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
