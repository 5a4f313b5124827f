"""Whether a test was drawn at random is told from the training pairs."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import scipy.sparse as sp

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parent.parent / "benchmarks/drawn.py"))


def test_unequal_shares_are_told_from_drawn_ones():
    """Catches a likelihood that prefers the same answer whatever was seen."""
    rng = np.random.default_rng(0)
    whole = 10 + rng.geometric(0.1, 20_000)
    for share, better, worse in (
        (0.8, np.inf, 20.0),
        (rng.beta(0.8 * 20, 0.2 * 20, len(whole)), 20.0, np.inf),
    ):
        seen = np.bincount(rng.binomial(whole, share), minlength=60)[1:60]
        found = [SCRIPT["likelihood"](seen, 10, 0.8, one) for one in (better, worse)]
        assert found[0] > found[1] + 10


def test_blocks_are_what_each_user_brings_in():
    """Catches an item that an earlier user holds, and a block of another user."""
    user, item = np.array([0, 0, 1, 1, 1, 2, 2]), np.array([2, 5, 0, 2, 3, 1, 3])
    found = [block.tolist() for block in SCRIPT["brought"](user, item, 1)]
    assert found == [[2, 5], [0, 3], [1]]
    assert [block.tolist() for block in SCRIPT["brought"](user, item, 2)] == [[2, 5], [0, 3]]


def test_an_order_of_likeness_is_seen():
    """Catches pairs that do not follow one another, and an order that is not the one given."""
    chain = np.eye(30, dtype=np.float32) + np.eye(30, k=1, dtype=np.float32)
    near, drawn = SCRIPT["neighbours"](sp.csr_array(chain), [np.arange(30)], 0)
    assert near > 4 * drawn
