"""Messages as logarithms of shares, by native code and by plain PyTorch, and their gradients."""

import dataclasses
import math

import pytest
import torch
from kernel_relations import needs_native

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels import shares
from finrec_dgl.kernels.library import LEVELS, find_library
from finrec_dgl.kernels.shares import log_shares

KERNELS = [pytest.param("native", marks=needs_native), "torch"]
LENGTHS = [1, 2, 7, 8, 15, 16, 17, 33, 200]


def case(rows, columns, dtype=torch.float64, heads=()):
    torch.manual_seed(rows * 1000 + columns)
    message = torch.randn(*heads, rows, columns, dtype=dtype).requires_grad_()
    free = torch.rand(rows, columns) < 0.7
    floor = torch.rand(heads, dtype=dtype).add(0.1).requires_grad_()
    return message, free, floor, torch.randn(*heads, rows, columns, dtype=dtype)


def by_loops(message, free, floor):
    """The formula, a number at a time."""
    found = torch.zeros_like(message)
    for row in range(len(message)):
        positive = [max(one, 0.0) for one in message[row].tolist()]
        there = free[row].tolist()
        total = sum(one for one, known in zip(positive, there, strict=True) if known)
        for column, one in enumerate(positive):
            share = one / max(total, 1e-9) * sum(there)
            found[row, column] = math.log(share + float(floor))
    return found


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("columns", LENGTHS)
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_values_are_those_of_the_formula(kernels, columns, dtype, near):
    """Catches columns lost or read twice at the end of a row, and others that add to the sum."""
    message, free, floor, _ = case(5, columns, dtype)
    found = log_shares(message, free, floor, kernels=kernels).detach()
    expected = by_loops(message.detach().double(), free, floor.detach().double())
    torch.testing.assert_close(found.double(), expected, rtol=near, atol=near)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("columns", [1, 5, 17])
@pytest.mark.parametrize("heads", [(), (3,)])
def test_gradients_are_those_of_the_formula(kernels, columns, heads):
    """Catches a gradient that only looks right: by differences in double precision."""
    message, free, floor, _ = case(4, columns, heads=heads)
    free[:, 0] = True
    message.data[message.abs() < 0.01] = 0.5
    assert torch.autograd.gradcheck(
        lambda one, by: log_shares(one, free, by, kernels=kernels), (message, floor)
    )


@needs_native
@pytest.mark.parametrize("columns", LENGTHS)
@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_every_instruction_set_gives_the_same(monkeypatch, columns, level):
    """Catches an error in the vectors of one length, which other processors would run."""
    given = case(6, columns, torch.float32, heads=(2,))
    library = dataclasses.replace(find_library(), level=level)
    monkeypatch.setattr(shares, "find_library", lambda: library)
    found = {}
    for name in ("native", "torch"):
        message, free, floor, grad = given
        out = log_shares(message, free, floor, kernels=name)
        found[name] = (out, *torch.autograd.grad(out, (message, floor), grad))
    for one, other in zip(*found.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("kernels", KERNELS)
def test_rows_of_which_nothing_is_free_or_sent(kernels):
    """Catches a division by zero, and a gradient through a sum that is none."""
    message, free, floor, grad = case(3, 9)
    message.data[1], free[2] = -1.0, False
    out = log_shares(message, free, floor, kernels=kernels)
    to_message, to_floor = torch.autograd.grad(out, (message, floor), grad)
    assert all(one.isfinite().all() for one in (out, to_message, to_floor))
    torch.testing.assert_close(out[1], floor.detach().log().expand(9))
    assert not to_message[1].any()


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0)])
def test_nothing_to_share(kernels, shape):
    """Catches native code that is given an empty array."""
    found = log_shares(
        torch.zeros(shape), torch.zeros(shape, dtype=torch.bool), 0.1, kernels=kernels
    )
    assert found.shape == shape


@needs_native
def test_rows_apart_and_turned_round():
    """Catches native code that reads a part of a tensor as if it were the whole."""
    message, free, floor, grad = case(8, 12)
    expected = log_shares(message, free, floor, kernels="torch")
    wide = torch.cat([message, message], dim=1)[:, :12]
    for odd in (wide, message.T.contiguous().T):
        found = log_shares(odd, free.T.contiguous().T, floor, kernels="native")
        torch.testing.assert_close(found, expected)
        given = grad.T.contiguous().T
        found = torch.autograd.grad(found, message, given, retain_graph=True)
        torch.testing.assert_close(
            found, torch.autograd.grad(expected, message, grad, retain_graph=True)
        )


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_stays_seen(kernels, value):
    """Catches a logarithm that makes an ordinary number of an error."""
    message, free, floor, _ = case(2, 20, torch.float32)
    message.data[0, 3] = value
    free[0, 3] = False
    found = log_shares(message, free, floor, kernels=kernels)
    assert not found[0, 3].isfinite()
    assert found[1].isfinite().all()


@needs_native
def test_logarithms_are_exact_over_all_sizes():
    """Catches a polynomial that is wrong beside its middle, and powers of two."""
    size = torch.cat([torch.logspace(-37, 38, 4001), 2.0 ** torch.arange(-120.0, 121.0)])
    row = torch.stack([size, torch.ones_like(size)], dim=1)
    free = torch.tensor([[False, True]]).expand(len(row), 2)
    found = log_shares(row, free, 0.0, kernels="native")[:, 0].double()
    torch.testing.assert_close(found, size.double().log(), rtol=2e-7, atol=1e-7)


@pytest.mark.parametrize("free", [(3, 4, bool), (2, 5, bool), (2, 4, float), (4, 2, bool)])
def test_shapes_that_do_not_match_are_refused(free):
    """Catches native code that reads beyond an array."""
    *shape, kind = free
    given = torch.ones(shape, dtype=torch.bool if kind is bool else torch.float32)
    with pytest.raises(UsageError, match="free is"):
        log_shares(torch.ones(2, 4), given, 0.1)
