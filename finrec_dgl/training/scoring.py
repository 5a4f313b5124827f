"""Scores of a trained model in the graph of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from finrec_dgl.dataset import Snapshot
from finrec_dgl.evaluation import Vectors
from finrec_dgl.nn import HybridRecommender
from finrec_dgl.relations import GraphTensors, Seeds
from finrec_dgl.training.config import TrainConfig

_MEMORY = 256 * 2**20
"""Bytes that the evidence of one chunk of users may take."""
_SCORING = -1
"""The number of the draw of neighbours for scoring; windows of training count from 0."""


class ModelScorer:
    """Scores users against all items by ``model``, in the graph of ``snapshot``.

    Parameters
    ----------
    model : HybridRecommender
        The trained model; its weights must not change while the scorer is used.
    snapshot : Snapshot
        What is known.
    config : TrainConfig
        How many neighbours a user sees, and on which device.
    """

    def __init__(self, model: HybridRecommender, snapshot: Snapshot, config: TrainConfig) -> None:
        self.snapshot = snapshot
        device = config.torch_device()
        self.model = model.to(device)
        self.view = GraphTensors(snapshot, device, config.fanouts(snapshot, _SCORING))
        self.chunk = max(1, _MEMORY // (4 * max(1, model.numbers_a_seed())))

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, n_items]; higher is better."""
        found = [np.zeros((0, self.snapshot.n_items), np.float32)]
        for start in range(0, len(users), self.chunk):
            found.append(self.score_rows(self.view.seeds(users[start : start + self.chunk])))
        return np.concatenate(found)

    def score_rows(self, seeds: Seeds) -> np.ndarray:
        """float32 [B, n_items]: the scores of users as ``seeds`` describe them, all at once."""
        with self._judging():
            scores: np.ndarray = self.model.score_seeds(self.view, seeds).float().cpu().numpy()
        return scores

    @property
    def has_candidates(self) -> bool:
        """Whether a user is scored with some items alone, see ``candidates``."""
        return self.model.scores_candidates(self.view)

    def candidates(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int [B] -> items int32 and scores float32 [B, C], in no order; -1 for no item.

        Of items that no user of ``users`` has interacted with, those that can rank first.
        """
        with self._judging():
            found = self.model.candidates(self.view, self.view.seeds(users))
        items, scores = (one.cpu().numpy() for one in found)
        return items, scores.astype(np.float32, copy=False)

    def vectors(self) -> Vectors | None:
        """The vectors whose inner products are the scores; None where there are no such."""
        with self._judging():
            return self.model.vectors(self.view)

    @contextmanager
    def _judging(self) -> Iterator[None]:
        # not in inference mode: what is made of the graph is kept with it, and trained on later
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            yield
        self.model.train(training)
