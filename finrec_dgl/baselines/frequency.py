"""Recommend what a user took up most often and lately, then what all users did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.config import refuse
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.checks import above_zero
from finrec_dgl.baselines.decayed import decayed_popularity, half_lives

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class Frequency(Recommender):
    """Rank a user's own items by how often and how lately they were taken up, then all others.

    Parameters
    ----------
    half_life
        The days after which an interaction counts half; above 0.

    Raises
    ------
    ConfigError
        For values out of range.

    Notes
    -----
    The order of the items that user u has is that of the personal frequency

        f_ui = count_ui * 2^(-(time - last_ui) / half_life)

    with count_ui how often u was seen with i and last_ui the last time; earlier times are not part
    of a snapshot. All other items follow in the order of ``DecayedPopularity`` of that half-life.
    Where a ranking leaves out the items that users have already, as the evaluation does, this is
    ``popularity-decayed`` itself; it differs where repeated interactions are recommended. ``fit``
    raises DataError where interactions have no timestamps.
    """

    name = "frequency"

    def __init__(self, half_life: float = 30.0) -> None:
        refuse(above_zero(half_life=half_life))
        self.half_life = half_life

    def _fit(self, snapshot: Snapshot) -> None:
        popularity = decayed_popularity(snapshot, self.half_life)
        self._others = (popularity / (popularity.max(initial=0.0) or 1.0)).astype(np.float32)
        # the logarithm keeps the order, and does not vanish with age
        personal = np.log2(np.maximum(snapshot.count, 1)) - half_lives(snapshot, self.half_life)
        above = 2 + personal - personal.min(initial=0.0)  # all others are at most at 1
        self._own = sp.csr_array(snapshot.matrix(), dtype=np.float32, copy=True)
        self._own.data = above.astype(np.float32)

    def _score(self, users: np.ndarray) -> np.ndarray:
        own = self._own[users].toarray()
        return np.asarray(np.where(own > 0, own, self._others))
