"""Text as numbers: each value as Python reads it, and only what is finite in float32."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finrec_dgl.tables.numbers import LARGEST, number_faults, to_numbers


@given(st.lists(st.none() | st.floats(allow_nan=False, width=32), max_size=20))
def test_numbers_come_back_as_they_were_written(values):
    """Catches digits lost on the way, and an infinity that is let in."""
    text = pa.chunked_array([pa.array([None if one is None else repr(one) for one in values])])
    found = to_numbers(text.cast(pa.string())).to_pylist()
    assert found == [None if one is None or math.isinf(one) else one for one in values]


@pytest.mark.parametrize("text", ["", " ", "n/a", "nan", "-inf", "1e39", "1,5", "1_0", "0x1f"])
def test_what_is_no_finite_number_is_null(text):
    """Catches spellings that one parser takes and another does not, and float32's infinity."""
    for others in (["7"], ["7", "x"], []):
        column = pa.chunked_array([pa.array([text, *others], pa.string())])
        assert to_numbers(column)[0].as_py() is None


def test_the_largest_number_is_finite_in_float32():
    """Catches a limit that float32 rounds up to infinity."""
    found = to_numbers(pa.chunked_array([[repr(LARGEST), repr(-LARGEST)]])).to_pylist()
    assert np.isfinite(np.array(found, np.float32)).all()


def test_missing_values_are_no_fault():
    """Catches an empty cell that is taken for a bad number, and a fault on the wrong row."""
    table = pa.table({"a": [None, " ", "1"], "b": ["1", "x", None]})
    (fault,) = number_faults(table, ("a", "b", "absent"))
    assert (fault.column, fault.rows.tolist()) == ("b", [False, True, False])
