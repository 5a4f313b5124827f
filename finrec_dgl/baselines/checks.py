"""Checks that several baselines share: ranges of options, and what a snapshot must have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finrec_dgl.base.errors import DataError

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot

MOST_ITEMS = 20_000
"""Above it, dense float64 matrices between all items need more than 3 GB each."""


def above_zero(**options: float) -> list[str]:
    """Describe the options that are not finite numbers above 0.

    Parameters
    ----------
    **options
        Values by name.

    Returns
    -------
    list of str
        One problem for each bad value, to be passed to ``refuse``.
    """
    return [
        f"{name} is {value}, expected more than 0"
        for name, value in options.items()
        if not 0 < value < float("inf")
    ]


def zero_or_more(**options: float) -> list[str]:
    """Describe the options that are not finite numbers of at least 0.

    Parameters
    ----------
    **options
        Values by name.

    Returns
    -------
    list of str
        One problem for each bad value, to be passed to ``refuse``.
    """
    return [
        f"{name} is {value}, expected 0 or more"
        for name, value in options.items()
        if not 0 <= value < float("inf")
    ]


def one_or_more(**options: int) -> list[str]:
    """Describe the counts that are below 1.

    Parameters
    ----------
    **options
        Values by name.

    Returns
    -------
    list of str
        One problem for each bad value, to be passed to ``refuse``.
    """
    return [
        f"{name} is {value}, expected at least 1" for name, value in options.items() if value < 1
    ]


def require_dates(snapshot: Snapshot, what: str) -> tuple[np.ndarray, int]:
    """Return the times of the interactions and the time of the snapshot.

    Parameters
    ----------
    snapshot
        The data to learn from.
    what
        What needs the times, as the subject of the error message.

    Returns
    -------
    last : ndarray of int64, shape [E]
        When each pair was last seen, in seconds since 1970 UTC.
    time : int
        The time of the snapshot, in the same unit.

    Raises
    ------
    DataError
        Where the interactions have no timestamps.
    """
    if snapshot.last is None or snapshot.time is None:
        raise DataError(
            f"{what} needs dated interactions",
            expected="a timestamp column in the interactions",
        )
    return snapshot.last, snapshot.time


def require_few_items(name: str, n_items: int) -> None:
    """Refuse a catalogue whose dense item-item matrix would not fit into memory.

    Parameters
    ----------
    name
        The method, as the subject of the error message.
    n_items
        The number of items.

    Raises
    ------
    DataError
        For more than ``MOST_ITEMS`` items.
    """
    if n_items > MOST_ITEMS:
        raise DataError(
            f"{name} needs a dense matrix between items, and there are {n_items:,} items",
            expected=f"at most {MOST_ITEMS:,} items",
            mend="compare with itemknn or chebycf, or keep a k-core",
        )
