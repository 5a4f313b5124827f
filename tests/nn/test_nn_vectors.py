"""Learned vectors of products: their formulas, and that nothing hidden helps to find itself."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from derived_models import make_derived
from snapshots import make_snapshot

from finrec_dgl.nn import PairConfig, World, learn_vectors
from finrec_dgl.nn.vectors import VectorFilter, _Graph

CONFIG = PairConfig(vectors=8, vector_epochs=20)


def halves(users=200, items=30, each=8, seed=0):
    """Two halves of users, each holding products of its own half alone."""
    rng = np.random.default_rng(seed)
    held = np.zeros((users, items), np.float32)
    for user in range(users):
        mine = rng.choice(items // 2, each, replace=False) + (user % 2) * (items // 2)
        held[user, mine] = 1
    return sp.csr_array(held)


def test_the_filter_by_its_formula():
    """Catches another sum over what is held, a forgotten length, and the temperature."""
    rng = np.random.default_rng(0)
    held = sp.csr_array((rng.random((5, 7)) < 0.4).astype(np.float32))
    vectors = rng.normal(size=(7, 3)).astype(np.float32)
    holders = np.asarray(held.sum(axis=0)).ravel()
    found = VectorFilter(vectors, holders, 0.3)(held)
    for user in range(5):
        mine = held[[user]].indices
        u = sum((vectors[j] / np.sqrt(holders[j]) for j in mine), np.zeros(3))
        length = np.linalg.norm(u) if len(mine) else 1.0
        cosine = (vectors @ u) / np.linalg.norm(vectors, axis=1) / length
        share = np.exp(cosine / 0.3)
        np.testing.assert_allclose(found[user], share / share.sum(), rtol=1e-4)


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
    products' vectors are the same, and a user is made of what is left alone."""
    held = halves(40)
    graph = _Graph(held, CONFIG)
    first = torch.randn(held.shape[1], 8, generator=torch.Generator().manual_seed(0))
    users = np.array([3, 7, 20])
    other = sp.lil_array(held)
    for user in users:
        other[user] = held[[user + 1]].toarray()[0]
    changed = _Graph(sp.csr_array(other), CONFIG)
    changed.scale = graph.scale  # how many hold a product is known of all
    one, two = (g.spread(first, users) for g in (graph, changed))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.allclose(graph.spread(first, None), changed.spread(first, None))


def test_hidden_products_are_found_by_what_is_left():
    """Catches a loss that teaches nothing: held products hidden from a user outrank the other
    half's, which chance would not tell apart; with shuffled holdings they do not."""
    held = halves()
    asked = halves(seed=1)  # other draws of the same halves, never learned from
    right = (np.arange(30) // 15)[None, :] == (np.arange(200) % 2)[:, None]

    def share(known):
        vectors = learn_vectors(known, CONFIG)
        found = VectorFilter(vectors, np.asarray(known.sum(axis=0)).ravel(), 0.1)(asked)
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
    """Catches a step over no users, where nobody holds two products."""
    held = sp.csr_array(np.eye(5, 4, dtype=np.float32) * most)
    assert np.isfinite(learn_vectors(held, CONFIG)).all()


def test_a_model_reads_them_as_a_channel_of_its_own():
    """Catches vectors that reach no score, and a channel at another's place."""
    snapshot = make_snapshot(1)
    plain = make_derived(snapshot)
    derived = replace(plain.config.derived, vectors=4, vector_epochs=2)
    model = make_derived(snapshot, derived=derived)
    assert set(model.channels) - set(plain.channels) == {"vectors"}
    world = World(snapshot, derived, learn_vectors(snapshot.matrix(), derived))
    rows = world.receivers(np.arange(5))
    place = model.channels.index("vectors")
    filtered = world.filtered(rows)
    by_vectors = VectorFilter(world.vectors, world.sold, derived.vector_temperature)(rows.held)
    np.testing.assert_array_equal(filtered[place], by_vectors)
    before = model(world, model.evidence(world, rows))
    with torch.no_grad():
        model.weight[place] += 1
    assert not torch.allclose(before, model(world, model.evidence(world, rows)))
