"""The folder of edge tables beside the other tables: one file a relation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables.columns import Field, load_table, refuse_other_times
from finrec_dgl.tables.contract import Ends
from finrec_dgl.tables.edges import SOURCES, TARGETS, check_relations, edge_columns
from finrec_dgl.tables.faults import sift
from finrec_dgl.tables.options import ReadOptions
from finrec_dgl.tables.sheets import ENDINGS, column_names, need_file, read_sheet

EDGES = "edges"


def read_edges(
    folder: Path,
    kinds: Iterable[str],
    ends: Ends,
    options: ReadOptions,
    dropped: dict[str, int],
) -> dict[str, pa.Table]:
    """Read the edge tables of ``folder``.

    Parameters
    ----------
    folder : Path
        The folder of all tables; those of edges are in its folder ``edges``, named for their
        relation.
    kinds : iterable of str
        The kinds of ties, whose names are taken.
    ends : Ends
        The other tables, which say who may be the end of an edge.
    options : ReadOptions
        What to do with bad rows.
    dropped : dict
        Reason -> rows left out; added to.

    Returns
    -------
    dict
        Relation -> table, as ``Tables.edges``, in the order of their names.

    Raises
    ------
    DataError
        If a file or name cannot be used, or at the first bad row.
    """
    _refuse_near_names(folder)
    place = folder / EDGES
    if not place.exists():
        return {}
    names = _relations(place)
    check_relations(names, kinds, str(place))
    return {name: _read(need_file(place, name), name, ends, options, dropped) for name in names}


def _read(
    path: Path, relation: str, ends: Ends, options: ReadOptions, dropped: dict[str, int]
) -> pa.Table:
    name = f"edges {relation}"
    found = column_names(path)
    if len(found) == 1:  # no edge table has one column: this says how they are set apart
        read_sheet(path, required=[next(iter(SOURCES)), next(iter(TARGETS))])
    columns = edge_columns(found, str(path))
    refuse_other_times(found, path, "an edge")
    fields = [Field(column, "id", required=True) for column, _ in columns.ends]
    loaded = load_table(
        path,
        name,
        [*fields, Field("timestamp", "time")],
        options,
        dropped,
        rest=True,
        rest_kind="number",
    )
    unknown = ends.faults(name, loaded.table, columns)
    kept = sift(
        loaded.table,
        unknown,
        loaded,
        name=name,
        on_bad_rows=options.on_bad_rows,
        dropped=dropped,
    )
    if not kept.num_rows:
        raise DataError(
            f"{name}: no edge is between known users and items",
            where=str(path),
            mend="read without --on-bad-rows drop to see the first unknown one",
        )
    return kept


def _relations(place: Path) -> list[str]:
    """The names of the tables in ``place``, each once. Raises DataError for other files."""
    if not place.is_dir():
        raise DataError(f"{EDGES} is a file", expected="a folder of edge tables", where=str(place))
    names = set()
    for path in sorted(place.iterdir()):
        if path.name.startswith("."):
            continue  # file managers leave such
        stem = _stem(path.name)
        if stem is None:
            raise DataError(
                f"{path.name} is no edge table",
                expected=f"files with one of the endings {', '.join(ENDINGS)}",
                where=str(place),
                mend="export it as CSV, or move it elsewhere",
            )
        names.add(stem)
    return sorted(names)


def _stem(name: str) -> str | None:
    """The name of a table's file without its ending; None where it has no such ending."""
    endings = [one for one in ENDINGS if name.endswith(one)]
    return name.removesuffix(max(endings, key=len)) if endings else None


def _refuse_near_names(folder: Path) -> None:
    """Raise DataError for edge tables that would be passed over because they are elsewhere."""
    for path in sorted(folder.iterdir()):
        stem = _stem(path.name)
        if path.is_dir() and path.name != EDGES and path.name.lower() in ("edge", EDGES):
            raise DataError(
                f"there is a folder {path.name}",
                expected=f"edge tables in a folder named {EDGES}",
                where=str(folder),
                mend=f"rename it to {EDGES}",
            )
        if stem is not None and stem.lower().replace("-", "_").split("_")[0] in ("edge", EDGES):
            raise DataError(
                f"there is a file {path.name} beside the tables",
                expected=f"edge tables in a folder named {EDGES}, named for their relation",
                where=str(folder),
                mend=f"move it to {EDGES}/, such as {EDGES}/follows{path.name[len(stem) :]}",
            )
