"""The tables that every reader gives and everything after stands on; they check themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.config import suggest
from finrec_dgl.base.errors import DataError
from finrec_dgl.tables import faults
from finrec_dgl.tables.edges import EdgeColumns, check_relations, edge_columns, edge_faults
from finrec_dgl.tables.numbers import number_faults

_SOME_IDS = 10_000
_INTERACTIONS = {
    "user_id": pa.string(),
    "item_id": pa.string(),
    "timestamp": pa.int64(),
    "weight": pa.float64(),
    "text": pa.string(),
}
_TIES = {
    "source_id": pa.string(),
    "target_id": pa.string(),
    "kind": pa.string(),
    "timestamp": pa.int64(),
}


@dataclass(frozen=True)
class GivenSplit:
    """A split that came with the data.

    - ``test``: the pairs to be found; user_id string, item_id string, at least one row.
    - ``candidates``: the item ids that may be recommended in the test window; None: all.
    - ``cut``: seconds since 1970 UTC; interactions at or after it are not training. None where
      the training interactions are all there are.
    - ``test_end``: seconds since 1970 UTC; the test window is [cut, test_end). None: unknown.

    Raises DataError.
    """

    test: pa.Table
    candidates: tuple[str, ...] | None = None
    cut: int | None = None
    test_end: int | None = None

    def __post_init__(self) -> None:
        problems = _schema_problems(
            "test", self.test, {"user_id": pa.string(), "item_id": pa.string()}, 2
        )
        if not problems and not self.test.num_rows:
            problems.append("the split has no test pairs")
        if self.candidates is not None and not self.candidates:
            problems.append("the split allows no item to be recommended")
        if self.candidates is not None and len(set(self.candidates)) != len(self.candidates):
            problems.append("the split names a candidate twice")
        if self.cut is not None and self.test_end is not None and self.cut >= self.test_end:
            problems.append("the split's test window ends before it begins")
        if problems:
            raise DataError("; ".join(problems), where="given split")
        for name in ("user_id", "item_id"):
            found = faults.empty_values(self.test, name, "an id")
            faults.sift(self.test, found, faults.InMemory("test", self.test), name="test")


@dataclass(frozen=True)
class Tables:
    """What was read, checked and typed; ids are the user's own strings.

    - ``interactions``: user_id, item_id (string); optional timestamp (int64, seconds since 1970
      UTC), weight (float64, finite, 0 or more), text (string, null where there is none). Repeated
      pairs are events of their own. At least one row.
    - ``items``: item_id (string), optional timestamp (int64; null: undated), then string columns
      (null: absent). Several rows for an id are versions of one profile and differ in timestamp.
    - ``users``: the same with user_id.
    - ``ties``: source_id, target_id, kind (string), optional timestamp (int64).
    - ``edges``: relation -> its edge table: source_user_id or source_item_id, target_user_id or
      target_item_id (string), optional timestamp (int64), then the edge's features (float64,
      finite). Every row is an edge of its own. At least one row each.
    - ``item_text``, ``item_categories``, ``user_text``, ``user_categories``: columns of ``items``
      and ``users``, in order; ``item_title``: the one that names an item to people.
    - ``item_numbers``, ``user_numbers``: columns of ``items`` and ``users`` whose values are all
      finite numbers, as text, or missing (null or blank).
    - ``format``: what it was read from, one of ``FORMATS`` (or ``generated``).
    - ``dropped``: reason -> rows that were left out.
    - ``given``: the split that came with the data, if any.
    - ``rows_checked``: whoever read them has looked at every row already, and told faults by their
      place in the file; a hundred million rows are not looked at twice.

    Optional tables are None where absent, never empty. Where a ``users`` table is there, it and
    the interactions together are all users there are, so a tie must name two of them; without it
    ties may bring in users of their own, but not only such. An items or users table that shares
    no id with the interactions is refused. Edge tables bring in nobody, see ``Ends``.

    Raises DataError that names the first thing at fault.
    """

    interactions: pa.Table
    items: pa.Table | None = None
    users: pa.Table | None = None
    ties: pa.Table | None = None
    item_text: tuple[str, ...] = ()
    item_categories: tuple[str, ...] = ()
    user_text: tuple[str, ...] = ()
    user_categories: tuple[str, ...] = ()
    item_title: str | None = None
    item_numbers: tuple[str, ...] = ()
    user_numbers: tuple[str, ...] = ()
    format: str = "tables"
    dropped: Mapping[str, int] = field(default_factory=dict)
    given: GivenSplit | None = None
    edges: Mapping[str, pa.Table] = field(default_factory=dict)
    rows_checked: bool = False

    def __post_init__(self) -> None:
        problems = _schema_problems("interactions", self.interactions, _INTERACTIONS, 2)
        if self.ties is not None:
            problems += _schema_problems("ties", self.ties, _TIES, 3)
        for name, id_column, table in self._profiles():
            problems += _profile_problems(name, id_column, table)
        for name, table in self.edges.items():
            problems += _edge_problems(f"edges {name}", table)
        if not problems:
            problems = self._column_problems()
        if problems:
            raise DataError("; ".join(problems), where=f"tables of format {self.format}")
        kinds = () if self.ties is None else pc.unique(self.ties["kind"]).to_pylist()
        check_relations(tuple(self.edges), kinds, "edges")
        self._check_rows()

    def _profiles(self) -> list[tuple[str, str, pa.Table]]:
        both = (("items", "item_id", self.items), ("users", "user_id", self.users))
        return [(name, id_column, table) for name, id_column, table in both if table is not None]

    def _column_problems(self) -> list[str]:
        problems = [
            f"{name} has no rows"
            for name in ("interactions", "items", "users", "ties")
            if getattr(self, name) is not None and not getattr(self, name).num_rows
        ]
        title = () if self.item_title is None else (self.item_title,)
        for option, columns, table in (
            ("item_text", self.item_text, self.items),
            ("item_categories", self.item_categories, self.items),
            ("item_numbers", self.item_numbers, self.items),
            ("item_title", title, self.items),
            ("user_text", self.user_text, self.users),
            ("user_categories", self.user_categories, self.users),
            ("user_numbers", self.user_numbers, self.users),
        ):
            problems += unknown_columns(option, columns, table)
        return problems

    def _check_rows(self) -> None:
        if not self.rows_checked:
            for name, table, found in (
                ("interactions", self.interactions, faults.interaction_faults(self.interactions)),
                ("ties", self.ties, [] if self.ties is None else faults.tie_faults(self.ties)),
            ):
                faults.sift(table, found, faults.InMemory(name, table), name=name)
        for name, id_column, table in self._profiles():
            # not every reader knows the columns of numbers while it looks at rows
            found = number_faults(
                table, self.item_numbers if name == "items" else self.user_numbers
            )
            if not self.rows_checked:
                found += faults.profile_faults(table, id_column)
                found = found or faults.repeated_profiles(table, id_column)
            faults.sift(table, found, faults.InMemory(name, table), name=name)
            check_overlap(name, table[id_column], self.interactions[id_column])
        if self.ties is not None and not self.rows_checked:
            found = tie_end_faults(self.ties, self.interactions, self.users)
            faults.sift(self.ties, found, faults.InMemory("ties", self.ties), name="ties")
        if not self.rows_checked:
            self._check_edges()

    def _check_edges(self) -> None:
        ends = Ends(self.interactions, self.items, self.users)
        for relation, table in self.edges.items():
            name = f"edges {relation}"
            columns = edge_columns(table.column_names, name)
            for found in (edge_faults(table, columns), ends.faults(name, table, columns)):
                faults.sift(table, found, faults.InMemory(name, table), name=name)


def unknown_columns(option: str, columns: Sequence[str], table: pa.Table | None) -> list[str]:
    """The problems with ``columns`` as string columns of ``table``."""
    names = (
        [] if table is None else [one.name for one in table.schema if pa.types.is_string(one.type)]
    )
    if table is None and columns:
        return [f"{option} is {', '.join(columns)}, but there is no such table"]
    return [
        f"{option} names '{one}', which is not a text column{suggest(one, names)}"
        for one in columns
        if one not in names
    ]


@dataclass(frozen=True, eq=False)
class Ends:
    """The tables that say who may be the end of an edge.

    Where there is a users table, it and the interactions together are all users there are; the
    same holds for items. Without one, some of an edge table's ends must be in the interactions.
    """

    interactions: pa.Table
    items: pa.Table | None
    users: pa.Table | None

    def faults(self, name: str, table: pa.Table, columns: EdgeColumns) -> list[faults.Fault]:
        """Find the edges with an unknown end in the edge table ``name``.

        Raises
        ------
        DataError
            If nothing is known of a kind of node but the interactions, and no end is in them.
        """
        found = []
        for column, node_type in columns.ends:
            id_column = f"{node_type}_id"
            profiles = self.users if node_type == "user" else self.items
            used = self.interactions[id_column]
            if profiles is not None:
                known = pa.chunked_array([*profiles[id_column].chunks, *used.chunks], pa.string())
                found += faults.unknown_ids(table, column, pc.unique(known), node_type)
            elif not _overlap(table[column], used):
                raise DataError(
                    f"no {column} of the table {name} occurs in the interactions",
                    expected="the same ids in both",
                    where=name,
                    mend="compare their writing: leading zeros, prefixes, capitals, spaces",
                )
        return found


def _overlap(ids: pa.ChunkedArray, used: pa.ChunkedArray) -> bool:
    # most tables share one of the first ids, and there may be millions
    return any(
        pc.any(pc.is_in(ids, value_set=pc.unique(some))).as_py()
        for some in (used.slice(0, _SOME_IDS), used)
    )


def check_overlap(name: str, ids: pa.ChunkedArray, used: pa.ChunkedArray) -> None:
    """Raise DataError where no id of the profile table ``name`` occurs in the interactions."""
    if _overlap(ids, used):
        return
    # a product's number may be shown; a customer's may not
    shown = f"items, such as {ids[0].as_py()!r}; interactions, such as {used[0].as_py()!r}"
    raise DataError(
        f"no id of the {name} table occurs in the interactions",
        expected="the same ids in both",
        where=shown if name == "items" else name,
        mend="compare their writing: leading zeros, prefixes, capitals, spaces",
    )


def tie_end_faults(
    ties: pa.Table, interactions: pa.Table, users: pa.Table | None
) -> list[faults.Fault]:
    """Ties with an end that is no user, by the rule of ``Tables``.

    Raises DataError where there is no users table and no tie names a user of the interactions.
    """
    if users is not None:
        if not faults.unknown_ends(ties, users["user_id"]):
            return []
        known = pc.unique(interactions["user_id"])
        known = pc.unique(pa.chunked_array([known, *users["user_id"].chunks], pa.string()))
        return faults.unknown_ends(ties, known)
    ends = pa.chunked_array([*ties["source_id"].chunks, *ties["target_id"].chunks], pa.string())
    check_overlap("ties", ends, interactions["user_id"])
    return []


def _schema_problems(
    name: str, table: object, columns: Mapping[str, pa.DataType], required: int
) -> list[str]:
    if not isinstance(table, pa.Table):
        return [f"{name} is {type(table).__name__}, expected a pyarrow.Table"]
    found = {one.name: one.type for one in table.schema}
    problems = [
        f"{name} has no column {one}" for one in list(columns)[:required] if one not in found
    ]
    for one, kind in found.items():
        if one not in columns:
            problems.append(f"{name} has an unknown column '{one}'{suggest(one, list(columns))}")
        elif kind != columns[one]:
            problems.append(f"{name}.{one} is {kind}, expected {columns[one]}")
    if len(found) != table.num_columns:
        problems.append(f"{name} has two columns of one name")
    return problems


def _edge_problems(name: str, table: object) -> list[str]:
    if not isinstance(table, pa.Table):
        return [f"{name} is {type(table).__name__}, expected a pyarrow.Table"]
    columns = edge_columns(table.column_names, name)
    kinds: dict[str, pa.DataType] = dict.fromkeys((columns.source, columns.target), pa.string()) | {
        "timestamp": pa.int64()
    }
    kinds |= dict.fromkeys(columns.features, pa.float64())
    problems = _schema_problems(name, table, kinds, 2)
    return problems if problems or table.num_rows else [f"{name} has no rows"]


def _profile_problems(name: str, id_column: str, table: object) -> list[str]:
    if not isinstance(table, pa.Table):
        return [f"{name} is {type(table).__name__}, expected a pyarrow.Table"]
    columns = {one: pa.string() for one in table.column_names if one != id_column}
    if "timestamp" in columns:
        columns["timestamp"] = pa.int64()
    return _schema_problems(name, table, {id_column: pa.string(), **columns}, 1)
