"""What a batch passes messages over: the whole graph or sampled blocks, without its seed edges."""

from finrec_dgl.sampling.layers import Blocks, whole_graph
from finrec_dgl.sampling.neighbours import NeighborSampler

__all__ = ["Blocks", "NeighborSampler", "whole_graph"]
