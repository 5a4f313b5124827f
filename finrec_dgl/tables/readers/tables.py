"""The project's own form: a folder with interactions and, where given, other tables and edges."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables.choices import Suggested, choose_columns, suggest_columns, suggest_title
from finrec_dgl.tables.columns import Field, load_table, refuse_other_times
from finrec_dgl.tables.contract import Ends, Tables, tie_end_faults
from finrec_dgl.tables.faults import sift
from finrec_dgl.tables.options import ReadOptions
from finrec_dgl.tables.readers.edges import read_edges
from finrec_dgl.tables.sheets import ENDINGS, find_file, need_file

LOOKED_FOR = "interactions.csv (or .tsv, .parquet; .gz, .zst)"
_STEMS = ("interactions", "items", "users", "ties")


def fits(folder: Path) -> bool:
    """Whether there is an interactions file."""
    return find_file(folder, "interactions") is not None


def read(folder: Path, options: ReadOptions) -> Tables:
    """Read a folder of the table contract.

    ``interactions``: user_id, item_id; optional timestamp, weight, text; other columns are not
    read. ``items``: item_id, ``users``: user_id; optional timestamp, and any other columns.
    ``ties``: source_id, target_id; optional kind (default "tie"), timestamp. ``edges``: a folder
    of edge tables, see ``read_edges``. Which columns are
    text, categories and numbers: ``choices.suggest_columns``. Raises DataError.
    """
    _refuse_near_names(folder)
    dropped: dict[str, int] = {}
    interactions = load_table(
        need_file(folder, "interactions"),
        "interactions",
        [
            Field("user_id", "id", required=True),
            Field("item_id", "id", required=True),
            Field("timestamp", "time"),
            Field("weight", "weight"),
            Field("text"),
        ],
        options,
        dropped,
    )
    sheet = interactions.sheet
    refuse_other_times(sheet.names, sheet.path, "an interaction")
    items = _profiles(folder, "items", "item_id", options, dropped)
    users = _profiles(folder, "users", "user_id", options, dropped)
    ties = _ties(folder, interactions.table, users, options, dropped)
    kinds = () if ties is None else pc.unique(ties["kind"]).to_pylist()
    edges = read_edges(folder, kinds, Ends(interactions.table, items, users), options, dropped)
    return make(
        interactions.table, items, users, ties, options, dropped, edges=edges, rows_checked=True
    )


def make(
    interactions: pa.Table,
    items: pa.Table | None,
    users: pa.Table | None,
    ties: pa.Table | None,
    options: ReadOptions,
    dropped: dict[str, int],
    *,
    edges: Mapping[str, pa.Table] | None = None,
    rows_checked: bool = False,
) -> Tables:
    """The Tables of typed columns, its text, categories and numbers chosen."""
    item = Suggested() if items is None else suggest_columns(items, "item_id")
    user = Suggested() if users is None else suggest_columns(users, "user_id")
    return Tables(
        interactions,
        items,
        users,
        ties,
        item_title=None if items is None else suggest_title(items.column_names),
        format="tables",
        dropped=dropped,
        edges=edges or {},
        rows_checked=rows_checked,
        **choose_columns(options, items, users, item=item, user=user),
    )


def _profiles(
    folder: Path, name: str, id_column: str, options: ReadOptions, dropped: dict[str, int]
) -> pa.Table | None:
    path = find_file(folder, name)
    if path is None:
        return None
    fields = [Field(id_column, "id", required=True), Field("timestamp", "time")]
    return load_table(path, name, fields, options, dropped, rest=True).table


def _ties(
    folder: Path,
    interactions: pa.Table,
    users: pa.Table | None,
    options: ReadOptions,
    dropped: dict[str, int],
) -> pa.Table | None:
    path = find_file(folder, "ties")
    if path is None:
        return None
    loaded = load_table(
        path,
        "ties",
        [
            Field("source_id", "id", required=True),
            Field("target_id", "id", required=True),
            Field("kind", default="tie"),
            Field("timestamp", "time"),
        ],
        options,
        dropped,
    )
    found = tie_end_faults(loaded.table, interactions, users)
    return sift(
        loaded.table, found, loaded, name="ties", on_bad_rows=options.on_bad_rows, dropped=dropped
    )


def _refuse_near_names(folder: Path) -> None:
    """Raise DataError for a file such as ``user.csv``, which would be passed over in silence."""
    present = sorted(one.name for one in folder.iterdir())
    for name in present:
        stem, ending = next(
            ((name[: -len(one)], one) for one in ENDINGS if name.endswith(one)), ("", "")
        )
        if not stem or stem in _STEMS:
            continue
        near = difflib.get_close_matches(stem.lower(), _STEMS, n=1, cutoff=0.8)
        if near and find_file(folder, near[0]) is None:
            raise DataError(
                f"there is a file {name} and none for {near[0]}",
                expected=f"tables named {', '.join(_STEMS)}",
                where=str(folder),
                mend=f"rename it to {near[0]}{ending}, or move it elsewhere",
            )
