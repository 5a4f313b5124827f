"""Which users and items there are: what was known before a moment, never what came after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.dataset.cold import Cold
from finrec_dgl.dataset.ids import distinct, hash_ids, node_of, sort_ids
from finrec_dgl.dataset.splits import TRAIN, Assignment
from finrec_dgl.tables.contract import GivenSplit, Tables


def before(table: pa.Table, time: int | None) -> pa.Table:
    """The rows dated before ``time``, and those without a date; None: all rows."""
    if time is None or "timestamp" not in table.column_names:
        return table
    return table.filter(pc.fill_null(pc.less(table["timestamp"], time), True))


def known_users(tables: Tables, seen: pa.ChunkedArray, time: int | None) -> pa.Array:
    """Distinct ids: those ``seen`` in interactions, in profiles or in ties before ``time``."""
    columns = [seen]
    if tables.users is not None:
        columns.append(before(tables.users, time)["user_id"])
    if tables.ties is not None:
        ties = before(tables.ties, time)
        columns += [ties["source_id"], ties["target_id"]]
    return distinct(*columns)


def known_items(
    tables: Tables, seen: pa.ChunkedArray, time: int | None, candidates: Sequence[str] | None
) -> pa.Array:
    """Distinct ids: those ``seen`` in interactions, in profiles before ``time``, or candidates."""
    columns: list[pa.Array | pa.ChunkedArray] = [seen]
    if tables.items is not None:
        columns.append(before(tables.items, time)["item_id"])
    if candidates is not None:
        columns.append(pa.array(candidates, pa.string()))
    return distinct(*columns)


@dataclass(frozen=True)
class Nodes:
    """Ids in node order, the pseudonyms of hashed users, and who was known as validation began."""

    users: pa.Array
    items: pa.Array
    hashed: pa.Array | None
    known_users: np.ndarray  # bool [U]
    known_items: np.ndarray  # bool [I]
    candidates: np.ndarray  # bool [I]

    def stored_users(self, mode: str) -> pa.Array:
        """The ids to be stored: the users' own, their pseudonyms, or node numbers (``none``)."""
        if mode == "none":
            return pa.array(np.arange(len(self.users))).cast(pa.string())
        return self.users if self.hashed is None else self.hashed

    def of(self, side: str) -> pa.Array:
        """The ids of ``side`` (item or user) in node order."""
        return self.items if side == "item" else self.users


def find_nodes(
    tables: Tables,
    fit: pa.Table,
    assignment: Assignment,
    given: GivenSplit | None,
    cold: Cold | None,
    *,
    core: bool,
    key: bytes | None,
) -> Nodes:
    """The nodes of a data set whose events before the cut are ``fit``, with their stage.

    Of the k-core (``core``) they are those with events; else all known before the cut, see
    ``known_users`` and ``known_items``. Held-out nodes (``cold``) are among them: those of
    validation are known by then, those of the test are not. ``key``: the secret of hashed ids, None
    where not hashed.
    """
    candidates = None if given is None else given.candidates
    if core:
        users, items = distinct(fit["user_id"]), distinct(fit["item_id"])
    else:
        users = known_users(tables, fit["user_id"], assignment.cut)
        items = known_items(tables, fit["item_id"], assignment.cut, candidates)
    items = sort_ids(items)
    hashed = None
    if key is None:
        users = sort_ids(users)
    else:
        # in the order of the pseudonyms, for that of the ids would tell of them
        hashed = hash_ids(users, key)
        order = pc.sort_indices(hashed)
        users, hashed = users.take(order), hashed.take(order)

    # Validation asks for what the test asks for: for the nodes of the core that have an edge to
    # learn from, for users who have one where a split is given, else for all known by then.
    train = fit.filter(pc.equal(fit["stage"], int(TRAIN)))
    if cold is not None:
        train = train.filter(pc.invert(cold.among(train, "valid")))
    early_users, early_items = train["user_id"], train["item_id"]
    if not core:
        early_items = known_items(tables, early_items, assignment.valid_cut, candidates)
        if assignment.kind != "given":
            early_users = known_users(tables, early_users, assignment.valid_cut)
    nodes = Nodes(
        users,
        items,
        hashed,
        mask_of(users, early_users),
        mask_of(items, early_items),
        np.ones(len(items), bool) if candidates is None else mask_of(items, pa.array(candidates)),
    )
    if cold is None:
        return nodes
    name, ids = f"known_{cold.side}s", nodes.of(cold.side)
    known = getattr(nodes, name) | mask_of(ids, cold.valid)
    return replace(nodes, **{name: known & ~mask_of(ids, cold.test)})


def mask_of(ids: pa.Array, among: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """bool [ids]: which of the distinct ``ids`` are ``among`` others."""
    return node_of(ids, distinct(among)) >= 0
