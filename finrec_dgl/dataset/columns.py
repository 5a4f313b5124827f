"""Columns of tables as arrays, and the count of what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Arrays = dict[str, np.ndarray]


def column(table: pa.Table, name: str, dtype: Any) -> np.ndarray | None:
    """The column as an array of ``dtype``; None where the table has no such column."""
    if name not in table.column_names:
        return None
    return values(table, name, dtype)


def values(table: pa.Table, name: str, dtype: Any) -> np.ndarray:
    """A column that the table has, as an array of ``dtype``; not copied where it is one already."""
    chunks = table[name].chunks
    # Arrow copies a single chunk too
    whole = chunks[0] if len(chunks) == 1 else table[name].combine_chunks()
    return np.asarray(whole.to_numpy(zero_copy_only=False), dtype=dtype)


def filled(values: pa.ChunkedArray | pa.Array) -> Any:
    """Strings without anything to read in them become null."""
    return pc.if_else(pc.match_substring_regex(values, r"\S"), values, None)


def add_counts(dropped: dict[str, int], more: Mapping[str, int]) -> None:
    """Add the counts ``more`` (reason -> rows) to ``dropped``."""
    for reason, count in more.items():
        dropped[reason] = dropped.get(reason, 0) + count
