"""Profiles as arrays: the versions dated before the cut, and the codes of their categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.dataset.columns import Arrays, add_counts, filled
from finrec_dgl.dataset.ids import distinct, node_of, sort_ids
from finrec_dgl.dataset.nodes import before
from finrec_dgl.dataset.snapshot import UNDATED, Profiles
from finrec_dgl.tables.contract import Tables


@dataclass(frozen=True)
class Versions:
    """Arrays of the stored versions, the rows of the table they are, and names of categories."""

    arrays: Arrays
    rows: pa.Table | None
    names: dict[str, list[str]]


def profile_versions(
    tables: Tables, side: str, ids: pa.Array, cut: int | None, dropped: dict[str, int]
) -> Versions:
    """The versions of the profiles of ``side`` (item or user) that the nodes ``ids`` had by then.

    ``cut`` None: all versions.
    """
    table, columns = (
        (tables.items, tables.item_categories)
        if side == "item"
        else (tables.users, tables.user_categories)
    )
    if table is None:
        none: Arrays = {
            f"{side}_node": np.zeros(0, np.int32),
            f"{side}_time": np.zeros(0, np.int64),
        }
        return Versions(none, None, {})
    early = before(table, cut)
    node = node_of(early[f"{side}_id"], ids)
    add_counts(
        dropped,
        {
            f"{side}s table: rows from the cut on": len(table) - len(early),
            f"{side}s table: rows of {side}s that are left out": int((node < 0).sum()),
        },
    )
    early, node = early.filter(pa.array(node >= 0)), node[node >= 0]
    time = np.full(len(node), UNDATED)
    if "timestamp" in early.column_names:
        time = pc.fill_null(early["timestamp"], UNDATED).to_numpy()
    order = np.lexsort((time, node))
    early = early.take(pa.array(order))
    arrays: Arrays = {f"{side}_node": node[order], f"{side}_time": time[order]}
    names: dict[str, list[str]] = {}
    for column in columns:
        values = filled(early[column])
        known = sort_ids(distinct(values.drop_null()))
        names[column] = known.to_pylist()
        arrays[f"{side}_category.{column}"] = node_of(values, known)
    return Versions(arrays, early, names)


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
