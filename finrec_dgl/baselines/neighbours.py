"""How alike the rows of a binary matrix are, of which each keeps those nearest to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.config import refuse


class Neighbours:
    """Similarities between rows of a binary matrix (Deshpande and Karypis, ACM TOIS 22(1), 2004).

        c_ab   = sum over columns x that a and b both hold of |x|^(-weight)
        sim_ab = c_ab / (c_aa^alpha * c_bb^(1 - alpha) + shrink),  0 for a = b

    |x| is the number of rows with column x. ``matrix``: scipy.sparse CSR [n, columns] of ones;
    ``neighbours``: how many of the most similar b each a keeps, with those tied with the last of
    them; None: all.
    """

    def __init__(
        self, matrix: Any, neighbours: int | None, shrink: float, alpha: float, weight: float
    ) -> None:
        self._others = sp.csr_array(matrix, dtype=np.float64).T
        sizes = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1.0)
        weights = sp.diags_array(sizes**-weight, shape=(len(sizes), len(sizes)))
        self._weighted = sp.csr_array(self._others.T @ weights)
        own = np.asarray(self._weighted.sum(axis=1)).ravel()  # c_aa
        # a row that holds nothing has no similarity to divide
        own[own == 0] = 1.0
        self._norm, self._norm_other = own**alpha, own ** (1.0 - alpha)
        self._neighbours, self._shrink = neighbours, shrink

    def rows(self, rows: np.ndarray) -> Any:
        """int [B] -> scipy.sparse CSR float64 [B, n]: the similarities of ``rows`` kept."""
        block = sp.csr_array(self._weighted[rows] @ self._others)
        row = np.repeat(np.arange(len(rows)), np.diff(block.indptr))
        block.data /= self._norm[rows][row] * self._norm_other[block.indices] + self._shrink
        block.data[block.indices == rows[row]] = 0.0
        if self._neighbours is not None:
            for start, stop in zip(block.indptr[:-1], block.indptr[1:], strict=True):
                if stop - start > self._neighbours:
                    _cut(block.data[start:stop], self._neighbours)
        block.eliminate_zeros()
        return block


def _cut(values: np.ndarray, kept: int) -> None:
    """Set to 0, in place, what is below the ``kept``-th greatest."""
    least = np.partition(values, len(values) - kept)[len(values) - kept]
    values[values < least] = 0.0


def check_options(
    neighbours: int | None, shrink: float, alpha: float, weight: tuple[str, float]
) -> None:
    """Raise one ConfigError that names all options out of range; ``weight``: name and value."""
    problems = []
    if neighbours is not None and neighbours < 1:
        problems.append(f"neighbours is {neighbours}, expected at least 1, or none for all")
    if not 0 <= alpha <= 1:
        problems.append(f"alpha is {alpha}, expected 0 to 1")
    for option, value in (("shrink", shrink), weight):
        if not 0 <= value < float("inf"):
            problems.append(f"{option} is {value}, expected 0 or more")
    refuse(problems)
