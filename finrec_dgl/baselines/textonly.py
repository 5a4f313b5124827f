"""Recommend products whose text is near that of the products a user holds: no graph, no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finrec_dgl.base.errors import DataError
from finrec_dgl.baselines.base import Recommender

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class TextOnly(Recommender):
    """score(u, i) = cos(p_u, t_i), with t_i the text vector of item i.

    p_u is the mean of t_j over the items j that u holds; where u holds none with a text, the text
    vector of u itself; where there is none either, zero, and so are all of u's scores. An item
    without text scores 0. Raises DataError where no item has a text vector.
    """

    name = "text"

    def _fit(self, snapshot: Snapshot) -> None:
        if not np.any(snapshot.item_text):
            raise DataError(
                "no item has a text vector",
                expected="a dataset made with a text encoder from items with text columns",
            )
        self._items = snapshot.item_text
        profiles = np.asarray(snapshot.matrix() @ snapshot.item_text)
        without = ~np.any(profiles, axis=1)
        if snapshot.user_text.shape[1] == profiles.shape[1]:
            profiles[without] = snapshot.user_text[without]
        norms = np.linalg.norm(profiles, axis=1, keepdims=True)
        self._profiles = profiles / np.where(norms > 0, norms, 1.0)

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self._profiles[users] @ self._items.T)
