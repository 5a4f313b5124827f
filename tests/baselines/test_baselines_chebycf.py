"""ChebyCF: its polynomial, and its filter against dense eigenvectors."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from recommender_contract import RecommenderContract, snapshot_of

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.baselines import ChebyCF
from finrec_dgl.graph.chebyshev import plateau, plateau_coefficients


class TestChebyCF(RecommenderContract):
    def make(self):
        return ChebyCF(rank=8)


class TestChebyCFSparse(RecommenderContract):
    def make(self):
        return ChebyCF(rank=8, dense_items=0)


def by_eigenvectors(seen, response, rank, ideal_weight, degree_power):
    """The scores of ``response`` [eigenvalues of the scaled Laplacian] by the book."""
    users = np.maximum(seen.sum(axis=1), 1)
    items = np.maximum(seen.sum(axis=0), 1)
    smooth = seen / np.sqrt(users)[:, None] / np.sqrt(items)
    values, vectors = np.linalg.eigh(np.eye(seen.shape[1]) - 2 * smooth.T @ smooth)
    filter_ = vectors * response(values) @ vectors.T
    filter_ += ideal_weight * vectors[:, :rank] @ vectors[:, :rank].T  # ascending: smooth first
    return seen / items**degree_power @ filter_ * items**degree_power


def seen_matrix(n_users=50, n_items=30):
    mask = np.random.default_rng(2).random((n_users, n_items)) < 0.25
    mask[4], mask[:, 7] = False, False
    return mask


@pytest.mark.parametrize("dense_items", [0, 100])
@pytest.mark.parametrize("degree_power", [0.0, 0.4])
def test_the_filter_is_that_of_dense_eigenvectors(dense_items, degree_power):
    """Catches a wrong recurrence, the Laplacian of the other side, or powers the wrong way."""
    mask = seen_matrix()
    coefficients = plateau_coefficients(8, 3.0)
    expected = by_eigenvectors(
        mask.astype(np.float64),
        lambda values: chebyshev.chebval(values, coefficients),
        5,
        0.3,
        degree_power,
    )
    model = ChebyCF(8, 3.0, 5, 0.3, degree_power, dense_items)
    scores = model.fit(snapshot_of(mask)).score(np.arange(50))
    assert scores == pytest.approx(expected, abs=1e-4)


def test_a_high_order_is_the_plateau_itself():
    """Catches coefficients that do not converge to what is to be approximated."""
    mask = seen_matrix()
    expected = by_eigenvectors(
        mask.astype(np.float64), lambda values: plateau(values, 3.0), 0, 0.0, 0.0
    )
    model = ChebyCF(40, 3.0, ideal_weight=0.0, degree_power=0.0)
    scores = model.fit(snapshot_of(mask)).score(np.arange(50))
    assert scores == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("order", [1, 8, 9])
@pytest.mark.parametrize("flatness", [1.0, 1.5, 10.0])
def test_the_polynomial_meets_the_plateau_at_the_roots(order, flatness):
    """Catches nodes that are not those of the coefficients."""
    roots = np.cos((np.arange(order + 1) + 0.5) * np.pi / (order + 1))
    found = chebyshev.chebval(roots, plateau_coefficients(order, flatness))
    assert found == pytest.approx(plateau(roots, flatness), abs=1e-12)


def test_the_plateau_passes_smooth_signals_and_stops_rough_ones():
    assert plateau(np.array([-1.0, -0.5, 0.0, 0.5, 1.0]), 2.0).tolist() == [
        *(1.0, 0.625, 0.5, 0.375, 0.0)
    ]


def test_a_large_catalogue_needs_no_matrix_between_items():
    """Catches a dense matrix of 41,000 x 41,000: 6.7 GB."""
    rng = np.random.default_rng(0)
    mask = np.zeros((40, 41_000), bool)
    mask[np.repeat(np.arange(40), 20), rng.integers(0, 41_000, 800)] = True
    model = ChebyCF(rank=8).fit(snapshot_of(mask, item_text=np.zeros((41_000, 0), np.float32)))
    assert model._matrix is None
    assert model.score(np.arange(3)).shape == (3, 41_000)


def test_every_option_out_of_range_is_named_at_once():
    with pytest.raises(ConfigError, match=r"order.*rank.*flatness.*ideal_weight.*degree_power"):
        ChebyCF(order=0, rank=0, flatness=0, ideal_weight=-1, degree_power=float("nan"))
