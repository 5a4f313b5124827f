"""What texts say: descriptions, messages, and scores carried over to items with like text."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_views import CONFIG, NOBODY, UNSOLD, batch_of, cosine, edges, make_view, relation_of
from snapshots import make_dated_snapshot, with_pairs, without_text

from finrec_dgl.dataset.snapshot import without_nodes
from finrec_dgl.relations import GraphTensors, TextNear
from finrec_dgl.relations.base import FLOOR
from finrec_dgl.relations.text_near import (
    TEXT_CHANNELS,
    TextMaps,
    described,
    description,
    one_hot,
    text_messages,
)

# ---- descriptions


def test_one_hot_codes():
    """Catches a column at the place of an unknown code, and a code that is missing."""
    found = one_hot(np.array([1, -1, 0, 2], np.int32))
    assert found.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert one_hot(np.array([-1, -1], np.int32)).shape == (2, 0)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_descriptions_by_item(weight):
    """Catches categories of another weight or item, and ones where a category is unknown."""
    snapshot = make_dated_snapshot(3)
    kinds = np.array([-1, 0, 2] * 7)[: snapshot.n_items].astype(np.int32)
    places = np.array([1, -1, -1, 0] * 5).astype(np.int32)
    snapshot = replace(snapshot, item_categories={"kind": kinds, "place": places})
    found = description(GraphTensors(snapshot), replace(CONFIG, text_categories=weight))
    for item in range(snapshot.n_items):
        told = [float(kinds[item] == code) for code in range(3)]
        told += [float(places[item] == code) for code in range(2)]
        known = max(math.sqrt(sum(told)), 1e-9)
        row = [*snapshot.item_text[item], *snapshot.item_posts[item]]
        row = np.array([*row, *(weight * one / known for one in told)], np.float64)
        length = max(np.linalg.norm(row), 1e-9)
        np.testing.assert_allclose(found[item], row / length, atol=1e-6)


def test_an_item_with_a_category_alone_is_described():
    """Catches a new item without a text whose category has no say."""
    snapshot = without_text(make_dated_snapshot(4), dim=8)
    known = snapshot.item_categories["kind"] >= 0
    assert 0 < known.sum() < snapshot.n_items
    assert np.array_equal(described(GraphTensors(snapshot), CONFIG).numpy(), known)
    without = replace(CONFIG, text_categories=0.0)
    assert not described(GraphTensors(snapshot), without).any()


def test_what_is_known_of_a_hidden_item_does_not_hang_on_its_past():
    """Catches a hidden item's users in its description, or in what is carried over to it."""
    snapshot = make_dated_snapshot(5)
    hidden = np.arange(snapshot.n_items) < 4
    other = with_pairs(snapshot, ~np.isin(snapshot.pairs.item, [0, 1]))
    one, another = (GraphTensors(without_nodes(one, "item", hidden)) for one in (snapshot, other))
    assert torch.equal(description(one, CONFIG), description(another, CONFIG))
    mine, theirs = maps_of(one), maps_of(another)
    assert torch.equal(mine.kernel, theirs.kernel)
    assert torch.equal(mine.smoother, theirs.smoother)
    assert not mine.kernel[hidden].any()
    assert not mine.smoother[hidden].any()


# ---- messages


def share_by_loop(message, there, free):
    """The channel of one seed: log of the share among what is free and told of, 0 elsewhere."""
    among = [i for i in range(len(message)) if there[i] and free[i]]
    total = sum(max(message[i], 0) for i in among)
    return [
        math.log(max(message[i], 0) / max(total, 1e-9) * len(among) + FLOOR) if there[i] else 0.0
        for i in range(len(message))
    ]


def told_by_loop(view, user):
    """The messages to ``user`` and where there are any, in the order of ``TEXT_CHANNELS``."""
    snapshot, sharp = view.snapshot, CONFIG.text_sharpness
    both, known = description(view, CONFIG).numpy(), described(view, CONFIG).numpy()
    items, mine = edges(snapshot)[user], snapshot.user_text[user]
    every = range(view.n_items)
    near = [
        sum(
            math.exp(sharp * (cosine(both[item], both[j]) - 1))
            for j in items
            if j != item and known[item] and known[j]
        )
        for item in every
    ]
    told = [(near, [bool(items) and bool(known[item]) for item in every])]
    for text in (snapshot.item_text, snapshot.item_posts):
        like = [math.exp(sharp * (float(mine @ text[item]) - 1)) for item in every]
        told.append((like, [mine.any() and text[item].any() for item in every]))
    text, held = snapshot.user_text.astype(np.float64), snapshot.matrix().toarray()
    gram = text.T @ text
    gram += CONFIG.text_penalty * np.trace(gram) / len(gram) * np.eye(len(gram))
    fitted = mine @ np.linalg.solve(gram, text.T @ held)
    told.append((fitted, [mine.any() and held[:, item].any() for item in every]))
    return told


def test_messages_by_pair():
    """Catches texts of an item that is its own neighbour, likeness where there is none, a ridge
    regression of another weight, and a channel under another's name."""
    view = make_view(9)
    batch = batch_of(view)
    found = text_messages(batch, CONFIG)
    assert found.shape == (view.n_users, view.n_items, len(TEXT_CHANNELS))
    for user in (0, 4, 11, NOBODY):
        for number, (message, there) in enumerate(told_by_loop(view, user)):
            expected = share_by_loop(message, there, batch.free[user].tolist())
            np.testing.assert_allclose(
                found[user, :, number], expected, rtol=1e-3, atol=2e-3, err_msg=f"{user} {number}"
            )


def test_there_are_channels_only_where_texts_count_for_everything():
    """Catches channels without a text, or where the configuration asks for none."""
    view = make_view(9)
    on = replace(CONFIG, text_channels=True)
    assert relation_of(TextNear, view, on).channel_names() == TEXT_CHANNELS
    assert relation_of(TextNear, view, on, text_dim=0).channel_names() == ()
    assert relation_of(TextNear, view, CONFIG).channel_names() == ()
    batch = batch_of(view)
    found = relation_of(TextNear, view, on).sample(batch)
    assert torch.equal(found, text_messages(batch, on))


def test_who_has_and_writes_nothing_is_told_nothing():
    """Catches messages that come from nowhere, and an item of nobody that users are said to
    take up."""
    view = make_view(0)
    found = text_messages(batch_of(view, [NOBODY]), CONFIG)[0]
    assert not found[:, TEXT_CHANNELS.index("text history")].any()
    every = text_messages(batch_of(view), CONFIG)
    assert not every[:, UNSOLD, TEXT_CHANNELS.index("text fit")].any()


# ---- maps


def maps_of(view, columns=None):
    """The maps to ``columns``, or to all items."""
    columns = torch.arange(view.n_items) if columns is None else torch.tensor(columns)
    return TextMaps(view, columns, CONFIG)


def known_items(view):
    """The items with interactions and a text."""
    known = described(view, CONFIG)
    return [i for i in range(view.n_items) if view.item_count[i] and known[i]]


def test_the_text_kernel_is_a_mean_over_other_items_with_interactions():
    """Catches a column that does not add up to 1, that holds the item itself, or new ones."""
    view = make_view(10)
    kernel, known = maps_of(view).kernel, known_items(view)
    text = description(view, CONFIG).numpy()
    for item in range(view.n_items):
        raw = [
            math.exp(CONFIG.text_sharpness * float(text[item] @ text[j]))
            if j in known and j != item
            else 0.0
            for j in range(view.n_items)
        ]
        np.testing.assert_allclose(kernel[:, item], np.array(raw) / sum(raw), rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(kernel.sum(0), 1.0, atol=1e-5)
    assert not kernel.diagonal().any()
    assert not kernel[UNSOLD].any()


def test_the_ridge_smoother_leaves_each_item_out():
    """Catches a fitted score in which the item's own one has a part: by explicit refits."""
    view = make_view(11)
    maps, known = maps_of(view), known_items(view)
    text = description(view, CONFIG).double().numpy()
    centred = text - text[known].mean(axis=0)
    scores = np.random.default_rng(0).normal(size=view.n_items)
    found = scores @ maps.smoother.double().numpy()
    mean = scores[known].mean()
    for item in range(view.n_items):
        rest = [j for j in known if j != item]
        x = centred[rest]
        normal = x.T @ x + CONFIG.text_penalty * np.eye(x.shape[1])
        expected = centred[item] @ np.linalg.solve(normal, x.T @ (scores[rest] - mean))
        expected = mean + expected if text[item].any() else mean
        assert found[item] == pytest.approx(expected, abs=1e-3)


def test_scores_are_carried_over_by_both_maps():
    """Catches a mean over other items, one that is lost, and maps in another order."""
    view = make_view(11)
    maps = maps_of(view)
    scores = torch.randn(3, view.n_items, generator=torch.Generator().manual_seed(0))
    kernel, regressed = maps(scores)
    np.testing.assert_allclose(kernel, scores @ maps.kernel, atol=1e-6)
    np.testing.assert_allclose(regressed, scores @ maps.smoother, atol=1e-6)
    np.testing.assert_allclose(maps(torch.full((1, view.n_items), 3.0))[1], 3.0, atol=1e-5)


def test_maps_to_some_items_are_columns_of_those_to_all():
    """Catches an item's own score in its fitted one, or another item's column."""
    view, columns = make_view(11), [0, 2, UNSOLD]
    every, some = maps_of(view), maps_of(view, columns)
    np.testing.assert_allclose(some.kernel, every.kernel[:, columns], atol=1e-6)
    np.testing.assert_allclose(some.smoother, every.smoother[:, columns], atol=1e-5)
