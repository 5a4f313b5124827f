"""Attention to users two hops away: who they are, what is read of them, what they send."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_views import (
    CONFIG,
    MISSING,
    NOBODY,
    UNSOLD,
    batch_of,
    connected,
    cosine,
    edges,
    faded,
    make_view,
    relation_of,
)
from snapshots import make_dated_snapshot, with_pairs

from finrec_dgl.graph.filters import normalised
from finrec_dgl.kernels import peers as kernels
from finrec_dgl.kernels.library import find_library
from finrec_dgl.relations import GraphTensors, Peers, SeedBatch, Seeds
from finrec_dgl.relations.peers import PEER_FEATURES
from finrec_dgl.sampling import Fanouts

native = pytest.param(
    "native",
    marks=pytest.mark.skipif(find_library().handle is None, reason=find_library().told),
)


@pytest.fixture(params=[native, "torch"])
def way(request, monkeypatch):
    """Who computes."""
    monkeypatch.setattr(kernels, "choose", lambda *_: request.param)
    return request.param


def sampled_of(view, users=None, config=CONFIG, **shape):
    """The peers [B, k] and their features [B, k, F] of ``users``."""
    return relation_of(Peers, view, config, **shape).sample(batch_of(view, users))


def reached_by_loop(view, user):
    """Users over two hops, and connections: those with an interaction, but for the user."""
    held, pairs = edges(view.snapshot), connected(view.snapshot)
    return {
        peer
        for peer, items in held.items()
        if items
        and peer != user
        and (set(items) & set(held[user]) or frozenset((user, peer)) in pairs)
    }


def present(row):
    """The peers of a row, without those that are absent."""
    return [peer for peer in row.tolist() if peer >= 0]


# ---- who they are


@pytest.mark.parametrize("seed", [0, 1])
def test_peers_are_the_users_over_two_hops_and_the_connections(way, seed):
    """Catches a user who is reached by neither, one who is lost, and the seed itself."""
    view = make_view(seed)
    peers, _ = sampled_of(view)
    assert peers.shape == (view.n_users, view.n_users)
    fewer = 0
    for user in range(view.n_users):
        expected = sorted(reached_by_loop(view, user))
        fewer += len(expected) < view.n_users - 2
        assert present(peers[user]) == expected
    assert fewer > 10


def test_connections_are_peers_only_where_there_are_ties():
    """Catches ties that are read though the model has none."""
    view = make_view(0)
    none = replace(view.snapshot, ties={})
    without, _ = sampled_of(view, tie_kinds=())
    bare, _ = sampled_of(GraphTensors(none))
    assert torch.equal(without, bare)
    assert not torch.equal(without, sampled_of(view)[0])


@pytest.mark.parametrize("count", [1, 4, 28])
def test_few_peers_are_the_most_similar_ones_with_the_same_values(way, count):
    """Catches a wrong order, an absent user among the peers, and values of another one."""
    view = GraphTensors(make_dated_snapshot(6))
    every, all_features = sampled_of(view)
    peers, features = sampled_of(view, config=replace(CONFIG, peers=count))
    assert peers.shape == (view.n_users, count)
    rare, tie = (PEER_FEATURES.index(name) for name in ("log idf cosine", "connected"))
    for user in range(view.n_users):
        mine, others = present(peers[user]), present(every[user])
        assert len(mine) == min(count, len(others))
        assert set(mine) <= set(others)
        columns = [others.index(peer) for peer in mine]
        torch.testing.assert_close(features[user, : len(mine)], all_features[user, columns])
        near = (
            all_features[user, : len(others), rare].exp() + all_features[user, : len(others), tie]
        )
        best = near.sort(descending=True).values[: len(mine)]
        np.testing.assert_allclose(near[columns].sort(descending=True).values, best, atol=1e-6)


def test_no_more_peers_than_users():
    """Catches columns for users who are not there."""
    view = make_view(0)
    assert sampled_of(view, config=replace(CONFIG, peers=1_000))[0].shape == (30, 30)


def test_a_user_of_whom_nothing_is_known_has_no_peers(way):
    """Catches peers that come from nowhere."""
    view = make_view(0)
    peers, features = sampled_of(view, [NOBODY])
    assert (peers == -1).all()
    assert torch.isfinite(features).all()


def test_a_seed_that_is_not_in_the_graph_is_no_one_s_peer(way):
    """Catches an unknown user (-1) who is read as the last one, and who loses a peer by it."""
    view = make_view(8)
    one = batch_of(view, [3])
    unknown = SeedBatch(view, replace(one.seeds, user=torch.tensor([-1])))
    relation = relation_of(Peers, view)
    known, stranger = (relation.sample(batch) for batch in (one, unknown))
    assert set(present(stranger[0][0])) == {*present(known[0][0]), 3}


# ---- what is read of them


def features_by_loop(view, user, peer):
    """name -> value of one pair."""
    snapshot, held = view.snapshot, edges(view.snapshot)
    holders = [sum(i in items for items in held.values()) for i in range(view.n_items)]
    idf = np.log((view.n_users + 1) / (np.array(holders) + 1))
    matrix = snapshot.matrix().toarray()
    right = np.linalg.svd(normalised(snapshot.matrix()).toarray())[2][:16].T
    space = (matrix / np.sqrt(np.maximum(holders, 1))) @ right
    shared = sum(i in held[user] for i in held[peer])
    both = math.sqrt(len(held[user]) * len(held[peer]))
    return {
        "log idf cosine": math.log(0.01 + cosine(idf * matrix[user], idf * matrix[peer])),
        "log cosine": math.log(0.01 + (shared / both if both else 0.0)),
        "text": snapshot.user_text[user] @ snapshot.user_text[peer],
        "connected": frozenset((user, peer)) in connected(snapshot),
        "spectral": cosine(space[user], space[peer]),
        "log interactions": math.log(max(len(held[peer]), 1)),
        "log idle days": math.log1p(min(held[peer].values())),
        "nothing shared": shared == 0,
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_features_by_pair(way, seed):
    """Catches a feature of the wrong pair, direction, weight or name."""
    view = make_view(seed)
    users = [0, 5, 11]
    peers, features = sampled_of(view, users)
    assert features.shape == (*peers.shape, len(PEER_FEATURES))
    seen = set()
    for row, user in enumerate(users):
        for column, peer in enumerate(present(peers[row])):
            expected = features_by_loop(view, user, peer)
            assert list(expected) == list(PEER_FEATURES)
            seen |= {name for name in ("connected", "nothing shared") if expected[name]}
            for name, value in expected.items():
                found = float(features[row, column, PEER_FEATURES.index(name)])
                assert found == pytest.approx(float(value), abs=2e-4), (name, peer)
    assert seen == {"connected", "nothing shared"}


@pytest.mark.parametrize(
    ("shape", "name"), [({"text_dim": 0}, "text"), ({"tie_kinds": ()}, "connected")]
)
def test_features_that_are_off_are_zero(shape, name):
    """Catches text or ties that are read though they are switched off, and others that go too."""
    view = make_view(0)
    peers, on = sampled_of(view)
    fewer, off = sampled_of(view, **shape)
    column = PEER_FEATURES.index(name)
    assert on[..., column].any()
    assert not off[..., column].any()
    others = [one for one in range(len(PEER_FEATURES)) if one != column]
    for user in range(view.n_users):
        mine, theirs = present(fewer[user]), present(peers[user])
        columns = [theirs.index(peer) for peer in mine]
        assert torch.equal(off[user, : len(mine)][:, others], on[user, columns][:, others])


def test_an_altered_row_is_read_as_it_stands():
    """Catches features of a row that come from the user's own node instead."""
    view = make_view(8)
    one, other = (view.seeds([user]) for user in (3, 11))
    mixed = Seeds(one.user, other.history, other.age, other.text, other.connected)
    relation = relation_of(Peers, view)
    peers, features = relation.sample(SeedBatch(view, mixed))
    theirs, their_features = relation.sample(SeedBatch(view, other))
    own, _ = relation.sample(SeedBatch(view, one))
    # whoever it is, they are no peer of themselves
    assert set(present(peers[0])) == ({*present(theirs[0]), 11} - {3})
    assert present(peers[0]) != present(own[0])
    both = [peer for peer in present(peers[0]) if peer != 11]
    mine, wanted = ([present(row[0]).index(peer) for peer in both] for row in (peers, theirs))
    assert torch.equal(features[0, mine], their_features[0, wanted])
    assert torch.equal(mixed.covariates(), other.covariates())


# ---- what they send


def test_kernels_by_edge():
    """Catches a head with another's half-life, and messages of the wrong user."""
    config = replace(CONFIG, short_half_life=5.0)
    view = make_view(7)
    found = relation_of(Peers, view, config)._kernels(view)
    for own, other, kernel in zip((20.0, 100.0), (100.0, 20.0), found, strict=True):
        rest = (faded(view.snapshot, other) + faded(view.snapshot, 5.0)) / 3 + 1 / 3
        expected = 0.75 * faded(view.snapshot, own) + 0.25 * rest
        at = (view.snapshot.pairs.user, view.snapshot.pairs.item)
        np.testing.assert_allclose(kernel, expected[at], atol=1e-5)


def test_undated_messages_do_not_fade():
    """Catches a fading where nothing is known of times."""
    view = GraphTensors(replace(make_dated_snapshot(1), last=None))
    np.testing.assert_allclose(relation_of(Peers, view)._kernels(view), 1.0, atol=1e-6)


def test_drawn_items_stand_for_those_left_out():
    """Catches peers who send less because fewer of their items are drawn."""
    view = GraphTensors(make_dated_snapshot(1), fanouts=Fanouts((-1, -1, 2), 3))
    relation, undated = relation_of(Peers, view), replace(view.snapshot, last=None)
    view = GraphTensors(undated, fanouts=view.fanouts)
    items, _ = view.peer_items
    for kernel in relation._kernels(view):
        sent = torch.zeros(view.n_users).index_add_(0, items.row, kernel)
        np.testing.assert_allclose(sent, view.user_count, rtol=1e-6)
    assert (items.counts < view.user_count).any()


def channels_by_loop(view, batch, relation, sampled):
    """sum over v of softmax_v(q . f_uv) kappa_h(age), as a share, pair by pair."""
    peers, features = sampled
    config, held = relation.config, edges(view.snapshot)
    query, floor = relation.query.detach().double(), relation.floor.detach().double()
    fades = []
    for head, own in enumerate(config.peer_half_lives):
        others = [one for number, one in enumerate(config.peer_half_lives) if number != head]
        rest = [faded(view.snapshot, one) for one in (*others, config.short_half_life, 0.0)]
        fades.append(0.75 * faded(view.snapshot, own) + 0.25 * np.mean(rest, axis=0))
    found = np.zeros((len(peers), view.n_items, len(fades)))
    for row in range(len(peers)):
        mine = present(peers[row])
        for head, fade in enumerate(fades):
            logit = [float(query[head] @ features[row, j].double()) for j in range(len(mine))]
            raw = np.exp(np.array(logit) - max(logit, default=0))
            share = raw / raw.sum() if len(raw) else raw
            message = sum((a * fade[v] for a, v in zip(share, mine, strict=True)), np.zeros(20))
            free = batch.free[row].numpy()
            total = max((message * free).sum(), 1e-9)
            found[row, :, head] = np.log(message / total * free.sum() + math.exp(floor[head]))
            assert all(i in held[v] for v in mine for i in range(view.n_items) if fade[v][i])
    return found


@pytest.mark.parametrize("count", [4, 256])
def test_channels_by_pair(way, count):
    """Catches a softmax over the wrong users, a message of another head, a share of all items."""
    view = make_view(3)
    config = replace(CONFIG, peers=count)
    relation, batch = relation_of(Peers, view, config), batch_of(view)
    with torch.no_grad():
        made = torch.Generator().manual_seed(0)
        for one in (relation.query, relation.floor):
            one.add_(torch.randn(one.shape, generator=made) * 0.3)
    sampled = relation.sample(batch)
    found = relation(batch, sampled)
    assert relation.channel_names() == ("peers 0", "peers 1")
    expected = channels_by_loop(view, batch, relation, sampled)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-3, atol=2e-3)
    found.square().sum().backward()
    assert relation.query.grad.abs().max() > 1e-3
    assert (relation.floor.grad.abs() > 1e-3).all()


def test_items_of_nobody_and_users_alone_hear_nothing():
    """Catches a user, alone in a graph, who hears from themselves what they have."""
    snapshot = make_dated_snapshot(0)
    alone = with_pairs(snapshot, snapshot.pairs.user == 3)
    view = GraphTensors(alone)
    relation = relation_of(Peers, view)
    seeds = replace(view.seeds([NOBODY]), user=torch.tensor([3]))
    batch = SeedBatch(view, seeds)
    found = relation(batch, relation.sample(batch))[0]
    assert len(found[:, 0].unique()) == 1
    view = make_view(0)
    batch = batch_of(view)
    relation = relation_of(Peers, view)
    found = relation(batch, relation.sample(batch))
    floor = relation.floor.detach()
    np.testing.assert_allclose(found[:, UNSOLD].detach(), floor.expand(30, 2), atol=1e-6)


# ---- kernels and fanouts


def outcome(view, config=CONFIG, users=None):
    """Peers, features, channels and the gradient of the query and the floor."""
    relation, batch = relation_of(Peers, view, config), batch_of(view, users)
    peers, features = relation.sample(batch)
    found = relation(batch, (peers, features))
    found.square().sum().backward()
    return peers, features, found.detach(), relation.query.grad, relation.floor.grad


@pytest.mark.skipif(find_library().handle is None, reason=find_library().told)
@pytest.mark.parametrize("count", [1, 5, 256])
@pytest.mark.parametrize("missing", ["nothing", *MISSING])
def test_both_kernels_give_the_same(monkeypatch, missing, count):
    """Catches a peer, a value or a gradient that hangs on who computes, whatever is missing."""
    snapshot = {"nothing": lambda one: one, **MISSING}[missing](make_dated_snapshot(12))
    found = {}
    for name in ("native", "torch"):
        monkeypatch.setattr(kernels, "choose", lambda *_, name=name: name)
        found[name] = outcome(GraphTensors(snapshot), replace(CONFIG, peers=count))
    assert torch.equal(found["native"][0], found["torch"][0])
    for one, other in zip(found["native"][1:], found["torch"][1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_number_of_threads_changes_no_bit():
    """Catches peers, values or gradients that another machine cannot repeat."""
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(outcome(make_view(5)))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("plenty", [-1, 1_000])
def test_with_fanouts_that_bound_nothing_all_is_the_same(way, plenty):
    """Catches a neighbour that is lost on the way through a draw."""
    snapshot = make_dated_snapshot(3)
    full = outcome(GraphTensors(snapshot))
    drawn = outcome(GraphTensors(snapshot, fanouts=Fanouts((plenty, plenty, plenty), 5)))
    for one, other in zip(full, drawn, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_with_fanouts_peers_are_some_of_all():
    """Catches a draw of users who are not there, one that bounds nothing, a key without a say."""
    snapshot = make_dated_snapshot(3)
    every, _ = sampled_of(GraphTensors(snapshot))

    def of(key):
        return sampled_of(GraphTensors(snapshot, fanouts=Fanouts((-1, 2), key)))[0]

    assert torch.equal(of(1), of(1))
    assert not torch.equal(of(1), of(2))
    fewer = 0
    for user in range(snapshot.n_users):
        mine, whole = present(of(1)[user]), present(every[user])
        assert set(mine) <= set(whole)
        fewer += len(mine) < len(whole)
    assert fewer > 20


# ---- what may be missing


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("missing", MISSING)
def test_whatever_is_missing_all_is_finite(way, missing, count):
    """Catches NaN, infinity and errors of shape where there is nothing to divide by."""
    view = GraphTensors(MISSING[missing](make_dated_snapshot(12)))
    found = outcome(view, replace(CONFIG, peers=count))
    assert found[0].shape == (30, count)
    assert found[2].shape == (30, 20, 2)
    for one in found[1:]:
        assert torch.isfinite(one).all()


def test_peers_need_no_spectral_filter():
    """Catches a view that cannot be without the filter whose directions peers share."""
    view = make_view(12)
    _, features = sampled_of(view, config=replace(CONFIG, ranks=()))
    assert features[..., PEER_FEATURES.index("spectral")].any()
    assert torch.isfinite(features).all()


def test_the_start_is_shared_by_the_heads():
    """Catches heads that together start with more than the whole weight."""
    view = make_view(0)
    assert relation_of(Peers, view).start().tolist() == [0.5, 0.5]
    none = relation_of(Peers, view, replace(CONFIG, peer_half_lives=()))
    assert none.start().tolist() == []
    assert none.channel_names() == ()
