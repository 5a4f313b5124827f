"""A model, its objective and its optimiser: one epoch at a time, and nothing on disk."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from finrec_dgl.base.errors import TrainingError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset import Dataset, Snapshot
from finrec_dgl.nn import PseudoLabeler
from finrec_dgl.relations import GraphTensors
from finrec_dgl.training.backtest import (
    Backtest,
    Episode,
    each_episode,
    episodes,
    known_in_all,
)
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.losses import finite
from finrec_dgl.training.model import build_model
from finrec_dgl.training.optimiser import RowAdam, clip_gradients
from finrec_dgl.training.reconstruction import Reconstruction
from finrec_dgl.training.scoring import ModelScorer
from finrec_dgl.training.step import JointLoss

MOST_PAIRS = 50_000_000
"""Pairs of all windows up to which these are kept at once while they are prepared."""


class Learner:
    """Learns from nothing but ``snapshot`` and what ``dataset`` holds before its time.

    ``model`` is at its start, ``objective`` gives the steps of an epoch; ``sums`` are of the
    weights that count into the mean. ``progress`` hears of what is learned before the first step.
    """

    def __init__(
        self,
        dataset: Dataset,
        snapshot: Snapshot,
        config: TrainConfig,
        progress: Progress = SILENT,
    ) -> None:
        self.config = config
        device = config.torch_device()
        windowed = config.windowed
        windows = _windows(dataset, snapshot, config) if windowed else []
        origin = _origin(dataset, snapshot, config, windows)
        labeler = _labeler(dataset, origin, config)
        self.model = build_model(config, dataset, len(labeler.classes) if labeler else 0)
        self.model.to(device)
        self.model.start_from(GraphTensors(origin, device), config.seed)
        self.objective: Backtest | Reconstruction
        if windowed:
            self.objective = Backtest(self.model, windows, config, labeler, progress)
        else:
            targets = labeler.targets(snapshot) if labeler else None
            self.objective = Reconstruction(self.model, snapshot, config, targets)
        view = GraphTensors(snapshot, device)
        self.model.prepare(view, config.seed, progress, "all that is known")
        self.model.settle(view)
        groups = self.model.parameter_groups(config.lr)
        self.optimiser = RowAdam(groups, lr=config.lr)
        self._lr = [group["lr"] for group in self.optimiser.param_groups]
        self.sums: dict[str, Tensor] = {}

    def epoch(self, epoch: int, where: str | None = None) -> dict[str, float]:
        """All steps of ``epoch``; the means of the loss's terms, and the speed.

        Raises TrainingError where the loss is no longer finite; ``where`` names the run.
        """
        self.model.train()
        for group, full in zip(self.optimiser.param_groups, self._lr, strict=True):
            group["lr"] = full * self.config.lr_share(epoch)
        started = time.perf_counter()
        sums = torch.zeros(4, dtype=torch.float64)
        seen = 0
        for loss, size in self.objective.epoch(epoch):
            if not finite(loss.total):
                raise TrainingError(
                    f"the loss is no longer a finite number in epoch {epoch}",
                    expected="a loss that falls",
                    where=where,
                    mend="try a smaller lr or clip; --resume starts at the last whole epoch",
                )
            self.step(loss)
            terms = torch.stack([loss.total.detach(), loss.rec, loss.pseudo, loss.reg])
            sums += terms.double().cpu() * size
            seen += size
        seconds = time.perf_counter() - started
        total, rec, pseudo, reg = (sums / max(seen, 1)).tolist()
        return {
            "loss": total,
            "rec": rec,
            "pseudo": pseudo,
            "reg": reg,
            "interactions_per_second": seen / max(seconds, 1e-9),
        }

    def step(self, loss: JointLoss) -> None:
        """Move the weights by the gradient of ``loss``, clipped."""
        self.optimiser.zero_grad()
        loss.total.backward()
        clip_gradients(self.model.parameters(), self.config.clip)
        self.optimiser.step()

    def add_to_mean(self) -> None:
        """Count the weights as they are into the mean."""
        for name, value in self.model.state_dict().items():
            self.sums[name] = self.sums.get(name, 0) + value.double()

    def take_mean(self) -> None:
        """Put the mean of the weights that were counted into the model."""
        counted = min(self.config.average, self.config.epochs)
        mean = {name: total / counted for name, total in self.sums.items()}
        self.model.load_state_dict(mean)


def fit(dataset: Dataset, snapshot: Snapshot, config: TrainConfig) -> ModelScorer:
    """Train on what is before ``snapshot`` for ``config.epochs`` epochs, without a run on disk.

    For tuning on earlier windows: no early stopping, and the mean of the last ``config.average``
    epochs' weights. The scorer is in the world of ``snapshot``.
    """
    learner = Learner(dataset, snapshot, config)
    torch.manual_seed(config.seed)
    for epoch in range(1, config.epochs + 1):
        learner.epoch(epoch)
        if epoch > config.epochs - config.average:
            learner.add_to_mean()
    if config.average:
        learner.take_mean()
    return ModelScorer(learner.model, snapshot, config)


def _windows(dataset: Dataset, snapshot: Snapshot, config: TrainConfig) -> Iterable[Episode]:
    """The episodes to train on; of a large graph one at a time, as they are asked for."""
    if len(snapshot.pairs) * config.windows > MOST_PAIRS:
        return each_episode(dataset, snapshot, config)
    return episodes(dataset, snapshot, config)


def _origin(
    dataset: Dataset, snapshot: Snapshot, config: TrainConfig, windows: Iterable[Episode]
) -> Snapshot:
    """What training starts from: it knows no target of any window."""
    if not config.windowed:
        return snapshot
    if config.model.readout == "pair" and not _has_labels(dataset, config):
        return snapshot  # nothing starts from it
    if not isinstance(windows, Sequence):
        windows = each_episode(dataset, snapshot, config)
    return known_in_all(windows, snapshot)


def _has_labels(dataset: Dataset, config: TrainConfig) -> bool:
    return config.model.uses_pseudo and dataset.vectors.shape[1] > 0


def _labeler(dataset: Dataset, snapshot: Snapshot, config: TrainConfig) -> PseudoLabeler | None:
    if not _has_labels(dataset, config):
        return None
    return PseudoLabeler(config.model, dataset, snapshot, config.seed)
