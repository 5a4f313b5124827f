"""The model: attention, fusion, streams, heads, and the two readouts of the relations."""

from finrec_dgl.nn.config import HybridConfig
from finrec_dgl.nn.conv import FusionGATConv
from finrec_dgl.nn.features import NodeFeatures, features_of
from finrec_dgl.nn.hybrid import Asked, HybridRecommender
from finrec_dgl.nn.pair import Evidence, PairRecommender
from finrec_dgl.nn.start import Start, start_of
from finrec_dgl.nn.targets import PseudoLabeler, PseudoTargets
from finrec_dgl.nn.tower import Encoded, TowerRecommender, silent_relations

__all__ = [
    "Asked",
    "Encoded",
    "Evidence",
    "FusionGATConv",
    "HybridConfig",
    "HybridRecommender",
    "NodeFeatures",
    "PairRecommender",
    "PseudoLabeler",
    "PseudoTargets",
    "Start",
    "TowerRecommender",
    "features_of",
    "silent_relations",
    "start_of",
]
