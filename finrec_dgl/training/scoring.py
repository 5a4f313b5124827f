"""Scores of a trained model: all nodes encoded once on the whole graph, then pairs on demand."""

from __future__ import annotations

import numpy as np
import torch

from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph import NODE_TYPES, whole_graph
from finrec_dgl.nn import HybridRecommender, NodeFeatures, features_of


class ModelScorer:
    """Scores users against all products by ``model``, in the world of ``snapshot``.

    ``features`` are the nodes'; ``user`` [n_users, width] and ``item`` [n_items, width] the fused
    vectors.
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
        model.train(training)
        self.user, self.item = (fused[name] for name in NODE_TYPES)

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, n_items]; higher is better."""
        index = torch.from_numpy(np.asarray(users, dtype=np.int64))
        with torch.inference_mode():
            scores: np.ndarray = self.model.score(self.user[index], self.item).float().numpy()
        return scores
