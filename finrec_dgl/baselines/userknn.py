"""Recommend what users with the same items hold: nearest neighbours between users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.neighbours import Neighbours, check_options

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot

_MEMORY = 64 * 2**20  # bytes that one block of similarities may take, all of them above 0


class UserKNN(Recommender):
    """User-based top-N (Sarwar et al., EC 2000) on binary holdings, rare items counting more.

        c_uv      = sum over items i with both u and v of |i|^(-item_weight)
        sim_uv    = c_uv / (c_uu^alpha * c_vv^(1 - alpha) + shrink),  0 for u = v
        score_ui  = sum over the neighbours v of u that hold i of sim_uv

    |i| is the number of users who hold i. ``neighbours``: how many of the most similar v each u
    keeps, with those tied with the last of them; None: all (default 200). ``shrink`` >= 0 (default
    1) damps similarities that rest on few items. ``alpha`` in [0, 1] (default 0.5, the cosine):
    the smaller, the less a neighbour with many items counts. ``item_weight`` >= 0 (default 0.5):
    how much less an item with many users says of two who share it, as an inverse document frequency
    does. Raises ConfigError for values out of range.

    Similarities are taken when a user is scored: memory is the holdings and a block of bounded
    size.
    """

    name = "userknn"

    def __init__(
        self,
        neighbours: int | None = 200,
        shrink: float = 1.0,
        alpha: float = 0.5,
        item_weight: float = 0.5,
    ) -> None:
        check_options(neighbours, shrink, alpha, ("item_weight", item_weight))
        self.neighbours = neighbours
        self.shrink = shrink
        self.alpha = alpha
        self.item_weight = item_weight

    def _fit(self, snapshot: Snapshot) -> None:
        self._held = sp.csr_array(snapshot.matrix(), dtype=np.float64)
        self._near = Neighbours(
            self._held, self.neighbours, self.shrink, self.alpha, self.item_weight
        )

    def _score(self, users: np.ndarray) -> np.ndarray:
        n_users, n_items = self._held.shape
        scores = np.empty((len(users), n_items), np.float32)
        rows = max(1, _MEMORY // (12 * max(1, n_users)))
        for start in range(0, len(users), rows):
            near = self._near.rows(users[start : start + rows])
            scores[start : start + rows] = (near @ self._held).toarray()
        return scores
