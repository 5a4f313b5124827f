"""The temporal graph of a data set against its snapshots of the same times."""

from __future__ import annotations

import dataclasses
import tempfile

import numpy as np
import pytest
from dataset_worlds import (
    CUT,
    CUT_DAY,
    DATES,
    DAY,
    NO_TEXT,
    START,
    day,
    interactions,
    make_tables,
    options,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from finrec_dgl.base.errors import UsageError
from finrec_dgl.dataset import SplitOptions, build_dataset
from finrec_dgl.dataset.splits import iso
from finrec_dgl.graph import INTERACTS, tie_relations
from finrec_dgl.tables import Tables


def same(view, snapshot):
    """Everything of a view equals the snapshot: pairs, counts, dates, ties and nodes."""
    edges = view.edges(INTERACTS)
    assert np.array_equal(edges.src, snapshot.pairs.user)
    assert np.array_equal(edges.dst, snapshot.pairs.item)
    assert np.array_equal(edges.data.count, snapshot.count)
    if snapshot.last is not None:
        assert np.array_equal(edges.data.last, snapshot.last)
    assert len(view.canonical_etypes) == 2 + 2 * len(snapshot.ties)
    for kind, (source, target) in snapshot.ties.items():
        ties = view.edges(tie_relations(kind)[0])
        assert set(zip(ties.src.tolist(), ties.dst.tolist(), strict=True)) == set(
            zip(source.tolist(), target.tolist(), strict=True)
        )
    for name in ("user", "item"):
        assert np.array_equal(view.text(name), getattr(snapshot, f"{name}_text"))
        mine, theirs = view.categories(name), getattr(snapshot, f"{name}_categories")
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(mine[column], theirs[column]) for column in mine)


@pytest.mark.parametrize("seed", range(3))
def test_a_view_equals_the_snapshot_of_its_time(tmp_path, seed):
    """Catches anything that a view sees and a snapshot does not, or the other way round."""
    tables = make_tables(seed, users=12, items=8, events=400)
    events = tables.interactions
    # whole days, so that many events are of one time and many times are an event's
    time = START + (events["timestamp"].to_numpy() - START) // DAY * DAY
    events = events.set_column(events.column_names.index("timestamp"), "timestamp", [time])
    tables = dataclasses.replace(tables, interactions=events)
    dataset = build_dataset(tables, tmp_path / "out", options())
    graph = dataset.graph()
    assert dataset.graph() is graph
    assert graph.time == CUT
    same(graph.view(), dataset.snapshot("fit"))
    for number in (0, 0.5, 7, 30, 30.1, 59, CUT_DAY):
        same(graph.as_of(day(number)), dataset.as_of(day(number)))
    with pytest.raises(UsageError, match="later than the graph's"):
        graph.as_of(CUT + 1)


ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 7)), max_size=40)


@given(ROWS)
@settings(max_examples=25)
def test_a_view_equals_the_snapshot_of_any_table(rows):
    """Catches pairs, counts or dates that differ where events repeat at equal times."""
    # who and what is known before the cut, and one event of validation and of the test each
    rows = [(0, 0, 0), *rows, (0, 0, 8), (0, 0, 9)]
    table = interactions([(f"u{user}", f"i{item}", when) for user, item, when in rows])
    split = SplitOptions(kind="temporal", cut=iso(day(9)), valid_cut=iso(day(8)))
    with tempfile.TemporaryDirectory() as place:
        tables = Tables(interactions=table)
        dataset = build_dataset(tables, f"{place}/out", options(split=split, encoder=NO_TEXT))
        for when in range(10):
            same(dataset.graph().as_of(day(when)), dataset.as_of(day(when)))


def test_weights_are_summed_to_the_time(tmp_path):
    """Catches weights of later events, or of another pair."""
    dataset = build_dataset(make_tables(events=500, users=6, items=5), tmp_path / "a", options())
    one, view = dataset.interactions, dataset.graph().as_of(day(40))
    early = one.time < day(40)
    table = np.zeros((dataset.n_users, dataset.n_items))
    np.add.at(table, (one.user[early], one.item[early]), one.weight[early])
    edges = view.edges(INTERACTS)
    np.testing.assert_allclose(edges.data.weight, table[edges.src, edges.dst], rtol=1e-6)
    assert edges.data.count.sum() == early.sum()


@pytest.mark.parametrize("split", ["random", "cold-items"])
def test_other_splits_have_their_graph_too(tmp_path, split):
    """Catches a graph of undated tables, or of held-out items, that differs from the snapshot."""
    dated = split == "cold-items"
    chosen = dataclasses.replace(DATES, kind=split) if dated else SplitOptions(kind=split)
    dataset = build_dataset(make_tables(dated=dated), tmp_path / "out", options(split=chosen))
    same(dataset.graph().view(), dataset.snapshot("fit"))
    if dated:
        same(dataset.graph().as_of(day(30)), dataset.as_of(day(30)))
