"""Recommend items held together with those a user holds: nearest neighbours between items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.config import refuse
from finrec_dgl.baselines.base import Recommender

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot

_MEMORY = 64 * 2**20  # bytes of float64 for one block of dense similarities


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
        problems = []
        if neighbours is not None and neighbours < 1:
            problems.append(f"neighbours is {neighbours}, expected at least 1, or none for all")
        if not 0 <= alpha <= 1:
            problems.append(f"alpha is {alpha}, expected 0 to 1")
        for option, value in (("shrink", shrink), ("user_weight", user_weight)):
            if not 0 <= value < float("inf"):
                problems.append(f"{option} is {value}, expected 0 or more")
        refuse(problems)
        self.neighbours = neighbours
        self.shrink = shrink
        self.alpha = alpha
        self.user_weight = user_weight

    def _fit(self, snapshot: Snapshot) -> None:
        self._held = sp.csr_array(snapshot.matrix(), dtype=np.float32)
        self._similarity = self._similarities(self._held.astype(np.float64))

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray((self._held[users] @ self._similarity).toarray())

    def _similarities(self, held: Any) -> Any:
        """[n_items, n_items] CSR float32: row i holds the neighbours of i."""
        n_users, n_items = held.shape
        sizes = np.diff(held.indptr)
        weight = np.maximum(sizes, 1.0) ** -self.user_weight
        weighted = sp.csr_array(held.T @ sp.diags_array(weight, shape=(n_users, n_users)))
        own = np.asarray(weighted.sum(axis=1)).ravel()  # c_ii
        # an item nobody holds has no similarity to divide
        own[own == 0] = 1.0
        norm_held, norm_other = own**self.alpha, own ** (1.0 - self.alpha)
        rows = max(1, _MEMORY // (8 * max(1, n_items)))
        blocks = [sp.csr_array((0, n_items), dtype=np.float32)]
        for start in range(0, n_items, rows):
            block = (weighted[start : start + rows] @ held).toarray()
            index = np.arange(len(block))
            block[index, start + index] = 0.0
            block /= np.outer(norm_held[start : start + rows], norm_other) + self.shrink
            if self.neighbours is not None and self.neighbours < n_items:
                least = np.partition(block, n_items - self.neighbours, axis=1)
                block[block < least[:, [n_items - self.neighbours]]] = 0.0
            blocks.append(sp.csr_array(block.astype(np.float32)))
        return sp.vstack(blocks, format="csr")
