"""Recommend what users took up lately: popularity that decays with time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finrec_dgl.base.config import refuse
from finrec_dgl.base.units import DAY
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.checks import above_zero, require_dates

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class DecayedPopularity(Recommender):
    """Score each item by its users, of whom each counts less the longer ago it was.

    Parameters
    ----------
    half_life
        The days after which a user counts half; above 0.

    Raises
    ------
    ConfigError
        For values out of range.

    Notes
    -----
    The score of item i is the same for every user, the sum over users v with i of

        2^(-(time - last_vi) / half_life)

    with ``time`` that of the snapshot and last_vi when v was last seen with i. ``fit`` raises
    DataError where interactions have no timestamps. ``popularity-recent`` counts the users of a
    window, each fully.
    """

    name = "popularity-decayed"

    def __init__(self, half_life: float = 30.0) -> None:
        refuse(above_zero(half_life=half_life))
        self.half_life = half_life

    def _fit(self, snapshot: Snapshot) -> None:
        self._popularity = decayed_popularity(snapshot, self.half_life).astype(np.float32)

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.tile(self._popularity, (len(users), 1))


def half_lives(snapshot: Snapshot, half_life: float) -> np.ndarray:
    """Return the age of each pair of a snapshot in half-lives.

    Parameters
    ----------
    snapshot
        The data to learn from.
    half_life
        In days.

    Returns
    -------
    ndarray of float64, shape [E]
        The time since a pair was last seen; above 0.

    Raises
    ------
    DataError
        Where the interactions have no timestamps.
    """
    last, time = require_dates(snapshot, "popularity that decays")
    return np.asarray((time - last) / (half_life * DAY))


def decayed_popularity(snapshot: Snapshot, half_life: float) -> np.ndarray:
    """Return the number of users of each item, weighted by how long ago each took it up.

    Parameters
    ----------
    snapshot
        The data to learn from.
    half_life
        In days.

    Returns
    -------
    ndarray of float64, shape [n_items]
        As ``DecayedPopularity`` defines it.

    Raises
    ------
    DataError
        Where the interactions have no timestamps.
    """
    weights = np.exp2(-half_lives(snapshot, half_life))
    return np.bincount(snapshot.pairs.item, weights, minlength=snapshot.n_items)
