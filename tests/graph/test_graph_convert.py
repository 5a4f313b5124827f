"""Temporal graphs to DGL and PyTorch Geometric and back: the same edges and data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from test_graph_temporal import EVENTS, FAMILY, TIES, columns, graph_of

from finrec_dgl.base.errors import DataError, FinrecError
from finrec_dgl.base.units import UNDATED
from finrec_dgl.graph import (
    INTERACTED_BY,
    INTERACTS,
    EdgeEvents,
    TemporalGraph,
    convert,
    from_dgl,
    from_pyg,
    reverse_of,
)
from finrec_dgl.graph.backend import dgl
from finrec_dgl.graph.convert import FixedNodes

ROWS = [(0, 1, 3, 2), (0, 1, 5, 4), (2, 1, 4, 1), (2, 3, UNDATED, 6), (5, 0, 3, 2)]
KINSHIP = [(0, 2, 1), (2, 0, 4), (3, 5, UNDATED)]


def with_nodes(graph):
    """``graph`` with texts and categories that differ from node to node."""
    text = np.arange(24, dtype=np.float32).reshape(6, 4)
    codes = np.array([0, -1, 2, 1, 1, 0], np.int32)
    nodes = FixedNodes({"user": {"text": text, "category.segment": codes}})
    return TemporalGraph(graph.num_nodes, graph.relations, graph.time, nodes)


def same(one, other):
    """Two temporal graphs hold the same arrays."""
    assert dict(one.num_nodes) == dict(other.num_nodes)
    assert set(one.relations) == set(other.relations)
    for relation, mine in one.relations.items():
        theirs = other.relations[relation]
        for name in ("indptr", "indices", "time", "edge"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), (relation, name)
        for name in ("src", "dst", "ptr", "time"):
            mine_, theirs_ = (getattr(each.events, name) for each in (mine, theirs))
            assert np.array_equal(mine_, theirs_), (relation, name)
        assert (mine.events.total is None) == (theirs.events.total is None)
        if mine.events.total is not None:
            assert np.array_equal(mine.events.total, theirs.events.total)
        assert mine.reverse == theirs.reverse
    for name in one.num_nodes:
        mine, theirs = one.view().text(name), other.view().text(name)
        assert (mine is None and theirs is None) or np.array_equal(mine, theirs)
        mine, theirs = one.view().categories(name), other.view().categories(name)
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(mine[column], theirs[column]) for column in mine)


@pytest.mark.parametrize("time", [None, 4])
def test_a_dgl_graph_has_the_edges_and_data_of_the_view(time):
    """Catches edges in another order than their reverse, and data of a later time."""
    graph = with_nodes(graph_of(ROWS, KINSHIP))
    view = graph.view() if time is None else graph.as_of(time)
    made = graph.to_dgl() if time is None else view.to_dgl()
    assert isinstance(made, dgl.DGLGraph)
    assert set(made.canonical_etypes) == set(graph.canonical_etypes)
    assert {name: made.num_nodes(name) for name in made.ntypes} == dict(graph.num_nodes)
    for relation in made.canonical_etypes:
        src, dst = made.edges(etype=relation, order="eid")
        edges = view.edges(relation)
        assert np.array_equal(src.numpy(), edges.src)
        assert np.array_equal(dst.numpy(), edges.dst)
        data = made.edges[relation].data
        assert set(data) == {"time", "last", "count"} | (
            set() if relation[1].startswith("family") else {"weight"}
        )
        for name, values in data.items():
            assert np.array_equal(values.numpy(), getattr(edges.data, name))
        back = made.edges(etype=reverse_of(relation), order="eid") if "by" not in relation[1] else 0
        assert not back or (torch.equal(back[0], dst) and torch.equal(back[1], src))
    assert np.array_equal(made.nodes["user"].data["text"].numpy(), view.text("user"))
    assert made.nodes["user"].data["category.segment"].tolist() == [0, -1, 2, 1, 1, 0]
    assert not made.nodes["item"].data
    assert "text" not in graph.to_dgl(node_data=False).nodes["user"].data


@given(EVENTS, TIES)
@settings(max_examples=25)
def test_dgl_and_back_is_the_same_graph(events, ties):
    """Catches events, dates, weights or nodes that are lost on the way through DGL."""
    graph = with_nodes(graph_of(events, ties))
    same(graph, from_dgl(graph.to_dgl(events=True)))


@given(EVENTS, TIES)
@settings(max_examples=25)
def test_pyg_and_back_is_the_same_graph(events, ties):
    """Catches events, dates, weights or nodes that are lost on the way through PyG."""
    pytest.importorskip("torch_geometric")
    graph = with_nodes(graph_of(events, ties))
    same(graph, from_pyg(graph.to_pyg(events=True)))


def test_pyg_data_is_valid_and_has_the_edges_of_the_view():
    """Catches an edge index of another shape or type than PyG's layers take."""
    geometric = pytest.importorskip("torch_geometric.data")
    graph = with_nodes(graph_of(ROWS, KINSHIP))
    for view in (graph, graph.as_of(4)):
        made = view.to_pyg()
        assert isinstance(made, geometric.HeteroData)
        assert made.validate()
        assert set(made.edge_types) == set(graph.canonical_etypes)
        for relation in graph.canonical_etypes:
            edges = (graph.view() if view is graph else view).edges(relation)
            index = made[relation].edge_index
            assert index.dtype == torch.int64
            assert index.tolist() == [edges.src.tolist(), edges.dst.tolist()]
            assert made[relation].time.tolist() == edges.data.time.tolist()
        assert made["user"].text.shape == (6, 4)


def test_without_repeats_a_graph_needs_no_events():
    """Catches a graph of one event a pair that is refused on its way back."""
    rows = [row for row in ROWS if row[2] != 5]
    graph = with_nodes(graph_of(rows, KINSHIP))
    same(graph, TemporalGraph.from_dgl(graph.to_dgl()))
    same(graph, TemporalGraph.from_pyg(graph.to_pyg()))


def test_a_graph_of_others_is_taken():
    """Catches names, types or a missing reverse that only our own graphs have."""
    ends = (torch.tensor([0, 2, 0]), torch.tensor([1, 0, 1]))
    made = dgl.heterograph({INTERACTS: ends}, {"user": 3, "item": 2}, idtype=torch.int64)
    found = from_dgl(made)
    assert found.canonical_etypes == [INTERACTS, INTERACTED_BY]
    edges = found.view().edges(INTERACTS)
    assert edges.data.count.tolist() == [2, 1]
    assert edges.data.time.tolist() == [UNDATED] * 2
    assert found.view().text("user") is None


def test_what_would_lose_something_is_refused():
    """Catches a history that is made up, and a reverse that is not one."""
    graph = graph_of(ROWS, KINSHIP)
    with pytest.raises(DataError, match="stand for several events"):
        from_dgl(graph.to_dgl())
    one, other = torch.tensor([0, 1]), torch.tensor([1, 1])
    odd = {INTERACTS: (one, other), INTERACTED_BY: (one, other)}
    with pytest.raises(DataError, match="has other edges"):
        from_dgl(dgl.heterograph(odd, {"user": 2, "item": 2}))


def test_a_missing_pyg_is_named(monkeypatch):
    """Catches a traceback of an import where one sentence would do."""
    monkeypatch.setattr(convert.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FinrecError, match=r"torch_geometric.*\n.*finrec-dgl\[pyg\]"):
        graph_of(ROWS).to_pyg()


def test_writing_into_a_dgl_graph_leaves_the_graph_alone():
    """Catches memory that both stand on."""
    user, item, time, _ = columns(ROWS, 4)
    graph = TemporalGraph.from_events(
        {"user": 6, "item": 5}, {FAMILY: EdgeEvents.group(user, item, time)}
    )
    made = graph.to_dgl()
    made.edges[FAMILY].data["time"][:] = 0
    assert UNDATED in graph.view().edges(FAMILY).data.time
