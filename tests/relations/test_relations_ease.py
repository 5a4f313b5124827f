"""EASE as a relation: messages of what is held over filters between items."""

from dataclasses import replace

import numpy as np
import pytest
from graph_views import CONFIG, NOBODY, batch_of, make_view, relation_of

from finrec_dgl.graph.ease import ease_filters, near_ease_filters
from finrec_dgl.relations import Ease, log_share


def test_messages_are_of_what_is_held():
    """Catches a filter on the wrong side, and penalties in another order."""
    view = make_view(3)
    batch, held = batch_of(view), view.snapshot.matrix().toarray()
    filters = ease_filters(view.snapshot.matrix(), CONFIG.ease)
    found = relation_of(Ease, view).messages(batch)
    for one, filter_ in zip(found, filters, strict=True):
        np.testing.assert_allclose(one, held @ filter_, atol=1e-4)
    assert not any(one[NOBODY].any() for one in found)


@pytest.mark.parametrize("users", [0.0, 0.5])
def test_messages_by_the_nearest_items(users):
    """Catches settings that do not reach the filter, and sparse rows that no channel can read."""
    config = replace(CONFIG, ease=(5.0, 50.0), ease_near=3, ease_users=users)
    view = make_view(3)
    held = view.snapshot.matrix()
    filters = near_ease_filters(held, config.ease, 3, users)
    found = relation_of(Ease, view, config).messages(batch_of(view))
    for one, filter_ in zip(found, filters, strict=True):
        np.testing.assert_allclose(one, held.toarray() @ filter_.toarray(), atol=1e-5)


def test_channels_are_shares_of_the_messages():
    """Catches a channel at another's place, or one that is no share."""
    view = make_view(4)
    batch, ease = batch_of(view), relation_of(Ease, view)
    found = ease.sample(batch)
    assert ease.channel_names() == ("ease 20", "ease 200")
    assert found.shape == (view.n_users, view.n_items, 2)
    for number, message in enumerate(ease.messages(batch)):
        np.testing.assert_array_equal(found[..., number], log_share(message, batch.free))


def test_the_largest_penalty_starts_where_no_cosine_does():
    """Catches two starts, or none."""
    view = make_view(0)
    assert relation_of(Ease, view).start().tolist() == [0, 0]
    for config in (
        replace(CONFIG, holding_half_lives=()),
        replace(CONFIG, relations=("ease", "popularity")),
    ):
        assert relation_of(Ease, view, config).start().tolist() == [0, 1]
    assert relation_of(Ease, view, replace(CONFIG, ease=())).start().tolist() == []


def test_filters_are_made_once_a_view():
    """Catches a filter that is made for every batch, and one that stays when it was forgotten."""
    view = make_view(3)
    ease = relation_of(Ease, view)
    before = ease.messages(batch_of(view))
    kept = view.kept("ease", list)
    assert view.kept("ease", list) is kept
    assert len(kept) == len(CONFIG.ease)
    view.forget()
    for one, other in zip(before, ease.messages(batch_of(view)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert view.kept("ease", list) is not kept
