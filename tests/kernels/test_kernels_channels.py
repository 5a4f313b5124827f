"""Sums over channels, by native code and by plain PyTorch, and their gradients."""

import dataclasses

import pytest
import torch
from kernel_relations import needs_native

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels import channels
from finrec_dgl.kernels.channels import weighted_sum
from finrec_dgl.kernels.library import LEVELS, find_library

KERNELS = [pytest.param("native", marks=needs_native), "torch"]


def case(rows, columns, channels, dtype=torch.float64):
    torch.manual_seed(rows + columns + channels)
    lying = torch.randn(channels, rows, columns, dtype=dtype).movedim(0, -1)
    return lying.requires_grad_(), torch.randn(rows, channels, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("channels", [0, 1, 2, 9])
@pytest.mark.parametrize("columns", [0, 1, 7, 8, 17, 40])
def test_values_are_those_of_the_formula(kernels, columns, channels):
    """Catches a channel or a column that is lost, and a weight of another row."""
    given, weight = case(5, columns, channels)
    expected = torch.einsum("bic,bc->bi", given, weight)
    torch.testing.assert_close(weighted_sum(given, weight, kernels=kernels), expected)


@pytest.mark.parametrize("kernels", KERNELS)
def test_gradients_are_those_of_the_formula(kernels):
    """Catches a gradient that only looks right: by differences in double precision."""
    given = case(3, 19, 4)
    assert torch.autograd.gradcheck(lambda *both: weighted_sum(*both, kernels=kernels), given)


@needs_native
@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_every_instruction_set_gives_the_same(monkeypatch, level):
    """Catches an error in the vectors of one length, which other processors would run."""
    library = dataclasses.replace(find_library(), level=level)
    monkeypatch.setattr(channels, "find_library", lambda: library)
    given, weight = case(6, 37, 5, torch.float32)
    found = {}
    for name in ("native", "torch"):
        out = weighted_sum(given, weight, kernels=name)
        found[name] = (out, *torch.autograd.grad(out.square().sum(), (given, weight)))
    for one, other in zip(*found.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@needs_native
def test_channels_that_lie_side_by_side_or_far_apart():
    """Catches native code that takes one layout for another."""
    given, weight = case(4, 11, 3)
    expected = weighted_sum(given, weight, kernels="torch")
    many = torch.cat([given, given], dim=1)[:, :11]
    for odd in (given.contiguous(), many, weight.new_zeros(4, 11, 3).copy_(given)):
        out = weighted_sum(odd, weight.T.contiguous().T, kernels="native")
        torch.testing.assert_close(out, expected)


@needs_native
def test_the_number_of_threads_changes_no_bit():
    """Catches sums whose order hangs on who computes them."""
    given, weight = case(7, 100, 4, torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            out = weighted_sum(given, weight, kernels="native")
            found.append((out, *torch.autograd.grad(out.square().sum(), (given, weight))))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


@pytest.mark.parametrize("shape", [(1, 3), (4, 2), (3, 4), (4,)])
def test_shapes_that_do_not_match_are_refused(shape):
    """Catches native code that reads beyond an array."""
    with pytest.raises(UsageError, match="weights are"):
        weighted_sum(torch.ones(4, 5, 3), torch.ones(shape))
