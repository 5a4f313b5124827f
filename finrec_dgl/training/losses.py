"""Recommendation losses over the scores of a batch of positives against shared candidates.

All take scores [B, C], the column of each row's positive [B], and ``allowed`` bool [B, C]: which
candidates may stand as negatives (not the products the user holds). They return the mean over rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def softmax_loss(
    scores: Tensor, positive: Tensor, allowed: Tensor, correction: Tensor | None = None
) -> Tensor:
    """-log( exp(s+) / (exp(s+) + sum over allowed c of exp(s_c)) ).

    ``correction`` [C]: the logarithm of how often each candidate is expected among the sampled
    ones, taken off its score (sampled softmax, Bengio and Senecal, 2008; Yi et al., 2019).
    """
    found: Tensor = _Softmax.apply(scores, positive, allowed, correction)
    return found


class _Softmax(torch.autograd.Function):
    """``softmax_loss``. Its gradient, the shares less one for the positive, is made in one piece.

    What is left out has a share of 0, and so needs no mask a second time.
    """

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, positive: Tensor, allowed: Tensor, correction: Tensor | None
    ) -> Tensor:
        left_out = allowed.scatter(1, positive.unsqueeze(1), True).logical_not_()
        logit = scores.clone() if correction is None else scores - correction
        shares = torch.log_softmax(logit.masked_fill_(left_out, float("-inf")), dim=1)
        ctx.save_for_backward(shares, positive)
        return functional.nll_loss(shares, positive)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        shares, positive = ctx.saved_tensors
        each = gradient / len(positive)
        found = shares.exp().mul_(each)
        one = -each.to(found.dtype).expand(len(positive), 1)
        return found.scatter_add_(1, positive.unsqueeze(1), one), None, None, None


def bpr_loss(scores: Tensor, positive: Tensor, allowed: Tensor) -> Tensor:
    """Mean over allowed c of -log sigmoid(s+ - s_c)   (Rendle et al., 2009)."""
    margin = scores.gather(1, positive.unsqueeze(1)) - scores
    each = functional.softplus(-margin) * allowed
    return (each.sum(1) / allowed.sum(1).clamp(min=1)).mean()


def bce_loss(scores: Tensor, positive: Tensor, allowed: Tensor) -> Tensor:
    """-log sigmoid(s+) - mean over allowed c of log(1 - sigmoid(s_c))."""
    taken = functional.softplus(-scores.gather(1, positive.unsqueeze(1))).squeeze(1)
    left = (functional.softplus(scores) * allowed).sum(1) / allowed.sum(1).clamp(min=1)
    return (taken + left).mean()


def recommendation_loss(
    name: str,
    scores: Tensor,
    positive: Tensor,
    allowed: Tensor,
    correction: Tensor | None = None,
) -> Tensor:
    """The loss called ``name``; only ``softmax`` heeds ``correction``."""
    # a positive is never its own negative
    allowed = allowed.scatter(1, positive.unsqueeze(1), False)
    if name == "softmax":
        return softmax_loss(scores, positive, allowed, correction)
    if name == "bpr":
        return bpr_loss(scores, positive, allowed)
    return bce_loss(scores, positive, allowed)


def finite(loss: Tensor) -> bool:
    """Whether ``loss`` is a number that can be descended."""
    return bool(torch.isfinite(loss))
