"""Recommendation losses: a batch of positives, each against negatives that all of them share.

All take the positives' scores [B], the negatives' for each positive's user [B, K], and ``allowed``
bool [B, K]: which negatives a positive is compared with (not the products the user holds). They
return the mean over positives.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def softmax_loss(positive: Tensor, negative: Tensor, allowed: Tensor) -> Tensor:
    """-log( exp(s+) / (exp(s+) + sum over allowed c of exp(s_c)) ).

    Where negatives are drawn, all scores are less the logarithm of how often their item is
    expected among the negatives (sampled softmax, Bengio and Senecal, 2008; Yi et al., 2019).
    """
    found: Tensor = _Softmax.apply(positive, negative, allowed)
    return found


class _Softmax(torch.autograd.Function):
    """``softmax_loss``. Its gradient is the shares, less one for the positive.

    What is left out has a share of 0, and so needs no mask a second time.
    """

    @staticmethod
    def forward(ctx: Any, positive: Tensor, negative: Tensor, allowed: Tensor) -> Tensor:
        logit = negative.masked_fill(~allowed, float("-inf"))
        most = positive if not logit.shape[1] else torch.maximum(logit.amax(dim=1), positive)
        share = logit.sub_(most.unsqueeze(1)).exp_()
        own = (positive - most).exp_()
        total = share.sum(dim=1).add_(own)
        ctx.save_for_backward(share, own, total)
        return (total.log() + most - positive).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        share, own, total = ctx.saved_tensors
        each = gradient / len(total)
        return (own / total - 1) * each, share * (each / total).unsqueeze(1), None


def bpr_loss(positive: Tensor, negative: Tensor, allowed: Tensor) -> Tensor:
    """Mean over allowed c of -log sigmoid(s+ - s_c)   (Rendle et al., 2009)."""
    each = functional.softplus(negative - positive.unsqueeze(1)) * allowed
    return (each.sum(1) / allowed.sum(1).clamp(min=1)).mean()


def bce_loss(positive: Tensor, negative: Tensor, allowed: Tensor) -> Tensor:
    """-log sigmoid(s+) - mean over allowed c of log(1 - sigmoid(s_c))."""
    left = (functional.softplus(negative) * allowed).sum(1) / allowed.sum(1).clamp(min=1)
    return (functional.softplus(-positive) + left).mean()


_LOSSES = {"softmax": softmax_loss, "bpr": bpr_loss, "bce": bce_loss}


def recommendation_loss(name: str, positive: Tensor, negative: Tensor, allowed: Tensor) -> Tensor:
    """The loss called ``name``."""
    return _LOSSES[name](positive, negative, allowed)


def finite(loss: Tensor) -> bool:
    """Whether ``loss`` is a number that can be descended."""
    return bool(torch.isfinite(loss))
