"""Negatives: drawn as they say, and what of them a user does not hold."""

import numpy as np
import pytest
import scipy.stats

from finrec_dgl.kernels.library import Library, find_library
from finrec_dgl.sampling import NEGATIVES, NegativeSampler, negatives

needs_native = pytest.mark.skipif(
    find_library().handle is None, reason=f"no native library: {find_library().told}"
)

USERS, ITEMS = 12, 20


def interactions(seed=0):
    pairs = np.random.default_rng(seed).integers(0, [USERS - 1, ITEMS - 1], size=(70, 2))
    # the lower an item's number the more hold it
    pairs[:, 1] = pairs[:, 1] ** 2 // ITEMS
    pairs = np.unique(pairs, axis=0)
    return pairs[:, 0], pairs[:, 1]


def sampler(kind, count=6):
    user, item = interactions()
    indptr = np.searchsorted(user, np.arange(USERS + 1))
    return NegativeSampler(kind, count, indptr, item, ITEMS)


@pytest.mark.parametrize("native", [pytest.param(True, marks=needs_native), False])
@pytest.mark.parametrize("kind", NEGATIVES)
def test_no_user_is_given_what_they_hold(kind, native, monkeypatch):
    """Catches a training positive that is learned as a negative of its own user."""
    if not native:
        monkeypatch.setattr(negatives, "find_library", lambda: Library(None, "absent"))
    user, item = interactions()
    held = np.zeros((USERS, ITEMS), bool)
    held[user, item] = True
    rng = np.random.default_rng(1)
    for _ in range(20):
        edges = rng.choice(len(user), 15, replace=False)
        found = sampler(kind).draw(item[edges], rng)
        assert np.isin(item[edges], found.items).all()
        assert (np.diff(found.items) > 0).all()
        free = sampler(kind).free(user[edges], found.items)
        np.testing.assert_array_equal(free, ~held[user[edges]][:, found.items])


@pytest.mark.parametrize("kind", ["uniform", "popularity"])
def test_draws_follow_their_law(kind):
    """Catches a draw by another law, and positives that pass for drawn ones (level 1 in 10,000)."""
    user, item = interactions()
    one = sampler(kind, count=1)
    positive = np.array([ITEMS - 1])  # held by nobody: by popularity it is never drawn
    counts, times = np.zeros(ITEMS), 6000
    rng = np.random.default_rng(2)
    for _ in range(times):
        found = one.draw(positive, rng)
        assert len(found.negatives) == 1
        counts[found.items[found.negatives]] += 1
    law = np.full(ITEMS, 1 / ITEMS)
    if kind == "popularity":
        law = np.bincount(item, minlength=ITEMS) / len(item)
    assert not counts[law == 0].any()
    there = law > 0
    assert scipy.stats.chisquare(counts[there], law[there] * times).pvalue > 1e-4


def test_in_batch_takes_some_of_the_positives_each_as_likely():
    """Catches negatives that were no positives, and those of the batch's first rows alone."""
    rng = np.random.default_rng(0)
    positives = np.array([4, 2, 9, 2, 7])
    taken = np.zeros(ITEMS)
    for _ in range(2000):
        found = sampler("in-batch", count=2).draw(positives, rng)
        assert found.items.tolist() == [2, 4, 7, 9]
        assert 1 <= len(found.negatives) <= 2
        taken[found.items[found.negatives]] += 1
    assert not np.delete(taken, found.items).any()
    # of the ten pairs of places, 7 hold one of 2's, 4 each one of the others
    np.testing.assert_allclose(taken[found.items] / 2000, [0.7, 0.4, 0.4, 0.4], atol=0.05)


def test_all_and_in_batch_draw_nothing():
    """Catches candidates that are not those asked for."""
    rng = np.random.default_rng(0)
    found = sampler("in-batch").draw(np.array([4, 2, 4]), rng)
    assert found.items.tolist() == [2, 4]
    assert found.negatives.tolist() == [0, 1]
    found = sampler("all").draw(np.array([4]), rng)
    assert found.items.tolist() == found.negatives.tolist() == list(range(ITEMS))
    assert sampler("all").log_expected(3, np.arange(ITEMS)) is None
