"""Builds the heterogeneous graph of users, items and ties from plain arrays; saves and loads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.files import write_atomically
from finrec_dgl.graph.backend import dgl

Relation = tuple[str, str, str]

NODE_TYPES = ("user", "item")
INTERACTS: Relation = ("user", "interacts", "item")
INTERACTED_BY: Relation = ("item", "interacted-by", "user")


def tie_relations(kind: str) -> tuple[Relation, Relation]:
    """The relation of ties of ``kind`` and its reverse."""
    return ("user", kind, "user"), ("user", f"{kind}-by", "user")


def build_graph(
    n_users: int,
    n_items: int,
    user: np.ndarray,
    item: np.ndarray,
    ties: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> Any:
    """The heterograph of interactions (int [E] each) and, per kind, ties (source, target).

    Every relation has its reverse, whose edges stand in the same order: edge ``e`` of one is edge
    ``e`` of the other, which is what exclusion of seed edges in both directions rests on. Ids are
    int32. A node without edges is ordinary. Raises DataError for an index out of range.
    """
    sizes = {"user": n_users, "item": n_items}
    kinds: dict[Relation, tuple[np.ndarray, np.ndarray]] = {INTERACTS: (user, item)}
    kinds |= {tie_relations(kind)[0]: ends for kind, ends in (ties or {}).items()}
    data = {}
    for relation, ends in kinds.items():
        for node_type, index in zip((relation[0], relation[2]), ends, strict=True):
            _check_range(index, sizes[node_type], relation)
        source, target = (_tensor(index) for index in ends)
        backward = INTERACTED_BY if relation == INTERACTS else tie_relations(relation[1])[1]
        # both directions stand on the same memory
        data[relation], data[backward] = (source, target), (target, source)
    return dgl.heterograph(data, num_nodes_dict=sizes, idtype=torch.int32)


def _tensor(index: np.ndarray) -> torch.Tensor:
    # a copy, so that nobody's array changes the graph later
    return torch.from_numpy(np.array(index, dtype=np.int32))


def _check_range(index: np.ndarray, size: int, relation: Relation) -> None:
    if len(index) and (index.min() < 0 or index.max() >= size):
        raise DataError(
            f"an edge of relation {relation[1]} names a node out of range",
            expected=f"node numbers from 0 to {size - 1}",
        )


def save_graph(path: Path, graph: Any) -> None:
    """Write ``graph`` in DGL's own format, atomically."""

    def write(target: Path) -> None:
        try:
            dgl.save_graphs(str(target), [graph], formats="coo")
        except dgl.DGLError as error:  # such as a full disk, which it wraps
            raise OSError("DGL could not write the graph") from error

    write_atomically(path, write)


def load_graph(path: Path) -> Any:
    """Read a graph that ``save_graph`` wrote; check its hash before, for DGL trusts the file."""
    try:
        graphs, _ = dgl.load_graphs(str(path))
    except dgl.DGLError as error:
        raise DataError("the graph file cannot be read by DGL", where=str(path)) from error
    return graphs[0]
