"""The model: attention, fusion, pseudo-labels, streams, heads, and the hybrid made of them."""

from finrec_dgl.nn.config import DerivedConfig, HybridConfig
from finrec_dgl.nn.conv import FusionGATConv
from finrec_dgl.nn.derived import DerivedRecommender, Evidence
from finrec_dgl.nn.features import NodeFeatures, features_of
from finrec_dgl.nn.hybrid import Encoded, HybridRecommender, ModelShape, silent_relations
from finrec_dgl.nn.pseudo import pseudo_loss
from finrec_dgl.nn.start import Start, start_of
from finrec_dgl.nn.targets import PseudoTargets, pseudo_targets
from finrec_dgl.nn.vectors import learn_vectors
from finrec_dgl.nn.world import Receivers, World

__all__ = [
    "DerivedConfig",
    "DerivedRecommender",
    "Encoded",
    "Evidence",
    "FusionGATConv",
    "HybridConfig",
    "HybridRecommender",
    "ModelShape",
    "NodeFeatures",
    "PseudoTargets",
    "Receivers",
    "Start",
    "World",
    "features_of",
    "learn_vectors",
    "pseudo_loss",
    "pseudo_targets",
    "silent_relations",
    "start_of",
]
