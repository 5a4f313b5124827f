"""Recommend by a polynomial filter over the whole spectrum of the item graph: ChebyCF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.config import refuse
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.checks import above_zero, one_or_more, zero_or_more
from finrec_dgl.graph.chebyshev import chebyshev_sum, plateau_coefficients
from finrec_dgl.graph.filters import normalised, singular_vectors

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class ChebyCF(Recommender):
    """Filter a user's interactions by Chebyshev interpolation of Kim et al., SIGIR 2025.

    Parameters
    ----------
    order
        The degree K of the polynomial.
    flatness
        The power phi of the plateau; the larger, the flatter the middle of the spectrum.
    rank
        The width eta of the ideal low-pass filter.
    ideal_weight
        The weight of the ideal low-pass filter; 0 leaves it out.
    degree_power
        The power beta of the item degree: interactions are divided by it before the filter, and
        scores multiplied by it after.
    dense_items
        The most items for which the filter is made as one dense matrix.

    Raises
    ------
    ConfigError
        For values out of range.

    Notes
    -----
    Implements arXiv 2505.00552. With R = D_u^-1/2 X D_i^-1/2 of the binary interactions X, the
    scaled Laplacian is L = I - 2 R'R, with eigenvalues from -1 (smooth) to 1. The target is

        h(x) = 1/2 (1 + (-x)^flatness) for x < 0,  1/2 (1 - x^flatness) for x >= 0

    which p(x) = sum of c_k T_k(x), k = 0 .. order, interpolates at the roots of T_(order + 1), as
    the paper says; its published code takes the values of h at cos(k pi / order) instead. With V
    the first ``rank`` right singular vectors of R, the scores are

        X D_i^-degree_power (p(L) + ideal_weight * V V') D_i^degree_power

    Above ``dense_items`` items each batch of users goes through sparse products, and nothing of
    size n_items^2 is made.
    """

    name = "chebycf"

    def __init__(
        self,
        order: int = 8,
        flatness: float = 1.5,
        rank: int = 256,
        ideal_weight: float = 0.2,
        degree_power: float = 0.2,
        dense_items: int = 4_000,
    ) -> None:
        problems = one_or_more(order=order, rank=rank) + above_zero(flatness=flatness)
        problems += zero_or_more(ideal_weight=ideal_weight, degree_power=degree_power)
        refuse(problems)
        self.order, self.flatness = order, flatness
        self.rank, self.ideal_weight, self.degree_power = rank, ideal_weight, degree_power
        self._dense_items = dense_items

    def _fit(self, snapshot: Snapshot) -> None:
        self._seen = sp.csr_array(snapshot.matrix(), dtype=np.float32)
        self._forth = sp.csr_array(normalised(self._seen), dtype=np.float32)
        self._back = sp.csr_array(self._forth.T)
        self._coefficients = plateau_coefficients(self.order, self.flatness)
        self._ideal = self._ideal_vectors(snapshot.n_items)
        degree = np.maximum(np.asarray(self._seen.sum(axis=0)).ravel(), 1)
        self._post = (degree**self.degree_power).astype(np.float32)
        self._matrix: np.ndarray | None = None
        if snapshot.n_items <= self._dense_items:
            self._matrix = self._filter(np.eye(snapshot.n_items, dtype=np.float32))

    def _ideal_vectors(self, n_items: int) -> np.ndarray:
        """V float32 [n_items, rank], without directions that the interactions do not have."""
        if not self.ideal_weight:
            return np.zeros((n_items, 0), np.float32)
        _, values, vectors = singular_vectors(self._forth, self.rank)
        return np.asarray(vectors[:, values > 1e-6], dtype=np.float32)

    def _score(self, users: np.ndarray) -> np.ndarray:
        signal = sp.csr_array(self._seen[users] @ sp.diags_array(1 / self._post))
        if self._matrix is not None:
            scores = signal @ self._matrix
        else:
            scores = self._filter(np.ascontiguousarray(signal.toarray().T)).T
        return np.asarray(scores * self._post)

    def _filter(self, signal: np.ndarray) -> np.ndarray:
        """(p(L) + ideal_weight * V V') ``signal``, float32 [n_items, B]."""
        filtered = chebyshev_sum(self._laplacian, signal, self._coefficients)
        if self._ideal.shape[1]:
            filtered += self.ideal_weight * (self._ideal @ (self._ideal.T @ signal))
        return filtered

    def _laplacian(self, signal: np.ndarray) -> np.ndarray:
        return np.asarray(signal - 2 * (self._back @ (self._forth @ signal)))
