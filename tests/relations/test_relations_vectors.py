"""Learned vectors of items: their formulas, and that nothing hidden helps to find itself."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from graph_views import batch_of, make_view, relation_of
from pair_models import make_pair
from snapshots import make_snapshot

from finrec_dgl.base.progress import SILENT
from finrec_dgl.dataset.snapshot import Pairs
from finrec_dgl.relations import GraphTensors, PairConfig, Vectors, learn_vectors, log_share
from finrec_dgl.relations.vectors import _Graph

CONFIG = PairConfig(vectors=8, vector_epochs=20)


def halves(users=200, items=30, each=8, seed=0):
    """Two halves of users, each with items of its own half alone."""
    rng = np.random.default_rng(seed)
    held = np.zeros((users, items), np.float32)
    for user in range(users):
        mine = rng.choice(items // 2, each, replace=False) + (user % 2) * (items // 2)
        held[user, mine] = 1
    return sp.csr_array(held)


def view_of(held):
    """The view of a graph without text, ties or dates."""
    user, item = sp.csr_array(held).nonzero()
    users, items = held.shape
    snapshot = make_snapshot(0, users=users, items=items, text_dim=0, kinds=())
    pairs = Pairs(user.astype(np.int32), item.astype(np.int32))
    snapshot = replace(
        snapshot, pairs=pairs, count=np.ones(len(user), np.float32), last=None, time=None
    )
    return GraphTensors(snapshot)


def softmax_by_loop(vectors, held, asked, temperature):
    """float [users, items]: the softmax over items of cos(u, m_i) / temperature, user by user."""
    users = np.asarray(held.sum(axis=0)).ravel()
    found = np.zeros(asked.shape)
    for user in range(asked.shape[0]):
        mine = sp.csr_array(asked)[[user]].indices
        u = sum((vectors[j] / np.sqrt(users[j]) for j in mine), np.zeros(vectors.shape[1]))
        length = np.linalg.norm(u) if np.any(u) else 1.0
        share = np.exp((vectors @ u) / np.linalg.norm(vectors, axis=1) / length / temperature)
        found[user] = share / share.sum()
    return found


def test_the_channel_by_its_formula():
    """Catches another sum over what is held, a forgotten length, and the temperature."""
    rng = np.random.default_rng(0)
    held = sp.csr_array((rng.random((5, 7)) < 0.4).astype(np.float32))
    vectors = rng.normal(size=(7, 3)).astype(np.float32)
    view = view_of(held)
    relation = relation_of(Vectors, view, PairConfig(vectors=3, vector_temperature=0.3))
    relation.table.copy_(torch.from_numpy(vectors))
    batch = batch_of(view)
    share = softmax_by_loop(vectors, held, held, 0.3)
    expected = log_share(torch.from_numpy(share), batch.free)
    np.testing.assert_allclose(relation.sample(batch)[..., 0], expected, rtol=1e-4, atol=1e-4)
    assert relation.channel_names() == ("vectors",)


@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_vectors_spread_over_the_graph_by_their_formula(spread):
    """Catches a normalisation left out, and an item or user without edges that divides by zero."""
    held = np.zeros((6, 5), np.float32)
    held[:4, :4] = np.random.default_rng(1).random((4, 4)) < 0.6
    graph = _Graph(sp.csr_array(held), replace(CONFIG, vector_spread=spread))
    first = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    users, items = (np.maximum(held.sum(axis=one), 1.0) for one in (1, 0))
    step = (held / np.sqrt(items)).T @ ((held / np.sqrt(items)) / users[:, None])
    expected = first.numpy() + spread * step @ first.numpy()
    np.testing.assert_allclose(graph.spread(first, None), expected, rtol=1e-5, atol=1e-6)


def test_nothing_hidden_is_in_the_messages_that_are_to_find_it():
    """Catches a target's edge in its own step, in either direction: whatever a step's users hold,
    items' vectors are the same, and a user is made of what is left alone."""
    held = halves(40)
    graph = _Graph(held, CONFIG)
    first = torch.randn(held.shape[1], 8, generator=torch.Generator().manual_seed(0))
    users = np.array([3, 7, 20])
    other = sp.lil_array(held)
    for user in users:
        other[user] = held[[user + 1]].toarray()[0]
    changed = _Graph(sp.csr_array(other), CONFIG)
    changed.scale = graph.scale  # how many have an item is known of all
    one, two = (g.spread(first, users) for g in (graph, changed))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.allclose(graph.spread(first, None), changed.spread(first, None))


def test_hidden_items_are_found_by_what_is_left():
    """Catches a loss that teaches nothing: items hidden from a user outrank the other half's,
    which chance would not tell apart; with shuffled interactions they do not."""
    held = halves()
    asked = halves(seed=1)  # other draws of the same halves, never learned from
    right = (np.arange(30) // 15)[None, :] == (np.arange(200) % 2)[:, None]

    def share(known):
        found = softmax_by_loop(learn_vectors(known, CONFIG), known, asked, 0.1)
        return float((found * right).sum(axis=1).mean())

    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(row) for row in held.toarray()])
    assert share(held) > 0.9
    assert share(sp.csr_array(shuffled)) == pytest.approx(0.5, abs=0.15)


def test_the_same_for_a_seed():
    """Catches a draw that comes from elsewhere, and a seed without effect."""
    held, config = halves(60), replace(CONFIG, vector_epochs=2)
    one, two = learn_vectors(held, config, 3), learn_vectors(held, config, 3)
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, learn_vectors(held, config, 4))


@pytest.mark.parametrize("most", [0, 1])
def test_too_little_to_hide_is_no_error(most):
    """Catches a step over no users, where nobody has two items."""
    held = sp.csr_array(np.eye(5, 4, dtype=np.float32) * most)
    assert np.isfinite(learn_vectors(held, CONFIG)).all()


def test_vectors_are_those_of_the_view():
    """Catches vectors of another view, and ones that are learned twice."""
    config = replace(CONFIG, vector_epochs=2)
    one, two = make_view(1), make_view(2)
    relation = relation_of(Vectors, one, config)
    for view in (one, two):
        relation.prepare(view, 3, SILENT, "all")
        expected = learn_vectors(view.snapshot.matrix(), config, 3)
        np.testing.assert_array_equal(view.kept("vectors", list), expected)
        relation.prepare(view, 4, SILENT, "all")  # they are there already
        np.testing.assert_array_equal(view.kept("vectors", list), expected)
    assert not np.array_equal(one.kept("vectors", list), two.kept("vectors", list))


def test_weights_keep_the_vectors_of_the_view_that_is_scored_in():
    """Catches weights without vectors, and a view that reads those of another though it has its
    own."""
    config = replace(CONFIG, vector_epochs=2)
    view, later = make_view(1), make_view(1)
    relation = relation_of(Vectors, view, config)
    relation.prepare(view, 3, SILENT, "all")
    relation.settle(view)
    again = relation_of(Vectors, view, config)
    again.load_state_dict(relation.state_dict())
    assert torch.equal(again.table, view.kept("vectors", list))
    assert torch.equal(relation.sample(batch_of(view)), again.sample(batch_of(later)))
    other = make_view(1)
    relation.prepare(other, 4, SILENT, "all")
    assert not torch.allclose(relation.sample(batch_of(other)), again.sample(batch_of(later)))


def test_without_a_width_there_are_none():
    """Catches a table of no columns in every saved model, and vectors that nobody asked for."""
    view = make_view(1)
    relation = relation_of(Vectors, view, PairConfig())
    relation.prepare(view, 0, SILENT, "all")
    relation.settle(view)
    assert relation.channel_names() == ()
    assert not relation.state_dict()
    assert view.kept("vectors", lambda: None) is None


def test_a_model_reads_them_as_a_channel_of_its_own():
    """Catches vectors that reach no score, and a channel at another's place."""
    snapshot = make_snapshot(1)
    plain = make_pair(snapshot)
    config = replace(plain.config.pair, vectors=4, vector_epochs=2)
    model = make_pair(snapshot, pair=config)
    assert set(model.channels) - set(plain.channels) == {"vectors"}
    view = GraphTensors(snapshot)
    model.prepare(view, 0)
    place = model.channels.index("vectors")
    evidence = model.evidence(view, view.seeds(np.arange(5)))
    vectors = learn_vectors(snapshot.matrix(), config)
    held = snapshot.matrix()
    share = softmax_by_loop(vectors, held, held[:5], config.vector_temperature)
    expected = log_share(torch.from_numpy(share), evidence.batch.free)
    np.testing.assert_allclose(evidence.pairs[..., place], expected, rtol=1e-3, atol=1e-3)
    before = model(evidence)
    with torch.no_grad():
        model.weight[place] += 1
    assert not torch.allclose(before, model(evidence))
