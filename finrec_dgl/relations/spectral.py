"""Item to item by the leading subspace of the normalised interactions: a low-pass filter."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.graph.filters import normalised, singular_vectors
from finrec_dgl.relations.base import Relation, register_relation, stacked
from finrec_dgl.relations.batch import SeedBatch
from finrec_dgl.relations.view import GraphTensors

MOST_PAIRS = 1_000_000
"""Interactions from which the directions are found; of more those of users that are drawn."""

PEER_RANK = 16
"""Dimensions in which users are compared."""


def item_directions(view: GraphTensors, ranks: tuple[int, ...]) -> Tensor:
    """Return the right singular vectors of D_u^-1/2 X D_i^-1/2 as of ``view``, float32 [I, r].

    r is the largest of ``ranks`` and ``PEER_RANK``, or fewer where the graph has fewer.
    """

    def make() -> Tensor:
        matrix = view.snapshot.matrix()
        if matrix.nnz > MOST_PAIRS:  # users are drawn: what leads between items is common to them
            share = MOST_PAIRS / matrix.nnz
            users = np.random.default_rng(0).random(view.n_users) < share
            matrix = matrix[np.flatnonzero(users)]
        matrix = normalised(matrix)
        return view.tensor(singular_vectors(matrix, max((*ranks, PEER_RANK)))[2])

    return view.kept("directions", make)


@register_relation
class Spectral(Relation):
    """One channel for each rank r: message = X D_i^-1/2 V_r V_r^T D_i^1/2 of a seed's history.

    With all dimensions kept alike this is the ideal low-pass filter of GF-CF (Shen et al., CIKM
    2021).
    """

    name, slotted = "spectral", True

    def channel_names(self) -> tuple[str, ...]:
        return tuple(f"spectral {one}" for one in self.config.ranks)

    def sample(self, batch: SeedBatch) -> Tensor:
        return stacked([batch.log_share(one) for one in self.messages(batch)])

    def messages(self, batch: SeedBatch) -> list[Tensor]:
        """Return the messages [B, C] of each rank."""
        view, seeds = batch.view, batch.seeds
        scale = view.item_count.clamp(min=1).sqrt().unsqueeze(1)
        right = item_directions(view, self.config.ranks)
        inside, out = seeds.message(right / scale), right * scale
        found, start = [], 0
        message = torch.zeros(len(seeds), batch.width, device=view.device)
        for rank in self.config.ranks:
            # a filter of a higher rank is the one before and some more directions
            message = message + batch.products(inside[:, start:rank], out[:, start:rank])
            found.append(message)
            start = rank
        return found
