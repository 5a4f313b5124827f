"""Held-out items and users: what happened to them before the cut is as if it never had."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from dataset_worlds import (
    CUT,
    DATES,
    NO_TEXT,
    VALID_CUT,
    day,
    interactions,
    make_tables,
    named_pairs,
    options,
    vector_of,
)
from test_dataset_leakage import by_id, replaced, with_column

from finrec_dgl.base.errors import ConfigError, DataError, UsageError
from finrec_dgl.base.files import load_arrays, save_arrays, sha256
from finrec_dgl.dataset import SplitOptions, build_dataset, describe, layout, load_dataset
from finrec_dgl.dataset.coding import code_tables
from finrec_dgl.dataset.events import assign_events
from finrec_dgl.dataset.splits import TRAIN, VALID
from finrec_dgl.tables import GivenSplit, Tables

SIDES = {"item": "cold-items", "user": "cold-users"}
BOTH = pytest.mark.parametrize("side", SIDES)


def cold_split(side, **others) -> SplitOptions:
    return dataclasses.replace(DATES, kind=SIDES[side], **others)


def worded(seed=3, **others) -> Tables:
    """A world in which no two posts are the same."""
    tables = make_tables(seed=seed, **others)
    events = tables.interactions
    texts = pa.array([f"post {number}" for number in range(len(events))])
    told = pc.if_else(pc.is_valid(events["text"]), texts, pa.scalar(None, pa.string()))
    return dataclasses.replace(
        tables, interactions=events.set_column(events.column_names.index("text"), "text", told)
    )


def ids_of(dataset, side) -> list[str]:
    return (dataset.item_ids if side == "item" else dataset.user_ids).to_pylist()


def held_out(dataset, split) -> set[str]:
    mask = dataset.cold(split)
    return {one for one, cold in zip(ids_of(dataset, dataset.cold_side), mask, strict=True) if cold}


def events_of(tables, side, ids, before=CUT) -> np.ndarray:
    """bool [events]: those of the nodes ``ids``, before a moment."""
    events = tables.interactions
    mine = pc.is_in(events[f"{side}_id"], value_set=pa.array(sorted(ids), pa.string()))
    return pc.and_(mine, pc.less(events["timestamp"], before)).to_numpy()


def without(tables, rows) -> Tables:
    return dataclasses.replace(tables, interactions=tables.interactions.filter(pa.array(~rows)))


def reworded(events, rng):
    events = with_column(events, "text", [f"other {number}" for number in range(len(events))])
    return with_column(events, "weight", rng.random(len(events)) * 100)


def shifted(events, rng):
    return with_column(events, "timestamp", rng.integers(day(0), CUT, len(events)))


def shuffled(events, rng):
    """The other side's ids change hands."""
    other = "user_id" if len(set(events["item_id"].to_pylist())) < 6 else "item_id"
    return with_column(
        events, other, events[other].take(pa.array(rng.permutation(len(events)))).to_pylist()
    )


@BOTH
@pytest.mark.parametrize("change", [reworded, shifted, shuffled])
def test_the_past_of_held_out_nodes_changes_no_byte_but_of_item_posts(tmp_path, side, change):
    """Catches any use of their interactions before the cut: in nodes, their order, edges, counts,
    vectors of users, validation, candidates or targets. Of items, what was posted stays."""
    tables = worded()
    first = build_dataset(tables, tmp_path / "a", options(split=cold_split(side)))
    rows = events_of(tables, side, held_out(first, "test"))
    assert 10 < rows.sum() < len(rows)
    rng = np.random.default_rng(1)
    world = replaced(tables.interactions, rows, lambda one: change(one, rng))
    assert not world.equals(tables.interactions)
    other = build_dataset(
        dataclasses.replace(tables, interactions=world),
        tmp_path / "b",
        options(split=cold_split(side)),
    )
    for name in set(layout.FILES) - {layout.INTERACTIONS, layout.VECTORS}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    one, two = (load_arrays(tmp_path / part / layout.INTERACTIONS) for part in "ab")
    assert one.keys() == two.keys()
    for name in set(one) - {"post_item", "post_text", "post_time", "post_valid"}:
        assert np.array_equal(one[name], two[name]), name
    known = 1 + max(
        int(codes.max())
        for codes in (one["text"], first.item_profiles.text, first.user_profiles.text)
    )
    assert np.array_equal(first.vectors[:known], other.vectors[:known])
    if side == "user":
        assert len(first.vectors) == len(other.vectors) == known
        assert "post_item" not in one


@BOTH
def test_the_snapshots_are_those_of_a_world_without_the_held_out_past(tmp_path, side):
    """Catches a pair, a count, a date, a tie, a category or a user's text with a trace of it, in
    either stage and at any moment; and anything else that is lost."""
    tables = worded(seed=7)
    cold = build_dataset(tables, tmp_path / "cold", options(split=cold_split(side)))
    gone = events_of(tables, side, held_out(cold, "test"))
    hidden = events_of(tables, side, held_out(cold, "valid"), before=VALID_CUT)
    fit = build_dataset(without(tables, gone), tmp_path / "fit", options())
    train = build_dataset(without(tables, gone | hidden), tmp_path / "train", options())
    compared = (
        (cold.snapshot("fit"), fit, fit.snapshot("fit")),
        (cold.snapshot("train"), train, train.snapshot("train")),
        (cold.as_of(day(40)), fit, fit.as_of(day(40))),
    )
    for snapshot, plain, expected in compared:
        found, wanted = by_id(cold, snapshot), by_id(plain, expected)
        assert found[:4] == wanted[:4]
        assert found[6] == wanted[6]
        for one, other in zip(found[4:6], wanted[4:6], strict=True):
            assert one.keys() == other.keys()
            for key in one:
                np.testing.assert_allclose(one[key], other[key], atol=1e-6)
        assert snapshot.time == expected.time


@BOTH
def test_validation_holds_out_others_who_are_back_for_the_test(tmp_path, side):
    """Catches one draw for both, validation nodes that training sees or the test stage has lost."""
    dataset = build_dataset(worded(), tmp_path / "out", options(split=cold_split(side)))
    assert dataset.cold_side == side
    valid, test = dataset.cold("valid"), dataset.cold("test")
    only = valid & ~test
    assert np.all(valid[test])
    for stage, cold in (("train", valid), ("fit", test)):
        node = getattr(dataset.snapshot(stage).pairs, side)
        assert not cold[node].any()
    assert np.all(np.isin(np.flatnonzero(only), getattr(dataset.snapshot("fit").pairs, side)))
    assert np.any(only[getattr(dataset.as_of(VALID_CUT).pairs, side)])
    with_events = len(set(worded().interactions[f"{side}_id"].to_pylist()))
    assert test.sum() == round(0.2 * with_events)
    assert 0 < only.sum() <= round(0.2 * (with_events - test.sum()))
    asked = getattr(dataset.targets("valid"), side)
    assert only[asked].any()
    assert not test[asked].any()
    assert test[getattr(dataset.targets("test"), side)].any()
    if side == "item":
        assert not dataset.candidates("valid")[test].any()
        assert dataset.candidates("valid")[only].all()
        assert dataset.candidates("test").all()
    told = describe(dataset)
    assert told["held out"] == {
        "side": side,
        "as validation begins": int(valid.sum()),
        "as the test begins": int(test.sum()),
    }
    rows = int(events_of(worded(), side, held_out(dataset, "test")).sum())
    assert told["dropped"][f"interactions: of held-out {side}s"] == rows


@BOTH
def test_targets_are_new_in_the_world_without_the_held_out_past(tmp_path, side):
    """Catches targets left out because a hidden interaction held them already, and held ones."""
    tables = worded()
    dataset = build_dataset(tables, tmp_path / "out", options(split=cold_split(side)))
    users, items = dataset.user_ids.to_pylist(), dataset.item_ids.to_pylist()
    gone = events_of(tables, side, held_out(dataset, "test"))
    hidden = events_of(tables, side, held_out(dataset, "valid"), before=VALID_CUT)
    rows = [
        (row["user_id"], row["item_id"], row["timestamp"])
        for row in tables.interactions.to_pylist()
    ]
    fit = {row[:2] for row, away in zip(rows, gone, strict=True) if row[2] < CUT and not away}
    train = {
        row[:2]
        for row, away in zip(rows, gone | hidden, strict=True)
        if row[2] < VALID_CUT and not away
    }
    late = {row[:2] for row in rows if row[2] >= CUT}
    test = {(u, i) for u, i in late - fit if u in users and i in items}
    assert named_pairs(dataset, dataset.targets("test")) == test
    between = {
        row[:2]
        for row, away in zip(rows, gone, strict=True)
        if VALID_CUT <= row[2] < CUT and not away
    }
    found = named_pairs(dataset, dataset.targets("valid"))
    allowed = dataset.candidates("valid")
    assert found <= between - train
    assert {pair for pair in between - train if not allowed[items.index(pair[1])]} == (
        between - train - found
    )


@BOTH
def test_the_nodes_are_those_of_the_data_set_without_holding_out(tmp_path, side):
    """Catches a core that is counted after holding out."""
    tables = worded(users=60)
    cold = build_dataset(tables, tmp_path / "a", options(split=cold_split(side), k_core=4))
    plain = build_dataset(tables, tmp_path / "b", options(k_core=4))
    assert plain.n_users < 60
    assert cold.user_ids.equals(plain.user_ids)
    assert cold.item_ids.equals(plain.item_ids)
    count = "interactions: outside the 4-core"
    assert cold.manifest["dropped"][count] == plain.manifest["dropped"][count]


@BOTH
def test_validation_with_a_core_asks_for_those_with_a_visible_past(tmp_path, side):
    """Catches the other side's nodes known by interactions that training does not see."""
    tables = worded(users=60, items=50)
    split = cold_split(side, cold_share=0.4)
    dataset = build_dataset(tables, tmp_path / "out", options(split=split, k_core=1))
    train, valid = dataset.snapshot("train").pairs, dataset.targets("valid")
    assert len(valid)
    if side == "item":
        assert np.isin(valid.user, train.user).all()
    else:
        seen = np.isin(np.arange(dataset.n_items), train.item)
        assert np.array_equal(dataset.candidates("valid"), seen)


@BOTH
def test_a_seed_draws_the_same_nodes(tmp_path, side, monkeypatch):
    """Catches draws by row, by pseudonym or by nothing that the seed rules."""
    monkeypatch.setenv("FINREC_DGL_ID_KEY", "secret")
    tables = worded()
    mixed = dataclasses.replace(
        tables,
        interactions=tables.interactions.take(
            pa.array(np.random.default_rng(0).permutation(len(tables.interactions)))
        ),
    )
    split = cold_split(side, seed=5)
    first = build_dataset(tables, tmp_path / "a", options(split=split, encoder=NO_TEXT))
    again = build_dataset(mixed, tmp_path / "b", options(split=split, encoder=NO_TEXT))
    other = build_dataset(tables, tmp_path / "c", options(split=cold_split(side), encoder=NO_TEXT))
    hashed = build_dataset(
        tables, tmp_path / "d", options(split=split, encoder=NO_TEXT, user_ids="hashed")
    )
    for name in ("valid", "test"):
        drawn = held_out(first, name)
        assert drawn == held_out(again, name) != held_out(other, name)
        indices = hashed.user_indices if side == "user" else hashed.item_indices
        assert set(indices(sorted(drawn))) == set(np.flatnonzero(hashed.cold(name)))


def told_about(tables, side, dataset, stage, moment) -> dict[str, set[str]]:
    """item -> the texts posted about it before a moment, by the rules."""
    gone = np.zeros(len(tables.interactions), bool)
    if side == "user":
        gone = events_of(tables, side, held_out(dataset, "valid" if stage == "train" else "test"))
    found: dict[str, set[str]] = {}
    for row, away in zip(tables.interactions.to_pylist(), gone, strict=True):
        if row["text"] is not None and row["timestamp"] < moment and not away:
            found.setdefault(row["item_id"], set()).add(row["text"])
    return found


@pytest.mark.parametrize("side", [*SIDES, None])
def test_what_was_posted_about_an_item_is_part_of_it(tmp_path, side):
    """Catches posts about held-out items that are lost, posts of the future, texts counted twice,
    and posts of held-out users, of whom nothing is left."""
    tables = worded(events=500)
    split = DATES if side is None else cold_split(side)
    dataset = build_dataset(tables, tmp_path / "out", options(split=split))
    for stage, moment, snapshot in (
        ("train", VALID_CUT, dataset.snapshot("train")),
        ("fit", CUT, dataset.snapshot("fit")),
        ("fit", day(33.5), dataset.as_of(day(33.5))),
    ):
        expected = told_about(tables, side, dataset, stage, moment)
        found = snapshot.item_posts
        for node, item in enumerate(dataset.item_ids.to_pylist()):
            mean = np.sum([vector_of(one) for one in expected[item]], axis=0)
            np.testing.assert_allclose(found[node], mean / np.linalg.norm(mean), atol=3e-3)


def test_a_post_about_a_held_out_item_tells_of_it_nowhere_else(tmp_path):
    """Catches one text posted about two items, of which one is held out, in its writer's mean."""
    rows, texts = [], []
    for user in range(8):
        for item in range(10):
            for when in (10 + item, 62 + item):
                rows.append((f"u{user}", f"i{item}", when))
                # each text is about two items, 0 and 1, 2 and 3 and so on
                texts.append(f"{user} on {item // 2} at {when - item}")
    rows += [("u0", "i0", 80), ("u9", "i1", 1)]
    texts += ["late", None]
    split = cold_split("item", seed=2)
    dataset = build_dataset(
        Tables(interactions(rows, texts)), tmp_path / "out", options(split=split)
    )
    items = dataset.item_ids.to_pylist()
    before: set[int] = set()
    for stage, name, periods in (("fit", "test", (10, 62)), ("train", "valid", (10,))):
        cold = held_out(dataset, name)
        away = {int(one[1:]) // 2 for one in cold}
        # some are about an item that is not held out too
        assert len(away) < 5
        assert any(f"i{2 * topic + one}" not in cold for topic in away - before for one in (0, 1))
        before = away
        snapshot = dataset.snapshot(stage)
        for user in range(8):
            left = [
                vector_of(f"{user} on {topic} at {when}")
                for topic in range(5)
                for when in periods
                if topic not in away
            ]
            mean = np.sum(left, axis=0)
            node = dataset.user_ids.to_pylist().index(f"u{user}")
            np.testing.assert_allclose(
                snapshot.user_text[node], mean / np.linalg.norm(mean), atol=3e-3
            )
        for node, item in enumerate(items):
            about = [
                vector_of(f"{user} on {int(item[1:]) // 2} at {when}")
                for user in range(8)
                for when in periods
            ]
            mean = np.sum(about, axis=0)
            np.testing.assert_allclose(
                snapshot.item_posts[node], mean / np.linalg.norm(mean), atol=3e-3
            )
    assert dataset.manifest["dropped"]["texts: posted about held-out items too"] > 0


@BOTH
def test_undated_tables_are_held_out_of_too(tmp_path, side):
    """Catches a hold-out that rests on dates."""
    rows = [(f"u{u}", f"i{i}") for u in range(12) for i in range(10)]
    texts = [f"{user} on {item}" for user, item in rows]
    tables, split = Tables(interactions(rows, texts)), SplitOptions(kind=SIDES[side])
    dataset = build_dataset(tables, tmp_path / "out", options(split=split))
    stages = assign_events(code_tables(tables, None), split).stage
    place = 0 if side == "user" else 1
    train, fit = (named_pairs(dataset, dataset.snapshot(one).pairs) for one in ("train", "fit"))
    valid, test = (named_pairs(dataset, dataset.targets(one)) for one in ("valid", "test"))
    cold, early = held_out(dataset, "test"), held_out(dataset, "valid")
    assert cold < early
    assert not {pair[place] for pair in fit} & cold
    assert not {pair[place] for pair in train} & early
    assert {pair[place] for pair in valid} & (early - cold)
    assert {pair[place] for pair in test} & cold
    assert not test & fit
    assert not valid & train
    assert len(test) == round(0.2 * len(rows))
    users = dataset.user_ids.to_pylist()
    for stage, held in (("train", train), ("fit", fit)):
        snapshot = dataset.snapshot(stage)
        for node, user in enumerate(users):
            wrote = [vector_of(f"{u} on {i}") for u, i in held if u == user]
            mean = np.sum(wrote, axis=0) if wrote else np.zeros(12)
            np.testing.assert_allclose(
                snapshot.user_text[node], mean / max(np.linalg.norm(mean), 1e-9), atol=3e-3
            )
        last = TRAIN if stage == "train" else VALID
        early_rows = {row for row, one in zip(rows, stages, strict=True) if one <= last}
        for node, item in enumerate(dataset.item_ids.to_pylist()):
            told = early_rows if side == "item" else held
            about = [vector_of(f"{u} on {i}") for u, i in told if i == item]
            mean = np.sum(about, axis=0) if about else np.zeros(12)
            np.testing.assert_allclose(
                snapshot.item_posts[node], mean / max(np.linalg.norm(mean), 1e-9), atol=3e-3
            )


def test_a_given_split_keeps_its_cut_targets_and_candidates(tmp_path):
    """Catches a split file that is passed over where nodes are held out."""
    rows = [(f"u{u}", f"i{i}", 7 * i + u) for u in range(6) for i in range(10)]
    file = tmp_path / "split.json"
    file.write_text(
        json.dumps(
            {
                "time_point": "2017-03-17",
                "test_end": "2017-04-01",
                "test": {f"u{u}": [f"i{i}" for i in range(10)] for u in range(5)},
                "eligible_assets": [f"i{i}" for i in range(9)],
            }
        )
    )
    split = SplitOptions(kind="cold-items", split_file=str(file), valid_cut=DATES.valid_cut)
    dataset = build_dataset(Tables(interactions(rows)), tmp_path / "out", options(split=split))
    assert dataset.manifest["split"]["kind"] == "given"
    assert (dataset.cut, dataset.valid_cut) == (CUT, VALID_CUT)
    assert dataset.candidates("test").sum() == 9
    fit, test = named_pairs(dataset, dataset.snapshot("fit").pairs), dataset.targets("test")
    asked = {(f"u{u}", f"i{i}") for u in range(5) for i in range(10)}
    assert named_pairs(dataset, test) == asked - fit
    assert {pair[1] for pair in named_pairs(dataset, test)} == held_out(dataset, "test")
    # the same that came with the data
    pairs = pa.table({"user_id": [one[0] for one in asked], "item_id": [one[1] for one in asked]})
    given = GivenSplit(pairs, tuple(f"i{i}" for i in range(9)), CUT, None)
    again = build_dataset(
        Tables(interactions(rows), given=given),
        tmp_path / "again",
        options(split=dataclasses.replace(split, split_file=None)),
    )
    assert named_pairs(again, again.targets("test")) == asked - fit


def test_what_cannot_be_held_out_is_refused(tmp_path):
    """Catches shares that leave none, or nobody to learn from, and masks of ordinary data sets."""
    for share in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ConfigError, match="cold_share is"):
            SplitOptions(kind="cold-items", cold_share=share)
    for share in (0.01, 0.99):
        with pytest.raises(DataError, match="items with interactions are too few") as error:
            build_dataset(
                make_tables(), tmp_path / "out", options(split=cold_split("item", cold_share=share))
            )
        assert error.value.exit_code == 2
    plain = build_dataset(make_tables(), tmp_path / "plain", options(encoder=NO_TEXT))
    assert plain.cold_side is None
    with pytest.raises(DataError, match="no items or users are held out"):
        plain.cold("test")
    cold = build_dataset(
        make_tables(), tmp_path / "cold", options(split=cold_split("user"), encoder=NO_TEXT)
    )
    with pytest.raises(UsageError, match="split is 'fit'"):
        cold.cold("fit")


def rewritten(path, manifest) -> None:
    manifest["hash"] = layout.dataset_hash(manifest)
    (path / layout.MANIFEST).write_text(json.dumps(manifest))


def test_data_sets_of_before_there_was_holding_out_open(tmp_path):
    """Catches a key taken for granted that older data sets of this schema lack."""
    build_dataset(make_tables(), tmp_path / "out", options())
    manifest = json.loads((tmp_path / "out" / layout.MANIFEST).read_text())
    del manifest["split"]["cold_side"]
    del manifest["options"]["split"]["cold_share"]
    rewritten(tmp_path / "out", manifest)
    assert load_dataset(tmp_path / "out").cold_side is None


@pytest.mark.parametrize(
    ("file", "name", "change", "match"),
    [
        (layout.INTERACTIONS, "post_item", lambda a: a + 1000, "post_item goes out of the range"),
        (layout.INTERACTIONS, "post_text", lambda a: a - 10**6, "post_text goes out of the range"),
        (layout.INTERACTIONS, "post_valid", lambda a: a[1:], "post_valid is bool"),
        (layout.INTERACTIONS, "post_time", lambda a: a + 10**8, "post_time reaches over the cut"),
        (layout.SPLITS, "test_cold", lambda a: a[1:], "test_cold is bool"),
        (layout.SPLITS, "valid_cold", lambda a: a.astype(np.int8), "valid_cold is int8"),
    ],
)
def test_arrays_of_held_out_nodes_are_checked(tmp_path, file, name, change, match):
    """Catches files that are whole, hash and all, but cannot be."""
    build_dataset(worded(), tmp_path / "out", options(split=cold_split("item")))
    arrays = load_arrays(tmp_path / "out" / file)
    arrays[name] = change(arrays[name])
    save_arrays(tmp_path / "out" / file, arrays)
    manifest = json.loads((tmp_path / "out" / layout.MANIFEST).read_text())
    manifest["files"][file] = sha256(tmp_path / "out" / file)
    rewritten(tmp_path / "out", manifest)
    with pytest.raises(DataError, match=match):
        load_dataset(tmp_path / "out")


def test_nothing_stored_tells_who_posted_about_a_held_out_item(tmp_path):
    """Catches users beside the posts, or rows in the order of the events they came with."""
    build_dataset(worded(), tmp_path / "out", options(split=cold_split("item")))
    arrays = load_arrays(tmp_path / "out" / layout.INTERACTIONS)
    types = {name: one.dtype.name for name, one in arrays.items() if name.startswith("post_")}
    assert types == {
        "post_item": "int32",
        "post_text": "int32",
        "post_time": "int64",
        "post_valid": "bool",
    }
    assert len(arrays["post_item"])
    assert np.array_equal(arrays["post_valid"], arrays["post_time"] >= VALID_CUT)
    keys = np.stack([arrays["post_item"], arrays["post_text"]])
    assert len(np.unique(keys, axis=1).T) == len(keys.T)
