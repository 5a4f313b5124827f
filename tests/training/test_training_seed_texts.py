"""User text in training: never the text of an interaction that the batch predicts."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import make_snapshot

from finrec_dgl.dataset.snapshot import StoredTexts
from finrec_dgl.training.seed_texts import seed_texts


def world(seed):
    """A snapshot whose users wrote: a text may be on several products, and come twice."""
    snapshot = make_snapshot(seed, users=12, items=8, edges=50)
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(30, 5)).astype(np.float32)
    posts = rng.integers(0, len(snapshot.pairs.user), 90)
    text = rng.integers(-1, 25, 90).astype(np.int32)
    stored = StoredTexts(
        vectors,
        snapshot.pairs.user[posts],
        snapshot.pairs.item[posts],
        text,
        np.where(np.arange(12) % 2, 25 + np.arange(12) // 4, -1).astype(np.int32),
        np.full(8, -1, np.int32),
    )
    return dataclasses.replace(snapshot, texts=stored)


@settings(max_examples=40)
@given(seed=st.integers(0, 5000), size=st.integers(1, 30))
def test_text_of_seed_edges_is_left_out(seed, size):
    """The leak through text: the post that tells of the purchase which is to be predicted."""
    snapshot = world(seed)
    stored, pairs = snapshot.texts, snapshot.pairs
    edges = np.random.default_rng(seed).permutation(len(pairs.user))[:size]
    users, row = np.unique(pairs.user[edges], return_inverse=True)
    found = seed_texts(snapshot).without(edges, users, row)
    unit = stored.vectors / np.linalg.norm(stored.vectors, axis=1, keepdims=True)
    chosen = set(zip(pairs.user[edges].tolist(), pairs.item[edges].tolist(), strict=True))
    posts = [
        (u, i, t)
        for u, i, t in zip(stored.post_user, stored.post_item, stored.post_text, strict=True)
        if t >= 0
    ]
    for user, vector in zip(users.tolist(), found, strict=True):
        own = {t for u, _, t in posts if u == user}
        seeds = {t for u, i, t in posts if u == user and (u, i) in chosen}
        left = sorted(own - seeds)
        if left:
            plain = unit[left].sum(0)
            plain /= np.linalg.norm(plain)
        elif stored.user_profile[user] >= 0:
            plain = unit[stored.user_profile[user]]
        else:
            plain = np.zeros(5)
        np.testing.assert_allclose(vector, plain, atol=1e-5)


def test_without_seeds_it_is_the_snapshots_text():
    """Catches a mean in training that differs from the one in use."""
    snapshot = world(3)
    users = np.arange(12)
    none = np.zeros(0, np.int64)
    found = seed_texts(snapshot).without(none, users, none)
    np.testing.assert_allclose(found, snapshot.user_text, atol=1e-5)


def test_no_posts_no_work():
    """Catches a detour for data without posts."""
    assert seed_texts(make_snapshot()) is None
    silent = world(0)
    texts = dataclasses.replace(silent.texts, post_text=silent.texts.post_text * 0 - 1)
    assert seed_texts(dataclasses.replace(silent, texts=texts)) is None
