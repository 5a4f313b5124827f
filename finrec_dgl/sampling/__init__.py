"""Samples a batch's negatives, and what it passes messages over, without its seed edges."""

from finrec_dgl.sampling.layers import Blocks, whole_graph
from finrec_dgl.sampling.negatives import NEGATIVES, NegativeSampler
from finrec_dgl.sampling.neighbours import NeighborSampler

__all__ = ["NEGATIVES", "Blocks", "NegativeSampler", "NeighborSampler", "whole_graph"]
