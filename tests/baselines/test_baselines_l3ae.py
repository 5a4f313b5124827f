"""L3AE solves both of its regressions, and is EASE without the texts' share."""

from __future__ import annotations

import numpy as np
import pytest
from recommender_contract import RecommenderContract, planted, snapshot_of, unit

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.baselines import EASE, L3AE, checks


class TestL3AE(RecommenderContract):
    def make(self):
        return L3AE(reg=20.0, distill_reg=20.0, text_reg=1.0)


def column_by_column(data, reg, towards=None, pull=0.0):
    """argmin |data - data W|^2 + reg |W|^2 + pull |W - towards|^2, diag(W) = 0, per column."""
    n = data.shape[1]
    weights = np.zeros((n, n))
    for j in range(n):
        others = np.delete(np.arange(n), j)
        target = data[:, others].T @ data[:, j]
        if towards is not None:
            target = target + pull * towards[others, j]
        gram = data[:, others].T @ data[:, others] + (reg + pull) * np.eye(n - 1)
        weights[others, j] = np.linalg.solve(gram, target)
    return weights


@pytest.mark.parametrize("pull", [0.5, 50.0])
def test_each_column_solves_its_own_regression_towards_the_text_weights(pull):
    """Catches a wrong sign, a transposed division, or the pull left out of the penalty."""
    rng = np.random.default_rng(1)
    mask = rng.random((40, 9)) < 0.4
    texts = unit(rng.normal(size=(9, 4)))
    texts[3] = 0  # an item without text
    of_texts = column_by_column(texts.T.astype(np.float64), 0.7)
    seen = mask.astype(np.float64)
    expected = seen @ column_by_column(seen, 3.0, of_texts, pull)
    fitted = L3AE(reg=3.0, distill_reg=pull, text_reg=0.7).fit(snapshot_of(mask, item_text=texts))
    assert fitted.score(np.arange(40)) == pytest.approx(expected, abs=1e-5)
    assert not np.diag(fitted._weights).any()


def test_without_pull_it_is_ease():
    snapshot, _ = planted()
    users = np.arange(snapshot.n_users)
    expected = EASE(20.0).fit(snapshot).score(users)
    assert L3AE(20.0, 0.0).fit(snapshot).score(users) == pytest.approx(expected, abs=1e-5)


def test_an_item_without_users_is_scored_by_its_text():
    """Catches texts that do not reach new items: EASE scores them 0."""
    mask = np.zeros((6, 3), bool)
    mask[:, 0] = True
    mask[:3, 1] = True
    texts = unit(np.array([[1.0, 0.1], [-0.2, 1.0], [1.0, 0.2]]))
    scores = L3AE(1.0, 10.0, 1.0).fit(snapshot_of(mask, item_text=texts)).score(np.array([5]))
    assert scores[0, 2] > 0.1


@pytest.mark.parametrize("width", [0, 3])
def test_needs_items_with_text(width):
    """A data set made without an encoder has vectors of width 0."""
    bare = snapshot_of(np.ones((2, 4), bool), item_text=np.zeros((4, width), np.float32))
    with pytest.raises(DataError, match="no item has a text vector"):
        L3AE().fit(bare)


def test_too_many_items_are_refused(monkeypatch):
    """Catches a machine out of memory where a sentence would do."""
    monkeypatch.setattr(checks, "MOST_ITEMS", 79)
    with pytest.raises(DataError, match="L3AE needs .* there are 80 items"):
        L3AE().fit(planted()[0])


def test_every_option_out_of_range_is_named_at_once():
    with pytest.raises(ConfigError, match=r"reg is 0.*text_reg.*distill_reg"):
        L3AE(reg=0, distill_reg=-1, text_reg=float("inf"))
