"""Orders what is predicted, and samples a batch's negatives and neighbours, without seed edges."""

from finrec_dgl.sampling.fanouts import FULL, Fanouts, fanouts_of
from finrec_dgl.sampling.layers import Blocks, whole_graph
from finrec_dgl.sampling.negatives import NEGATIVES, NegativeSampler
from finrec_dgl.sampling.neighbours import NeighborSampler
from finrec_dgl.sampling.order import SeedGroups

__all__ = [
    "FULL",
    "NEGATIVES",
    "Blocks",
    "Fanouts",
    "NegativeSampler",
    "NeighborSampler",
    "SeedGroups",
    "fanouts_of",
    "whole_graph",
]
