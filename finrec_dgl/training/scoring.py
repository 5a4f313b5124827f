"""Scores of a trained model: all nodes encoded once on the whole graph, then pairs on demand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.dataset import Snapshot
from finrec_dgl.evaluation import Vectors
from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import (
    HybridRecommender,
    NodeFeatures,
    PairRecommender,
    features_of,
    silent_relations,
)
from finrec_dgl.nn.heads import DotHead
from finrec_dgl.relations import GraphTensors, Seeds
from finrec_dgl.relations.peers import PEER_FEATURES
from finrec_dgl.sampling import NeighborSampler, whole_graph
from finrec_dgl.training.config import TrainConfig

MOST_BYTES = 4 * 2**30
"""States of all nodes at once that are held while they are encoded; more: nodes are sampled."""
_STATES = 6
_NODES_AT_ONCE = 8192
_MEMORY = 256 * 2**20
"""Bytes that the evidence of one chunk of users may take."""
_SCORING = -1
"""The number of the draw of neighbours for scoring; windows of training count from 0."""


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
        # not in inference mode: what is made of the graph here is kept, and trained on later
        with torch.no_grad():
            blocks = whole_graph(snapshot.layer(), model.config.depth)
            fused = model.encode(blocks, self.features).fused
            self.user, self.item = (fused[name] for name in NODE_TYPES)
            self._dot = isinstance(model.head, DotHead)
            if isinstance(model.head, DotHead):
                self.user, self.item = model.head.towers(self.user, self.item)
        model.train(training)

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, n_items]; higher is better."""
        index = torch.from_numpy(np.asarray(users, dtype=np.int64))
        return _scores(self.model, self.user[index], self.item)

    def vectors(self) -> Vectors | None:
        """The vectors whose inner products are the scores; None where the head is another."""
        if not self._dot:
            return None
        bias = self.model.item_bias.detach()
        return Vectors(*(one.float().numpy() for one in (self.user, self.item, bias)))


class PairScorer:
    """Scores users against all items by ``model``, in the graph of ``snapshot``.

    Parameters
    ----------
    model : PairRecommender
        The trained model.
    snapshot : Snapshot
        What is known.
    config : TrainConfig
        How many neighbours a user sees, and on which device.
    """

    def __init__(self, model: PairRecommender, snapshot: Snapshot, config: TrainConfig) -> None:
        self.snapshot = snapshot
        device = config.torch_device()
        self.model = model.to(device)
        self.view = GraphTensors(snapshot, device, config.pair_fanouts(snapshot, _SCORING))
        channels = 3 * len(model.channels) * snapshot.n_items
        peers = 4 * len(PEER_FEATURES) * model.config.pair.peers
        self.chunk = max(1, _MEMORY // (4 * max(1, channels + peers)))

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, n_items]; higher is better."""
        found = [np.zeros((0, self.snapshot.n_items), np.float32)]
        for start in range(0, len(users), self.chunk):
            found.append(self.score_rows(self.view.seeds(users[start : start + self.chunk])))
        return np.concatenate(found)

    def score_rows(self, seeds: Seeds) -> np.ndarray:
        """float32 [B, n_items]: the scores of users as ``seeds`` describe them, all at once."""
        training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            evidence = self.model.evidence(self.view, seeds)
            scores: np.ndarray = self.model(evidence).cpu().numpy()
        self.model.train(training)
        return scores


class SampledScorer:
    """Scores of a model whose nodes do not all fit into memory at once.

    As in training, a node's vector comes from ``fanouts`` neighbours sampled for it, the same each
    time: products are encoded once, [n_items, width], users when they are asked for.
    """

    def __init__(
        self, model: HybridRecommender, snapshot: Snapshot, fanouts: Sequence[int]
    ) -> None:
        self.model = model
        self.snapshot = snapshot
        self.features = features_of(snapshot, model.config.half_life)
        silent = silent_relations(model.config, snapshot.item_text.shape[1])
        self.sampler = NeighborSampler(snapshot.layer(), fanouts, silent=silent)
        self.item = self._encode("item", np.arange(snapshot.n_items))

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, n_items]; higher is better."""
        # the sampler takes every node once
        distinct, row = np.unique(np.asarray(users, dtype=np.int64), return_inverse=True)
        vectors = self._encode("user", distinct)[torch.from_numpy(row.reshape(-1))]
        return _scores(self.model, vectors, self.item)

    def _encode(self, name: str, nodes: np.ndarray) -> Tensor:
        """What the head compares of ``nodes``: [n, width]."""
        training = self.model.training
        self.model.eval()
        found = []
        with torch.no_grad():
            for chunk in torch.from_numpy(nodes).split(_NODES_AT_ONCE):
                none = chunk.new_zeros(0)
                seeds = {one: chunk if one == name else none for one in NODE_TYPES}
                blocks = self.sampler.sample(seeds)
                fused = self.model.encode(blocks, self.features).fused[name]
                dot = isinstance(self.model.head, DotHead)
                found.append(self.model.head.get_submodule(name)(fused) if dot else fused)
        self.model.train(training)
        return torch.cat(found)


def _scores(model: HybridRecommender, user: Tensor, item: Tensor) -> np.ndarray:
    """float32 [B, n_items] of what the head compares: [B, width], [n_items, width]."""
    with torch.inference_mode():
        if isinstance(model.head, DotHead):
            scores = torch.addmm(model.item_bias, user, item.T)
        else:
            scores = model.score(user, item)
    found: np.ndarray = scores.float().numpy()
    return found


def scorer_of(
    model: HybridRecommender | PairRecommender, snapshot: Snapshot, config: TrainConfig
) -> ModelScorer | SampledScorer | PairScorer:
    """The scorer of ``model`` in the world of ``snapshot``.

    Of a model trained by sampling, and with more nodes than fit, one that samples too.
    """
    if isinstance(model, PairRecommender):
        return PairScorer(model, snapshot, config)
    width = model.config.dim + model.config.dim_two
    states = (snapshot.n_users + snapshot.n_items) * width * 4 * _STATES
    if states > MOST_BYTES and model.config.depth and config.samples(snapshot):
        return SampledScorer(model, snapshot, config.fanouts(model.config.depth))
    return ModelScorer(model, snapshot)
