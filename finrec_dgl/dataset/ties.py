"""Ties as arrays: those before the cut between known users, each once, at its earliest time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from finrec_dgl.base.errors import DataError
from finrec_dgl.dataset.coding import Coded, early_rows
from finrec_dgl.dataset.columns import Arrays, add_counts, column
from finrec_dgl.dataset.ids import distinct, node_of, sort_ids
from finrec_dgl.dataset.nodes import Nodes
from finrec_dgl.dataset.snapshot import sort_pairs

_RESERVED_KINDS = ("interacts", "interacted-by")


def tie_arrays(
    coded: Coded, nodes: Nodes, cut: int | None, dropped: dict[str, int]
) -> tuple[list[str], Arrays]:
    """Names of the kinds, and the distinct ties before the cut, each at its earliest time."""
    table = coded.tables.ties
    empty = np.zeros(0, np.int32)
    arrays: Arrays = {"source": empty, "target": empty, "kind": np.zeros(0, np.int16)}
    if table is None:
        return [], arrays
    early = early_rows(table, cut)
    source, target = (nodes.user_node[end[early]] for end in coded.tie_ends)
    known = (source >= 0) & (target >= 0)
    kept = known & (source != target)
    add_counts(
        dropped,
        {
            "ties: from the cut on": int((~early).sum()),
            "ties: with a user who is left out": int((~known).sum()),
            "ties: of users with themselves": int((known & ~kept).sum()),
        },
    )
    early[early] = kept
    left, source, target = table.filter(pa.array(early)), source[kept], target[kept]
    names = sort_ids(distinct(left["kind"]))
    kinds: list[str] = names.to_pylist()
    _check_kinds(kinds)
    kind = node_of(left["kind"], names).astype(np.int16)
    time = column(left, "timestamp", np.int64)
    order = _order(kind, source, target, time, len(nodes.users))
    same = np.ones(max(len(order) - 1, 0), bool)
    for part in (source, target, kind):
        same &= part[order[1:]] == part[order[:-1]]
    first = order[np.concatenate([np.ones(min(len(order), 1), bool), ~same])]
    arrays = {"source": source[first], "target": target[first], "kind": kind[first]}
    if time is not None:
        arrays["time"] = time[first]
    return kinds, arrays


def _order(
    kind: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    time: np.ndarray | None,
    n_users: int,
) -> np.ndarray:
    """The order by kind, source, target and time."""
    if time is None or np.all(time[1:] >= time[:-1]):
        order = np.arange(len(kind))
    else:
        order = np.argsort(time, kind="stable")
    order = order[sort_pairs(source[order], target[order], n_users, n_users).order]
    return order[np.argsort(kind[order], kind="stable")]


def _check_kinds(kinds: list[str]) -> None:
    clashing = [
        kind
        for kind in kinds
        if kind in _RESERVED_KINDS or (kind.endswith("-by") and kind[:-3] in kinds)
    ]
    if clashing:
        raise DataError(
            f"the kind of ties '{clashing[0]}' is the name of another relation",
            expected=f"other names than {', '.join(_RESERVED_KINDS)} and than <another kind>-by",
            where="ties, column kind",
            mend="rename the kind",
        )
    if len(kinds) > np.iinfo(np.int16).max:
        raise DataError(
            f"there are {len(kinds)} kinds of ties", expected="a few", where="ties, column kind"
        )
