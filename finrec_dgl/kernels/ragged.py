"""Rows of different lengths, stored one after the other: gather, number and sum them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths.

    Row b has the entries ``indptr[b] : indptr[b + 1]`` of ``values``.

    Parameters
    ----------
    indptr : Tensor
        int64 [rows + 1], starts with 0 and never falls.
    values : Tensor
        int32 [entries].
    """

    indptr: Tensor
    values: Tensor

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def counts(self) -> Tensor:
        """int64 [rows]: the entries of each row."""
        return self.indptr.diff()

    @property
    def row(self) -> Tensor:
        """int64 [entries]: the row of each entry."""
        return row_numbers(self.indptr, len(self.values))

    def rows(self, index: Tensor) -> tuple[Ragged, Tensor]:
        """Return the rows ``index`` int64 [n], and where their entries stand here, int64."""
        places, indptr = row_places(self.indptr, index)
        return Ragged(indptr, self.values[places]), places


def row_numbers(indptr: Tensor, entries: int) -> Tensor:
    """Return the row of each entry, int64 [entries], for the offsets ``indptr`` [rows + 1]."""
    number = torch.arange(len(indptr) - 1, device=indptr.device)
    return torch.repeat_interleave(number, indptr.diff(), output_size=entries)


def row_places(indptr: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places of the entries of the rows ``index``, and offsets for them.

    Parameters
    ----------
    indptr : Tensor
        int64 [rows + 1], offsets of all rows.
    index : Tensor
        int64 [n], rows in any order; a row may occur several times.

    Returns
    -------
    places, offsets : Tensor
        int64 [entries of those rows] and int64 [n + 1].
    """
    begin, counts = indptr[index], indptr[index + 1] - indptr[index]
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    entries = int(offsets[-1])
    shift = torch.repeat_interleave(begin - offsets[:-1], counts, output_size=entries)
    return torch.arange(entries, device=indptr.device) + shift, offsets


def place_in_row(row: Tensor, n_rows: int) -> Tensor:
    """Return the place of each entry within its row, for rows that never fall: int64 [entries]."""
    counts = torch.bincount(row, minlength=n_rows)
    first = counts.cumsum(0) - counts
    return torch.arange(len(row), device=row.device) - first[row]
