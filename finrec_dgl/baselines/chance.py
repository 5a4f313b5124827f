"""Recommend at random: the floor that any other recommender must stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finrec_dgl.baselines.base import Recommender

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class Chance(Recommender):
    """score(u, i) is drawn from [0, 1) by ``seed``, u and i: the same at each call."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _fit(self, snapshot: Snapshot) -> None:
        self._n_items = snapshot.n_items

    def _score(self, users: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(users), self._n_items), np.float32)
        for row, user in enumerate(users.tolist()):
            drawn = np.random.default_rng((self.seed, user))
            scores[row] = drawn.random(self._n_items, np.float32)
        return scores
