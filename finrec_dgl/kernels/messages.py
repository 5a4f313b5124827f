"""Attention whose scores and messages depend on the edge: native code, and PyTorch elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels.attention import (
    check_inputs,
    check_options,
    coefficients,
    draw_seed,
    drop,
    weighted_sum,
)
from finrec_dgl.kernels.backend import choose
from finrec_dgl.kernels.edges import Edges
from finrec_dgl.kernels.library import MOST_COLUMNS, MOST_HEADS, find_library

_CHUNK = 1 << 15  # edges whose messages plain PyTorch holds at once
_PARTS = 32  # of the senders, as in the library
_FADE, _FEAT = 3, 5  # of the inputs of _NativeSum


class EdgeGate(NamedTuple):
    """The share of text in an edge's message, g_e = sigmoid(logit_j + weight f_e).

    Shapes: logit [n_src, heads, width], -inf where a node has no text; feat f [edges, k]; weight
    [heads * width, k].
    """

    logit: Tensor
    feat: Tensor
    weight: Tensor


class Message(NamedTuple):
    """What an edge e from j brings: a text part, and a graph part that may fade.

    m_e = text_j + fade_e graph_j                       without a gate of edges
    m_e = g_e text_j + (1 - g_e) fade_e graph_j         with ``gate``

    Shapes: graph and text [n_src, heads, width], text None without any; fade [edges, heads], None
    where nothing fades.
    """

    graph: Tensor
    text: Tensor | None = None
    fade: Tensor | None = None
    gate: EdgeGate | None = None


def attend_messages(
    edges: Edges,
    score_src: Tensor,
    score_dst: Tensor,
    message: Message,
    *,
    score_edge: Tensor | None = None,
    slope: float = 0.2,
    dropout: float = 0.0,
    kernels: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Attention of every destination node over its incoming edges, each with its own message.

    alpha_e = softmax over the edges e to i of LeakyReLU(score_src_j + score_dst_i + score_edge_e)
    out_i   = sum over the edges e to i of alpha_e m_e, and zero where there is none

    As ``attend``, which takes less time and memory where nothing depends on the edge. Nothing of
    edges x width is held, forward or backward; by plain PyTorch, some edges at a time.

    Parameters
    ----------
    edges : the relation.
    score_src, score_dst : [n_src, heads] and [n_dst, heads].
    message : see ``Message``.
    score_edge : [edges, heads], or None.
    slope, dropout : as in ``attend``.
    kernels : see ``finrec_dgl.kernels.choose``; ``dgl`` is plain PyTorch here.

    Returns
    -------
    out [n_dst, heads, width] and, after dropout, alpha [edges, heads].

    Raises
    ------
    UsageError : shapes or devices that do not fit each other, or numbers out of range.
    """
    check_inputs(edges, score_src, score_dst, message.graph)
    check_options(slope, dropout)
    _check_edges(edges, score_src, message, score_edge)
    seed = draw_seed(dropout)
    if _by_native(kernels, score_src, score_dst, score_edge, message):
        alpha = _NativeSoftmax.apply(score_src, score_dst, score_edge, edges, slope)
        alpha = drop(edges, alpha, dropout, seed)
        gate = message.gate if message.text is not None else None
        parts = (message.graph, message.text, alpha, message.fade, *(gate or (None,) * 3))
        out: Tensor = _NativeSum.apply(*parts, edges)
        return out, alpha
    alpha = coefficients(edges, score_src, score_dst, score_edge, slope, dropout, seed)
    if message.text is not None and message.gate is not None:
        ends = edges.source.long(), edges.target.long()
        fade = torch.ones_like(alpha) if message.fade is None else message.fade
        inputs = (message.text, message.graph, alpha, fade, *message.gate)
        out = _GatedSum.apply(*inputs, *ends, edges.n_dst)
        return out, alpha
    return _plain_sum(edges, message, alpha), alpha


def _by_native(
    kernels: str, score_src: Tensor, score_dst: Tensor, score_edge: Tensor | None, message: Message
) -> bool:
    given = (score_src, score_dst, score_edge, *message[:3], *(message.gate or ()))
    heads, width = message.graph.shape[1:]
    fits = heads <= MOST_HEADS and heads * width <= MOST_COLUMNS
    return fits and choose(kernels, *(one for one in given if one is not None)) == "native"


def _plain_sum(edges: Edges, message: Message, alpha: Tensor) -> Tensor:
    text, graph, fade = message.text, message.graph, message.fade
    if fade is None:
        return weighted_sum(edges, graph if text is None else graph + text, alpha)
    out = weighted_sum(edges, graph, alpha * fade)
    return out if text is None else out + weighted_sum(edges, text, alpha)


def _check_edges(edges: Edges, score_src: Tensor, message: Message, score: Tensor | None) -> None:
    heads, rows = score_src.shape[1], tuple(message.graph.shape)
    expected: dict[str, tuple[Tensor, tuple[int, ...]]] = {}
    if score is not None:
        expected["score_edge"] = score, (len(edges), heads)
    if message.fade is not None:
        expected["fade"] = message.fade, (len(edges), heads)
    if message.text is not None:
        expected["text"] = message.text, rows
    if message.gate is not None:
        logit, feat, weight = message.gate
        expected["logit"] = logit, rows
        expected["feat"] = feat, (len(edges), weight.shape[1])
        expected["weight"] = weight, (heads * rows[2], weight.shape[1])
    for name, (one, size) in expected.items():
        if one.shape != size or one.device != edges.device:
            raise UsageError(
                f"{name} is {list(one.shape)} on {one.device}",
                expected=f"{list(size)} on {edges.device}",
            )


class _GatedSum(torch.autograd.Function):
    """out_i = sum of alpha_e (g_e text_j + (1 - g_e) fade_e graph_j), some edges at a time.

    The gate of an edge is made anew in the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        text: Tensor,
        graph: Tensor,
        alpha: Tensor,
        fade: Tensor,
        logit: Tensor,
        feat: Tensor,
        weight: Tensor,
        source: Tensor,
        target: Tensor,
        n_dst: int,
    ) -> Tensor:
        ctx.save_for_backward(text, graph, logit, weight, alpha, fade, feat, source, target)
        out = alpha.new_zeros(n_dst, *text.shape[1:])
        for one in _parts(alpha, fade, feat, source, target):
            by, faded, about, sent, received = one
            share = _share(logit[sent], about, weight)
            message = torch.lerp(graph[sent] * faded.unsqueeze(-1), text[sent], share)
            out.index_add_(0, received, message * by.unsqueeze(-1))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        text, graph, logit, weight, *by_edge = ctx.saved_tensors
        to_text, to_graph, to_logit, to_weight = (
            torch.zeros_like(one) for one in (text, graph, logit, weight)
        )
        to_alpha, to_fade, to_feat = (torch.empty_like(one) for one in by_edge[:3])
        for one in _parts(*by_edge, to_alpha, to_fade, to_feat):
            by, faded, about, sent, received, alpha_part, fade_part, feat_part = one
            share = _share(logit[sent], about, weight)
            from_text, from_graph = text[sent], graph[sent]
            whole, rows = from_graph * faded.unsqueeze(-1), grad[received]
            torch.sum(rows * torch.lerp(whole, from_text, share), dim=-1, out=alpha_part)
            rows = rows * by.unsqueeze(-1)  # the gradient of the message
            kept = rows * (1 - share)
            to_text.index_add_(0, sent, rows * share)
            to_graph.index_add_(0, sent, kept * faded.unsqueeze(-1))
            torch.sum(kept * from_graph, dim=-1, out=fade_part)
            turned = kept * share * (from_text - whole)
            to_logit.index_add_(0, sent, turned)
            flat = turned.flatten(1)
            torch.mm(flat, weight, out=feat_part)
            to_weight.addmm_(flat.t(), about)
        return (
            *(to_text, to_graph, to_alpha, to_fade, to_logit, to_feat, to_weight),
            *(None, None, None),
        )


class _NativeSoftmax(torch.autograd.Function):
    """The coefficients of ``attend_messages``, [edges, heads], before dropout."""

    @staticmethod
    def forward(
        ctx: Any,
        score_src: Tensor,
        score_dst: Tensor,
        score_edge: Tensor | None,
        edges: Edges,
        slope: float,
    ) -> Tensor:
        scores = [_plain(one) for one in (score_src, score_dst, score_edge)]
        alpha = score_src.new_empty(len(edges), score_src.shape[1])
        ctx.edges, ctx.slope = edges, float(slope)
        find_library().compute(
            "finrec_edge_softmax",
            alpha,
            *(*_received(edges), alpha.shape[1], ctx.slope, *scores, alpha),
        )
        ctx.save_for_backward(*scores, alpha)
        return alpha

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *scores, alpha = ctx.saved_tensors
        edges: Edges = ctx.edges
        to_src, to_dst, to_edge = (torch.empty_like(one) for one in (*scores[:2], alpha))
        n_src, _, indptr, _, order = _sent(edges)
        find_library().compute(
            "finrec_edge_softmax_grad",
            alpha,
            *(*_received(edges), n_src, indptr, order, alpha.shape[1], ctx.slope),
            *(*scores, alpha, grad.contiguous(), to_src, to_dst, to_edge),
        )
        return to_src, to_dst, None if scores[2] is None else to_edge, None, None


class _NativeSum(torch.autograd.Function):
    """The sums of ``attend_messages``; what there is none of is None."""

    @staticmethod
    def forward(
        ctx: Any,
        graph: Tensor,
        text: Tensor | None,
        alpha: Tensor,
        fade: Tensor | None,
        logit: Tensor | None,
        feat: Tensor | None,
        weight: Tensor | None,
        edges: Edges,
    ) -> Tensor:
        given = [_plain(one) for one in (graph, text, alpha, fade, logit, feat)]
        turned = None if weight is None else _turned(weight)
        out = graph.new_empty(edges.n_dst, *graph.shape[1:])
        ctx.edges = edges
        ctx.sizes = (*graph.shape[1:], 0 if feat is None else feat.shape[1])
        find_library().compute(
            "finrec_messages", out, *(*_received(edges), *ctx.sizes, *given, turned, out)
        )
        ctx.save_for_backward(*given, turned)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        given = ctx.saved_tensors
        made = [None if one is None else torch.empty_like(one) for one in given]
        for at in (_FADE, _FEAT):
            made[at] = made[at] if ctx.needs_input_grad[at] else None
        turned = made[-1]
        room = None if turned is None else grad.new_empty(_PARTS * turned.numel())
        find_library().compute(
            "finrec_messages_grad",
            grad,
            *(*_sent(ctx.edges), *ctx.sizes, *given, grad.contiguous(), room, *made),
        )
        if turned is not None:
            heads, width, _ = ctx.sizes
            made[-1] = turned[:, : heads * width].t()
        return (*made, None)


def _received(edges: Edges) -> tuple[int, int, Tensor, Tensor, Tensor]:
    """The rows of receivers as native code takes them, and which edge stands at each place."""
    rows = edges.by_receiver
    return edges.n_dst, len(edges), rows.indptr, rows.indices, edges.orders[0]


def _sent(edges: Edges) -> tuple[int, int, Tensor, Tensor, Tensor]:
    rows = edges.by_sender
    return edges.n_src, len(edges), rows.indptr, rows.indices, edges.orders[1]


def _plain(one: Tensor | None) -> Tensor | None:
    return None if one is None else one.detach().contiguous()


def _turned(weight: Tensor) -> Tensor:
    """[features, heads * width], filled up with zeros to whole vectors of 64 bytes."""
    missing = -len(weight) % (64 // weight.element_size())
    return functional.pad(weight.detach().t(), (0, missing)).contiguous()


def _parts(*by_edge: Tensor) -> zip[tuple[Tensor, ...]]:
    """Some edges of each at a time."""
    return zip(*(one.split(_CHUNK) for one in by_edge), strict=True)


def _share(logit: Tensor, feat: Tensor, weight: Tensor) -> Tensor:
    """The gate of some edges, [edges, heads, width]."""
    return torch.sigmoid(logit + functional.linear(feat, weight).view_as(logit))
