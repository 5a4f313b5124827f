"""Recommendation losses: a batch of positives, each against negatives that all of them share.

All take the positives' scores [B], the negatives' [R, K], ``allowed`` bool [R, K]: which negatives
a positive is compared with (not the products the user holds), and ``row`` int64 [B]: in which row
each positive's comparison is; positives of one user share theirs. They return the mean over
positives.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def softmax_loss(positive: Tensor, negative: Tensor, allowed: Tensor, row: Tensor) -> Tensor:
    """-log( exp(s+) / (exp(s+) + sum over allowed c of exp(s_c)) ).

    Where negatives are drawn, all scores are less the logarithm of how often their item is
    expected among the negatives (sampled softmax, Bengio and Senecal, 2008; Yi et al., 2019).
    """
    total: Tensor = _LogSumExp.apply(negative, allowed)
    return functional.softplus(total.index_select(0, row) - positive).mean()


class _LogSumExp(torch.autograd.Function):
    """log sum over allowed c of exp(s_c): [R, K] and bool [R, K] -> [R], -inf where none is.

    What is left out has a share of 0, and so its gradient needs no mask a second time.
    """

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


def bpr_loss(positive: Tensor, negative: Tensor, allowed: Tensor, row: Tensor) -> Tensor:
    """Mean over allowed c of -log sigmoid(s+ - s_c)   (Rendle et al., 2009)."""
    negative, allowed = negative.index_select(0, row), allowed.index_select(0, row)
    each = functional.softplus(negative - positive.unsqueeze(1)) * allowed
    return (each.sum(1) / allowed.sum(1).clamp(min=1)).mean()


def bce_loss(positive: Tensor, negative: Tensor, allowed: Tensor, row: Tensor) -> Tensor:
    """-log sigmoid(s+) - mean over allowed c of log(1 - sigmoid(s_c))."""
    left = (functional.softplus(negative) * allowed).sum(1) / allowed.sum(1).clamp(min=1)
    return (functional.softplus(-positive) + left.index_select(0, row)).mean()


_LOSSES = {"softmax": softmax_loss, "bpr": bpr_loss, "bce": bce_loss}


def recommendation_loss(
    name: str, positive: Tensor, negative: Tensor, allowed: Tensor, row: Tensor
) -> Tensor:
    """The loss called ``name``."""
    return _LOSSES[name](positive, negative, allowed, row)


def finite(loss: Tensor) -> bool:
    """Whether ``loss`` is a number that can be descended."""
    return bool(torch.isfinite(loss))
