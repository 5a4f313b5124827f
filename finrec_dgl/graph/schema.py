"""Node types and relations of the graph: their names, their reverses, and the range of nodes."""

from __future__ import annotations

import numpy as np

from finrec_dgl.base.errors import DataError

Relation = tuple[str, str, str]
"""(source node type, name, destination node type): DGL's canonical edge type."""

NODE_TYPES = ("user", "item")
INTERACTS: Relation = ("user", "interacts", "item")
INTERACTED_BY: Relation = ("item", "interacted-by", "user")


def tie_relations(kind: str) -> tuple[Relation, Relation]:
    """The relation of ties of ``kind`` and its reverse."""
    relation = ("user", kind, "user")
    return relation, reverse_of(relation)


def reverse_of(relation: Relation) -> Relation:
    """The relation in the other direction; ``interacts`` becomes ``interacted-by``."""
    source, name, destination = relation
    return INTERACTED_BY if relation == INTERACTS else (destination, f"{name}-by", source)


def check_nodes(index: np.ndarray, size: int, relation: Relation) -> None:
    """Raise DataError where ``index`` is not of nodes 0 to ``size`` - 1."""
    if len(index) and (index.min() < 0 or index.max() >= size):
        raise DataError(
            f"an edge of relation {relation[1]} names a node out of range",
            expected=f"node numbers from 0 to {size - 1}",
        )
