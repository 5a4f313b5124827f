"""The losses against their formulas, one row at a time."""

import math

import pytest
import torch

from finrec_dgl.training.losses import recommendation_loss

B, C = 6, 9


def case(seed=0):
    torch.manual_seed(seed)
    scores = torch.randn(B, C, dtype=torch.float64) * 3
    positive = torch.randint(C, (B,))
    allowed = torch.rand(B, C) < 0.6
    return scores, positive, allowed


def negatives(row, positive, allowed):
    return [c for c in range(C) if allowed[row, c] and c != positive[row]]


def plain(name, scores, positive, allowed):
    total = 0.0
    for row in range(B):
        s_plus = float(scores[row, positive[row]])
        s_minus = [float(scores[row, c]) for c in negatives(row, positive, allowed)]
        if name == "softmax":
            total += -s_plus + math.log(math.exp(s_plus) + sum(map(math.exp, s_minus)))
        elif name == "bpr":
            total += sum(math.log1p(math.exp(s - s_plus)) for s in s_minus) / len(s_minus)
        else:
            total += math.log1p(math.exp(-s_plus))
            total += sum(math.log1p(math.exp(s)) for s in s_minus) / len(s_minus)
    return total / B


@pytest.mark.parametrize("name", ["softmax", "bpr", "bce"])
@pytest.mark.parametrize("seed", range(3))
def test_loss_equals_its_formula(name, seed):
    """Catches held products among the negatives, and a positive that is its own negative."""
    scores, positive, allowed = case(seed)
    found = recommendation_loss(name, scores, positive, allowed)
    assert float(found) == pytest.approx(plain(name, scores, positive, allowed), rel=1e-12)


@pytest.mark.parametrize("name", ["softmax", "bpr", "bce"])
def test_no_allowed_negative_gives_a_finite_loss(name):
    """Catches a division by zero for a user who holds every candidate."""
    scores, positive, allowed = case()
    scores.requires_grad_()
    loss = recommendation_loss(name, scores, positive, torch.zeros_like(allowed))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(scores.grad).all()


def test_correction_is_taken_off_the_scores():
    """Catches a correction with the wrong sign, which would favour popular products twice."""
    scores, positive, allowed = case()
    correction = torch.randn(C, dtype=torch.float64)
    one = recommendation_loss("softmax", scores, positive, allowed, correction)
    other = recommendation_loss("softmax", scores - correction, positive, allowed)
    assert float(one) == pytest.approx(float(other), rel=1e-12)


@pytest.mark.parametrize("corrected", [False, True])
def test_the_gradient_of_softmax_is_that_of_its_value(corrected):
    """Catches a share that counts what is left out, or a positive whose own share is not taken."""
    scores, positive, allowed = case()
    correction = torch.randn(C, dtype=torch.float64) if corrected else None

    def loss(scores):
        return recommendation_loss("softmax", scores, positive, allowed, correction)

    assert torch.autograd.gradcheck(loss, scores.requires_grad_())
