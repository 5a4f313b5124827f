"""What a layer of attention does by node, in native code: the gate, and the mixing of relations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

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


class GateWeights(NamedTuple):
    """The gate's weights in one relation.

    Shapes: weight V [dim, 2 dim], bias c [dim], text_map and graph_map [dim, dim], attend_src a
    [heads, dim / heads].
    """

    weight: Tensor
    bias: Tensor
    text_map: Tensor
    graph_map: Tensor
    attend_src: Tensor


class Sent(NamedTuple):
    """The messages of nodes in one relation, [n, dim], and their scores, [n, heads]."""

    value: Tensor
    score: Tensor


def gates(
    text: Tensor,
    state: Tensor,
    has_text: Tensor,
    weights: Sequence[GateWeights],
    to_scores: Sequence[Tensor] = (),
    received: int = 0,
) -> tuple[list[Sent], list[Tensor]]:
    """What nodes of one type send in relations, text and graph fused by a gate, and their scores.

    g_j = sigmoid(V [t_j || h_j] + c), and 0 for a node without text
    v_j = g_j * W_text t_j + (1 - g_j) * W_graph h_j;  s_j = a . v_j by head
    and the scores of the same nodes as receivers in other relations: B h_j

    Shapes: text and state [n, dim], has_text bool [n], ``weights`` of at least one relation that
    they send in, ``to_scores`` B [heads, dim] of each that the first ``received`` of them receive
    in; returns what is sent by relation, and [received, heads] by relation received. Only where
    ``by_node`` holds. The gate is made anew in the backward pass: of rows x columns, only what is
    returned is kept.
    """
    flat = [one for by_relation in weights for one in by_relation]
    owns = len(to_scores)
    if owns and owns * len(to_scores[0]) > MOST_WIDTH:
        sent, _ = gates(text, state, has_text, weights)
        return sent, [state[:received] @ one.T for one in to_scores]
    stacked = torch.cat(list(to_scores)) if owns else None  # [owns * heads, dim]
    made = _Gates.apply(owns, received, text, state, has_text, stacked, *flat)
    sent = [Sent(*made[k : k + 2]) for k in range(owns, len(made), 2)]
    return sent, list(made[:owns])


class _Gates(torch.autograd.Function):
    """The first relation's call makes the receivers' scores too; gradients are added in place."""

    @staticmethod
    def forward(
        ctx: Any,
        owns: int,
        received: int,
        text: Tensor,
        state: Tensor,
        has_text: Tensor,
        to_scores: Tensor | None,
        *flat: Tensor,
    ) -> tuple[Tensor, ...]:
        text, state, has_text = (one.detach().contiguous() for one in (text, state, has_text))
        rows, dim = text.shape
        heads = flat[-1].shape[0]
        own = [text.new_empty(received, heads) for _ in range(owns)]
        sent: list[Tensor] = []
        for first, weights in enumerate(_by_relation(flat)):
            value, score = torch.empty_like(text), text.new_empty(rows, heads)
            here = _Receivers(received, own, to_scores) if first == 0 else _NONE
            find_library().compute(
                "finrec_gate",
                text,
                *(rows, dim, heads, here.received, len(here.own)),
                *(*_turned(weights), here.turned(), text, state, has_text, value, score),
                _addresses(here.own),
            )
            sent += (value, score)
        ctx.owns, ctx.received = owns, received
        ctx.save_for_backward(text, state, has_text, to_scores, *sent[::2], *flat)
        return (*own, *sent)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        text, state, has_text, to_scores, *others = ctx.saved_tensors
        rows, dim = text.shape
        heads, relations = others[-1].shape[0], len(others) // (_WEIGHTS + 1)
        values, flat = others[:relations], others[relations:]
        grads = tuple(one.contiguous() for one in grads)
        own, sent = grads[: ctx.owns], grads[ctx.owns :]
        to_text, to_state = (
            torch.empty_like(one) if wanted else None
            for one, wanted in zip((text, state), ctx.needs_input_grad[2:], strict=False)
        )
        to_flat: list[Tensor] = []
        of_scores = None
        for k, weights in enumerate(_by_relation(flat)):
            here = _Receivers(ctx.received, own, to_scores) if k == 0 else _NONE
            sizes = [weights[at].numel() for at in _AS_MADE]
            sizes.append(len(here.own) * heads * dim)
            made = text.new_empty(sum(sizes))
            find_library().compute(
                "finrec_gate_grad",
                text,
                *(rows, dim, heads, here.received, len(here.own), *_turned(weights)),
                *(weights[at].detach().contiguous() for at in (0, 2, 3)),
                *(here.to_scores, text, state, has_text, values[k], *sent[2 * k : 2 * k + 2]),
                *(_addresses(here.own), int(k > 0)),
                *(text.new_empty(_PARTS * sum(sizes)), to_text, to_state, made),
            )
            *parts, by_own = made.split(sizes)
            if k == 0 and to_scores is not None:
                of_scores = by_own.view(to_scores.shape)
            placed = dict(zip(_AS_MADE, parts, strict=True))
            to_flat += [placed[at].view(one.shape) for at, one in enumerate(weights)]
        return (None, None, to_text, to_state, None, of_scores, *to_flat)


_WEIGHTS = len(GateWeights._fields)
_AS_MADE = (0, 2, 3, 1, 4)  # the order that native code gives the weights' gradients in


class _Receivers(NamedTuple):
    """The receivers' scores [received, heads] by relation, or their gradients, and B of all."""

    received: int
    own: Sequence[Tensor]
    to_scores: Tensor | None

    def turned(self) -> Tensor | None:
        """B transposed, filled up with zeros to whole vectors of 64 bytes."""
        if self.to_scores is None:
            return None
        whole = 64 // self.to_scores.element_size()
        missing = -len(self.to_scores) % whole
        return functional.pad(self.to_scores.detach().t(), (0, missing)).contiguous()


_NONE = _Receivers(0, (), None)


def _by_relation(flat: Sequence[Tensor]) -> list[GateWeights]:
    starts = range(0, len(flat), _WEIGHTS)
    return [GateWeights(*flat[start : start + _WEIGHTS]) for start in starts]


def _turned(weights: GateWeights) -> tuple[Tensor, ...]:
    maps = (weights.weight, weights.text_map, weights.graph_map)
    turned = (one.detach().t().contiguous() for one in maps)
    rest = (weights.bias, weights.attend_src)
    return (*turned, *(one.detach().contiguous() for one in rest))


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
