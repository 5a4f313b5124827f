"""The k-core against a loop that takes one node away at a time."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_worlds import CUT, NO_TEXT, make_tables, named_pairs, options
from hypothesis import given
from hypothesis import strategies as st

from finrec_dgl.base.errors import DataError
from finrec_dgl.dataset import build_dataset
from finrec_dgl.dataset.kcore import k_core


def brute_force(pairs: set, k: int) -> set:
    while True:
        for side in (0, 1):
            for node in {pair[side] for pair in pairs}:
                mine = {pair for pair in pairs if pair[side] == node}
                if len(mine) < k:
                    pairs = pairs - mine
                    break
            else:
                continue
            break
        else:
            return pairs


@given(
    st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=70),
    st.integers(1, 5),
)
def test_equals_taking_nodes_away_one_by_one(pairs, k):
    """Catches a single pass, and users or items that fall below k later."""
    ordered = sorted(pairs)
    user, item = (np.array(side) for side in zip(*ordered, strict=True))
    expected = brute_force(pairs, k)
    if not expected:
        with pytest.raises(DataError, match="empty"):
            k_core(user, item, k)
        return
    kept = k_core(user, item, k)
    assert {pair for pair, one in zip(ordered, kept, strict=True) if one} == expected


def test_the_core_is_of_pairs_before_the_cut(tmp_path):
    """Catches a core over all pairs, repeats that count twice, and nodes outside the core."""
    tables = make_tables(seed=2)
    dataset = build_dataset(tables, tmp_path / "out", options(k_core=4, encoder=NO_TEXT))
    rows = zip(
        *(tables.interactions[name].to_pylist() for name in ("user_id", "item_id", "timestamp")),
        strict=True,
    )
    expected = brute_force({row[:2] for row in rows if row[2] < CUT}, 4)
    assert expected
    assert named_pairs(dataset, dataset.snapshot("fit").pairs) == expected
    assert set(dataset.user_ids.to_pylist()) == {user for user, _ in expected}
    assert set(dataset.item_ids.to_pylist()) == {item for _, item in expected}
    for split, stage in (("valid", "train"), ("test", "fit")):
        base, targets = dataset.snapshot(stage).pairs, dataset.targets(split)
        assert set(targets.user.tolist()) <= set(base.user.tolist())
        assert set(targets.item.tolist()) <= set(base.item.tolist())
    assert dataset.manifest["dropped"]["interactions: outside the 4-core"] > 0
    assert dataset.manifest["dropped"]["ties: with a user who is left out"] > 0


def test_a_core_of_one_leaves_out_nodes_without_pairs(tmp_path):
    """Catches k_core=1 taken for no core at all."""
    tables = make_tables(events=60)
    whole = build_dataset(tables, tmp_path / "whole", options(encoder=NO_TEXT))
    core = build_dataset(tables, tmp_path / "core", options(k_core=1, encoder=NO_TEXT))
    fit = core.snapshot("fit").pairs
    assert len(fit) == len(whole.snapshot("fit").pairs)
    assert len(np.unique(fit.user)) == core.n_users < whole.n_users
    assert len(np.unique(fit.item)) == core.n_items
