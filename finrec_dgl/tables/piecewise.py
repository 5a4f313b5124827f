"""A fast conversion of whole arrays that turns slow only around the values it cannot convert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

_PIECE = 4096


def piecewise(
    values: pa.Array,
    fast: Callable[[pa.Array], pa.Array],
    slow: Callable[[Any], Any],
    kind: pa.DataType,
) -> pa.Array:
    """``fast(values)``; where it raises ArrowInvalid, piece by piece, and value by value in those.

    ``slow`` gives one value's conversion, or None (null) where it has none. Nulls stay null. The
    result is of type ``kind``.
    """
    try:
        return fast(values).cast(kind)
    except pa.ArrowInvalid:
        pass
    if len(values) <= _PIECE:
        converted = [None if one is None else slow(one) for one in values.to_pylist()]
        return pa.array(converted, kind)
    pieces = [values.slice(start, _PIECE) for start in range(0, len(values), _PIECE)]
    return pa.concat_arrays([piecewise(piece, fast, slow, kind) for piece in pieces])


def utf8(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes as strings; those that are not UTF-8 become null."""
    chunks = [
        piecewise(chunk, lambda part: part.cast(pa.string()), _decode, pa.string())
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, pa.string())


def _decode(value: bytes | str) -> str | None:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return None
