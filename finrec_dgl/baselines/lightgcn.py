"""Recommend by embeddings smoothed over the graph of holdings: LightGCN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from finrec_dgl.base.config import refuse
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.evaluation import Vectors

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class LightGCN(Recommender):
    """LightGCN of He et al., SIGIR 2020, on binary holdings.

        E^(l+1) = D^-1/2 A D^-1/2 E^(l),  E = mean of E^(0) .. E^(layers)
        score_ui = e_u . e_i
        loss = mean over pairs (u, i) of -log sigmoid(score_ui - score_uj)
               + l2 / 2 * (|e_u^(0)|^2 + |e_i^(0)|^2 + |e_j^(0)|^2)

    A is the adjacency [users + items] of the holdings, D its degrees, j a uniform draw from the
    items that u does not hold. Only E^(0) is learnt, by Adam with the learning rate ``rate``, from
    normal draws of deviation 0.1. ``dim`` (default 64), ``layers`` (default 3), ``batch``: pairs a
    step, ``epochs``: passes over all pairs, ``seed`` of the first embeddings, order and negatives.

    Raises ConfigError for values out of range.
    """

    name = "lightgcn"

    def __init__(
        self,
        dim: int = 64,
        layers: int = 3,
        epochs: int = 20,
        rate: float = 0.01,
        l2: float = 1e-4,
        batch: int = 8192,
        seed: int = 0,
    ) -> None:
        whole = {"dim": dim, "layers": layers, "epochs": epochs, "batch": batch}
        problems = [f"{name} is {n}, expected at least 1" for name, n in whole.items() if n < 1]
        if not 0 < rate < float("inf"):
            problems.append(f"rate is {rate}, expected more than 0")
        if not 0 <= l2 < float("inf"):
            problems.append(f"l2 is {l2}, expected 0 or more")
        refuse(problems)
        self.dim, self.layers, self.epochs = dim, layers, epochs
        self.rate, self.l2, self.batch, self.seed = rate, l2, batch, seed

    def _fit(self, snapshot: Snapshot) -> None:
        for first in self.steps(snapshot):
            learnt = first
        with torch.no_grad():
            smooth = propagate(_normalised(snapshot), learnt, self.layers).numpy()
        self._users = smooth[: snapshot.n_users].copy()
        self._items = smooth[snapshot.n_users :].copy()

    def steps(self, snapshot: Snapshot) -> Iterator[Tensor]:
        """Train one step at a time: E^(0) [nodes, dim] before the first step and after each."""
        draws = torch.Generator().manual_seed(self.seed)
        nodes = snapshot.n_users + snapshot.n_items
        first = torch.empty(nodes, self.dim).normal_(0.0, 0.1, generator=draws)
        yield first
        adjacency = _normalised(snapshot)
        pairs = _Pairs(snapshot)
        if not len(pairs.user):
            return
        first.requires_grad_(True)
        optimiser = torch.optim.Adam([first], lr=self.rate)
        for _ in range(self.epochs):
            order = torch.randperm(len(pairs.user), generator=draws)
            for rows in order.split(self.batch):
                loss = self._loss(first, adjacency, pairs, rows, draws)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                yield first

    def _loss(
        self,
        first: Tensor,
        adjacency: Tensor,
        pairs: _Pairs,
        rows: Tensor,
        draws: torch.Generator,
    ) -> Tensor:
        user, taken = pairs.user[rows], pairs.item[rows] + pairs.n_users
        other = pairs.negatives(user, draws) + pairs.n_users
        smooth = propagate(adjacency, first, self.layers)
        margin = (smooth[user] * (smooth[taken] - smooth[other])).sum(1)
        own = torch.cat([first[user], first[taken], first[other]])
        penalty = 0.5 * self.l2 * own.square().sum() / len(rows)
        return functional.softplus(-margin).mean() + penalty

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self._users[users] @ self._items.T)

    def _vectors(self) -> Vectors:
        return Vectors(self._users, self._items)


def propagate(adjacency: Tensor, first: Tensor, layers: int) -> Tensor:
    """The mean of E^(0) .. E^(layers), E^(0) being ``first`` [nodes, dim]."""
    total = current = first
    for _ in range(layers):
        current = _Smoothed.apply(current, adjacency)
        total = total + current
    return total / (layers + 1)


class _Smoothed(torch.autograd.Function):
    """adjacency @ embeddings; the gradient goes back through the same symmetric matrix.

    PyTorch's own gradient would build the transposed matrix anew in each step.
    """

    @staticmethod
    def forward(ctx, embeddings, adjacency):  # type: ignore[no-untyped-def]
        ctx.adjacency = adjacency
        return adjacency @ embeddings

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return ctx.adjacency @ gradient, None


class _Pairs:
    """The pairs held as tensors, and negatives for them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.n_users, self.n_items = snapshot.n_users, snapshot.n_items
        self.user = torch.from_numpy(snapshot.pairs.user.astype(np.int64))
        self.item = torch.from_numpy(snapshot.pairs.item.astype(np.int64))
        self._keys = self.user * self.n_items + self.item  # ascending, as pairs are

    def negatives(self, user: Tensor, draws: torch.Generator) -> Tensor:
        """int64 [B]: an item for each of ``user``, drawn uniformly until it is not held.

        A draw that hits a held item ten times over stays: its user holds nearly all.
        """
        item = torch.randint(self.n_items, (len(user),), generator=draws)
        for _ in range(10):
            held = torch.nonzero(self._held(user, item)).squeeze(1)
            if not len(held):
                break
            item[held] = torch.randint(self.n_items, (len(held),), generator=draws)
        return item

    def _held(self, user: Tensor, item: Tensor) -> Tensor:
        keys = user * self.n_items + item
        place = torch.searchsorted(self._keys, keys).clamp(max=len(self._keys) - 1)
        return self._keys[place] == keys


def _normalised(snapshot: Snapshot) -> Tensor:
    """D^-1/2 A D^-1/2 over users, then items: sparse float32 [nodes, nodes]."""
    n_users = snapshot.n_users
    user = torch.from_numpy(snapshot.pairs.user.astype(np.int64))
    item = torch.from_numpy(snapshot.pairs.item.astype(np.int64)) + n_users
    nodes = n_users + snapshot.n_items
    degree = torch.bincount(torch.cat([user, item]), minlength=nodes).float()
    value = (degree[user] * degree[item]).rsqrt()
    both = torch.stack([torch.cat([user, item]), torch.cat([item, user])])
    return torch.sparse_coo_tensor(
        both, torch.cat([value, value]), (nodes, nodes), check_invariants=True
    ).coalesce()
