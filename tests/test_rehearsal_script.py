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


def tastes(users=60, items=40, seed=0):
    """Users, items and halves of the items: each user holds more of one half than of the other."""
    rng = np.random.default_rng(seed)
    half = np.arange(items) % 2
    held = rng.random((users, items)) < np.where(half == np.arange(users)[:, None] % 2, 0.6, 0.2)
    user, item = np.nonzero(held)
    return user, item, half


def test_latest_pairs_are_alike():
    """Catches a smoothing that does nothing or pushes like products apart, and a wrong number."""
    user, item, half = tastes()

    def mixed(alike):
        draws = [
            SCRIPT["latest_of_each"](user, item, 0.2, np.random.default_rng(seed), alike, 0.0)
            for seed in range(20)
        ]
        count = np.bincount(user)
        for drawn in draws:
            wanted = count - np.floor(0.8 * count)
            np.testing.assert_array_equal(np.bincount(user, drawn), wanted)
        shares = [
            np.bincount(user, drawn * half[item]) / np.bincount(user, drawn) for drawn in draws
        ]
        return np.var(shares, axis=0).mean()

    assert mixed(3) > 1.1 * mixed(0)


def test_late_products_lose_more_pairs():
    """Catches times that are drawn a pair and not a product."""
    user, item, _ = tastes()

    def spread(late):
        rng = np.random.default_rng(1)
        drawn = SCRIPT["latest_of_each"](user, item, 0.2, rng, 0, late)
        return np.var(np.bincount(item, drawn) / np.bincount(item))

    assert spread(2.0) > 3 * spread(0.0)
