"""ALS and BPR by ``implicit``: what they minimise, their seeds, and the library's absence."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from recommender_contract import SeededContract, planted, snapshot_of

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.baselines import ALS, BPR

pytest.importorskip("implicit", reason="implicit is an extra")


class TestALS(SeededContract):
    def make(self, seed=0):
        return ALS(factors=8, l2=1.0, confidence=2.0, seed=seed)


class TestBPR(SeededContract):
    def make(self, seed=0):
        return BPR(factors=8, l2=0.01, epochs=50, seed=seed)


def test_als_is_where_no_user_can_do_better():
    """Catches options passed on under another meaning: each x_u solves the docstring's problem for
    the y found, up to what the conjugate gradients leave."""
    mask = np.random.default_rng(0).random((60, 20)) < 0.3
    model = ALS(factors=4, l2=2.0, confidence=5.0, iterations=60).fit(snapshot_of(mask))
    items = model._items.astype(np.float64)
    for user in range(60):
        confidence = np.where(mask[user], 5.0, 1.0)
        left = (items * confidence[:, None]).T @ items + 2.0 * np.eye(4)
        solved = np.linalg.solve(left, items.T @ (confidence * mask[user]))
        assert model._users[user] == pytest.approx(solved, abs=0.02)


@pytest.mark.parametrize("make", [ALS, BPR])
def test_nothing_leaks_to_the_screen(make, capfd, monkeypatch):
    """Catches a progress bar, or the library's warning of a BLAS of several threads."""
    import implicit.utils
    from threadpoolctl import threadpool_limits

    monkeypatch.setattr(implicit.utils, "_checked_blas_config", False)
    with threadpool_limits(2, "blas"), warnings.catch_warnings():
        warnings.simplefilter("error")
        make().fit(planted()[0])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("make", [ALS, BPR])
def test_without_the_library_the_mend_is_named(make, monkeypatch):
    """Catches a bare ImportError, or a library that is needed to import the package."""
    for name in [*sys.modules]:
        if name.split(".")[0] == "implicit":
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"pip install finrec-dgl\[implicit\]") as caught:
        make().fit(planted()[0])
    assert "pip install" in caught.value.found  # what the comparison says of a model it skips


def test_every_option_out_of_range_is_named_at_once():
    """Catches a bad option found only by the library, in its own words."""
    with pytest.raises(ConfigError, match=r"factors.*iterations.*l2.*confidence"):
        ALS(factors=0, iterations=0, l2=-1, confidence=0)
    with pytest.raises(ConfigError, match=r"factors.*epochs.*rate.*l2"):
        BPR(factors=0, epochs=0, rate=float("nan"), l2=-1)
