"""The message functions against plain loops over edges, and against DGL's own GATConv."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from finrec_dgl.graph import INTERACTS, build_graph
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels import attend, relation_edges
from finrec_dgl.nn.attention import RelationAttention
from finrec_dgl.nn.config import FUSIONS

HEADS, DIM = 2, 6


def relation(seed=0, users=7, items=5, edges=18):
    """Edges of one relation with isolated nodes on both sides."""
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, [users - 1, items - 1], size=(edges, 2)), axis=0)
    graph = build_graph(users, items, pairs[:, 0], pairs[:, 1])
    return relation_edges(graph, INTERACTS), pairs


def plain_attention(pairs, n_dst, score_src, score_dst, value):
    """The formula, edge by edge."""
    rows = []
    for i in range(n_dst):
        senders = [int(j) for j, k in pairs if k == i]
        if not senders:
            rows.append(torch.zeros_like(value[0]))
            continue
        logits = torch.stack(
            [functional.leaky_relu(score_src[j] + score_dst[i], 0.2) for j in senders]
        )
        alpha = torch.softmax(logits, dim=0)
        rows.append(sum(alpha[n].unsqueeze(-1) * value[j] for n, j in enumerate(senders)))
    return torch.stack(rows)


def test_attend_equals_the_plain_formula_with_gradients():
    """Catches any error in softmax, sum or their gradients, in float64."""
    edges, pairs = relation()
    torch.manual_seed(0)
    inputs = [
        torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        for shape in ((7, HEADS), (5, HEADS), (7, HEADS, 3))
    ]
    ours = attend(edges, *inputs)
    plain = plain_attention(pairs, 5, *inputs)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(plain)
    for one, other in zip(
        torch.autograd.grad((ours * weight).sum(), inputs),
        torch.autograd.grad((plain * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_message_function_equals_the_plain_formula_with_gradients(fusion):
    """Catches a gate on the wrong end, a missing weight, or a wrong gradient, in float64."""
    edges, pairs = relation(1)
    torch.manual_seed(1)
    layer = RelationAttention(DIM, HEADS, fusion).double()
    text, h_src, h_dst = (
        torch.randn(n, DIM, dtype=torch.float64, requires_grad=True) for n in (7, 7, 5)
    )
    has_text = torch.tensor([True, False, True, True, True, False, True])
    ours = layer(edges, text, has_text, h_src, h_dst)

    def value(j):
        f = layer.fusion
        if fusion == "concat":
            return f.joint.weight @ torch.cat([text[j], h_src[j]])
        if fusion == "text":
            return f.text.weight @ text[j]
        if fusion == "graph":
            return f.graph.weight @ h_src[j]
        from_text, from_graph = f.text.weight @ text[j], f.graph.weight @ h_src[j]
        if fusion == "sum":
            return from_text + from_graph
        gate = torch.sigmoid(
            f.gate_weight.weight @ torch.cat([text[j], h_src[j]]) + f.gate_weight.bias
        ) * float(has_text[j])
        return gate * from_text + (1 - gate) * from_graph

    values = torch.stack([value(j) for j in range(7)]).view(7, HEADS, -1)
    receivers = torch.stack([layer.receiver.weight @ h_dst[i] for i in range(5)])
    plain = plain_attention(
        pairs,
        5,
        (values * layer.attend_src).sum(-1),
        (receivers.view(5, HEADS, -1) * layer.attend_dst).sum(-1),
        values,
    ).flatten(1)
    torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-12)
    weight = torch.randn_like(plain)
    inputs = [text, h_src, h_dst, *layer.parameters()]
    grads = [
        torch.autograd.grad((out * weight).sum(), inputs, allow_unused=True, retain_graph=True)
        for out in (ours, plain)
    ]
    for one, other in zip(*grads, strict=True):
        if one is None or other is None:
            assert one is None or not one.any()
            assert other is None or not other.any()
        else:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_without_fusion_it_is_gatconv():
    """Catches an attention that is not the published one."""
    edges, _ = relation(2)
    torch.manual_seed(2)
    layer = RelationAttention(DIM, HEADS, "graph").double()
    stock = dgl.nn.GATConv(
        (DIM, DIM), DIM // HEADS, HEADS, bias=False, allow_zero_in_degree=True
    ).double()
    with torch.no_grad():
        stock.fc_src.weight.copy_(layer.fusion.graph.weight)
        stock.fc_dst.weight.copy_(layer.receiver.weight)
        stock.attn_l.copy_(layer.attend_src.unsqueeze(0))
        stock.attn_r.copy_(layer.attend_dst.unsqueeze(0))
    h_src = torch.randn(7, DIM, dtype=torch.float64)
    h_dst = torch.randn(5, DIM, dtype=torch.float64)
    nothing = torch.zeros_like(h_src)
    ours = layer(edges, nothing, torch.zeros(7, dtype=torch.bool), h_src, h_dst)
    theirs = stock(edges.graph, (h_src, h_dst)).flatten(1)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)


def test_a_sparse_relation_gives_the_same_as_a_whole_one(monkeypatch):
    """Catches nodes mixed up where a relation is reduced to those that take part."""
    graph = build_graph(40, 30, np.array([3, 3, 17, 39]), np.array([2, 29, 29, 0]))
    edges = relation_edges(graph, INTERACTS)
    torch.manual_seed(4)
    layer = RelationAttention(DIM, HEADS, "gate").double()
    inputs = [torch.randn(n, DIM, dtype=torch.float64, requires_grad=True) for n in (40, 40, 30)]
    has_text = torch.rand(40) < 0.5
    found = []
    for sparse in (0, 10**6):
        monkeypatch.setattr("finrec_dgl.nn.attention._SPARSE", sparse)
        out = layer(edges, inputs[0], has_text, inputs[1], inputs[2])
        found.append((out, *torch.autograd.grad(out.square().sum(), inputs)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_isolated_nodes_and_empty_relations_are_zero_and_finite():
    """Catches a softmax over nothing."""
    edges, _ = relation(3)
    layer = RelationAttention(DIM, HEADS, "gate")
    text, h_src, h_dst = torch.randn(7, DIM), torch.randn(7, DIM), torch.randn(5, DIM)
    h_src.requires_grad_()
    out = layer(edges, text, torch.ones(7, dtype=torch.bool), h_src, h_dst)
    isolated = edges.in_degree == 0
    assert isolated.any()
    assert not out[isolated].any()
    empty = relation_edges(build_graph(7, 5, np.zeros(0, int), np.zeros(0, int)), INTERACTS)
    out = layer(empty, text, torch.ones(7, dtype=torch.bool), h_src, h_dst)
    assert not out.any()
    (out.sum() + h_src.sum()).backward()
    assert torch.isfinite(h_src.grad).all()
