"""The rehearsal of a test is drawn from training pairs alone, as the test was."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np

from finrec_dgl.dataset.snapshot import Pairs

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parent.parent / "benchmarks/rehearsal.py"))


def test_a_rehearsal_is_a_share_of_the_core():
    """Catches pairs outside the core, in both parts or in none, and lines of another user."""
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((30, 20)) < 0.4)
    pairs = Pairs(user.astype(np.int32), item.astype(np.int32))
    parts = SCRIPT["rehearsal"](pairs, 5, 0.25, 1)
    both = np.concatenate([np.stack([part.user, part.item]) for part in parts.values()], axis=1)
    assert len(np.unique(both, axis=1).T) == both.shape[1]
    assert min(np.bincount(both[0])[np.unique(both[0])]) >= 5
    assert min(np.bincount(both[1])[np.unique(both[1])]) >= 5
    assert 0.2 < len(parts["test"]) / both.shape[1] < 0.3
    told = [
        (int(line.split()[0]), int(one))
        for line in SCRIPT["lines"](parts["test"]).splitlines()
        for one in line.split()[1:]
    ]
    assert told == list(zip(parts["test"].user, parts["test"].item, strict=True))
