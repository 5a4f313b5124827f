"""The layers of one message passing, and those that are each the whole graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from finrec_dgl.graph import INTERACTED_BY, INTERACTS, NODE_TYPES
from finrec_dgl.kernels import Layer, relation_edges


@dataclass(frozen=True)
class Blocks:
    """The layers of one message passing, from the widest to the seeds.

    ``layers[l]`` is a ``Layer`` (or a DGL graph) whose source nodes are the destination nodes of
    ``layers[l - 1]``; its destination nodes stand first among its source nodes.
    ``inputs`` and ``outputs`` give, per node type, the node numbers in the whole graph of the first
    layer's sources and the last layer's destinations (None: all nodes in order).
    """

    layers: tuple[Any, ...]
    inputs: Mapping[str, Tensor | None]
    outputs: Mapping[str, Tensor | None]

    def to(self, device: torch.device) -> Blocks:
        """Return the same blocks with all numbers on ``device``."""
        moved = {id(one): one.to(device) for one in self.layers}
        layers = tuple(moved[id(one)] for one in self.layers)
        return Blocks(layers, _moved(self.inputs, device), _moved(self.outputs, device))


def _moved(nodes: Mapping[str, Tensor | None], device: torch.device) -> dict[str, Tensor | None]:
    return {name: None if one is None else one.to(device) for name, one in nodes.items()}


def whole_graph(graph: Any, depth: int, exclude: Tensor | None = None) -> Blocks:
    """``depth`` layers that are each the whole graph, less the interactions ``exclude`` (ids [B]).

    Edges are sorted once for each graph; those to leave out are then dropped in one pass.
    """
    edges = {relation: relation_edges(graph, relation) for relation in graph.canonical_etypes}
    if exclude is not None and len(exclude):
        for relation in (INTERACTS, INTERACTED_BY):
            edges[relation] = edges[relation].without(exclude)
    sizes = {name: graph.num_nodes(name) for name in NODE_TYPES}
    everything = dict.fromkeys(NODE_TYPES)
    return Blocks((Layer(sizes, sizes, edges),) * depth, everything, everything)
