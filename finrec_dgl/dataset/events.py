"""Events to learn from and pairs to be found: assigned, cut to the core, numbered, sorted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from finrec_dgl.base.errors import UsageError
from finrec_dgl.dataset import splits
from finrec_dgl.dataset.cold import Cold
from finrec_dgl.dataset.columns import Arrays, add_counts, column
from finrec_dgl.dataset.ids import distinct, node_of, sort_ids
from finrec_dgl.dataset.kcore import k_core
from finrec_dgl.dataset.nodes import Nodes, mask_of
from finrec_dgl.dataset.snapshot import pair_keys, pairs_of_keys
from finrec_dgl.dataset.splits import Assignment, SplitOptions
from finrec_dgl.tables.contract import GivenSplit, Tables


def assign_events(tables: Tables, options: SplitOptions, given: GivenSplit | None) -> Assignment:
    """The stage of every interaction of ``tables``, by ``options`` or by the ``given`` split.

    Raises UsageError and DataError where the options do not fit the data.
    """
    table = tables.interactions
    time = column(table, "timestamp", np.int64)
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
    users, items = sort_ids(distinct(table["user_id"])), sort_ids(distinct(table["item_id"]))
    user, item = node_of(table["user_id"], users), node_of(table["item_id"], items)
    if kind == "last-out":
        return splits.last_out(user, item, time)
    if kind == "random":
        return splits.at_random(user, item, options.valid_share, options.test_share, options.seed)
    test_user = node_of(given.test["user_id"], users)  # type: ignore[union-attr]
    test_item = node_of(given.test["item_id"], items)  # type: ignore[union-attr]
    there = (test_user >= 0) & (test_item >= 0)
    is_test = np.isin(
        pair_keys(user, item, len(items)),
        pair_keys(test_user[there], test_item[there], len(items)),
    )
    return splits.given_undated(user, item, is_test, options.valid_share, options.seed)


def core_events(fit: pa.Table, k: int, dropped: dict[str, int]) -> pa.Table:
    """The events of the k-core's pairs."""
    if k == 0:
        return fit
    users, items = distinct(fit["user_id"]), distinct(fit["item_id"])
    keys, pair_of = np.unique(
        pair_keys(
            node_of(fit["user_id"], users),
            node_of(fit["item_id"], items),
            len(items),
        ),
        return_inverse=True,
    )
    pairs = pairs_of_keys(keys, len(items))
    kept = k_core(pairs.user, pairs.item, k)[pair_of]
    add_counts(dropped, {f"interactions: outside the {k}-core": int((~kept).sum())})
    return fit.filter(pa.array(kept))


def interaction_arrays(fit: pa.Table, nodes: Nodes) -> dict[str, Any]:
    """Arrays of the events to learn from, sorted by time, and their texts under ``post``."""
    time = column(fit, "timestamp", np.int64)
    if time is not None:
        order = np.argsort(time, kind="stable")
        fit, time = fit.take(pa.array(order)), time[order]
    arrays: dict[str, Any] = {
        "user": node_of(fit["user_id"], nodes.users),
        "item": node_of(fit["item_id"], nodes.items),
        "valid": column(fit, "stage", np.int8) == splits.VALID,
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
    item, valid = node_of(events["item_id"], nodes.items), column(events, "stage", np.int8)
    valid = np.asarray(valid == splits.VALID)
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
    tables: Tables,
    interactions: Mapping[str, np.ndarray],
    nodes: Nodes,
    assignment: Assignment,
    given: GivenSplit | None,
    cold: Cold | None,
    dropped: dict[str, int],
) -> Arrays:
    """New pairs of validation and test between known nodes, and who may be recommended.

    With ``cold``, whose past is hidden, also bool [nodes of its side]: who has none as validation
    begins, and as the test does.
    """
    n_items = len(nodes.items)
    keys = pair_keys(interactions["user"], interactions["item"], n_items)
    valid = interactions["valid"]
    masks: Arrays = {}
    learnt = ~valid
    if cold is not None:
        ids = nodes.of(cold.side)
        test_cold = mask_of(ids, cold.test)
        masks = {"valid_cold": test_cold | mask_of(ids, cold.valid), "test_cold": test_cold}
        learnt &= ~masks["valid_cold"][interactions[cold.side]]
    valid_pairs = pairs_of_keys(np.setdiff1d(keys[valid], keys[learnt]), n_items)
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
    keep = user_known & item_known
    valid_pairs = valid_pairs.where(keep)

    if given is None:
        asked = tables.interactions.filter(pa.array(assignment.stage == splits.TEST))
    else:
        asked = given.test
    asked = asked.group_by(["user_id", "item_id"]).aggregate([])
    user = node_of(asked["user_id"], nodes.users)
    item = node_of(asked["item_id"], nodes.items)
    known = (user >= 0) & (item >= 0)
    test_keys = np.sort(pair_keys(user[known], item[known], n_items))
    new = ~np.isin(test_keys, keys)
    add_counts(
        dropped,
        {
            "test pairs: of unknown users": int((user < 0).sum()),
            "test pairs: of unknown items": int(((user >= 0) & (item < 0)).sum()),
            "test pairs: already held": int((~new).sum()),
        },
    )
    test_pairs = pairs_of_keys(test_keys[new], n_items)
    return {
        "valid_user": valid_pairs.user,
        "valid_item": valid_pairs.item,
        "test_user": test_pairs.user,
        "test_item": test_pairs.item,
        "valid_candidates": valid_candidates,
        "test_candidates": nodes.candidates,
        **masks,
    }
