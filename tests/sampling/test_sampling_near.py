"""Items near to each item: all of them against the dense filter, and drawn ones by their mean."""

import contextlib

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finrec_dgl.graph.filters import CosineFilter
from finrec_dgl.kernels.library import Library, find_library
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.sampling import near as near_module
from finrec_dgl.sampling.near import near_items

BY = {"alpha": 0.4, "users": 0.3, "shrink": 2.0}
needs_native = pytest.mark.skipif(
    find_library().handle is None, reason=f"no native library: {find_library().told}"
)
each_kernel = pytest.mark.parametrize("native", [pytest.param(True, marks=needs_native), False])


@contextlib.contextmanager
def kernels(native, threads=1):
    """Native code or NumPy for a while, with so many threads."""
    before, find = torch.get_num_threads(), near_module.find_library
    torch.set_num_threads(threads)
    if not native:
        near_module.find_library = lambda: Library(None, "left out")
    try:
        yield
    finally:
        torch.set_num_threads(before)
        near_module.find_library = find


def random_users(n_users, n_items, mean, seed):
    """The items of every user, distinct, some users and items without any; and as a matrix."""
    rng = np.random.default_rng(seed)
    held = rng.random((n_users, n_items)) < mean / max(n_items, 1)
    held &= rng.random(n_items) < 0.9
    held = sp.csr_array(held.astype(np.float32))
    indptr = torch.from_numpy(held.indptr.astype(np.int64))
    return Ragged(indptr, torch.from_numpy(held.indices.astype(np.int32))), held


def dense(found, n_items):
    """The rows as a matrix, double [n_items, n_items]."""
    made = torch.zeros(n_items, n_items, dtype=torch.float64)
    row = torch.repeat_interleave(torch.arange(n_items), found.indptr.diff())
    made[row, found.indices.long()] = found.values.double()
    return made.numpy()


@each_kernel
@settings(max_examples=60, deadline=None)
@given(
    n_users=st.integers(1, 40),
    n_items=st.integers(1, 25),
    near=st.integers(1, 30),
    alpha=st.sampled_from([0.0, 0.5, 1.0]),
    users=st.sampled_from([0.0, 0.5]),
    shrink=st.sampled_from([0.0, 10.0]),
    seed=st.integers(0, 999),
)
def test_without_draws_the_rows_are_the_largest_of_the_filter(
    native, n_users, n_items, near, alpha, users, shrink, seed
):
    """Catches a wrong exponent, rows taken for columns, the item itself among its near ones, and
    a near item that is left out for a lesser one."""
    user_items, held = random_users(n_users, n_items, 4, seed)
    by = {"alpha": alpha, "users": users, "shrink": shrink}
    with kernels(native):
        found = near_items(user_items, n_users, n_items, near=near, fanout=-1, seed=1, **by)
    assert (found.indices.dtype, found.values.dtype) == (torch.int32, torch.float32)
    assert (len(found), found.width) == (n_items, n_items)
    full = CosineFilter(held, **by).matrix
    for item in range(n_items):
        entries = slice(*found.indptr[item : item + 2].tolist())
        columns = found.indices[entries].tolist()
        assert columns == sorted(set(columns))
        assert item not in columns
        np.testing.assert_allclose(found.values[entries], full[item, columns], atol=1e-6)
        best = np.sort(full[item][full[item] > 0])[::-1][:near]
        mine = np.sort(found.values[entries].numpy())[::-1]
        np.testing.assert_allclose(mine, best, atol=1e-6)


@needs_native
@pytest.mark.parametrize("fanout", [1, 3, 64, 70])
def test_native_code_and_numpy_draw_the_same(fanout):
    """Catches draws that depend on who computes them, and one that depends on the threads."""
    user_items, _ = random_users(300, 150, 60, 3)
    found = []
    for native, threads in ((True, 1), (True, 2), (True, 3), (False, 1)):
        with kernels(native, threads):
            # all of a row, as equal scores at its end may round otherwise
            found.append(near_items(user_items, 300, 150, near=150, fanout=fanout, seed=5, **BY))
    for other in found[1:3]:
        for name in ("indptr", "indices", "values"):
            assert torch.equal(getattr(found[0], name), getattr(other, name))
    assert torch.equal(found[0].indices, found[3].indices)
    torch.testing.assert_close(found[0].values, found[3].values, rtol=1e-5, atol=1e-7)
    other = near_items(user_items, 300, 150, near=150, fanout=fanout, seed=6, **BY)
    assert not torch.equal(found[0].values, other.values)


@each_kernel
def test_estimates_from_drawn_users_are_right_in_the_mean(native):
    """Catches a sum over drawn users that is not scaled up to all of them, and users of one item
    that are drawn more often than others."""
    user_items, held = random_users(80, 12, 3, 0)
    full = CosineFilter(held, **BY).matrix
    most = int(user_items.counts.max())
    assert most < 9 < int(held.sum(axis=0).max())
    mean = np.zeros((12, 12))
    with kernels(native):
        for seed in range(400):
            # 9 users of an item; no user has more items
            found = near_items(user_items, 80, 12, near=11, fanout=9, seed=seed, **BY)
            mean += dense(found, 12) / 400
    np.testing.assert_allclose(mean, full, atol=0.02)
    assert np.abs(mean - full).max() < 0.1 * full.max()


@each_kernel
def test_users_with_more_items_than_are_drawn_weigh_less(native):
    """Catches draws of a user's items that are scaled up: one user would bring items near."""
    indptr = torch.tensor([0, 10], dtype=torch.int64)
    user_items = Ragged(indptr, torch.arange(10, dtype=torch.int32))
    by = {"alpha": 0.5, "users": 0.0, "shrink": 0.0}
    mean = np.zeros((10, 10))
    with kernels(native):
        for seed in range(500):
            found = near_items(user_items, 1, 10, near=10, fanout=4, seed=seed, **by)
            assert set(found.values.tolist()) == {1.0}
            mean += dense(found, 10) / 500
    np.testing.assert_allclose(mean, 0.4 * (1 - np.eye(10)), atol=0.1)


@each_kernel
@pytest.mark.parametrize(("n_users", "n_items"), [(0, 0), (3, 0), (0, 4), (3, 4), (2, 1)])
@pytest.mark.parametrize("near", [0, 2])
def test_a_graph_without_edges(native, n_users, n_items, near):
    """Catches a division by the number of users or items, and rows that are not there."""
    nobody = Ragged(torch.zeros(n_users + 1, dtype=torch.int64), torch.zeros(0, dtype=torch.int32))
    with kernels(native):
        found = near_items(nobody, n_users, n_items, near=near, fanout=5, seed=0, **BY)
    assert found.indptr.tolist() == [0] * (n_items + 1)
    assert not len(found.indices)
    assert not len(found.values)


@each_kernel
def test_users_who_weigh_next_to_nothing(native):
    """Catches weights that are 0 in single precision, for which native code counts an item as new
    again and again and writes past its array."""
    n_users, n_items = 400, 30
    items = torch.arange(n_items, dtype=torch.int32).repeat(n_users)
    user_items = Ragged(torch.arange(n_users + 1) * n_items, items)
    by = {"alpha": 0.5, "users": 60.0, "shrink": 1.0}
    with kernels(native):
        found = near_items(user_items, n_users, n_items, near=7, fanout=-1, seed=0, **by)
    assert found.indptr.diff().tolist() == [7] * n_items
