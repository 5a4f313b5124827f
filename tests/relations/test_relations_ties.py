"""What the users that a seed is connected to took up."""

import math
from dataclasses import replace

import numpy as np
import torch
from graph_views import batch_of, connected, edges, make_view, relation_of
from snapshots import make_dated_snapshot

from finrec_dgl.relations import GraphTensors, Ties
from finrec_dgl.relations.ties import item_counts


def counts_by_loop(snapshot):
    """float [users, items]: connections that have each item."""
    held, pairs = edges(snapshot), connected(snapshot)
    found = np.zeros((snapshot.n_users, snapshot.n_items))
    for user in held:
        for other, items in held.items():
            if user != other and frozenset((user, other)) in pairs:
                for item in items:
                    found[user, item] += 1
    return found


def test_connections_that_have_each_item():
    """Catches a connection of one direction, one that counts twice, and another one's items."""
    view = GraphTensors(make_dated_snapshot(3, kinds=("family", "work")))
    found = item_counts(view, batch_of(view).seeds.connected)
    expected = counts_by_loop(view.snapshot)
    assert expected.max() > 1
    assert np.array_equal(found, expected)
    some = [9, 3, 29, 3]
    assert np.array_equal(item_counts(view, batch_of(view, some).seeds.connected), expected[some])


def test_the_channel_is_a_share_above_its_learned_floor():
    """Catches an item of nobody that is not at 0, a floor that is not learned, and its sign."""
    view = make_view(3)
    batch, relation = batch_of(view), relation_of(Ties, view)
    with torch.no_grad():
        relation.floor.fill_(-0.7)
    found = relation(batch, relation.sample(batch))
    assert relation.channel_names() == ("ties",)
    counts, free = counts_by_loop(view.snapshot), batch.free.numpy()
    for user in range(view.n_users):
        total = max((counts[user] * free[user]).sum(), 1e-9)
        for item in range(view.n_items):
            share = counts[user, item] / total * free[user].sum()
            expected = math.log(share + math.exp(-0.7)) + 0.7
            np.testing.assert_allclose(found[user, item, 0].item(), expected, atol=1e-4)
    assert not found[..., 0][torch.from_numpy(counts == 0)].abs().gt(1e-5).any()
    found.square().sum().backward()
    assert relation.floor.grad.abs() > 1e-2


def test_without_ties_there_is_no_channel():
    """Catches a channel, or a floor, where nobody is connected."""
    view = GraphTensors(replace(make_dated_snapshot(3), ties={}))
    off = relation_of(Ties, view)
    assert off.channel_names() == ()
    assert not list(off.parameters())
