"""Training by reconstruction: the interactions of one graph, in batches that cannot see them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import cast

import torch
from torch import Tensor

from finrec_dgl.base.memory import reused_memory
from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import HybridRecommender, PseudoTargets, TowerRecommender, features_of
from finrec_dgl.nn.start import starts_spectral
from finrec_dgl.training.batches import Batches
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.step import JointLoss, calibrate, joint_loss


class Reconstruction:
    """The steps of an epoch: one batch of interactions of ``snapshot`` each."""

    def __init__(
        self,
        model: HybridRecommender,
        snapshot: Snapshot,
        config: TrainConfig,
        targets: PseudoTargets | None,
    ) -> None:
        # the pair readout has no such seeds, see TrainConfig
        self.model = cast(TowerRecommender, model)
        self.config = config
        self.device = config.torch_device()
        self.targets = None if targets is None else targets.to(self.device)
        self.features = features_of(snapshot, config.model.half_life).to(self.device)
        self.batches = Batches(snapshot, config)
        self.model.row_gradients = self.batches.sampler is not None
        if config.model.uses_ids and starts_spectral(config.model, snapshot):
            first = next(self.batches.epoch(0)).to(self.device)
            calibrate(self.model, config, first, self.features)

    def epoch(self, epoch: int) -> Iterator[tuple[JointLoss, int]]:
        """The joint loss of each batch and how many interactions it has."""
        with reused_memory():
            for batch in islice(self.batches.epoch(epoch), self.config.steps or None):
                moved = batch.to(self.device)
                with self.config.autocast():
                    loss = joint_loss(
                        self.model, self.config, moved, self.features, self.targets, self._hidden()
                    )
                yield loss, len(batch.edges)

    def _hidden(self) -> dict[str, Tensor] | None:
        """Nodes whose text is hidden in this step, anew each time."""
        share = self.config.model.text_dropout
        if not share or not self.features.text["item"].shape[1]:
            return None
        return {
            name: (torch.rand(len(self.features.degree[name])) < share).to(self.device)
            for name in NODE_TYPES
        }
