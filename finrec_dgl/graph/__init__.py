"""The one place that makes DGL importable, builds its graphs and samples them."""

from finrec_dgl.graph.backend import GraphBackend, describe_backend
from finrec_dgl.graph.build import (
    INTERACTED_BY,
    INTERACTS,
    Relation,
    build_graph,
    load_graph,
    save_graph,
    tie_relations,
)
from finrec_dgl.graph.sampling import (
    NODE_TYPES,
    Blocks,
    NeighborSampler,
    whole_graph,
    without_edges,
)

__all__ = [
    "INTERACTED_BY",
    "INTERACTS",
    "NODE_TYPES",
    "Blocks",
    "GraphBackend",
    "NeighborSampler",
    "Relation",
    "build_graph",
    "describe_backend",
    "load_graph",
    "save_graph",
    "tie_relations",
    "whole_graph",
    "without_edges",
]
