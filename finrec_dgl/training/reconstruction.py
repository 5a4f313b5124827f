"""Training by reconstruction: the interactions of one graph, in batches that cannot see them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from finrec_dgl.base.memory import reused_memory
from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import HybridRecommender, PseudoTargets, features_of
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
        self.model = model
        self.config = config
        self.targets = targets
        self.features = features_of(snapshot, config.model.half_life)
        self.batches = Batches(snapshot, config)
        if config.model.uses_ids and starts_spectral(config.model, snapshot):
            calibrate(model, config, self.batches, self.features)

    def epoch(self, epoch: int) -> Iterator[tuple[JointLoss, int]]:
        """The joint loss of each batch and how many interactions it has."""
        with reused_memory():
            for batch in islice(self.batches.epoch(epoch), self.config.steps or None):
                loss = joint_loss(
                    self.model, self.config, batch, self.features, self.targets, self._hidden()
                )
                yield loss, len(batch.edges)

    def _hidden(self) -> dict[str, Tensor] | None:
        """Nodes whose text is hidden in this step, anew each time."""
        share = self.config.model.text_dropout
        if not share or not self.features.text["item"].shape[1]:
            return None
        return {name: torch.rand(len(self.features.degree[name])) < share for name in NODE_TYPES}
