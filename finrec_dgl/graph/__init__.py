"""The temporal graph, its conversions, and the one place that makes DGL importable."""

from finrec_dgl.graph.backend import GraphBackend, describe_backend
from finrec_dgl.graph.build import build_graph, relation_ends
from finrec_dgl.graph.convert import from_dgl, from_pyg, to_dgl, to_pyg
from finrec_dgl.graph.schema import (
    INTERACTED_BY,
    INTERACTS,
    NODE_TYPES,
    Relation,
    reverse_of,
    tie_relations,
)
from finrec_dgl.graph.temporal import (
    EdgeEvents,
    EdgeList,
    EdgeState,
    GraphView,
    Neighbors,
    NodeData,
    TemporalGraph,
    TemporalRelation,
)

__all__ = [
    "INTERACTED_BY",
    "INTERACTS",
    "NODE_TYPES",
    "EdgeEvents",
    "EdgeList",
    "EdgeState",
    "GraphBackend",
    "GraphView",
    "Neighbors",
    "NodeData",
    "Relation",
    "TemporalGraph",
    "TemporalRelation",
    "build_graph",
    "describe_backend",
    "from_dgl",
    "from_pyg",
    "relation_ends",
    "reverse_of",
    "tie_relations",
    "to_dgl",
    "to_pyg",
]
