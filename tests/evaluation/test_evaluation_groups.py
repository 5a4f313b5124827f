"""New and known products or customers apart, against loops."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_worlds import FakeDataset, TableScorer, brute_order

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.evaluation import evaluate, evaluate_groups

GROUPS = ("all", "warm", "cold")


def world(side, seed=0, n_users=40, n_items=25, cold=None):
    """Targets of all, some out of the candidates; a user without any; nobody holds a cold item."""
    rng = np.random.default_rng(seed)
    size = n_items if side == "item" else n_users
    if cold is None:
        cold = rng.random(size) < 0.3
    held = rng.random((n_users, n_items)) < 0.2
    if side == "item":
        held[:, cold] = False
    else:
        held[cold] = False
    targets = (rng.random((n_users, n_items)) < 0.12) & ~held
    targets[0] = False
    candidates = rng.random(n_items) < 0.85
    scores = rng.integers(0, 6, (n_users, n_items)).astype(np.float32)
    dataset = FakeDataset(
        {"valid": held, "test": held},
        {"valid": targets, "test": targets},
        {"valid": candidates, "test": candidates},
        (side, cold),
    )
    return dataset, scores, held, targets, candidates, cold


@pytest.mark.parametrize("side", ["item", "user"])
@pytest.mark.parametrize("seed", range(5))
def test_groups_equal_a_brute_force(side, seed):
    """Catches warm items that push cold ones down or the other way, targets of the other group
    that count as missed, and users without a target of the group."""
    dataset, scores, held, targets, candidates, cold = world(side, seed)
    found = evaluate_groups(TableScorer(scores), dataset, k=(3, 10), batch=7)
    assert tuple(found) == GROUPS
    for name in GROUPS:
        items = np.ones(scores.shape, bool)
        if name != "all":
            inside = cold == (name == "cold")
            items = np.broadcast_to(inside if side == "item" else inside[:, None], scores.shape)
        wanted = targets & items
        users = np.flatnonzero(wanted.any(axis=1))
        assert found[name].users.tolist() == users.tolist()
        assert found[name].targets == wanted.sum()
        assert found[name].unreachable == (wanted & ~candidates).sum()
        recall, reciprocal = [], []
        for user in users:
            ranked = candidates & ~held[user]
            if side == "item":
                ranked = ranked & items[user]
            order = brute_order(scores[user], ranked)
            relevant = set(np.flatnonzero(wanted[user]))
            recall.append(len(relevant & set(order[:3])) / len(relevant))
            ranks = [order.index(item) + 1 for item in relevant if item in order]
            reciprocal.append(1 / min(ranks) if ranks else 0)
        np.testing.assert_allclose(found[name].per_user["recall@3"], recall, atol=1e-12)
        np.testing.assert_allclose(found[name].per_user["mrr"], reciprocal, atol=1e-12)


@pytest.mark.parametrize("side", ["item", "user"])
def test_one_group_alone_is_the_same(side):
    """Catches two ways to measure that differ."""
    dataset, scores, *_ = world(side)
    together = evaluate_groups(TableScorer(scores), dataset, k=(3, 10))
    for name in GROUPS:
        alone = evaluate(TableScorer(scores), dataset, k=(3, 10), group=name)
        assert alone.to_mapping() == together[name].to_mapping()


def test_warm_and_cold_make_up_all():
    """Catches a target in both groups or in none, and users of both that are not whole."""
    dataset, scores, *_ = world("item")
    found = evaluate_groups(TableScorer(scores), dataset)
    assert found["warm"].targets + found["cold"].targets == found["all"].targets
    assert set(found["warm"].users) | set(found["cold"].users) == set(found["all"].users)
    dataset, scores, *_ = world("user")
    found = evaluate_groups(TableScorer(scores), dataset)
    both = np.concatenate([found[name].users for name in ("warm", "cold")])
    assert sorted(both) == found["all"].users.tolist()
    for metric, values in found["all"].per_user.items():
        apart = np.concatenate([found[name].per_user[metric] for name in ("warm", "cold")])
        assert np.array_equal(apart[np.argsort(both)], values)


def test_scores_are_asked_for_once():
    """Catches a pass of an expensive model for each group."""
    dataset, scores, _, targets, *_ = world("item")
    scorer = TableScorer(scores)
    evaluate_groups(scorer, dataset)
    assert sum(scorer.asked) == targets.any(axis=1).sum()


def test_without_held_out_nodes_there_is_one_group():
    """Catches other figures for ordinary data sets, and groups where there are none."""
    _, scores, held, targets, candidates, _ = world("item")
    plain = FakeDataset(*({"valid": one, "test": one} for one in (held, targets, candidates)))
    found = evaluate_groups(TableScorer(scores), plain)
    assert list(found) == ["all"]
    assert found["all"].to_mapping() == evaluate(TableScorer(scores), plain).to_mapping()
    with pytest.raises(DataError, match="held out"):
        evaluate(TableScorer(scores), plain, group="cold")


def test_a_group_without_targets():
    """Catches an empty evaluation, or a failure that takes the other groups along."""
    dataset, scores, *_ = world("item", cold=np.zeros(25, bool))
    assert list(evaluate_groups(TableScorer(scores), dataset)) == ["all", "warm"]
    with pytest.raises(DataError, match="test split has no cold targets"):
        evaluate(TableScorer(scores), dataset, group="cold")
    with pytest.raises(UsageError, match="did you mean 'warm'"):
        evaluate(TableScorer(scores), dataset, group="warn")
