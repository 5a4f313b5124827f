"""The temporal graph against loops over events: views of any time, prefixes, and no future."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.units import UNDATED
from finrec_dgl.graph import INTERACTED_BY, INTERACTS, EdgeEvents, TemporalGraph, reverse_of

USERS, ITEMS = 6, 5
SIZES = {"user": USERS, "item": ITEMS}
FAMILY = ("user", "family", "user")
TIMES = st.integers(0, 8) | st.just(UNDATED)
EVENTS = st.lists(
    st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), TIMES, st.integers(1, 9)),
    max_size=60,
)
TIES = st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, USERS - 1), TIMES), max_size=20)


def columns(rows, width):
    """The columns of ``rows``, int64 each."""
    return np.array(rows, np.int64).reshape(-1, width).T


def graph_of(events, ties=()):
    """Interactions (user, item, time, weight) and ties (source, target, time)."""
    user, item, time, weight = columns(events, 4)
    source, target, seen = columns(ties, 3)
    return TemporalGraph.from_events(
        SIZES,
        {
            INTERACTS: EdgeEvents.group(user, item, time, weight / 2),
            FAMILY: EdgeEvents.group(source, target, seen),
        },
    )


def by_loop(events, time):
    """(src, dst) -> first, last, count and weight of its events before ``time``."""
    found = {}
    for src, dst, when, *weight in events:
        if time is None or when < time:
            found.setdefault((src, dst), []).append((when, sum(weight) / 2))
    return {
        pair: (min(one)[0], max(one)[0], len(one), sum(weight for _, weight in one))
        for pair, one in found.items()
    }


def by_graph(src, dst, data):
    """The same of an edge list."""
    weight = np.zeros(len(data)) if data.weight is None else data.weight
    rows = zip(*(one.tolist() for one in (data.time, data.last, data.count, weight)), strict=True)
    return dict(zip(zip(src.tolist(), dst.tolist(), strict=True), rows, strict=True))


@given(EVENTS, TIES, st.none() | st.integers(-1, 10))
def test_a_view_is_what_happened_before(events, ties, time):
    """Catches an event of the very moment or later, one that is lost, a count, weight or date of
    another pair or time, and a reverse relation in another order."""
    graph = graph_of(events, ties)
    view = graph.view() if time is None else graph.as_of(time)
    for relation, rows in ((INTERACTS, events), (FAMILY, ties)):
        edges, back = view.edges(relation), view.edges(reverse_of(relation))
        expected = by_loop(rows, time)
        assert by_graph(edges.src, edges.dst, edges.data) == expected
        assert len(edges) == view.num_edges(relation) == view.num_edges(reverse_of(relation))
        assert np.array_equal(edges.src, back.dst)
        assert np.array_equal(edges.dst, back.src)
        assert np.array_equal(edges.data.edge, back.data.edge)
        pairs = list(zip(edges.src.tolist(), edges.dst.tolist(), strict=True))
        assert pairs == sorted(expected)


@given(EVENTS, TIES, st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, 9))))
def test_neighbors_at_times_of_their_own(events, ties, asked):
    """Catches a row that is read at the time of another row, and rows that may not repeat."""
    graph = graph_of(events, ties)
    users, times = columns(asked, 2)
    for relation, rows in ((INTERACTED_BY, events), (FAMILY, ties)):
        found = graph.view().neighbors(relation, users, times)
        assert len(found.indptr) == len(users) + 1
        for number, (user, time) in enumerate(asked):
            part = slice(*found.indptr[number : number + 2])
            turned = [(row[1], row[0], *row[2:]) for row in rows] if relation != FAMILY else rows
            expected = {pair: one for pair, one in by_loop(turned, time).items() if pair[1] == user}
            mine = [] if found.data.weight is None else found.data.weight[part].tolist()
            assert dict(zip(found.indices[part].tolist(), mine, strict=False)) == (
                {pair[0]: one[3] for pair, one in expected.items()} if mine else {}
            )
            seen = [found.data.time[part], found.data.last[part], found.data.count[part]]
            got = zip(found.indices[part].tolist(), *(one.tolist() for one in seen), strict=True)
            assert sorted(got) == sorted((pair[0], *one[:3]) for pair, one in expected.items())
            assert np.array_equal(np.sort(found.data.time[part]), found.data.time[part])


@given(EVENTS, TIES)
def test_every_row_is_sorted_by_time(events, ties):
    """Catches a relation whose graph as of a time is no prefix of its rows."""
    graph = graph_of(events, ties)
    for one in graph.relations.values():
        for row in range(one.n_dst):
            time = one.time[one.indptr[row] : one.indptr[row + 1]]
            assert np.array_equal(np.sort(time), time)
        assert one.indptr[-1] == len(one) == len(one.events)
        assert np.array_equal(np.sort(one.edge), np.arange(len(one)))
        dst = np.repeat(np.arange(one.n_dst), np.diff(one.indptr))
        src, other = one.src_dst(one.edge)
        assert np.array_equal(src, one.indices)
        assert np.array_equal(other, dst)
        for time in range(-1, 10):
            ends = one.ends(time)
            for row in range(one.n_dst):
                inside = one.time[one.indptr[row] : one.indptr[row + 1]]
                assert ends[row] - one.indptr[row] == np.sum(inside < time)


def test_a_view_shares_the_arrays_and_goes_back_only():
    """Catches a view that copies, and a view of a view that sees more than it."""
    graph = graph_of([(0, 1, 3, 1), (0, 2, 5, 1)])
    view = graph.as_of(4)
    assert view.graph is graph
    assert view.as_of(2).num_edges(INTERACTS) == 0
    with pytest.raises(UsageError, match="later than the graph's"):
        view.as_of(5)
    with pytest.raises(UsageError, match="later than the graph's"):
        view.neighbors(INTERACTED_BY, np.array([0]), np.array([5]))
    with pytest.raises(UsageError, match="out of range"):
        view.neighbors(INTERACTED_BY, np.array([-1]))
    with pytest.raises(UsageError, match="no relation"):
        view.edges(("user", "knows", "user"))


def test_what_does_not_fit_is_refused():
    """Catches a node that would read another one's memory, and an event after the graph's end."""
    events = {INTERACTS: EdgeEvents.group(np.array([0, 6]), np.array([0, 1]), np.array([1, 5]))}
    with pytest.raises(DataError, match="out of range"):
        TemporalGraph.from_events(SIZES, events)
    for wrong in ([0], [-1, 2], [0, 2**32]):
        with pytest.raises(DataError, match="shapes|out of range"):
            EdgeEvents.group(np.array([0, 1]), np.array(wrong))
    wide = {**SIZES, "user": 7}
    assert TemporalGraph.from_events(wide, events, 6).time == 6
    with pytest.raises(DataError, match="after the graph's end"):
        TemporalGraph.from_events(wide, events, 5)


def test_sums_are_not_rounded_by_other_pairs():
    """Catches weights that vanish beside large ones of another pair."""
    weight = np.array([1e12, 1e12, 1e-6, 2e-6])
    pair = np.array([0, 0, 1, 1])
    found = EdgeEvents.group(pair, pair, np.arange(4), weight)
    assert found.total.tolist() == [1e12, 2e12, 1e-6, 1e-6 + 2e-6]
    assert found.weights()[:3].tolist() == [1e12, 1e12, 1e-6]
