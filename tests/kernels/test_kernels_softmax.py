"""Logarithms of sums by native code and by plain PyTorch, and their gradients."""

import math

import pytest
import torch
from kernel_relations import needs_native

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels import log_sums
from finrec_dgl.kernels.library import find_library
from finrec_dgl.kernels.softmax import softmax_of

KERNELS = [pytest.param("native", marks=needs_native), "torch"]


def case(rows, columns, dtype=torch.float64, share=0.6):
    torch.manual_seed(rows * 1000 + columns)
    scores = (torch.randn(rows, columns, dtype=dtype) * 5).requires_grad_()
    return scores, torch.rand(rows, columns) < share, torch.randn(rows, dtype=dtype)


def run(scores, allowed, gradient, kernels):
    total = log_sums(scores, allowed, kernels=kernels)
    return total, *torch.autograd.grad(total, scores, gradient)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-13), (torch.float32, 2e-6)])
@pytest.mark.parametrize("columns", [1, 2, 7, 8, 15, 16, 17, 33, 200])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 1.0])
def test_sums_and_gradients_are_those_of_the_formula(kernels, dtype, near, columns, share):
    """Catches columns lost or read twice at the end of a row, and masked ones that count."""
    scores, allowed, gradient = case(5, columns, dtype, share)
    total, grad = run(scores, allowed, gradient, kernels)
    exact = scores.detach().double().masked_fill(~allowed, -math.inf)
    expected = torch.logsumexp(exact, dim=1)
    torch.testing.assert_close(total.double(), expected, rtol=near, atol=near)
    shares = torch.softmax(exact, dim=1).nan_to_num(0.0) * gradient.double().unsqueeze(1)
    torch.testing.assert_close(grad.double(), shares, rtol=10 * near, atol=near)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_large_scores(kernels, scale):
    """Catches exponentials of scores as they are, and those of what is left out."""
    scores, allowed, gradient = case(6, 40, torch.float32)
    scores = (scores.detach() * scale).requires_grad_()
    total, grad = run(scores, allowed, gradient, kernels)
    most = scores.masked_fill(~allowed, -math.inf).amax(dim=1)
    torch.testing.assert_close(total, most, rtol=1e-5, atol=0)
    assert torch.isfinite(grad).all()
    assert not grad[~allowed].any()


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("rows", "columns"), [(0, 4), (4, 0), (0, 0)])
def test_nothing_to_add_up(kernels, rows, columns):
    """Catches a reduction over no columns, which PyTorch refuses."""
    scores, allowed, gradient = case(rows, columns)
    total, grad = run(scores, allowed, gradient, kernels)
    assert total.tolist() == [-math.inf] * rows
    assert grad.shape == (rows, columns)


@pytest.mark.parametrize("kernels", KERNELS)
def test_what_is_no_number_stays_so(kernels):
    """Catches a diverged training that goes on unseen."""
    scores, allowed, _ = case(2, 20)
    allowed[0, 3] = True
    scores.data[0, 3] = math.nan
    total = log_sums(scores, allowed, kernels=kernels)
    assert total.isnan().tolist() == [True, False]


@needs_native
def test_the_number_of_threads_changes_no_bit():
    """Catches sums that depend on how rows are dealt out."""
    given = case(37, 101, torch.float32)
    found = {}
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found[threads] = run(*given, "native")
    finally:
        torch.set_num_threads(before)
    for threads in (2, 5):
        assert all(map(torch.equal, found[1], found[threads]))


@needs_native
def test_all_instruction_sets_agree(monkeypatch):
    """Catches a table of kernels that was compiled for lanes of another width."""
    library = find_library()
    given = case(9, 50)
    expected = run(*given, "torch")
    for level in range(library.level + 1):
        monkeypatch.setattr(
            "finrec_dgl.kernels.softmax.find_library",
            lambda level=level: type(library)(library.handle, "", level),
        )
        for one, other in zip(run(*given, "native"), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_shapes_that_do_not_fit_are_refused():
    """Catches native code that reads past the end of a tensor."""
    for allowed in (torch.ones(3, 4), torch.ones(3, 5, dtype=torch.bool)):
        with pytest.raises(UsageError, match="one shape"):
            log_sums(torch.zeros(3, 4), allowed)


@pytest.mark.parametrize("heads", [(), (2,)])
def test_softmax_of_some_columns(heads):
    """Catches absent columns that have a share or pass on a gradient, and rows of none."""
    torch.manual_seed(0)
    scores = torch.randn(*heads, 4, 9, dtype=torch.float64, requires_grad=True)
    allowed = torch.rand(4, 9) < 0.6
    allowed[1], allowed[2] = False, True
    found = softmax_of(scores, allowed)
    expected = torch.softmax(scores.masked_fill(~allowed, -math.inf), dim=-1).nan_to_num(0.0)
    torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(lambda one: softmax_of(one, allowed), scores)


@pytest.mark.parametrize("columns", [30, 256])
def test_the_softmax_has_the_same_bits_on_any_number_of_threads(columns):
    """Catches PyTorch's own gradient, of which widths beside the vectors' depend on threads."""
    torch.manual_seed(0)
    scores = torch.randn(2, 40, columns, requires_grad=True)
    gradient, allowed = torch.randn(2, 40, columns), torch.rand(40, columns) < 0.9
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            share = softmax_of(scores, allowed)
            found.append((share, *torch.autograd.grad(share, scores, gradient)))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))
