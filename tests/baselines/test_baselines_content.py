"""Text near some of the products held, against the formula in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from recommender_contract import RecommenderContract, planted, snapshot_of, unit

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.baselines import Content, TextOnly


class TestContent(RecommenderContract):
    def make(self):
        return Content()


class TestContentOfNearestWithPosts(RecommenderContract):
    def make(self):
        return Content(neighbours=2, posts=True)


def world(seed=0, n_users=12, n_items=9):
    """Some items without a profile, some without posts, one with neither; a user who holds none."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_users, n_items)) < 0.5
    mask[0] = False
    text, posts = (unit(rng.normal(size=(n_items, 5))) for _ in range(2))
    text[[1, 2]], posts[[2, 3]] = 0, 0
    user_text = unit(rng.normal(size=(n_users, 5)))
    return snapshot_of(mask, item_text=text, user_text=user_text, item_posts=posts), mask


def by_hand(snapshot, mask, neighbours, posts):
    """The docstring's formula, one number at a time."""
    vectors = snapshot.item_text + (snapshot.item_posts if posts else 0)
    length = np.linalg.norm(vectors, axis=1)
    scores = np.zeros(mask.shape)
    for user, item in np.ndindex(*mask.shape):
        if not length[item]:
            continue
        target = vectors[item] / length[item]
        held = [one for one in np.flatnonzero(mask[user]) if length[one]]
        near = sorted((float(target @ vectors[one] / length[one]) for one in held), reverse=True)
        own = float(target @ snapshot.user_text[user])
        scores[user, item] = np.mean(near[:neighbours]) if near else own
    return scores


@pytest.mark.parametrize("neighbours", [1, 3, 50, None])
@pytest.mark.parametrize("posts", [False, True])
def test_equals_the_formula(neighbours, posts):
    """Catches the smallest cosines for the largest, held items without text that pull the mean
    down, and posts that are left out or outweigh."""
    snapshot, mask = world()
    found = Content(neighbours, posts).fit(snapshot).score(np.arange(len(mask)))
    assert found == pytest.approx(by_hand(snapshot, mask, neighbours, posts), abs=1e-5)


def test_all_neighbours_rank_as_the_mean_text_does():
    """Catches a mean that is not over what is held: the same order as the baseline of the mean."""
    snapshot, _ = planted()
    users = np.flatnonzero(snapshot.matrix().sum(axis=1) > 0)
    one, other = (each.fit(snapshot).score(users) for each in (Content(), TextOnly()))
    assert all(np.corrcoef(a, b)[0, 1] > 0.9999 for a, b in zip(one, other, strict=True))


def test_posts_alone_are_text_enough():
    """Catches an item that nobody described and that is known by what was said about it."""
    mask = np.array([[True, False, False]])
    posts = unit(np.array([[1.0, 0], [1, 0.1], [0, 1]]))
    bare = np.zeros((3, 2), np.float32)
    scores = Content(posts=True).fit(snapshot_of(mask, item_text=bare, item_posts=posts))
    assert scores.score(np.array([0]))[0].argsort().tolist() == [2, 1, 0]
    with pytest.raises(DataError, match="no item has a text vector"):
        Content().fit(snapshot_of(mask, item_text=bare, item_posts=posts))


def test_neighbours_below_one_are_refused():
    """Catches a mean over nothing."""
    with pytest.raises(ConfigError, match="neighbours is 0"):
        Content(neighbours=0)
