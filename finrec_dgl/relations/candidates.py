"""The items that each seed is scored with, where there are too many to score all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from finrec_dgl.kernels.slots import distinct_slots
from finrec_dgl.relations.base import Relation
from finrec_dgl.relations.batch import SeedBatch, Slots
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.cosine import fade
from finrec_dgl.relations.view import GraphTensors

POPULAR = 0.2
"""The share of candidates that is popular, whoever the seed is."""

DRAWN = 256
"""Items drawn in training, which stand for all that are no candidates."""


def candidates(
    batch: SeedBatch, relations: Sequence[Relation], config: PairConfig, new: Tensor | None = None
) -> Tensor:
    """Return the candidates of each seed, int32 [B, ``config.candidates``], -1 for none.

    What the relations propose, each an equal part, popular items, and ``new`` ones int32 [B, K];
    an item once, and none that the seed has interacted with.
    """
    view, n = batch.view, batch.view.n_items
    popular = popular_items(view, max(1, int(POPULAR * config.candidates)))
    proposing = [one for one in relations if type(one).propose is not Relation.propose]
    left = config.candidates - len(popular) - (0 if new is None else new.shape[1])
    each = max(1, left // max(1, len(proposing)))
    parts = [part for one in proposing if (part := one.propose(batch, min(each, n))) is not None]
    shared = popular.expand(len(batch.seeds), -1)
    parts += [] if new is None else [new]
    return fresh_slots(batch, [*parts, shared])


def popular_items(view: GraphTensors, count: int) -> Tensor:
    """Return the items of the most interactions, half of them of the most recent ones.

    int32 [at most ``count``]; an interaction counts half as recent after 30 days.
    """

    def make() -> Tensor:
        half = min(max(1, count // 2), view.n_items)
        recent = torch.bincount(view.user_items.values, fade(view.age, 30.0), view.n_items)
        found = [torch.topk(one.float(), half).indices for one in (view.item_count, recent)]
        return torch.unique(torch.cat(found)).int()

    return view.kept(f"popular {count}", make)


def fresh_slots(batch: SeedBatch, parts: Sequence[Tensor]) -> Tensor:
    """Return lists of items side by side, each once and none that its seed has interacted with."""
    known = batch.seeds.known
    seen = _padded(known.row, known.values.long(), len(known))
    return distinct_slots([seen, *parts])[:, seen.shape[1] :].contiguous()


def with_targets(batch: SeedBatch, found: Tensor, row: Tensor, item: Tensor, key: int) -> Slots:
    """Return slots for training: the candidates ``found``, the targets, and a draw of the others.

    Parameters
    ----------
    batch : SeedBatch
        B seeds.
    found : Tensor
        int32 [B, C]: their candidates.
    row, item : Tensor
        int64 [T]: which seeds are asked for which items.
    key : int
        Which draw. ``DRAWN`` items are drawn evenly, once for the batch; in a sum over all items
        those that are no candidates stand for all such items.
    """
    n, n_items = len(found), batch.view.n_items
    draws = torch.Generator().manual_seed(key)
    drawn = torch.randint(n_items, (min(DRAWN, n_items),), generator=draws).to(found)
    asked = _padded(row, item, n)
    slots = fresh_slots(batch, [found, asked, drawn.expand(n, -1)])
    first = found.shape[1] + asked.shape[1]
    there = slots >= 0
    others = (n_items - batch.seeds.known.counts - there[:, :first].sum(1)).clamp(min=0)
    count = there[:, first:].sum(1).clamp(min=1)
    stands_for = torch.ones_like(slots, dtype=torch.float32)
    stands_for[:, first:] = (others / count).clamp(min=1).unsqueeze(1)
    return Slots(slots, found.shape[1], stands_for)


def _padded(row: Tensor, item: Tensor, n: int) -> Tensor:
    """Return the items of each row as int32 [n, most in a row], -1 for none."""
    order = torch.argsort(row, stable=True)
    counts = torch.bincount(row, minlength=n)
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row[order]]
    width = int(counts.max()) if len(row) else 0
    padded = torch.full((n, width), -1, dtype=torch.int32, device=row.device)
    padded[row[order], place] = item[order].int()
    return padded
