"""Metrics against sums written out by hand, a brute force, and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import (
    label_ranking_average_precision_score,
    ndcg_score,
    top_k_accuracy_score,
)

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.evaluation.metrics import UNRANKED, ranking_metrics


def brute_force(ranks: list[int], k: int) -> dict[str, float]:
    """One user's metrics straight from the definitions."""
    relevant = len(ranks)
    found = [rank for rank in ranks if rank != UNRANKED and rank <= k]
    gain = sum(1 / math.log2(1 + rank) for rank in found)
    ideal = sum(1 / math.log2(1 + place) for place in range(1, min(k, relevant) + 1))
    ranked = [rank for rank in ranks if rank != UNRANKED]
    return {
        f"hit@{k}": float(bool(found)),
        f"precision@{k}": len(found) / k,
        f"recall@{k}": len(found) / relevant,
        f"ndcg@{k}": gain / ideal,
        "mrr": 1 / min(ranked) if ranked else 0.0,
    }


def random_case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """Ranks and owners in random order; every user owns a target, some are unranked."""
    n_users = int(rng.integers(1, 6))
    ranks, owner = [], []
    for user in range(n_users):
        count = int(rng.integers(1, 15))
        mine = rng.choice(np.arange(1, 31), size=count, replace=False)
        mine[rng.random(count) < 0.1] = UNRANKED
        ranks.extend(mine)
        owner.extend([user] * count)
    order = rng.permutation(len(ranks))
    return np.array(ranks)[order], np.array(owner)[order], n_users


def test_equals_the_definitions_on_a_thousand_random_cases():
    """Would catch any error in vectorising a formula."""
    rng = np.random.default_rng(0)
    for _ in range(1000):
        ranks, owner, n_users = random_case(rng)
        k = int(rng.integers(1, 13))
        values = ranking_metrics(ranks, owner, n_users, (k,))
        for user in range(n_users):
            expected = brute_force(ranks[owner == user].tolist(), k)
            assert {name: one[user] for name, one in values.items()} == pytest.approx(
                expected, abs=1e-12
            )


def test_ndcg_equals_scikit_learn_on_a_thousand_random_cases():
    """Would catch another discount, gain or ideal than the field's."""
    rng = np.random.default_rng(1)
    for _ in range(1000):
        n_items = int(rng.integers(5, 40))
        k = int(rng.integers(1, 15))
        relevant = rng.choice(n_items, size=int(rng.integers(1, n_items)), replace=False)
        scores = rng.permutation(n_items).astype(np.float64)
        truth = np.zeros((1, n_items))
        truth[0, relevant] = 1
        ranks = (n_items - scores[relevant]).astype(int)
        ours = ranking_metrics(ranks, np.zeros(len(ranks), int), 1, (k,))[f"ndcg@{k}"][0]
        theirs = ndcg_score(truth, scores[None], k=k, ignore_ties=True)
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_hit_and_mrr_of_single_targets_equal_scikit_learn():
    """With one target a user, mrr is the label ranking average precision, and hit the top-k
    accuracy; would catch ranks counted from 0."""
    rng = np.random.default_rng(2)
    n_users, n_items = 1000, 12
    scores = np.stack([rng.permutation(n_items) for _ in range(n_users)]).astype(np.float64)
    target = rng.integers(0, n_items, n_users)
    ranks = (n_items - scores[np.arange(n_users), target]).astype(int)
    values = ranking_metrics(ranks, np.arange(n_users), n_users, (1, 3))
    truth = np.eye(n_items)[target]
    assert values["mrr"].mean() == pytest.approx(
        label_ranking_average_precision_score(truth, scores), abs=1e-9
    )
    for k in (1, 3):
        theirs = top_k_accuracy_score(target, scores, k=k, labels=np.arange(n_items))
        assert values[f"hit@{k}"].mean() == pytest.approx(theirs, abs=1e-9)


def test_a_worked_example():
    """Two of three targets in the first four, at ranks 1 and 4."""
    values = ranking_metrics(np.array([4, 1, 9]), np.zeros(3, int), 1, (4,))
    assert values["precision@4"][0] == 0.5
    assert values["recall@4"][0] == pytest.approx(2 / 3)
    ideal = 1 + 1 / math.log2(3) + 0.5
    assert values["ndcg@4"][0] == pytest.approx((1 + 1 / math.log2(5)) / ideal)
    assert values["mrr"][0] == 1.0


def test_more_targets_than_places_can_still_be_perfect():
    """The ideal is cut at min(k, relevant); would catch an ideal over all relevant items."""
    values = ranking_metrics(np.arange(1, 21), np.zeros(20, int), 1, (10,))
    assert values["ndcg@10"][0] == pytest.approx(1.0, abs=1e-12)
    assert values["recall@10"][0] == 0.5


def test_an_unranked_target_is_a_miss_that_counts_as_relevant():
    """Would catch rank 0 taken for a hit, or left out of the denominator."""
    values = ranking_metrics(np.array([UNRANKED, 1]), np.zeros(2, int), 1, (1,))
    assert values["recall@1"][0] == 0.5
    only = ranking_metrics(np.array([UNRANKED]), np.zeros(1, int), 1, (10,))
    assert {float(one[0]) for one in only.values()} == {0.0}


@pytest.mark.parametrize("k", [(), (0,), (-1,), (10, 10), (2.5,)])
def test_cutoffs_that_cannot_be(k):
    with pytest.raises(UsageError, match="k is"):
        ranking_metrics(np.array([1]), np.array([0]), 1, k)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="differ in shape"):
        ranking_metrics(np.array([1, 2]), np.array([0]), 1)
    with pytest.raises(DataError, match="row 0 has no target"):
        ranking_metrics(np.array([1]), np.array([1]), 2)
    with pytest.raises(DataError, match="has no user"):
        ranking_metrics(np.array([1]), np.array([1]), 1)
    with pytest.raises(DataError, match="a rank is -1"):
        ranking_metrics(np.array([-1]), np.array([0]), 1)
