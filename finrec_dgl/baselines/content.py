"""Recommend products whose text is near that of some products a user holds: new ones too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finrec_dgl.base.config import refuse
from finrec_dgl.base.errors import DataError
from finrec_dgl.baselines.base import Recommender

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class Content(Recommender):
    """score(u, i) = the mean of the ``neighbours`` largest cos(t_i, t_j) over the items j u holds.

    t_i is the text vector of item i; with ``posts`` the sum of that and of what was posted about i
    (``Snapshot.item_posts``), at length 1. So an item that nobody holds is scored as any other.
    ``neighbours``: None (default): all that u holds, as where u holds fewer. Held items without
    text do not count; a user without any that has text is matched by cos(t_i, the user's own text
    vector), and without that scores 0 throughout. Raises ConfigError for ``neighbours`` below 1,
    DataError where no item has a text vector.
    """

    name = "content"

    def __init__(self, neighbours: int | None = None, posts: bool = False) -> None:
        refuse(
            [f"neighbours is {neighbours}, expected at least 1, or none for all"]
            if neighbours is not None and neighbours < 1
            else []
        )
        self.neighbours = neighbours
        self.posts = posts

    def _fit(self, snapshot: Snapshot) -> None:
        items = snapshot.item_text
        if self.posts:
            total = items + snapshot.item_posts
            length = np.linalg.norm(total, axis=1, keepdims=True)
            items = total / np.where(length > 0, length, 1.0)
        told = np.any(items, axis=1)
        if not told.any():
            raise DataError(
                "no item has a text vector",
                expected="a dataset made with a text encoder from items with text columns",
            )
        self._items = items
        self._own = snapshot.user_text
        held = told[snapshot.pairs.item]
        self._held = snapshot.pairs.item[held]
        self._start = np.searchsorted(
            snapshot.pairs.user[held], np.arange(snapshot.n_users + 1)
        ).tolist()

    def _score(self, users: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(users), len(self._items)), np.float32)
        for row, user in enumerate(users.tolist()):
            held = self._items[self._held[self._start[user] : self._start[user + 1]]]
            if not len(held):
                scores[row] = self._items @ self._own[user]
            elif self.neighbours is None or self.neighbours >= len(held):
                scores[row] = self._items @ held.mean(axis=0)
            else:
                near = held @ self._items.T
                rest = len(held) - self.neighbours
                scores[row] = np.partition(near, rest, axis=0)[rest:].mean(axis=0)
        return scores
