"""The graph from arrays: relations, reverses in the same order, isolated nodes."""

import numpy as np
import pytest
import torch

from finrec_dgl.base.errors import DataError
from finrec_dgl.graph import (
    INTERACTED_BY,
    INTERACTS,
    build_graph,
    tie_relations,
)

TIES = {"family": (np.array([0, 1]), np.array([2, 0])), "colleague": (np.array([3]), np.array([1]))}


def small():
    return build_graph(5, 4, np.array([0, 0, 1, 3]), np.array([2, 1, 1, 0]), TIES)


def test_relations_and_sizes():
    """Catches a missing reverse or nodes lost because they have no edge."""
    graph = small()
    assert graph.idtype == torch.int32
    assert graph.num_nodes("user") == 5
    assert graph.num_nodes("item") == 4
    expected = {INTERACTS: 4, INTERACTED_BY: 4}
    for kind, count in (("family", 2), ("colleague", 1)):
        forward, backward = tie_relations(kind)
        expected |= {forward: count, backward: count}
    assert {one: graph.num_edges(one) for one in graph.canonical_etypes} == expected


def test_reverse_edges_stand_in_the_same_order():
    """Another order would make exclusion of the reverse edges exclude others, and leak."""
    graph = small()
    for forward, backward in ((INTERACTS, INTERACTED_BY), tie_relations("family")):
        source, target = graph.edges(etype=forward, order="eid")
        back_source, back_target = graph.edges(etype=backward, order="eid")
        assert torch.equal(source, back_target)
        assert torch.equal(target, back_source)


def test_index_out_of_range_is_refused():
    """Catches an index that would read another node's memory."""
    with pytest.raises(DataError, match="out of range"):
        build_graph(2, 2, np.array([0, 2]), np.array([0, 1]))
    with pytest.raises(DataError, match="out of range"):
        build_graph(2, 2, np.array([0]), np.array([1]), {"t": (np.array([-1]), np.array([0]))})
