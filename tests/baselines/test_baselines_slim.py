"""SLIM: its weights satisfy the conditions of the optimum, and agree with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from recommender_contract import RecommenderContract, planted, snapshot_of
from sklearn.linear_model import ElasticNet

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.baselines import SLIM, checks
from finrec_dgl.baselines.slim import slim_weights


class TestSLIM(RecommenderContract):
    def make(self):
        return SLIM(l1_reg=1.0, l2_reg=20.0)


def gram_of(n_items=90, n_users=60):
    """More items than one block of rows."""
    seen = (np.random.default_rng(1).random((n_users, n_items)) < 0.3).astype(np.float64)
    return seen, seen.T @ seen


@pytest.mark.parametrize(("l1_reg", "l2_reg"), [(0.0, 5.0), (1.0, 5.0), (4.0, 0.5)])
def test_the_weights_satisfy_the_kkt_conditions(l1_reg, l2_reg):
    """Catches a gradient that is not kept up to date, or a column that stops too early."""
    _, gram = gram_of()
    weights = slim_weights(gram, l1_reg, l2_reg, tolerance=1e-9, max_sweeps=5_000)
    gradient = gram @ weights - gram + l2_reg * weights + l1_reg
    free = ~np.eye(len(gram), dtype=bool)
    used = weights > 0
    assert used.any()
    assert (free & ~used).any()
    assert (weights >= 0).all()
    assert not np.diag(weights).any()
    assert gradient[used] == pytest.approx(0, abs=1e-5)
    assert (gradient[free & ~used] >= -1e-5).all()


def test_a_column_is_an_elastic_net_of_all_other_items():
    """Catches a penalty of another scale: scikit-learn divides the squared error by the users."""
    seen, gram = gram_of(n_items=12)
    weights = slim_weights(gram, 2.0, 3.0, tolerance=1e-9, max_sweeps=5_000)
    alpha = 5.0 / len(seen)
    for item in range(12):
        others = np.delete(np.arange(12), item)
        net = ElasticNet(
            alpha=alpha, l1_ratio=0.4, positive=True, fit_intercept=False, tol=1e-10, max_iter=9_999
        )
        expected = net.fit(seen[:, others], seen[:, item]).coef_
        assert weights[others, item] == pytest.approx(expected, abs=1e-6)


def test_scores_are_the_seen_items_weights():
    snapshot, _ = planted()
    fitted = SLIM(l1_reg=1.0, l2_reg=20.0).fit(snapshot)
    seen = snapshot.matrix().toarray().astype(np.float64)
    expected = seen @ slim_weights(seen.T @ seen, 1.0, 20.0)
    assert fitted.score(np.arange(len(seen))) == pytest.approx(expected, abs=1e-5)


def test_a_large_l1_penalty_leaves_no_weight():
    _, gram = gram_of()
    assert not slim_weights(gram, float(gram.max()) + 1, 1.0).any()


def test_too_many_items_are_refused(monkeypatch):
    """Catches a machine out of memory where a sentence would do."""
    monkeypatch.setattr(checks, "MOST_ITEMS", 2)
    with pytest.raises(DataError, match="SLIM needs .* there are 3 items"):
        SLIM().fit(snapshot_of(np.ones((2, 3), bool)))


def test_every_option_out_of_range_is_named_at_once():
    with pytest.raises(ConfigError, match=r"l1_reg.*l2_reg.*tolerance.*max_sweeps"):
        SLIM(l1_reg=-1, l2_reg=0, tolerance=float("nan"), max_sweeps=0)
