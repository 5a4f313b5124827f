"""Batches: what they cover, what they mask, and that no seed edge is in its own messages."""

import dataclasses

import numpy as np
import pytest
import torch
from snapshots import make_snapshot, pairs_of

from finrec_dgl.graph import INTERACTED_BY, INTERACTS
from finrec_dgl.nn import HybridConfig, HybridRecommender, ModelShape
from finrec_dgl.training import Batches, TrainConfig
from finrec_dgl.training.reconstruction import Reconstruction

MODEL = HybridConfig(relations="observed", dim=8, dim_two=8, heads=2, layers=2)
BASE = TrainConfig.plain(model=MODEL, batch_size=37, n_negatives=6, fanout=(3,))


@pytest.mark.parametrize("sampler", ["full", "neighbor"])
@pytest.mark.parametrize("negatives", ["all", "uniform", "popularity", "in-batch"])
def test_an_epoch_of_batches(sampler, negatives):
    """Catches lost or repeated positives, seed edges in the messages, wrong masks."""
    snapshot = make_snapshot()
    config = dataclasses.replace(BASE, sampler=sampler, negatives=negatives)
    batches = Batches(snapshot, config)
    held = snapshot.matrix().toarray() > 0
    user, item = snapshot.pairs.user, snapshot.pairs.item
    seen = []
    for batch in batches.epoch(1):
        edges = batch.edges.numpy()
        seen += edges.tolist()
        assert np.array_equal(batch.users[batch.user_row].numpy(), user[edges])
        assert np.array_equal(batch.items[batch.item_column].numpy(), item[edges])
        free = ~held[user[edges]][:, batch.items.numpy()]
        assert np.array_equal(batch.allowed.numpy(), free)
        forbidden = set(zip(user[edges].tolist(), item[edges].tolist(), strict=True))
        assert len(batch.blocks.layers) == 2
        for layer in batch.blocks.layers:
            for relation in (INTERACTS, INTERACTED_BY):
                assert not pairs_of(layer, relation, batch.blocks.inputs) & forbidden
        assert (batch.correction is None) == (negatives == "all")
    assert sorted(seen) == list(range(len(user)))
    assert len(batches) == -(-len(user) // 37)


def same(one, other):
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("edges", "users", "items", "user_row", "item_column", "allowed")
    ) and all(
        pairs_of(a, relation, one.blocks.inputs) == pairs_of(b, relation, other.blocks.inputs)
        for a, b in zip(one.blocks.layers, other.blocks.layers, strict=True)
        for relation in (INTERACTS, INTERACTED_BY)
    )


def test_batches_follow_from_seed_and_epoch_alone():
    """A resumed run, or one with other workers, must draw the same."""
    snapshot = make_snapshot()
    config = dataclasses.replace(BASE, sampler="neighbor", negatives="uniform")
    first = list(Batches(snapshot, config).epoch(2))
    again = list(Batches(snapshot, config).epoch(2))
    workers = list(Batches(snapshot, dataclasses.replace(config, workers=2)).epoch(2))
    assert all(map(same, first, again))
    assert all(map(same, first, workers))
    other = list(Batches(snapshot, config).epoch(3))
    assert not same(first[0], other[0])
    reseeded = list(Batches(snapshot, dataclasses.replace(config, seed=1)).epoch(2))
    assert not same(first[0], reseeded[0])


def test_correction_counts_how_often_a_candidate_is_drawn():
    """Catches a correction that does not match the draw (in-batch: positives by popularity)."""
    snapshot = make_snapshot(users=60, items=6, edges=250)
    config = dataclasses.replace(BASE, negatives="in-batch", batch_size=4)
    batches = Batches(snapshot, config)
    popularity = np.bincount(snapshot.pairs.item, minlength=6) / len(snapshot.pairs.item)
    for batch in batches.epoch(1):
        expected = np.log(np.minimum(1, len(batch.edges) * popularity[batch.items.numpy()]))
        np.testing.assert_allclose(batch.correction.numpy(), expected, rtol=1e-5)


def test_an_epoch_of_few_steps():
    """Catches a limit of steps that is passed over, and the same steps in every epoch."""
    snapshot = make_snapshot(1)
    config = dataclasses.replace(BASE, steps=2)
    model = HybridRecommender(MODEL, ModelShape(30, 20, 8, ("family",), 0))
    objective = Reconstruction(model, snapshot, config, None)
    assert [size for _, size in objective.epoch(1)] == [37, 37]
    first = [batch.edges.tolist() for epoch in (1, 2) for batch in objective.batches.epoch(epoch)]
    assert first[0] != first[len(objective.batches)]
