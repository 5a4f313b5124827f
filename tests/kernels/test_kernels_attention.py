"""Native attention, plain PyTorch's and DGL's give the same numbers, and the same each time."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_relations import (
    assert_near,
    heads,
    largest_term,
    needs_native,
    random_edges,
    random_inputs,
    relations,
    widths,
)

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels import attend
from finrec_dgl.kernels import attention as module
from finrec_dgl.kernels.library import LEVELS, find_library

OTHERS = [pytest.param("native", marks=needs_native), "torch"]


def run(edges, inputs, grad, kernels, **options):
    """The output and the three gradients, with the draws of dropout alike each time."""
    torch.manual_seed(5)
    out = attend(edges, *inputs, kernels=kernels, **options)
    return (out, *torch.autograd.grad(out, inputs, grad))


def at_level(monkeypatch, level):
    """Have native code use the instruction set ``level``, or the best below it there is."""
    library = dataclasses.replace(find_library(), level=level)
    monkeypatch.setattr(module, "find_library", lambda: library)


@pytest.mark.parametrize("kernels", OTHERS)
@settings(max_examples=60, deadline=None)
@given(
    edges=relations,
    heads=heads,
    width=widths,
    dropout=st.sampled_from([0.0, 0.4]),
    slope=st.sampled_from([0.01, 0.2, 1.0]),
)
def test_values_and_gradients_are_dgls(kernels, edges, heads, width, dropout, slope):
    """Catches any error of arithmetic, of any shape: empty, isolated, repeated, one of each."""
    inputs, grad = random_inputs(edges, heads, width)
    options = {"dropout": dropout, "slope": slope}
    found = run(edges, inputs, grad, kernels, **options)
    assert_near(found, run(edges, inputs, grad, "dgl", **options), 1e-11)


@pytest.mark.parametrize("kernels", OTHERS)
@settings(max_examples=30, deadline=None)
@given(edges=relations, heads=heads, width=widths)
def test_single_precision_is_near_double(kernels, edges, heads, width):
    """Catches a polynomial or a sum that loses digits in float32."""
    inputs, grad = random_inputs(edges, heads, width, dtype=torch.float32)
    exact = [one.detach().double().requires_grad_() for one in inputs]
    found = run(edges, inputs, grad, kernels)
    expected = run(edges, exact, grad.double(), "dgl")
    assert_near(found, expected, 1e-5, largest_term(inputs, grad))


@needs_native
@pytest.mark.parametrize("level", range(len(LEVELS)))
@pytest.mark.parametrize("shape", [(4, 16), (2, 32), (1, 64), (8, 8), (4, 8), (3, 5), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_instruction_set_gives_the_same(monkeypatch, level, shape, dtype):
    """Catches an error in one set only, or where a node's edges take more than one chunk."""
    at_level(monkeypatch, level)
    edges = random_edges(900, 3, 4000)
    inputs, grad = random_inputs(edges, *shape, dtype=dtype)
    with torch.no_grad():
        inputs[0].copy_(inputs[0].sort(dim=0).values * 3)  # each chunk's maximum is a new one
    exact = [one.detach().double().requires_grad_() for one in inputs]
    found = run(edges, inputs, grad, "native", dropout=0.2)
    expected = run(edges, exact, grad.double(), "dgl", dropout=0.2)
    near = 1e-5 if dtype == torch.float32 else 1e-12
    assert_near(found, expected, near, largest_term(inputs, grad))


@needs_native
@pytest.mark.parametrize("shape", [(4, 16), (3, 5)])
def test_the_number_of_threads_changes_no_bit(shape):
    """Catches a sum whose order depends on which thread comes first."""
    edges = random_edges(3000, 500, 40_000)
    inputs, grad = random_inputs(edges, *shape, dtype=torch.float32)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(run(edges, inputs, grad, "native", dropout=0.1))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


@pytest.mark.parametrize("kernels", [*OTHERS, "dgl"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_scores_do_not_overflow(kernels, dtype):
    """Catches exp of a score without its maximum taken off."""
    edges = random_edges(6, 4, 20)
    inputs, grad = random_inputs(edges, 4, 16, dtype=dtype)
    with torch.no_grad():
        inputs[0].mul_(1e4)
    found = run(edges, inputs, grad, kernels)
    assert all(torch.isfinite(one).all() for one in found)
    # the coefficients sum to one: values that are all alike stay as they are
    alike = torch.ones_like(inputs[2])
    out = attend(edges, *inputs[:2], alike, kernels=kernels)
    torch.testing.assert_close(out[edges.in_degree > 0], torch.ones_like(out)[:3])


@pytest.mark.parametrize("kernels", [*OTHERS, "dgl"])
def test_what_is_not_a_number_is_seen(kernels):
    """Catches a diverged model whose output looks sound."""
    edges = random_edges(6, 4, 20)
    inputs, _ = random_inputs(edges, 4, 16)
    with torch.no_grad():
        inputs[0][edges.source[0].long(), 1] = float("nan")
    out = attend(edges, *inputs, kernels=kernels)
    assert out[edges.target[0].long(), 1].isnan().all()
    assert not out[:, 0].isnan().any()


@pytest.mark.parametrize("kernels", [*OTHERS, "dgl"])
def test_dropout_takes_its_share_and_makes_up_for_it(kernels):
    """Catches draws that are not even, are alike for all heads, or are alike each time."""
    edges = random_edges(400, 300, 20_000)
    inputs, _ = random_inputs(edges, 2, 3)
    # every coefficient of a node is alike, and all values one: the output is what was kept
    ones = [torch.zeros_like(inputs[0]), torch.zeros_like(inputs[1]), torch.ones_like(inputs[2])]
    torch.manual_seed(0)
    one, other = (attend(edges, *ones, dropout=0.3, kernels=kernels)[:-1] for _ in range(2))
    assert abs(float(one.mean()) - 1) < 0.01
    assert float(one.std()) > 0.01
    assert not torch.equal(one, other)
    assert abs(float(torch.corrcoef(torch.stack([one[:, 0, 0], one[:, 1, 0]]))[0, 1])) < 0.2
    torch.manual_seed(0)
    assert torch.equal(one, attend(edges, *ones, dropout=0.3, kernels=kernels)[:-1])


@needs_native
def test_without_gradients_nothing_is_kept_for_them(monkeypatch):
    """Catches the second output computed where scores are only asked for."""
    asked = []
    real = module.find_library()

    class Spy:
        def compute(self, name, like, *arguments):
            asked.append(arguments[-3])
            real.compute(name, like, *arguments)

    monkeypatch.setattr(module, "find_library", Spy)
    edges = random_edges(6, 4, 20)
    inputs, _ = random_inputs(edges, 4, 16)
    with torch.no_grad():
        still = attend(edges, *inputs, kernels="native")
    moving = attend(edges, *inputs, kernels="native")
    assert asked[0] is None
    assert asked[1] is not None
    torch.testing.assert_close(still, moving, rtol=1e-14, atol=0)


@pytest.mark.parametrize("which", range(3))
def test_shapes_that_do_not_fit_are_refused(which):
    """Catches native code that reads past the end of a tensor."""
    edges = random_edges(6, 4, 20)
    inputs, _ = random_inputs(edges, 4, 16)
    inputs[which] = inputs[which][:-1]
    with pytest.raises(UsageError, match="6 senders and 4 receivers"):
        attend(edges, *inputs)


@pytest.mark.parametrize("options", [{"slope": 0.0}, {"slope": -1.0}, {"dropout": 1.0}])
def test_numbers_out_of_range_are_refused(options):
    """Catches a LeakyReLU that does not rise, on which the maximum rests."""
    edges = random_edges(6, 4, 20)
    with pytest.raises(UsageError, match="expected"):
        attend(edges, *random_inputs(edges, 4, 16)[0], **options)


@pytest.mark.parametrize("kernels", [*OTHERS, "dgl"])
@settings(max_examples=25, deadline=None)
@given(edges=relations, heads=heads, width=widths, dropout=st.sampled_from([0.0, 0.4]))
def test_values_in_bfloat16_are_summed_in_single_precision(kernels, edges, heads, width, dropout):
    """Catches sums that round at each step, or halves of a number read in the wrong order."""
    inputs, grad = random_inputs(edges, heads, width, dtype=torch.float32)
    inputs[2] = inputs[2].detach().bfloat16().requires_grad_()
    exact = [one.detach().double().requires_grad_() for one in inputs]
    found = run(edges, inputs, grad, kernels, dropout=dropout)
    assert [one.dtype for one in found] == [torch.float32] * 3 + [torch.bfloat16]
    expected = run(edges, exact, grad.double(), "torch", dropout=dropout)
    assert_near(found[:1], expected[:1], 1e-5)
    # gradients are of what is read in bfloat16: to 2^-9 of each term
    terms = largest_term(inputs, grad) if len(edges) else 1.0
    assert_near(found[1:], expected[1:], 8e-3, terms)


@needs_native
@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_bfloat16_is_alike_by_each_instruction_set(monkeypatch, level):
    """Catches numbers widened or rounded otherwise in one set, not a number among them."""
    at_level(monkeypatch, level)
    edges = random_edges(300, 40, 2000)
    inputs, grad = random_inputs(edges, 4, 16, dtype=torch.float32)
    with torch.no_grad():
        inputs[2][edges.source[0].long(), 1, 2] = float("nan")
    inputs[2] = inputs[2].detach().bfloat16().requires_grad_()
    out, *_, to_value = run(edges, inputs, grad, "native")
    other, *_, rounded = run(edges, inputs, grad, "torch")
    torch.testing.assert_close(out, other, rtol=1e-5, atol=1e-5, equal_nan=True)
    torch.testing.assert_close(to_value, rounded, rtol=1e-2, atol=1e-2)
