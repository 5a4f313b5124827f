"""Numbers for strings: each distinct one is looked up once, in native code where it was built."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from finrec_dgl.kernels.library import Library, find_library

_FIRST_BITS = 17


def code_strings(
    column: pa.ChunkedArray, library: Library | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the strings of ``column`` in order of first appearance.

    Returns the number of each row, int32 [n], and the row where each distinct string is first seen,
    int64 [distinct]. ``column``: of type string without nulls. Without the library Arrow does the
    same, several times slower. No string becomes a Python object.
    """
    library = library or find_library()
    return _by_arrow(column) if library.handle is None else _by_library(column, library)


def _by_arrow(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    coded = column.dictionary_encode().unify_dictionaries()
    parts = [chunk.indices.to_numpy() for chunk in coded.chunks]
    codes = np.concatenate([np.zeros(0, np.int32), *parts]).astype(np.int32, copy=False)
    # numbers rise as they first appear, so a row is a first one where it passes all before it
    highest = np.maximum.accumulate(codes)
    return codes, np.flatnonzero(np.diff(highest, prepend=-1))


def _by_library(column: pa.ChunkedArray, library: Library) -> tuple[np.ndarray, np.ndarray]:
    codes = torch.empty(len(column), dtype=torch.int32)
    state = torch.zeros(2, dtype=torch.int64)
    table = _Table(_FIRST_BITS)
    start = 0
    for chunk in column.chunks:
        _, offsets, data = chunk.buffers()
        done = 0
        while done < len(chunk):
            library.call(
                "finrec_code_strings",
                len(chunk) - done,
                start + done,
                offsets.address + 4 * (chunk.offset + done),
                0 if data is None else data.address,
                table.bits,
                table.slots,
                table.known,
                table.row,
                codes[start + done :],
                state,
            )
            done += int(state[1])
            if done < len(chunk):
                table = table.grown(library)
        start += len(chunk)
    return codes.numpy(), table.row[: int(state[0])].numpy().copy()


class _Table:
    """Memory for a table of 2^``bits`` slots, of which half may be filled."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        # NumPy's memory and not PyTorch's: it asks the system for large pages, and lookups at
        # random spend most of their time in finding pages
        self.slots = torch.from_numpy(np.zeros(2**bits, np.int64))
        self.known = torch.from_numpy(np.empty((2 ** (bits - 1), 2), np.int64))
        self.row = torch.from_numpy(np.empty(2 ** (bits - 1), np.int64))

    def grown(self, library: Library) -> _Table:
        """The same in four times the memory."""
        larger = _Table(self.bits + 2)
        library.call("finrec_move_slots", self.bits, self.slots, larger.bits, larger.slots)
        larger.known[: len(self.known)] = self.known
        larger.row[: len(self.row)] = self.row
        return larger
