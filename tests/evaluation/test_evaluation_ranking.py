"""Ranks counted in chunks against rows sorted whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from evaluation_worlds import TableScorer, brute_order, pairs_of

from finrec_dgl.base.errors import DataError, TrainingError, UsageError
from finrec_dgl.dataset.snapshot import Pairs
from finrec_dgl.evaluation.metrics import UNRANKED
from finrec_dgl.evaluation.ranking import rank_among, rank_targets, tie_order
from finrec_dgl.evaluation.scores import Vectors
from finrec_dgl.kernels import ranking as kernels
from finrec_dgl.kernels.library import Library


def random_world(rng, n_users=12, n_items=30, levels=5):
    scores = rng.integers(0, levels, (n_users, n_items)).astype(np.float32)
    held = rng.random((n_users, n_items)) < 0.2
    targets = (rng.random((n_users, n_items)) < 0.15) & ~held
    candidates = rng.random(n_items) < 0.8
    return scores, held, targets, candidates


@pytest.mark.parametrize("levels", [1, 3, 1_000_000])
@pytest.mark.parametrize("batch", [None, 1, 5])
def test_equals_sorting_whole_rows(levels, batch):
    """Ranks with many, few and no ties; would catch ties broken otherwise than in tie order,
    held or non-candidate items ranked, and targets mixed up between chunks."""
    rng = np.random.default_rng(levels)
    for _ in range(30):
        scores, held, targets, candidates = random_world(rng, levels=levels)
        wanted = pairs_of(targets)
        ranking = rank_targets(TableScorer(scores), wanted, pairs_of(held), candidates, batch=batch)
        assert ranking.users.tolist() == sorted(set(wanted.user.tolist()))
        assert np.array_equal(ranking.users[ranking.owner], wanted.user)
        for user, item, rank in zip(wanted.user, wanted.item, ranking.ranks, strict=True):
            order = brute_order(scores[user], candidates & ~held[user])
            assert rank == (order.index(item) + 1 if item in order else UNRANKED)


def test_equal_scores_rank_in_an_order_that_knows_nothing_of_ids():
    """All scores equal: the rank is the place in the tie order among what is left. Catches ties
    that go by item index, which favour whatever ids are sorted by, and an order that moves."""
    held = np.zeros((1, 5), bool)
    held[0, 1] = True
    targets = np.zeros((1, 5), bool)
    targets[0, [0, 2, 4]] = True
    ranking = rank_targets(
        TableScorer(np.zeros((1, 5), np.float32)),
        pairs_of(targets),
        pairs_of(held),
        np.ones(5, bool),
    )
    left = [item for item in tie_order(5).tolist() if item != 1]
    assert ranking.ranks.tolist() == [left.index(item) + 1 for item in (0, 2, 4)]
    for size in (0, 1, 5, 1000):
        assert np.array_equal(np.sort(tie_order(size)), np.arange(size))
        assert np.array_equal(tie_order(size), tie_order(size))
    assert abs(np.corrcoef(tie_order(1000), np.arange(1000))[0, 1]) < 0.1


def test_without_ties_the_tie_order_has_no_say():
    """Catches a tie order that outranks a higher score."""
    scores = np.arange(7, dtype=np.float32)[None]
    everything, nothing = np.ones((1, 7), bool), np.zeros((1, 7), bool)
    ranking = rank_targets(
        TableScorer(scores), pairs_of(everything), pairs_of(nothing), np.ones(7, bool)
    )
    assert ranking.ranks.tolist() == [7, 6, 5, 4, 3, 2, 1]


def test_targets_out_of_reach_are_unranked_and_counted():
    """A target that is no candidate, and one already held."""
    targets = pairs_of(np.array([[True, True, True]]))
    held = pairs_of(np.array([[False, True, False]]))
    candidates = np.array([False, True, True])
    scores = TableScorer(np.ones((1, 3), np.float32))
    ranking = rank_targets(scores, targets, held, candidates)
    assert ranking.ranks.tolist() == [UNRANKED, UNRANKED, 1]
    assert ranking.unreachable == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_an_error_naming_the_scorer(bad):
    """Would catch a diverged model that silently ranks by index, even if only held items show
    it."""
    scores = np.zeros((2, 3), np.float32)
    scores[1, 2] = bad
    targets = pairs_of(np.array([[True, False, False], [True, False, False]]))
    held = pairs_of(np.array([[False] * 3, [False, False, True]]))
    with pytest.raises(TrainingError, match="the scorer table gave 1 scores that are not finite"):
        rank_targets(TableScorer(scores), targets, held, np.ones(3, bool))


def test_scores_of_items_that_are_no_candidates_do_not_matter():
    """A scorer may mark what it cannot score."""
    scores = np.array([[np.nan, 1.0, 2.0]], np.float32)
    targets = pairs_of(np.array([[False, True, False]]))
    held = pairs_of(np.zeros((1, 3), bool))
    ranking = rank_targets(TableScorer(scores), targets, held, np.array([False, True, True]))
    assert ranking.ranks.tolist() == [2]


def test_scorers_own_table_is_left_alone():
    """Would catch -inf written into the scorer's memory."""
    scores = np.ones((2, 3), np.float32)

    class Shares:
        def score(self, users):
            return scores

    targets = pairs_of(np.array([[True, False, False], [True, False, False]]))
    held = pairs_of(np.array([[False, True, False]] * 2))
    rank_targets(Shares(), targets, held, np.ones(3, bool))
    assert np.all(scores == 1)


@pytest.mark.parametrize(
    "scores", [np.zeros((1, 4), np.float32), np.zeros(3, np.float32), np.zeros((1, 3), np.int64)]
)
def test_scores_of_another_shape_or_kind_are_an_error(scores):
    class Wrong:
        def score(self, users):
            return scores

    targets = pairs_of(np.array([[True, False, False]]))
    with pytest.raises(TrainingError, match="the scorer Wrong returned"):
        rank_targets(Wrong(), targets, pairs_of(np.zeros((1, 3), bool)), np.ones(3, bool))


def test_memory_stays_bounded_whatever_the_users():
    """Would catch all users scored at once: the peak must follow the budget, not users x items."""
    n_users, n_items, budget = 4000, 500, 2**20
    rng = np.random.default_rng(0)
    user = np.arange(n_users, dtype=np.int32)
    targets = Pairs(user, rng.integers(0, n_items, n_users).astype(np.int32))
    nobody = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))
    asked = []

    class Fresh:
        def score(self, users):
            asked.append(len(users))
            return np.zeros((len(users), n_items), np.float32)

    tracemalloc.start()
    rank_targets(Fresh(), targets, nobody, np.ones(n_items, bool), memory=budget)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(asked) * n_items * 8 <= budget
    assert sum(asked) == n_users
    assert peak < 2.5 * budget  # all at once would take 8 MB and a copy


def test_one_user_is_scored_even_where_its_row_exceeds_the_budget():
    targets = pairs_of(np.array([[True, False], [False, True]]))
    scorer = TableScorer(np.zeros((2, 2), np.float32))
    rank_targets(scorer, targets, pairs_of(np.zeros((2, 2), bool)), np.ones(2, bool), memory=1)
    assert scorer.asked == [1, 1]


def test_unusable_arguments_are_refused():
    one = pairs_of(np.array([[True, False]]))
    scorer = TableScorer(np.zeros((1, 2), np.float32))
    with pytest.raises(UsageError, match="candidates are int64"):
        rank_targets(scorer, one, one, np.array([0, 1]))
    with pytest.raises(UsageError, match="batch is 0"):
        rank_targets(scorer, one, one, np.ones(2, bool), batch=0)
    far = Pairs(np.array([0]), np.array([2]))
    with pytest.raises(DataError, match="a target pair names an item out of range"):
        rank_targets(scorer, far, one, np.ones(2, bool))


class VectorScorer(TableScorer):
    """Scores that are products of vectors of small whole numbers, so that none is rounded."""

    def __init__(self, rng, n_users, n_items, bias=True):
        self.user, self.item = (
            rng.integers(-2, 3, (n, 5)).astype(np.float32) for n in (n_users, n_items)
        )
        self.bias = rng.integers(-2, 3, n_items).astype(np.float32) if bias else None
        super().__init__(self.user @ self.item.T + (0 if self.bias is None else self.bias))

    def vectors(self):
        return Vectors(self.user, self.item, self.bias)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("batch", [None, 4])
def test_ranks_by_vectors_are_ranks_by_scores(monkeypatch, native, batch):
    """Catches another order of ties, biases left out, and sets of candidates mixed up, where no
    scores are asked for."""
    if not native:
        monkeypatch.setattr(kernels, "find_library", lambda: Library(None, "not built"))
    rng = np.random.default_rng(0)
    for seed in range(20):
        _, held, targets, _ = random_world(rng, n_users=9, n_items=70)
        targets |= rng.random(targets.shape) < 0.05  # some are held
        scorer = VectorScorer(rng, 9, 70, bias=bool(seed % 2))
        sets = rng.random((3, 70)) < 0.6
        wanted, taken = pairs_of(targets), pairs_of(held)
        found = rank_among(scorer, wanted, taken, sets, batch=batch)
        assert scorer.asked == []
        plain = rank_among(TableScorer(scorer.scores), wanted, taken, sets, batch=batch)
        for one, other in zip(found, plain, strict=True):
            assert np.array_equal(one.ranks, other.ranks)
            assert np.array_equal(one.owner, other.owner)


def test_vectors_that_are_not_finite_are_an_error_naming_the_scorer():
    """Catches a diverged model whose vectors are ranked."""
    scorer = VectorScorer(np.random.default_rng(0), 3, 6)
    scorer.user[1, 0] = np.nan
    scorer.scores[1] = np.nan
    targets = pairs_of(np.ones((3, 6), bool))
    with pytest.raises(TrainingError, match="the scorer table gave 6 scores that are not finite"):
        rank_targets(scorer, targets, pairs_of(np.zeros((3, 6), bool)), np.ones(6, bool))
