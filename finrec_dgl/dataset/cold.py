"""Holds out nodes altogether: items or users of whom nothing that happened is learnt from.

Two disjoint draws. What happened to the nodes of the test before the cut is taken away, as if they
had come with the cut; they keep what is known of them otherwise (profiles, ties). The nodes of
validation are hidden in the same way from training alone, so that validation asks what the test
asks; before the test they are as all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import DataError
from finrec_dgl.dataset.coding import Coded, marked
from finrec_dgl.dataset.columns import add_counts, filled, values
from finrec_dgl.dataset.ids import distinct, id_order, node_of
from finrec_dgl.dataset.snapshot import pair_keys
from finrec_dgl.dataset.splits import TRAIN, SplitOptions


@dataclass(frozen=True, eq=False)
class Cold:
    """Who of ``side`` (item or user) is held out, for ``test`` and for ``valid``: bool [ids]."""

    side: str
    test: np.ndarray
    valid: np.ndarray

    def among(self, events: pa.Table, split: str) -> np.ndarray:
        """bool [events]: those of nodes without a past as ``split`` (valid or test) begins.

        Those of the test have none as validation begins either.
        """
        out = self.test if split == "test" else self.test | self.valid
        found: np.ndarray = out[values(events, self.side, np.int32)]
        return found


def draw_cold(coded: Coded, events: pa.Table, options: SplitOptions) -> Cold | None:
    """Draw a share of the nodes, rounded, once for the test and once for validation.

    ``events``: all before the cut, with their stage. The test's are drawn among the nodes that have
    any, validation's among the rest of those that have any in training. A seed draws the same ids
    in whatever order the rows come. None where the split holds none out; raises DataError where a
    draw comes to nothing, or to all.
    """
    side, share = options.cold_side, options.cold_share
    if side is None:
        return None
    rng = np.random.default_rng(options.seed)
    ids, code = coded.ids(side), values(events, side, np.int32)
    test = _draw(ids, marked(code, len(ids)), side, share, rng)
    train = marked(code[values(events, "stage", np.int8) == TRAIN], len(ids))
    return Cold(side, test, _draw(ids, train & ~test, side, share, rng))


def without_cold(
    events: pa.Table, cold: Cold | None, dropped: dict[str, int]
) -> tuple[pa.Table, pa.Table]:
    """The ``events`` to learn from in the end, and those whose texts tell of their items alone.

    What was written about a held-out item is part of what is known of it, but not of who wrote it;
    nor is such a text where its writer posted it about another item too. Of a held-out user nothing
    is left.
    """
    none = events.slice(0, 0)
    if cold is None:
        return events, none
    gone = cold.among(events, "test")
    removed, left = events.filter(pa.array(gone)), events.filter(pa.array(~gone))
    add_counts(dropped, {f"interactions: of held-out {cold.side}s": len(removed)})
    if cold.side == "user" or "text" not in events.column_names:
        return left, none
    shared = _same_posts(left, removed)
    add_counts(dropped, {"texts: posted about held-out items too": int(shared.sum())})
    about = pa.concat_tables([removed, left.filter(pa.array(shared))])
    own = pc.if_else(pa.array(shared), pa.scalar(None, pa.string()), left["text"])
    return left.set_column(left.column_names.index("text"), "text", own), about


def _same_posts(events: pa.Table, others: pa.Table) -> np.ndarray:
    """bool [events]: those with the user and the text of one of ``others``."""
    texts = distinct(filled(others["text"])).drop_null()
    codes = [node_of(one["text"], texts) for one in (events, others)]
    keys, known = (
        pair_keys(values(one, "user", np.int32), code, len(texts))
        for one, code in zip((events, others), codes, strict=True)
    )
    return (codes[0] >= 0) & np.isin(keys, known[codes[1] >= 0])


def _draw(
    ids: pa.Array, present: np.ndarray, side: str, share: float, rng: np.random.Generator
) -> np.ndarray:
    """bool [ids]: a share of those ``present``."""
    numbers = np.flatnonzero(present)
    count = round(share * len(numbers))
    if not 0 < count < len(numbers):
        raise DataError(
            f"{len(numbers)} {side}s with interactions are too few to hold out a share of {share}",
            expected="enough for some that are held out and some that are not",
            mend="choose another cold_share, or another split",
        )
    numbers = numbers[id_order(ids.take(pa.array(numbers)))]
    return marked(numbers[rng.permutation(len(numbers))[:count]], len(ids))
