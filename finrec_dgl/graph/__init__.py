"""The one place that makes DGL importable and builds its graphs."""

from finrec_dgl.graph.backend import GraphBackend, describe_backend
from finrec_dgl.graph.build import (
    INTERACTED_BY,
    INTERACTS,
    NODE_TYPES,
    Relation,
    build_graph,
    load_graph,
    save_graph,
    tie_relations,
)

__all__ = [
    "INTERACTED_BY",
    "INTERACTS",
    "NODE_TYPES",
    "GraphBackend",
    "Relation",
    "build_graph",
    "describe_backend",
    "load_graph",
    "save_graph",
    "tie_relations",
]
