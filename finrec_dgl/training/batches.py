"""Batches of positives, their shared candidates, and what message passing may not show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from finrec_dgl.dataset import Snapshot
from finrec_dgl.sampling import Blocks, NeighborSampler, whole_graph
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.seed_texts import seed_texts


@dataclass(frozen=True)
class Batch:
    """One step's work.

    ``edges`` int64 [B]: the interactions to predict, by their number in the graph; they are in no
    layer of ``blocks``. ``users`` [n], ``items`` [C]: distinct seeds, sorted; ``items`` are the
    candidates. ``user_text`` [n, d] or None: the users' text without that of ``edges``, where users
    wrote any. ``user_row`` [B], ``item_column`` [B]: where each positive's ends stand in them.
    ``allowed`` bool [B, C]: candidates that the user does not hold. ``correction`` [C] or None.
    """

    edges: Tensor
    users: Tensor
    items: Tensor
    user_row: Tensor
    item_column: Tensor
    allowed: Tensor
    correction: Tensor | None
    user_text: Tensor | None
    blocks: Blocks

    @property
    def seeds(self) -> Mapping[str, Tensor]:
        """The seeds per node type."""
        return {"user": self.users, "item": self.items}


class Batches:
    """The batches of an epoch over the interactions of ``snapshot``.

    Every random choice follows from (seed, epoch, number of the batch), so that a resumed run,
    or one with another number of workers, draws the same.
    """

    def __init__(self, snapshot: Snapshot, config: TrainConfig) -> None:
        self.config = config
        self.graph = snapshot.graph()
        self.user = snapshot.pairs.user.astype(np.int64)
        self.item = snapshot.pairs.item.astype(np.int64)
        self.n_items = snapshot.n_items
        self.negatives = config.negatives_of(snapshot.n_items)
        self.indptr = snapshot.pairs.indptr(snapshot.n_users)
        self.popularity = np.bincount(self.item, minlength=self.n_items).astype(np.float64)
        self.seed_texts = seed_texts(snapshot) if config.model.text else None
        depth = config.model.depth
        self.sampler = (
            NeighborSampler(self.graph, config.fanouts(depth))
            if config.sampler == "neighbor" and depth
            else None
        )

    def __len__(self) -> int:
        return -(-len(self.user) // self.config.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """All batches of ``epoch``, each interaction once, in an order of its own."""
        rng = np.random.default_rng((self.config.seed, epoch))
        order = rng.permutation(len(self.user))
        plan = [
            (epoch, number, order[start : start + self.config.batch_size])
            for number, start in enumerate(range(0, len(order), self.config.batch_size))
        ]
        if self.sampler is None or not self.config.workers:
            return (self.batch(*one) for one in plan)
        # edges are sorted before the processes part, so that they share them
        self.batch(*plan[0])
        loader = DataLoader(
            _Plan(self, plan),
            batch_size=None,
            num_workers=self.config.workers,
            worker_init_fn=_one_thread,
        )
        return iter(loader)

    def batch(self, epoch: int, number: int, edges: np.ndarray) -> Batch:
        """The batch of the interactions ``edges``."""
        rng = np.random.default_rng((self.config.seed, epoch, number))
        users, user_row = np.unique(self.user[edges], return_inverse=True)
        items = self._candidates(edges, rng)
        item_column = np.searchsorted(items, self.item[edges])
        ids = torch.from_numpy(edges)
        seeds = {"user": torch.from_numpy(users), "item": torch.from_numpy(items)}
        if self.sampler is None:
            blocks = whole_graph(self.graph, self.config.model.depth, ids)
        else:
            blocks = self.sampler.sample(seeds, ids, seed=int(rng.integers(2**63)))
        return Batch(
            ids,
            seeds["user"],
            seeds["item"],
            torch.from_numpy(user_row.reshape(-1)),
            torch.from_numpy(item_column),
            torch.from_numpy(self._allowed(users, user_row.reshape(-1), items)),
            self._correction(edges, items),
            self._user_text(edges, users, user_row.reshape(-1)),
            blocks,
        )

    def _candidates(self, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        kind = self.negatives
        if kind == "all":
            return np.arange(self.n_items)
        positives = self.item[edges]
        if kind == "in-batch":
            return np.unique(positives)
        if kind == "uniform":
            drawn = rng.integers(0, self.n_items, self.config.n_negatives)
        else:
            drawn = self.item[rng.integers(0, len(self.item), self.config.n_negatives)]
        return np.unique(np.concatenate([positives, drawn]))

    def _allowed(self, users: np.ndarray, user_row: np.ndarray, items: np.ndarray) -> np.ndarray:
        """bool [B, C]: which candidates each row's user does not hold."""
        column = np.full(self.n_items, -1)
        column[items] = np.arange(len(items))
        start, stop = self.indptr[users], self.indptr[users + 1]
        counts = stop - start
        first = np.concatenate([[0], np.cumsum(counts)[:-1]]) if len(counts) else counts
        at = np.arange(counts.sum()) + np.repeat(start - first, counts)
        held_column = column[self.item[at]]
        held_row = np.repeat(np.arange(len(users)), counts)
        inside = held_column >= 0
        free = np.ones((len(users), len(items)), dtype=bool)
        free[held_row[inside], held_column[inside]] = False
        return free[user_row]

    def _user_text(
        self, edges: np.ndarray, users: np.ndarray, user_row: np.ndarray
    ) -> Tensor | None:
        if self.seed_texts is None:
            return None
        return torch.from_numpy(self.seed_texts.without(edges, users, user_row))

    def _correction(self, edges: np.ndarray, items: np.ndarray) -> Tensor | None:
        """log of the expected number of times each candidate comes up among those drawn."""
        kind = self.negatives
        if kind == "all" or self.config.loss != "softmax":
            return None
        share = self.popularity[items] / max(self.popularity.sum(), 1)
        expected = len(edges) * share
        if kind == "uniform":
            expected = expected + self.config.n_negatives / self.n_items
        elif kind == "popularity":
            expected = expected + self.config.n_negatives * share
        # a candidate stands once however often it was drawn
        return torch.from_numpy(np.log(np.minimum(1.0, np.maximum(expected, 1e-12)))).float()


class _Plan(TorchDataset):
    def __init__(self, batches: Batches, plan: list[tuple[int, int, np.ndarray]]) -> None:
        self.batches = batches
        self.plan = plan

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Any:
        return self.batches.batch(*self.plan[number])


def _one_thread(worker: int) -> None:  # noqa: ARG001
    torch.set_num_threads(1)
