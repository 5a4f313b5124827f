"""Makes the model that a configuration and a data set call for."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from finrec_dgl.dataset import Dataset
from finrec_dgl.nn import HybridRecommender, PairRecommender, TowerRecommender
from finrec_dgl.relations import ModelShape
from finrec_dgl.training.config import TrainConfig

_READOUTS: Mapping[str, type[HybridRecommender]] = {
    "pair": PairRecommender,
    "tower": TowerRecommender,
}


def build_model(config: TrainConfig, dataset: Dataset, classes: int) -> HybridRecommender:
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
        return _READOUTS[config.model.readout](config.model, shape)
