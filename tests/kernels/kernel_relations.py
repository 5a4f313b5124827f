"""Random relations and inputs of attention, for the tests of kernels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import strategies as st

from finrec_dgl.kernels import Edges
from finrec_dgl.kernels.library import find_library

needs_native = pytest.mark.skipif(
    find_library().handle is None, reason=f"no native library: {find_library().told}"
)


def random_edges(n_src: int, n_dst: int, edges: int, seed: int = 0) -> Edges:
    """Edges that may repeat; the last sender and, of two or more, the last receiver have none."""
    made = torch.Generator().manual_seed(seed)
    source, target = (
        torch.randint(max(size - 1, 1), (edges,), generator=made, dtype=torch.int32)
        for size in (n_src, n_dst)
    )
    return Edges(n_src, n_dst, source, target)


def random_inputs(edges: Edges, heads: int, width: int, seed: int = 0, dtype=torch.float64):
    """Scores of senders and receivers, values, and a gradient of the output."""
    made = torch.Generator().manual_seed(seed + 1)
    shapes = ((edges.n_src, heads), (edges.n_dst, heads), (edges.n_src, heads, width))
    inputs = [
        torch.randn(*shape, generator=made, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in shapes
    ]
    grad = torch.randn(edges.n_dst, heads, width, generator=made, dtype=torch.float64)
    return inputs, grad.to(dtype)


relations = st.builds(
    random_edges,
    n_src=st.integers(1, 12),
    n_dst=st.integers(1, 12),
    edges=st.integers(0, 80),
    seed=st.integers(0, 99),
)
heads = st.sampled_from([1, 2, 3, 4, 5, 8, 17])
widths = st.sampled_from([1, 2, 3, 4, 7, 8, 13, 16, 32, 64])


def assert_near(found, expected, tolerance: float, terms: float = 1.0) -> None:
    """Each within ``tolerance`` of the largest of what is expected, or of the ``terms`` it sums.

    A score's gradient may be all that rounding leaves of terms that cancel.
    """
    for one, other in zip(found, expected, strict=True):
        one, other = one.detach().double(), other.detach().double()
        assert one.shape == other.shape
        largest = float(other.abs().max()) if other.numel() else 0.0
        near = tolerance * max(largest, terms)
        torch.testing.assert_close(one, other, rtol=0, atol=near)


def largest_term(inputs, grad) -> float:
    """A bound on the inner products of gradients and values that a score's gradient sums."""
    return float(inputs[2].detach().norm(dim=-1).max() * grad.norm(dim=-1).max())
