"""Rows that cannot be used: found over whole columns, then told as one error or left out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables.dates import EARLIEST, LATEST

_SHOWN = 80


@dataclass(frozen=True)
class Fault:
    """One thing wrong with some rows of a table.

    ``rows``: bool [rows of the table]; ``column``: its name in the table; ``reason``: what the
    value is, such as "not a date"; ``expected`` and ``mend``: the error's parts.
    """

    rows: np.ndarray
    column: str
    reason: str
    expected: str
    mend: str = "correct the value"


class Origin(Protocol):
    """Where the rows of a table came from."""

    @property
    def drop_hint(self) -> str:
        """How to go on without the rows at fault, to follow the mend; empty where one cannot."""

    def where(self, row: int, column: str) -> str:
        """The place of one value, for people."""

    def value(self, row: int, column: str) -> str:
        """The value as it stands there."""


@dataclass(frozen=True)
class InMemory:
    """The origin of a table that was not read from a file."""

    name: str
    table: pa.Table
    drop_hint: str = ""

    def where(self, row: int, column: str) -> str:
        """Rows are counted from 0, as ``table[column][row]`` does."""
        return f"table {self.name}, index {row}, column {column}"

    def value(self, row: int, column: str) -> str:
        """One value as text."""
        return str(self.table[column][row].as_py())


def sift(
    table: pa.Table,
    faults: Sequence[Fault],
    origin: Origin,
    *,
    name: str,
    on_bad_rows: str = "error",
    dropped: dict[str, int] | None = None,
) -> pa.Table:
    """``table`` without the rows at fault, counted in ``dropped`` by their first reason.

    Raises DataError for the first row at fault instead where ``on_bad_rows`` is ``error``.
    """
    if not faults:
        return table
    if on_bad_rows == "error":
        raise _error(faults, origin, name)
    left = np.ones(table.num_rows, bool)
    for fault in faults:
        count = int((fault.rows & left).sum())
        left &= ~fault.rows
        if count and dropped is not None:
            reason = f"{name}: {fault.column} {fault.reason}"
            dropped[reason] = dropped.get(reason, 0) + count
    return table.filter(pa.array(left))


def _error(faults: Sequence[Fault], origin: Origin, name: str) -> DataError:
    # min() keeps the first of equals, so a value's own fault comes before what follows from it
    fault = min(faults, key=lambda one: int(one.rows.argmax()))
    row = int(fault.rows.argmax())
    others = int(np.logical_or.reduce([one.rows for one in faults]).sum()) - 1
    value = origin.value(row, fault.column)
    shown = "" if value == "None" else f" {value[:_SHOWN]!r}{'...' if len(value) > _SHOWN else ''}"
    more = f"; {others} more row{'s' * (others > 1)} at fault" if others else ""
    return DataError(
        f"{name}: the {fault.column}{shown} is {fault.reason}{more}",
        expected=fault.expected,
        where=origin.where(row, fault.column),
        mend=fault.mend + origin.drop_hint,
    )


def mask(flags: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Arrow booleans as NumPy's; null is False."""
    if isinstance(flags, pa.ChunkedArray):
        flags = flags.combine_chunks()
    filled = pc.fill_null(flags, False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=bool)


def empty_values(table: pa.Table, column: str, expected: str) -> list[Fault]:
    """Rows whose ``column`` is null or the empty string."""
    values = table[column]
    if pa.types.is_string(values.type):
        shortest = pc.min(pc.binary_length(values)).as_py()
        if not values.null_count and shortest != 0:
            return []
        rows = mask(pc.fill_null(pc.equal(pc.binary_length(values), 0), True))
    elif values.null_count:
        rows = mask(pc.is_null(values))
    else:
        return []
    return [Fault(rows, column, "empty", expected, "fill it in")] if rows.any() else []


def times_out_of_range(table: pa.Table, column: str = "timestamp") -> list[Fault]:
    """Rows dated before 1900 or after 2199."""
    if column not in table.column_names:
        return []
    ends = pc.min_max(table[column]).as_py()
    if ends["min"] is None or (ends["min"] >= EARLIEST and ends["max"] < LATEST):
        return []
    values = table[column]
    rows = mask(pc.or_(pc.less(values, EARLIEST), pc.greater_equal(values, LATEST)))
    return [
        Fault(
            rows,
            column,
            "out of range",
            "the years 1900 to 2199, in seconds since 1970 (milliseconds are known by their size)",
            "correct the date (divide microseconds or nanoseconds)",
        )
    ]


def unusable_weights(table: pa.Table, column: str = "weight") -> list[Fault]:
    """Rows whose weight is NaN, infinite or negative."""
    if column not in table.column_names or not len(table):
        return []
    values = table[column]
    faults = []
    if not pc.all(pc.is_finite(values)).as_py():
        rows = mask(pc.invert(pc.is_finite(values)))
        faults.append(Fault(rows, column, "not finite", "a finite number, 0 or more"))
    if (pc.min(values).as_py() or 0) < 0:
        rows = mask(pc.less(values, 0))
        faults.append(Fault(rows, column, "negative", "a finite number, 0 or more"))
    return [fault for fault in faults if fault.rows.any()]


def repeated_profiles(table: pa.Table, id_column: str) -> list[Fault]:
    """Rows that repeat an id and timestamp (or, undated, an id) of an earlier row."""
    keys = [id_column] + (["timestamp"] if "timestamp" in table.column_names else [])
    ids = table[id_column]
    if pc.all(pc.less(ids.slice(0, len(ids) - 1), ids.slice(1))).as_py():
        return []  # rising, so distinct
    rows = table.select(keys).append_column("row", pa.array(np.arange(table.num_rows)))
    first = rows.group_by(keys).aggregate([("row", "min")])["row_min"]
    if len(first) == table.num_rows:
        return []
    repeated = np.ones(table.num_rows, bool)
    repeated[first.to_numpy()] = False
    also = " with the same timestamp" if len(keys) == 2 else ""
    return [
        Fault(
            repeated,
            id_column,
            f"there twice{also}",
            "one row for an id, or several with different timestamps (versions of one profile)",
            "keep one of the rows, or date them",
        )
    ]


def merge_profiles(table: pa.Table, id_column: str) -> pa.Table:
    """One row for an id and timestamp: of several, the last value that is not null per column."""
    keys = [id_column] + (["timestamp"] if "timestamp" in table.column_names else [])
    if not repeated_profiles(table, id_column):
        return table
    others = [name for name in table.column_names if name not in keys]
    grouped = table.group_by(keys, use_threads=False)
    merged = grouped.aggregate([(name, "last") for name in others])
    return merged.rename_columns(
        [name.removesuffix("_last") if name not in keys else name for name in merged.column_names]
    ).select(table.column_names)


def interaction_faults(table: pa.Table) -> list[Fault]:
    """What is wrong with rows of typed interactions."""
    faults = empty_values(table, "user_id", "the user's id")
    faults += empty_values(table, "item_id", "the item's id")
    for column, expected in (("timestamp", "a date"), ("weight", "a number")):
        if column in table.column_names:
            faults += empty_values(table, column, f"{expected} in every row, or no such column")
    return faults + times_out_of_range(table) + unusable_weights(table)


def profile_faults(table: pa.Table, id_column: str) -> list[Fault]:
    """What is wrong with single rows of typed items or users; a null timestamp is undated."""
    return empty_values(table, id_column, "the id") + times_out_of_range(table)


def tie_faults(table: pa.Table) -> list[Fault]:
    """What is wrong with rows of typed ties."""
    faults = empty_values(table, "source_id", "a user's id")
    faults += empty_values(table, "target_id", "a user's id")
    faults += empty_values(table, "kind", "the tie's kind")
    if "timestamp" in table.column_names:
        faults += empty_values(table, "timestamp", "a date in every row, or no such column")
    return faults + times_out_of_range(table)


def unknown_ends(ties: pa.Table, known: pa.Array | pa.ChunkedArray) -> list[Fault]:
    """Ties that name a user who is not in ``known``."""
    ends = ("source_id", "target_id")
    with ThreadPoolExecutor(len(ends)) as pool:
        found = list(pool.map(lambda column: unknown_ids(ties, column, known, "user"), ends))
    return [fault for faults in found for fault in faults]


def unknown_ids(
    table: pa.Table, column: str, known: pa.Array | pa.ChunkedArray, node_type: str
) -> list[Fault]:
    """Rows whose ``column`` names a user or item (``node_type``) that is not in ``known``."""
    inside = pc.is_in(table[column], value_set=known)
    if pc.all(inside).as_py():
        return []
    return [
        Fault(
            mask(pc.invert(inside)),
            column,
            f"not a known {node_type}",
            f"an id of the {node_type}s table or of the interactions",
            f"add the {node_type} to the {node_type}s table, correct the id",
        )
    ]
