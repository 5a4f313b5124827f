"""What the users that a seed is connected to took up."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finrec_dgl.kernels.ragged import Ragged, row_numbers
from finrec_dgl.kernels.slots import slot_top
from finrec_dgl.relations.base import (
    GRAPH_ATTENTION,
    ModelShape,
    Relation,
    register_relation,
    stacked,
)
from finrec_dgl.relations.batch import SeedBatch
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.view import GraphTensors


@register_relation
class Ties(Relation):
    """How many of a seed's connections have each item, above a learned floor.

    0 for an item that no connection has. A channel of its own, since who is connected need not be
    alike: in one sum over peers either drowns the other.
    """

    name, part, learned, slotted = "ties", GRAPH_ATTENTION, True, True

    def __init__(self, config: PairConfig, shape: ModelShape) -> None:
        super().__init__(config, shape)
        if shape.tie_kinds:
            self.floor = nn.Parameter(torch.zeros(()))

    def channel_names(self) -> tuple[str, ...]:
        return ("ties",) if self.shape.tie_kinds else ()

    def propose(self, batch: SeedBatch, count: int) -> Tensor | None:
        if not self.shape.tie_kinds:
            return None
        connected, one = _ones(batch)
        return slot_top(connected, one[0], batch.view.user_rows, batch.seeds.known, count)

    def at_floor(self) -> Tensor:
        return torch.zeros(len(self.channel_names()))

    def sample(self, batch: SeedBatch) -> tuple[Tensor, ...]:
        """Return how many connections have each item of a column, and the sum over free items."""
        if batch.slots is None:
            return (item_counts(batch.view, batch.seeds.connected),)
        connected, one = _ones(batch)
        return batch.sums(connected, one, batch.view.user_rows)[0]

    def forward(self, batch: SeedBatch, sampled: Tensor | tuple[Tensor, ...]) -> Tensor:
        message, *total = sampled
        share = batch.log_share(message, total[0] if total else None, self.floor.exp())
        return stacked([share - self.floor])


def _ones(batch: SeedBatch) -> tuple[Ragged, Tensor]:
    """Return the connections of each seed, and a weight of 1 for each, float32 [1, entries]."""
    connected = batch.seeds.connected
    return connected, torch.ones(1, len(connected.values), device=connected.values.device)


def item_counts(view: GraphTensors, users: Ragged) -> Tensor:
    """Return how many of the users of each row have each item, float32 [rows, n_items]."""
    items, _ = view.user_items.rows(users.values.long())
    ends = items.indptr[users.indptr]  # rows of users, then their items: one after the other
    row = row_numbers(ends, len(items.values))
    counts = torch.zeros(len(users) * view.n_items, device=view.device)
    counts.index_add_(0, row * view.n_items + items.values, torch.ones_like(row).float())
    return counts.view(len(users), view.n_items)
