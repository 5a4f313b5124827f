"""The graph as of a time: seeds as they are asked for, and neighbours drawn as fanouts say."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_views import NOBODY, batch_of, edges, make_view, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import DAY, make_dated_snapshot

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.relations import GraphTensors, Seeds
from finrec_dgl.relations.view import COVARIATES
from finrec_dgl.sampling import FULL, Fanouts
from finrec_dgl.sampling.fanouts import pair_fanouts

PLENTY = 1_000
"""More than anybody has of anything."""


# ---- seeds


@pytest.mark.parametrize("users", [[0], [7, 3, NOBODY, 3], [NOBODY], []], ids=str)
def test_seeds_are_the_users_as_asked_for(users):
    """Catches ages that belong to another pair, or to another user's row."""
    view = make_view(1)
    batch = batch_of(view, users)
    held, tied = edges(view.snapshot), rows_of(view.connections)
    assert len(batch.seeds) == len(users)
    items, others = rows_of(batch.seeds.history), rows_of(batch.seeds.connected)
    ages = rows_of(Ragged(batch.seeds.history.indptr, batch.seeds.age))
    for row, user in enumerate(users):
        assert batch.seeds.user[row] == user
        assert dict(zip(items[row], ages[row], strict=True)) == pytest.approx(held[user], rel=1e-5)
        assert np.array_equal(batch.seeds.text[row], view.snapshot.user_text[user])
        assert others[row] == tied[user]
        assert batch.free[row].tolist() == [i not in held[user] for i in range(view.n_items)]


def test_ties_count_in_either_direction_and_once():
    """Catches ties of one direction, and one of two kinds or both directions that counts twice."""
    snapshot = make_dated_snapshot(0)
    ends = np.array([0, 1, 2], np.int32), np.array([1, 0, 5], np.int32)
    also = np.array([0], np.int32), np.array([1], np.int32)
    view = GraphTensors(replace(snapshot, ties={"family": ends, "work": also}))
    expected = {0: [1], 1: [0], 2: [5], 5: [2]}
    assert rows_of(view.connections) == [expected.get(user, []) for user in range(view.n_users)]
    assert not len(GraphTensors(replace(snapshot, ties={})).connections.values)


def test_covariates_by_user():
    """Catches a user without interactions who is taken for one of today, and idle days without
    end."""
    snapshot = make_dated_snapshot(2)
    last = snapshot.last.copy()
    last[snapshot.pairs.user == 3] = snapshot.time  # idle for no day, and for years
    last[snapshot.pairs.user == 5] = snapshot.time - 5_000 * DAY
    view = GraphTensors(replace(snapshot, last=last))
    found = batch_of(view).seeds.covariates()
    seen = set()
    for user, items in edges(view.snapshot).items():
        idle = math.log1p(min(items.values())) - 4 if items else 0.0
        seen.add(math.copysign(2, idle) if abs(idle) > 2 else 0)
        expected = {
            "log interactions": math.log(max(len(items), 1)),
            "log idle days": min(max(idle, -2.0), 2.0),
            "no interactions": float(not items),
        }
        for name, value in expected.items():
            assert found[user, COVARIATES.index(name)] == pytest.approx(value, abs=1e-4)
    assert seen == {-2, 0, 2}
    assert torch.isfinite(found).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 999), rows=st.integers(0, 4), width=st.integers(0, 3))
def test_a_message_is_a_sum_over_the_history(seed, rows, width):
    """Catches the sum of another row, and an empty row that takes its neighbour's items."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, rows)
    items = rng.integers(0, 6, counts.sum())
    indptr = torch.from_numpy(np.append(0, np.cumsum(counts)).astype(np.int64))
    history = Ragged(indptr, torch.from_numpy(items.astype(np.int32)))
    none = torch.zeros(0)
    seeds = Seeds(torch.arange(rows), history, none, none, history)
    matrix = torch.from_numpy(rng.normal(size=(6, width)).astype(np.float32))
    weight = torch.from_numpy(rng.normal(size=len(items)).astype(np.float32))
    for given_weight in (None, weight):
        if not width and given_weight is not None:
            continue
        found = seeds.message(matrix, given_weight)
        expected = np.zeros((rows, width))
        row = np.repeat(np.arange(rows), counts)
        for number, (b, item) in enumerate(zip(row, items, strict=True)):
            by = 1.0 if given_weight is None else float(weight[number])
            expected[b] += by * matrix[item].numpy()
        np.testing.assert_allclose(found.reshape(rows, width), expected, atol=1e-5)


# ---- what is kept


def test_what_is_kept_is_made_once_and_anew_when_it_was_forgotten():
    """Catches work done for every batch, and what stays in memory after it was forgotten."""
    view, made = make_view(0), []

    def make():
        made.append(len(made))
        return made[-1]

    assert [view.kept("one", make), view.kept("one", make), view.kept("two", make)] == [0, 0, 1]
    view.forget()
    assert [view.kept("one", make), view.kept("two", make)] == [2, 3]


def test_a_view_leaves_its_snapshot_as_it_is():
    """Catches arrays shared with files that are mapped into memory, which must not change."""
    snapshot = make_dated_snapshot(0)
    before = [np.copy(one) for one in (snapshot.pairs.item, snapshot.item_text, snapshot.user_text)]
    view = GraphTensors(snapshot)
    view.user_items.values.zero_()
    for one in (view.item_text, view.user_text, view.age):
        one.zero_()
    after = (snapshot.pairs.item, snapshot.item_text, snapshot.user_text)
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one, other)
    assert snapshot.last.any()


def test_read_only_arrays_make_a_view():
    """Catches a data set in files mapped into memory that only opens with a warning."""
    snapshot = make_dated_snapshot(0)
    for one in (snapshot.pairs.item, snapshot.item_text, snapshot.user_text, snapshot.last):
        one.flags.writeable = False
    view = GraphTensors(snapshot)
    batch_of(view).seeds.text.zero_()
    assert view.item_text.any()


# ---- fanouts


def drawn(view, users=None):
    """All that fanouts bound, as lists: histories, users of items, items of peers."""
    items = torch.arange(view.n_items)
    return (
        rows_of(batch_of(view, users).seeds.history),
        rows_of(view.drawn_users(items)),
        rows_of(view.peer_items[0]),
    )


@pytest.mark.parametrize("numbers", [(-1, -1, -1), (PLENTY, PLENTY, PLENTY)], ids=str)
def test_fanouts_that_bound_nothing_are_every_neighbour(numbers):
    """Catches a neighbour that is lost on the way through a draw."""
    snapshot = make_dated_snapshot(3)
    full, view = GraphTensors(snapshot), GraphTensors(snapshot, fanouts=pair_fanouts(numbers, 7))
    assert drawn(view) == drawn(full)
    mine, theirs = batch_of(view).seeds, batch_of(full).seeds
    assert torch.equal(mine.age, theirs.age)
    assert torch.equal(view.peer_items[1], full.peer_items[1])
    held = edges(snapshot)
    assert drawn(full)[0] == drawn(full)[2] == [sorted(items) for items in held.values()]
    holders = [[u for u in held if i in held[u]] for i in range(snapshot.n_items)]
    assert [sorted(users) for users in drawn(full)[1]] == holders


def test_drawn_neighbours_are_some_of_all():
    """Catches a neighbour that is not there, one drawn twice, and fewer than there could be."""
    snapshot, counts = make_dated_snapshot(4), (2, 3, 4)
    view, full = GraphTensors(snapshot, fanouts=Fanouts(tuple(counts), 5)), GraphTensors(snapshot)
    for some, every, most in zip(drawn(view), drawn(full), counts, strict=True):
        assert any(len(one) > most for one in every)
        for one, whole in zip(some, every, strict=True):
            assert len(one) == len(set(one)) == min(most, len(whole))
            assert set(one) <= set(whole)


def test_what_is_drawn_keeps_its_age():
    """Catches the age of another interaction, of a seed's items and of a peer's."""
    snapshot = make_dated_snapshot(4)
    view, held = GraphTensors(snapshot, fanouts=Fanouts((2, -1, 3), 5)), edges(snapshot)
    seeds = batch_of(view).seeds
    peers, places = view.peer_items
    for items, age in ((seeds.history, seeds.age), (peers, view.age[places])):
        for user, item, days in zip(items.row, items.values, age, strict=True):
            assert float(days) == pytest.approx(held[int(user)][int(item)], rel=1e-5)


def test_each_hop_is_bounded_by_its_own_number():
    """Catches numbers that are read in another order."""
    snapshot = make_dated_snapshot(4)
    full = drawn(GraphTensors(snapshot))
    for hop in range(3):
        numbers = [-1, -1, -1]
        numbers[hop] = 1
        found = drawn(GraphTensors(snapshot, fanouts=pair_fanouts(numbers)))
        assert [one != other for one, other in zip(found, full, strict=True)] == [
            hop == number for number in range(3)
        ]


def test_a_draw_follows_from_its_key_alone():
    """Catches a draw that hangs on what was asked for before or beside it, and a key without a
    say."""
    snapshot = make_dated_snapshot(5)

    def of(key, users=None):
        return drawn(GraphTensors(snapshot, fanouts=Fanouts((2, 2, 2), key)), users)

    assert of(1) == of(1)
    for one, other in zip(of(1), of(2), strict=True):
        assert one != other
    assert of(1, [9, 4])[0] == [of(1)[0][user] for user in (9, 4)]


def test_hops_draw_apart():
    """Catches one key for every hop: a seed and the same user as a peer would show the same
    items."""
    snapshot = make_dated_snapshot(5)
    view = GraphTensors(snapshot, fanouts=Fanouts((1, -1, 1), 3))
    histories, _, peers = drawn(view)
    assert histories != peers


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_draws_do_not_hang_on_the_number_of_threads(threads):
    """Catches a draw that another machine cannot repeat."""
    snapshot, before = make_dated_snapshot(5), torch.get_num_threads()
    expected = drawn(GraphTensors(snapshot, fanouts=Fanouts((2, 2, 2), 1)))
    try:
        torch.set_num_threads(threads)
        assert drawn(GraphTensors(snapshot, fanouts=Fanouts((2, 2, 2), 1))) == expected
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("numbers", [(0,), (-2,), (3, 0, 2), (1, 2, 3, 4)], ids=str)
def test_fanouts_that_make_no_sense_are_refused(numbers):
    """Catches a hop without neighbours, and a number that nothing reads."""
    with pytest.raises(ConfigError, match="fanout"):
        pair_fanouts(numbers)


def test_absent_fanouts_are_every_neighbour():
    """Catches a default that draws."""
    assert pair_fanouts(()) == FULL
    assert pair_fanouts((4,)) == Fanouts((4,))
    assert GraphTensors(make_dated_snapshot(0)).fanouts == FULL
