"""Nothing after the cut reaches what is learnt from: the reason this folder is as it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from dataset_worlds import (
    CUT,
    CUT_DAY,
    DATES,
    NO_TEXT,
    START,
    VALID_CUT,
    VALID_DAY,
    day,
    interactions,
    late,
    make_tables,
    named_pairs,
    options,
    truncated,
    vector_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.files import load_arrays
from finrec_dgl.dataset import SplitOptions, build_dataset, layout
from finrec_dgl.dataset.snapshot import FROM_NONE, FROM_POSTS, FROM_PROFILE
from finrec_dgl.dataset.splits import iso
from finrec_dgl.tables import Tables

TIED = ("interactions", "items", "users", "ties")


def replaced(table: pa.Table, rows: np.ndarray, change) -> pa.Table:
    """``table`` with its ``rows`` (bool) put through ``change``, each where it stood."""
    changed = change(table.filter(pa.array(rows)))
    order = np.empty(len(table), np.int64)
    order[~rows] = np.arange((~rows).sum())
    order[rows] = np.arange((~rows).sum(), len(table))
    return pa.concat_tables([table.filter(pa.array(~rows)), changed]).take(pa.array(order))


def with_column(table: pa.Table, name: str, values) -> pa.Table:
    if name not in table.column_names:
        return table
    column = pa.array(values, table.schema.field(name).type)
    return table.set_column(table.column_names.index(name), name, column)


def shifted(table: pa.Table, rng) -> pa.Table:
    return with_column(table, "timestamp", rng.integers(CUT, CUT + 10**6, len(table)))


def shuffled(table: pa.Table, rng) -> pa.Table:
    for name in table.column_names:
        if name != "timestamp":
            table = with_column(
                table, name, table[name].take(pa.array(rng.permutation(len(table)))).to_pylist()
            )
    return table


def reworded(table: pa.Table, rng) -> pa.Table:
    for name in ("text", "about", "kind"):
        table = with_column(table, name, [f"future {number}" for number in range(len(table))])
    table = with_column(table, "size", [f"{number}e6" for number in range(len(table))])
    return with_column(table, "weight", rng.random(len(table)) * 100)


def removed(table: pa.Table, rng) -> pa.Table:
    """All but the first, for a test must have something to ask."""
    return (
        table.slice(0, 1)
        if "item_id" in table.column_names and "user_id" in table.column_names
        else table.slice(0, 0)
    )


def alter(tables: Tables, change, seed: int) -> Tables:
    """``tables`` with all that is dated after the cut put through ``change``."""
    rng = np.random.default_rng(seed)
    parts = {}
    for name in TIED:
        table = getattr(tables, name)
        rows = late(table)
        assert 0 < rows.sum() < len(rows)
        if change is removed:
            parts[name] = pa.concat_tables(
                [removed(table.filter(pa.array(rows)), rng), table.filter(pa.array(~rows))]
            )
        else:
            parts[name] = replaced(table, rows, lambda one: change(one, rng))
    return dataclasses.replace(tables, **parts)


def newcomers(tables: Tables, seed: int) -> Tables:
    """Users and items that nobody knew before the cut, at the head of every table."""
    times = pa.array([CUT, CUT + 5], pa.int64())

    def rows(table, **ids):
        columns = {name: [None, None] for name in table.column_names}
        columns.update(ids)
        if "weight" in columns:
            columns["weight"] = [1.0, 2.0]
        columns["timestamp"] = times
        extra = pa.table(
            {
                name: pa.array(columns[name], table.schema.field(name).type)
                for name in table.column_names
            }
        )
        return pa.concat_tables([extra, table])

    return dataclasses.replace(
        tables,
        interactions=rows(tables.interactions, user_id=["0new", "u1"], item_id=["i1", "0new"]),
        items=rows(tables.items, item_id=["0new", "i1"]),
        users=rows(tables.users, user_id=["0new", "u1"]),
        ties=rows(
            tables.ties, source_id=["0new", "u1"], target_id=["u1", "u2"], kind=["0new", "friend"]
        ),
    )


CHANGES = {
    "shifted": lambda tables, seed: alter(tables, shifted, seed),
    "shuffled": lambda tables, seed: alter(tables, shuffled, seed),
    "reworded": lambda tables, seed: alter(tables, reworded, seed),
    "removed": lambda tables, seed: alter(tables, removed, seed),
    "newcomers": newcomers,
}


@pytest.mark.parametrize("k_core", [0, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_the_future_changes_no_byte_but_the_test_targets(tmp_path, change, k_core):
    """Catches any use of events, ties, profiles or texts dated after the cut, however it is made:
    in nodes, their order, edges, vectors, categories, validation or candidates."""
    tables = make_tables(seed=3)
    world = CHANGES[change](tables, 5)
    first = build_dataset(tables, tmp_path / "a", options(k_core=k_core))
    other = build_dataset(world, tmp_path / "b", options(k_core=k_core))
    for name in set(layout.FILES) - {layout.SPLITS}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    one, two = (load_arrays(tmp_path / part / layout.SPLITS) for part in "ab")
    for name in set(one) - {"test_user", "test_item"}:
        assert np.array_equal(one[name], two[name]), name
    for key in ("options", "split", "ties", "categories", "numbers", "text", "ids", "source"):
        assert first.manifest[key] == other.manifest[key], key


def test_the_future_does_change_the_test_targets(tmp_path):
    """Catches a test above that passes because the change does nothing."""
    tables = make_tables(seed=3)
    first = build_dataset(tables, tmp_path / "a", options())
    other = build_dataset(CHANGES["shuffled"](tables, 5), tmp_path / "b", options())
    assert named_pairs(first, first.targets("test")) != named_pairs(other, other.targets("test"))


def test_no_text_after_the_cut_is_encoded(tmp_path, encoder):
    """Catches texts of the future in the vectors, though no node points at them."""
    build_dataset(CHANGES["reworded"](make_tables(), 0), tmp_path / "out", options())
    assert encoder.seen
    assert not [text for text in encoder.seen if "future" in text]


def by_id(dataset, snapshot):
    """All that a snapshot tells, by ids and names instead of numbers."""
    users, items = dataset.user_ids.to_pylist(), dataset.item_ids.to_pylist()
    pairs = snapshot.pairs
    held = {
        (users[u], items[i]): (count, last)
        for u, i, count, last in zip(
            pairs.user, pairs.item, snapshot.count, snapshot.last, strict=True
        )
    }
    ties = {
        (kind, users[a], users[b])
        for kind, (source, target) in snapshot.ties.items()
        for a, b in zip(source, target, strict=True)
    }

    def known(ids, categories, names):
        return {
            (one, column, names[column][code])
            for column, codes in categories.items()
            for one, code in zip(ids, codes, strict=True)
            if code >= 0
        }

    return (
        held,
        ties,
        known(items, snapshot.item_categories, dataset.item_category_names),
        known(users, snapshot.user_categories, dataset.user_category_names),
        {one: row for one, row in zip(users, snapshot.user_text, strict=True) if row.any()},
        {one: row for one, row in zip(items, snapshot.item_text, strict=True) if row.any()},
        {one: int(s) for one, s in zip(users, snapshot.user_text_from, strict=True) if s},
        {one: row for one, row in zip(users, snapshot.user_numbers, strict=True) if row.any()},
        {one: row for one, row in zip(items, snapshot.item_numbers, strict=True) if row.any()},
    )


@pytest.mark.parametrize("number", [12, 33.5, VALID_DAY, 74.9, CUT_DAY])
def test_as_of_is_the_world_rebuilt_from_what_was_there(tmp_path, number):
    """Catches a snapshot of an earlier day that knows later pairs, ties, texts or categories, or
    has forgotten some: it must equal a data set made of tables that end that day."""
    tables = make_tables(seed=7)
    whole = build_dataset(tables, tmp_path / "whole", options())
    split = dataclasses.replace(DATES, cut=iso_of(number), valid_cut=iso_of(number - 5))
    then = build_dataset(truncated(tables, day(number)), tmp_path / "then", options(split=split))
    found, expected = by_id(whole, whole.as_of(day(number))), by_id(then, then.snapshot("fit"))
    for one, other in zip(found[:4], expected[:4], strict=True):
        assert one == other
        assert one
    for one, other in zip(found[4:6] + found[7:], expected[4:6] + expected[7:], strict=True):
        assert one.keys() == other.keys()
        assert one
        for key in one:
            np.testing.assert_allclose(one[key], other[key], atol=1e-6)
    assert found[6] == expected[6]


def iso_of(number: float) -> str:

    return iso(day(number))


def test_the_stages_are_the_moments_of_their_cuts(tmp_path):
    """Catches a train stage with validation in it, or a fit stage without."""
    dataset = build_dataset(make_tables(), tmp_path / "out", options())
    for stage, cut in (("train", VALID_CUT), ("fit", CUT)):
        snapshot, then = dataset.snapshot(stage), dataset.as_of(cut)
        assert snapshot.time == cut
        assert by_id(dataset, snapshot)[0] == by_id(dataset, then)[0]
        assert by_id(dataset, snapshot)[1:4] == by_id(dataset, then)[1:4]
        assert snapshot.last.max() < cut
        assert dataset.snapshot(stage) is snapshot
    assert dataset.interactions.time.max() < CUT
    assert np.array_equal(dataset.interactions.valid, dataset.interactions.time >= VALID_CUT)


def test_targets_are_new_and_validation_is_before_the_cut(tmp_path):
    """Catches targets that are in the graph they are to be found from."""
    tables = make_tables()
    dataset = build_dataset(tables, tmp_path / "out", options())
    rows = [
        (user, item, time)
        for user, item, time in zip(
            *(
                tables.interactions[name].to_pylist()
                for name in ("user_id", "item_id", "timestamp")
            ),
            strict=True,
        )
    ]
    train = {row[:2] for row in rows if row[2] < VALID_CUT}
    fit = {row[:2] for row in rows if row[2] < CUT}
    assert named_pairs(dataset, dataset.snapshot("train").pairs) == train
    assert named_pairs(dataset, dataset.snapshot("fit").pairs) == fit
    test = {row[:2] for row in rows if row[2] >= CUT} - fit
    known = {
        (user, item)
        for user, item in test
        if user in dataset.user_ids.to_pylist() and item in dataset.item_ids.to_pylist()
    }
    assert named_pairs(dataset, dataset.targets("test")) == known
    valid = named_pairs(dataset, dataset.targets("valid"))
    assert valid
    assert valid <= fit - train


@settings(max_examples=60)
@given(seed=st.integers(0, 5), start=st.floats(0, CUT_DAY - 0.1), length=st.floats(0.01, 90))
def test_a_window_holds_what_is_new_in_it(worlds, seed, start, length):
    """Catches pairs held before the window, pairs left out, and windows over the cut."""
    dataset, tables = worlds[seed]
    begin, end = day(start), day(start + length)
    if end > CUT:
        with pytest.raises(DataError, match="after the cut"):
            dataset.window(begin, end)
        return
    rows = list(
        zip(
            *(
                tables.interactions[name].to_pylist()
                for name in ("user_id", "item_id", "timestamp")
            ),
            strict=True,
        )
    )
    before = {row[:2] for row in rows if row[2] < begin}
    inside = {row[:2] for row in rows if begin <= row[2] < end}
    assert named_pairs(dataset, dataset.window(begin, end)) == inside - before


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    place = tmp_path_factory.mktemp("worlds")
    made = []
    for seed in range(6):
        tables = make_tables(seed=seed)
        made.append((build_dataset(tables, place / str(seed), options(encoder=NO_TEXT)), tables))
    return made


def test_moments_after_the_cut_are_refused(worlds):
    """Catches a back-test that walks into the test."""
    dataset, _ = worlds[0]
    assert len(dataset.as_of(CUT).pairs)
    with pytest.raises(DataError, match="after the cut"):
        dataset.as_of(CUT + 1)
    with pytest.raises(UsageError, match="empty"):
        dataset.window(CUT - 5, CUT - 5)


def test_before_the_first_event_there_is_nothing(worlds):
    """Catches an empty prefix that fails or is taken for everything."""
    dataset, _ = worlds[0]
    snapshot = dataset.as_of(START - 1)
    assert len(snapshot.pairs) == len(snapshot.count) == len(snapshot.last) == 0
    assert not any(len(source) for source, _ in snapshot.ties.values())
    assert snapshot.matrix().nnz == 0


def test_undated_tables_are_split_without_the_cuts(tmp_path):
    """Catches as_of on data that cannot tell what was when, and validation inside training."""

    dataset = build_dataset(
        make_tables(dated=False), tmp_path / "out", options(split=SplitOptions(kind="random"))
    )
    train, fit = dataset.snapshot("train"), dataset.snapshot("fit")
    assert train.time is None
    assert train.last is None
    assert named_pairs(dataset, fit.pairs) - named_pairs(dataset, train.pairs) == named_pairs(
        dataset, dataset.targets("valid")
    )
    assert not named_pairs(dataset, fit.pairs) & named_pairs(dataset, dataset.targets("test"))
    with pytest.raises(DataError, match="split by date"):
        dataset.as_of(0)
    with pytest.raises(DataError, match="split by date"):
        dataset.window(0, 1)


def test_posts_of_held_out_events_tell_nothing(tmp_path, encoder):
    """Catches the review of a held-out purchase in its writer's text, in splits without dates."""

    rows = [(f"u{u}", f"i{i}") for u in range(6) for i in range(6)]
    texts = [f"{user} on {item}" for user, item in rows]
    dataset = build_dataset(
        Tables(interactions(rows, texts)),
        tmp_path / "out",
        options(split=SplitOptions(kind="random")),
    )
    test = named_pairs(dataset, dataset.targets("test"))
    assert test
    assert set(encoder.seen) == set(texts) - {f"{user} on {item}" for user, item in test}
    valid = named_pairs(dataset, dataset.targets("valid"))

    for node, user in enumerate(dataset.user_ids.to_pylist()):
        for stage, held_out in (("train", test | valid), ("fit", test)):
            wrote = [
                vector_of(f"{u} on {i}") for u, i in rows if u == user and (u, i) not in held_out
            ]
            mean = np.sum(wrote, axis=0)
            np.testing.assert_allclose(
                dataset.snapshot(stage).user_text[node], mean / np.linalg.norm(mean), atol=2e-3
            )


def test_where_a_users_text_comes_from(tmp_path):
    """Catches profiles before posts, posts counted twice, and later versions of a profile."""

    events = interactions(
        [("a", "x", 1), ("a", "y", 2), ("a", "y", 3), ("b", "x", 4), ("c", "x", 5), ("a", "z", 50)]
        + [("b", "y", 70), ("c", "y", 90)],
        ["one", "one", "two", None, "  ", "late", None, None],
    )
    users = pa.table(
        {
            "user_id": ["a", "b", "b", "b"],
            "timestamp": pa.array([None, day(2), day(40), day(80)], pa.int64()),
            "bio": ["a's", "b's", "b's newer", "b's future"],
        }
    )
    tables = Tables(events, users=users, user_text=("bio",))
    dataset = build_dataset(tables, tmp_path / "out", options())
    early = dataset.as_of(day(10))
    mean = vector_of("one") + vector_of("two")
    np.testing.assert_allclose(early.user_text[0], mean / np.linalg.norm(mean), atol=2e-3)
    np.testing.assert_allclose(early.user_text[1], vector_of("Bio: b's."), atol=2e-3)
    assert not early.user_text[2].any()
    assert early.user_text_from.tolist() == [FROM_POSTS, FROM_PROFILE, FROM_NONE]
    fit = dataset.snapshot("fit")
    np.testing.assert_allclose(fit.user_text[1], vector_of("Bio: b's newer."), atol=2e-3)
