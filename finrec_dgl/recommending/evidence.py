"""What is known of a user that a reason may rest on: products held, ties, own text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finrec_dgl.dataset import Snapshot

MOST_HOLDINGS = 64
"""Held products that are weighed one by one; each costs a copy of the user."""


@dataclass(frozen=True)
class Evidence:
    """Something known of a user that can be taken away.

    ``kind``: ``held``, ``ties`` or ``text``; ``item``: the held product's node, else -1;
    ``tie``: the kind of the ties, else "".
    """

    kind: str
    item: int = -1
    tie: str = ""


def holdings(snapshot: Snapshot, user: int) -> np.ndarray:
    """int32: the items that ``user`` holds, the last taken up first, at most MOST_HOLDINGS."""
    edges = np.arange(*np.searchsorted(snapshot.pairs.user, (user, user + 1)))
    if snapshot.last is not None:
        edges = edges[np.argsort(-snapshot.last[edges], kind="stable")]
    held: np.ndarray = snapshot.pairs.item[edges[:MOST_HOLDINGS]]
    return held


def tied(snapshot: Snapshot, kind: str, user: int) -> np.ndarray:
    """The users tied to ``user`` by ``kind``, in either direction, each once."""
    empty = np.zeros(0, np.int32)
    source, target = snapshot.ties.get(kind, (empty, empty))
    return np.unique(np.concatenate([source[target == user], target[source == user]]))
