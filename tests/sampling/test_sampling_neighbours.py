"""Layers of message passing: never a seed edge in them, in either direction."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import pairs_of

from finrec_dgl.base.errors import UsageError
from finrec_dgl.graph import INTERACTED_BY, INTERACTS, NODE_TYPES, build_graph
from finrec_dgl.sampling import NeighborSampler, whole_graph


def random_graph(seed, users=30, items=20, edges=150):
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, [users, items], size=(edges, 2)), axis=0)
    ties = {"family": (rng.integers(0, users, 25), rng.integers(0, users, 25))}
    return build_graph(users, items, pairs[:, 0], pairs[:, 1], ties), pairs


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), fanout=st.sampled_from([-1, 1, 3, 10]))
def test_no_seed_edge_in_either_direction(seed, fanout):
    """The leak that makes a recommender look perfect: predicting an edge it can see."""
    graph, pairs = random_graph(seed)
    rng = np.random.default_rng(seed)
    edges = rng.choice(len(pairs), 20, replace=False)
    seeds = {
        "user": torch.from_numpy(np.unique(pairs[edges, 0])),
        "item": torch.from_numpy(np.unique(pairs[edges, 1])),
    }
    exclude = torch.from_numpy(edges)
    forbidden = {tuple(pair) for pair in pairs[edges].tolist()}
    sampled = NeighborSampler(graph, [fanout] * 3).sample(seeds, exclude)
    whole = whole_graph(graph, 3, exclude)
    for blocks in (sampled, whole):
        assert len(blocks.layers) == 3
        for layer in blocks.layers:
            for relation in (INTERACTS, INTERACTED_BY):
                assert not pairs_of(layer, relation, blocks.inputs) & forbidden
    rest = {tuple(pair) for pair in pairs.tolist()} - forbidden
    assert pairs_of(whole.layers[0], INTERACTS) == rest
    assert pairs_of(whole.layers[0], INTERACTED_BY) == rest


def test_full_fanout_takes_every_other_edge_of_the_seeds():
    """Catches exclusion that drops more than it should."""
    graph, pairs = random_graph(3)
    exclude = torch.arange(10)
    seeds = {
        "user": torch.from_numpy(np.unique(pairs[:10, 0])),
        "item": torch.from_numpy(np.unique(pairs[:10, 1])),
    }
    blocks = NeighborSampler(graph, [-1, -1]).sample(seeds, exclude)
    last = blocks.layers[-1]
    users, items = set(seeds["user"].tolist()), set(seeds["item"].tolist())
    rest = {tuple(pair) for pair in pairs[10:].tolist()}
    assert pairs_of(last, INTERACTED_BY, blocks.inputs) == {
        pair for pair in rest if pair[0] in users
    }
    assert pairs_of(last, INTERACTS, blocks.inputs) == {pair for pair in rest if pair[1] in items}


def test_layers_fit_together_and_fanout_is_kept():
    """Catches layers whose nodes do not line up, and more neighbours than asked for."""
    graph, _ = random_graph(5)
    seeds = {"user": torch.tensor([1, 4]), "item": torch.tensor([0, 3, 7])}
    blocks = NeighborSampler(graph, [2, 3]).sample(seeds)
    first, last = blocks.layers
    for name in NODE_TYPES:
        assert torch.equal(blocks.outputs[name], seeds[name])
        assert first.num_dst_nodes(name) == last.num_src_nodes(name)
        n_out = last.num_dst_nodes(name)
        assert torch.equal(blocks.inputs[name][:n_out], seeds[name])
    for relation in last.edges:
        assert last.edges[relation].in_degree.max() <= 2
        assert first.edges[relation].in_degree.max() <= 3


def test_seeds_without_any_neighbour():
    """Catches a sampler that loses isolated nodes."""
    graph = build_graph(3, 2, np.array([0]), np.array([0]))
    seeds = {"user": torch.tensor([1, 2]), "item": torch.tensor([1])}
    layer = NeighborSampler(graph, [5]).sample(seeds).layers[0]
    assert layer.num_dst_nodes("user") == 2
    assert len(layer.edges[INTERACTED_BY]) == 0


@pytest.mark.parametrize("fanouts", [[], [0], [5, -2]])
def test_bad_fanouts_are_refused(fanouts):
    """Catches fanouts that DGL would take to mean something else."""
    graph, _ = random_graph(0)
    with pytest.raises(UsageError, match="fanouts"):
        NeighborSampler(graph, fanouts)
