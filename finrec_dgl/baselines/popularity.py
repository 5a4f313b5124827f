"""Recommend what most users hold, of all time or of the days just gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finrec_dgl.base.config import refuse
from finrec_dgl.base.errors import DataError
from finrec_dgl.base.units import DAY
from finrec_dgl.baselines.base import Recommender

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class Popularity(Recommender):
    """score(u, i) = the number of distinct users with item i, the same for every u.

    ``days``: count only users who were last seen with i within so many days before the snapshot's
    moment (its last day inclusive: last >= time - days); None (default): count all.
    Raises ConfigError for ``days`` not above 0, DataError where days are asked of undated pairs.
    """

    def __init__(self, days: float | None = None) -> None:
        refuse([] if days is None or days > 0 else [f"days is {days}, expected more than 0"])
        self.days = days
        self.name = "popularity" if days is None else "popularity-recent"

    def _fit(self, snapshot: Snapshot) -> None:
        item = snapshot.pairs.item
        if self.days is not None:
            if snapshot.last is None or snapshot.time is None:
                raise DataError(
                    "popularity of recent days needs dated interactions",
                    expected="a timestamp column in the interactions",
                    mend="use popularity of all time",
                )
            item = item[snapshot.last >= snapshot.time - self.days * DAY]
        self._counts = np.bincount(item, minlength=snapshot.n_items).astype(np.float32)

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.tile(self._counts, (len(users), 1))
