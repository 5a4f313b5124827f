"""Columns of text as finite numbers, and the rows that hold none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.tables.faults import Fault, mask
from finrec_dgl.tables.piecewise import piecewise

LARGEST = float(np.finfo(np.float32).max)
"""Numbers are stored in float32; a larger one would be infinite."""

EXPECTED = "a finite number with a point for decimals and no thousands separators"
_MEND = "correct the value"


def parse_numbers(strings: pa.ChunkedArray) -> pa.ChunkedArray:
    """Parse each string as float64; null where it is no number. NaN and infinity are kept.

    Parameters
    ----------
    strings : pa.ChunkedArray
        Strings [n]; null stays null.
    """
    chunks = [
        piecewise(chunk, lambda part: part.cast(pa.float64()), _number, pa.float64())
        for chunk in strings.chunks
    ]
    return pa.chunked_array(chunks, pa.float64())


def to_numbers(strings: pa.ChunkedArray) -> pa.ChunkedArray:
    """Parse each string as float64; null where it is no finite number that float32 can hold."""
    numbers = parse_numbers(strings)
    usable = pc.and_(pc.is_finite(numbers), pc.less_equal(pc.abs(numbers), LARGEST))
    return pc.if_else(usable, numbers, None)


def number_faults(table: pa.Table, columns: Sequence[str], *, mend: str = _MEND) -> list[Fault]:
    """Find the values of ``columns`` that are there and are no finite numbers.

    Parameters
    ----------
    table : pa.Table
        A table in which ``columns`` are strings; those it lacks are left out. Null and blank
        values are missing, which is no fault.
    columns : sequence of str
        The columns that must hold numbers.
    mend : str
        What the error advises.
    """
    faults = []
    for column in columns:
        if column not in table.column_names:
            continue
        there = pc.match_substring_regex(table[column], r"\S")
        rows = mask(pc.and_(there, pc.is_null(to_numbers(table[column]))))
        if rows.any():
            faults.append(Fault(rows, column, "not a number", EXPECTED, mend))
    return faults


def _number(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None
