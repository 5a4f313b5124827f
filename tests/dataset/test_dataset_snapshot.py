"""Pairs, profiles and texts of a moment against loops."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_worlds import CUT, make_tables, options
from hypothesis import given
from hypothesis import strategies as st
from snapshots import make_snapshot

from finrec_dgl.base.errors import DataError
from finrec_dgl.dataset import Pairs, build_dataset, snapshot
from finrec_dgl.dataset.snapshot import UNDATED, Profiles, StoredTexts, sort_pairs, without_nodes
from finrec_dgl.graph import INTERACTS, tie_relations
from finrec_dgl.kernels import relation_edges


def test_pairs_check_themselves():
    """Catches pairs that are repeated or out of order, on which searches by user rest."""
    one, two = np.array([0, 0, 1], np.int32), np.array([1, 1, 0], np.int32)
    for user, item in ((one, two), (one[::-1], two), (one, two[:2])):
        with pytest.raises(DataError):
            Pairs(user, item)


def test_pairs_as_ranges_and_as_a_matrix():
    """Catches users without pairs that shift the ranges of the others."""
    pairs = Pairs(np.array([1, 1, 3], np.int32), np.array([0, 2, 1], np.int32))
    assert pairs.indptr(5).tolist() == [0, 0, 2, 2, 3, 3]
    dense = pairs.matrix(5, 3).toarray()
    assert dense.dtype == np.float32
    assert np.argwhere(dense).tolist() == [[1, 0], [1, 2], [3, 1]]
    assert len(Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32)).indptr(2)) == 3


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=40))
def test_pairs_sorted_by_counting(rows):
    """Catches equal pairs that change places, and users or items without any."""
    user, item = (np.array([row[side] for row in rows], np.int32) for side in (0, 1))
    found = sort_pairs(user, item, 7, 5)
    expected = np.lexsort((np.arange(len(rows)), item, user))
    assert np.array_equal(found.order, expected)
    assert np.array_equal(found.user, user[expected])
    assert np.array_equal(found.item, item[expected])
    assert (found.user.dtype, found.item.dtype) == (np.int32, np.int32)
    ends = found.ends
    assert sorted(set(rows)) == list(
        zip(found.user[ends].tolist(), found.item[ends].tolist(), strict=True)
    )


def test_a_layer_has_the_edges_of_the_graph():
    """Catches a relation, a tie or an order of edges that differs without DGL."""
    world = make_snapshot(kinds=("family", "firm"))
    graph, layer = world.graph(), world.layer()
    assert set(layer.canonical_etypes) == set(graph.canonical_etypes)
    for name in ("user", "item"):
        assert layer.num_nodes(name) == graph.num_nodes(name)
    for relation in graph.canonical_etypes:
        mine, others = layer.edges[relation], relation_edges(graph, relation)
        assert (mine.n_src, mine.n_dst) == (others.n_src, others.n_dst)
        assert mine.source.equal(others.source)
        assert mine.target.equal(others.target)


@given(
    st.sets(st.tuples(st.integers(0, 4), st.sampled_from([UNDATED, 1, 2, 3, 4]))),
    st.none() | st.integers(0, 5),
)
def test_the_latest_profile_is_the_last_before(versions, time):
    """Catches a version of the very moment or later, and dated ones that yield to undated."""
    rows = sorted(versions)
    node = np.array([row[0] for row in rows], np.int32)
    times = np.array([row[1] for row in rows], np.int64)
    text = np.arange(len(rows), dtype=np.int32)
    sizes = text.astype(np.float32) / 2
    profiles = Profiles(node, times, text, {"kind": text + 100}, {"size": sizes})
    latest = profiles.latest(6, time)
    for one in range(6):
        mine = [
            n for n, row in enumerate(rows) if row[0] == one and (time is None or row[1] < time)
        ]
        assert latest[one] == (mine[-1] if mine else -1)
    assert profiles.text_at(latest).tolist() == latest.tolist()
    codes = profiles.categories_at(latest)["kind"]
    assert codes.tolist() == [row + 100 if row >= 0 else -1 for row in latest.tolist()]
    found = profiles.numbers_at(latest)["size"]
    assert found.dtype == np.float32
    expected = [row / 2 if row >= 0 else np.nan for row in latest.tolist()]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 6)), max_size=20), st.data())
def test_a_users_text_is_the_mean_of_distinct_posts(posts, data):
    """Catches repeats counted twice, long vectors that outweigh, blocks that are mixed up."""
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(7, 5)) * rng.uniform(0.1, 9, size=(7, 1))).astype(np.float32)
    profile = np.array([data.draw(st.integers(-1, 6)) for _ in range(5)], np.int32)
    user = np.array([post[0] for post in posts], np.int32)
    text = np.array([post[1] for post in posts], np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "_TEXTS_AT_ONCE", 3)
        found, source = StoredTexts(vectors, user, user * 0, text, profile, profile).users()
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for one in range(5):
        wrote = {post[1] for post in posts if post[0] == one and post[1] >= 0}
        expected = np.zeros(5)
        if wrote:
            expected = np.mean([units[number] for number in wrote], axis=0)
        elif profile[one] >= 0:
            expected = units[profile[one]]
        length = np.linalg.norm(expected)
        np.testing.assert_allclose(found[one], expected / length if length else 0, atol=1e-5)
        assert source[one] == (1 if wrote else 2 if profile[one] >= 0 else 0)


def test_posts_that_cancel_out_are_no_text():
    """Catches rounding errors blown up to a vector of length one."""
    vectors = np.array([[0.6, 0.8], [-0.6, -0.8]], np.float16)
    both = np.array([0, 1], np.int32)
    found, source = StoredTexts(vectors, both * 0, both * 0, both, *[np.array([-1])] * 2).users()
    assert not found.any()
    assert source.tolist() == [0]


def test_the_graph_is_of_the_pairs_and_ties_in_their_order(tmp_path):
    """Catches edges in another order than the pairs, on which exclusion of targets rests."""
    dataset = build_dataset(make_tables(), tmp_path / "out", options())
    fit = dataset.snapshot("fit")
    graph = fit.graph()
    assert fit.graph() is graph
    assert graph.num_nodes("user") == fit.n_users
    source, target = graph.edges(etype=INTERACTS, order="eid")
    assert np.array_equal(source.numpy(), fit.pairs.user)
    assert np.array_equal(target.numpy(), fit.pairs.item)
    assert set(fit.ties) == {"family", "friend"}
    for kind, (source, target) in fit.ties.items():
        assert graph.num_edges(tie_relations(kind)[0]) == len(source) > 0
        assert not np.any(source == target)
        assert len({*zip(source.tolist(), target.tolist(), strict=True)}) == len(source)
    assert fit.matrix().sum() == len(fit.pairs)
    assert fit.matrix() is fit.matrix()


def test_count_and_last_are_of_the_events(tmp_path):
    """Catches repeats that are lost, and the first time taken for the last."""
    tables = make_tables(events=600, users=6, items=5)
    dataset = build_dataset(tables, tmp_path / "out", options())
    fit = dataset.snapshot("fit")
    events = tables.interactions
    seen = {}
    for user, item, time in zip(
        *(events[name].to_pylist() for name in ("user_id", "item_id", "timestamp")), strict=True
    ):
        if time < CUT:
            seen.setdefault((user, item), []).append(time)
    assert fit.count.max() > 3
    for user, item, count, last in zip(
        fit.pairs.user, fit.pairs.item, fit.count, fit.last, strict=True
    ):
        times = seen[(dataset.user_ids[int(user)].as_py(), dataset.item_ids[int(item)].as_py())]
        assert (count, last) == (len(times), max(times))


@pytest.mark.parametrize("side", ["item", "user"])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_hidden_nodes_have_no_past(tmp_path, side, share):
    """Catches counts and times that slip to another pair, texts that still speak of what is
    hidden, and a snapshot that changes when another is made of it."""
    dataset = build_dataset(make_tables(), tmp_path / "out", options())
    fit = dataset.snapshot("fit")
    before = fit.matrix().toarray(), fit.user_text.copy(), fit.item_posts.copy()
    size = dataset.n_items if side == "item" else dataset.n_users
    hidden = np.random.default_rng(1).random(size) < share
    found = without_nodes(fit, side, hidden)

    rows = list(zip(fit.pairs.user.tolist(), fit.pairs.item.tolist(), strict=True))
    kept = [n for n, row in enumerate(rows) if not hidden[row[side == "item"]]]
    pairs = list(zip(found.pairs.user.tolist(), found.pairs.item.tolist(), strict=True))
    assert pairs == [rows[n] for n in kept]
    assert np.array_equal(found.count, fit.count[kept])
    assert np.array_equal(found.last, fit.last[kept])
    assert found.matrix().sum() == found.graph().num_edges(INTERACTS) == len(kept)

    told = [
        (user, item, text)
        for user, item, text in zip(
            *(getattr(fit.texts, f"post_{name}").tolist() for name in ("user", "item", "text")),
            strict=True,
        )
        if text >= 0
    ]
    secret = {(user, text) for user, item, text in told if side == "item" and hidden[item]}
    for user in range(dataset.n_users):
        own = {text for who, _, text in told if who == user and (user, text) not in secret}
        own = set() if side == "user" and hidden[user] else own
        mean = sum(
            (unit(fit.texts.vectors[text]) for text in own), np.zeros(found.item_text.shape[1])
        )
        if own:
            np.testing.assert_allclose(found.user_text[user], unit(mean), atol=1e-3)
        else:
            profile = fit.texts.user_profile[user]
            expected = unit(fit.texts.vectors[profile]) if profile >= 0 else 0 * mean
            np.testing.assert_allclose(found.user_text[user], expected, atol=1e-3)
    np.testing.assert_allclose(found.item_text, fit.item_text)
    if side == "item":  # what was written about a hidden item goes on describing it
        np.testing.assert_allclose(found.item_posts, fit.item_posts, atol=1e-5)
    for one, other in zip(
        before, (fit.matrix().toarray(), fit.user_text, fit.item_posts), strict=True
    ):
        assert np.array_equal(one, other)


def unit(vector):
    return vector.astype(np.float64) / np.linalg.norm(vector.astype(np.float64))
