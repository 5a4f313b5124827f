"""Low-pass filters between items by the leading directions of the interactions."""

from dataclasses import replace

import numpy as np
from graph_views import CONFIG, NOBODY, batch_of, make_view, relation_of
from snapshots import with_pairs

from finrec_dgl.graph.filters import normalised
from finrec_dgl.relations import GraphTensors, Spectral, log_share
from finrec_dgl.relations.spectral import PEER_RANK, item_directions


def test_messages_by_rank():
    """Catches a filter of another rank, on the wrong side, or without its degrees."""
    view = make_view(3)
    held = view.snapshot.matrix().toarray()
    whole = np.linalg.svd(normalised(view.snapshot.matrix()).toarray())[2].T
    root = np.sqrt(np.maximum(held.sum(axis=0), 1))
    found = relation_of(Spectral, view).messages(batch_of(view))
    for one, rank in zip(found, CONFIG.ranks, strict=True):
        right = whole[:, :rank]
        np.testing.assert_allclose(one, (held / root) @ right @ right.T * root, atol=1e-4)
        assert not one[NOBODY].any()


def test_channels_are_shares_of_the_messages():
    """Catches a channel at another's place, or one that is no share."""
    view = make_view(4)
    batch, relation = batch_of(view), relation_of(Spectral, view)
    found = relation.sample(batch)
    assert relation.channel_names() == ("spectral 2", "spectral 4")
    for number, message in enumerate(relation.messages(batch)):
        np.testing.assert_array_equal(found[..., number], log_share(message, batch.free))


def test_without_a_rank_there_is_no_channel():
    """Catches a switch that only empties its channel."""
    view = make_view(3)
    assert relation_of(Spectral, view, replace(CONFIG, ranks=())).channel_names() == ()


def test_directions_serve_the_filters_and_the_peers():
    """Catches directions that are too few for one of the two who share them."""
    view = make_view(3)
    assert item_directions(view, ()).shape[1] == PEER_RANK
    assert item_directions(make_view(3), (17,)).shape[1] == 17


def test_a_rank_beyond_what_there_is_is_all_there_is():
    """Catches an error where the graph has fewer directions than were asked for."""
    view = make_view(3)
    few = GraphTensors(with_pairs(view.snapshot, view.snapshot.pairs.user == 3))
    config = replace(CONFIG, ranks=(4, 50))
    for one in relation_of(Spectral, few, config).messages(batch_of(few)):
        assert one.shape == (view.n_users, view.n_items)
        assert np.isfinite(one.numpy()).all()
