"""How popular items are, how that changes, and whether it came in bursts: channels of the item."""

from __future__ import annotations

import torch
from torch import Tensor

from finrec_dgl.relations.base import ITEM_TERMS, Relation, register_relation, stacked
from finrec_dgl.relations.batch import FLOOR, SeedBatch
from finrec_dgl.relations.cosine import fade


@register_relation
class Popularity(Relation):
    """log( share of the item in all interactions * n_items + floor )."""

    name, part, per_item = "popularity", ITEM_TERMS, True

    def channel_names(self) -> tuple[str, ...]:
        return ("popularity",)

    def sample(self, batch: SeedBatch) -> Tensor:
        view = batch.view
        share = view.item_count / view.item_count.sum().clamp(min=1)
        return torch.log(share * view.n_items + FLOOR).unsqueeze(1)


@register_relation
class Trends(Relation):
    """How popularity grew from each half-life to the next shorter one.

    p_h(i) = sum of 2^(-age / h) over the interactions of i, as a share of all and shrunk towards
    the share at the longer half-life by ``trend_prior`` pseudo-counts; the channel is
    log p_h - log p_(next longer).
    """

    name, part, per_item = "trends", ITEM_TERMS, True

    def channel_names(self) -> tuple[str, ...]:
        return tuple(f"trend {one:g}" for one in self.config.trend_half_lives)

    def sample(self, batch: SeedBatch) -> Tensor:
        view = batch.view
        item, prior = view.user_items.values.long(), self.config.trend_prior
        share = view.item_count / view.item_count.sum().clamp(min=1)
        found = []
        for half_life in self.config.trend_half_lives:
            recent = torch.bincount(item, fade(view.age, half_life), view.n_items)
            shrunk = (recent + prior * share) / (recent.sum() + prior).clamp(min=1e-9)
            found.append(torch.log((shrunk + 1e-6) / (share + 1e-6)))
            share = shrunk
        return stacked(found)


@register_relation
class Burstiness(Relation):
    """log q - log p of each item: low where interactions came on few days, 0 without timestamps.

    With n_id interactions of item i on day d, h = ``steady_half_life`` and each as a share of its
    sum over items, p_i = sum over d of n_id 2^(-age_d / h), and q_i the same of log(1 + n_id); both
    are shrunk towards the share of all time by ``trend_prior`` pseudo-counts.
    """

    name, part, per_item = "burstiness", ITEM_TERMS, True

    def channel_names(self) -> tuple[str, ...]:
        return ("burstiness",) if self.config.steady_half_life else ()

    def sample(self, batch: SeedBatch) -> Tensor:
        view = batch.view
        if view.snapshot.last is None:
            return torch.zeros(view.n_items, 1, device=view.device)
        day = view.age.floor().long()
        days = int(day.max()) + 1 if len(day) else 1
        key, count = torch.unique(view.user_items.values * days + day, return_counts=True)
        item, day, size = key // days, key % days, count.double()
        faded = fade(day.double(), self.config.steady_half_life)
        total, prior = (faded * size).sum().clamp(min=1e-9), self.config.trend_prior
        share = view.item_count.double() / view.item_count.sum().clamp(min=1)
        logs = []
        for weight in (faded * size, faded * torch.log1p(size)):
            weight = weight * (total / weight.sum().clamp(min=1e-9))
            recent = torch.zeros_like(share).index_add_(0, item, weight)
            logs.append(torch.log((recent + prior * share) / (total + prior) + 1e-6))
        return (logs[1] - logs[0]).float().unsqueeze(1)
