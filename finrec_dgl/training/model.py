"""Makes the model that a configuration and a data set call for."""

from __future__ import annotations

from typing import Any

import torch

from finrec_dgl.dataset import Dataset
from finrec_dgl.nn import HybridRecommender, PairRecommender
from finrec_dgl.relations import ModelShape
from finrec_dgl.training.config import TrainConfig

_PSEUDO_PACE = 0.02
"""The pair readout has few weights and takes large steps; the pseudo-labels' matrix does not."""


def build_model(
    config: TrainConfig, dataset: Dataset, classes: int
) -> HybridRecommender | PairRecommender:
    """The model that ``config`` describes for ``dataset``, its weights drawn from the seed.

    ``classes``: the number of pseudo-label classes, 0 without them.
    """
    shape = ModelShape(
        n_users=dataset.n_users,
        n_items=dataset.n_items,
        text_dim=dataset.vectors.shape[1],
        tie_kinds=dataset.ties.kinds,
        pseudo_classes=classes,
        edges={one: len(edges.feature_names) for one, edges in dataset.extra_edges.items()},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.model.readout == "pair":
            return PairRecommender(config.model, shape)
        return HybridRecommender(config.model, shape)


def parameter_groups(model: HybridRecommender | PairRecommender, lr: float) -> list[dict[str, Any]]:
    """What the optimiser is to move, with its step sizes."""
    if isinstance(model, HybridRecommender) or model.pseudo is None:
        return [{"params": list(model.parameters())}]
    matrix = {id(one) for one in model.pseudo.parameters()}
    few = [one for one in model.parameters() if id(one) not in matrix]
    return [{"params": few}, {"params": list(model.pseudo.parameters()), "lr": lr * _PSEUDO_PACE}]
