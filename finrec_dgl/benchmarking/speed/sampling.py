"""Batches without their seed edges beside DGL's loader: sampled neighbours, and the whole graph.

Batches of 2,048 interactions, fanouts 10, 10, 10, on the graph of ``messages`` and on Gowalla. A
batch of ours is the distinct ends of its interactions and the blocks for them; DGL's is what
``as_edge_prediction_sampler(..., exclude="reverse_types")`` gives in its ``DataLoader``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from finrec_dgl.benchmarking.speed.messages import BUYS, SIZES, TIED, make_graph
from finrec_dgl.benchmarking.speed.timing import Settings, alternate, bandwidth
from finrec_dgl.graph import INTERACTED_BY, INTERACTS, NODE_TYPES, build_graph
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels import relation_edges
from finrec_dgl.sampling import NeighborSampler, whole_graph

FANOUTS = (10, 10, 10)
BATCH, BATCHES, WORKERS = 2_048, 8, 2
GOWALLA_USERS = 29_858
_LINE = 64  # bytes of a cache line


def made_up(divisor: int) -> Any:
    """The graph of ``messages``, its relations by the names that exclusion goes by."""
    graph = make_graph(**{name: size // divisor for name, size in SIZES.items()})
    user, item = graph.edges(etype=BUYS, order="eid")
    edges = {
        INTERACTS: (user, item),
        INTERACTED_BY: (item, user),
        TIED: graph.edges(etype=TIED, order="eid"),
    }
    sizes = {name: graph.num_nodes(name) for name in NODE_TYPES}
    return dgl.heterograph(edges, sizes, idtype=torch.int32)


def gowalla(folder: Path) -> Any:
    """The graph of the matrix of users, then items, that comes with LightGCN's split."""
    matrix = scipy.sparse.load_npz(folder / "s_adj_mat.npz").tocsr()
    held = matrix[:GOWALLA_USERS, GOWALLA_USERS:].tocoo()
    return build_graph(held.shape[0], held.shape[1], held.row, held.col)


def our_batches(graph: Any, plan: list[Tensor], exclude: bool) -> Callable[[], Any]:
    """All batches of ``plan`` by our sampler, as a function to time; it gives the last one."""
    sampler = NeighborSampler(graph, FANOUTS)
    edges = relation_edges(graph, INTERACTS)
    user, item = edges.source.numpy(), edges.target.numpy()

    def once() -> Any:
        made = None
        for number, ids in enumerate(plan):
            ends = {"user": user[ids.numpy()], "item": item[ids.numpy()]}
            seeds = {name: torch.from_numpy(np.unique(one)) for name, one in ends.items()}
            made = sampler.sample(seeds, ids if exclude else None, seed=number)
        return made

    return once


def dgl_batches(graph: Any, plan: list[Tensor], exclude: bool, workers: int) -> Callable[[], Any]:
    """The same by DGL's loader, as a function to time."""
    reverse = {
        "exclude": "reverse_types",
        "reverse_etypes": {INTERACTS[1]: INTERACTED_BY[1], INTERACTED_BY[1]: INTERACTS[1]},
    }
    sampler = dgl.dataloading.as_edge_prediction_sampler(
        dgl.dataloading.NeighborSampler(list(FANOUTS)), **(reverse if exclude else {})
    )
    loader = dgl.dataloading.DataLoader(
        graph,
        {INTERACTS: torch.cat(plan).to(graph.idtype)},
        sampler,
        batch_size=len(plan[0]),
        num_workers=workers,
    )

    def once() -> Any:
        with warnings.catch_warnings():
            # it would rather bind processes to processors
            warnings.simplefilter("ignore")
            return [None for _ in loader]

    return once


def our_whole(graph: Any, ids: Tensor) -> None:
    """The whole graph without a batch's edges, in the order of kernels."""
    for edges in whole_graph(graph, len(FANOUTS), ids).layers[0].edges.values():
        _ = edges.by_receiver, edges.by_sender


def dgl_whole(graph: Any, ids: Tensor) -> None:
    """The same by a new graph of DGL's, sorted anew."""
    keep = torch.ones(graph.num_edges(INTERACTS), dtype=torch.bool)
    keep[ids] = False
    left = keep.nonzero().squeeze(1).to(graph.idtype)
    kept = {
        relation: left
        if relation in (INTERACTS, INTERACTED_BY)
        else torch.arange(graph.num_edges(relation), dtype=graph.idtype)
        for relation in graph.canonical_etypes
    }
    rest = dgl.edge_subgraph(graph, kept, relabel_nodes=False, store_ids=False)
    for relation in rest.canonical_etypes:
        edges = relation_edges(rest, relation)
        _ = edges.by_receiver, edges.by_sender


def one_graph(graph: Any, settings: Settings) -> dict[str, Any]:
    """What is timed on one graph; sizes of its batches, and what they must move."""
    made = torch.Generator().manual_seed(0)
    size, count = (20, 2) if settings.quick else (BATCH, BATCHES)
    order = torch.randperm(graph.num_edges(INTERACTS), generator=made)
    plan = list(order[: size * count].split(size))
    ours, theirs = partial(our_batches, graph, plan), partial(dgl_batches, graph, plan)
    blocks = ours(True)()
    drawn = sum(len(edges) for layer in blocks.layers for edges in layer.edges.values())
    speed = bandwidth(settings.repeats)
    return {
        "compared": {
            f"{count} batches": alternate(
                {
                    "ours": ours(True),
                    "DGL": theirs(True, 0),
                    f"DGL, {WORKERS} workers": theirs(True, WORKERS),
                },
                settings.repeats,
            ),
            "exclusion": alternate({"off": ours(False), "on": ours(True)}, settings.repeats),
            "exclusion by DGL": alternate(
                {"off": theirs(False, 0), "on": theirs(True, 0)}, settings.repeats
            ),
            "whole graph": alternate(
                {
                    "ours": partial(our_whole, graph, plan[0]),
                    "DGL, sorted anew": partial(dgl_whole, graph, plan[0]),
                },
                settings.repeats,
            ),
        },
        "edges a batch": drawn,
        "nodes a batch": sum(blocks.layers[0].n_src.values()),
        "floor of a batch, ms": {
            # a number is read and written as it is drawn and as it is given its number in the block
            "each number once": drawn * 4 * 4 / speed * 1e3,
            "a line an edge": drawn * (_LINE + 3 * 4) / speed * 1e3,
        },
    }


def measure(settings: Settings) -> dict[str, Any]:
    """Times on either graph, and the sizes of a batch; why a graph is left out."""
    graphs: dict[str, Callable[[], Any]] = {
        "made up": partial(made_up, 100 if settings.quick else 1)
    }
    found: dict[str, Any] = {"compared": {}}
    if "gowalla" in settings.data:
        graphs["gowalla"] = partial(gowalla, settings.data["gowalla"])
    else:
        found["gowalla"] = "not measured: --data gowalla=FOLDER names its folder"
    for name, graph in graphs.items():
        figures = one_graph(graph(), settings)
        compared = figures.pop("compared").items()
        found["compared"] |= {f"{name}, {what}": sides for what, sides in compared}
        found[name] = figures
    return found
