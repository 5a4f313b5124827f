"""Linear layers in 8 bits: native code against plain PyTorch, and both against float32."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finrec_dgl.kernels import int8
from finrec_dgl.kernels.int8 import Int8Linear, has_int8
from finrec_dgl.kernels.library import Library

needs_int8 = pytest.mark.skipif(not has_int8(), reason="no native 8-bit integers here")


def make(inputs: int, outputs: int, seed: int = 0, bias: bool = True) -> torch.nn.Linear:
    """A layer whose inputs have weights of different sizes."""
    torch.manual_seed(seed)
    linear = torch.nn.Linear(inputs, outputs, bias)
    with torch.no_grad():
        linear.weight *= torch.rand(outputs, inputs) * 3
    return linear.requires_grad_(False)


def plain(linear: torch.nn.Linear, monkeypatch: pytest.MonkeyPatch) -> Int8Linear:
    """The layer as it is where there is no library."""
    with monkeypatch.context() as patched:
        patched.setattr(int8, "find_library", lambda: Library(None, "absent"))
        return Int8Linear(linear)


@needs_int8
@settings(deadline=None, max_examples=60)
@given(st.integers(0, 110), st.integers(1, 300), st.integers(1, 200), st.booleans())
def test_native_code_gives_what_pytorch_gives(rows, inputs, outputs, bias):
    """Catches a row, a group or a panel that is read or written wrongly at its odd end."""
    linear = make(inputs, outputs, rows, bias)
    x = torch.randn(rows, inputs) * torch.rand(rows, 1) + torch.randn(rows, 1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        expected = plain(linear, monkeypatch)(x)
    found = Int8Linear(linear)(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("native", [pytest.param(True, marks=needs_int8), False])
def test_it_is_near_float32(native, monkeypatch):
    """Catches a scale that is too coarse, or one that is shared by too many."""
    linear = make(384, 96)
    x = torch.randn(3, 50, 384)
    layer = Int8Linear(linear) if native else plain(linear, monkeypatch)
    expected = linear(x)
    assert float((layer(x) - expected).norm() / expected.norm()) < 0.01
    assert float((layer.weight - linear.weight).abs().max() / linear.weight.abs().max()) < 0.005


@needs_int8
def test_the_number_of_threads_changes_no_bit():
    """Catches rows whose sums depend on how they are dealt out."""
    layer, x = Int8Linear(make(200, 70)), torch.randn(101, 200)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            found.append(layer(x))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, found[0]) for one in found)


@pytest.mark.parametrize("native", [pytest.param(True, marks=needs_int8), False])
def test_what_is_not_finite_is_seen_and_constants_are_exact(native, monkeypatch):
    """Catches NaN and infinity turned into numbers, and a division by the span of equal inputs."""
    linear = make(150, 40)
    layer = Int8Linear(linear) if native else plain(linear, monkeypatch)
    x = torch.randn(4, 150)
    x[0, 3], x[1, 140], x[2] = float("nan"), float("inf"), 0.75
    found = layer(x)
    assert not found[:2].isfinite().any(dim=1).any()
    constant = torch.nn.functional.linear(x[2:3], layer.weight, layer.bias)
    torch.testing.assert_close(found[2:3], constant, rtol=1e-5, atol=1e-5)
    assert found[3].isfinite().all()
