"""Numeric columns of nodes as features of mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

SKEWED = 2.0
"""A column that is more skewed than this, which an exponential distribution is, may take logs."""

_FARTHEST = 1e4
"""Only a node that has no say in the mean can lie farther out; it is brought in to stay finite."""


@dataclass(frozen=True)
class Scale:
    """How a column becomes a feature: z = (f(x) - mean) / sd, with f = log(1 + x) if ``log``.

    ``known``: nodes that the mean and sd are of. ``sd`` 0: the column says nothing.
    """

    known: int
    mean: float
    sd: float
    log: bool

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Scale ``values`` float [n], NaN missing; float32 [n], 0 where missing."""
        if self.sd == 0:
            return np.zeros(len(values), np.float32)
        shown = np.log1p(values) if self.log else values
        scaled = (shown - self.mean) / self.sd
        bounded = np.clip(np.nan_to_num(scaled, nan=0.0), -_FARTHEST, _FARTHEST)
        found: np.ndarray = bounded.astype(np.float32)
        return found


def scale_of(values: np.ndarray, seen: np.ndarray) -> Scale:
    """Find the scale of a column from the nodes that are ``seen``.

    Parameters
    ----------
    values : np.ndarray
        Float [n], NaN missing.
    seen : np.ndarray
        Bool [n]: the nodes with an interaction.

    Notes
    -----
    The logarithm is taken where no value is negative, the skewness (the mean cube of the
    standardised values) is above ``SKEWED``, and the logarithm's own is nearer to 0.
    """
    values = values.astype(np.float64)
    known = values[seen & np.isfinite(values)]
    mean, sd, skewness = _moments(known)
    if skewness > SKEWED and np.nanmin(values) >= 0:
        log_mean, log_sd, log_skewness = _moments(np.log1p(known))
        if log_sd > 0 and abs(log_skewness) < skewness:
            return Scale(len(known), log_mean, log_sd, True)
    return Scale(len(known), mean, sd, False)


def standardised(columns: Mapping[str, np.ndarray], seen: np.ndarray) -> np.ndarray:
    """Standardise ``columns`` over the nodes ``seen``; float32 [n, columns], missing values 0."""
    found = np.zeros((len(seen), len(columns)), np.float32)
    for at, values in enumerate(columns.values()):
        found[:, at] = scale_of(values, seen).apply(values.astype(np.float64))
    return found


def _moments(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, standard deviation and skewness; of equal values, or none, the last two are 0."""
    if not len(values):
        return 0.0, 0.0, 0.0
    mean = float(values.mean())
    spread = values - mean
    largest = float(np.abs(spread).max())
    # of equal values the mean differs by rounding
    if largest <= 1e-12 * float(np.abs(values).max()):
        return mean, 0.0, 0.0
    sd = float(np.sqrt(np.mean((spread / largest) ** 2))) * largest
    return mean, sd, float(np.mean((spread / sd) ** 3))
