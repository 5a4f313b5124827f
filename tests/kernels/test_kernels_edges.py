"""The orders of a relation's edges, and that they are made once for each graph."""

import gc
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_relations import needs_native, random_edges, relations

from finrec_dgl.base.errors import UsageError
from finrec_dgl.graph import INTERACTED_BY, INTERACTS, build_graph
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels import Edges, relation_edges
from finrec_dgl.kernels import edges as module


def anew(edges):
    """The same edges, of which nothing was made yet."""
    return Edges(edges.n_src, edges.n_dst, edges.source, edges.target)


def same_rows(one, other):
    return torch.equal(one.indptr, other.indptr) and torch.equal(one.indices, other.indices)


@settings(max_examples=40, deadline=None)
@given(edges=relations)
def test_compressed_edges_are_the_edges(edges):
    """Catches an edge lost or doubled on the way into either order."""
    ones = np.ones(len(edges))
    both = edges.source.numpy(), edges.target.numpy()
    plain = sp.coo_array((ones, both), shape=(edges.n_src, edges.n_dst)).toarray()
    for rows, expected in ((edges.by_receiver, plain.T), (edges.by_sender, plain)):
        found = np.zeros_like(expected)
        indptr, indices = rows.indptr.numpy(), rows.indices.numpy()
        for i in range(len(expected)):
            mine = indices[indptr[i] : indptr[i + 1]]
            assert (np.diff(mine) >= 0).all()
            np.add.at(found[i], mine, 1)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(edges.in_degree, plain.sum(0))


@needs_native
@settings(max_examples=40, deadline=None)
@given(edges=relations, share=st.sampled_from([0.0, 0.1, 0.5, 1.0]), seed=st.integers(0, 99))
def test_edges_are_left_out_as_if_they_had_never_been(edges, share, seed):
    """Catches a seed edge that stays in, or another that goes, in either order, by either way."""
    gone = np.random.default_rng(seed).random(len(edges)) < share
    kept = torch.from_numpy(~gone)
    expected = Edges(edges.n_src, edges.n_dst, edges.source[kept], edges.target[kept])
    plain = anew(edges)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "native_for", lambda *tensors: False)
        found = [plain.without(torch.from_numpy(np.flatnonzero(gone)))]
    # twice, as an interaction may be the seed of two rows
    found.append(anew(edges).without(torch.from_numpy(np.repeat(np.flatnonzero(gone), 2))))
    for one in found:
        assert len(one) == len(expected)
        assert same_rows(one.by_receiver, expected.by_receiver)
        assert same_rows(one.by_sender, expected.by_sender)
        assert torch.equal(one.in_degree, expected.in_degree)
        pairs = [
            sorted(zip(e.source.tolist(), e.target.tolist(), strict=True)) for e in (one, expected)
        ]
        assert pairs[0] == pairs[1]
        assert one.graph.num_edges() == len(expected)
    again = found[0].without(torch.arange(len(found[0])))
    assert len(again) == 0


def test_an_edge_that_is_not_there_cannot_be_left_out():
    """Catches a number read past the end, and a negative one taken from the end."""
    edges = random_edges(5, 4, 10)
    for ids in ([10], [-1]):
        with pytest.raises(UsageError, match="out of range"):
            edges.without(torch.tensor(ids))


def test_edges_are_made_once_for_each_graph_and_go_with_it():
    """Catches a conversion at every call, and graphs that are kept for ever."""
    graph = build_graph(4, 3, np.array([0, 1, 3]), np.array([2, 2, 0]))
    edges = relation_edges(graph, INTERACTS)
    assert relation_edges(graph, INTERACTS) is edges
    assert relation_edges(graph, INTERACTED_BY) is not edges
    assert (edges.n_src, edges.n_dst) == (4, 3)
    assert edges.source.tolist() == [0, 1, 3]
    assert edges.target.tolist() == [2, 2, 0]
    assert edges.in_degree.tolist() == [1, 0, 2]
    gone = weakref.ref(edges)
    del edges, graph
    gc.collect()
    assert gone() is None


def test_compact_edges_join_the_same_nodes():
    """Catches numbers mixed up where a relation is reduced to the nodes that take part in it."""
    edges = random_edges(200, 300, 20)
    small, senders, receivers = edges.compact
    assert small.n_src == len(set(edges.source.tolist())) == len(senders)
    assert torch.equal(senders[small.source.long()], edges.source.long())
    assert torch.equal(receivers[small.target.long()], edges.target.long())


@pytest.mark.parametrize(
    ("source", "target"),
    [([0, 4], [0, 0]), ([0, -1], [0, 0]), ([0, 1], [0, 3]), ([0, 1], [0])],
)
def test_edges_that_native_code_would_trip_over_are_refused(source, target):
    """Catches a read out of bounds."""
    with pytest.raises(UsageError, match="expected"):
        Edges(4, 3, torch.tensor(source).int(), torch.tensor(target).int())
    with pytest.raises(UsageError, match="int32"):
        Edges(4, 3, torch.tensor([0]), torch.tensor([0]))


@settings(max_examples=20, deadline=None)
@given(edges=relations, numbered=st.booleans())
def test_a_graph_given_compressed_is_not_sorted_anew(edges, numbered):
    """Catches edges sorted again, or numbered otherwise than the graph numbers them."""
    rows, made = anew(edges).by_receiver, torch.Generator().manual_seed(0)
    ids = torch.randperm(len(edges), generator=made) if numbered else []
    # a graph has one kind of node where it is made of rows alone: as many as there are of either
    n = max(edges.n_src, edges.n_dst)
    at = torch.cat([rows.indptr, rows.indptr[-1].expand(n - edges.n_dst)]).long()
    graph = dgl.graph(("csc", (at, rows.indices.long(), ids)), num_nodes=n)
    found = relation_edges(graph)
    source, target = graph.edges(order="eid")
    assert torch.equal(found.source, source.int())
    assert torch.equal(found.target, target.int())
    if not numbered:
        assert torch.equal(found.by_receiver.indices, rows.indices)
        assert "by_receiver" in vars(found)
