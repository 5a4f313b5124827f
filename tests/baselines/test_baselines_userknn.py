"""Nearest neighbours between users against the formula in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from recommender_contract import RecommenderContract, planted, snapshot_of

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.baselines import UserKNN
from finrec_dgl.baselines import userknn as module


class TestUserKNN(RecommenderContract):
    def make(self):
        return UserKNN(neighbours=30)


class TestUserKNNAsymmetric(RecommenderContract):
    def make(self):
        return UserKNN(neighbours=None, shrink=0.0, alpha=0.3, item_weight=1.0)


def random_mask(seed=0, n_users=12, n_items=15):
    mask = np.random.default_rng(seed).random((n_users, n_items)) < 0.4
    mask[3], mask[:, 4] = False, False
    return mask


def by_hand(mask, neighbours, shrink, alpha, item_weight):
    """The docstring's formula, one number at a time."""
    n_users, n_items = mask.shape
    size = mask.sum(axis=0)
    co = np.zeros((n_users, n_users))
    for u in range(n_users):
        for v in range(n_users):
            for i in range(n_items):
                if mask[u, i] and mask[v, i]:
                    co[u, v] += float(size[i]) ** -item_weight
    scores = np.zeros(mask.shape)
    for u in range(n_users):
        similar = np.zeros(n_users)
        for v in range(n_users):
            if u != v and co[u, v] > 0:
                similar[v] = co[u, v] / (co[u, u] ** alpha * co[v, v] ** (1 - alpha) + shrink)
        least = 0.0 if neighbours is None else sorted(similar, reverse=True)[neighbours - 1]
        for v in range(n_users):
            if similar[v] >= least:
                scores[u] += similar[v] * mask[v]
    return scores


@pytest.mark.parametrize("neighbours", [None, 1, 3, 12])
@pytest.mark.parametrize(("shrink", "alpha", "item_weight"), [(0, 0.5, 0), (3, 0.8, 0.5)])
def test_equals_the_formula(neighbours, shrink, alpha, item_weight):
    """Catches the norm of the wrong user, which alpha above a half shows, and a wrong cut."""
    mask = random_mask()
    options = {"shrink": shrink, "alpha": alpha, "item_weight": item_weight}
    scores = UserKNN(neighbours, **options).fit(snapshot_of(mask)).score(np.arange(len(mask)))
    assert scores == pytest.approx(by_hand(mask, neighbours, **options), abs=1e-6)


def test_blocks_of_rows_change_nothing(monkeypatch):
    """Catches the diagonal or the norm of a block taken from the first one."""
    snapshot, _ = planted()
    users = np.random.default_rng(0).permutation(snapshot.n_users)
    whole = UserKNN(10).fit(snapshot).score(users)
    monkeypatch.setattr(module, "_MEMORY", 12 * snapshot.n_users * 7)
    assert np.array_equal(UserKNN(10).fit(snapshot).score(users), whole)


def test_names_every_option_out_of_range_at_once():
    """Catches a user who mends one option only to hear of the next."""
    with pytest.raises(ConfigError) as caught:
        UserKNN(neighbours=0, shrink=-1, alpha=1.5, item_weight=float("nan"))
    for option in ("neighbours", "shrink", "alpha", "item_weight"):
        assert option in str(caught.value)
