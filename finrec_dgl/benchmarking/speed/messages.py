"""Attention over edges beside stock DGL and PyG: one relation, a layer of three, and a module.

(a) one relation from 50,000 users to 10,000 items with 2,000,000 interactions, 4 heads of 16;
(b) a layer of three relations (that, its reverse, 500,000 ties between users): ours with the
fusion gate on, against DGL's ``HeteroGraphConv`` of ``GATConv`` and, where PyG can be imported, its
``HeteroConv`` of ``GATConv``; (c) ``FusionGATConv`` on the relation of (a), beside DGL's
``GATConv`` of the same widths. Memory is the peak of a process of its own, less what it held
before.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import torch

from finrec_dgl.base.measure import measured
from finrec_dgl.benchmarking.speed.timing import (
    Settings,
    alternate,
    bandwidth,
    own_process,
    products,
)
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels import Edges, attend, relation_edges
from finrec_dgl.nn.conv import FusionGATConv
from finrec_dgl.nn.streams import AttentionLayer

HEADS, WIDTH = 4, 16
DIM = HEADS * WIDTH
SIZES = {"users": 50_000, "items": 10_000, "interactions": 2_000_000, "ties": 500_000}
BUYS, BOUGHT, TIED = ("user", "buys", "item"), ("item", "bought", "user"), ("user", "tied", "user")
RELATIONS = (BUYS, BOUGHT, TIED)
SIDES = ("native", "bfloat16", "torch", "dgl")


def make_graph(users: int, items: int, interactions: int, ties: int) -> Any:
    """Item = floor(items x u^3): few items have most of the interactions."""
    made = torch.Generator().manual_seed(0)
    user = torch.randint(users, (interactions,), generator=made, dtype=torch.int32)
    item = (items * torch.rand(interactions, generator=made) ** 3).int()
    one, other = (torch.randint(users, (ties,), generator=made).int() for _ in range(2))
    edges = {BUYS: (user, item), BOUGHT: (item, user), TIED: (one, other)}
    return dgl.heterograph(edges, {"user": users, "item": items}, idtype=torch.int32)


def attention(graph: Any, side: str, backward: bool) -> Callable[[], Any]:
    """(a) as a function to time. ``side``: a value of ``kernels``, or ``bfloat16`` of values."""
    edges = relation_edges(graph, BUYS)
    made = torch.Generator().manual_seed(1)
    shapes = ((edges.n_src, HEADS), (edges.n_dst, HEADS), (edges.n_src, HEADS, WIDTH))
    inputs = [torch.randn(*shape, generator=made).requires_grad_(backward) for shape in shapes]
    grad = torch.randn(edges.n_dst, HEADS, WIDTH, generator=made)
    if side == "bfloat16":
        inputs[2] = inputs[2].detach().bfloat16().requires_grad_(backward)
        side = "native"

    def once() -> Any:
        out = attend(edges, *inputs, kernels=side)
        return (out, *torch.autograd.grad(out, inputs, grad)) if backward else (out,)

    return once


def layer(graph: Any, side: str) -> Callable[[], Any]:
    """(b) as a function to time: forward and backward.

    ``side``: ``stock`` for DGL's, ``pyg`` for PyG's, or a value of ``kernels`` for ours.
    """
    torch.manual_seed(2)
    states = {
        name: torch.randn(graph.num_nodes(name), DIM, requires_grad=True)
        for name in ("user", "item")
    }
    made = {"stock": _stock_layer, "pyg": _pyg_layer}.get(side)
    forward = made(graph, states) if made else _our_layer(graph, states, side)

    def once() -> Any:
        total = sum(one.sum() for one in forward().values())
        total.backward()
        return ()

    return once


def _our_layer(graph: Any, states: dict[str, torch.Tensor], kernels: str) -> Callable[[], Any]:
    ours = AttentionLayer(
        RELATIONS,
        DIM,
        HEADS,
        "gate",
        dropout=0.0,
        attention_dropout=0.0,
        last=True,
        kernels=kernels,
    ).to(states["user"].dtype)
    text = {name: torch.randn_like(state) for name, state in states.items()}
    has_text = {name: torch.ones(len(state), dtype=torch.bool) for name, state in states.items()}
    return lambda: ours(graph, text, has_text, states)


def _stock_layer(graph: Any, states: dict[str, torch.Tensor]) -> Callable[[], Any]:
    convolution = dgl.nn.HeteroGraphConv(
        {
            name: dgl.nn.GATConv((DIM, DIM), WIDTH, HEADS, bias=False, allow_zero_in_degree=True)
            for _, name, _ in RELATIONS
        }
    )
    return lambda: convolution(graph, states)


def _pyg_layer(graph: Any, states: dict[str, torch.Tensor]) -> Callable[[], Any]:
    """Only where PyG can be imported; edges as it takes them, [2, edges] of int64."""
    pyg = importlib.import_module("torch_geometric.nn")
    convolution = pyg.HeteroConv(
        {
            one: pyg.GATConv((DIM, DIM), WIDTH, HEADS, bias=False, add_self_loops=False)
            for one in RELATIONS
        }
    )
    edges = {one: torch.stack(graph[one].edges(order="eid")).long() for one in RELATIONS}
    return lambda: convolution(states, edges)


def convolutions(graph: Any) -> dict[str, Callable[[], Any]]:
    """(c) as functions to time, forward and backward: DGL's module, and ours with ever more in it.

    ``gate`` has text, ``time`` a half-life too, ``edges`` four features of each edge as well.
    """
    one, made = graph[BUYS], torch.Generator().manual_seed(4)
    sizes = [one.num_src_nodes(), one.num_dst_nodes(), one.num_src_nodes()]
    *feat, text = (torch.randn(size, DIM, generator=made) for size in sizes)
    feat = [each.requires_grad_() for each in feat]
    edge_feat = torch.randn(one.num_edges(), 4, generator=made)
    age = 365 * torch.rand(one.num_edges(), generator=made)
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "graph": ({"fusion": "graph"}, {}),
        "gate": ({"text_feats": DIM}, {"text": text}),
        "time": ({"text_feats": DIM, "half_life": 90.0}, {"text": text, "age": age}),
        "edges": (
            {"text_feats": DIM, "half_life": 90.0, "edge_feats": 4},
            {"text": text, "age": age, "edge_feat": edge_feat},
        ),
    }
    torch.manual_seed(2)
    layers: dict[str, tuple[Any, dict[str, Any]]] = {
        "GATConv": (dgl.nn.GATConv((DIM, DIM), WIDTH, HEADS, allow_zero_in_degree=True), {})
    }
    for name, (options, given) in cases.items():
        ours = FusionGATConv((DIM, DIM), WIDTH, HEADS, allow_zero_in_degree=True, **options)
        layers[f"FusionGATConv, {name}"] = ours, given

    def timed(layer: Any, given: dict[str, Any]) -> Callable[[], Any]:
        return lambda: layer(one, tuple(feat), **given).sum().backward()

    return {name: timed(*layer) for name, layer in layers.items()}


def floor_of_layer(graph: Any, speed: float, rate: float) -> dict[str, float]:
    """Milliseconds at least, each by itself: products at ``rate``, and bytes at ``speed``.

    Products: by sender and relation 4 of [dim, dim] in the gate, by receiver one of its own and,
    where it has several relations, one a relation; twice that again for gradients, less two of the
    text's; and what is made anew in the backward pass, 3 in the gate and 1 in the mixing. Bytes:
    each tensor by node once as it is written and once as it is read, indices likewise.
    """
    nodes = {name: graph.num_nodes(name) for name in ("user", "item")}
    sent = sum(nodes[sender] for sender, _, _ in RELATIONS)
    received = {name: [one for one in RELATIONS if one[2] == name] for name in nodes}
    mixed = sum(nodes[name] * len(one) for name, one in received.items() if len(one) > 1)
    terms = {
        "products": 10 * sent + 3 * sum(nodes.values()) + 3 * mixed,
        "products made anew": 3 * sent + mixed,
    }
    ways = sum(nodes[receiver] for _, _, receiver in RELATIONS)
    # by sender text, state, value, their gradients; by receiver out, lean, gradient; states
    rows = 8 * sent + 8 * ways + 4 * sum(nodes.values())
    moved = rows * DIM * 4 + 2 * 4 * sum(graph.num_edges(one) for one in RELATIONS)
    found = {name: one * 2 * DIM * DIM / rate * 1e3 for name, one in terms.items()}
    return {**found, "each row once": moved / speed * 1e3}


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


def layer_difference(graph: Any) -> dict[str, float]:
    """How far our layer by native code and by plain PyTorch are apart, likewise.

    Outputs in float32, gradients in float64: where rounding puts a score on the other side of
    LeakyReLU's corner, the two sides' gradients of it differ by more than their rounding.
    """
    found = {}
    for side in ("native", "torch"):
        rough = _layer_numbers(graph, side, torch.float32)[:2]
        found[side] = [*rough, *_layer_numbers(graph, side, torch.float64)[2:]]
    names = [f"{what} {name}" for what in ("out", "grad") for name in ("user", "item")]
    with torch.no_grad():
        return {
            name: float((one - other).abs().max() / other.abs().max())
            for name, one, other in zip(names, found["native"], found["torch"], strict=True)
        }


def _layer_numbers(graph: Any, side: str, dtype: torch.dtype) -> list[torch.Tensor]:
    """Outputs of users and items, and the gradients of their states."""
    torch.manual_seed(2)
    states = {
        name: torch.randn(graph.num_nodes(name), DIM, dtype=dtype, requires_grad=True)
        for name in ("user", "item")
    }
    out = _our_layer(graph, states, side)()
    made = torch.Generator().manual_seed(3)
    weights = [torch.randn(one.shape, generator=made).to(dtype) for one in out.values()]
    grads = torch.autograd.grad(list(out.values()), list(states.values()), weights)
    return [*out.values(), *grads]


def peak_mib(case: str, side: str, sizes: dict[str, int], threads: int) -> float:
    """MiB at the peak of ``case`` in this process, less what it held before: graph and inputs."""
    torch.set_num_threads(threads)
    graph = make_graph(**sizes)
    for relation in RELATIONS:
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
    speed, rate = bandwidth(settings.repeats), products(settings.repeats)
    with_pyg = importlib.util.find_spec("torch_geometric") is not None
    others = ["stock", *(["pyg"] if with_pyg else [])]
    found: dict[str, Any] = {
        "sizes": sizes,
        "difference": difference(graph),
        "difference of layer": layer_difference(graph),
        "pyg": "compared" if with_pyg else "not compared: torch_geometric cannot be imported",
    }
    compared = {}
    for name, backward in (("forward", False), ("forward and backward", True)):
        cases = {side: attention(graph, side, backward) for side in SIDES}
        compared[f"one relation, {name}"] = alternate(cases, settings.repeats)
        found[f"floor of {name}, ms"] = {
            "each row once": least_bytes(edges, backward) / speed * 1e3,
            "a row an edge": gathered_bytes(edges, backward) / speed * 1e3,
        }
    layers = {one: layer(graph, one) for one in ("native", *others)}
    compared["layer, forward and backward"] = alternate(layers, settings.repeats)
    compared["module, forward and backward"] = alternate(convolutions(graph), settings.repeats)
    found["floor of layer, ms"] = floor_of_layer(graph, speed, rate)
    found["peak MiB"] = {
        case: {
            side: own_process(peak_mib, case, side, sizes, settings.threads)
            for side in ("native", *rest)
        }
        for case, rest in (("one relation", ["dgl"]), ("layer", others))
    }
    return {"compared": compared, **found}
