"""Ids of all tables as numbers, so that each string is looked at once and never again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.dataset.columns import column
from finrec_dgl.tables.contract import GivenSplit, Tables
from finrec_dgl.tables.edges import edge_columns


@dataclass(frozen=True, eq=False)
class Coded:
    """Tables with a number for each id; ``users`` and ``items`` are the ids by number, distinct.

    ``events``: the interactions as a table of user and item (int32), and timestamp, weight and text
    where there are such. ``user_rows``, ``item_rows`` int32: of the rows of the users and items
    tables; ``tie_ends``: source and target of the ties; ``edge_ends``: of each edge table, by
    relation; ``test``: user and item of the ``given`` split's pairs; ``candidates``: its items,
    None: all. Empty where there is no such table.
    """

    tables: Tables
    given: GivenSplit | None
    users: pa.Array
    items: pa.Array
    events: pa.Table
    user_rows: np.ndarray
    item_rows: np.ndarray
    tie_ends: tuple[np.ndarray, np.ndarray]
    edge_ends: Mapping[str, tuple[np.ndarray, ...]]
    test: tuple[np.ndarray, np.ndarray]
    candidates: np.ndarray | None

    def ids(self, side: str) -> pa.Array:
        """The ids of ``side`` (item or user) by number."""
        return self.items if side == "item" else self.users


def code_tables(tables: Tables, given: GivenSplit | None) -> Coded:
    """Number the ids of ``tables`` and of the ``given`` split."""
    none = pa.chunked_array([], pa.string())
    users, items, ties = tables.users, tables.items, tables.ties
    candidates = None if given is None else given.candidates
    ends = {
        name: edge_columns(table.column_names, f"edges {name}").ends
        for name, table in tables.edges.items()
    }
    of_edges = {
        side: [
            tables.edges[name][one] for name, both in ends.items() for one, of in both if of == side
        ]
        for side in ("user", "item")
    }
    # profiles first: where they are sorted, the ids by number mostly are
    columns = (
        (
            none if users is None else users["user_id"],
            tables.interactions["user_id"],
            none if ties is None else ties["source_id"],
            none if ties is None else ties["target_id"],
            none if given is None else given.test["user_id"],
            *of_edges["user"],
        ),
        (
            none if items is None else items["item_id"],
            tables.interactions["item_id"],
            none if given is None else given.test["item_id"],
            none if candidates is None else pa.chunked_array([pa.array(candidates, pa.string())]),
            *of_edges["item"],
        ),
    )
    with ThreadPoolExecutor(len(columns)) as pool:
        sides = list(pool.map(code_ids, columns))
    (user_ids, (user_rows, user, source, target, test_user, *user_ends)) = sides[0]
    (item_ids, (item_rows, item, test_item, allowed, *item_ends)) = sides[1]
    coded_ends = {"user": iter(user_ends), "item": iter(item_ends)}
    events = {"user": pa.array(user), "item": pa.array(item)}
    for name in ("timestamp", "weight"):
        values = column(tables.interactions, name, np.int64 if name == "timestamp" else np.float64)
        if values is not None:
            events[name] = pa.array(values)
    if "text" in tables.interactions.column_names:
        events["text"] = tables.interactions["text"]
    return Coded(
        tables=tables,
        given=given,
        users=user_ids,
        items=item_ids,
        events=pa.table(events),
        user_rows=user_rows,
        item_rows=item_rows,
        tie_ends=(source, target),
        edge_ends={
            name: tuple(next(coded_ends[side]) for _, side in both) for name, both in ends.items()
        },
        test=(test_user, test_item),
        candidates=None if candidates is None else allowed,
    )


def code_ids(columns: Sequence[pa.ChunkedArray]) -> tuple[pa.Array, list[np.ndarray]]:
    """The distinct ids of ``columns`` in order of appearance, and for each column its numbers."""
    from finrec_dgl.kernels.strings import code_strings

    every = pa.chunked_array([chunk for one in columns for chunk in one.chunks], pa.string())
    codes, rows = code_strings(every)
    ends = np.cumsum([len(one) for one in columns])
    return _taken(every, rows), np.split(codes, ends[:-1])


def _taken(column: pa.ChunkedArray, rows: np.ndarray) -> pa.Array:
    """The values at ``rows``, rising; chunk by chunk, for Arrow would join the chunks before."""
    starts = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])
    bounds = np.searchsorted(rows, starts)
    parts = [
        chunk.take(pa.array(rows[bounds[at] : bounds[at + 1]] - starts[at]))
        for at, chunk in enumerate(column.chunks)
        if bounds[at] < bounds[at + 1]
    ]
    return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


def marked(codes: np.ndarray, size: int) -> np.ndarray:
    """bool [size]: which numbers are among ``codes``."""
    found = np.zeros(size, bool)
    found[codes] = True
    return found


def early_rows(table: pa.Table, time: int | None) -> np.ndarray:
    """bool [rows]: those dated before ``time``, and those without a date; None: all rows."""
    if time is None or "timestamp" not in table.column_names:
        return np.ones(len(table), bool)
    early = pc.fill_null(pc.less(table["timestamp"], time), True).combine_chunks()
    found: np.ndarray = early.to_numpy(zero_copy_only=False)
    return found
