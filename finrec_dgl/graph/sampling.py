"""Turns a graph and the seeds of a batch into the layers of message passing that they need.

In both ways of doing so the seed edges of the batch, and their reverses, take no part: a model must
not be shown the edge that it is asked to predict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from finrec_dgl.base.errors import UsageError
from finrec_dgl.graph.backend import dgl
from finrec_dgl.graph.build import INTERACTED_BY, INTERACTS

NODE_TYPES = ("user", "item")


@dataclass(frozen=True)
class Blocks:
    """The layers of one message passing, from the widest to the seeds.

    ``layers[l]`` is a DGL block (or the whole graph) whose source nodes are the destination nodes
    of ``layers[l - 1]``; its destination nodes stand first among its source nodes.
    ``inputs`` and ``outputs`` give, per node type, the node numbers in the whole graph of the first
    layer's sources and the last layer's destinations (None: all nodes in order).
    """

    layers: tuple[Any, ...]
    inputs: Mapping[str, Tensor | None]
    outputs: Mapping[str, Tensor | None]


def without_edges(graph: Any, interactions: Tensor) -> Any:
    """``graph`` without the given interaction edges (ids [B]) in either direction."""
    keep = torch.ones(graph.num_edges(INTERACTS), dtype=torch.bool)
    keep[interactions.long()] = False
    ids = keep.nonzero().squeeze(1).to(graph.idtype)
    edges = {
        relation: ids
        if relation in (INTERACTS, INTERACTED_BY)
        else torch.arange(graph.num_edges(relation), dtype=graph.idtype)
        for relation in graph.canonical_etypes
    }
    return dgl.edge_subgraph(graph, edges, relabel_nodes=False, store_ids=False)


def whole_graph(graph: Any, depth: int, exclude: Tensor | None = None) -> Blocks:
    """``depth`` layers that are each the whole graph, less the interactions ``exclude`` (ids)."""
    if exclude is not None and len(exclude):
        graph = without_edges(graph, exclude)
    everything = dict.fromkeys(NODE_TYPES)
    return Blocks((graph,) * depth, everything, everything)


class NeighborSampler:
    """Samples for each layer up to ``fanout`` in-neighbours a node and relation (-1: all).

    ``fanouts`` is given from the layer of the seeds outwards, as users of GraphSAGE expect.
    """

    def __init__(self, graph: Any, fanouts: Sequence[int]) -> None:
        if not fanouts or any(fanout < -1 or fanout == 0 for fanout in fanouts):
            raise UsageError(
                f"the fanouts are {list(fanouts)}",
                expected="one positive number for each layer, or -1 for all neighbours",
                where="--fanout",
            )
        self.graph = graph
        self.fanouts = tuple(fanouts)

    def sample(self, seeds: Mapping[str, Tensor], exclude: Tensor | None = None) -> Blocks:
        """Blocks for the distinct ``seeds`` per node type, without interactions ``exclude``."""
        idtype = self.graph.idtype
        wanted = {name: seeds[name].to(idtype) for name in NODE_TYPES}
        outputs = wanted
        forbidden = None
        if exclude is not None and len(exclude):
            ids = exclude.to(idtype)
            forbidden = {INTERACTS: ids, INTERACTED_BY: ids}
        layers: list[Any] = []
        for fanout in self.fanouts:
            frontier = dgl.sampling.sample_neighbors(
                self.graph, wanted, fanout, exclude_edges=forbidden
            )
            block = dgl.to_block(frontier, wanted, include_dst_in_src=True)
            wanted = {name: block.srcnodes[name].data[dgl.NID] for name in NODE_TYPES}
            layers.insert(0, block)
        return Blocks(
            tuple(layers),
            {name: ids.long() for name, ids in wanted.items()},
            {name: ids.long() for name, ids in outputs.items()},
        )
