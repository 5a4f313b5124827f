"""Softmax by row and of some columns, and logarithms of such sums by native code or PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels.backend import choose
from finrec_dgl.kernels.library import find_library


def log_sums(scores: Tensor, allowed: Tensor, *, kernels: str = "auto") -> Tensor:
    """log sum over allowed c of exp(s_c), -inf where none is: [R, K] and bool [R, K] -> [R].

    ``kernels``: see ``finrec_dgl.kernels.choose``; ``dgl`` is plain PyTorch here. Raises UsageError
    where the two are not of one shape or ``allowed`` is not bool.
    """
    if scores.dim() != 2 or allowed.shape != scores.shape or allowed.dtype != torch.bool:
        raise UsageError(
            f"scores are {list(scores.shape)}, allowed is {allowed.dtype} {list(allowed.shape)}",
            expected="two of one shape [R, K], the second bool",
        )
    there = scores.numel() > 0 and choose(kernels, scores) == "native"
    found: Tensor = (_Native if there else _Plain).apply(scores, allowed)
    return found


def softmax_of(scores: Tensor, allowed: Tensor) -> Tensor:
    """Return the softmax over the allowed columns, 0 for others and where none is.

    Its gradient is the same to the bit on any number of threads, which that of PyTorch's is not at
    some widths.

    Parameters
    ----------
    scores : Tensor
        float [..., R, K].
    allowed : Tensor
        bool [R, K].

    Returns
    -------
    Tensor
        float [..., R, K].
    """
    found: Tensor = _Softmax.apply(scores, allowed)
    return found


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, allowed: Tensor) -> Tensor:
        share = torch.softmax(scores.masked_fill(~allowed, -1e9), dim=-1)
        share = share.masked_fill_(~allowed, 0.0)
        ctx.save_for_backward(share)
        return share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (share,) = ctx.saved_tensors
        through = gradient * share
        return torch.addcmul(through, share, through.sum(-1, keepdim=True), value=-1), None


class _Native(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, allowed: Tensor) -> Tensor:
        scores, allowed = scores.contiguous(), allowed.contiguous()
        total = scores.new_empty(len(scores))
        find_library().compute("finrec_log_sums", scores, *scores.shape, scores, allowed, total)
        ctx.save_for_backward(scores, allowed, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scores, allowed, total = ctx.saved_tensors
        out = torch.empty_like(scores)
        given = (scores, allowed, total, gradient.contiguous(), out)
        find_library().compute("finrec_log_sums_grad", scores, *scores.shape, *given)
        return out, None


class _Plain(torch.autograd.Function):
    """What is left out has a share of 0, and so its gradient needs no mask a second time."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, allowed: Tensor) -> Tensor:
        logit = scores.masked_fill(~allowed, float("-inf"))
        if not logit.shape[1]:
            ctx.save_for_backward(logit, logit.new_ones(len(logit)))
            return logit.new_full((len(logit),), float("-inf"))
        most = logit.amax(dim=1)
        # a row without any would be -inf less -inf
        share = logit.sub_(most.clamp(min=torch.finfo(most.dtype).min).unsqueeze(1)).exp_()
        total = share.sum(dim=1)
        ctx.save_for_backward(share, total)
        return total.log() + most

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        share, total = ctx.saved_tensors
        return share * (gradient / total.clamp(min=1)).unsqueeze(1), None
