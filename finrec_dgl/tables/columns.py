"""A sheet's raw columns as the typed columns of a table, every value checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables import dates
from finrec_dgl.tables.edges import FEATURE_MEND, edge_columns, edge_faults
from finrec_dgl.tables.faults import (
    Fault,
    empty_values,
    interaction_faults,
    mask,
    profile_faults,
    repeated_profiles,
    sift,
    tie_faults,
)
from finrec_dgl.tables.numbers import EXPECTED, number_faults, parse_numbers
from finrec_dgl.tables.options import ReadOptions
from finrec_dgl.tables.piecewise import utf8
from finrec_dgl.tables.sheets import DROP_HINT, Sheet, read_sheet

_TIME_NAMES = ("time", "date", "datetime", "created_at", "ts", "unix_time", "event_time")
_UTF8_MEND = "save the file as UTF-8"
_NUMBER_MEND = "correct the value, leave the column out of the number columns"


@dataclass(frozen=True)
class Field:
    """One column to read: its ``name`` and ``kind`` (id, time, weight, number or text).

    ``source`` is its name in the file (None: the same). A column that is not ``required`` may be
    absent from the file; ``default`` then stands in every row, as it does for empty cells.
    """

    name: str
    kind: str = "text"
    source: str | None = None
    required: bool = False
    default: str | None = None

    @property
    def column(self) -> str:
        """Its name in the file."""
        return self.source or self.name


@dataclass(frozen=True)
class Loaded:
    """A typed table and where its rows came from (an Origin while no row was left out)."""

    table: pa.Table
    sheet: Sheet
    sources: Mapping[str, str]
    drop_hint: str = DROP_HINT

    def where(self, row: int, column: str) -> str:
        """The place in the file of one value."""
        return self.sheet.where(row, self.sources[column])

    def value(self, row: int, column: str) -> str:
        """The value as it stands in the file."""
        return self.sheet.value(row, self.sources[column])


def load_table(
    path: Path,
    name: str,
    fields: Sequence[Field],
    options: ReadOptions,
    dropped: dict[str, int],
    *,
    rest: bool = False,
    rest_kind: str = "text",
    unique: bool = True,
) -> Loaded:
    """Read ``path`` as the table ``name`` (interactions, items, users, ties, or another).

    With ``rest`` every other column follows as ``rest_kind``. With ``unique`` items and users that
    repeat an id and timestamp are faults, as are values of the number columns of ``options`` that
    are no numbers. Rows left out are counted in ``dropped``. Raises DataError.
    """
    sheet = read_sheet(
        path,
        required=[one.column for one in fields if one.required],
        optional=[one.column for one in fields if not one.required],
        rest=rest,
        on_bad_rows=options.on_bad_rows,
    )
    for reason, count in sheet.dropped.items():
        dropped[f"{name}: {reason}"] = count
    present = [one for one in fields if one.column in sheet.columns.column_names]
    if rest:
        known = {one.column for one in fields}
        present += [Field(one, rest_kind) for one in sheet.columns.column_names if one not in known]
    _refuse_empty(name, sheet)
    faults: list[Fault] = []
    columns = {one.name: _typed(sheet, one, faults) for one in present}
    for one in fields:
        if one.default is not None:
            filled = columns.get(one.name, pa.nulls(sheet.columns.num_rows, pa.string()))
            columns[one.name] = pc.fill_null(filled, one.default)
    typed = pa.table(columns)
    loaded = Loaded(typed, sheet, {one.name: one.column for one in present})
    faults += _checks(name, typed, [one.name for one in fields if one.kind == "id"])
    faults += number_faults(typed, options.number_columns(name), mend=_NUMBER_MEND)
    kept = sift(typed, faults, loaded, name=name, on_bad_rows=options.on_bad_rows, dropped=dropped)
    if unique and name in ("items", "users"):
        kept = sift(
            kept,
            repeated_profiles(kept, fields[0].name),
            loaded,
            name=name,
            on_bad_rows=options.on_bad_rows,
            dropped=dropped,
        )
    if not kept.num_rows:
        raise DataError(
            f"{name}: all {typed.num_rows} rows are at fault, none is left",
            where=str(path),
            mend="read without --on-bad-rows drop to see the first",
        )
    return Loaded(kept, sheet, loaded.sources)


def _refuse_empty(name: str, sheet: Sheet) -> None:
    if not sheet.columns.num_rows:
        raise DataError(
            f"the {name} table has no rows",
            expected="at least one row",
            where=str(sheet.path),
            mend="export it again"
            + ("" if name == "interactions" else ", or remove the file if there is no such data"),
        )


def refuse_other_times(names: Sequence[str], path: Path, whose: str) -> None:
    """Refuse a table whose time goes by another name than ``timestamp``.

    Without its time, interactions would be split at random, and later edges would be known early.

    Raises
    ------
    DataError
        If one of ``names`` is such a name and none is ``timestamp``.
    """
    other = [one for one in names if one.lower() in _TIME_NAMES]
    if "timestamp" not in names and other:
        raise DataError(
            f"there is a column '{other[0]}' but none named 'timestamp'",
            expected=f"the time of {whose} in a column named timestamp",
            where=str(path),
            mend=f"rename the column, or remove it if it is not the time of {whose}",
        )


def _checks(name: str, table: pa.Table, ids: Sequence[str]) -> list[Fault]:
    if name == "interactions":
        return interaction_faults(table)
    if name in ("items", "users"):
        return profile_faults(table, table.column_names[0])
    if name == "ties":
        return tie_faults(table)
    if name.startswith("edges "):
        return edge_faults(table, edge_columns(table.column_names, name))
    return [fault for column in ids for fault in empty_values(table, column, "the id")]


def _typed(sheet: Sheet, field: Field, faults: list[Fault]) -> pa.ChunkedArray:
    raw = sheet.columns[field.column]
    if pa.types.is_dictionary(raw.type):
        raw = raw.cast(raw.type.value_type)
    if field.kind == "time" and not _is_text(raw.type):
        return _times(sheet, field, raw, faults)
    if field.kind in ("weight", "number") and not _is_text(raw.type):
        if not _is_number(raw.type):
            raise _wrong_type(sheet, field, raw.type, "numbers")
        return raw.cast(pa.float64(), safe=False)
    strings = _strings(sheet, field, raw, faults)
    if field.kind == "time":
        return _times(sheet, field, strings, faults)
    if field.kind in ("weight", "number"):
        return _numbers(field, strings, faults)
    return strings


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or str(kind) in ("string_view", "binary_view")
    )


def _strings(
    sheet: Sheet, field: Field, raw: pa.ChunkedArray, faults: list[Fault]
) -> pa.ChunkedArray:
    kind = raw.type
    if pa.types.is_nested(kind) or (
        field.kind == "id" and not (_is_text(kind) or pa.types.is_integer(kind))
    ):
        raise _wrong_type(sheet, field, kind, "strings" + " or integers" * (field.kind == "id"))
    if pa.types.is_floating(kind):  # NaN is how many programs write an absent value
        raw = pc.if_else(pc.is_nan(raw), None, raw)
    if not _is_text(kind) or pa.types.is_string(kind):
        return raw.cast(pa.string())
    strings = utf8(raw)
    _note_nulls(raw, strings, field.name, "not UTF-8 text", "UTF-8", faults, mend=_UTF8_MEND)
    return strings


def _times(
    sheet: Sheet, field: Field, raw: pa.ChunkedArray, faults: list[Fault]
) -> pa.ChunkedArray:
    if dates.days_without_dashes(raw):
        raise DataError(
            f"the {field.column} holds days without dashes, such as {raw.drop_null()[0].as_py()}",
            expected=dates.EXPECTED,
            where=f"{sheet.path}, column {field.column}",
            mend="write 2015-06-01, not 20150601, which would be a second in August 1970",
        )
    seconds = dates.to_seconds(raw)
    if seconds is None:
        raise _wrong_type(sheet, field, raw.type, "timestamps, dates, integers or strings")
    _note_nulls(raw, seconds, field.name, "not a date", dates.EXPECTED, faults)
    return seconds


def _numbers(field: Field, strings: pa.ChunkedArray, faults: list[Fault]) -> pa.ChunkedArray:
    numbers = parse_numbers(strings)
    expected, mend = "a finite number, 0 or more, with a point for decimals", "correct the value"
    if field.kind == "number":
        expected, mend = EXPECTED, FEATURE_MEND
    _note_nulls(strings, numbers, field.name, "not a number", expected, faults, mend)
    return numbers


def _note_nulls(
    raw: pa.ChunkedArray,
    converted: pa.ChunkedArray,
    column: str,
    reason: str,
    expected: str,
    faults: list[Fault],
    mend: str = "correct the value",
) -> None:
    """Add a fault for the values that became null in their conversion."""
    if raw.null_count != converted.null_count:
        rows = mask(pc.and_(pc.is_valid(raw), pc.is_null(converted)))
        faults.append(Fault(rows, column, reason, expected, mend))


def _wrong_type(sheet: Sheet, field: Field, kind: pa.DataType, expected: str) -> DataError:
    return DataError(
        f"the column {field.column} holds values of type {kind}",
        expected=expected,
        where=f"{sheet.path}, column {field.column}",
        mend="convert the column, or remove it if it is not needed",
    )
