"""Layers of message passing: never a seed edge in them, in either direction."""

from concurrent.futures import ThreadPoolExecutor

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


def same(one, other):
    """Whether two samples are the same to the order of their nodes and edges."""
    return all(
        torch.equal(a.edges[relation].by_receiver.indptr, b.edges[relation].by_receiver.indptr)
        and torch.equal(a.edges[relation].source, b.edges[relation].source)
        for a, b in zip(one.layers, other.layers, strict=True)
        for relation in a.edges
    ) and all(torch.equal(one.inputs[name], other.inputs[name]) for name in NODE_TYPES)


def test_a_sample_follows_from_its_seed_alone():
    """Catches draws that depend on threads, on calls before, or on the relations beside."""
    graph, pairs = random_graph(8, users=200, items=60, edges=3000)
    exclude = torch.tensor([5, 2000, 5])
    ends = np.unique(pairs[exclude.numpy()], axis=0)
    seeds = {"user": torch.from_numpy(ends[:, 0]), "item": torch.from_numpy(ends[:, 1])}
    sampler = NeighborSampler(graph, [4, 4])
    one = sampler.sample(seeds, exclude, seed=3, threads=1)
    assert not same(one, sampler.sample(seeds, exclude, seed=4))
    assert not same(one, sampler.sample(seeds, seed=3))
    for threads in (2, 3):
        assert same(one, sampler.sample(seeds, exclude, seed=3, threads=threads))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: sampler.sample(seeds, exclude, seed=3), range(20)))
    assert all(same(one, other) for other in found)


def test_layers_draw_apart():
    """Catches a layer that sees the neighbours of the one before and no others."""
    graph = build_graph(1, 400, np.zeros(400, int), np.arange(400))
    seeds = {"user": torch.tensor([0]), "item": torch.zeros(0).long()}
    first, last = NeighborSampler(graph, [20, 20]).sample(seeds).layers
    mine = [set(one.edges[INTERACTED_BY].source[:20].tolist()) for one in (first, last)]
    assert len(mine[0] & mine[1]) < 10


def test_only_the_relations_asked_for_are_sampled():
    """Catches work on relations that carry no message."""
    graph, _ = random_graph(1)
    seeds = {"user": torch.arange(30), "item": torch.arange(20)}
    layer = NeighborSampler(graph, [2], (INTERACTS, INTERACTED_BY)).sample(seeds).layers[0]
    assert set(layer.edges) == {INTERACTS, INTERACTED_BY}


def test_what_is_silent_is_left_out_of_the_outermost_layer():
    """Catches senders that are drawn for nothing, and a relation that stays silent further in."""
    graph, _ = random_graph(1)
    seeds = {"user": torch.zeros(0).long(), "item": torch.arange(20)}
    whole = NeighborSampler(graph, [2, 2]).sample(seeds)
    outer, inner = NeighborSampler(graph, [2, 2], silent=[INTERACTS]).sample(seeds).layers
    assert not len(outer.edges[INTERACTS])
    assert outer.edges[INTERACTS].in_degree.shape == (outer.num_dst_nodes("item"),)
    assert outer.num_src_nodes("user") < whole.layers[0].num_src_nodes("user")
    for relation, edges in inner.edges.items():
        assert torch.equal(edges.source, whole.layers[1].edges[relation].source)


@pytest.mark.parametrize(
    ("user", "exclude", "words"),
    [
        ([1, 1], [0], "stands twice"),
        ([30], [0], "out of range"),
        ([-1], [0], "out of range"),
        ([1], [10_000], "out of range"),
        ([1], [-1], "out of range"),
    ],
)
def test_what_native_code_would_trip_over_is_refused(user, exclude, words):
    """Catches a read out of bounds, and a sampler that is of no use after it refused."""
    graph, _ = random_graph(2)
    sampler = NeighborSampler(graph, [3])
    good = {"user": torch.tensor([1]), "item": torch.tensor([2])}
    before = sampler.sample(good, torch.tensor([0]))
    with pytest.raises(UsageError, match=words):
        sampler.sample({**good, "user": torch.tensor(user)}, torch.tensor(exclude))
    assert same(before, sampler.sample(good, torch.tensor([0])))
