"""Products' vectors learned by softmax, so that a part of what users hold finds the rest of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional

from finrec_dgl.base.memory import reused_memory
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.kernels import Compressed, Edges, neighbour_sum
from finrec_dgl.relations.base import (
    ModelShape,
    Relation,
    register_relation,
    stacked,
)
from finrec_dgl.relations.batch import SeedBatch
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.view import GraphTensors

_USERS_AT_ONCE = 256
_HIDDEN = 0.4
_PACE, _LAST_PACE = 0.02, 0.02
_START = 0.1


@register_relation
class Vectors(Relation):
    """Item to item by learned vectors m [n_items, width], see ``learn_vectors``.

    The user of a history H is u = sum over j in H of m_j / sqrt(d_j), with d_j the users of j, and
    message(u, i) = softmax over i of cos(u, m_i) / temperature.

    Each view has vectors of its own, learned from nothing but that view; the weights keep those of
    the view that is scored in.
    """

    name, slotted = "vectors", True

    def __init__(self, config: PairConfig, shape: ModelShape) -> None:
        super().__init__(config, shape)
        table = torch.zeros(shape.n_items, config.vectors) if config.vectors else None
        self.register_buffer("table", table)
        self.table: Tensor | None

    def channel_names(self) -> tuple[str, ...]:
        return ("vectors",) if self.config.vectors else ()

    def prepare(self, view: GraphTensors, seed: int, progress: Progress, name: str) -> None:
        if self.config.vectors:
            view.kept("vectors", lambda: self._learned(view, seed, progress, name))

    def _learned(self, view: GraphTensors, seed: int, progress: Progress, name: str) -> Tensor:
        matrix = view.snapshot.matrix()
        return view.tensor(learn_vectors(matrix, self.config, seed, progress, f"vectors, {name}"))

    def settle(self, view: GraphTensors) -> None:
        if self.table is not None:
            self.table.copy_(self._vectors(view))

    def _vectors(self, view: GraphTensors) -> Tensor:
        table = self.table
        if table is None:
            table = torch.zeros(view.n_items, 0)
        return view.kept("vectors", lambda: table.to(view.device))

    def sample(self, batch: SeedBatch) -> Tensor:
        view, seeds = batch.view, batch.seeds
        vectors = self._vectors(view)
        into = vectors / view.item_count.clamp(min=1).sqrt().unsqueeze(1)
        out = functional.normalize(vectors) / self.config.vector_temperature
        users = functional.normalize(seeds.message(into))
        return stacked([batch.log_share(torch.softmax(batch.products(users, out), dim=1))])


def learn_vectors(
    held: Any,
    config: PairConfig,
    seed: int = 0,
    progress: Progress = SILENT,
    name: str = "vectors",
) -> np.ndarray:
    """Vectors m float32 [n_items, ``config.vectors``] of the items of ``held`` [n_users, n_items].

    m = e + spread * P e, P = D_i^-1/2 X^T D_u^-1 X D_i^-1/2: a learned vector and those of the
    items that are held with it (graph convolution as in LightGCN, He et al., SIGIR 2020, over two
    steps; no vectors of users, as in Asymmetric-SVD, Koren, KDD 2008). In a step some users have a
    share of what they hold hidden, by which

        loss = - sum over u, i hidden of w_u log softmax_i( cos(u, m_i) / temperature ),

    u being made of what is left (as ``Vectors`` does), w_u the number of hidden ones to the power
    -1/2, and what is left no candidate. The step's users take no part in P: no hidden pair, in
    either direction, is in the messages that are to find it. Adam, with steps that fall to nothing
    by a cosine. The same for one ``seed``. ``progress`` hears of them as ``name``.
    """
    draws = np.random.default_rng(seed)
    graph = _Graph(sp.csr_array(held), config)
    start = draws.standard_normal((held.shape[1], config.vectors), np.float32) * _START
    first = torch.from_numpy(start).requires_grad_(True)
    optimiser = torch.optim.Adam([first], lr=_PACE, betas=(0.9, 0.99))
    users = np.flatnonzero(np.diff(graph.held.indptr) > 1)
    total = config.vector_epochs * -(-len(users) // _USERS_AT_ONCE)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(total, 1), _PACE * _LAST_PACE)
    with progress.task(name, total, "steps") as task, reused_memory():
        for _ in range(config.vector_epochs):
            for chosen in _batches(draws.permutation(users)):
                loss = graph.loss(first, chosen, draws)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                fall.step()
                task.advance(1, loss=f"{loss.item():.3f}")
    with torch.inference_mode():
        found: np.ndarray = graph.spread(first, None).numpy()
    return found


def _batches(users: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(users), _USERS_AT_ONCE):
        yield np.sort(users[start : start + _USERS_AT_ONCE])


class _Graph:
    """Who holds what, in both directions."""

    def __init__(self, held: Any, config: PairConfig) -> None:
        self.config = config
        self.held = held
        n_users, n_items = held.shape
        by_user = _compressed(held)
        self.to_users = Edges.compressed(n_items, n_users, by_user)
        by_item = self.to_users.by_sender
        self.to_items = Edges.compressed(n_users, n_items, by_item, by_user)
        self.scale = _degrees(by_item).rsqrt()  # [I, 1]
        self.share = 1 / _degrees(by_user)  # [U, 1]

    def spread(self, first: Tensor, without: np.ndarray | None) -> Tensor:
        """m [I, width] of e = ``first``, as if the users ``without`` held nothing."""
        share = self.share
        if without is not None:
            share = share.clone()
            share[torch.from_numpy(without)] = 0.0
        users = neighbour_sum(self.to_users, first * self.scale) * share
        return first + self.config.vector_spread * self.scale * neighbour_sum(self.to_items, users)

    def loss(self, first: Tensor, users: np.ndarray, draws: np.random.Generator) -> Tensor:
        """The loss of ``users``, of what is drawn to be hidden of them: a scalar."""
        rows = self.held[users]
        row = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
        hidden = draws.random(len(row)) < _HIDDEN
        hidden[rows.indptr[:-1] + draws.integers(np.diff(rows.indptr))] = True  # one at least
        left = sp.csr_array(
            (rows.data[~hidden], (row[~hidden], rows.indices[~hidden])), shape=rows.shape
        )
        item = self.spread(first, users)
        edges = Edges.compressed(rows.shape[1], len(users), _compressed(left))
        user = functional.normalize(neighbour_sum(edges, item * self.scale))
        scores = (user / self.config.vector_temperature) @ functional.normalize(item).T
        known = torch.from_numpy(row[~hidden]), torch.from_numpy(rows.indices[~hidden]).long()
        scores = scores.index_put(known, scores.new_tensor(-1e9))
        asked = torch.from_numpy(row[hidden]), torch.from_numpy(rows.indices[hidden]).long()
        each = functional.log_softmax(scores, dim=1)[asked]
        weight = torch.bincount(asked[0], minlength=len(users)).float().rsqrt()[asked[0]]
        return -(each * weight).sum() / weight.sum()


def _compressed(rows: Any) -> Compressed:
    return Compressed(
        torch.from_numpy(rows.indptr.astype(np.int32)),
        torch.from_numpy(rows.indices.astype(np.int32)),
    )


def _degrees(rows: Compressed) -> Tensor:
    return rows.indptr.diff().clamp(min=1).float().unsqueeze(1)
