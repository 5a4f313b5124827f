"""Nearest neighbours between items against the formula in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from recommender_contract import RecommenderContract, planted, snapshot_of
from sklearn.metrics.pairwise import cosine_similarity

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.baselines import ItemKNN
from finrec_dgl.baselines import itemknn as module


class TestItemKNN(RecommenderContract):
    def make(self):
        return ItemKNN(neighbours=30)


class TestItemKNNWeighted(RecommenderContract):
    def make(self):
        return ItemKNN(neighbours=None, shrink=0.0, alpha=0.7, user_weight=0.5)


def random_mask(seed=0, n_users=15, n_items=9):
    mask = np.random.default_rng(seed).random((n_users, n_items)) < 0.4
    mask[:, 4] = False
    return mask


def by_hand(mask, neighbours, shrink, alpha, user_weight):
    """The docstring's formula, one number at a time."""
    n_items = mask.shape[1]
    size = mask.sum(axis=1)
    co = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            for u in range(len(mask)):
                if mask[u, i] and mask[u, j]:
                    co[i, j] += float(size[u]) ** -user_weight
    similarity = np.zeros_like(co)
    for i in range(n_items):
        for j in range(n_items):
            if i != j and co[i, j] > 0:
                norm = co[i, i] ** alpha * co[j, j] ** (1 - alpha)
                similarity[i, j] = co[i, j] / (norm + shrink)
        if neighbours is not None:
            least = sorted(similarity[i], reverse=True)[neighbours - 1]
            similarity[i][similarity[i] < least] = 0.0
    return mask.astype(float) @ similarity


@pytest.mark.parametrize("neighbours", [None, 1, 3, 50])
@pytest.mark.parametrize(("shrink", "alpha", "user_weight"), [(0, 0.5, 0), (3, 0.8, 0.5)])
def test_equals_the_formula(neighbours, shrink, alpha, user_weight):
    """Would catch rows and columns swapped, which alpha above a half shows, and a wrong cut."""
    if neighbours == 50:
        neighbours = 9  # as many as there are items
    mask = random_mask()
    options = {"shrink": shrink, "alpha": alpha, "user_weight": user_weight}
    scores = ItemKNN(neighbours, **options).fit(snapshot_of(mask)).score(np.arange(len(mask)))
    assert scores == pytest.approx(by_hand(mask, neighbours, **options), abs=1e-6)


def test_more_neighbours_than_items_are_all_of_them():
    mask = random_mask()
    many, everything = (
        ItemKNN(neighbours).fit(snapshot_of(mask)).score(np.arange(len(mask)))
        for neighbours in (1000, None)
    )
    assert np.array_equal(many, everything)


def test_without_options_that_bend_it_it_is_the_cosine_of_scikit_learn():
    mask = random_mask(seed=3)
    similarity = cosine_similarity(mask.T.astype(float))
    np.fill_diagonal(similarity, 0)
    scores = ItemKNN(None, shrink=0).fit(snapshot_of(mask)).score(np.arange(len(mask)))
    assert scores == pytest.approx(mask @ similarity, abs=1e-6)


def test_blocks_of_rows_change_nothing(monkeypatch):
    """Would catch the diagonal or the norm of a block taken from the first one."""
    snapshot, _ = planted()
    whole = ItemKNN(10).fit(snapshot).score(np.arange(50))
    monkeypatch.setattr(module, "_MEMORY", 8 * snapshot.n_items * 7)
    assert np.array_equal(ItemKNN(10).fit(snapshot).score(np.arange(50)), whole)


def test_keeps_no_more_than_its_neighbours():
    """Would catch a similarity matrix that grows with the square of the items."""
    rng = np.random.default_rng(0)
    recommender = ItemKNN(5, shrink=1.234).fit(snapshot_of(rng.random((200, 60)) < 0.3))
    kept = np.diff(recommender._similarity.indptr)
    assert kept.min() >= 5
    assert kept.mean() < 8  # those tied with the last are kept too


def test_a_cold_user_gets_zeros():
    mask = random_mask()
    mask[0] = False
    assert not ItemKNN().fit(snapshot_of(mask)).score(np.array([0])).any()


def test_names_every_option_out_of_range_at_once():
    with pytest.raises(ConfigError) as caught:
        ItemKNN(neighbours=0, shrink=-1, alpha=1.5, user_weight=float("nan"))
    for option in ("neighbours", "shrink", "alpha", "user_weight"):
        assert option in str(caught.value)
