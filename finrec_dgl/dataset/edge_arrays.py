"""Edge tables as arrays: the edges before the cut between known nodes, sorted by time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from finrec_dgl.dataset.coding import Coded, early_rows
from finrec_dgl.dataset.columns import Arrays, add_counts, column, values
from finrec_dgl.dataset.nodes import Nodes
from finrec_dgl.tables.edges import EdgeColumns, edge_columns


def edge_arrays(
    coded: Coded, nodes: Nodes, cut: int | None, dropped: dict[str, int]
) -> tuple[dict[str, dict[str, Any]], Arrays]:
    """Make the arrays of all edge tables.

    Parameters
    ----------
    coded : Coded
        The tables, their ids as numbers.
    nodes : Nodes
        The users and items known before the cut; edge tables bring in none.
    cut : int or None
        Seconds since 1970 UTC: edges from then on are left out. None: none are.
    dropped : dict
        Reason -> rows left out; added to.

    Returns
    -------
    tuple
        For each relation, by name, what the manifest says of it: the node types ``src`` and
        ``dst``, the names of ``features``, whether it is ``dated``. And the arrays
        ``<relation>.src``, ``.dst``, ``.features`` and, where dated, ``.time``.
    """
    records: dict[str, dict[str, Any]] = {}
    arrays: Arrays = {}
    for name, table in sorted(coded.tables.edges.items()):
        columns = edge_columns(table.column_names, f"edges {name}")
        (_, src_type), (_, dst_type) = columns.ends
        records[name] = {
            "src": src_type,
            "dst": dst_type,
            "features": list(columns.features),
            "dated": "timestamp" in table.column_names,
        }
        made = _relation(name, columns, coded, nodes, cut, dropped)
        arrays |= {f"{name}.{part}": array for part, array in made.items()}
    return records, arrays


def _relation(
    name: str,
    columns: EdgeColumns,
    coded: Coded,
    nodes: Nodes,
    cut: int | None,
    dropped: dict[str, int],
) -> Arrays:
    table = coded.tables.edges[name]
    early = early_rows(table, cut)
    types = [node_type for _, node_type in columns.ends]
    by_type = {"user": nodes.user_node, "item": nodes.item_node}
    src, dst = (
        by_type[node_type][end[early]]
        for node_type, end in zip(types, coded.edge_ends[name], strict=True)
    )
    known = (src >= 0) & (dst >= 0)
    kept = known & (src != dst) if types[0] == types[1] else known
    add_counts(
        dropped,
        {
            f"edges {name}: from the cut on": int((~early).sum()),
            f"edges {name}: with a user or item that is left out": int((~known).sum()),
            f"edges {name}: of nodes with themselves": int((known & ~kept).sum()),
        },
    )
    early[early] = kept
    left, src, dst = table.filter(pa.array(early)), src[kept], dst[kept]
    time = column(left, "timestamp", np.int64)
    order = np.lexsort((dst, src) if time is None else (dst, src, time))
    features = [values(left, one, np.float32)[order] for one in columns.features]
    none = np.zeros((len(order), 0), np.float32)
    arrays = {
        "src": src[order],
        "dst": dst[order],
        "features": np.stack(features, axis=1) if features else none,
    }
    if time is not None:
        arrays["time"] = time[order]
    return arrays
