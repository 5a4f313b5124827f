"""Edge tables, one relation each: which nodes their ends are, and what may be wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables.faults import Fault, empty_values, mask, times_out_of_range
from finrec_dgl.tables.numbers import EXPECTED, LARGEST

SOURCES = {"source_user_id": "user", "source_item_id": "item"}
TARGETS = {"target_user_id": "user", "target_item_id": "item"}
"""Columns of ids by the node type that they name."""

RESERVED = ("interacts", "interacted-by")
FEATURE_MEND = "correct the value, remove the column if it is no feature of the edge"
_NAME = re.compile(r"\w[\w-]*")


@dataclass(frozen=True)
class EdgeColumns:
    """The columns of an edge table: those of the ends' ids, and the features in their order."""

    source: str
    target: str
    features: tuple[str, ...]

    @property
    def ends(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Column and node type (user or item) of the source, then of the target."""
        return (self.source, SOURCES[self.source]), (self.target, TARGETS[self.target])


def edge_columns(names: Sequence[str], where: str) -> EdgeColumns:
    """Find the ends and the features among the columns of an edge table.

    Parameters
    ----------
    names : sequence of str
        The columns: one of ``SOURCES``, one of ``TARGETS``, perhaps ``timestamp``; all others
        are features.
    where : str
        The place of the names, for the error.

    Raises
    ------
    DataError
        If there is no column for one of the ends, or two.
    """
    ends = []
    for end, known in (("source", SOURCES), ("target", TARGETS)):
        found = [one for one in known if one in names]
        if len(found) != 1:
            raise _wrong_ends(end, known, names, where)
        ends += found
    features = tuple(one for one in names if one not in (*ends, "timestamp"))
    return EdgeColumns(ends[0], ends[1], features)


def _wrong_ends(end: str, known: Iterable[str], names: Sequence[str], where: str) -> DataError:
    both = " and ".join(known)
    if all(one in names for one in known):
        found, mend = f"there are two columns for the {end}, {both}", "remove one of them"
    else:
        found = f"there is no column for the {end} of an edge"
        plain = f"{end}_id"
        shown = ", ".join(f"'{name[:40]}'" for name in names[:12])
        mend = (
            f"rename {plain} by what it names: to {' or '.join(known)}"
            if plain in names
            else f"the first row must name the columns; it now reads {shown}"
        )
    expected = f"one of the columns {both}, which says whether the {end} is a user or an item"
    return DataError(found, expected=expected, where=where, mend=mend)


def check_relations(names: Sequence[str], kinds: Iterable[str], where: str) -> None:
    """Refuse names of edge tables that are not plain words, or name another relation.

    Parameters
    ----------
    names : sequence of str
        The names of the edge tables.
    kinds : iterable of str
        The kinds of ties. Each name and kind has a reverse, which is called so with ``-by``.
    where : str
        The place of the tables, for the error.

    Raises
    ------
    DataError
        If a name cannot be a relation's, or is taken.
    """
    kinds = list(kinds)
    for name in names:
        others = [*kinds, *(one for one in names if one != name)]
        taken = {*RESERVED, *kinds, *(f"{one}-by" for one in others)}
        if _NAME.fullmatch(name) is None:
            raise DataError(
                f"the edge table '{name}' has a name that no relation can have",
                expected="letters, digits, _ and -",
                where=where,
                mend="rename the file",
            )
        if name in taken or f"{name}-by" in kinds:
            raise DataError(
                f"the edge table '{name}' has the name of another relation",
                expected=f"other names than {', '.join(RESERVED)}, the kinds of ties, and names of "
                "edge tables or kinds with -by behind them",
                where=where,
                mend="rename the file",
            )


def edge_faults(table: pa.Table, columns: EdgeColumns) -> list[Fault]:
    """Find what is wrong with rows of a typed edge table, whose features are float64."""
    faults: list[Fault] = []
    for column, node_type in columns.ends:
        faults += empty_values(
            table, column, f"an id of a{'n' * (node_type == 'item')} {node_type}"
        )
    if "timestamp" in table.column_names:
        faults += empty_values(table, "timestamp", "a date in every row, or no such column")
    faults += times_out_of_range(table)
    for column in columns.features:
        faults += _unusable_features(table, column)
    return faults


def _unusable_features(table: pa.Table, column: str) -> list[Fault]:
    values = table[column]
    finite = pc.and_(pc.is_finite(values), pc.less_equal(pc.abs(values), LARGEST))
    found = (
        ("empty", pc.is_null(values), "a number in every row, or no such column"),
        ("not finite", pc.invert(finite), EXPECTED),
    )
    faults = [
        Fault(mask(rows), column, reason, expected, FEATURE_MEND)
        for reason, rows, expected in found
    ]
    return [fault for fault in faults if fault.rows.any()]
