"""Attention of every receiver over its senders in one relation, by whichever kernels there are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from finrec_dgl.base.errors import UsageError
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels.backend import choose
from finrec_dgl.kernels.edges import Edges
from finrec_dgl.kernels.library import MOST_COLUMNS, MOST_HEADS, find_library

_CHUNK = 1 << 16  # edges whose rows plain PyTorch holds at once
_STEP, _HEAD_STEP = 0x9E3779B1, 0x27D4EB2F
_WORD = 0xFFFFFFFF


def attend(
    edges: Edges,
    score_src: Tensor,
    score_dst: Tensor,
    value: Tensor,
    *,
    slope: float = 0.2,
    dropout: float = 0.0,
    kernels: str = "auto",
) -> Tensor:
    """Attention of every destination node over its in-neighbours in one relation.

    alpha_ij = softmax over j in N(i) of LeakyReLU(score_src_j + score_dst_i)
    out_i    = sum over j in N(i) of alpha_ij value_j, and zero where N(i) is empty

    Formulas (4) and (5) of arXiv 2506.05873, after Velickovic et al., 2018. This is the one place
    where the arithmetic of attention is done.
    Shapes: score_src [n_src, heads], score_dst [n_dst, heads], value [n_src, heads, width];
    returns [n_dst, heads, width]. ``slope``: of LeakyReLU below 0; above 0, up to 1. ``dropout``
    falls on the coefficients: which are dropped follows from a number drawn from PyTorch's
    generator and the pair of nodes, alike whoever computes it; edges that repeat a pair fall
    together.
    Values may be bfloat16 where scores are float32: half the bytes to read for each edge. Sums are
    float32, and so is what is returned; native code then takes the gradient of the output in
    bfloat16 where it is read by edge.
    ``kernels``: see ``finrec_dgl.kernels.choose``. Native kernels hold nothing of edges x width,
    forward or backward; with them the result is the same to the bit for any number of threads.
    Raises UsageError for shapes that do not fit each other, tensors that are not where the edges
    are, and numbers out of range.
    """
    check_inputs(edges, score_src, score_dst, value)
    check_options(slope, dropout)
    heads, width = value.shape[1:]
    chosen = choose(kernels, score_src, score_dst, rows=value)
    if chosen == "native" and (heads > MOST_HEADS or heads * width > MOST_COLUMNS):
        chosen = "torch"
    seed = draw_seed(dropout)
    inputs = (score_src, score_dst, value)
    if chosen == "native":
        wanted = torch.is_grad_enabled() and any(one.requires_grad for one in inputs)
        out: Tensor = _Native.apply(*inputs, edges, slope, dropout, seed, wanted)
        return out
    path = _by_dgl if chosen == "dgl" else _by_torch
    return path(edges, *inputs, slope, dropout, seed)


def draw_seed(dropout: float) -> int:
    """A number for the draws of ``dropout`` from PyTorch's generator; 0 where it is off."""
    return int(torch.randint(1 << 62, (), device="cpu")) if dropout else 0


def check_options(slope: float, dropout: float) -> None:
    """Raise UsageError for numbers out of range."""
    if not (0 < slope <= 1 and 0 <= dropout < 1):
        raise UsageError(
            f"slope is {slope} and dropout {dropout}",
            expected="slope above 0, up to 1; dropout from 0 to below 1",
        )


def check_inputs(edges: Edges, score_src: Tensor, score_dst: Tensor, value: Tensor) -> None:
    """Raise UsageError for tensors that do not fit the edges or are on another device."""
    devices = {one.device for one in (score_src, score_dst, value)}
    if devices != {edges.device}:
        raise UsageError(
            f"features are on {', '.join(sorted(map(str, devices)))}",
            expected=f"all of them where the graph is, on {edges.device}",
        )
    heads = value.shape[1] if value.dim() == 3 else 0
    expected = ((edges.n_src, heads), (edges.n_dst, heads))
    found = (tuple(score_src.shape), tuple(score_dst.shape))
    if value.dim() != 3 or len(value) != edges.n_src or found != expected:
        raise UsageError(
            f"scores are {found} and values {tuple(value.shape)}",
            expected="[n_src, heads], [n_dst, heads] and [n_src, heads, width] for "
            f"{edges.n_src} senders and {edges.n_dst} receivers",
        )


class _Native(torch.autograd.Function):
    """Keeps by receiver and head the maximum and the sum of exps, and nothing by edge."""

    @staticmethod
    def forward(
        ctx: Any,
        score_src: Tensor,
        score_dst: Tensor,
        value: Tensor,
        edges: Edges,
        slope: float,
        dropout: float,
        seed: int,
        wanted: bool,
    ) -> Tensor:
        inputs = [one.detach().contiguous() for one in (score_src, score_dst, value)]
        heads, width = value.shape[1:]
        out = score_dst.new_empty(edges.n_dst, heads, width)
        lean = torch.empty_like(out) if wanted else None
        top, inverse = (torch.empty_like(inputs[1]) for _ in range(2))
        rows = edges.by_receiver
        ctx.edges = edges
        ctx.options = (heads, width, float(slope), float(dropout), seed)
        find_library().compute(
            "finrec_attend",
            value,
            *(edges.n_dst, len(edges), rows.indptr, rows.indices, *ctx.options),
            *(*inputs, out, lean, top, inverse),
        )
        if lean is not None:
            ctx.save_for_backward(*inputs, out, lean, top, inverse)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        score_src, score_dst, value = saved[:3]
        edges, heads, grad = ctx.edges, value.shape[1], grad.contiguous()
        packed = score_dst.new_empty(edges.n_dst, 4, heads)
        brief = None if value.dtype == grad.dtype else torch.empty_like(grad, dtype=value.dtype)
        grads = [torch.empty_like(one) for one in (score_src, score_dst, value)]
        rows = edges.by_sender
        find_library().compute(
            "finrec_attend_grad",
            value,
            *(edges.n_src, edges.n_dst, len(edges), rows.indptr, rows.indices, *ctx.options),
            *(*saved, grad, packed, brief, *grads),
        )
        return (*grads, None, None, None, None, None)


def _by_dgl(
    edges: Edges,
    score_src: Tensor,
    score_dst: Tensor,
    value: Tensor,
    slope: float,
    dropout: float,
    seed: int,
) -> Tensor:
    graph = edges.graph
    logits = functional.leaky_relu(dgl.ops.u_add_v(graph, score_src, score_dst), slope)
    alpha = dgl.ops.edge_softmax(graph, logits)  # [edges, heads]
    alpha = drop(edges, alpha, dropout, seed)
    return dgl.ops.u_mul_e_sum(graph, value.to(alpha.dtype), alpha.unsqueeze(-1))


def _by_torch(
    edges: Edges,
    score_src: Tensor,
    score_dst: Tensor,
    value: Tensor,
    slope: float,
    dropout: float,
    seed: int,
) -> Tensor:
    alpha = coefficients(edges, score_src, score_dst, None, slope, dropout, seed)
    return weighted_sum(edges, value, alpha)


def coefficients(
    edges: Edges,
    score_src: Tensor,
    score_dst: Tensor,
    score_edge: Tensor | None,
    slope: float,
    dropout: float,
    seed: int,
) -> Tensor:
    """The weight of each edge, [edges, heads] in their order, by plain PyTorch on any device.

    alpha_e = softmax over the edges e to i of LeakyReLU(score_src_j + score_dst_i + score_edge_e)

    Shapes: as ``attend``; score_edge [edges, heads].
    """
    source, target = edges.source.long(), edges.target.long()
    logits = score_src[source] + score_dst[target]
    if score_edge is not None:
        logits = logits + score_edge
    logits = functional.leaky_relu(logits, slope)
    by_head = target.unsqueeze(1).expand_as(logits)
    top = logits.detach().new_full(score_dst.shape, float("-inf"))
    top = top.scatter_reduce(0, by_head, logits.detach(), "amax")
    alpha = (logits - top[target]).exp()
    total = torch.zeros_like(score_dst).index_add(0, target, alpha)
    return drop(edges, alpha / total[target], dropout, seed)


def weighted_sum(edges: Edges, value: Tensor, alpha: Tensor) -> Tensor:
    """out_i = sum of alpha_e value_source(e) over the edges e to i, by plain PyTorch.

    Shapes: value [n_src, heads, width], alpha [edges, heads]; returns [n_dst, heads, width].
    """
    source, target = edges.source.long(), edges.target.long()
    out: Tensor = WeightedSum.apply(value, alpha, source, target, edges.n_dst)
    return out


class WeightedSum(torch.autograd.Function):
    """out_i = sum of alpha_e value_source(e) over the edges e to i, some edges at a time.

    Shapes: value [n_src, heads, width], alpha [edges, heads]; returns [n_dst, heads, width].
    """

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, alpha: Tensor, source: Tensor, target: Tensor, n_dst: int
    ) -> Tensor:
        ctx.save_for_backward(value, alpha, source, target)
        out = alpha.new_zeros(n_dst, *value.shape[1:])
        parts = zip(alpha.split(_CHUNK), source.split(_CHUNK), target.split(_CHUNK), strict=True)
        for by, sent, received in parts:
            out.index_add_(0, received, value[sent] * by.unsqueeze(-1))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        value, alpha, source, target = ctx.saved_tensors
        grad_value, grad_alpha = grad.new_zeros(value.shape), torch.empty_like(alpha)
        parts = zip(
            *(one.split(_CHUNK) for one in (alpha, grad_alpha, source, target)), strict=True
        )
        for by, grad_by, sent, received in parts:
            rows = grad[received]
            torch.sum(rows * value[sent], dim=-1, out=grad_by)
            grad_value.index_add_(0, sent, rows * by.unsqueeze(-1))
        return grad_value.to(value.dtype), grad_alpha, None, None, None


def drop(edges: Edges, alpha: Tensor, dropout: float, seed: int) -> Tensor:
    """``alpha`` [edges, heads] with a share of it zero and the rest scaled up, as native code does.

    A coefficient falls where 32 bits mixed of its sender, receiver, head and ``seed`` are below
    ``dropout`` x 2^32.
    """
    if not dropout:
        return alpha
    head = torch.arange(alpha.shape[1], device=alpha.device) * _HEAD_STEP
    key = seeded_words(edges.target.long(), seed)
    code = (edges.source.long() * _STEP ^ key).unsqueeze(1) ^ head
    return alpha * (mix_words(code) >= int(dropout * 2**32)).to(alpha.dtype) / (1 - dropout)


def seeded_words(number: Tensor, seed: int) -> Tensor:
    """32 bits of each ``number`` int64 [...] and ``seed``, at least 0, as native code has them."""
    return mix_words(number * _STEP + (seed & _WORD)) ^ (seed >> 32)


def mix_words(x: Tensor) -> Tensor:
    """The finaliser of MurmurHash3 on the low 32 bits of int64 [...]."""
    x = x & _WORD
    x = (x ^ (x >> 16)) * 0x85EBCA6B & _WORD
    x = (x ^ (x >> 13)) * 0xC2B2AE35 & _WORD
    return x ^ (x >> 16)
