"""The cosine between items as a relation, of histories that fade."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_views import CONFIG, batch_of, faded, make_view, relation_of
from snapshots import make_dated_snapshot

from finrec_dgl.graph.filters import CosineFilter
from finrec_dgl.relations import Cosine, GraphTensors, cosine, log_share
from finrec_dgl.relations.cosine import fade

SETTINGS = {"cosine_alpha": 0.6, "cosine_users": 0.4, "cosine_shrink": 3.0}


@pytest.fixture(params=["dense", "sparse"])
def way(request, monkeypatch):
    """With one dense matrix, and as where there are too many items for it."""
    most = 1_000 if request.param == "dense" else 0
    monkeypatch.setattr(cosine, "CosineFilter", lambda *given: CosineFilter(*given, most=most))


def test_messages_are_of_what_is_held_and_of_when(way):
    """Catches ages that are not read, half-lives in another order, and a setting without
    effect."""
    config = replace(CONFIG, **SETTINGS)
    view = make_view(3)
    near = CosineFilter(view.snapshot.matrix(), *SETTINGS.values()).matrix
    found = relation_of(Cosine, view, config).messages(batch_of(view))
    for one, half_life in zip(found, config.holding_half_lives, strict=True):
        np.testing.assert_allclose(one, faded(view.snapshot, half_life) @ near, atol=1e-4)
        assert one.dtype == torch.float32


def test_some_seeds_have_the_messages_that_all_have(way):
    """Catches rows that are mixed up."""
    view = make_view(3)
    relation = relation_of(Cosine, view)
    every, users = relation.messages(batch_of(view)), [9, 3, 29, 3]
    for one, whole in zip(relation.messages(batch_of(view, users)), every, strict=True):
        np.testing.assert_allclose(one, whole[users], atol=1e-6)


@pytest.mark.parametrize("half_life", [0.0, 7.0])
def test_fading_by_age(half_life):
    """Catches a fading that is no half after a half-life, and one where nothing fades."""
    found = fade(torch.tensor([0.0, 7.0, 14.0]), half_life)
    assert found.tolist() == pytest.approx([1, 0.5, 0.25] if half_life else [1, 1, 1])


def test_channels_are_shares_of_the_messages():
    """Catches a channel at another's place, or one that is no share."""
    view = make_view(4)
    batch, relation = batch_of(view), relation_of(Cosine, view)
    found = relation.sample(batch)
    assert relation.channel_names() == ("cosine 40", "cosine 0")
    for number, message in enumerate(relation.messages(batch)):
        np.testing.assert_array_equal(found[..., number], log_share(message, batch.free))


def test_the_slowest_starts():
    """Catches a start at the fastest fading, and a start that is not there."""
    view = make_view(0)
    assert relation_of(Cosine, view).start().tolist() == [0, 1]
    without = relation_of(Cosine, view, replace(CONFIG, holding_half_lives=()))
    assert without.start().tolist() == []


def test_undated_interactions_do_not_fade():
    """Catches a fading where nothing is known of times."""
    view = GraphTensors(replace(make_dated_snapshot(1), last=None))
    assert not view.age.any()
    first, last = relation_of(Cosine, view).messages(batch_of(view))
    assert torch.equal(first, last)
