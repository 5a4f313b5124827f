"""The model: attention, fusion, pseudo-labels, streams, heads, and the hybrid made of them."""

from finrec_dgl.nn.config import HybridConfig
from finrec_dgl.nn.features import NodeFeatures, features_of
from finrec_dgl.nn.hybrid import Encoded, HybridRecommender, ModelShape
from finrec_dgl.nn.pseudo import pseudo_loss
from finrec_dgl.nn.start import Start, start_of
from finrec_dgl.nn.targets import PseudoTargets, pseudo_targets

__all__ = [
    "Encoded",
    "HybridConfig",
    "HybridRecommender",
    "ModelShape",
    "NodeFeatures",
    "PseudoTargets",
    "Start",
    "features_of",
    "pseudo_loss",
    "pseudo_targets",
    "start_of",
]
