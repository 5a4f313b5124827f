"""Texts of a data set to vectors: each distinct text once, in float16 where that is enough."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.progress import Progress
from finrec_dgl.dataset.columns import filled
from finrec_dgl.tables.contract import Tables
from finrec_dgl.text import EncoderSpec, encode_texts, render_table

Parts = Sequence[tuple[pa.ChunkedArray | None, int]]
"""Columns of texts, or None, each with its number of rows."""

_HALF_COSINE = 0.9999
"""Vectors are kept in float16 where every one keeps this cosine to what the encoder gave."""


def rendered(tables: Tables, side: str, rows: pa.Table | None) -> pa.ChunkedArray | None:
    """The texts of the profiles ``rows`` of ``side`` (item or user), None where there are none."""
    columns = tables.item_text if side == "item" else tables.user_text
    if rows is None or not columns:
        return None
    title = tables.item_title if side == "item" and tables.item_title in columns else None
    categories = tables.item_categories if side == "item" else tables.user_categories
    return pa.chunked_array([render_table(rows, columns, title, categories)], pa.large_string())


def distinct_texts(parts: Parts) -> tuple[list[str], list[np.ndarray]]:
    """The distinct texts of all ``parts``; for each part the row of each text, int32, -1 none."""
    codes = [np.full(rows, -1, np.int32) for _, rows in parts]
    there = {number: column for number, (column, _) in enumerate(parts) if column is not None}
    if not there:
        return [], codes
    chunks: list[pa.Array] = []
    for column in there.values():
        chunks += filled(column.cast(pa.large_string())).chunks
    coded = pa.chunked_array(chunks, pa.large_string()).combine_chunks().dictionary_encode()
    flat = pc.fill_null(coded.indices, -1).to_numpy()
    start = 0
    for number in there:
        codes[number] = flat[start : start + parts[number][1]].astype(np.int32)
        start += parts[number][1]
    return coded.dictionary.to_pylist(), codes


def encode(
    parts: Parts, spec: EncoderSpec, cache: str | None, progress: Progress
) -> tuple[np.ndarray, list[np.ndarray], dict[str, Any]]:
    """Vectors of the distinct texts; for each part the row of each text, -1 none; the encoder."""
    if spec.name == "none" or all(column is None for column, _ in parts):
        none = [np.full(rows, -1, np.int32) for _, rows in parts]
        return np.zeros((0, 0), np.float16), none, {"name": "none"}
    texts, codes = distinct_texts(parts)
    encoded = encode_texts(
        texts, spec, cache=None if cache is None else Path(cache), progress=progress
    )
    vectors = encoded.vectors
    if not np.isfinite(vectors).all():
        raise DataError(
            f"the text encoder {spec.name} gave numbers that are not finite",
            mend="encode in float32 (precision), or choose another encoder",
        )
    return halved(vectors), codes, dict(encoded.ingredients)


def halved(vectors: np.ndarray) -> np.ndarray:
    """``vectors`` in float16, or as they are where that would turn one of them noticeably."""
    with np.errstate(over="ignore", invalid="ignore"):
        half = vectors.astype(np.float16)
        for start in range(0, len(vectors), 65_536):
            exact = vectors[start : start + 65_536]
            rounded = half[start : start + 65_536].astype(np.float32)
            lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(rounded, axis=1)
            cosine = (exact * rounded).sum(axis=1) / np.where(lengths > 0, lengths, 1)
            if not np.all((cosine >= _HALF_COSINE) | ~exact.any(axis=1)):
                return vectors
    return half
