"""Events to learn from and pairs to be found: assigned, cut to the core, numbered, sorted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from finrec_dgl.base.errors import UsageError
from finrec_dgl.dataset import splits
from finrec_dgl.dataset.coding import Coded, marked
from finrec_dgl.dataset.cold import Cold
from finrec_dgl.dataset.columns import Arrays, add_counts, column, values
from finrec_dgl.dataset.ids import id_order
from finrec_dgl.dataset.kcore import k_core
from finrec_dgl.dataset.nodes import Nodes
from finrec_dgl.dataset.snapshot import Pairs, SortedPairs, pair_keys, pairs_of_keys, sort_pairs
from finrec_dgl.dataset.splits import Assignment, SplitOptions


@dataclass(frozen=True, eq=False)
class HeldPairs:
    """The distinct ``pairs`` of some events, and the events in the same order.

    The events of pair p are ``events.order[start[p]:start[p + 1]]``.
    """

    pairs: Pairs
    events: SortedPairs
    start: np.ndarray

    def any(self, chosen: np.ndarray) -> np.ndarray:
        """bool [pairs]: those of which one of the ``chosen`` (bool [events]) is."""
        if not len(self.pairs):
            return np.zeros(0, bool)
        found: np.ndarray = np.logical_or.reduceat(chosen[self.events.order], self.start[:-1])
        return found


def held_pairs(user: np.ndarray, item: np.ndarray, n_users: int, n_items: int) -> HeldPairs:
    """The distinct pairs of ``user`` and ``item``, int32 [events]."""
    events = sort_pairs(user, item, n_users, n_items)
    ends = events.ends
    return HeldPairs(Pairs(events.user[ends], events.item[ends]), events, np.append(0, ends + 1))


def where(events: pa.Table, chosen: np.ndarray) -> pa.Table:
    """The ``events`` that ``chosen`` (bool [events]) says; the first ones are not copied."""
    count = int(np.count_nonzero(chosen))
    return events.slice(0, count) if chosen[:count].all() else events.filter(pa.array(chosen))


def assign_events(coded: Coded, options: SplitOptions) -> Assignment:
    """The stage of every event of ``coded``, by ``options`` or by its given split.

    Raises UsageError and DataError where the options do not fit the data.
    """
    given, time = coded.given, column(coded.events, "timestamp", np.int64)
    kind = options.resolve(given=given is not None, dated=time is not None)
    if kind == "temporal":
        return splits.temporal(
            time, options.time("cut"), options.time("valid_cut"), options.time("test_end")
        )
    if kind == "given":
        if given is None:
            raise UsageError(
                "the split is to be a given one, and none came with the data",
                expected="a split file, or data that bring their split along",
                mend="pass --split-file, or choose another --split",
            )
        if given.cut is not None:
            made = splits.given_dated(time, given.cut, options.time("valid_cut"))
            return Assignment(
                made.kind, made.stage, made.cut, made.valid_cut, given.test_end, made.left_out
            )
        if options.valid_cut is not None:
            raise UsageError(
                "valid_cut does not go with a given split without a date",
                expected="a split with a time_point",
                mend="leave valid_cut out; validation is a share of each user's pairs then",
            )
    # sorted, so that a seed chooses the same pairs in whatever order the rows come
    user, test_user, _ = _ranked(coded.users, coded.events, "user", coded.test[0])
    item, test_item, n_items = _ranked(coded.items, coded.events, "item", coded.test[1])
    if kind == "last-out":
        return splits.last_out(user, item, time)
    if kind == "random":
        return splits.at_random(user, item, options.valid_share, options.test_share, options.seed)
    there = (test_user >= 0) & (test_item >= 0)
    is_test = np.isin(
        pair_keys(user, item, n_items), pair_keys(test_user[there], test_item[there], n_items)
    )
    return splits.given_undated(user, item, is_test, options.valid_share, options.seed)


def _ranked(
    ids: pa.Array, events: pa.Table, side: str, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Where the events' ids, and ``others``, stand among the sorted ids of the events; their count.

    -1 for one of the others that no event has.
    """
    code = values(events, side, np.int32)
    numbers = np.flatnonzero(marked(code, len(ids)))
    place = np.full(len(ids), -1, np.int32)
    place[numbers[id_order(ids.take(pa.array(numbers)))]] = np.arange(len(numbers))
    return place[code], place[others], len(numbers)


def core_events(coded: Coded, fit: pa.Table, k: int, dropped: dict[str, int]) -> pa.Table:
    """The events of the k-core's pairs."""
    if k == 0:
        return fit
    user, item = values(fit, "user", np.int32), values(fit, "item", np.int32)
    held = held_pairs(user, item, len(coded.users), len(coded.items))
    kept = np.empty(len(fit), bool)
    core = k_core(held.pairs.user, held.pairs.item, k)
    kept[held.events.order] = np.repeat(core, np.diff(held.start))
    add_counts(dropped, {f"interactions: outside the {k}-core": int((~kept).sum())})
    return where(fit, kept)


def interaction_arrays(fit: pa.Table, nodes: Nodes) -> dict[str, Any]:
    """Arrays of the events to learn from, sorted by time, and their texts under ``post``."""
    time = column(fit, "timestamp", np.int64)
    if time is not None and np.any(time[1:] < time[:-1]):
        order = np.argsort(time, kind="stable")
        fit, time = fit.take(pa.array(order)), time[order]
    arrays: dict[str, Any] = {
        "user": nodes.user_node[values(fit, "user", np.int32)],
        "item": nodes.item_node[values(fit, "item", np.int32)],
        "valid": values(fit, "stage", np.int8) == splits.VALID,
        "post": fit["text"] if "text" in fit.column_names else None,
    }
    weight = column(fit, "weight", np.float64)
    if time is not None:
        arrays["time"] = time
    if weight is not None:
        # what float32 cannot hold is as good as its largest number
        arrays["weight"] = np.minimum(weight, np.finfo(np.float32).max).astype(np.float32)
    return arrays


def post_arrays(events: pa.Table, nodes: Nodes, text: np.ndarray) -> Arrays:
    """Arrays of what was written in ``events``, and about which item, but not by whom.

    ``text`` int32 [events]: rows of the vectors, -1 none. Each text about an item once, at its
    earliest, sorted by time.
    """
    item = nodes.item_node[values(events, "item", np.int32)]
    valid = np.asarray(values(events, "stage", np.int8) == splits.VALID)
    time = column(events, "timestamp", np.int64)
    moment = np.zeros(len(events), np.int64) if time is None else time
    order = np.lexsort((moment, valid, text, item))
    order = order[text[order] >= 0]
    again = (np.diff(item[order]) == 0) & (np.diff(text[order]) == 0)
    first = order[np.append(True, ~again)[: len(order)]]
    first = first[np.argsort(moment[first], kind="stable")]
    arrays = {"post_item": item[first], "post_text": text[first], "post_valid": valid[first]}
    return arrays if time is None else {**arrays, "post_time": time[first]}


def target_arrays(
    coded: Coded,
    interactions: Mapping[str, np.ndarray],
    held: HeldPairs,
    nodes: Nodes,
    assignment: Assignment,
    cold: Cold | None,
    dropped: dict[str, int],
) -> Arrays:
    """New pairs of validation and test between known nodes, and who may be recommended.

    ``held``: the pairs of the ``interactions``. With ``cold``, whose past is hidden, also bool
    [nodes of its side]: who has none as validation begins, and as the test does.
    """
    valid = interactions["valid"]
    masks: Arrays = {}
    learnt = ~valid
    if cold is not None:
        test_cold = nodes.mask(cold.side, cold.test)
        masks = {
            "valid_cold": test_cold | nodes.mask(cold.side, cold.valid),
            "test_cold": test_cold,
        }
        learnt &= ~masks["valid_cold"][interactions[cold.side]]
    valid_pairs = held.pairs.where(held.any(valid) & ~held.any(learnt))
    valid_candidates = nodes.candidates & nodes.known_items
    user_known = nodes.known_users[valid_pairs.user]
    item_known = valid_candidates[valid_pairs.item]
    add_counts(
        dropped,
        {
            "validation pairs: of users not known by then": int((~user_known).sum()),
            "validation pairs: of items that are no candidates by then": int(
                (user_known & ~item_known).sum()
            ),
        },
    )
    valid_pairs = valid_pairs.where(user_known & item_known)
    test_pairs = _new_test_pairs(coded, held.pairs, nodes, assignment, dropped)
    return {
        "valid_user": valid_pairs.user,
        "valid_item": valid_pairs.item,
        "test_user": test_pairs.user,
        "test_item": test_pairs.item,
        "valid_candidates": valid_candidates,
        "test_candidates": nodes.candidates,
        **masks,
    }


def _new_test_pairs(
    coded: Coded,
    held: Pairs,
    nodes: Nodes,
    assignment: Assignment,
    dropped: dict[str, int],
) -> Pairs:
    """The pairs that the test asks for, of known nodes and not ``held`` before."""
    if assignment.kind == "given":
        user, item = coded.test
    else:
        rows = assignment.stage == splits.TEST
        user, item = (values(coded.events, side, np.int32)[rows] for side in ("user", "item"))
    # distinct before the unknown are counted
    asked = held_pairs(user, item, len(coded.users), len(coded.items)).pairs
    user, item = nodes.user_node[asked.user], nodes.item_node[asked.item]
    known = (user >= 0) & (item >= 0)
    n_items = len(nodes.items)
    keys = np.sort(pair_keys(user[known], item[known], n_items))
    earlier = pair_keys(held.user, held.item, n_items)
    place = np.minimum(np.searchsorted(earlier, keys), max(len(earlier) - 1, 0))
    new = earlier[place] != keys if len(earlier) else np.ones(len(keys), bool)
    add_counts(
        dropped,
        {
            "test pairs: of unknown users": int((user < 0).sum()),
            "test pairs: of unknown items": int(((user >= 0) & (item < 0)).sum()),
            "test pairs: already held": int((~new).sum()),
        },
    )
    return pairs_of_keys(keys[new], n_items)
