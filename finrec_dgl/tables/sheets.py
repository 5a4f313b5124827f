"""One CSV, TSV or Parquet file (plain, .gz or .zst) as columns, with the row of every value."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from finrec_dgl.base.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
ENDINGS = tuple(
    kind + packed for kind in (*DELIMITERS, ".parquet") for packed in ("", *COMPRESSIONS)
)
_NAMES_OF_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
_BLOCK = 16 << 20
"""Bytes that are parsed at a time, and so the longest row there can be."""
_HEADER = 1 << 20
_INDEX = re.compile(r"__index_level_\d+__")
DROP_HINT = ", or leave such rows out with --on-bad-rows drop"


@dataclass(frozen=True)
class Sheet:
    """The columns of one file.

    ``columns``: of CSV and TSV binary columns whose empty cells are null, not yet checked to be
    UTF-8; of Parquet as typed in the file. ``names``: all that the file has, read or not.
    ``dropped``: rows left out because they could not be taken apart, by reason.
    """

    path: Path
    names: tuple[str, ...]
    columns: pa.Table
    delimiter: str | None
    dropped: Mapping[str, int] = field(default_factory=dict)

    def where(self, row: int, column: str) -> str:
        """The place of a value by its row, counted from 0 among the rows that were read."""
        return f"{self.path}, row {self.number(row)}, column {column}"

    def number(self, row: int) -> int:
        """The row's number as people count: the header of CSV is row 1, Parquet starts at row 1."""
        if self.delimiter is None:
            return row + 1
        return _record_number(self.path, self.delimiter, row + 1)

    def value(self, row: int, column: str) -> str:
        """One value as text, for an error."""
        found = self.columns[column][row].as_py()
        return found.decode("utf-8", errors="replace") if isinstance(found, bytes) else str(found)


def find_file(folder: Path, stem: str, endings: Sequence[str] = ENDINGS) -> Path | None:
    """The one file ``stem`` + ending in ``folder``; None where there is none.

    Raises DataError where there are several.
    """
    found = [folder / (stem + ending) for ending in endings if (folder / (stem + ending)).exists()]
    if len(found) > 1:
        raise DataError(
            f"there are {len(found)} files for {stem}: {', '.join(one.name for one in found)}",
            expected="one",
            where=str(folder),
            mend="move the others elsewhere",
        )
    return found[0] if found else None


def need_file(folder: Path, stem: str, endings: Sequence[str] = ENDINGS) -> Path:
    """``find_file``, or a DataError where there is none."""
    found = find_file(folder, stem, endings)
    if found is None:
        present = sorted(one.name for one in folder.iterdir())
        near = difflib.get_close_matches(stem + endings[0], present, n=1)
        raise DataError(
            f"there is no file {stem}{endings[0]}" + (f"; did you mean {near[0]}?" if near else ""),
            expected=f"{stem} with one of the endings {', '.join(endings)}",
            where=str(folder),
        )
    return found


def open_bytes(path: Path) -> pa.NativeFile:
    """The file's bytes, decompressed as its name says. Raises DataError where it cannot be."""
    if path.is_dir():
        raise DataError(
            f"{path.name} is a folder", expected="a file", where=str(path), mend="give the file"
        )
    try:
        return pa.input_stream(str(path), compression=COMPRESSIONS.get(path.suffix))
    except FileNotFoundError as error:
        raise DataError("the file does not exist", where=str(path)) from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for bytes that cannot be had: a cut or wrong compression, a disk's refusal."""
    text = str(error)
    if "Truncated compressed stream" in text:
        return DataError(
            f"{path.name} is cut short: its compressed data ends too early",
            where=str(path),
            mend="copy or export the file again",
        )
    if isinstance(error, PermissionError) or "Permission denied" in text:
        return DataError(
            f"{path.name} cannot be read: permission denied",
            where=str(path),
            mend="give the user that runs this the right to read it",
        )
    packed = COMPRESSIONS.get(path.suffix)
    if packed is not None:
        return DataError(
            f"{path.name} is not sound {packed} data ({text})",
            expected=f"a {packed} file, as the ending {path.suffix} says",
            where=str(path),
            mend="copy or export the file again, or rename it if it is not compressed",
        )
    return DataError(f"{path.name} cannot be read: {text}", where=str(path))


def read_sheet(
    path: Path,
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
    rest: bool = False,
    on_bad_rows: str = "error",
) -> Sheet:
    """Read the named columns (with ``rest`` all columns) of one file.

    Raises DataError where the file cannot be read, is empty, has no or a faulty header, lacks a
    required column, or has rows with too few or too many fields (which ``on_bad_rows="drop"``
    leaves out and counts instead).
    """
    delimiter = _delimiter(path)
    if delimiter is None:
        return _read_parquet(path, required, optional, rest)
    names = _read_header(path, delimiter)
    _check_names(path, names, required, optional, delimiter)
    wanted = names if rest else [one for one in names if one in (*required, *optional)]
    return _read_csv(path, delimiter, names, wanted, on_bad_rows)


def column_names(path: Path) -> list[str]:
    """The names of the columns of one file, nothing else of it read.

    Raises DataError where the file cannot be read, is empty or has no readable header.
    """
    delimiter = _delimiter(path)
    if delimiter is not None:
        return _read_header(path, delimiter)
    with _parquet(path) as file:
        return _parquet_names(file)


def _delimiter(path: Path) -> str | None:
    """What sets the columns apart, by the file's name; None for Parquet."""
    kind = path.suffixes[-2] if path.suffix in COMPRESSIONS else path.suffix
    if kind == ".parquet":
        return None
    if kind not in DELIMITERS:
        raise DataError(
            f"{path.name} is not of a known kind",
            expected=f"one of the endings {', '.join(ENDINGS)}",
            where=str(path),
        )
    return DELIMITERS[kind]


def _read_header(path: Path, delimiter: str) -> list[str]:
    stream = open_bytes(path)
    try:
        with stream:
            start = stream.read(_HEADER)
    except (OSError, pa.ArrowInvalid) as error:
        raise unreadable(path, error) from error
    if start[:2] == b"\x1f\x8b" or start[:4] in (b"\x28\xb5\x2f\xfd", b"PAR1"):
        what = {b"\x1f": "gzip data", b"\x28": "zstd data", b"P": "Parquet"}[start[:1]]
        raise DataError(
            f"{path.name} holds {what}, which its name does not say",
            expected="text" if path.suffix in DELIMITERS else f"text packed as {path.suffix}",
            where=str(path),
            mend="rename the file to end in .parquet, .csv.gz or .csv.zst as it is",
        )
    if not start.strip(b"\xef\xbb\xbf \r\n"):
        raise DataError(
            f"{path.name} is empty",
            expected="a first row with the names of the columns, then the rows",
            where=str(path),
            mend="export the file again",
        )
    text = start.decode("utf-8-sig", errors="surrogateescape")
    try:
        names = next(
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row
        )
    except csv.Error as error:
        raise DataError(f"the first row cannot be read: {error}", where=f"{path}, row 1") from error
    if any("\udc80" <= letter <= "\udcff" or letter == "\0" for one in names for letter in one):
        raise DataError(
            "the first row is not UTF-8 text",
            expected="UTF-8",
            where=f"{path}, row 1",
            mend="save the file as UTF-8 (spreadsheets: 'CSV UTF-8'; UTF-16 is not read)",
        )
    return names


def _check_names(
    path: Path,
    names: Sequence[str],
    required: Sequence[str],
    optional: Sequence[str],
    delimiter: str | None,
) -> None:
    place = str(path) if delimiter is None else f"{path}, row 1"
    missing = [one for one in required if one not in names]
    if missing and len(names) == 1 and delimiter is not None:
        other = next((one for one in _NAMES_OF_DELIMITERS if one in names[0]), None)
        if other is not None:
            raise DataError(
                f"the columns are set apart by {_NAMES_OF_DELIMITERS[other]}, not by "
                f"{_NAMES_OF_DELIMITERS[delimiter]}",
                expected="commas in .csv, tabs in .tsv",
                where=place,
                mend="rename the file to .tsv"
                if other == "\t"
                else "rename the file to .csv"
                if other == ","
                else f"export it with {_NAMES_OF_DELIMITERS[delimiter]}",
            )
    repeated = sorted({one for one in names if names.count(one) > 1 and one})
    if repeated:
        raise DataError(
            f"there are two columns named {', '.join(repeated)}",
            expected="every name once",
            where=place,
            mend="rename or remove one of them",
        )
    if missing:
        _refuse_missing(place, names, missing, required)
    if "" in names:
        raise DataError(
            f"column {list(names).index('') + 1} has no name",
            where=place,
            mend="name it or leave it out (pandas: to_csv(..., index=False))",
        )
    for one in names:
        if one in required or one in optional:
            continue
        absent = [name for name in optional if name not in names]
        folded = {name.lower(): name for name in absent}
        near = difflib.get_close_matches(one.strip().lower(), list(folded), n=1, cutoff=0.85)
        if near:
            raise DataError(
                f"the column '{one}' is not known; did you mean '{folded[near[0]]}'?",
                expected=", ".join([*required, *optional]),
                where=place,
                mend="rename the column, or remove it if it is another thing",
            )


def _refuse_missing(
    place: str, names: Sequence[str], missing: Sequence[str], required: Sequence[str]
) -> None:
    hints = []
    for one in missing:
        folded = {name.strip().lower(): name for name in names if name not in required}
        near = difflib.get_close_matches(one.lower(), list(folded), n=1)
        hints.append(f"'{one}'" + (f" (did you mean '{folded[near[0]]}'?)" if near else ""))
    shown = ", ".join(f"'{name[:40]}'" for name in names[:12])
    raise DataError(
        f"there is no column {' nor '.join(hints)}",
        expected=f"columns named {', '.join(required)}",
        where=place,
        mend=f"the first row must name the columns; it now reads {shown}",
    )


def _read_csv(
    path: Path, delimiter: str, names: Sequence[str], wanted: Sequence[str], on_bad_rows: str
) -> Sheet:
    # the last column is read too: a quote that is never closed shows in its last value
    columns = list(dict.fromkeys([*wanted, names[-1]]))
    uneven = 0
    try:
        table = _parse(path, delimiter, columns)
    except OSError as error:
        raise unreadable(path, error) from error
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        if "Empty CSV" in str(error):
            table = pa.table({name: pa.array([], pa.binary()) for name in columns})
        elif isinstance(error, UnicodeDecodeError) or " columns, got " in str(error):
            table, uneven = _without_uneven_rows(path, delimiter, columns, on_bad_rows)
        else:
            raise _garbled(path, error) from error
    _check_last_quote(path, table[names[-1]])
    dropped = {"wrong number of fields": uneven} if uneven else {}
    return Sheet(path, tuple(names), table.select(list(wanted)), delimiter, dropped)


def _parse(path: Path, delimiter: str, columns: list[str], on_uneven: Any = None) -> pa.Table:
    """The columns as bytes; with ``on_uneven``, as Latin-1 decoded to text, and without threads.

    The handler is given its row as text, which fails for bytes that are not UTF-8; every byte is
    Latin-1. And only without threads does the parser know a row's number.
    """
    plain = on_uneven is None
    kind = pa.binary() if plain else pa.string()
    with open_bytes(path) as stream:
        return pa_csv.read_csv(
            stream,
            read_options=pa_csv.ReadOptions(
                use_threads=plain, block_size=_BLOCK, encoding="utf8" if plain else "latin-1"
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=on_uneven
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, kind),
                include_columns=columns,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )


def _without_uneven_rows(
    path: Path, delimiter: str, columns: list[str], on_bad_rows: str
) -> tuple[pa.Table, int]:
    """The rows with as many fields as the header, and how many others there are.

    Raises DataError for the first other row instead where ``on_bad_rows`` is ``error``.
    """
    uneven: list[tuple[int, int, int]] = []

    def note(row: Any) -> str:
        uneven.append((row.number, row.actual_columns, row.expected_columns))
        return "skip" if on_bad_rows == "drop" else "error"

    # the names of the columns were read as UTF-8; here they are Latin-1 too
    decoded = [name.encode().decode("latin-1") for name in columns]
    try:
        table = _parse(path, delimiter, decoded, note)
    except pa.ArrowInvalid as error:
        if not uneven:
            raise _garbled(path, error) from error
        place, actual, expected = uneven[0]
        number = _record_number(path, delimiter, place - 1)
        raise DataError(
            f"row {number} has {actual} fields, the header has {expected}",
            expected=f"{expected} fields in every row",
            where=f"{path}, row {number}",
            mend=f"put values that hold {_NAMES_OF_DELIMITERS[delimiter]}, quotes or new lines "
            f"between double quotes{DROP_HINT}",
        ) from None
    bytes_again = {
        name: pa.chunked_array([_encoded(chunk) for chunk in column.chunks], pa.binary())
        for name, column in zip(columns, table.columns, strict=True)
    }
    return pa.table(bytes_again), len(uneven)


def _encoded(text: pa.Array) -> pa.Array:
    """Latin-1 text back as the bytes it was, whole buffers at a time."""
    text = pa.concat_arrays([text])  # a slice becomes an array of its own, from offset 0
    _, offsets, data = text.buffers()
    used = np.frombuffer(offsets, np.int32, len(text) + 1)
    raw = (data.to_pybytes() if data else b"")[used[0] : used[-1]].decode().encode("latin-1")
    lengths = pc.fill_null(pc.utf8_length(text), 0).to_numpy()
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    binary = pa.Array.from_buffers(
        pa.binary(), len(text), [None, pa.py_buffer(starts), pa.py_buffer(raw)]
    )
    return pc.if_else(pc.is_valid(text), binary, None)


def _garbled(path: Path, error: Exception) -> DataError:
    if "straddles" in str(error):
        return DataError(
            f"a row of {path.name} is longer than {_BLOCK >> 20} MB",
            where=str(path),
            mend="look for a double quote that is never closed",
        )
    return DataError(f"{path.name} cannot be parsed: {error}", where=str(path))


def _check_last_quote(path: Path, column: pa.ChunkedArray) -> None:
    """A quote that is never closed swallows all rows to the end of the file without an error."""
    if len(column) == 0:
        return
    last = column[-1].as_py()
    if last is None or b"\n" not in last.replace(b"\r", b"\n"):
        return
    tail = b""
    with open_bytes(path) as stream:
        while chunk := stream.read(1 << 20):
            tail = (tail + chunk)[-16:]
    if not tail.rstrip(b"\r\n").endswith(b'"'):
        raise DataError(
            f"{path.name} ends within a quoted value",
            expected="a closing double quote",
            where=f"{path}, last row",
            mend="close the quote; a double quote within a quoted value is written twice",
        )


def _record_number(path: Path, delimiter: str, record: int) -> int:
    """The row's number with blank rows counted, of the ``record``-th (from 0) that is not blank.

    Slow, so only for an error.
    """
    before = 0
    try:
        for number, cells in enumerate(_records(path, delimiter), start=1):
            if cells and before == record:
                return number
            before += bool(cells)
    except csv.Error:
        pass
    return record + 1


def _records(path: Path, delimiter: str) -> Iterator[list[str]]:
    with open_bytes(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        yield from csv.reader(text, delimiter=delimiter)


def _read_parquet(
    path: Path, required: Sequence[str], optional: Sequence[str], rest: bool
) -> Sheet:
    with _parquet(path) as file:
        names = _parquet_names(file)
        _check_names(path, names, required, optional, None)
        wanted = names if rest else [one for one in names if one in (*required, *optional)]
        columns = file.read(columns=wanted)
    return Sheet(path, tuple(names), columns, None)


def _parquet_names(file: pq.ParquetFile) -> list[str]:
    """The columns, without the index of a data frame, which says nothing of its rows."""
    return [one for one in file.schema_arrow.names if _INDEX.fullmatch(one) is None]


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """The opened file; what goes wrong with it meanwhile is raised as DataError."""
    if path.is_dir():
        open_bytes(path)
    try:
        if path.suffix in COMPRESSIONS:
            with open_bytes(path) as stream:
                source: Any = pa.BufferReader(stream.read_buffer())
        else:
            source = pa.memory_map(str(path)) if path.stat().st_size else pa.BufferReader(b"")
        yield pq.ParquetFile(source)
    except FileNotFoundError as error:
        raise DataError("the file does not exist", where=str(path)) from error
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{path.name} is not a sound Parquet file ({str(error).splitlines()[0]})",
            where=str(path),
            mend="copy or export the file again; it may be cut short",
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
