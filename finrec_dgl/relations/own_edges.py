"""Messages over the edges that only the user knows: one channel for each edge table."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finrec_dgl.kernels.ragged import Ragged, row_places
from finrec_dgl.relations.base import (
    GRAPH_CONVOLUTION,
    ModelShape,
    Relation,
    register_relation,
    stacked,
)
from finrec_dgl.relations.batch import SeedBatch
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.view import GraphTensors


@register_relation
class OwnEdges(Relation):
    """What reaches (u, i) over the edges e of one table, in either direction, above a floor.

    user - item   sum over edges between u and i of a_e
    user - user   sum over edges between u and a user v who has i of a_e
    item - item   sum over edges between i and an item of u's history of a_e

    a_e = exp(w . f_e), with the edge's features f_e standardised over the edges of the view; w is
    learned from 0. The channel is 0 for an item that nothing reaches.
    """

    name, part, learned, slotted = "own_edges", GRAPH_CONVOLUTION, True, True

    def __init__(self, config: PairConfig, shape: ModelShape) -> None:
        super().__init__(config, shape)
        self.tables = tuple(shape.edges)
        self.floor = nn.Parameter(torch.zeros(len(self.tables)))
        self.feature = nn.ParameterList(torch.zeros(shape.edges[one]) for one in self.tables)

    def channel_names(self) -> tuple[str, ...]:
        names = [name for _, name, _ in self.tables]
        return tuple(
            f"edges {name}" if names.count(name) == 1 else f"edges {source} {name} {target}"
            for source, name, target in self.tables
        )

    def at_floor(self) -> Tensor:
        return torch.zeros(len(self.channel_names()))

    def sample(self, batch: SeedBatch) -> tuple[Tensor, ...]:
        """Return for each table the flat place (seed, item) and the features of each message."""
        found: list[Tensor] = []
        for table in self.tables:
            by_src, by_dst = _rows(batch.view, table)
            ways = ((table[0], table[2], by_src), (table[2], table[0], by_dst))
            both = [_messages(batch, here, there, rows) for here, there, rows in ways]
            place, edge = (torch.cat(parts) for parts in zip(*both, strict=True))
            found += [place, _features(batch.view, table)[edge]]
        return tuple(found)

    def forward(self, batch: SeedBatch, sampled: Tensor | tuple[Tensor, ...]) -> Tensor:
        given = iter(sampled)
        channels = []
        for number in range(len(self.tables)):
            place, features = next(given), next(given)
            amount = torch.exp((features @ self.feature[number]).clamp(max=20.0))
            message, total = _summed(batch, place, amount)
            floor = self.floor[number]
            channels.append(batch.log_share(message, total, floor.exp()) - floor)
        return stacked(channels)


def _summed(batch: SeedBatch, place: Tensor, amount: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return sums of ``amount`` [m] by the columns of the seeds, float [B, C], and their totals.

    ``place`` int64 [m]: seed * n_items + item. The total is over all free items, None where all
    items have a column.
    """
    n, n_items = len(batch.seeds), batch.view.n_items
    if batch.slots is None:
        message = amount.new_zeros(n * n_items).index_add(0, place, amount)
        return message.view(n, n_items), None
    order = torch.argsort(place)
    row, item = place[order] // n_items, (place[order] % n_items).int()
    counts = torch.bincount(row, minlength=n)
    rows = Ragged(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), item)
    return batch.sums(rows, amount[order].unsqueeze(0), batch.view.single_items)[0]


def _features(view: GraphTensors, table: tuple[str, str, str]) -> Tensor:
    """Return the features of the table's edges, float32 [E, F], standardised over them."""

    def make() -> Tensor:
        features = view.tensor(view.snapshot.edges[table].features)
        if not features.numel():
            return features
        spread = features.std(dim=0, correction=0)
        return (features - features.mean(dim=0)) / torch.where(spread > 0, spread, 1.0)

    return view.kept(f"features of {table}", make)


def _rows(view: GraphTensors, table: tuple[str, str, str]) -> tuple[tuple[Ragged, Tensor], ...]:
    """Return the table's edges by source and by destination: the other ends, and edge numbers."""

    def make() -> tuple[tuple[Ragged, Tensor], ...]:
        edges = view.snapshot.edges[table]
        sizes = {"user": view.n_users, "item": view.n_items}
        src, dst = (torch.from_numpy(one.copy()).to(view.device) for one in (edges.src, edges.dst))
        return _by(src, dst, sizes[table[0]]), _by(dst, src, sizes[table[2]])

    return view.kept(f"edges of {table}", make)


def _by(here: Tensor, there: Tensor, size: int) -> tuple[Ragged, Tensor]:
    order = torch.argsort(here, stable=True)
    counts = torch.bincount(here, minlength=size)
    return Ragged(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), there[order]), order


def _messages(
    batch: SeedBatch, here: str, there: str, rows: tuple[Ragged, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the places (seed, item), int64 [m] flat, and the edges of messages from ``here``.

    ``rows``: the edges by their end ``here``; the seed, or an item of its history, is that end.
    """
    by, edge = rows
    seeds, view = batch.seeds, batch.view
    row = (seeds.user >= 0).nonzero().squeeze(1)  # -1: a user who is not in the graph
    start = seeds.user[row]
    if here == "item":
        start, row = (seeds.item, seeds.row) if there == "item" else (seeds.item[:0], seeds.row[:0])
    places, offsets = row_places(by.indptr, start)
    row = torch.repeat_interleave(row, offsets.diff(), output_size=len(places))
    end, edge = by.values[places].long(), edge[places]
    if there == "item":
        return row * view.n_items + end, edge
    items, _ = view.user_items.rows(end)
    each = items.counts
    row, edge = (torch.repeat_interleave(one, each) for one in (row, edge))
    return row * view.n_items + items.values, edge
