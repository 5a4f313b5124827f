"""Attention within texts and the norm after it: native code against PyTorch, and sanitizers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finrec_dgl.kernels.build import SOURCES, VNNI, find_compiler
from finrec_dgl.kernels.int8 import has_int8
from finrec_dgl.kernels.texts import MOST_TOKENS, add_norm, attend_texts

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g1", "-fopenmp")
needs_native = pytest.mark.skipif(not has_int8(), reason="no native code for texts here")


@needs_native
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 70) | st.just(MOST_TOKENS), min_size=1, max_size=6),
    st.integers(1, 4),
    st.integers(1, 4),
    st.floats(0.1, 2.0),
)
def test_attention_within_texts_is_pytorchs(lengths, heads, vectors, spread):
    """Catches a text that sees another, and lengths that do not fill a vector or four rows."""
    width = 16 * vectors
    starts = torch.tensor([0, *lengths]).cumsum(0)
    torch.manual_seed(len(lengths))
    tensors = [spread * torch.randn(int(starts[-1]), heads * width) for _ in range(3)]
    found = attend_texts(*tensors, starts, heads)
    for start, end in zip(starts[:-1], starts[1:], strict=True):
        parts = [one[start:end].view(end - start, heads, width).transpose(0, 1) for one in tensors]
        expected = torch.nn.functional.scaled_dot_product_attention(*parts)
        expected = expected.transpose(0, 1).reshape(end - start, -1)
        torch.testing.assert_close(found[start:end], expected, rtol=1e-4, atol=1e-4)


@needs_native
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9), st.integers(1, 100))
def test_the_norm_of_a_sum_is_pytorchs(rows, width):
    """Catches a mean over the padding of the last vector."""
    torch.manual_seed(rows)
    norm = torch.nn.LayerNorm(width, eps=1e-12 if width > 1 else 1e-5).requires_grad_(False)
    norm.weight.normal_()
    norm.bias.normal_()
    x, y = 3 * torch.randn(rows, width) + 5, torch.randn(rows, width)
    torch.testing.assert_close(add_norm(x, y, norm), norm(x + y), rtol=1e-4, atol=1e-4)


@needs_native
def test_what_is_not_a_number_is_seen():
    """Catches NaN that a maximum passes over."""
    tensors = [torch.randn(5, 32) for _ in range(3)]
    tensors[1][3, 2] = float("nan")
    assert attend_texts(*tensors, torch.tensor([0, 2, 5]), 2)[2:, :16].isnan().all()


@pytest.mark.slow
@needs_native
def test_no_kernel_of_texts_reads_or_writes_past_its_arrays(tmp_path):
    """Catches an index out of bounds or undefined arithmetic that happens to give right numbers."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler was found")
    driver = tmp_path / "driver"
    sources = [Path(__file__).with_name("sanitize_texts.cpp")]
    sources += [SOURCES / f"{name}.cpp" for name in ("int8", "texts")]
    command = [*compiler, "-std=c++17", *FLAGS, *VNNI, f"-I{SOURCES}", "-o", str(driver)]
    made = subprocess.run([*command, *map(str, sources)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("the C++ compiler has no sanitizers")
    # a library loaded before the sanitizer's own would make it refuse to start
    environment = {name: text for name, text in os.environ.items() if name != "LD_PRELOAD"}
    said = subprocess.run(
        [str(driver)], capture_output=True, text=True, check=False, env=environment
    )
    assert said.returncode == 0, said.stderr[-4000:]
    assert int(said.stdout) == 60
