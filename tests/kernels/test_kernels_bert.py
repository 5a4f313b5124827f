"""A BERT's forward pass in native code against plain PyTorch, and under sanitizers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from finrec_dgl.kernels.bert import MOST_TOKENS, BertWeights, bert_forward, has_bfloat16
from finrec_dgl.kernels.build import SOURCES, VNNI, find_compiler
from finrec_dgl.kernels.int8 import Bfloat16Linear, Int8Linear, has_int8

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g1", "-fopenmp")
PRECISIONS = ["float32", "int8", *(["bfloat16", "mixed"] if has_bfloat16() else [])]
# a rounding that falls the other way moves what comes after it by a step of 8 bits
NEAR = {"float32": 1e-5, "bfloat16": 0.02, "int8": 0.02, "mixed": 0.02}
needs_native = pytest.mark.skipif(not has_int8(), reason="no native code for texts here")


def make(
    precision: str, heads: int, vectors: int, wide: int, layers: int = 2, bias: bool = True
) -> BertWeights:
    """Random weights, of heads ``vectors`` times 16 wide; ``mixed`` has all layers at random."""
    hidden = 16 * vectors * heads
    shapes = [(hidden, hidden)] * 4 + [(hidden, wide), (wide, hidden)]

    def norm() -> torch.nn.LayerNorm:
        one = torch.nn.LayerNorm(hidden, eps=1e-12)
        torch.nn.init.normal_(one.weight, 1, 0.2)
        torch.nn.init.normal_(one.bias)
        return one

    def linear(inputs: int, outputs: int) -> torch.nn.Module:
        one = torch.nn.Linear(inputs, outputs, bias)
        if precision in ("int8", "mixed"):
            brief = precision == "mixed" and bool(torch.rand(()) < 0.5)
            return Bfloat16Linear(one) if brief else Int8Linear(one)
        return one.bfloat16() if precision == "bfloat16" else one

    return BertWeights(
        precision=precision,
        heads=heads,
        place=torch.randn(MOST_TOKENS, hidden),
        norm=norm(),
        linears=[[linear(*shape) for shape in shapes] for _ in range(layers)],
        norms=[(norm(), norm()) for _ in range(layers)],
    )


def plain(weights: BertWeights, words: torch.Tensor) -> torch.Tensor:
    """The states of one text [length, d]."""
    x = weights.norm(words + weights.place[: len(words)])
    for linears, (attended, done) in zip(weights.linears, weights.norms, strict=True):

        def of(place: int, rows: torch.Tensor, linears=linears) -> torch.Tensor:
            weight = next(iter(linears[place].parameters()), rows)
            return linears[place](rows.to(weight.dtype)).float()

        heads = [of(k, x).view(len(x), weights.heads, -1).transpose(0, 1) for k in range(3)]
        mixed = functional.scaled_dot_product_attention(*heads).transpose(0, 1)
        x = attended(x + of(3, mixed.reshape(x.shape)))
        x = done(x + of(5, functional.gelu(of(4, x))))
    return x


def run(weights: BertWeights, words: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return bert_forward(weights, words.clone(), starts)


@needs_native
@pytest.mark.parametrize("precision", PRECISIONS)
@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(1, 70) | st.just(MOST_TOKENS), min_size=1, max_size=8),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 200),
    st.booleans(),
)
def test_it_gives_what_pytorch_gives(precision, lengths, heads, vectors, wide, bias):
    """Catches a text that sees another, and tokens, panels or groups that fill no register."""
    torch.manual_seed(wide)
    weights = make(precision, heads, vectors, wide, bias=bias)
    words = torch.randn(sum(lengths), 16 * vectors * heads)
    found = run(weights, words, lengths)
    with torch.inference_mode():
        expected = torch.cat([plain(weights, one) for one in words.split(lengths)])
    assert float((found - expected).norm() / expected.norm()) < NEAR[precision]


@needs_native
@pytest.mark.parametrize("precision", PRECISIONS)
def test_neither_threads_nor_neighbours_change_a_bit(precision):
    """Catches sums that depend on how texts are dealt out."""
    torch.manual_seed(0)
    lengths = [70, 3, 1, 33, 16, 17, 150, 8, 40, 31]
    weights, words = make(precision, 3, 2, 150), torch.randn(sum(lengths), 96)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            found.append(run(weights, words, lengths))
    finally:
        torch.set_num_threads(before)
    alone = [run(weights, part, [len(part)]) for part in words.split(lengths)]
    assert all(torch.equal(one, found[0]) for one in [*found, torch.cat(alone)])


@needs_native
@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_not_a_number_is_seen_in_its_text_alone(precision):
    """Catches NaN that a maximum or a rounding passes over, and one that spreads."""
    torch.manual_seed(0)
    weights, words = make(precision, 2, 1, 70), torch.randn(12, 32)
    words[5, 7] = float("nan")
    found = run(weights, words, [4, 3, 5]).isnan()
    assert found[4:7].all()
    assert not found[:4].any()
    assert not found[7:].any()


@needs_native
def test_gelu_is_that_of_the_error_function():
    """Catches a polynomial taken beyond where it was fitted."""
    weights = make("float32", 1, 1, 16, layers=1)
    with torch.no_grad():
        for linear in weights.linears[0]:
            linear.weight.zero_()
            linear.bias.zero_()
        weights.linears[0][4].bias.copy_(torch.linspace(-12, 12, 16))
        weights.linears[0][5].weight.copy_(torch.eye(16))
    words = torch.randn(3, 16)
    with torch.inference_mode():
        torch.testing.assert_close(run(weights, words, [3]), plain(weights, words))


@pytest.mark.slow
@needs_native
def test_no_native_code_reads_or_writes_past_its_arrays(tmp_path):
    """Catches an index out of bounds or undefined arithmetic that happens to give right numbers."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler was found")
    driver = tmp_path / "driver"
    sources = [Path(__file__).with_name("sanitize_bert.cpp")]
    sources += [SOURCES / f"{name}.cpp" for name in ("bert", "int8", "texts")]
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
