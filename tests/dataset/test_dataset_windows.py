"""Earlier windows: where they lie, what is in them, and that nothing later is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from dataset_worlds import (
    CUT,
    DATES,
    DAY,
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
)
from test_dataset_cold import cold_split, worded
from test_dataset_leakage import by_id, replaced, reworded, shuffled

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.dataset import SplitOptions, build_dataset
from finrec_dgl.dataset.kcore import k_core
from finrec_dgl.dataset.splits import iso
from finrec_dgl.dataset.windows import (
    FEWEST_USERS,
    hidden_windows,
    horizon,
    starts,
    validation_windows,
    window,
    windows,
)
from finrec_dgl.tables import Tables

LENGTH = CUT - VALID_CUT
COUNT = 5


def made(folder, tables, split=DATES, **others):
    return build_dataset(tables, folder, options(split=split, **others))


@pytest.fixture(scope="module")
def tables():
    return make_tables(seed=3)


@pytest.fixture(scope="module")
def dataset(tables, tmp_path_factory):
    place = tmp_path_factory.mktemp("windows") / "data"
    return made(place, tables, encoder=NO_TEXT)


@pytest.fixture(scope="module")
def undated(tmp_path_factory):
    place = tmp_path_factory.mktemp("undated") / "data"
    random = SplitOptions(kind="random")
    return made(place, make_tables(dated=False), random, encoder=NO_TEXT)


def rows_of(tables):
    """(user, item, time) of every event."""
    names = ("user_id", "item_id", "timestamp")
    return list(zip(*(tables.interactions[name].to_pylist() for name in names), strict=True))


# ---- where they lie


def test_the_horizon_is_what_the_task_looks_ahead(dataset, undated, tables, tmp_path):
    """Catches windows of another length than the test's, and a guess where there are no dates."""
    assert horizon(dataset) == LENGTH
    dated = dataclasses.replace(DATES, test_end=iso(day(80)))
    assert horizon(made(tmp_path / "data", tables, dated, encoder=NO_TEXT)) == day(80) - CUT
    with pytest.raises(DataError, match="need a split by date, and this one is random"):
        horizon(undated)


@pytest.mark.parametrize("end", [VALID_CUT, CUT, day(40)])
@pytest.mark.parametrize(("step", "warm_up"), [(0.0, 0.0), (7.0, 0.0), (3.0, 20.0), (0.0, 30.0)])
def test_starts_are_spread_before_the_end(dataset, tables, end, step, warm_up):
    """Catches a start at or after the end, within the warm-up, twice, or on a day without any
    event."""
    found = starts(dataset, end, COUNT, step, warm_up)
    days = sorted({(time - START) // DAY for _, _, time in rows_of(tables) if time < CUT})
    first = days[0] + warm_up
    apart = step or max(LENGTH / DAY / 6, ((end - START) / DAY - first) / (COUNT + 1))
    expected = []
    for number in range(1, COUNT + 1):
        after = [one for one in days if one >= (end - START) / DAY - number * apart]
        if after and first <= after[0] < (end - START) / DAY and day(after[0]) not in expected:
            expected.append(day(after[0]))
    assert found == expected
    assert found == sorted(set(found), reverse=True)
    assert found
    assert found[0] < end


def test_a_history_too_short_has_no_starts(dataset):
    """Catches a window before anything happened."""
    assert starts(dataset, VALID_CUT, COUNT, warm_up=61.0) == []
    assert windows(dataset, day(0), COUNT) == []


def test_out_of_range_is_refused(dataset):
    """Catches a walk in the wrong direction."""
    with pytest.raises(ConfigError, match="count is 0.*step is -1.*warm_up is -2"):
        starts(dataset, CUT, 0, -1, -2)


# ---- what is in them


@pytest.mark.parametrize("end", [VALID_CUT, CUT, day(45.5)])
def test_windows_by_the_tables(dataset, tables, end):
    """Catches a snapshot with its window's events, targets that were held before or come after the
    end, and pairs that were left out."""
    found = windows(dataset, end, COUNT)
    assert len(found) > 2
    for one in found:
        assert one.end == min(one.start + LENGTH, end)
        before = {row[:2] for row in rows_of(tables) if row[2] < one.start}
        inside = {row[:2] for row in rows_of(tables) if one.start <= row[2] < one.end}
        known = set(dataset.item_ids.filter(one.candidates).to_pylist())
        new = {(user, item) for user, item in inside - before if item in known}
        assert named_pairs(dataset, one.snapshot.pairs) == before
        assert named_pairs(dataset, one.targets) == new
        assert one.snapshot.last.max() < one.start
        assert one.snapshot.time == one.start
        assert by_id(dataset, one.snapshot) == by_id(dataset, dataset.as_of(one.start))


def test_no_window_reaches_over_its_end_or_the_cut(dataset):
    """Catches a window that walks into validation or test."""
    for end in (VALID_CUT, CUT):
        found = windows(dataset, end, 20, step=1.0)
        assert max(one.end for one in found) == end
        assert any(one.start + LENGTH > end for one in found)
    with pytest.raises(DataError, match="after the cut"):
        windows(dataset, CUT + DAY, COUNT, step=1.0)


def test_windows_with_too_few_users_are_left_out(dataset):
    """Catches an episode of a handful of users."""
    users = [
        len(np.unique(window(dataset, start, CUT, dataset.candidates("test")).targets.user))
        for start in starts(dataset, CUT, 20, step=1.0)
    ]
    found = windows(dataset, CUT, 20, step=1.0)
    assert min(users) < FEWEST_USERS
    assert len(found) < len(users)
    assert all(len(np.unique(one.targets.user)) >= FEWEST_USERS for one in found)


def test_candidates_are_those_of_the_part_that_follows(tables, tmp_path):
    """Catches items of the validation part in a window before it."""
    events = tables.interactions
    users = [f"u{number}" for number in range(12)]
    late_ones = {
        "user_id": pa.array(users),
        "item_id": pa.array(["launched later"] * 12),
        "timestamp": pa.array([day(VALID_DAY + 1)] * 12, pa.int64()),
        "weight": pa.array([1.0] * 12),
        "text": pa.nulls(12, pa.string()),
    }
    late_ones = pa.table({name: late_ones[name] for name in events.column_names})
    world = dataclasses.replace(tables, interactions=pa.concat_tables([events, late_ones]))
    dataset = made(tmp_path / "data", world, encoder=NO_TEXT)
    new = dataset.item_index("launched later")
    for end, split in ((VALID_CUT, "valid"), (CUT, "test")):
        for one in windows(dataset, end, COUNT):
            assert np.array_equal(one.candidates, dataset.candidates(split))
            assert one.candidates[new] == (split == "test")


def test_of_a_core_newcomers_are_not_asked_for(tables, tmp_path):
    """Catches windows that ask what the test does not: it knows every user."""
    every = made(tmp_path / "all", tables, encoder=NO_TEXT)
    core = made(tmp_path / "core", tables, encoder=NO_TEXT, k_core=2)
    for dataset, some in ((every, True), (core, False)):
        one = window(dataset, day(8), day(23), np.ones(dataset.n_items, bool))
        assert len(one.targets)
        new = ~np.isin(one.targets.user, one.snapshot.pairs.user)
        assert new.any() == some


def test_validation_windows_are_the_validation_part_and_earlier_ones(dataset, undated):
    """Catches tuning on windows that overlap the validation part, or on other targets than it."""
    first, *earlier = validation_windows(dataset, 4)
    assert first.snapshot is dataset.snapshot("train")
    assert np.array_equal(first.targets.item, dataset.targets("valid").item)
    assert (first.start, first.end) == (VALID_CUT, CUT)
    assert len(earlier) == 3
    assert all(one.end <= VALID_CUT for one in earlier)
    assert len(validation_windows(dataset, 1)) == 1
    (only,) = validation_windows(undated, 4)
    assert only.snapshot is undated.snapshot("train")
    assert (only.start, only.end) == (None, None)


# ---- leakage


@pytest.mark.parametrize("end", [VALID_CUT, CUT])
@pytest.mark.parametrize("change", [shuffled, reworded])
def test_what_comes_after_the_end_changes_no_window(tmp_path, end, change):
    """Catches any use of later events, ties, profiles or texts in an earlier window."""
    tables, rng = make_tables(seed=3), np.random.default_rng(0)
    parts = {}
    for name in ("interactions", "items", "users", "ties"):
        table = getattr(tables, name)
        parts[name] = replaced(table, late(table, end), lambda one: change(one, rng))
    other = made(tmp_path / "b", dataclasses.replace(tables, **parts))
    first = made(tmp_path / "a", tables)
    assert first.user_ids.equals(other.user_ids)
    pairs = [windows(one, end, COUNT) for one in (first, other)]
    assert len(pairs[0]) > 2
    for one, two in zip(*pairs, strict=True):
        assert (one.start, one.end) == (two.start, two.end)
        assert named_pairs(first, one.targets) == named_pairs(other, two.targets)
        told, also = by_id(first, one.snapshot), by_id(other, two.snapshot)
        assert told[:4] == also[:4]
        assert told[6] == also[6]
        for mine, theirs in zip(told[4:6], also[4:6], strict=True):
            assert mine.keys() == theirs.keys()
            for key, vector in mine.items():
                np.testing.assert_allclose(vector, theirs[key], atol=1e-6)


@pytest.mark.parametrize("side", ["item", "user"])
def test_what_is_held_out_has_no_past_in_the_windows(tmp_path, side):
    """Catches nodes held out for validation that are learned from before it, and nodes held out
    for the test that are learned from at all; and products that nobody takes up, for nobody is
    asked for them, among those to choose from."""
    dataset = made(tmp_path / "data", worded(), cold_split(side))
    for end, split in ((VALID_CUT, "valid"), (CUT, "test")):
        found = windows(dataset, end, COUNT)
        assert found
        for one in found:
            cold = dataset.cold("valid" if one.end <= VALID_CUT else "test")
            assert not cold[getattr(one.snapshot.pairs, side)].any()
            assert not cold[getattr(one.targets, side)].any()
            others = dataset.candidates(split) & ~(cold if side == "item" else False)
            assert np.array_equal(one.candidates, others)
    known = dataset.cold("valid") & ~dataset.cold("test")
    late_ones = windows(dataset, CUT, COUNT)
    assert any(known[getattr(one.targets, side)].any() for one in late_ones)


def test_texts_about_held_out_products_are_nobody_s(tmp_path):
    """Catches a post about a product without a past in its writer's text."""
    tables = worded()
    dataset = made(tmp_path / "data", tables, cold_split("item"))
    cold = dataset.cold("valid")
    (one, *_) = windows(dataset, VALID_CUT, COUNT)
    every = dataset.as_of(one.start)
    texts, told = one.snapshot.texts, every.texts
    hidden = cold[told.post_item] & (told.post_text >= 0)
    assert hidden.any()
    assert (texts.post_text[hidden] == -1).all()
    assert np.array_equal(texts.post_text[~hidden], told.post_text[~hidden])
    writers = np.unique(told.post_user[hidden])
    assert not np.allclose(one.snapshot.user_text[writers], every.user_text[writers], atol=1e-3)
    np.testing.assert_allclose(one.snapshot.item_posts, every.item_posts, atol=1e-5)


# ---- worlds in which pairs are hidden


LAST = SplitOptions(kind="last-out")


def hiding(folder, split, dated=True, **others):
    """The data set of many events with posts, and its windows from the snapshot "train"."""
    tables = make_tables(seed=7, users=40, events=400, dated=dated)
    data = made(folder, tables, split, **others)
    return data, data.snapshot("train"), hidden_windows(data, data.snapshot("train"), COUNT, 0)


def keys_of(pairs):
    return set(zip(pairs.user.tolist(), pairs.item.tolist(), strict=True))


@pytest.mark.parametrize("split", [SplitOptions(kind="random", test_share=0.3), LAST])
def test_hidden_pairs_leave_the_world_with_what_was_written(tmp_path, split):
    """Catches a target that is left as an edge, in counts, or in a text of its user or product."""
    _, whole, found = hiding(tmp_path / "data", split)
    texts = whole.texts
    posts = list(zip(texts.post_user.tolist(), texts.post_item.tolist(), strict=True))
    pairs = zip(whole.pairs.user.tolist(), whole.pairs.item.tolist(), strict=True)
    held = dict(zip(pairs, whole.count.tolist(), strict=True))
    assert len(found) == COUNT
    for one in found:
        left, asked = keys_of(one.snapshot.pairs), keys_of(one.targets)
        assert left < keys_of(whole.pairs)
        assert asked <= keys_of(whole.pairs) - left
        assert np.array_equal(np.unique(one.snapshot.pairs.user), np.unique(whole.pairs.user))
        rows = [number for number, key in enumerate(posts) if key in left]
        assert one.snapshot.count.sum() == sum(held[key] for key in left)
        told = {
            (posts[row][0], int(texts.post_text[row]))
            for row in range(len(posts))
            if posts[row] not in left
        }
        kept = [row for row in rows if (posts[row][0], int(texts.post_text[row])) not in told]
        plain = dataclasses.replace(
            texts,
            **{
                name: getattr(texts, name)[kept] for name in ("post_user", "post_item", "post_text")
            },
        )
        np.testing.assert_allclose(one.snapshot.user_text, plain.users()[0], atol=1e-6)
        np.testing.assert_allclose(one.snapshot.item_posts, plain.posts(), atol=1e-6)
        assert not np.allclose(one.snapshot.user_text, whole.user_text, atol=1e-3)
        assert not np.allclose(one.snapshot.item_posts, whole.item_posts, atol=1e-3)


def test_of_a_core_nothing_else_is_hidden_or_recommended(tmp_path):
    """Catches a core of one window's world in place of the whole, which hiding makes smaller."""
    split = SplitOptions(kind="random", test_share=0.3)
    data, whole, _ = hiding(tmp_path / "data", split, encoder=NO_TEXT)
    inside = k_core(whole.pairs.user, whole.pairs.item, 4)
    assert 0 < inside.sum() < len(inside)
    core = whole.pairs.where(inside)
    for one in hidden_windows(data, whole, COUNT, 0, core=4):
        assert 0 < len(one.targets) == len(whole.pairs) - len(one.snapshot.pairs)
        assert keys_of(one.targets) <= keys_of(core)
        assert set(np.flatnonzero(one.candidates)) <= set(core.item.tolist())


def test_of_a_random_split_the_tests_share_is_hidden(tmp_path):
    """Catches an easier question than the test's, and one question asked over and over."""
    split = SplitOptions(kind="random", test_share=0.3)
    data, whole, found = hiding(tmp_path / "data", split, encoder=NO_TEXT)
    for one in found:
        assert len(one.targets) == len(whole.pairs) - len(one.snapshot.pairs)
        assert len(one.targets) / len(whole.pairs) == pytest.approx(0.3, abs=0.06)
    assert len({frozenset(keys_of(one.targets)) for one in found}) == COUNT
    again, other = (hidden_windows(data, whole, 1, seed)[0] for seed in (0, 1))
    assert keys_of(again.targets) == keys_of(found[0].targets) != keys_of(other.targets)


def test_where_the_split_is_last_out_histories_end_earlier(tmp_path):
    """Catches a target that is not the last, and later products that are left in the world."""
    _, whole, found = hiding(tmp_path / "data", LAST, encoder=NO_TEXT)
    for number, one in enumerate(found):
        left, asked = keys_of(one.snapshot.pairs), keys_of(one.targets)
        for user in np.unique(whole.pairs.user).tolist():
            rows = whole.pairs.user == user
            items = whole.pairs.item[rows][np.argsort(whole.last[rows])].tolist()
            back = number % max(len(items) - 1, 1)
            place = len(items) - 1 - back if len(items) > 1 else 1
            assert {item for u, item in left if u == user} == set(items[:place])
            assert {item for u, item in asked if u == user} == set(items[place : place + 1])


def test_without_times_one_product_a_user_is_hidden(tmp_path):
    """Catches a last product that is the one of the highest number."""
    _, whole, found = hiding(tmp_path / "data", LAST, dated=False, encoder=NO_TEXT)
    several = np.bincount(whole.pairs.user) > 1
    drawn = []
    for one in found:
        assert np.array_equal(np.bincount(one.targets.user, minlength=len(several)), several)
        assert len(one.snapshot.pairs) == len(whole.pairs) - several.sum()
        drawn.append(one.targets.item)
    assert len({tuple(one) for one in drawn}) == COUNT


def test_hidden_pairs_are_asked_for_as_the_test_asks(tmp_path):
    """Catches targets that the test would not have: held-out products, and those nobody holds."""
    tables = make_tables(seed=7, users=40, events=400, dated=False)
    cold = made(tmp_path / "cold", tables, SplitOptions(kind="cold-items"), encoder=NO_TEXT)
    for stage, split in (("train", "valid"), ("fit", "test")):
        hidden = cold.cold(split)
        assert hidden.any()
        for one in hidden_windows(cold, cold.snapshot(stage), COUNT, 0):
            assert not one.candidates[hidden].any()
            assert not hidden[one.targets.item].any()
    rare = [(f"u{user}", f"rare{user}") for user in range(20)]
    common = [(f"u{user}", f"i{item % 6}") for user in range(20) for item in range(user, user + 4)]
    split = SplitOptions(kind="random", valid_share=0.05, test_share=0.3)
    for core in (0, 1):
        folder = tmp_path / f"core{core}"
        data = made(
            folder, Tables(interactions(rare + common)), split, encoder=NO_TEXT, k_core=core
        )
        asked_unheld = 0
        for one in hidden_windows(data, data.snapshot("fit"), COUNT, 0):
            held = np.isin(np.arange(data.n_items), one.snapshot.pairs.item)
            assert one.candidates.all() or core
            asked_unheld += (~held[one.targets.item]).sum()
        assert bool(asked_unheld) == (core == 0)


def test_too_few_users_make_no_hidden_window(tmp_path):
    """Catches a window with nothing to say."""
    rows = [(f"u{user}", "i0") for user in range(40)] + [(f"u{user}", "i1") for user in range(9)]
    split = SplitOptions(kind="random", valid_share=0.02, test_share=0.0)
    data = made(tmp_path / "data", Tables(interactions(rows)), split, encoder=NO_TEXT)
    assert hidden_windows(data, data.snapshot("fit"), COUNT, 0) == []
