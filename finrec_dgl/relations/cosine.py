"""Item to item by the users that both share, faded by the age of the interaction."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from finrec_dgl.graph.filters import CosineFilter
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.kernels.slots import SparseRows, slot_top
from finrec_dgl.relations.base import Relation, register_relation, stacked
from finrec_dgl.relations.batch import SeedBatch
from finrec_dgl.relations.view import GraphTensors, Seeds
from finrec_dgl.sampling.near import near_items


def fade(age: Tensor, half_life: float) -> Tensor:
    """Return 2^(-age / half_life), float [n], for ages in days; 1 where ``half_life`` is 0."""
    return torch.exp2(-age / half_life) if half_life else torch.ones_like(age)


@register_relation
class Cosine(Relation):
    """One channel for each half-life: what is near to the history, recent items more.

    message(u, i) = sum over items j of u's history of 2^(-age_uj / half_life) c_ji, with c the
    cosine of ``CosineFilter`` by ``cosine_alpha``, ``cosine_users`` and ``cosine_shrink``. Where
    there are many items, c_ji is of the ``near`` items i nearest to j, and 0 for others.
    """

    name, slotted = "cosine", True

    def channel_names(self) -> tuple[str, ...]:
        return tuple(f"cosine {one:g}" for one in self.config.holding_half_lives)

    def start(self) -> Tensor:
        weight = super().start()
        if self.config.starts_at_cosine:
            weight[-1] = 1.0
        return weight

    def propose(self, batch: SeedBatch, count: int) -> Tensor:
        view, seeds = batch.view, batch.seeds
        weight = self._faded(seeds).mean(dim=0)
        return slot_top(seeds.history, weight, self._near(view), seeds.known, count)

    def sample(self, batch: SeedBatch) -> Tensor:
        if batch.slots is None:
            return stacked([batch.log_share(one) for one in self.messages(batch)])
        seeds = batch.seeds
        found = batch.sums(seeds.history, self._faded(seeds), self._near(batch.view))
        return stacked([batch.log_share(message, total) for message, total in found])

    def _faded(self, seeds: Seeds) -> Tensor:
        """Return how much each entry of a history still counts, float32 [half-lives, entries]."""
        return torch.stack([fade(seeds.age, one) for one in self.config.holding_half_lives])

    def _near(self, view: GraphTensors) -> SparseRows:
        """Return the nearest items of each item, from users and items that are drawn."""
        config, fanout = self.config, view.fanouts.users
        by = {"alpha": config.cosine_alpha, "users": config.cosine_users}

        def make() -> SparseRows:
            return near_items(
                view.user_items,
                view.n_users,
                view.n_items,
                near=config.near,
                fanout=fanout,
                shrink=config.cosine_shrink,
                seed=view.fanouts.key,
                item_users=Ragged(view.item_users.indptr.long(), view.item_users.indices),
                **by,
            )

        return view.kept("near items", make)

    def messages(self, batch: SeedBatch) -> list[Tensor]:
        """Return the messages [B, n_items] of each half-life."""
        view, seeds = batch.view, batch.seeds
        near = view.kept("cosine", lambda: self._filter(view))
        lives = self.config.holding_half_lives
        if isinstance(near, Tensor):
            return [seeds.message(near, fade(seeds.age, one)) for one in lives]
        return [view.tensor(near(_faded(seeds, one, view.n_items))) for one in lives]

    def _filter(self, view: GraphTensors) -> CosineFilter | Tensor:
        """Return the filter, as one dense matrix where there are few items."""
        config = self.config
        by = (config.cosine_alpha, config.cosine_users, config.cosine_shrink)
        found = CosineFilter(sp.csr_array(view.snapshot.matrix()), *by)
        return found if found.matrix is None else view.tensor(found.matrix)


def _faded(seeds: Seeds, half_life: float, n_items: int) -> sp.csr_array:
    """Return the histories as a SciPy matrix [B, n_items] of faded ones."""
    weight = fade(seeds.age, half_life).cpu().numpy()
    indptr, items = seeds.history.indptr.cpu().numpy(), seeds.history.values.cpu().numpy()
    return sp.csr_array((weight.astype(np.float32), items, indptr), shape=(len(seeds), n_items))
