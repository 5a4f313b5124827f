"""The losses against their formulas, one row at a time."""

import math

import pytest
import torch

from finrec_dgl.training.losses import recommendation_loss

B, K = 6, 9
ROW = torch.tensor([0, 3, 3, 1, 2, 3])  # several positives of one user
NAMES = ["softmax", "bpr", "bce"]


def case(seed=0):
    torch.manual_seed(seed)
    positive = torch.randn(B, dtype=torch.float64) * 3
    negative = torch.randn(4, K, dtype=torch.float64) * 3
    return positive, negative, torch.rand(4, K) < 0.6


def plain(name, positive, negative, allowed):
    total = 0.0
    rows = negative[ROW].tolist()
    for s_plus, row, free in zip(positive.tolist(), rows, allowed[ROW], strict=True):
        s_minus = [s for s, one in zip(row, free, strict=True) if one]
        if name == "softmax":
            total += -s_plus + math.log(math.exp(s_plus) + sum(map(math.exp, s_minus)))
        elif name == "bpr":
            total += sum(math.log1p(math.exp(s - s_plus)) for s in s_minus) / len(s_minus)
        else:
            total += math.log1p(math.exp(-s_plus))
            total += sum(math.log1p(math.exp(s)) for s in s_minus) / len(s_minus)
    return total / B


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_loss_equals_its_formula(name, seed):
    """Catches held products among the negatives, a positive left out, and another's row."""
    given = case(seed)
    found = recommendation_loss(name, *given, ROW)
    assert float(found) == pytest.approx(plain(name, *given), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("negatives", [0, K])
def test_no_allowed_negative_gives_a_finite_loss(name, negatives):
    """Catches a division by zero for a user who holds every negative, or where there is none."""
    positive, negative, _ = case()
    negative = negative[:, :negatives].requires_grad_()
    loss = recommendation_loss(name, positive.requires_grad_(), negative, negative > math.inf, ROW)
    loss.backward()
    for one in (loss, positive.grad, negative.grad):
        assert torch.isfinite(one).all()


@pytest.mark.parametrize("name", NAMES)
def test_large_scores_give_a_finite_loss(name):
    """Catches exponentials of scores as they are."""
    positive, negative, allowed = case()
    negative = (negative * 1e4).requires_grad_()
    loss = recommendation_loss(name, positive * 1e4, negative, allowed, ROW)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(negative.grad).all()


def test_the_gradient_of_softmax_is_that_of_its_value():
    """Catches a share that counts what is left out, or a positive whose own share is not taken."""
    positive, negative, allowed = case()
    given = (positive.requires_grad_(), negative.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda *two: recommendation_loss("softmax", *two, allowed, ROW), given
    )
