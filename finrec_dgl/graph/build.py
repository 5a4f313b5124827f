"""Builds the heterogeneous graph of users, items and ties from plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from finrec_dgl.graph.backend import dgl
from finrec_dgl.graph.schema import INTERACTS, Relation, check_nodes, reverse_of


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
    return dgl.heterograph(
        relation_ends(n_users, n_items, user, item, ties), num_nodes_dict=sizes, idtype=torch.int32
    )


def relation_ends(
    n_users: int,
    n_items: int,
    user: np.ndarray,
    item: np.ndarray,
    ties: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> dict[Relation, tuple[torch.Tensor, torch.Tensor]]:
    """The relations of ``build_graph``: sources and targets, int32 [E] each. Raises as it does."""
    sizes = {"user": n_users, "item": n_items}
    kinds: dict[Relation, tuple[np.ndarray, np.ndarray]] = {INTERACTS: (user, item)}
    kinds |= {("user", kind, "user"): ends for kind, ends in (ties or {}).items()}
    data = {}
    for relation, ends in kinds.items():
        for node_type, index in zip((relation[0], relation[2]), ends, strict=True):
            check_nodes(index, sizes[node_type], relation)
        source, target = (_tensor(index) for index in ends)
        # both directions stand on the same memory
        data[relation], data[reverse_of(relation)] = (source, target), (target, source)
    return data


def _tensor(index: np.ndarray) -> torch.Tensor:
    # a copy, so that nobody's array changes the graph later
    return torch.from_numpy(np.array(index, dtype=np.int32))
