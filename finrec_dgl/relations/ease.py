"""Item to item by EASE: a linear regression of each item on all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from finrec_dgl.graph.ease import ease_filters, near_ease_filters
from finrec_dgl.kernels.slots import SparseRows
from finrec_dgl.relations.base import Relation, register_relation, stacked
from finrec_dgl.relations.batch import SeedBatch
from finrec_dgl.relations.view import GraphTensors, Seeds


@register_relation
class Ease(Relation):
    """One channel for each penalty of EASE (Steck, WWW 2019).

    message(u, i) = sum over items j of u's history of B_ji, with B = I - P / diag(P) and
    P = (X^T X + penalty I)^-1; with ``ease_near``, each column among an item's nearest items only.
    Without it there is no channel where there are more than ``all_items``.
    """

    name, slotted = "ease", True

    def channel_names(self) -> tuple[str, ...]:
        if self.many_items and not self.config.ease_near:
            return ()  # a dense matrix between all items
        return tuple(f"ease {one:g}" for one in self.config.ease)

    def start(self) -> Tensor:
        weight = super().start()
        # the largest penalty starts, where no cosine channel does (see ``Cosine.start``)
        if len(weight) and not self.config.starts_at_cosine:
            weight[-1] = 1.0
        return weight

    def sample(self, batch: SeedBatch) -> Tensor:
        if batch.slots is None:
            return stacked([batch.log_share(one) for one in self.messages(batch)])
        seeds = batch.seeds
        one = torch.ones(1, len(seeds.item), device=seeds.device)
        found = [batch.sums(seeds.history, one, rows)[0] for rows in self._near(batch.view)]
        return stacked([batch.log_share(message, total) for message, total in found])

    def _near(self, view: GraphTensors) -> list[SparseRows]:
        """Return B for each penalty, which goes by an item's nearest items."""
        filters: list[Any] = view.kept("ease", lambda: self._filters(view))

        def make() -> list[SparseRows]:
            return [_rows(one, view.device) for one in filters]

        return view.kept("ease rows", make)

    def messages(self, batch: SeedBatch) -> list[Tensor]:
        """Return the messages [B, n_items] of each penalty."""
        config, view, seeds = self.config, batch.view, batch.seeds
        filters: list[Any] = view.kept("ease", lambda: self._filters(view))
        if not config.ease_near:
            return [seeds.message(one) for one in filters]
        history = _sparse(seeds, view.n_items)
        return [view.tensor((history @ one).toarray()) for one in filters]

    def _filters(self, view: GraphTensors) -> list[Any]:
        """Return B for each penalty: dense tensors, or SciPy matrices with ``ease_near``."""
        matrix, config = sp.csr_array(view.snapshot.matrix()), self.config
        if config.ease_near:
            return list(near_ease_filters(matrix, config.ease, config.ease_near, config.ease_users))
        return [view.tensor(one) for one in ease_filters(matrix, config.ease, config.ease_users)]


def _rows(matrix: Any, device: torch.device) -> SparseRows:
    """Return a SciPy matrix in rows as tensors."""
    parts = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)
    indptr, indices, values = (torch.from_numpy(one).to(device) for one in parts)
    return SparseRows(indptr, indices, values, matrix.shape[1])


def _sparse(seeds: Seeds, n_items: int) -> Any:
    """Return the histories as a SciPy matrix of ones [B, n_items]."""
    indptr, items = seeds.history.indptr.cpu().numpy(), seeds.history.values.cpu().numpy()
    return sp.csr_array(
        (np.ones(len(items), np.float32), items, indptr), shape=(len(seeds), n_items)
    )
