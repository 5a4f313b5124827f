"""Views of small graphs, for tests of relations and of the models that read them."""

from dataclasses import replace

import numpy as np
import torch
from pair_models import shape_of
from snapshots import DAY, make_dated_snapshot, with_pairs, without_text

from finrec_dgl.relations import GraphTensors, PairConfig, SeedBatch

CONFIG = PairConfig(
    ease=(20.0, 200.0), holding_half_lives=(40.0, 0.0), ranks=(2, 4), peer_half_lives=(20.0, 100.0)
)
NOBODY, UNSOLD = 29, 19  # the user without an interaction, and the item that nobody has

MISSING = {
    "undated": lambda one: replace(one, last=None, time=None),
    "untold": lambda one: without_text(one, dim=8),
    "no vectors": without_text,
    "untied": lambda one: replace(one, ties={}),
    "no interactions": lambda one: with_pairs(one, []),
    "no interactions, undated": lambda one: replace(with_pairs(one, []), last=None, time=None),
    "one interaction": lambda one: with_pairs(one, [0]),
    "one user's": lambda one: with_pairs(one, one.pairs.user == 3),
    "one item's": lambda one: with_pairs(one, one.pairs.item == 3),
}
"""What a data set may lack."""


def make_view(seed=0, **others):
    """The view of a dated snapshot; ``others`` are of the snapshot."""
    return GraphTensors(make_dated_snapshot(seed, **others))


def batch_of(view, users=None):
    """The seeds ``users``, everybody by default, in ``view``."""
    return SeedBatch(view, view.seeds(np.arange(view.n_users) if users is None else users))


def relation_of(kind, view, config=CONFIG, **shape):
    """A relation for the snapshot of ``view``; ``shape``: sizes that are not the snapshot's."""
    torch.manual_seed(0)
    return kind(config, replace(shape_of(view.snapshot), **shape))


def edges(snapshot):
    """user -> {item: days since last seen}."""
    found = {user: {} for user in range(snapshot.n_users)}
    for number, (user, item) in enumerate(
        zip(snapshot.pairs.user, snapshot.pairs.item, strict=True)
    ):
        seen = snapshot.last is not None
        age = (snapshot.time - snapshot.last[number]) / DAY if seen else 0.0
        found[int(user)][int(item)] = float(age)
    return found


def faded(snapshot, half_life):
    """float [users, items]: 2^(-age / half-life) of each interaction, 1 without a half-life."""
    found = np.zeros((snapshot.n_users, snapshot.n_items))
    for user, items in edges(snapshot).items():
        for item, age in items.items():
            found[user, item] = 2 ** (-age / half_life) if half_life else 1.0
    return found


def connected(snapshot):
    """The pairs of users with a tie of any kind, as frozen sets."""
    return {
        frozenset(pair)
        for source, target in snapshot.ties.values()
        for pair in zip(source.tolist(), target.tolist(), strict=True)
    }


def cosine(one, other):
    """The cosine of two vectors, 0 where one of them is 0."""
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / length) if length else 0.0


def rows_of(ragged):
    """The rows of a ``Ragged`` as lists."""
    ends = ragged.indptr.tolist()
    values = ragged.values.tolist()
    return [values[begin:end] for begin, end in zip(ends[:-1], ends[1:], strict=True)]
