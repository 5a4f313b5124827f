"""Attention whose scores and messages depend on the edge, by plain PyTorch on any device."""

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
    weighted_sum,
)
from finrec_dgl.kernels.edges import Edges

_CHUNK = 1 << 15  # edges whose messages are held at once


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
) -> tuple[Tensor, Tensor]:
    """Attention of every destination node over its incoming edges, each with its own message.

    alpha_e = softmax over the edges e to i of LeakyReLU(score_src_j + score_dst_i + score_edge_e)
    out_i   = sum over the edges e to i of alpha_e m_e, and zero where there is none

    As ``attend``, which takes less time and memory where nothing depends on the edge. Of edges x
    width, only some at a time are held, forward or backward.

    Parameters
    ----------
    edges : the relation.
    score_src, score_dst : [n_src, heads] and [n_dst, heads].
    message : see ``Message``.
    score_edge : [edges, heads], or None.
    slope, dropout : as in ``attend``.

    Returns
    -------
    out [n_dst, heads, width] and, after dropout, alpha [edges, heads].

    Raises
    ------
    UsageError : shapes or devices that do not fit each other, or numbers out of range.
    """
    check_inputs(edges, score_src, score_dst, message.graph)
    check_options(slope, dropout)
    _check_edges(edges, score_edge=score_edge, fade=message.fade, gate=message.gate)
    seed = draw_seed(dropout)
    alpha = coefficients(edges, score_src, score_dst, score_edge, slope, dropout, seed)
    if message.text is not None and message.gate is not None:
        ends = edges.source.long(), edges.target.long()
        fade = torch.ones_like(alpha) if message.fade is None else message.fade
        inputs = (message.text, message.graph, alpha, fade, *message.gate)
        out: Tensor = _GatedSum.apply(*inputs, *ends, edges.n_dst)
        return out, alpha
    return _plain_sum(edges, message, alpha), alpha


def _plain_sum(edges: Edges, message: Message, alpha: Tensor) -> Tensor:
    text, graph, fade = message.text, message.graph, message.fade
    if fade is None:
        return weighted_sum(edges, graph if text is None else graph + text, alpha)
    out = weighted_sum(edges, graph, alpha * fade)
    return out if text is None else out + weighted_sum(edges, text, alpha)


def _check_edges(
    edges: Edges, *, score_edge: Tensor | None, fade: Tensor | None, gate: EdgeGate | None
) -> None:
    given = {"score_edge": score_edge, "fade": fade, "feat": gate and gate.feat}
    for name, one in given.items():
        if one is not None and (len(one) != len(edges) or one.device != edges.device):
            raise UsageError(
                f"{name} has {len(one)} rows on {one.device}",
                expected=f"a row for each of {len(edges)} edges, on {edges.device}",
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


def _parts(*by_edge: Tensor) -> zip[tuple[Tensor, ...]]:
    """Some edges of each at a time."""
    return zip(*(one.split(_CHUNK) for one in by_edge), strict=True)


def _share(logit: Tensor, feat: Tensor, weight: Tensor) -> Tensor:
    """The gate of some edges, [edges, heads, width]."""
    return torch.sigmoid(logit + functional.linear(feat, weight).view_as(logit))
