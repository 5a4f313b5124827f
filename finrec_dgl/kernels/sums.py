"""Sums of what a node's neighbours hold in one relation, by whichever kernels there are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finrec_dgl.base.errors import UsageError
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels.attention import weighted_sum
from finrec_dgl.kernels.backend import choose, wide
from finrec_dgl.kernels.edges import Compressed, Edges
from finrec_dgl.kernels.library import find_library


def neighbour_sum(edges: Edges, x: Tensor, *, kernels: str = "auto") -> Tensor:
    """out_i = sum over j in N(i) of x_j, zero where N(i) is empty.

    Shapes: x [n_src, width]; returns [n_dst, width], for bfloat16 summed and returned in float32.
    ``kernels``: see ``finrec_dgl.kernels.choose``. Raises UsageError where x has not a row for each
    sender.
    """
    if x.dim() != 2 or len(x) != edges.n_src:
        raise UsageError(f"x is {list(x.shape)}", expected=f"a row for each of {edges.n_src} nodes")
    chosen = choose(kernels, rows=x)
    if chosen == "dgl":
        return dgl.ops.copy_u_sum(edges.graph, x.to(wide(x)))
    out: Tensor
    if chosen == "native":
        out = _Native.apply(x, edges)
        return out
    unit = x.new_ones(len(edges), 1, dtype=wide(x))
    return weighted_sum(edges, x.unsqueeze(1), unit).squeeze(1)


class _Native(torch.autograd.Function):
    """The sum by receiver; its gradient is the same sum by sender."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, edges: Edges) -> Tensor:
        ctx.edges, ctx.dtype = edges, x.dtype
        return _sum(edges.by_receiver, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _sum(ctx.edges.by_sender, grad.to(ctx.dtype)).to(ctx.dtype), None


def _sum(rows: Compressed, x: Tensor) -> Tensor:
    x = x.detach().contiguous()
    n_rows, width = len(rows.indptr) - 1, x.shape[1]
    out = x.new_empty(n_rows, width, dtype=wide(x))
    find_library().compute(
        "finrec_sum",
        x,
        *(n_rows, len(rows.indices), rows.indptr, rows.indices, width, None, x, out),
    )
    return out
