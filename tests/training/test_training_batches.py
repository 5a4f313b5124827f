"""Batches: what they cover, what they mask, and that no seed edge is in its own messages."""

import dataclasses
import threading

import numpy as np
import pytest
import torch
from snapshots import make_snapshot, pairs_of

from finrec_dgl.graph import INTERACTED_BY, INTERACTS
from finrec_dgl.nn import HybridConfig, TowerRecommender, features_of
from finrec_dgl.relations import ModelShape
from finrec_dgl.training import Batches, TrainConfig, joint_loss
from finrec_dgl.training.losses import recommendation_loss
from finrec_dgl.training.reconstruction import Reconstruction

MODEL = HybridConfig(readout="tower", dim=8, dim_two=8, heads=2, layers=2)
BASE = TrainConfig.plain(model=MODEL, batch_size=37, n_negatives=6, fanout=(3,))


@pytest.mark.parametrize("sampler", ["full", "neighbor"])
@pytest.mark.parametrize("negatives", ["all", "uniform", "popularity", "in-batch"])
@pytest.mark.parametrize("together", [1, 3])
def test_an_epoch_of_batches(sampler, negatives, together):
    """Catches lost or repeated positives, seed edges in the messages, wrong masks."""
    snapshot = make_snapshot()
    config = dataclasses.replace(
        BASE, sampler=sampler, negatives=negatives, seeds_per_user=together
    )
    batches = Batches(snapshot, config)
    held = snapshot.matrix().toarray() > 0
    user, item = snapshot.pairs.user, snapshot.pairs.item
    seen = []
    for batch in batches.epoch(1):
        edges = batch.edges.numpy()
        seen += edges.tolist()
        assert np.array_equal(batch.users[batch.user_row].numpy(), user[edges])
        assert np.array_equal(batch.items[batch.item_row].numpy(), item[edges])
        free = ~held[batch.users.numpy()][:, batch.items[batch.negatives].numpy()]
        assert np.array_equal(batch.allowed.numpy(), free)
        forbidden = set(zip(user[edges].tolist(), item[edges].tolist(), strict=True))
        assert len(batch.blocks.layers) == 2
        for layer in batch.blocks.layers:
            for relation in (INTERACTS, INTERACTED_BY):
                assert not pairs_of(layer, relation, batch.blocks.inputs) & forbidden
        assert (batch.correction is None) == (negatives == "all")
    assert sorted(seen) == list(range(len(user)))
    assert len(batches) == -(-len(user) // 37)


def test_batches_of_several_interactions_a_user():
    """Catches a batch of as many users as without; that is what they are for."""
    snapshot = make_snapshot(edges=400)
    users = {}
    for together in (1, 4):
        config = dataclasses.replace(BASE, sampler="neighbor", seeds_per_user=together)
        users[together] = [len(batch.users) for batch in Batches(snapshot, config).epoch(1)][:-1]
    assert max(users[4]) < 0.6 * min(users[1])
    # batches are as large as ever: a group may be cut
    assert [len(batch.edges) for batch in Batches(snapshot, config).epoch(1)][:-1] == [37] * len(
        users[4]
    )


@pytest.mark.parametrize("loss", ["softmax", "bpr", "bce"])
@pytest.mark.parametrize("reject_held", [True, False])
def test_scores_of_a_user_serve_all_their_positives(loss, reject_held):
    """Catches a positive that is compared by another user's row, against a loss of one row each."""
    snapshot = make_snapshot(edges=400)
    config = dataclasses.replace(BASE, loss=loss, seeds_per_user=4, reject_held=reject_held)
    torch.manual_seed(0)
    model = TowerRecommender(MODEL, ModelShape(30, 20, 8, ("family",), 0)).eval()
    batches, features = Batches(snapshot, config), features_of(snapshot)
    batch = next(batches.epoch(1))
    assert len(batch.users) < len(batch.edges)
    fused = model.encode(batch.blocks, features).fused
    scores = model.score(fused["user"], fused["item"])[snapshot.pairs.user[batch.edges.numpy()]]
    scores[:, batch.items] -= 0 if batch.correction is None else batch.correction
    items = batch.items[batch.negatives]
    held = torch.from_numpy(snapshot.matrix().toarray())[batch.users[batch.user_row]][:, items] > 0
    own = batch.items[batch.item_row]
    allowed = ~held if reject_held else own.unsqueeze(1) != items
    positive = scores.gather(1, own.unsqueeze(1)).squeeze(1)
    each = (positive, scores[:, items], allowed, torch.arange(len(own)))
    found = joint_loss(model, config, batch, features, None).rec
    torch.testing.assert_close(found, recommendation_loss(loss, *each))


def same(one, other):
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("edges", "users", "items", "user_row", "item_row", "negatives", "allowed")
    ) and all(
        pairs_of(a, relation, one.blocks.inputs) == pairs_of(b, relation, other.blocks.inputs)
        for a, b in zip(one.blocks.layers, other.blocks.layers, strict=True)
        for relation in (INTERACTS, INTERACTED_BY)
    )


@pytest.mark.parametrize("together", [1, 3])
def test_batches_follow_from_seed_and_epoch_alone(together):
    """A resumed run, or one with other workers or batches made ahead, must draw the same."""
    snapshot = make_snapshot()
    config = dataclasses.replace(
        BASE, sampler="neighbor", negatives="uniform", prefetch=0, seeds_per_user=together
    )
    first = list(Batches(snapshot, config).epoch(2))
    again = list(Batches(snapshot, config).epoch(2))
    assert all(map(same, first, again))
    for fields in ({"workers": 2}, {"prefetch": 1}, {"prefetch": 99}):
        others = list(Batches(snapshot, dataclasses.replace(config, **fields)).epoch(2))
        assert len(others) == len(first)
        assert all(map(same, first, others))
    other = list(Batches(snapshot, config).epoch(3))
    assert not same(first[0], other[0])
    reseeded = list(Batches(snapshot, dataclasses.replace(config, seed=1)).epoch(2))
    assert not same(first[0], reseeded[0])


def test_batches_made_ahead_end_with_the_epoch(monkeypatch):
    """Catches a thread that goes on after its epoch was left, and an error that it keeps."""
    batches = Batches(make_snapshot(), dataclasses.replace(BASE, prefetch=1, batch_size=5))
    made = []
    batch = Batches.batch

    def counted(self, epoch, number, edges, threads=None):
        made.append(number)
        if number == 4:
            raise ValueError("batch 4")
        return batch(self, epoch, number, edges, threads)

    monkeypatch.setattr(Batches, "batch", counted)
    epoch = batches.epoch(1)
    next(epoch)
    epoch.close()
    assert len(made) <= 2
    before = threading.active_count()
    with pytest.raises(ValueError, match="batch 4"):
        list(batches.epoch(1))
    assert threading.active_count() <= before
    assert max(made) < 7


@pytest.mark.parametrize("loss", ["softmax", "bpr", "bce"])
@pytest.mark.parametrize("kind", ["uniform", "popularity", "in-batch"])
def test_negatives_are_no_more_than_asked_for(loss, kind):
    """Catches positives of other rows among drawn negatives; a correction where there is none."""
    snapshot = make_snapshot()
    config = dataclasses.replace(BASE, loss=loss, negatives=kind, n_negatives=2)
    for batch in Batches(snapshot, config).epoch(1):
        assert (batch.correction is None) == (loss != "softmax")
        assert len(batch.items) > 2
        assert 1 <= len(batch.negatives) <= 2
        assert batch.allowed.shape == (len(batch.users), len(batch.negatives))


def test_held_products_may_be_asked_for():
    """Catches a setting that is not heeded."""
    snapshot = make_snapshot()
    batch = next(Batches(snapshot, dataclasses.replace(BASE, reject_held=False)).epoch(1))
    # only the positive itself is never a negative
    assert torch.equal(batch.allowed, batch.item_row.unsqueeze(1) != batch.negatives)


@pytest.mark.parametrize(("kind", "count"), [("in-batch", 3), ("in-batch", 9), ("popularity", 3)])
def test_correction_counts_how_often_a_product_is_drawn(kind, count):
    """Catches a correction that does not match the draw (in-batch: positives by popularity)."""
    snapshot = make_snapshot(users=60, items=6, edges=250)
    config = dataclasses.replace(BASE, negatives=kind, n_negatives=count, batch_size=4)
    batches = Batches(snapshot, config)
    popularity = np.bincount(snapshot.pairs.item, minlength=6) / len(snapshot.pairs.item)
    for batch in batches.epoch(1):
        drawn = min(count, len(batch.edges)) if kind == "in-batch" else count
        expected = np.log(np.minimum(1, drawn * popularity[batch.items.numpy()]))
        np.testing.assert_allclose(batch.correction.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_an_epoch_of_few_steps():
    """Catches a limit of steps that is passed over, and the same steps in every epoch."""
    snapshot = make_snapshot(1)
    config = dataclasses.replace(BASE, steps=2)
    model = TowerRecommender(MODEL, ModelShape(30, 20, 8, ("family",), 0))
    objective = Reconstruction(model, snapshot, config, None)
    assert [size for _, size in objective.epoch(1)] == [37, 37]
    first = [batch.edges.tolist() for epoch in (1, 2) for batch in objective.batches.epoch(epoch)]
    assert first[0] != first[len(objective.batches)]
