"""Profiles as arrays: the versions dated before the cut, their categories and their numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.dataset.coding import Coded, early_rows
from finrec_dgl.dataset.columns import Arrays, add_counts, filled
from finrec_dgl.dataset.ids import node_of, sort_ids
from finrec_dgl.dataset.nodes import Nodes
from finrec_dgl.dataset.snapshot import UNDATED, Profiles
from finrec_dgl.tables.contract import Tables
from finrec_dgl.tables.numbers import to_numbers


@dataclass(frozen=True)
class Versions:
    """Arrays of the stored versions and the rows of the table they are.

    ``names``: column -> names of its categories; ``numbers``: the columns that are numbers.
    """

    arrays: Arrays
    rows: pa.Table | None
    names: dict[str, list[str]]
    numbers: tuple[str, ...]


def profile_versions(
    coded: Coded, side: str, nodes: Nodes, cut: int | None, dropped: dict[str, int]
) -> Versions:
    """The versions of the profiles of ``side`` (item or user) that the nodes had by then.

    ``cut`` None: all versions.
    """
    tables = coded.tables
    table, number, node_of_number = (
        (tables.items, coded.item_rows, nodes.item_node)
        if side == "item"
        else (tables.users, coded.user_rows, nodes.user_node)
    )
    if table is None:
        none: Arrays = {
            f"{side}_node": np.zeros(0, np.int32),
            f"{side}_time": np.zeros(0, np.int64),
        }
        return Versions(none, None, {}, ())
    early = early_rows(table, cut)
    node = node_of_number[number]
    add_counts(
        dropped,
        {
            f"{side}s table: rows from the cut on": int((~early).sum()),
            f"{side}s table: rows of {side}s that are left out": int((node[early] < 0).sum()),
        },
    )
    kept = early & (node >= 0)
    rows, node = table.filter(pa.array(kept)), node[kept]
    time = np.full(len(node), UNDATED)
    if "timestamp" in rows.column_names:
        time = pc.fill_null(rows["timestamp"], UNDATED).to_numpy()
    if not np.all(node[1:] > node[:-1]):
        order = np.lexsort((time, node))
        rows, node, time = rows.take(pa.array(order)), node[order], time[order]
    arrays: Arrays = {f"{side}_node": node, f"{side}_time": time}
    names: dict[str, list[str]] = {}
    for column in getattr(tables, f"{side}_categories"):
        arrays[f"{side}_category.{column}"], names[column] = _categories(rows[column])
    numbers: tuple[str, ...] = getattr(tables, f"{side}_numbers")
    for column in numbers:
        arrays[f"{side}_number.{column}"] = _numbers(rows[column])
    return Versions(arrays, rows, names, numbers)


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    """Each value as float32 [rows], NaN where it is missing."""
    numbers = pc.fill_null(to_numbers(values), np.nan).combine_chunks()
    found: np.ndarray = numbers.to_numpy(zero_copy_only=False).astype(np.float32)
    return found


def _categories(values: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """The code of each value, int32 [rows], -1 none, and the names of the codes."""
    coded = values.dictionary_encode().unify_dictionaries().combine_chunks()
    told = filled(coded.dictionary)
    names = sort_ids(told.drop_null())
    code = np.append(node_of(told, names), np.int32(-1))
    return code[pc.fill_null(coded.indices, -1).to_numpy()], names.to_pylist()


def item_table(tables: Tables, ids: pa.Array, versions: Versions) -> pa.Table:
    """For people: id, title and categories of each item as of the cut; null where unknown."""
    columns = {"id": ids}
    if versions.rows is not None:
        node = versions.arrays["item_node"]
        profiles = Profiles(node, versions.arrays["item_time"], node, {})
        latest = profiles.latest(len(ids), None)
        rows = pa.array(latest, mask=latest < 0)
        if tables.item_title is not None:
            columns["title"] = filled(versions.rows[tables.item_title]).take(rows)
        for name in tables.item_categories:
            columns[f"category.{name}"] = filled(versions.rows[name]).take(rows)
    return pa.table(columns)
