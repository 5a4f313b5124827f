"""Small worlds as snapshots, for tests of the model and its training."""

from dataclasses import dataclass, replace

import numpy as np

from finrec_dgl.dataset.snapshot import Pairs, Snapshot
from finrec_dgl.graph import INTERACTS
from finrec_dgl.kernels import Layer

DAY = 86_400


@dataclass(frozen=True)
class FixedTexts:
    """Text vectors as given."""

    user: np.ndarray
    item: np.ndarray
    about: np.ndarray | None = None

    def users(self):
        """Vectors and where they come from."""
        return self.user, self.user.any(axis=1).astype(np.int8)

    def items(self):
        """Vectors."""
        return self.item

    def posts(self):
        """Vectors; none unless given."""
        return self.item * 0 if self.about is None else self.about


def make_snapshot(seed=0, users=30, items=20, edges=150, text_dim=8, kinds=("family",)):
    """Random interactions; the last user and item have none; some nodes have no text."""
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, [users - 1, items - 1], size=(edges, 2)), axis=0)

    def vectors(count):
        rows = rng.normal(size=(count, text_dim)).astype(np.float32)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        rows[rng.random(count) < 0.2] = 0
        return rows

    ties = {}
    for kind in kinds:
        ends = np.unique(rng.integers(0, users - 1, size=(40, 2)), axis=0)
        ends = ends[ends[:, 0] != ends[:, 1]].astype(np.int32)
        ties[kind] = (ends[:, 0], ends[:, 1])
    return Snapshot(
        n_users=users,
        n_items=items,
        time=1_000,
        pairs=Pairs(pairs[:, 0].astype(np.int32), pairs[:, 1].astype(np.int32)),
        count=np.ones(len(pairs), np.float32),
        last=np.sort(rng.integers(0, 1_000, len(pairs))),
        ties=ties,
        item_categories={"kind": rng.integers(-1, 4, items).astype(np.int32)},
        user_categories={},
        texts=FixedTexts(vectors(users), vectors(items)),
    )


def make_dated_snapshot(seed=0, days=300, **others):
    """The same over ``days`` days, in any order, and with posts about items."""
    snapshot = make_snapshot(seed, **others)
    rng = np.random.default_rng((seed, 1))
    about = snapshot.item_text[rng.permutation(snapshot.n_items)]
    return replace(
        snapshot,
        time=days * DAY,
        last=rng.integers(0, days * DAY, len(snapshot.pairs)),
        texts=FixedTexts(snapshot.user_text, snapshot.item_text, about),
    )


def with_pairs(snapshot, keep):
    """``snapshot`` with the pairs ``keep`` (bool or row numbers) alone."""
    return replace(
        snapshot,
        pairs=Pairs(snapshot.pairs.user[keep], snapshot.pairs.item[keep]),
        count=snapshot.count[keep],
        last=None if snapshot.last is None else snapshot.last[keep],
    )


def without_text(snapshot, dim=0):
    """``snapshot`` in which nothing has a text, of vectors that are ``dim`` long."""
    sides = (
        np.zeros((snapshot.n_users, dim), np.float32),
        np.zeros((snapshot.n_items, dim), np.float32),
    )
    return replace(snapshot, texts=FixedTexts(*sides))


def pairs_of(layer, relation, inputs=None):
    """The (user, item) pairs of an interaction relation of a layer or DGL block.

    ``inputs``: the first layer's source nodes per type, which all layers' nodes are the first of.
    """
    if isinstance(layer, Layer):
        edges = layer.edges[relation]
        source, target = edges.source, edges.target
    else:
        source, target = layer.edges(etype=relation)
    if inputs is not None and inputs[relation[0]] is not None:
        source = inputs[relation[0]][source.long()]
        target = inputs[relation[2]][target.long()]
    ends = (source, target) if relation == INTERACTS else (target, source)
    return set(zip(ends[0].tolist(), ends[1].tolist(), strict=True))
