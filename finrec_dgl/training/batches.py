"""Batches of positives, their shared candidates, and what message passing may not show them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph import INTERACTED_BY, INTERACTS
from finrec_dgl.kernels import choose
from finrec_dgl.nn import silent_relations
from finrec_dgl.sampling import Blocks, NegativeSampler, NeighborSampler, SeedGroups, whole_graph
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.seed_texts import seed_texts


@dataclass(frozen=True)
class Batch:
    """One step's work.

    ``edges`` int64 [B]: the interactions to predict, by their number in the graph; they are in no
    layer of ``blocks``. ``users`` [n], ``items`` [C]: distinct seeds, sorted. ``user_text`` [n, d]
    or None: the users' text without that of ``edges``, where users wrote any. ``user_row`` [B],
    ``item_row`` [B]: where each positive's ends stand in them. ``negatives`` [K]: where the
    negatives do. ``allowed`` bool [n, K]: which of these a user's positives are compared with;
    without ``reject_held`` [B, K], of each positive by itself. ``correction`` [C] or None.
    """

    edges: Tensor
    users: Tensor
    items: Tensor
    user_row: Tensor
    item_row: Tensor
    negatives: Tensor
    allowed: Tensor
    correction: Tensor | None
    user_text: Tensor | None
    blocks: Blocks

    @property
    def seeds(self) -> Mapping[str, Tensor]:
        """The seeds per node type."""
        return {"user": self.users, "item": self.items}

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        parts: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        moved: dict[str, Any] = {
            name: one if one is None else one.to(device) for name, one in parts.items()
        }
        return Batch(**moved)


class Batches:
    """The batches of an epoch over the interactions of ``snapshot``.

    Every random choice follows from (seed, epoch, number of the batch), so that a resumed run,
    or one with another number of workers, draws the same.
    """

    def __init__(self, snapshot: Snapshot, config: TrainConfig) -> None:
        self.config = config
        self.graph = snapshot.layer()
        self.user, self.item = snapshot.pairs.user, snapshot.pairs.item
        indptr = snapshot.pairs.indptr(snapshot.n_users)
        self.negatives = NegativeSampler(
            config.negatives_of(snapshot.n_items),
            config.n_negatives,
            indptr,
            self.item,
            snapshot.n_items,
        )
        self.groups = SeedGroups(self.user, indptr, config.together_of(len(self.user)))
        self.seed_texts = seed_texts(snapshot) if config.model.text else None
        model, depth = config.model, config.model.depth
        social = model.social and model.stream_one
        self.sampler = (
            NeighborSampler(
                self.graph,
                config.fanouts(snapshot, 0).layers(depth),
                # ties carry messages nowhere else
                None if social else (INTERACTS, INTERACTED_BY),
                silent_relations(model, snapshot.item_text.shape[1]),
            )
            if depth and config.samples(snapshot)
            else None
        )
        self.native = choose(model.kernels, torch.empty(0)) == "native"

    def __len__(self) -> int:
        return -(-len(self.user) // self.config.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """All batches of ``epoch``, each interaction once, in an order of its own."""
        plan = _Plan(self, epoch)
        if self.sampler is not None and self.config.workers:
            # edges are sorted before the processes part, so that they share them
            plan[0]
            loader = DataLoader(
                plan,
                batch_size=None,
                num_workers=self.config.workers,
                worker_init_fn=_one_thread,
            )
            return iter(loader)
        if self.config.prefetch:
            return self._ahead(plan)
        return (plan[number] for number in range(len(plan)))

    def _ahead(self, plan: _Plan) -> Iterator[Batch]:
        """The batches of ``plan``, ``prefetch`` of them made by a thread before they are needed."""
        pool = ThreadPoolExecutor(1)
        made: deque[Future[Batch]] = deque()
        try:
            for number in range(len(plan)):
                # its processor is not the model's
                made.append(pool.submit(plan.batch, number, threads=1))
                if len(made) > self.config.prefetch:
                    yield made.popleft().result()
            while made:
                yield made.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def batch(
        self, epoch: int, number: int, edges: np.ndarray, threads: int | None = None
    ) -> Batch:
        """The batch of the interactions ``edges``; ``threads`` that sample, None: PyTorch's."""
        rng = np.random.default_rng((self.config.seed, epoch, number))
        user, item = self.user[edges], self.item[edges]
        users, user_row = np.unique(user.astype(np.int64), return_inverse=True)
        user_row = user_row.reshape(-1)
        candidates = self.negatives.draw(item, rng)
        items = candidates.items
        ids = torch.from_numpy(edges)
        seeds = {"user": torch.from_numpy(users), "item": torch.from_numpy(items)}
        if self.sampler is None:
            blocks = whole_graph(self.graph, self.config.model.depth, ids)
        else:
            seed = int(rng.integers(2**63))
            blocks = self.sampler.sample(seeds, ids, seed=seed, threads=threads)
        if self.native:
            for layer in blocks.layers:
                for one in layer.edges.values():
                    _ = one.by_sender  # the gradient's order, made here and not in the step
        drawn = items[candidates.negatives]
        if self.config.reject_held:
            allowed = self.negatives.free(users, drawn)
        else:
            allowed = item[:, None] != drawn
        correction = None
        if self.config.loss == "softmax":
            correction = self.negatives.log_expected(len(edges), items)
        return Batch(
            ids,
            seeds["user"],
            seeds["item"],
            torch.from_numpy(user_row),
            torch.from_numpy(np.searchsorted(items, item)),
            torch.from_numpy(candidates.negatives),
            torch.from_numpy(allowed),
            None if correction is None else torch.from_numpy(correction),
            self._user_text(edges, users, user_row),
            blocks,
        )

    def _user_text(
        self, edges: np.ndarray, users: np.ndarray, user_row: np.ndarray
    ) -> Tensor | None:
        if self.seed_texts is None:
            return None
        return torch.from_numpy(self.seed_texts.without(edges, users, user_row))


class _Plan(TorchDataset):
    """The batches of one epoch by their number, each made when it is asked for."""

    def __init__(self, batches: Batches, epoch: int) -> None:
        self.batches = batches
        self.epoch = epoch
        rng = np.random.default_rng((batches.config.seed, epoch))
        self.order = batches.groups.shuffled(rng)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch:
        return self.batch(number)

    def batch(self, number: int, threads: int | None = None) -> Batch:
        size = self.batches.config.batch_size
        stop = min((number + 1) * size, self.batches.groups.count)
        edges = self.order.part(number * size, stop)
        return self.batches.batch(self.epoch, number, edges, threads)


def _one_thread(worker: int) -> None:  # noqa: ARG001
    torch.set_num_threads(1)
