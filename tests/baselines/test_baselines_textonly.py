"""Text alone: the products held speak for a user, else the user's own words."""

from __future__ import annotations

import numpy as np
import pytest
from recommender_contract import RecommenderContract, planted, snapshot_of, unit
from sklearn.metrics.pairwise import cosine_similarity

from finrec_dgl.base.errors import DataError
from finrec_dgl.baselines import TextOnly


class TestTextOnly(RecommenderContract):
    def make(self):
        return TextOnly()


def test_equals_the_cosine_with_the_mean_of_what_is_held():
    snapshot, _ = planted()
    mask = snapshot.matrix().toarray() > 0
    users = np.flatnonzero(mask.any(axis=1))
    means = np.stack([snapshot.item_text[mask[user]].mean(axis=0) for user in users])
    expected = cosine_similarity(means, snapshot.item_text)
    assert TextOnly().fit(snapshot).score(users) == pytest.approx(expected, abs=1e-5)


TEXT = unit(np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]]))


def test_a_user_who_holds_nothing_with_text_speaks_by_their_own():
    """User 0 holds an item with text, 1 one without, 2 nothing, 3 nothing and has no text."""
    item_text = TEXT.copy()
    item_text[3] = 0
    mask = np.zeros((4, 4), bool)
    mask[0, 0], mask[1, 3] = True, True
    user_text = np.tile(np.array([0, 1, 0], np.float32), (4, 1))
    user_text[3] = 0
    scores = (
        TextOnly()
        .fit(snapshot_of(mask, item_text=item_text, user_text=user_text))
        .score(np.arange(4))
    )
    half = np.sqrt(0.5)
    assert scores[0] == pytest.approx([1, 0, half, 0], abs=1e-6)
    assert scores[1] == pytest.approx([0, 1, half, 0], abs=1e-6)
    assert scores[2] == pytest.approx(scores[1])
    assert not scores[3].any()


@pytest.mark.parametrize("width", [0, 3])
def test_needs_items_with_text(width):
    """A dataset made without an encoder has vectors of width 0."""
    bare = snapshot_of(np.ones((2, 4), bool), item_text=np.zeros((4, width), np.float32))
    with pytest.raises(DataError, match="no item has a text vector"):
        TextOnly().fit(bare)
