"""The interface of every baseline, with the checks all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from finrec_dgl.base.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

    from finrec_dgl.dataset import Snapshot
    from finrec_dgl.evaluation import Vectors


class Recommender(ABC):
    """A recommender that knows one snapshot of the world and scores every item for any user of it.

    A subclass takes its options when made, sets ``name``, and implements ``_fit`` and ``_score``.
    It leaves the snapshot as it found it and gives the same scores each time.
    """

    name: str
    _n_users: int | None = None

    def fit(self, snapshot: Snapshot) -> Self:
        """Learn from ``snapshot``; returns itself. Raises DataError where it lacks what is needed.

        A failed fit leaves the recommender unfitted.
        """
        self._n_users = None
        self._fit(snapshot)
        self._n_users = snapshot.n_users
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B], nodes in any order -> float32 [B, n_items], finite, the higher the better.

        Raises UsageError before ``fit``, and for anything but known users.
        """
        users = np.asarray(users)
        known = self._fitted()
        if users.ndim != 1 or (users.size and users.dtype.kind not in "iu"):
            raise UsageError(
                f"users are {users.dtype} {users.shape}", expected="a list of whole numbers"
            )
        if users.size and (users.min() < 0 or users.max() >= known):
            raise UsageError("a user is out of range", expected=f"user nodes from 0 to {known - 1}")
        return self._score(users.astype(np.int64)).astype(np.float32, copy=False)

    def vectors(self) -> Vectors | None:
        """The vectors whose inner products are the scores; None where they are no such products.

        Raises UsageError before ``fit``.
        """
        self._fitted()
        return self._vectors()

    def _fitted(self) -> int:
        """How many users are known."""
        if self._n_users is None:
            raise UsageError(f"the recommender {self.name} is not fitted", mend="call fit first")
        return self._n_users

    def _vectors(self) -> Vectors | None:
        return None

    @abstractmethod
    def _fit(self, snapshot: Snapshot) -> None: ...

    @abstractmethod
    def _score(self, users: np.ndarray) -> np.ndarray: ...
