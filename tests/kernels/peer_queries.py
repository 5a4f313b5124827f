"""Random seeds and neighbourhoods for the tests of kernels over peers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from finrec_dgl.kernels.peers import PeerQuery
from finrec_dgl.kernels.ragged import Ragged


def ragged(rows) -> Ragged:
    """Lists as a ``Ragged``."""
    counts = np.array([len(one) for one in rows], np.int64)
    indptr = torch.from_numpy(np.append(0, np.cumsum(counts)).astype(np.int64))
    values = np.array([value for one in rows for value in one], np.int32)
    return Ragged(indptr, torch.from_numpy(values))


def some(rng, most, size):
    """Up to ``most`` distinct numbers below ``size``, rising."""
    count = int(rng.integers(0, min(most, size) + 1))
    return sorted(rng.choice(size, count, replace=False).tolist()) if count else []


@dataclass
class Neighbourhood:
    """A graph, seeds in it, and the query for their peers; lists for loops beside it."""

    users: int
    items: int
    held: list
    histories: list
    seeds: list
    drawn: dict
    tied: list
    known: list
    item_weight: np.ndarray
    user_scale: np.ndarray
    seed_scale: np.ndarray

    def query(self) -> PeerQuery:
        """The query as kernels read it."""
        rows = sorted(self.drawn)
        local = np.full(self.items, -1, np.int32)
        local[rows] = np.arange(len(rows))
        return PeerQuery(
            seed_items=ragged(self.histories),
            seeds=torch.tensor(self.seeds, dtype=torch.int32),
            drawn=ragged([self.drawn[item] for item in rows]),
            local=torch.from_numpy(local),
            item_weight=torch.from_numpy(self.item_weight),
            user_scale=torch.from_numpy(self.user_scale),
            seed_scale=torch.from_numpy(self.seed_scale),
            connected=ragged(self.tied),
            known=torch.tensor(self.known, dtype=torch.bool),
        )


def random_neighbourhood(
    users: int, items: int, seeds: int, *, exact: bool = False, seed: int = 0
) -> Neighbourhood:
    """Histories, some empty; seeds, some unknown (-1); of each item some users are drawn.

    ``exact``: weights whose sums are exact in any order, of few values, so that many tie.
    """
    rng = np.random.default_rng(seed)
    held = [some(rng, 4, items) for _ in range(users)]
    histories = [some(rng, 4, items) for _ in range(seeds)]
    holders = {item: [u for u in range(users) if item in held[u]] for item in range(items)}
    drawn = {item: [u for u in holders[item] if rng.random() < 0.8] for item in holders}
    asked = {item for row in histories for item in row}

    def values(count):
        if exact:
            return rng.choice([0.5, 1.0, 2.0], count).astype(np.float32)
        return rng.uniform(0.1, 3, count).astype(np.float32)

    weight = values(items)
    weight[rng.random(items) < 0.15] = 0.0  # everybody's items weigh nothing
    return Neighbourhood(
        users,
        items,
        held,
        histories,
        rng.integers(-1, users, seeds).tolist(),
        {item: drawn[item] for item in asked},
        [some(rng, 2, users) for _ in range(seeds)],
        [bool(one) for one in held],
        weight,
        values(users),
        values(seeds),
    )


neighbourhoods = st.builds(
    random_neighbourhood,
    users=st.integers(1, 12),
    items=st.integers(1, 8),
    seeds=st.integers(0, 6),
    exact=st.booleans(),
    seed=st.integers(0, 9_999),
)
