"""Filters in closed form are what their formulas say, by loops, for matrices of any shape."""

import numpy as np
import pytest
import scipy.sparse as sp
from graph_matrices import held, matrices
from hypothesis import given, settings
from hypothesis import strategies as st

from finrec_dgl.graph import filters
from finrec_dgl.graph.filters import (
    CosineFilter,
    normalised,
    singular_vectors,
    time_kernel,
    unit_rows,
)


@settings(max_examples=60)
@given(
    held=matrices(),
    shrink=st.sampled_from([0.0, 10.0]),
    alpha=st.sampled_from([0.5, 0.9]),
    users=st.sampled_from([0.0, 0.7]),
)
def test_cosine_counts_who_holds_both(held, shrink, alpha, users):
    """Catches a wrong count, norm, side of an exponent or diagonal."""
    found = CosineFilter(held, alpha, users, shrink).matrix
    dense = held.toarray()
    weight = np.maximum(dense.sum(axis=1), 1) ** -users
    holders = [set(np.flatnonzero(column)) for column in dense.T]
    for i, one in enumerate(holders):
        for j, other in enumerate(holders):
            lengths = (len(one) + shrink) ** alpha * (len(other) + shrink) ** (1 - alpha)
            both = weight[list(one & other)].sum()
            expected = both / lengths if i != j and both else 0.0
            assert found[i, j] == pytest.approx(expected, abs=1e-6)


@settings(max_examples=60)
@given(held=matrices(), users=st.sampled_from([0.0, 0.7]), seed=st.integers(0, 9))
def test_cosine_of_many_items_sends_the_same_messages(held, users, seed):
    """Catches two sparse products that differ from the dense filter, as by what is held itself."""
    weight = np.random.default_rng(seed).random(held.nnz).astype(np.float32)
    rows = sp.csr_array((weight, held.indices, held.indptr), shape=held.shape)
    dense, sparse = (CosineFilter(held, 0.7, users, most=most) for most in (20_000, 0))
    assert sparse.matrix is None
    np.testing.assert_allclose(sparse(rows), dense(rows), atol=1e-6)


@settings(max_examples=120)
@given(matrix=matrices(), rank=st.integers(0, 12))
def test_singular_vectors_are_the_leading_ones(matrix, rank):
    """Catches an unsorted, short or crooked basis; ranks over the matrix's own; empty matrices."""
    left, values, right = singular_vectors(matrix, rank)
    n, m = matrix.shape
    kept = len(values)
    assert left.shape == (n, kept)
    assert right.shape == (m, kept)
    assert kept == (max(0, min(rank, min(n, m) - 1)) if matrix.nnz else 0)
    expected = np.linalg.svd(matrix.toarray().astype(np.float64), compute_uv=False)[:kept]
    np.testing.assert_allclose(values, expected, atol=1e-6)
    np.testing.assert_allclose(right.T @ right, np.eye(kept), atol=1e-6)
    # what is beyond the matrix's rank has no left vector of its own
    real = values > 1e-6
    np.testing.assert_allclose(
        (left.T @ left)[np.ix_(real, real)], np.eye(int(real.sum())), atol=1e-6
    )
    np.testing.assert_allclose(matrix @ right, left * values, atol=1e-6)


def test_singular_vectors_of_a_large_matrix_are_near_the_leading_ones(monkeypatch):
    """Catches an iteration that has not converged, and one on the wrong side of the matrix."""
    monkeypatch.setattr(filters, "_DENSE", 10)
    rng = np.random.default_rng(0)
    matrix = sp.random_array((300, 200), density=0.05, rng=rng)
    for one in (matrix, matrix.T):
        left, values, right = singular_vectors(sp.csr_array(one), 12)
        exact = np.linalg.svd(one.toarray(), compute_uv=False)[:12]
        np.testing.assert_allclose(values, exact, rtol=0.01)
        np.testing.assert_allclose(right.T @ right, np.eye(12), atol=1e-9)
        np.testing.assert_allclose(left.T @ left, np.eye(12), atol=1e-9)
        np.testing.assert_allclose(left.T @ (one @ right), np.diag(values), atol=1e-9)


def test_singular_vectors_are_the_same_again():
    """Catches a start that is drawn anew, so that no run can be repeated."""
    matrix = held(3)
    for one, other in zip(singular_vectors(matrix, 4), singular_vectors(matrix, 4), strict=True):
        assert np.array_equal(one, other)


def test_the_kernel_halves_in_a_half_life():
    """Catches e in place of 2, another unit, or a half-life of 0 that divides."""
    found = time_kernel(np.array([0.0, 15.0, 30.0, 90.0]), 30.0)
    np.testing.assert_allclose(found, [1.0, 0.5**0.5, 0.5, 0.125], rtol=1e-6)
    assert time_kernel(np.array([0.0, 1e6]), 0.0).tolist() == [1.0, 1.0]
    assert time_kernel(np.zeros(0), 30.0).shape == time_kernel(np.zeros(0), 0.0).shape == (0,)


@settings(max_examples=60)
@given(held=matrices(), user=st.sampled_from([0.0, 0.5, 1.0]), item=st.sampled_from([0.0, 0.5]))
def test_normalised_divides_by_powers_of_the_degrees(held, user, item):
    """Catches sides mixed up, and nodes without edges that become infinite."""
    found = normalised(held, user, item).toarray()
    dense = held.toarray()
    for u, i in np.ndindex(dense.shape):
        expected = dense[u, i] and dense[u].sum() ** -user * dense[:, i].sum() ** -item
        assert found[u, i] == pytest.approx(expected, abs=1e-6)


@settings(max_examples=60)
@given(held=matrices())
def test_unit_rows_have_length_one_or_none(held):
    """Catches NaN in the row of a user who holds nothing."""
    lengths = np.linalg.norm(unit_rows(held).toarray(), axis=1)
    np.testing.assert_allclose(lengths, held.toarray().any(axis=1), atol=1e-6)


@pytest.mark.parametrize("dense", [2_000, 10])
@pytest.mark.parametrize("tall", [True, False])
def test_a_few_singular_vectors_of_a_deficient_matrix_are_the_same_each_time(
    monkeypatch, dense, tall
):
    """Catches draws without a seed: an iteration restarts where a matrix has few dimensions."""
    monkeypatch.setattr(filters, "_DENSE", dense)
    rng = np.random.default_rng(0)
    block = sp.csr_array((rng.random((40, 9)) < 0.4).astype(np.float64))
    matrix = sp.csr_array(sp.block_diag([block, sp.csr_array((30, 60))]))
    matrix = matrix if tall else sp.csr_array(matrix.T)
    found, again = (singular_vectors(matrix, 12) for _ in range(2))
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)
    left, values, right = found
    np.testing.assert_allclose((left * values) @ right.T, matrix.toarray(), atol=1e-6)
    assert np.isfinite(left).all()
