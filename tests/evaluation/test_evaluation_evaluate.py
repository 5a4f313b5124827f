"""An evaluation from end to end on small worlds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_worlds import FakeDataset, TableScorer, brute_order
from scipy import stats

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.evaluation import Evaluation, evaluate
from finrec_dgl.evaluation.evaluate import mean_interval


def world(seed=0, n_users=40, n_items=25):
    """The base of valid is a part of that of test, whose targets are new against it."""
    rng = np.random.default_rng(seed)
    train = rng.random((n_users, n_items)) < 0.2
    valid = (rng.random((n_users, n_items)) < 0.1) & ~train
    test = (rng.random((n_users, n_items)) < 0.1) & ~train & ~valid
    test[0] = False  # a user without a target
    scores = rng.normal(size=(n_users, n_items)).astype(np.float32)
    dataset = FakeDataset({"valid": train, "test": train | valid}, {"valid": valid, "test": test})
    return dataset, scores, train, valid, test


@pytest.mark.parametrize("split", ["valid", "test"])
def test_equals_a_brute_force(split):
    """Would catch the wrong pairs removed: valid hides the train pairs only, test all before the
    cut."""
    dataset, scores, train, valid, test = world()
    base = train if split == "valid" else train | valid
    wanted = valid if split == "valid" else test
    found = evaluate(TableScorer(scores), dataset, split, k=(3, 10), batch=7)
    users = np.flatnonzero(wanted.any(axis=1))
    assert np.array_equal(found.users, users)
    recall, reciprocal = [], []
    for user in users:
        order = brute_order(scores[user], ~base[user])
        relevant = set(np.flatnonzero(wanted[user]))
        recall.append(len(relevant & set(order[:3])) / len(relevant))
        reciprocal.append(1 / min(order.index(item) + 1 for item in relevant))
    assert found.metrics["recall@3"] == pytest.approx(np.mean(recall), abs=1e-12)
    assert found.metrics["mrr"] == pytest.approx(np.mean(reciprocal), abs=1e-12)


def test_users_without_targets_are_left_out():
    dataset, scores, *_ = world()
    assert 0 not in evaluate(TableScorer(scores), dataset).users


def test_the_batch_changes_nothing():
    """Would catch values that depend on how users are grouped."""
    dataset, scores, *_ = world()
    one = evaluate(TableScorer(scores), dataset, batch=1)
    all_at_once = evaluate(TableScorer(scores), dataset)
    assert one.metrics == all_at_once.metrics


def test_an_oracle_is_perfect_and_its_opposite_is_not():
    dataset, _, _, _, test = world()
    best = evaluate(TableScorer(test.astype(np.float32)), dataset)
    assert {best.metrics[name] for name in ("hit@10", "ndcg@10", "mrr")} == {1.0}
    worst = evaluate(TableScorer(-test.astype(np.float32)), dataset)
    assert worst.metrics["ndcg@10"] < 0.2


def test_unreachable_targets_are_counted_and_count_against_the_scorer():
    """A candidate list that misses a target must not make the figures better."""
    base = np.zeros((1, 3), bool)
    targets = np.array([[True, True, False]])
    candidates = np.array([True, False, True])
    dataset = FakeDataset(
        {"valid": base, "test": base},
        {"valid": targets, "test": targets},
        {"valid": candidates, "test": candidates},
    )
    found = evaluate(TableScorer(np.array([[3.0, 2.0, 1.0]], np.float32)), dataset)
    assert found.unreachable == 1
    assert found.metrics["recall@10"] == 0.5


def test_the_mapping_is_json_and_holds_no_single_user():
    dataset, scores, *_ = world()
    found = evaluate(TableScorer(scores), dataset, k=(5, 10))
    mapping = json.loads(json.dumps(found.to_mapping(), allow_nan=False))
    assert mapping["split"] == "test"
    assert mapping["k"] == [5, 10]
    assert mapping["users"] == len(found.users)
    names = {f"{name}@{k}" for name in ("hit", "precision", "recall", "ndcg") for k in (5, 10)}
    assert set(mapping["metrics"]) == set(mapping["intervals"]) == names | {"mrr"}
    for name, (low, high) in mapping["intervals"].items():
        assert 0 <= low <= mapping["metrics"][name] <= high <= 1


def test_intervals_cover_the_truth_nineteen_times_in_twenty():
    """Would catch a wrong divisor or quantile."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        low, high = mean_interval(rng.normal(0.3, 0.2, size=200))
        covered += low <= 0.3 <= high
    assert 0.935 < covered / 2000 < 0.965


def test_the_interval_is_that_of_the_standard_error():
    """Against SciPy on few values, where the divisor n in place of n - 1 shows."""
    values = np.array([0.1, 0.4, 0.35, 0.9])
    theirs = stats.norm.interval(0.95, loc=values.mean(), scale=stats.sem(values))
    assert mean_interval(values) == pytest.approx(theirs, abs=1e-12)


def test_one_user_says_nothing_of_the_spread():
    one = Evaluation("test", (10,), np.array([3]), {"mrr": np.array([0.5])}, targets=1)
    assert one.intervals["mrr"] == (0.0, 1.0)


def test_what_cannot_be_evaluated_is_refused():
    dataset, scores, train, *_ = world()
    with pytest.raises(UsageError, match="the split is 'train'"):
        evaluate(TableScorer(scores), dataset, "train")
    nothing = np.zeros_like(train)
    empty = FakeDataset({"valid": train, "test": train}, {"valid": nothing, "test": nothing})
    with pytest.raises(DataError, match="has no targets"):
        evaluate(TableScorer(scores), empty)
    with pytest.raises(DataError, match="mrr differ in shape"):
        Evaluation("test", (10,), np.array([0, 1]), {"mrr": np.zeros(3)}, targets=2)
    with pytest.raises(DataError, match="at least one user"):
        Evaluation("test", (10,), np.zeros(0, int), {}, targets=0)


def test_of_many_users_some_are_drawn():
    """Catches another draw each time, targets of users who were not drawn, or too many users."""
    dataset, scores, *_ = world()
    scorer = TableScorer(scores)
    every = evaluate(scorer, dataset, "valid")
    some, again = (evaluate(scorer, dataset, "valid", at_most=9) for _ in range(2))
    assert np.array_equal(some.users, again.users)
    assert len(some.users) == 9 < len(every.users)
    rows = np.searchsorted(every.users, some.users)
    for name, values in some.per_user.items():
        np.testing.assert_array_equal(values, every.per_user[name][rows])
    assert len(evaluate(scorer, dataset, "valid", at_most=10_000).users) == len(every.users)
    with pytest.raises(UsageError, match="at_most is 0"):
        evaluate(scorer, dataset, "valid", at_most=0)
