"""The form LightGCN and its successors publish: train.txt and test.txt, or s_adj_mat.npz."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables.choices import choose_columns
from finrec_dgl.tables.contract import GivenSplit, Tables
from finrec_dgl.tables.faults import Fault, mask, sift
from finrec_dgl.tables.options import ReadOptions
from finrec_dgl.tables.piecewise import utf8
from finrec_dgl.tables.sheets import DROP_HINT, find_file, need_file, open_bytes, unreadable

LOOKED_FOR = "test.txt with train.txt or s_adj_mat.npz"
_ENDINGS = (".txt", ".txt.gz", ".txt.zst")
_NUMBERS = r"^\s*(\d{1,18}(\s+\d{1,18})*\s*)?$"


def fits(folder: Path) -> bool:
    """Whether there is a test part, and a training part in one of its two forms."""
    return find_file(folder, "test", _ENDINGS) is not None and (
        find_file(folder, "train", _ENDINGS) is not None
        or find_file(folder, "s_adj_mat", (".npz",)) is not None
    )


def read(folder: Path, options: ReadOptions) -> Tables:
    """Read the training pairs as interactions and the test pairs as a given split.

    A line is a user's number, then the numbers of its items, set apart by spaces. Where there is
    no train.txt, s_adj_mat.npz is read: a sparse square matrix in CSR over users, then items,
    whose nonzero entries are the training pairs. Ids are the decimal numbers. Raises DataError.
    """
    dropped: dict[str, int] = {}
    test = _read_lines(need_file(folder, "test", _ENDINGS), "test", options, dropped)
    train_path = find_file(folder, "train", _ENDINGS)
    if train_path is not None:
        train = _read_lines(train_path, "train", options, dropped)
    else:
        most = pc.max(test["user_id"].cast(pa.int64())).as_py()
        train = _read_matrix(need_file(folder, "s_adj_mat", (".npz",)), most + 1)
    return Tables(
        train,
        format="lightgcn",
        dropped=dropped,
        given=GivenSplit(test),
        **choose_columns(options, None, None),
    )


@dataclass(frozen=True)
class _Lines:
    """The origin of the lines of a file."""

    path: Path
    lines: pa.Table
    drop_hint: str = DROP_HINT

    def where(self, row: int, column: str) -> str:
        """The place of a line, counted from 1."""
        return f"{self.path}, {column} {row + 1}"

    def value(self, row: int, column: str) -> str:
        """The line itself."""
        return (self.lines[column][row].as_py() or b"").decode("utf-8", errors="replace")


def _read_lines(path: Path, name: str, options: ReadOptions, dropped: dict[str, int]) -> pa.Table:
    raw = _raw_lines(path)
    lines = raw.set_column(0, "line", utf8(raw["line"]))
    sound = pc.match_substring_regex(lines["line"], _NUMBERS)
    faults = []
    if not pc.all(sound, skip_nulls=False).as_py():
        expected = "a user's number, then the numbers of its items, set apart by spaces"
        faults = [Fault(~mask(sound), "line", "not whole numbers", expected)]
    lines = sift(
        lines,
        faults,
        _Lines(path, raw),
        name=name,
        on_bad_rows=options.on_bad_rows,
        dropped=dropped,
    )
    parts = [_pairs(chunk) for chunk in lines["line"].chunks]
    users = np.concatenate([part[0] for part in parts] or [np.empty(0, np.int64)])
    items = np.concatenate([part[1] for part in parts] or [np.empty(0, np.int64)])
    if not len(users):
        raise DataError(
            f"{path.name} holds no pair of a user and an item",
            expected="lines such as '0 17 4', a user's number and the numbers of its items",
            where=str(path),
        )
    return _pair_table(users, items)


def _raw_lines(path: Path) -> pa.Table:
    try:
        with open_bytes(path) as stream:
            return pa_csv.read_csv(
                stream,
                # blank lines stay, so that every line keeps its number
                read_options=pa_csv.ReadOptions(column_names=["line"], block_size=64 << 20),
                parse_options=pa_csv.ParseOptions(
                    delimiter="\x1f", quote_char=False, ignore_empty_lines=False
                ),
                convert_options=pa_csv.ConvertOptions(column_types={"line": pa.binary()}),
            )
    except pa.ArrowInvalid as error:
        what = "is empty" if "Empty CSV" in str(error) else f"cannot be parsed: {error}"
        raise DataError(
            f"{path.name} {what}",
            expected="lines of whole numbers set apart by spaces",
            where=str(path),
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _pairs(lines: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """User and item of every pair of the lines, int64 [pairs]."""
    trimmed = pc.ascii_trim_whitespace(lines)
    words = pc.ascii_split_whitespace(trimmed.filter(pc.greater(pc.binary_length(trimmed), 0)))
    numbers = pc.list_flatten(words).cast(pa.int64()).to_numpy()
    lengths = pc.list_value_length(words).to_numpy()
    heads = np.cumsum(lengths) - lengths
    return np.repeat(numbers[heads], lengths - 1), np.delete(numbers, heads)


def _pair_table(users: np.ndarray, items: np.ndarray) -> pa.Table:
    return pa.table(
        {
            "user_id": pa.chunked_array([pa.array(users).cast(pa.string())]),
            "item_id": pa.chunked_array([pa.array(items).cast(pa.string())]),
        }
    )


def _read_matrix(path: Path, tested: int) -> pa.Table:
    """The pairs of s_adj_mat.npz; ``tested`` is the number of users that the test part shows."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            parts = {name: archive[name] for name in ("format", "shape", "indptr", "indices")}
            values = archive["data"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path.name} is not a sparse matrix as scipy.sparse.save_npz writes it: {error}",
            expected="the arrays format, shape, indptr, indices and data, in a sound zip file",
            where=str(path),
            mend="copy or download the file again",
        ) from error
    size = _check_matrix(path, parts, values)
    indptr, indices = parts["indptr"].astype(np.int64), parts["indices"].astype(np.int64)
    rows = np.repeat(np.arange(size), np.diff(indptr))
    rows, columns = rows[values != 0], indices[values != 0]
    users = _count_users(path, rows, columns, size, tested)
    upper = rows < users
    return _pair_table(rows[upper], columns[upper] - users)


def _check_matrix(path: Path, parts: dict[str, np.ndarray], values: np.ndarray) -> int:
    """The side of a square CSR matrix. Raises DataError where the arrays do not make one."""
    shape, indptr, indices = parts["shape"], parts["indptr"], parts["indices"]
    kind = parts["format"].item()
    problems = []
    if kind not in (b"csr", "csr"):
        problems.append(f"its format is {kind!r}, expected 'csr'")
    if shape.shape != (2,) or shape[0] != shape[1]:
        problems.append(f"its shape is {shape.tolist()}, expected a square")
    elif (
        indptr.shape != (int(shape[0]) + 1,)
        or indptr[0] != 0
        or indptr[-1] != len(indices)
        or (np.diff(indptr) < 0).any()
        or values.shape != indices.shape
        or (len(indices) and not 0 <= indices.min() <= indices.max() < shape[0])
    ):
        problems.append("its index arrays contradict one another")
    if problems:
        raise DataError(f"{path.name} cannot be used: {'; '.join(problems)}", where=str(path))
    return int(shape[0])


def _count_users(path: Path, rows: np.ndarray, columns: np.ndarray, size: int, tested: int) -> int:
    """How many of the nodes are users, who come first and are tied to items only.

    k users fit where every row before k points to k or later, and every other row before k. Users
    or items without any training pair leave several k; then the first that holds all tested users.
    """
    first = np.full(size + 1, size)
    np.minimum.at(first, rows, columns)
    last = np.full(size + 1, -1)
    np.maximum.at(last, rows, columns)
    k = np.arange(1, size)
    lowest = np.minimum.accumulate(first)[k - 1]
    highest = np.maximum.accumulate(last[::-1])[::-1][k]
    fitting = k[(lowest >= k) & (highest < k)]
    if not len(fitting):
        raise DataError(
            f"{path.name} is not the adjacency of users and items",
            expected="users first, then items, with entries only between the two",
            where=str(path),
        )
    enough = fitting[fitting >= tested]
    return int(enough[0] if len(enough) else fitting[-1])
