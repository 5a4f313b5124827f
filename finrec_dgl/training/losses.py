"""Recommendation losses over the scores of a batch of positives against shared candidates.

All take scores [B, C], the column of each row's positive [B], and ``allowed`` bool [B, C]: which
candidates may stand as negatives (not the products the user holds). They return the mean over rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def softmax_loss(
    scores: Tensor, positive: Tensor, allowed: Tensor, correction: Tensor | None = None
) -> Tensor:
    """-log( exp(s+) / (exp(s+) + sum over allowed c of exp(s_c)) ).

    ``correction`` [C]: the logarithm of how often each candidate is expected among the sampled
    ones, taken off its score (sampled softmax, Bengio and Senecal, 2008; Yi et al., 2019).
    """
    if correction is not None:
        scores = scores - correction
    keep = allowed.scatter(1, positive.unsqueeze(1), True)
    return functional.cross_entropy(scores.masked_fill(~keep, float("-inf")), positive)


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
