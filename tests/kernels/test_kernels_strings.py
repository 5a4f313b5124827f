"""Numbers for strings: native code and Arrow give the same, over random columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from finrec_dgl.kernels.library import Library, find_library
from finrec_dgl.kernels.strings import code_strings

NONE = Library(None, "not built")
SIDES = [
    pytest.param(NONE, id="arrow"),
    pytest.param(
        find_library(),
        id="native",
        marks=pytest.mark.skipif(find_library().handle is None, reason=find_library().told),
    ),
]


def plainly(texts):
    numbers, first = {}, []
    codes = []
    for row, text in enumerate(texts):
        if text not in numbers:
            numbers[text] = len(numbers)
            first.append(row)
        codes.append(numbers[text])
    return codes, first


@pytest.mark.parametrize("library", SIDES)
@pytest.mark.parametrize("seed", range(4))
def test_numbers_are_those_of_a_dictionary(library, seed):
    """Catches strings taken for one another, lost or numbered out of turn, at any length."""
    rng = np.random.default_rng(seed)
    words = ["", "a", "a\0", "ä", "8 bytes!", "8 bytes!!", "x" * 70, "x" * 71]
    words += ["".join(map(chr, rng.integers(97, 100, rng.integers(0, 20)))) for _ in range(300)]
    texts = [words[at] for at in rng.integers(0, len(words), 2000)]
    chunks = [pa.array(one, pa.string()) for one in (texts[:7], [], texts[7:900], texts[900:])]
    chunks[2] = pa.concat_arrays([pa.array(["left out"]), chunks[2]]).slice(1)
    codes, first = code_strings(pa.chunked_array(chunks, pa.string()), library)
    expected = plainly(texts)
    assert (codes.dtype, first.dtype) == (np.int32, np.int64)
    assert (codes.tolist(), first.tolist()) == expected


@pytest.mark.parametrize("library", SIDES)
def test_the_table_grows(library):
    """Catches strings that are lost, or numbered anew, when there are more than there is room."""
    texts = [f"u{number}" for number in range(150_000)]
    column = pa.chunked_array([pa.array(texts), pa.array(texts[::-1])])
    codes, first = code_strings(column, library)
    assert np.array_equal(codes, np.concatenate([np.arange(150_000), np.arange(150_000)[::-1]]))
    assert np.array_equal(first, np.arange(150_000))


@pytest.mark.parametrize("library", SIDES)
def test_no_strings_at_all(library):
    """Catches an empty column that is not."""
    for chunks in ([], [pa.array([], pa.string())]):
        codes, first = code_strings(pa.chunked_array(chunks, pa.string()), library)
        assert (codes.tolist(), first.tolist()) == ([], [])
