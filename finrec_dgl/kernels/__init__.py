"""Attention and sums over the edges of one relation: native code, and two ways without it."""

from finrec_dgl.kernels.attention import attend
from finrec_dgl.kernels.backend import KERNELS, choose
from finrec_dgl.kernels.dropout import dropped
from finrec_dgl.kernels.edges import Compressed, Edges, LastEdges, Layer, relation_edges
from finrec_dgl.kernels.messages import EdgeGate, Message, attend_messages
from finrec_dgl.kernels.nodes import MOST_RELATIONS, GateWeights, Sent, by_node, gates, mix
from finrec_dgl.kernels.softmax import log_sums
from finrec_dgl.kernels.sums import neighbour_sum

__all__ = [
    "KERNELS",
    "MOST_RELATIONS",
    "Compressed",
    "EdgeGate",
    "Edges",
    "GateWeights",
    "LastEdges",
    "Layer",
    "Message",
    "Sent",
    "attend",
    "attend_messages",
    "by_node",
    "choose",
    "dropped",
    "gates",
    "log_sums",
    "mix",
    "neighbour_sum",
    "relation_edges",
]
