"""Recommendation losses: a batch of positives, each against negatives that all of them share.

All take the positives' scores [B], the negatives' [R, K], ``allowed`` bool [R, K]: which negatives
a positive is compared with (not the products the user holds), and ``row`` int64 [B]: in which row
each positive's comparison is; positives of one user share theirs. They return the mean over
positives.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from finrec_dgl.kernels import log_sums


def softmax_loss(positive: Tensor, negative: Tensor, allowed: Tensor, row: Tensor) -> Tensor:
    """-log( exp(s+) / (exp(s+) + sum over allowed c of exp(s_c)) ).

    Where negatives are drawn, all scores are less the logarithm of how often their item is
    expected among the negatives (sampled softmax, Bengio and Senecal, 2008; Yi et al., 2019).
    """
    total = log_sums(negative, allowed)
    return functional.softplus(total.index_select(0, row) - positive).mean()


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
