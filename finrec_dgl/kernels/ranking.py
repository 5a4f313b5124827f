"""Ranks of targets among all columns of each row, and the best columns: native code or NumPy.

Scores are rows as a scorer gave them, or products of vectors that native code makes a few at a time
and never holds together. Both give the same ranks; products differ between native code and NumPy by
the rounding of their sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from finrec_dgl.kernels.library import Argument, find_library

PANEL = 48
"""Columns that native code multiplies at once; the same in ranking.h."""


@dataclass(frozen=True)
class Lists:
    """The values of row i are ``values[at[i] : at[i + 1]]``: int64 [rows + 1], int32 [n]."""

    at: np.ndarray
    values: np.ndarray

    @property
    def owner(self) -> np.ndarray:
        """int64 [n]: the row of each value."""
        return np.repeat(np.arange(len(self.at) - 1), np.diff(self.at))


@dataclass(frozen=True, eq=False)
class Given:
    """Rows of scores as they came: float32 or float64 [B, n], of which ``columns`` int32 [C]."""

    scores: np.ndarray
    columns: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """(B, C)."""
        return len(self.scores), len(self.columns)

    @property
    def dtype(self) -> np.dtype:
        """The type of the scores."""
        return self.scores.dtype

    def dense(self) -> np.ndarray:
        """A copy of the scores, [B, C]."""
        return np.take(self.scores, self.columns, axis=1)

    def finite(self) -> bool:
        """Whether every score is finite."""
        return bool(np.isfinite(self.dense()).all())

    def picked(self, lists: Lists) -> np.ndarray:
        """The scores of the columns in ``lists``, [n]."""
        picked: np.ndarray = self.scores[lists.owner, self.columns[lists.values]]
        return picked

    def arguments(self, finite: np.ndarray) -> tuple[Argument, ...]:
        """What native code is told of them; it sets ``finite`` uint8 [B]."""
        scores = np.ascontiguousarray(self.scores)
        return (*self.shape, scores, scores.shape[1], self.columns, finite, 0, None, None, None)


@dataclass(frozen=True, eq=False)
class Packed:
    """Vectors of the columns [C, width] and what is added to each one's products [C]."""

    vectors: np.ndarray
    bias: np.ndarray

    @cached_property
    def panels(self) -> np.ndarray:
        """[panels, width, PANEL], as native code reads them; what is over is zero."""
        n, width = self.vectors.shape
        padded = np.zeros((-(-n // PANEL) * PANEL, width), self.vectors.dtype)
        padded[:n] = self.vectors
        return np.ascontiguousarray(padded.reshape(-1, PANEL, width).transpose(0, 2, 1))

    @cached_property
    def padded_bias(self) -> np.ndarray:
        """``bias`` with zeros to whole panels."""
        n = len(self.bias)
        return np.pad(self.bias, (0, -n % PANEL))

    @cached_property
    def most(self) -> tuple[float, float]:
        """The largest absolute number of the vectors, and of the bias."""
        both = (self.vectors, self.bias)
        largest, added = (float(np.abs(one).max(initial=0)) for one in both)
        return largest, added


@dataclass(frozen=True, eq=False)
class Products:
    """score = ``left`` . the column's vector + its bias; ``left`` float32 [B, width]."""

    left: np.ndarray
    packed: Packed

    @property
    def shape(self) -> tuple[int, int]:
        """(B, C)."""
        return len(self.left), len(self.packed.bias)

    @property
    def dtype(self) -> np.dtype:
        """The type of the scores."""
        return self.left.dtype

    def dense(self) -> np.ndarray:
        """All scores, [B, C]."""
        scores = self.left @ self.packed.vectors.T
        scores += self.packed.bias
        return scores

    def finite(self) -> bool:
        """Whether every score is sure to be finite, by the size of the vectors."""
        length = float(np.abs(self.left).sum(axis=1, dtype=np.float64).max(initial=0))
        largest, added = self.packed.most
        # twice: sums are rounded on the way; NaN fails the comparison too
        return 2 * (length * largest + added) < float(np.finfo(self.dtype).max)

    def picked(self, lists: Lists) -> np.ndarray:
        """The scores of the columns in ``lists``, [n], to the bit as native code ranks them."""
        score = np.empty(len(lists.values), self.dtype)
        nothing = np.zeros(len(self.left) + 1, np.int64)
        _compute("picked", self, Lists(nothing, lists.values[:0]), lists.at, lists.values, score)
        return score

    def arguments(self, finite: np.ndarray) -> tuple[Argument, ...]:  # noqa: ARG002
        """What native code is told of them."""
        left = np.ascontiguousarray(self.left)
        panels, bias = self.packed.panels, self.packed.padded_bias
        return (*self.shape, None, 0, None, None, left.shape[1], left, panels, bias)


Scores = Given | Products


def count_above(
    scores: Scores, held: Lists, targets: Lists, first: np.ndarray, border: np.ndarray
) -> np.ndarray | None:
    """How many columns go before each target, in each part of the columns; int64 [parts, T].

    Part p are the columns ``first[p] : first[p + 1]``, int32 [parts + 1]. In it go before target t
    those of a greater score and, before column ``border[p, t]`` (int32), of an equal one; those
    that the row holds (rising in each row) never do. ``targets``: columns of each row, not held.
    None where a score is not finite, held or not.
    """
    above = np.zeros((len(first) - 1, len(targets.values)), np.int64)
    if _native(scores.dtype):
        score = scores.picked(targets)
        rest = (targets.at, len(score), score, len(above), first, np.ascontiguousarray(border))
        return above if _compute("above", scores, held, *rest, above) else None
    if not scores.finite():
        return None
    dense = scores.dense()
    score = dense[targets.owner, targets.values]
    dense[held.owner, held.values] = -np.inf
    for t, row in enumerate(targets.owner.tolist()):
        for part, (start, stop) in enumerate(pairwise(first.tolist())):
            middle = int(border[part, t])
            before = np.count_nonzero(dense[row, start:middle] >= score[t])
            above[part, t] = before + np.count_nonzero(dense[row, middle:stop] > score[t])
    return above


def best_columns(
    scores: Scores, held: Lists, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The ``k`` columns of the greatest scores of each row less those it holds, best first.

    Equal scores go by column. Returns row int64, column int64 and score, all [n], by row; fewer
    than ``k`` a row where there are no more. None where a score is not finite, held or not.
    """
    n_rows, n_columns = scores.shape
    k = min(k, n_columns)
    if not k or not n_rows:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, scores.dtype)
    if _native(scores.dtype):
        score = np.empty((n_rows, k), scores.dtype)
        column, found = np.empty((n_rows, k), np.int32), np.empty(n_rows, np.int64)
        if not _compute("best", scores, held, k, score, column, found):
            return None
        there = np.arange(k) < found[:, None]
        row = np.repeat(np.arange(n_rows), found)
        return row, column[there].astype(np.int64), score[there]
    if not scores.finite():
        return None
    dense = scores.dense()
    dense[held.owner, held.values] = -np.inf
    columns = top_items(dense, k)
    score = np.take_along_axis(dense, columns, axis=1)
    row, place = np.nonzero(np.isfinite(score))
    return row, columns[row, place], score[row, place]


def top_items(scores: np.ndarray, k: int) -> np.ndarray:
    """int64 [B, min(k, C)]: the columns of the ``k`` greatest of ``scores`` [B, C], best first.

    Equal scores go by column, at the border of the ``k`` too, so the answer does not depend on how
    the sort is done. Scores of -inf come last.
    """
    n_rows, n_columns = scores.shape
    k = min(k, n_columns)
    if not k or not n_rows:
        return np.zeros((n_rows, k), np.int64)
    # a copy, so that the partition of all scores is let go
    border = np.partition(scores, n_columns - k, axis=1)[:, n_columns - k, None].copy()
    chosen = scores >= border
    for row in np.flatnonzero(np.count_nonzero(chosen, axis=1) > k).tolist():
        among = np.flatnonzero(chosen[row])
        chosen[row] = False
        chosen[row, among[np.argsort(-scores[row, among], kind="stable")[:k]]] = True
    columns = np.flatnonzero(chosen).reshape(n_rows, k) % n_columns
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    best: np.ndarray = np.take_along_axis(columns, order, axis=1)
    return best


def _native(dtype: np.dtype) -> bool:
    return dtype in (np.float32, np.float64) and find_library().handle is not None


def _compute(name: str, scores: Scores, held: Lists, *rest: Argument) -> bool:
    """Whether every score is finite; the kernel ``name`` has filled its arrays."""
    if isinstance(scores, Products) and not scores.finite():
        return False
    finite = np.ones(len(held.at) - 1, np.uint8)
    like = scores.scores if isinstance(scores, Given) else scores.left
    arguments = scores.arguments(finite)
    find_library().compute(f"finrec_{name}", like, *arguments, held.at, held.values, *rest)
    return bool(finite.all())
