"""Times attention over edges against stock DGL and PyG, alternated in one process, and its memory.

python benchmarks/messages.py --threads 2 --out messages.json

(a) one relation from 50,000 users to 10,000 items with 2,000,000 interactions, 4 heads of 16;
(b) a layer of three relations (that, its reverse, 500,000 ties between users): ours with the
fusion gate on, against ``HeteroGraphConv`` of ``GATConv``. Times are medians after a warm-up;
memory is the peak of a process of its own, less what it held before.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from finrec_dgl.base.files import write_json
from finrec_dgl.base.measure import measured
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels import Edges, attend, relation_edges
from finrec_dgl.kernels.library import find_library
from finrec_dgl.nn.streams import AttentionLayer

HEADS, WIDTH = 4, 16
DIM = HEADS * WIDTH
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


def alternate(sides: dict[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each side: median, least and most, and its ratio to native, with spread."""
    for once in sides.values():
        once()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, once in sides.items():
            start = time.perf_counter()
            once()
            times[name].append((time.perf_counter() - start) * 1e3)
    found = {}
    for name, one in times.items():
        ratios = sorted(a / b for a, b in zip(one, times["native"], strict=True))
        found[name] = {
            "ms": statistics.median(one),
            "least_ms": min(one),
            "most_ms": max(one),
            "ratio": statistics.median(ratios),
            "least_ratio": ratios[0],
            "most_ratio": ratios[-1],
        }
    return found


def bandwidth(repeats: int) -> float:
    """Bytes a second read and written by a copy of 256 MiB."""
    source = torch.ones(1 << 26)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        target.copy_(source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


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


def peak(case: str, side: str, sizes: list[int], threads: int) -> float:
    """MiB that a process of its own held at its peak over ``case``, less what it held before."""
    command = [sys.executable, __file__, "--memory", case, side, "--threads", str(threads)]
    command += ["--sizes", *map(str, sizes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure_memory(case: str, side: str, graph: Any) -> float:
    """In this process: the graph's own formats and the inputs are held before."""
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


def main() -> int:
    """Run all, print a line each, and write JSON where asked."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--threads", type=int, default=2)
    words.add_argument("--repeats", type=int, default=7)
    words.add_argument("--quick", action="store_true", help="a hundredth of the size")
    words.add_argument("--out", type=Path)
    words.add_argument("--sizes", type=int, nargs=4, help=argparse.SUPPRESS)
    words.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    sizes = given.sizes or [50_000, 10_000, 2_000_000, 500_000]
    if given.quick:
        sizes = [size // 100 for size in sizes]
    graph = make_graph(*sizes)
    if given.memory:
        print(measure_memory(*given.memory, graph))
        return 0
    edges = relation_edges(graph, BUYS)
    speed = bandwidth(given.repeats)
    found: dict[str, Any] = {
        "kernels": find_library().told,
        "threads": given.threads,
        "sizes": dict(zip(("users", "items", "interactions", "ties"), sizes, strict=True)),
        "bandwidth_gb_s": speed / 1e9,
        "difference": difference(graph),
        "pyg": "not compared: torch_geometric is not installed"
        if importlib.util.find_spec("torch_geometric") is None
        else "not compared: no case for it yet",
    }
    sides = ("native", "torch", "dgl")
    for name, backward in (("forward", False), ("forward_backward", True)):
        cases = {side: attention(graph, side, backward) for side in sides}
        found[name] = alternate(cases, given.repeats)
        found[f"{name}_floor_ms"] = {
            "each_row_once": least_bytes(edges, backward) / speed * 1e3,
            "a_row_an_edge": gathered_bytes(edges, backward) / speed * 1e3,
        }
    found["layer"] = alternate(
        {one: layer(graph, one) for one in ("native", "stock")}, given.repeats
    )
    found["peak_mib"] = {
        case: {side: peak(case, side, sizes, given.threads) for side in ("native", other)}
        for case, other in (("attention", "dgl"), ("layer", "stock"))
    }
    for name in ("forward", "forward_backward", "layer"):
        for side, one in found[name].items():
            spread = f"{one['least_ratio']:.1f} to {one['most_ratio']:.1f}"
            print(f"{name:17} {side:7} {one['ms']:9.2f} ms  x{one['ratio']:.1f} ({spread})")
    if given.out:
        write_json(given.out, found)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
