"""Attention over edges beside stock DGL and PyG: one relation, and a layer of three.

(a) one relation from 50,000 users to 10,000 items with 2,000,000 interactions, 4 heads of 16;
(b) a layer of three relations (that, its reverse, 500,000 ties between users): ours with the
fusion gate on, against ``HeteroGraphConv`` of ``GATConv``. Memory is the peak of a process of its
own, less what it held before.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch

from finrec_dgl.base.measure import measured
from finrec_dgl.benchmarking.speed.timing import Settings, alternate, bandwidth, own_process
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels import Edges, attend, relation_edges
from finrec_dgl.nn.streams import AttentionLayer

HEADS, WIDTH = 4, 16
DIM = HEADS * WIDTH
SIZES = {"users": 50_000, "items": 10_000, "interactions": 2_000_000, "ties": 500_000}
BUYS, BOUGHT, TIED = ("user", "buys", "item"), ("item", "bought", "user"), ("user", "tied", "user")


def make_graph(users: int, items: int, interactions: int, ties: int) -> Any:
    """Item = floor(items x u^3): few items have most of the interactions."""
    made = torch.Generator().manual_seed(0)
    user = torch.randint(users, (interactions,), generator=made, dtype=torch.int32)
    item = (items * torch.rand(interactions, generator=made) ** 3).int()
    one, other = (torch.randint(users, (ties,), generator=made).int() for _ in range(2))
    edges = {BUYS: (user, item), BOUGHT: (item, user), TIED: (one, other)}
    return dgl.heterograph(edges, {"user": users, "item": items}, idtype=torch.int32)


def attention(graph: Any, side: str, backward: bool) -> Callable[[], Any]:
    """(a) as a function to time. ``side``: a value of ``kernels``."""
    edges = relation_edges(graph, BUYS)
    made = torch.Generator().manual_seed(1)
    shapes = ((edges.n_src, HEADS), (edges.n_dst, HEADS), (edges.n_src, HEADS, WIDTH))
    inputs = [torch.randn(*shape, generator=made).requires_grad_(backward) for shape in shapes]
    grad = torch.randn(edges.n_dst, HEADS, WIDTH, generator=made)

    def once() -> Any:
        out = attend(edges, *inputs, kernels=side)
        return (out, *torch.autograd.grad(out, inputs, grad)) if backward else (out,)

    return once


def layer(graph: Any, side: str) -> Callable[[], Any]:
    """(b) as a function to time: forward and backward. ``side``: ``stock``, or of ``kernels``."""
    torch.manual_seed(2)
    relations = (BUYS, BOUGHT, TIED)
    states = {
        name: torch.randn(graph.num_nodes(name), DIM, requires_grad=True)
        for name in ("user", "item")
    }
    if side == "stock":
        convolution = dgl.nn.HeteroGraphConv(
            {
                name: dgl.nn.GATConv(
                    (DIM, DIM), WIDTH, HEADS, bias=False, allow_zero_in_degree=True
                )
                for _, name, _ in relations
            }
        )

        def once() -> Any:
            total = sum(one.sum() for one in convolution(graph, states).values())
            total.backward()
            return ()

        return once
    ours = AttentionLayer(
        relations, DIM, HEADS, "gate", dropout=0.0, attention_dropout=0.0, last=True, kernels=side
    )
    text = {name: torch.randn_like(state) for name, state in states.items()}
    has_text = {name: torch.ones(len(state), dtype=torch.bool) for name, state in states.items()}

    def fused() -> Any:
        total = sum(one.sum() for one in ours(graph, text, has_text, states).values())
        total.backward()
        return ()

    return fused


def least_bytes(edges: Edges, backward: bool) -> int:
    """What must be moved where every row is read but once: indices, values, scores, output."""
    row = DIM * 4
    forward = len(edges) * 4 + (edges.n_src + edges.n_dst) * (row + HEADS * 4)
    if not backward:
        return forward
    # the output's gradient, the output and its lean are read; three gradients are written
    return 2 * forward + edges.n_dst * 3 * row + edges.n_src * row


def gathered_bytes(edges: Edges, backward: bool) -> int:
    """What is moved where no row stays in a cache: a row, its scores and an index an edge."""
    return len(edges) * (4 + HEADS * 4 + DIM * 4) * (2 if backward else 1)


def difference(graph: Any) -> dict[str, float]:
    """By output and gradient, how far native code and DGL are apart, as a share of the largest."""
    found = {side: attention(graph, side, True)() for side in ("native", "dgl")}
    names = ("out", "grad_score_src", "grad_score_dst", "grad_value")
    pairs = zip(names, found["native"], found["dgl"], strict=True)
    with torch.no_grad():
        return {
            name: float((one - other).abs().max() / other.abs().max()) for name, one, other in pairs
        }


def peak_mib(case: str, side: str, sizes: dict[str, int], threads: int) -> float:
    """MiB at the peak of ``case`` in this process, less what it held before: graph and inputs."""
    torch.set_num_threads(threads)
    graph = make_graph(**sizes)
    for relation in (BUYS, BOUGHT, TIED):
        graph[relation].adj_tensors("csc")
        graph[relation].adj_tensors("csr")
        edges = relation_edges(graph, relation)
        if side == "native":
            _ = edges.by_receiver, edges.by_sender
    once = layer(graph, side) if case == "layer" else attention(graph, side, True)
    with measured() as before:
        pass
    with measured() as during:
        once()
    return during.peak_mib - before.peak_mib


def measure(settings: Settings) -> dict[str, Any]:
    """Times, floors, differences and peaks of memory."""
    sizes = {name: size // 100 if settings.quick else size for name, size in SIZES.items()}
    graph = make_graph(**sizes)
    edges = relation_edges(graph, BUYS)
    speed = bandwidth(settings.repeats)
    found: dict[str, Any] = {
        "sizes": sizes,
        "difference": difference(graph),
        "pyg": "not compared: torch_geometric is not installed"
        if importlib.util.find_spec("torch_geometric") is None
        else "not compared: no case for it yet",
    }
    compared = {}
    for name, backward in (("forward", False), ("forward and backward", True)):
        cases = {side: attention(graph, side, backward) for side in ("native", "torch", "dgl")}
        compared[f"one relation, {name}"] = alternate(cases, settings.repeats)
        found[f"floor of {name}, ms"] = {
            "each row once": least_bytes(edges, backward) / speed * 1e3,
            "a row an edge": gathered_bytes(edges, backward) / speed * 1e3,
        }
    layers = {one: layer(graph, one) for one in ("native", "stock")}
    compared["layer, forward and backward"] = alternate(layers, settings.repeats)
    found["peak MiB"] = {
        case: {
            side: own_process(peak_mib, case, side, sizes, settings.threads)
            for side in ("native", other)
        }
        for case, other in (("one relation", "dgl"), ("layer", "stock"))
    }
    return {"compared": compared, **found}
