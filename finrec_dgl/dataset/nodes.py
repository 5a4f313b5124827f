"""Which users and items there are: what was known before a moment, never what came after."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.dataset.coding import Coded, early_rows, marked
from finrec_dgl.dataset.cold import Cold
from finrec_dgl.dataset.columns import values
from finrec_dgl.dataset.ids import hash_ids, id_order
from finrec_dgl.dataset.splits import TRAIN, Assignment


def known_users(coded: Coded, seen: np.ndarray, time: int | None) -> np.ndarray:
    """bool [ids]: users ``seen`` in interactions, in profiles or in ties before ``time``."""
    known = marked(seen, len(coded.users))
    if coded.tables.users is not None:
        known[coded.user_rows[early_rows(coded.tables.users, time)]] = True
    if coded.tables.ties is not None:
        early = early_rows(coded.tables.ties, time)
        for end in coded.tie_ends:
            known[end[early]] = True
    return known


def known_items(coded: Coded, seen: np.ndarray, time: int | None) -> np.ndarray:
    """bool [ids]: items ``seen`` in interactions, in profiles before ``time``, or candidates."""
    known = marked(seen, len(coded.items))
    if coded.tables.items is not None:
        known[coded.item_rows[early_rows(coded.tables.items, time)]] = True
    if coded.candidates is not None:
        known[coded.candidates] = True
    return known


@dataclass(frozen=True, eq=False)
class Nodes:
    """Ids in node order, the pseudonyms of hashed users, and who was known as validation began.

    ``user_node``, ``item_node`` int32 [ids]: the node of each number of ``Coded``, -1 none.
    """

    users: pa.Array
    items: pa.Array
    hashed: pa.Array | None
    user_node: np.ndarray
    item_node: np.ndarray
    known_users: np.ndarray  # bool [U]
    known_items: np.ndarray  # bool [I]
    candidates: np.ndarray  # bool [I]

    def stored_users(self, mode: str) -> pa.Array:
        """The ids to be stored: the users' own, their pseudonyms, or node numbers (``none``)."""
        if mode == "none":
            return pa.array(np.arange(len(self.users))).cast(pa.string())
        return self.users if self.hashed is None else self.hashed

    def mask(self, side: str, ids: np.ndarray) -> np.ndarray:
        """bool [nodes of ``side``]: those that ``ids`` (bool [ids]) says."""
        return _among(self.user_node if side == "user" else self.item_node, ids)


def find_nodes(
    coded: Coded,
    fit: pa.Table,
    assignment: Assignment,
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
    user, item = values(fit, "user", np.int32), values(fit, "item", np.int32)
    if core:
        users, items = marked(user, len(coded.users)), marked(item, len(coded.items))
    else:
        users = known_users(coded, user, assignment.cut)
        items = known_items(coded, item, assignment.cut)
    item_ids, item_node = _in_order(coded.items, items)
    hashed = None
    if key is None:
        user_ids, user_node = _in_order(coded.users, users)
    else:
        # in the order of the pseudonyms, for that of the ids would tell of them
        numbers = np.flatnonzero(users)
        user_ids = coded.users.take(pa.array(numbers))
        hashed = hash_ids(user_ids, key)
        order = pc.sort_indices(hashed)
        user_ids, hashed = user_ids.take(order), hashed.take(order)
        user_node = _places(numbers[order.to_numpy()], len(users))

    # Validation asks for what the test asks for: for the nodes of the core that have an edge to
    # learn from, for users who have one where a split is given, else for all known by then.
    train = values(fit, "stage", np.int8) == TRAIN
    if cold is not None:
        train &= ~cold.among(fit, "valid")
    early_users = marked(user[train], len(coded.users))
    early_items = marked(item[train], len(coded.items))
    if not core:
        early_items = known_items(coded, item[train], assignment.valid_cut)
        if assignment.kind != "given":
            early_users = known_users(coded, user[train], assignment.valid_cut)
    candidates = np.ones(len(item_ids), bool)
    if coded.candidates is not None:
        candidates = _among(item_node, marked(coded.candidates, len(coded.items)))
    nodes = Nodes(
        user_ids,
        item_ids,
        hashed,
        user_node,
        item_node,
        _among(user_node, early_users),
        _among(item_node, early_items),
        candidates,
    )
    if cold is None:
        return nodes
    name = f"known_{cold.side}s"
    known = getattr(nodes, name) | nodes.mask(cold.side, cold.valid)
    return replace(nodes, **{name: known & ~nodes.mask(cold.side, cold.test)})


def _in_order(ids: pa.Array, kept: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """The ids that ``kept`` (bool [ids]) says in node order, and the node of each number."""
    numbers = np.flatnonzero(kept)
    found = ids.take(pa.array(numbers))
    order = id_order(found)
    return found.take(pa.array(order)), _places(numbers[order], len(kept))


def _places(numbers: np.ndarray, size: int) -> np.ndarray:
    """int32 [size]: where each number stands in ``numbers``, -1 nowhere."""
    node = np.full(size, -1, np.int32)
    node[numbers] = np.arange(len(numbers), dtype=np.int32)
    return node


def _among(node: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """bool [nodes]: those of the numbers that ``ids`` (bool [ids]) says."""
    found = node[ids]
    return marked(found[found >= 0], int(node.max(initial=-1)) + 1)
