"""Recommend by a sparse linear model between items: SLIM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.config import refuse
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.checks import above_zero, one_or_more, require_few_items, zero_or_more

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot

_BLOCK = 64  # rows updated between two products with the whole Gram matrix


class SLIM(Recommender):
    """Score items by sparse linear models of Ning and Karypis, ICDM 2011.

    Parameters
    ----------
    l1_reg
        The L1 penalty, in users; at least 0.
    l2_reg
        The L2 penalty, in users; above 0.
    tolerance
        A column of weights is done when none in it changes by more than this in one sweep.
    max_sweeps
        The most sweeps over all weights.

    Raises
    ------
    ConfigError
        For values out of range.

    Notes
    -----
    With X the binary interactions [n_users, n_items], the weights are

        B = argmin 1/2 |X - X B|^2 + l2_reg / 2 |B|^2 + l1_reg * sum of B
            with B >= 0 and diag(B) = 0

    and the scores X B. ``fit`` raises DataError for more than 20,000 items; it needs three dense
    matrices [n_items, n_items] in float64.
    """

    name = "slim"

    def __init__(
        self,
        l1_reg: float = 2.0,
        l2_reg: float = 100.0,
        tolerance: float = 1e-5,
        max_sweeps: int = 100,
    ) -> None:
        problems = zero_or_more(l1_reg=l1_reg) + above_zero(l2_reg=l2_reg, tolerance=tolerance)
        refuse(problems + one_or_more(max_sweeps=max_sweeps))
        self.l1_reg, self.l2_reg = l1_reg, l2_reg
        self.tolerance, self.max_sweeps = tolerance, max_sweeps

    def _fit(self, snapshot: Snapshot) -> None:
        require_few_items("SLIM", snapshot.n_items)
        self._seen = sp.csr_array(snapshot.matrix(), dtype=np.float32)
        gram = (self._seen.T @ self._seen).toarray().astype(np.float64)
        weights = slim_weights(gram, self.l1_reg, self.l2_reg, self.tolerance, self.max_sweeps)
        self._weights = sp.csr_array(weights.astype(np.float32))

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray((self._seen[users] @ self._weights).toarray())


def slim_weights(
    gram: np.ndarray,
    l1_reg: float,
    l2_reg: float,
    tolerance: float = 1e-5,
    max_sweeps: int = 100,
) -> np.ndarray:
    """Minimise SLIM's objective by cyclic coordinate descent on the Gram matrix.

    Parameters
    ----------
    gram : ndarray of float64, shape [n_items, n_items]
        X'X of the interactions X.
    l1_reg, l2_reg, tolerance, max_sweeps
        As ``SLIM`` takes them.

    Returns
    -------
    ndarray of float64, shape [n_items, n_items]
        The weights B: row i is what an interaction with i adds to the scores.

    Notes
    -----
    A step sets row i of B for all columns at once. The columns are independent problems, so this
    is coordinate descent on each of them, and columns that have converged drop out. The gradient
    of a block of rows comes from one matrix product; steps within the block keep it up to date.
    """
    n_items = len(gram)
    weights = np.zeros_like(gram)
    columns, part = np.arange(n_items), weights.copy()
    for _ in range(max_sweeps):
        largest = _sweep(gram, part, columns, l1_reg, l2_reg)
        going_on = largest > tolerance
        weights[:, columns[~going_on]] = part[:, ~going_on]
        columns, part = columns[going_on], part[:, going_on]
        if not len(columns):
            break
    weights[:, columns] = part
    return weights


def _sweep(
    gram: np.ndarray, part: np.ndarray, columns: np.ndarray, l1_reg: float, l2_reg: float
) -> np.ndarray:
    """Set every row of ``part`` once; return the largest change in each column.

    ``part`` [n_items, c]: the ``columns`` [c] of the weights that have not converged.
    """
    largest = np.zeros(len(columns))
    for start in range(0, len(gram), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(gram)))
        rows = gram[block]
        residual = rows[:, columns] - rows @ part
        for place, item in enumerate(block):
            own = rows[place, item]
            old = part[item]
            new = np.maximum(residual[place] + own * old - l1_reg, 0.0) / (own + l2_reg)
            new[columns == item] = 0.0
            change = new - old
            moved = np.flatnonzero(change)
            residual[:, moved] -= np.outer(rows[:, item], change[moved])
            part[item] = new
            np.maximum(largest, np.abs(change), out=largest)
    return largest
