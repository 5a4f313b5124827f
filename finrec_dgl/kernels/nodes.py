"""What a layer of attention does by node, in native code: the gate, and the mixing of relations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finrec_dgl.kernels.backend import choose
from finrec_dgl.kernels.library import find_library

MOST_WIDTH = 256
MOST_RELATIONS = 16
_LANES = 16  # of the widest vectors: columns must fill them
_PARTS, _BLOCK = 16, 48  # as in the library: parts of the rows, and rows at once


def by_node(kernels: str, *tensors: Tensor) -> bool:
    """Whether the functions here can take ``tensors``, all [n, dim], for ``kernels``.

    They can where ``choose`` gives ``native`` and dim is a multiple of 16, up to 256.
    """
    dim = tensors[0].shape[1]
    return choose(kernels, *tensors) == "native" and dim % _LANES == 0 and dim <= MOST_WIDTH


def gate(
    text: Tensor,
    state: Tensor,
    has_text: Tensor,
    weight: Tensor,
    bias: Tensor,
    text_map: Tensor,
    graph_map: Tensor,
    attend_src: Tensor,
) -> tuple[Tensor, Tensor]:
    """The messages of senders, text and graph fused by a gate, and their scores by head.

    g_j = sigmoid(V [t_j || h_j] + c), and 0 for a node without text
    v_j = g_j * W_text t_j + (1 - g_j) * W_graph h_j;  s_j = a . v_j by head

    Shapes: text and state [n, dim], has_text bool [n], weight V [dim, 2 dim], bias c [dim],
    text_map and graph_map [dim, dim], attend_src [heads, dim / heads]; returns [n, dim] and
    [n, heads]. Only where ``by_node`` holds. The gate is made anew in the backward pass: of rows x
    columns, only what is returned is kept.
    """
    found: tuple[Tensor, Tensor] = _Gate.apply(
        text, state, has_text, weight, bias, text_map, graph_map, attend_src
    )
    return found


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, text: Tensor, state: Tensor, has_text: Tensor, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        text, state, has_text = (one.detach().contiguous() for one in (text, state, has_text))
        rows, dim = text.shape
        heads = weights[-1].shape[0]
        value, score = torch.empty_like(text), text.new_empty(rows, heads)
        find_library().compute(
            "finrec_gate",
            text,
            *(rows, dim, heads),
            *_gate_weights(*weights),
            *(text, state, has_text, value, score),
        )
        ctx.save_for_backward(text, state, has_text, value, *weights)
        return value, score

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_value: Tensor, grad_score: Tensor) -> tuple[Tensor | None, ...]:
        text, state, has_text, value, *weights = ctx.saved_tensors
        rows, dim = text.shape
        heads = weights[-1].shape[0]
        to_text, to_state = (
            torch.empty_like(one) if wanted else None
            for one, wanted in zip((text, state), ctx.needs_input_grad, strict=False)
        )
        sizes = [one.numel() for one in (weights[0], weights[2], weights[3], weights[1])] + [dim]
        made = text.new_empty(sum(sizes))
        find_library().compute(
            "finrec_gate_grad",
            text,
            *(rows, dim, heads, *_gate_weights(*weights)),
            *(weights[k].detach().contiguous() for k in (0, 2, 3)),
            *(text, state, has_text, value, grad_value.contiguous(), grad_score.contiguous()),
            *(text.new_empty(_PARTS * sum(sizes)), to_text, to_state, made),
        )
        of_gate, of_text, of_graph, of_bias, of_attend = made.split(sizes)
        parts = (of_gate, of_bias, of_text, of_graph, of_attend)
        shaped = (part.view(one.shape) for part, one in zip(parts, weights, strict=True))
        return (to_text, to_state, None, *shaped)


def _gate_weights(
    weight: Tensor, bias: Tensor, text_map: Tensor, graph_map: Tensor, attend_src: Tensor
) -> tuple[Tensor, ...]:
    turned = (one.detach().t().contiguous() for one in (weight, text_map, graph_map))
    return (*turned, bias.detach().contiguous(), attend_src.detach().contiguous())


def mix(
    outs: Sequence[Tensor],
    present: Tensor,
    state: Tensor,
    own: Tensor,
    mixer: tuple[Tensor, Tensor, Tensor] | None,
    *,
    relu: bool,
) -> Tensor:
    """What relations bring to a node, weighed by an attention over them, and its own part.

    w_i^r = q . tanh(W o_i^r + b^r);  m_i = sum over r of softmax_r(w_i^r) o_i^r + W_own h_i

    The softmax runs over the relations that are present; none: zero. ``relu``: of m_i at the end.
    Shapes: outs o^r [n, dim] each, up to 16, present bool [relations, n], state h [n, dim], own
    [dim, dim]; ``mixer`` is W [dim, dim], b [relations, dim] and q [dim], or None for one relation;
    returns [n, dim]. Only where ``by_node`` holds.
    """
    mixed: Tensor = _Mix.apply(present, relu, state, own, *(mixer or (None,) * 3), *outs)
    return mixed


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        present: Tensor,
        relu: bool,
        state: Tensor,
        own: Tensor,
        transform: Tensor | None,
        bias: Tensor | None,
        query: Tensor | None,
        *outs: Tensor,
    ) -> Tensor:
        state, present = state.detach().contiguous(), present.contiguous()
        outs = tuple(one.detach().contiguous() for one in outs)
        mixed = torch.empty_like(state)
        weights = _mix_weights(own, transform, bias, query)
        find_library().compute(
            "finrec_mix",
            state,
            *(*state.shape, len(outs), int(relu), *weights),
            *(_addresses(outs), present, state, mixed),
        )
        ctx.relu = relu
        kept = mixed if relu else None
        ctx.save_for_backward(present, kept, state, own, transform, bias, query, *outs)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        present, mixed, state, own, transform, bias, query, *outs = ctx.saved_tensors
        rows, dim = state.shape
        weights = (own, transform, bias, query)
        sizes = [dim * dim, dim * dim, len(outs) * dim, dim]
        made = state.new_empty(sum(sizes))
        room = state.new_empty(_PARTS * (sum(sizes) + len(outs) * _BLOCK * dim))
        to_outs, to_state = [torch.empty_like(one) for one in outs], torch.empty_like(state)
        find_library().compute(
            "finrec_mix_grad",
            state,
            *(rows, dim, len(outs), int(ctx.relu), *_mix_weights(*weights)),
            *(own.detach().contiguous(), _plain(transform)),
            *(_addresses(outs), present, state, mixed, grad.contiguous(), room),
            *(_addresses(to_outs), to_state, made),
        )
        shaped = [
            None if one is None else part.view(one.shape)
            for part, one in zip(made.split(sizes), weights, strict=True)
        ]
        return (None, None, to_state, *shaped, *to_outs)


def _mix_weights(
    own: Tensor, transform: Tensor | None, bias: Tensor | None, query: Tensor | None
) -> tuple[Tensor | None, ...]:
    turned = (None if one is None else one.detach().t().contiguous() for one in (own, transform))
    return (*turned, _plain(bias), _plain(query))


def _plain(one: Tensor | None) -> Tensor | None:
    return None if one is None else one.detach().contiguous()


def _addresses(tensors: Sequence[Tensor]) -> Tensor:
    """Where each begins: an array of pointers."""
    return torch.tensor([one.data_ptr() for one in tensors], dtype=torch.int64)
