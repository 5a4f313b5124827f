"""Every kind of split against a brute force, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from finrec_dgl.base.errors import ConfigError, DataError, UsageError
from finrec_dgl.dataset import splits
from finrec_dgl.dataset.splits import LEFT_OUT, TEST, TRAIN, VALID, SplitOptions

events = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 30)), min_size=1, max_size=60
)


def columns(rows) -> list[np.ndarray]:
    return [np.array(column, np.int64) for column in zip(*rows, strict=True)]


@given(events, st.integers(0, 31), st.integers(0, 31), st.none() | st.integers(0, 31))
def test_temporal_is_a_comparison_of_dates(rows, valid_cut, cut, test_end):
    """Catches an event on the wrong side of a date, the dates' own events above all."""
    _, _, time = columns(rows)
    end = 10**6 if test_end is None else test_end
    empty = (
        valid_cut >= cut
        or end <= cut
        or not any(t < valid_cut for t in time)
        or not any(valid_cut <= t < cut for t in time)
        or not any(cut <= t < end for t in time)
    )
    if empty:
        with pytest.raises(UsageError):
            splits.temporal(time, cut, valid_cut, test_end)
        return
    found = splits.temporal(time, cut, valid_cut, test_end)
    for stage, when in zip(found.stage, time, strict=True):
        if when < valid_cut:
            assert stage == TRAIN
        elif when < cut:
            assert stage == VALID
        else:
            assert stage == (TEST if when < end else LEFT_OUT)
    assert sum(found.left_out.values()) == np.sum(found.stage == LEFT_OUT)
    assert (found.cut, found.valid_cut, found.test_end) == (cut, valid_cut, test_end)


def test_temporal_cuts_at_quantiles_by_default():
    """Catches a default that is not the 0.85 quantile, of all times and of those before."""
    found = splits.temporal(np.arange(1000)[::-1].copy())
    assert (found.cut, found.valid_cut) == (850, 722)
    assert [int((found.stage == stage).sum()) for stage in (TRAIN, VALID, TEST)] == [722, 128, 150]


def test_temporal_says_what_is_wrong():
    """Catches messages that do not tell dates from dates."""
    time = np.array([0, 86_400, 2 * 86_400, 3 * 86_400])
    with pytest.raises(DataError, match="no timestamps"):
        splits.temporal(None)
    with pytest.raises(
        UsageError, match=r"before the cut 1969-12-31[\s\S]*1970-01-01 to 1970-01-04"
    ):
        splits.temporal(time, -86_400)
    with pytest.raises(UsageError, match="at or after the cut 1971"):
        splits.temporal(time, 400 * 86_400)
    with pytest.raises(UsageError, match="no interactions to train on"):
        splits.temporal(time, 2 * 86_400, 0)
    with pytest.raises(UsageError, match="no interactions to validate on"):
        splits.temporal(time, 2 * 86_400, 86_401)
    with pytest.raises(UsageError, match="is not before the cut"):
        splits.temporal(time, 86_400, 86_400)
    with pytest.raises(UsageError, match="no interactions before the cut"):
        splits.temporal(np.zeros(5, np.int64))


def brute_last_out(rows, dated):
    """Stages by user, straight from the words: all before the last but one product is training."""
    stage = [None] * len(rows)
    for user in {row[0] for row in rows}:
        mine = [number for number, row in enumerate(rows) if row[0] == user]
        if dated:
            mine.sort(key=lambda number: (rows[number][2], number))
        taken_up = list(dict.fromkeys(rows[number][1] for number in mine))
        if len(taken_up) < 3:
            for number in mine:
                stage[number] = TRAIN
            continue
        now = TRAIN
        for number in mine:
            if rows[number][1] == taken_up[-2] and now == TRAIN:
                now = VALID
            elif rows[number][1] == taken_up[-1] and now == VALID:
                stage[number] = TEST
                now = LEFT_OUT
                continue
            stage[number] = now
    return stage


@given(events, st.booleans())
def test_last_out_leaves_each_users_last_products_out(rows, dated):
    """Catches ties of time not by row, repeats that count as products, a user's own future."""
    user, item, time = columns(rows)
    expected = brute_last_out(rows, dated)
    if TEST not in expected:
        with pytest.raises(DataError, match="no user has 3 products"):
            splits.last_out(user, item, time if dated else None)
        return
    found = splits.last_out(user, item, time if dated else None)
    assert found.stage.tolist() == expected
    for one in set(user.tolist()):
        tested = {i for u, i, s in zip(user, item, expected, strict=True) if (u, s) == (one, TEST)}
        learnt = {
            i for u, i, s in zip(user, item, expected, strict=True) if u == one and s <= VALID
        }
        assert len(tested) <= 1
        assert not tested & learnt


@given(events, st.integers(0, 3), st.sampled_from([0.0, 0.2, 0.4]), st.sampled_from([0.1, 0.3]))
def test_random_goes_by_pair(rows, seed, test_share, valid_share):
    """Catches a pair in two parts, shares that are off, and seeds that are not kept."""
    user, item, _ = columns(rows)
    pairs = set(zip(user.tolist(), item.tolist(), strict=True))
    wanted = {TEST: round(test_share * len(pairs)), VALID: round(valid_share * len(pairs))}
    possible = wanted[VALID] > 0 and (wanted[TEST] > 0 or test_share == 0)
    if not possible or sum(wanted.values()) >= len(pairs):
        with pytest.raises(DataError, match="too few"):
            splits.at_random(user, item, valid_share, test_share, seed)
        return
    found = splits.at_random(user, item, valid_share, test_share, seed).stage
    again = splits.at_random(user, item, valid_share, test_share, seed).stage
    assert np.array_equal(found, again)
    stages = {}
    for u, i, stage in zip(user.tolist(), item.tolist(), found.tolist(), strict=True):
        stages.setdefault((u, i), set()).add(stage)
    assert all(len(one) == 1 for one in stages.values())
    for stage, count in wanted.items():
        assert sum(one == {int(stage)} for one in stages.values()) == count


def test_random_seeds_differ():
    """Catches a seed that is not used."""
    user, item = np.repeat(np.arange(20), 10), np.tile(np.arange(10), 20)
    one, two = (splits.at_random(user, item, 0.1, 0.2, seed).stage for seed in (0, 1))
    assert not np.array_equal(one, two)


@given(events, st.integers(1, 30), st.none() | st.integers(0, 30))
def test_given_by_date_learns_from_before_the_cut(rows, cut, valid_cut):
    """Catches events at or after a given cut that are learnt from or asked for."""
    _, _, time = columns(rows)
    try:
        found = splits.given_dated(time, cut, valid_cut)
    except (DataError, UsageError):
        assume(False)
    assert np.array_equal(found.stage == LEFT_OUT, time >= cut)
    assert np.array_equal(found.stage == VALID, (time >= found.valid_cut) & (time < cut))
    assert not np.any(found.stage == TEST)


@given(events, st.integers(0, 3), st.sampled_from([0.1, 0.5, 0.9]), st.data())
def test_given_without_dates_validates_on_a_share_of_each_user(rows, seed, share, data):
    """Catches test pairs in training, users left without training, pairs in two parts."""
    user, item, _ = columns(rows)
    of = data.draw(st.integers(2, 4))
    is_test = np.array([(u + i) % of == 0 for u, i, _ in rows])
    try:
        found = splits.given_undated(user, item, is_test, share, seed).stage
    except DataError:
        assume(False)
    assert np.array_equal(found == LEFT_OUT, is_test)
    for one in set(user[~is_test].tolist()):
        mine = {}
        for u, i, stage in zip(user, item, found, strict=True):
            if u == one and stage != LEFT_OUT:
                mine.setdefault(int(i), set()).add(int(stage))
        assert all(len(stages) == 1 for stages in mine.values())
        valid = sum(stages == {int(VALID)} for stages in mine.values())
        wanted = len(mine) * share
        assert valid <= len(mine) - 1
        assert int(wanted) - 1 <= valid <= int(wanted) + 1 or valid == len(mine) - 1


def test_given_without_dates_keeps_the_share_for_users_of_few_pairs():
    """Catches rounding down, by which no user of fewer than ten pairs is ever validated on."""
    user = np.repeat(np.arange(4000), 3)
    item = np.tile(np.arange(3), 4000)
    found = splits.given_undated(user, item, np.zeros(len(user), bool), 0.1, 0).stage
    assert np.mean(found == VALID) == pytest.approx(0.1, abs=0.01)


def test_auto_chooses_by_what_there_is():
    """Catches a split other than the documented one."""
    assert SplitOptions().resolve(given=True, dated=True) == "given"
    assert SplitOptions().resolve(given=False, dated=True) == "temporal"
    assert SplitOptions().resolve(given=False, dated=False) == "random"
    assert SplitOptions(cut="2015-06-01").resolve(given=True, dated=True) == "temporal"
    assert SplitOptions(kind="last-out").resolve(given=True, dated=True) == "last-out"


def test_options_name_every_problem():
    """Catches options that contradict one another or are read as something else."""
    with pytest.raises(ConfigError) as error:
        SplitOptions(kind="tempral", cut="junk", valid_share=0, test_share=1, seed=-1)
    for part in ("did you mean 'temporal'", "cut: 'junk'", "valid_share", "test_share", "seed"):
        assert part in str(error.value)
    for wrong, match in (
        ({"cut": "2015-06-01", "valid_cut": "2015-06-01"}, "valid_cut 2015-06-01 is not before"),
        ({"cut": "2015-06-01", "test_end": "2015-05-01"}, "is not before test_end"),
        ({"kind": "random", "cut": "2015-06-01"}, "cut does not go with kind random"),
        ({"kind": "temporal", "split_file": "x.json"}, "split_file does not go with"),
        ({"cut": "2015-06-01", "split_file": "x.json"}, "has its own"),
        ({"valid_share": 0.5, "test_share": 0.5}, "nothing to train on"),
    ):
        with pytest.raises(ConfigError, match=match):
            SplitOptions(**wrong)
