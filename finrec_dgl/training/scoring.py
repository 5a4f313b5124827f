"""Scores of a trained model: all nodes encoded once on the whole graph, then pairs on demand."""

from __future__ import annotations

import numpy as np
import torch

from finrec_dgl.dataset import Snapshot
from finrec_dgl.evaluation import Vectors
from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import (
    DerivedRecommender,
    HybridRecommender,
    NodeFeatures,
    Receivers,
    World,
    features_of,
)
from finrec_dgl.nn.heads import DotHead
from finrec_dgl.nn.world import PEER_FEATURES
from finrec_dgl.sampling import whole_graph

_MEMORY = 256 * 2**20
"""Bytes that what a world says of one chunk of users may take."""


class ModelScorer:
    """Scores users against all products by ``model``, in the world of ``snapshot``.

    ``features`` are the nodes'; ``user`` [n_users, width] and ``item`` [n_items, width] what the
    head compares: the vectors whose inner product it takes, or the fused ones.
    """

    def __init__(
        self, model: HybridRecommender, snapshot: Snapshot, features: NodeFeatures | None = None
    ) -> None:
        self.model = model
        self.snapshot = snapshot
        training = model.training
        model.eval()
        self.features = features or features_of(snapshot, model.config.half_life)
        with torch.inference_mode():
            blocks = whole_graph(snapshot.graph(), model.config.depth)
            fused = model.encode(blocks, self.features).fused
            self.user, self.item = (fused[name] for name in NODE_TYPES)
            self._dot = isinstance(model.head, DotHead)
            if isinstance(model.head, DotHead):
                self.user, self.item = model.head.towers(self.user, self.item)
        model.train(training)

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, n_items]; higher is better."""
        index = torch.from_numpy(np.asarray(users, dtype=np.int64))
        with torch.inference_mode():
            if self._dot:
                scores = torch.addmm(self.model.item_bias, self.user[index], self.item.T)
            else:
                scores = self.model.score(self.user[index], self.item)
        found: np.ndarray = scores.float().numpy()
        return found

    def vectors(self) -> Vectors | None:
        """The vectors whose inner products are the scores; None where the head is another."""
        if not self._dot:
            return None
        bias = self.model.item_bias.detach()
        return Vectors(*(one.float().numpy() for one in (self.user, self.item, bias)))


class DerivedScorer:
    """Scores users against all products by ``model``, in the derived relations of ``snapshot``."""

    def __init__(self, model: DerivedRecommender, snapshot: Snapshot) -> None:
        self.model = model
        self.snapshot = snapshot
        self.world = World(snapshot, model.config.derived)
        channels = 3 * len(model.channels) * snapshot.n_items
        peers = 2 * len(PEER_FEATURES) * snapshot.n_users if model.heads else 0
        self.chunk = max(1, _MEMORY // (4 * max(1, channels + peers)))

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, n_items]; higher is better."""
        found = [np.zeros((0, self.snapshot.n_items), np.float32)]
        for start in range(0, len(users), self.chunk):
            rows = self.world.receivers(users[start : start + self.chunk])
            found.append(self.score_rows(rows))
        return np.concatenate(found)

    def score_rows(self, rows: Receivers) -> np.ndarray:
        """float32 [B, n_items]: the scores of users as ``rows`` describe them, all at once."""
        with torch.inference_mode():
            evidence = self.model.evidence(self.world, rows)
            scores: np.ndarray = self.model(self.world, evidence).numpy()
        return scores


def scorer_of(
    model: HybridRecommender | DerivedRecommender, snapshot: Snapshot
) -> ModelScorer | DerivedScorer:
    """The scorer of ``model`` in the world of ``snapshot``."""
    if isinstance(model, DerivedRecommender):
        return DerivedScorer(model, snapshot)
    return ModelScorer(model, snapshot)
