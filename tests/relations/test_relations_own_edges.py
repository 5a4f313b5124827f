"""Messages over the user's own edge tables are what their formula says, by loops over edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from snapshots import make_dated_snapshot

from finrec_dgl.dataset.edges import ExtraEdges
from finrec_dgl.relations import GraphView, ModelShape, OwnEdges, PairConfig, SeedBatch, log_share

TABLES = {
    ("user", "viewed", "item"): (30, 20),
    ("item", "shown", "user"): (20, 30),
    ("user", "pays", "user"): (30, 30),
    ("item", "replaces", "item"): (20, 20),
}


def with_edges(snapshot, seed=0, count=25):
    """``snapshot`` with an edge table of two features for each kind of ends."""
    rng = np.random.default_rng(seed)
    edges = {}
    for table, (n_src, n_dst) in TABLES.items():
        src, dst = (rng.integers(0, n, count).astype(np.int32) for n in (n_src, n_dst))
        features = rng.normal(size=(count, 2)).astype(np.float32)
        edges[table] = ExtraEdges(src, dst, None, features, ("a", "b"))
    return replace(snapshot, edges=edges)


def relation_of(snapshot, moved=True):
    shape = ModelShape(30, 20, 0, edges=dict.fromkeys(snapshot.edges, 2))
    relation = OwnEdges(PairConfig(), shape)
    if moved:
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in relation.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.5)
    return relation


def message(snapshot, table, user, item, amounts):
    """What reaches the pair over ``table``, by a loop over its edges."""
    held = {u: set() for u in range(30)}
    for u, i in zip(snapshot.pairs.user.tolist(), snapshot.pairs.item.tolist(), strict=True):
        held[u].add(i)
    edges, total = snapshot.edges[table], 0.0
    ends = zip(edges.src.tolist(), edges.dst.tolist(), amounts, strict=True)
    for src, dst, amount in ends:
        if {table[0], table[2]} == {"user", "item"}:
            pair = (src, dst) if table[0] == "user" else (dst, src)
            total += amount * (pair == (user, item))
        elif table[0] == "user":
            total += amount * (src == user and item in held[dst])
            total += amount * (dst == user and item in held[src])
        else:
            total += amount * (dst == item and src in held[user])
            total += amount * (src == item and dst in held[user])
    return total


@pytest.mark.parametrize("table", TABLES, ids=lambda one: one[1])
def test_messages_by_pair(table):
    """Catches an edge in one direction only, of another table, or with another edge's features."""
    snapshot = with_edges(make_dated_snapshot(0))
    relation, view = relation_of(snapshot), GraphView(snapshot)
    batch = SeedBatch(view, view.seeds(np.arange(30)))
    found = relation(batch, relation.sample(batch)).detach()
    number = list(TABLES).index(table)
    features = snapshot.edges[table].features.astype(np.float64)
    scaled = (features - features.mean(0)) / features.std(0)
    amounts = np.exp(scaled @ relation.feature[number].detach().double().numpy())
    expected = torch.tensor(
        [[message(snapshot, table, u, i, amounts) for i in range(20)] for u in range(30)]
    )
    floor = relation.floor[number].detach()
    share = log_share(expected.float(), batch.free, floor.exp()) - floor
    np.testing.assert_allclose(found[..., number], share, atol=1e-4)


def test_nothing_reaches_an_item_without_an_edge():
    """Catches a channel that says something where there is no edge, and its weights' gradients."""
    snapshot = with_edges(make_dated_snapshot(1), count=0)
    relation, view = relation_of(snapshot), GraphView(snapshot)
    batch = SeedBatch(view, view.seeds(np.arange(30)))
    found = relation(batch, relation.sample(batch))
    assert found.shape == (30, 20, len(TABLES))
    np.testing.assert_allclose(found.detach(), 0.0, atol=1e-6)
    found.sum().backward()
    assert torch.isfinite(relation.floor.grad).all()


def test_a_data_set_without_edge_tables_has_no_channel():
    """Catches a channel of nothing."""
    assert OwnEdges(PairConfig(), ModelShape(30, 20, 0)).channel_names() == ()
