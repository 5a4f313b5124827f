"""The order of an epoch: each interaction once, users' in groups that are drawn anew."""

from math import comb

import numpy as np
import pytest
import scipy.stats

from finrec_dgl.sampling import SeedGroups

DEGREES = np.array([0, 1, 2, 3, 4, 5, 9, 0, 16, 1, 7, 40, 0])
INDPTR = np.append(0, np.cumsum(DEGREES))
USER = np.repeat(np.arange(len(DEGREES)), DEGREES).astype(np.int32)
COUNT = int(INDPTR[-1])


def parts(order, size):
    return [order.part(start, min(start + size, COUNT)) for start in range(0, COUNT, size)]


def groups_of(groups, order):
    """The groups of an epoch in its order, each sorted."""
    sizes = np.diff(groups.starts)[order.order]
    return [np.sort(one) for one in np.split(order.part(0, COUNT), np.cumsum(sizes)[:-1])]


@pytest.mark.parametrize("together", [1, 2, 3, 4, 100, 10**12])
@pytest.mark.parametrize("size", [1, 7, 37, COUNT, 1000])
def test_every_interaction_comes_once(together, size):
    """Catches interactions lost or repeated where a batch cuts a group, or at the end."""
    order = SeedGroups(USER, INDPTR, together).shuffled(np.random.default_rng(0))
    found = parts(order, size)
    assert [len(one) for one in found[:-1]] == [size] * (len(found) - 1)
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(COUNT))
    assert np.array_equal(np.concatenate(found), order.part(0, COUNT))


@pytest.mark.parametrize("together", [1, 2, 3, 4, 100])
def test_groups_are_of_one_user_and_leave_something_to_tell_them_from(together):
    """Catches groups of several users, too large ones, and all that a user holds in one of them."""
    groups = SeedGroups(USER, INDPTR, together)
    seen = np.zeros(len(DEGREES), int)
    for one in groups_of(groups, groups.shuffled(np.random.default_rng(1))):
        assert len(set(USER[one])) == 1
        assert len(one) <= together
        assert len(one) < max(2, DEGREES[USER[one[0]]])
        seen[USER[one[0]]] += 1
    # no more than they must be
    expected = np.maximum(-(-DEGREES // together), np.minimum(DEGREES, 2))
    assert np.array_equal(seen, expected)


def test_an_epoch_follows_from_its_generator():
    """Catches an order that depends on more, and one that does not change."""
    groups = SeedGroups(USER, INDPTR, 3)
    first, again = (groups.shuffled(np.random.default_rng(5)).part(3, 60) for _ in range(2))
    assert np.array_equal(first, again)
    other = groups.shuffled(np.random.default_rng(6))
    assert not np.array_equal(first, other.part(3, 60))


@pytest.mark.parametrize(("degree", "together"), [(5, 2), (6, 3), (8, 4)])
def test_any_of_a_users_interactions_may_stand_together(degree, together):
    """Catches groups that are the same in each epoch, or some likelier (level 1 in 10,000)."""
    groups = SeedGroups(
        np.repeat(np.arange(3000), degree), np.arange(0, degree * 3001, degree), together
    )
    rng = np.random.default_rng(0)
    order = groups.shuffled(rng)
    counts = {}
    sizes = np.diff(groups.starts)[order.order]
    for one in np.split(order.part(0, groups.count), np.cumsum(sizes)[:-1]):
        if len(one) == together:
            key = tuple(np.sort(one % degree))
            counts[key] = counts.get(key, 0) + 1
    assert len(counts) == comb(degree, together)
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 1e-4


@pytest.mark.parametrize("together", [1, 4])
def test_nobody_holds_anything(together):
    """Catches a world without interactions."""
    groups = SeedGroups(np.zeros(0, np.int32), np.zeros(4, np.int64), together)
    assert groups.shuffled(np.random.default_rng(0)).part(0, 0).tolist() == []
