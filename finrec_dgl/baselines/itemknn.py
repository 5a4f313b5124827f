"""Recommend items held together with those a user holds: nearest neighbours between items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.neighbours import Neighbours, check_options

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot

_MEMORY = 64 * 2**20  # bytes that one block of similarities may take, all of them above 0


class ItemKNN(Recommender):
    """Item-based top-N of Deshpande and Karypis, ACM TOIS 22(1), 2004, on binary holdings.

        c_ij      = sum over users u with both i and j of |u|^(-user_weight)
        sim_ij    = c_ij / (c_ii^alpha * c_jj^(1 - alpha) + shrink),  0 for i = j
        score_uj  = sum over items i that u holds of sim_ij, where j is a neighbour of i

    |u| is the number of items u holds. ``neighbours``: how many of the most similar j each i keeps,
    with those tied with the last of them; None: all (default 200). ``shrink`` >= 0 (default 10)
    damps similarities that rest on few users. ``alpha`` in [0, 1] (default 0.5, the cosine) moves
    the norm from the candidate (0) to the held item (1, the conditional probability of j given i),
    so the larger, the more popular what is recommended. ``user_weight`` >= 0 (default 0): how much
    less a user with many items counts. Raises ConfigError for values out of range.

    Memory: the similarities kept, n_items * neighbours, and a block of rows of bounded size.
    """

    name = "itemknn"

    def __init__(
        self,
        neighbours: int | None = 200,
        shrink: float = 10.0,
        alpha: float = 0.5,
        user_weight: float = 0.0,
    ) -> None:
        check_options(neighbours, shrink, alpha, ("user_weight", user_weight))
        self.neighbours = neighbours
        self.shrink = shrink
        self.alpha = alpha
        self.user_weight = user_weight

    def _fit(self, snapshot: Snapshot) -> None:
        self._held = sp.csr_array(snapshot.matrix(), dtype=np.float32)
        self._similarity = self._similarities(self._held)

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray((self._held[users] @ self._similarity).toarray())

    def _similarities(self, held: Any) -> Any:
        """[n_items, n_items] CSR float32: row i holds the neighbours of i."""
        n_items = held.shape[1]
        near = Neighbours(
            sp.csr_array(held.T), self.neighbours, self.shrink, self.alpha, self.user_weight
        )
        rows = max(1, _MEMORY // (12 * max(1, n_items)))
        blocks = [sp.csr_array((0, n_items), dtype=np.float32)]
        for start in range(0, n_items, rows):
            block = near.rows(np.arange(start, min(start + rows, n_items)))
            blocks.append(block.astype(np.float32))
        return sp.vstack(blocks, format="csr")
