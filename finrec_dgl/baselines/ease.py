"""Recommend by a linear model between items with a closed form: EASE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.config import refuse
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.graph.ease import ease_filters

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class EASE(Recommender):
    """Embarrassingly shallow autoencoder of Steck, WWW 2019, on binary holdings X [users, items].

        B = argmin |X - X B|^2 + l2 * |B|^2  with diag(B) = 0:
        P = (X'X + l2 * I)^-1,  B_ij = -P_ij / P_jj for i != j,  0 for i = j
        score_uj = sum over items i that u holds of B_ij

    ``l2`` > 0 (default 1000): the penalty, in users. Raises ConfigError for another; DataError for
    more than 20,000 items, whose dense [n_items, n_items] matrix would need too much memory.
    """

    name = "ease"

    def __init__(self, l2: float = 1000.0) -> None:
        refuse([] if 0 < l2 < float("inf") else [f"l2 is {l2}, expected more than 0"])
        self.l2 = l2

    def _fit(self, snapshot: Snapshot) -> None:
        self._held = sp.csr_array(snapshot.matrix(), dtype=np.float32)
        (self._weights,) = ease_filters(self._held, [self.l2])

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self._held[users] @ self._weights)
