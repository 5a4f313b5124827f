"""EASE solves what it says it solves."""

from __future__ import annotations

import numpy as np
import pytest
from recommender_contract import RecommenderContract, planted, snapshot_of

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.baselines import EASE
from finrec_dgl.graph import ease as module


class TestEASE(RecommenderContract):
    def make(self):
        return EASE(l2=20.0)


@pytest.mark.parametrize("l2", [0.5, 30.0])
def test_each_column_solves_its_own_ridge_regression(l2):
    """Catches a wrong sign or a transposed division: item j is regressed on all the others."""
    mask = np.random.default_rng(1).random((40, 9)) < 0.4
    held = mask.astype(np.float64)
    expected = np.zeros((9, 9))
    for j in range(9):
        others = np.delete(np.arange(9), j)
        gram = held[:, others].T @ held[:, others] + l2 * np.eye(8)
        expected[others, j] = np.linalg.solve(gram, held[:, others].T @ held[:, j])
    scores = EASE(l2).fit(snapshot_of(mask)).score(np.arange(40))
    assert scores == pytest.approx(held @ expected, abs=1e-5)


def test_an_item_says_nothing_of_itself():
    """Catches a diagonal that is not 0, with which the identity is the best answer."""
    snapshot, _ = planted()
    assert not np.diag(EASE().fit(snapshot)._weights).any()


def test_too_many_items_are_refused_before_memory_is_gone(monkeypatch):
    """Catches a machine out of memory where a sentence would do."""
    monkeypatch.setattr(module, "_MOST_ITEMS", 79)
    with pytest.raises(DataError, match="there are 80"):
        EASE().fit(planted()[0])


@pytest.mark.parametrize("l2", [0, -1, float("nan"), float("inf")])
def test_the_penalty_must_be_above_zero(l2):
    """Catches a singular matrix inverted."""
    with pytest.raises(ConfigError, match="l2 is"):
        EASE(l2)
