"""The two streams: mixing of relations, graph convolution, layers that fit sampled blocks."""

import dataclasses

import numpy as np
import pytest
import torch
from snapshots import make_snapshot

from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import features_of
from finrec_dgl.nn.streams import AttentionLayer, RelationMixer, StreamTwo, convolve
from finrec_dgl.sampling import NeighborSampler, whole_graph


def test_mixer_ignores_relations_without_neighbours():
    """Catches an empty relation that takes weight from the others."""
    torch.manual_seed(0)
    mixer = RelationMixer(4, 3)
    outputs = torch.randn(3, 5, 4)
    present = torch.tensor([[1, 1, 0, 0, 1], [1, 0, 1, 0, 1], [1, 0, 0, 0, 0]]).bool()
    mixed = mixer(outputs * present.unsqueeze(-1), present)
    torch.testing.assert_close(mixed[1], outputs[0, 1])
    torch.testing.assert_close(mixed[2], outputs[1, 2])
    assert not mixed[3].any()
    weights = torch.softmax(
        torch.tanh(mixer.transform(outputs[:, 0]) + mixer.bias) @ mixer.query, dim=0
    )
    torch.testing.assert_close(mixed[0], weights @ outputs[:, 0])


def test_convolution_is_lightgcns():
    """Catches a wrong normalisation: D_u^-1/2 X D_i^-1/2, both ways."""
    snapshot = make_snapshot()
    degree = features_of(snapshot, dtype=torch.float64).degree
    states = {name: torch.randn(len(degree[name]), 3, dtype=torch.float64) for name in NODE_TYPES}
    out = convolve(snapshot.graph(), states, degree)
    matrix = torch.from_numpy(snapshot.matrix().toarray()).double()
    d_user, d_item = matrix.sum(1), matrix.sum(0)
    normal = matrix / d_user.clamp(min=1).sqrt()[:, None] / d_item.clamp(min=1).sqrt()[None]
    torch.testing.assert_close(out["user"], normal @ states["item"])
    torch.testing.assert_close(out["item"], normal.T @ states["user"])


def test_sampled_convolution_is_unbiased():
    """Catches an estimate that shrinks with the fanout."""
    snapshot = make_snapshot(users=12, items=8, edges=90)
    degree = features_of(snapshot, dtype=torch.float64).degree
    states = {name: torch.rand(len(degree[name]), 1, dtype=torch.float64) for name in NODE_TYPES}
    exact = convolve(snapshot.graph(), states, degree)
    seeds = {"user": torch.arange(12), "item": torch.arange(8)}
    sampler = NeighborSampler(snapshot.graph(), [2])
    sums = {name: torch.zeros_like(exact[name]) for name in NODE_TYPES}
    draws = 1500
    for draw in range(draws):
        blocks = sampler.sample(seeds, seed=draw)
        picked = {name: states[name][blocks.inputs[name]] for name in NODE_TYPES}
        degrees = {name: degree[name][blocks.inputs[name]] for name in NODE_TYPES}
        out = convolve(blocks.layers[0], picked, degrees)
        for name in NODE_TYPES:
            sums[name] += out[name]
    for name in NODE_TYPES:
        torch.testing.assert_close(sums[name] / draws, exact[name], rtol=0.06, atol=0.02)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_stream_two_equals_the_formula(layers):
    """Catches lost layer weights or powers of the degree."""
    snapshot = make_snapshot(1)
    features = features_of(snapshot, dtype=torch.float64)
    torch.manual_seed(0)
    stream = StreamTwo(dim=4, layers=layers, fusion="graph").double()
    with torch.no_grad():
        stream.weight.uniform_(0.2, 1)
    states = {
        name: torch.randn(len(features.degree[name]), 4, dtype=torch.float64) for name in NODE_TYPES
    }
    blocks = whole_graph(snapshot.graph(), layers)
    given = features.degree, features.activity
    out = stream(blocks.layers, states, features.has_text, states, *given)
    matrix = snapshot.matrix().toarray().astype(np.float64)
    d = {"user": matrix.sum(1).clip(1), "item": matrix.sum(0).clip(1)}
    a = {"user": matrix.sum(1).clip(0.5), "item": matrix.sum(0).clip(0.5)}
    normal = torch.from_numpy(matrix / np.sqrt(d["user"])[:, None] / np.sqrt(d["item"])[None])
    user, item = states["user"], states["item"]
    total_user, total_item = user * stream.weight[0], item * stream.weight[0]
    for number in range(1, layers + 1):
        user, item = normal @ item, normal.T @ user
        total_user = total_user + user * stream.weight[number]
        total_item = total_item + item * stream.weight[number]
    for name, total in (("user", total_user), ("item", total_item)):
        scale = torch.from_numpy(a[name]) ** stream.power[name]
        torch.testing.assert_close(out[name], total * scale[:, None])


def test_activity_halves_with_age():
    """Catches a kernel in the wrong unit, or one that looks past the snapshot."""
    snapshot = make_snapshot()
    snapshot = dataclasses.replace(
        snapshot, time=200 * 86_400, last=snapshot.last * 0 + 190 * 86_400
    )
    found = features_of(snapshot, half_life=10.0)
    torch.testing.assert_close(found.activity["item"], found.degree["item"] / 2 + 0.5)
    assert torch.equal(found.activity["user"], found.degree["user"])
    plain = features_of(snapshot)
    assert torch.equal(plain.activity["item"], plain.degree["item"])


@pytest.mark.parametrize("kernels", ["auto", "dgl"])
@pytest.mark.parametrize(("dim", "fusion"), [(32, "gate"), (32, "sum"), (12, "gate")])
@pytest.mark.parametrize(("last", "dropout"), [(True, 0.0), (False, 0.0), (True, 0.4)])
def test_a_layer_gives_the_same_by_any_kernels(kernels, dim, fusion, last, dropout):
    """Catches a fast path whose numbers, draws or gradients are its own."""
    snapshot = make_snapshot(users=40, items=25, edges=300)
    graph = snapshot.graph()
    relations = graph.canonical_etypes
    text, states = (
        {
            name: torch.randn(graph.num_nodes(name), dim, dtype=torch.float64, requires_grad=True)
            for name in NODE_TYPES
        }
        for _ in range(2)
    )
    has_text = {name: torch.rand(len(one)) < 0.7 for name, one in states.items()}
    found = []
    for side in (kernels, "torch"):
        torch.manual_seed(3)
        layer = AttentionLayer(
            relations,
            dim,
            4,
            fusion,
            dropout=0.0,
            attention_dropout=dropout,
            last=last,
            kernels=side,
        ).double()
        for mixer in layer.mixers.values():
            if mixer.relations > 1:
                torch.nn.init.normal_(mixer.bias)
        out = layer(graph, text, has_text, states)
        total = sum((one * torch.linspace(-1, 1, dim)).sum() for one in out.values())
        wanted = [*text.values(), *states.values(), *layer.parameters()]
        found.append((*out.values(), *torch.autograd.grad(total, wanted)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
