"""Sums over neighbours by native code, plain PyTorch and DGL are the same."""

import pytest
import torch
from hypothesis import given, settings
from kernel_relations import assert_near, needs_native, random_edges, relations, widths

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels import neighbour_sum


@pytest.mark.parametrize("kernels", [pytest.param("native", marks=needs_native), "torch"])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
@settings(max_examples=30, deadline=None)
@given(edges=relations, width=widths)
def test_sums_and_gradients_are_dgls(kernels, dtype, near, edges, width):
    """Catches a column or an edge left out, and a gradient that is not the transpose's."""
    torch.manual_seed(0)
    x = torch.randn(edges.n_src, width, dtype=dtype, requires_grad=True)
    grad = torch.randn(edges.n_dst, width, dtype=dtype)
    found, expected = (
        (out, *torch.autograd.grad(out, x, grad))
        for out in (neighbour_sum(edges, x, kernels=one) for one in (kernels, "dgl"))
    )
    assert_near(found, expected, near)


@pytest.mark.parametrize("kernels", [pytest.param("native", marks=needs_native), "torch", "dgl"])
@settings(max_examples=20, deadline=None)
@given(edges=relations, width=widths)
def test_bfloat16_is_summed_in_single_precision(kernels, edges, width):
    """Catches sums that round at each step."""
    torch.manual_seed(0)
    x = torch.randn(edges.n_src, width).bfloat16().requires_grad_()
    grad = torch.randn(edges.n_dst, width)
    out = neighbour_sum(edges, x, kernels=kernels)
    exact = x.detach().double().requires_grad_()
    expected = neighbour_sum(edges, exact, kernels="torch")
    assert_near([out], [expected], 1e-6)
    (found,) = torch.autograd.grad(out, x, grad)
    assert found.dtype == torch.bfloat16
    (wanted,) = torch.autograd.grad(expected, exact, grad.double())
    assert_near([found], [wanted], 1e-2, float(grad.abs().max()))


def test_another_number_of_rows_is_refused():
    """Catches native code that reads past the end of a tensor."""
    with pytest.raises(UsageError, match="a row for each of 6 nodes"):
        neighbour_sum(random_edges(6, 4, 20), torch.zeros(5, 3))
