"""Scores of users some at a time, by vectors where the scorer has them, and what users hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol

import numpy as np

from finrec_dgl.base.errors import TrainingError

if TYPE_CHECKING:
    from finrec_dgl.dataset import Pairs
    from finrec_dgl.kernels.ranking import Lists, Scores

_MOST_ROWS = 8192  # users whose products are made in one call: more bring nothing


class Scorer(Protocol):
    """Anything that can score every item for a user: a baseline, a trained model, a service.

    One whose scores are inner products of vectors may also have ``vectors() -> Vectors | None``;
    it is then ranked without a matrix of scores, see ``finrec_dgl.kernels.ranking``.
    """

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, n_items], the higher the better, finite at every candidate."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """score(u, i) = user_u . item_i + bias_i.

    float32 [n_users, width], [n_items, width] and [n_items]; ``bias`` None: none.
    """

    user: np.ndarray
    item: np.ndarray
    bias: np.ndarray | None = None


class Scoring:
    """Scores of users by ``scorer`` in ``columns``, int32 [C] of its ``n_items`` items.

    ``batch``: users at a time; None: as many as keep their scores within ``memory`` bytes with
    ``beside`` bytes more a column, at least one; more where only vectors are held.
    """

    def __init__(
        self,
        scorer: Scorer,
        columns: np.ndarray,
        n_items: int,
        *,
        memory: int,
        beside: int,
        batch: int | None = None,
    ) -> None:
        from finrec_dgl.kernels.library import find_library
        from finrec_dgl.kernels.ranking import Packed

        self.scorer = scorer
        self.columns = columns.astype(np.int32)
        self.n_items = n_items
        self.rows = batch or max(1, memory // max(1, 4 * n_items + beside * len(columns)))
        self._vectors = _vectors_of(scorer)
        if self._vectors is None:
            return
        bias = self._vectors.bias
        if bias is None:
            bias = np.zeros(n_items, np.float32)
        items = self._vectors.item[columns].astype(np.float32, copy=False)
        self._packed = Packed(items, bias[columns].astype(np.float32, copy=False))
        self._most = self.rows
        if batch is None and find_library().handle is not None:
            width = max(1, items.shape[1])
            self._most = max(self.rows, min(_MOST_ROWS, memory // (8 * width)))

    def chunks(self, users: np.ndarray) -> Iterator[tuple[np.ndarray, Scores]]:
        """Some of ``users`` int [n] with their scores, in order.

        Raises TrainingError where the scorer gives another shape than [B, n_items] or no floats.
        """
        from finrec_dgl.kernels.ranking import Products

        if self._vectors is None:
            yield from self._given(users)
            return
        for start in range(0, len(users), self._most):
            chunk = users[start : start + self._most]
            left = self._vectors.user[chunk].astype(np.float32, copy=False)
            products = Products(left, self._packed)
            if products.finite():
                yield chunk, products
            else:
                yield from self._given(chunk)

    def _given(self, users: np.ndarray) -> Iterator[tuple[np.ndarray, Scores]]:
        from finrec_dgl.kernels.ranking import Given

        for start in range(0, len(users), self.rows):
            chunk = users[start : start + self.rows]
            scores = np.asarray(self.scorer.score(chunk))
            if scores.shape != (len(chunk), self.n_items) or scores.dtype.kind != "f":
                raise TrainingError(
                    f"the scorer {self._name} returned {scores.dtype} {scores.shape}",
                    expected=f"float32 {(len(chunk), self.n_items)}: a row a user, "
                    "a column an item",
                )
            yield chunk, Given(scores, self.columns)

    def refuse(self, scores: Scores) -> NoReturn:
        """Raise TrainingError that says how many of ``scores`` are not finite."""
        finite = np.isfinite(scores.dense())
        raise TrainingError(
            f"the scorer {self._name} gave {int(np.count_nonzero(~finite))} scores that are not "
            "finite",
            expected="a finite number for every candidate",
            where=f"{int(np.count_nonzero(~finite.all(axis=1)))} of {len(finite)} users in a chunk",
            mend="a model that diverged gives these: lower its learning rate or clip its gradients",
        )

    @property
    def _name(self) -> str:
        return getattr(self.scorer, "name", type(self.scorer).__name__)


def _vectors_of(scorer: Scorer) -> Vectors | None:
    vectors = getattr(scorer, "vectors", None)
    return vectors() if callable(vectors) else None


def columns_of(pairs: Pairs, users: np.ndarray, column: np.ndarray) -> Lists:
    """Of each of ``users`` (ascending) the columns of its ``pairs``, rising; others are left out.

    ``column`` int [n_items]: where each item stands, -1 nowhere. ``pairs`` are sorted by user.
    """
    from finrec_dgl.kernels.ranking import Lists

    first, last = (np.searchsorted(pairs.user, users, side=side) for side in ("left", "right"))
    count = last - first
    row = np.repeat(np.arange(len(users)), count)
    place = np.arange(len(row)) + np.repeat(first - (np.cumsum(count) - count), count)
    found = column[pairs.item[place]]
    row, found = row[found >= 0], found[found >= 0]
    width = max(1, int(column.max(initial=0)) + 1)
    keys = np.sort(row * width + found)
    at = np.searchsorted(keys, np.arange(len(users) + 1) * width)
    return Lists(at, (keys % width).astype(np.int32))
