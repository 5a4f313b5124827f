"""Derived relations are what their formulas say, by loops over users, products and edges."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import DAY, make_dated_snapshot, with_pairs, without_text

from finrec_dgl.dataset.snapshot import without_nodes
from finrec_dgl.graph.ease import ease_filters, near_ease_filters
from finrec_dgl.graph.filters import CosineFilter, normalised
from finrec_dgl.nn import DerivedConfig, Receivers, World
from finrec_dgl.nn.world import COVARIATES, PEER_FEATURES, free_items, log_share

CONFIG = DerivedConfig(
    ease=(20.0, 200.0), holding_half_lives=(40.0, 0.0), ranks=(2, 4), peer_half_lives=(20.0, 100.0)
)
NOBODY, UNSOLD = 29, 19  # the user who holds nothing, and the product that nobody holds


def make_world(seed=0, config=CONFIG, **others):
    return World(make_dated_snapshot(seed, **others), config)


def everyone(world):
    return world.receivers(np.arange(world.n_users))


def edges(snapshot):
    """user -> {item: days since last seen}."""
    found = {user: {} for user in range(snapshot.n_users)}
    for number, (user, item) in enumerate(
        zip(snapshot.pairs.user, snapshot.pairs.item, strict=True)
    ):
        seen = snapshot.last is not None
        age = (snapshot.time - snapshot.last[number]) / DAY if seen else 0.0
        found[int(user)][int(item)] = float(age)
    return found


def cosine(one, other):
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / length) if length else 0.0


# ---- shares


@settings(max_examples=80)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 4), items=st.integers(1, 6))
def test_log_share_by_row(seed, rows, items):
    """Catches a share over what is held too, a negative message, and rows without any."""
    rng = np.random.default_rng(seed)
    message = rng.normal(size=(rows, items)).astype(np.float32) * (rng.random((rows, 1)) < 0.8)
    free = rng.random((rows, items)) < rng.choice([0.0, 0.5, 1.0])
    found = log_share(torch.from_numpy(message.astype(np.float32)), torch.from_numpy(free), 0.1)
    for row in range(rows):
        total = sum(max(message[row, i], 0.0) for i in range(items) if free[row, i])
        for i in range(items):
            if total:
                even = max(message[row, i], 0.0) / total * free[row].sum()
                assert found[row, i] == pytest.approx(math.log(even + 0.1), rel=1e-4, abs=1e-5)
            elif free[row, i] or not free[row].any():
                assert found[row, i] == pytest.approx(math.log(0.1), rel=1e-5)
            assert torch.isfinite(found[row, i])


def test_an_even_message_has_the_logarithm_of_one():
    """Catches shares in other units than an even split."""
    free = torch.tensor([[True, True, False, True]])
    found = log_share(torch.full((1, 4), 7.0), free, 0.0)
    np.testing.assert_allclose(found[free], 0.0, atol=1e-6)


# ---- rows


@pytest.mark.parametrize("users", [[0], [7, 3, NOBODY, 3], [NOBODY], []], ids=str)
def test_receivers_are_the_users_as_asked_for(users):
    """Catches ages that belong to another pair, or to another user's row."""
    world = make_world(1)
    rows = world.receivers(np.array(users, np.int32))
    held = edges(world.snapshot)
    assert len(rows) == len(users)
    assert rows.held.shape == (len(users), world.n_items)
    for row, user in enumerate(users):
        part = slice(*rows.held.indptr[row : row + 2])
        ages = dict(zip(rows.held.indices[part].tolist(), rows.age[part].tolist(), strict=True))
        assert ages == pytest.approx(held[user], rel=1e-5)
        assert (rows.held.data[part] == 1).all()
        faded = rows.aged(20.0).toarray()[row]
        for item in range(world.n_items):
            expected = 2 ** (-held[user][item] / 20) if item in held[user] else 0.0
            assert faded[item] == pytest.approx(expected, rel=1e-4, abs=1e-9)
        assert np.array_equal(rows.text[row], world.snapshot.user_text[user])
        assert rows.count[row] == len(held[user])
        assert free_items(rows)[row].tolist() == [i not in held[user] for i in range(world.n_items)]


def test_ties_count_in_either_direction_and_once():
    """Catches ties of one direction, and one of two kinds or both directions that counts twice."""
    snapshot = make_dated_snapshot(0)
    ends = np.array([0, 1, 2], np.int32), np.array([1, 0, 5], np.int32)
    also = np.array([0], np.int32), np.array([1], np.int32)
    world = World(replace(snapshot, ties={"family": ends, "work": also}), CONFIG)
    found = everyone(world).ties.toarray()
    expected = np.zeros_like(found)
    for a, b in ((0, 1), (2, 5)):
        expected[a, b] = expected[b, a] = 1
    assert np.array_equal(found, expected)
    assert not World(replace(snapshot, ties={}), CONFIG).ties.nnz


def test_covariates_by_user():
    """Catches a user without holdings who is taken for one who held something today."""
    world = make_world(2)
    found = world.covariates(everyone(world))
    for user, items in edges(world.snapshot).items():
        expected = {
            "log holdings": math.log(max(len(items), 1)),
            "log idle days": math.log1p(min(items.values())) - 4 if items else 0.0,
            "no holdings": float(not items),
        }
        for name, value in expected.items():
            assert found[user, COVARIATES.index(name)] == pytest.approx(value, abs=1e-4)
    assert np.isfinite(found).all()


# ---- relations between products


def test_forgotten_filters_are_made_anew():
    """Catches a filter that stays in memory, and one that is lost for good."""
    world = make_world(3)
    rows = everyone(world)
    before = world.filtered(rows)
    world.forget_filters()
    kinds = (np.ndarray, dict, CosineFilter)
    large = {name for name, value in vars(world).items() if isinstance(value, kinds)}
    assert not large & {"ease", "cosine", "_near"}
    for one, other in zip(before, world.filtered(rows), strict=True):
        np.testing.assert_array_equal(one, other)


def test_filtered_are_messages_of_what_is_held():
    """Catches a filter on the wrong side, ages that are not read, and a wrong order."""
    world = make_world(3)
    held, rows = world.snapshot.matrix().toarray(), everyone(world)
    near = CosineFilter(world.snapshot.matrix(), CONFIG.cosine_alpha).matrix
    expected = [held @ one for one in ease_filters(world.snapshot.matrix(), CONFIG.ease)]
    for half_life in CONFIG.holding_half_lives:
        faded = np.zeros_like(held)
        for user, items in edges(world.snapshot).items():
            for item, age in items.items():
                faded[user, item] = 2 ** (-age / half_life) if half_life else 1.0
        expected.append(faded @ near)
    whole = np.linalg.svd(normalised(world.snapshot.matrix()).toarray())[2].T
    root = np.sqrt(np.maximum(held.sum(axis=0), 1))
    for rank in CONFIG.ranks:
        right = whole[:, :rank]
        expected.append((held / root) @ right @ right.T * root)
    found = world.filtered(rows)
    assert len(found) >= len(expected)
    for one, other in zip(found, expected, strict=False):
        np.testing.assert_allclose(one, other, atol=1e-4)
        assert one.dtype == np.float32


def test_ease_by_the_nearest_products_sends_dense_messages():
    """Catches settings that do not reach the filter, and sparse rows that no channel can read."""
    config = replace(CONFIG, ease=(5.0, 50.0), ease_near=3, ease_users=0.5)
    world = make_world(3, config)
    held = world.snapshot.matrix()
    filters = near_ease_filters(held, config.ease, 3, 0.5)
    for one, filter_ in zip(world.filtered(everyone(world)), filters, strict=False):
        assert isinstance(one, np.ndarray)
        np.testing.assert_allclose(one, held.toarray() @ filter_.toarray(), atol=1e-5)


def test_without_a_rank_there_is_no_spectral_filter():
    """Catches a switch that only empties its channel."""
    world = make_world(3, replace(CONFIG, ranks=()))
    fewer = len(make_world(3).filtered(everyone(world))) - len(CONFIG.ranks)
    assert len(world.filtered(everyone(world))) == fewer


def test_trends_by_product():
    """Catches a trend against the wrong half-life, or a prior on the wrong side."""
    config = replace(CONFIG, trend_half_lives=(90.0, 15.0), trend_prior=5.0)
    world = make_world(4, config)
    counts = {half_life: np.zeros(world.n_items) for half_life in (0.0, 90.0, 15.0)}
    for items in edges(world.snapshot).values():
        for item, age in items.items():
            for half_life, count in counts.items():
                count[item] += 2 ** (-age / half_life) if half_life else 1.0
    shares = {0.0: counts[0.0] / counts[0.0].sum()}
    for half_life, longer in ((90.0, 0.0), (15.0, 90.0)):
        own = counts[half_life] + 5.0 * shares[longer]
        shares[half_life] = own / (counts[half_life].sum() + 5.0)
        expected = np.log((shares[half_life] + 1e-6) / (shares[longer] + 1e-6))
        np.testing.assert_allclose(world.trends[f"trend {half_life:g}"], expected, atol=1e-3)
    popularity = world.trends["popularity"]
    assert np.array_equal(
        np.argsort(popularity, kind="stable"), np.argsort(world.sold, kind="stable")
    )


def test_steadiness_tells_one_day_from_many():
    """Catches days that are not told apart, a wrong share, and what is missing without dates."""
    config = replace(CONFIG, steady_half_life=40.0, trend_prior=2.0)
    dated = make_dated_snapshot(5)
    world = World(replace(dated, last=dated.last // (30 * DAY) * (30 * DAY)), config)
    per_day = {}
    for items in edges(world.snapshot).values():
        for item, age in items.items():
            key = (item, math.floor(age))
            per_day[key] = per_day.get(key, 0) + 1
    sums = np.zeros((2, world.n_items))
    for (item, day), count in per_day.items():
        sums[:, item] += 2 ** (-day / 40) * np.array([count, math.log1p(count)])
    total, share = sums[0].sum(), world.sold / world.sold.sum()
    p, q = ((one * total / one.sum() + 2 * share) / (total + 2) + 1e-6 for one in sums)
    found = world.trends["steady"]
    np.testing.assert_allclose(found, np.log(q / p), atol=1e-5)
    assert found.std() > 0.01
    undated = World(replace(world.snapshot, last=None), config)
    assert not undated.trends["steady"].any()


# ---- relations between users


def peer_features(world, user):
    """name -> values of all pairs (user, v), by loops."""
    snapshot, held = world.snapshot, edges(world.snapshot)
    holders = [sum(i in items for items in held.values()) for i in range(world.n_items)]
    idf = np.log((world.n_users + 1) / (np.array(holders) + 1))
    matrix = snapshot.matrix().toarray()
    right = np.linalg.svd(normalised(snapshot.matrix()).toarray())[2][:16].T
    space = (matrix / np.sqrt(np.maximum(holders, 1))) @ right
    tied = {
        frozenset(pair)
        for source, target in snapshot.ties.values()
        for pair in zip(source.tolist(), target.tolist(), strict=True)
    }
    found = {name: [] for name in PEER_FEATURES}
    for peer in range(world.n_users):
        shared = sum(i in held[user] for i in held[peer])
        both = math.sqrt(len(held[user]) * len(held[peer]))
        values = {
            "log idf cosine": math.log(0.01 + cosine(idf * matrix[user], idf * matrix[peer])),
            "log cosine": math.log(0.01 + (shared / both if both else 0.0)),
            "text": snapshot.user_text[user] @ snapshot.user_text[peer],
            "tie": frozenset((user, peer)) in tied,
            "spectral": cosine(space[user], space[peer]),
            "log activity": math.log(max(len(held[peer]), 1)),
            "nothing shared": shared == 0,
        }
        if held[peer]:  # of others it is never read
            values["log idle days"] = math.log1p(min(held[peer].values()))
        for name, value in values.items():
            found[name].append((peer, value))
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_peers_features_by_pair(seed):
    """Catches a feature of the wrong pair, direction, weight or name."""
    world = make_world(seed)
    features, absent, nodes = world.peers(everyone(world), text=True, ties=True)
    assert nodes is None
    assert features.shape == (world.n_users, world.n_users, len(PEER_FEATURES))
    for user in (0, 5, 11, NOBODY):
        for name, expected in peer_features(world, user).items():
            column = features[user, :, PEER_FEATURES.index(name)]
            for peer, value in expected:
                assert column[peer] == pytest.approx(float(value), abs=2e-4), (name, peer)
    active = np.bincount(world.snapshot.pairs.user, minlength=world.n_users) > 0
    for user in range(world.n_users):
        expected = [user == peer or not active[peer] for peer in range(world.n_users)]
        assert absent[user].tolist() == expected


@pytest.mark.parametrize(("switch", "name"), [("text", "text"), ("ties", "tie")])
def test_peers_features_that_are_off_are_zero(switch, name):
    """Catches text or ties that are read though they are switched off, and others that go too."""
    world = make_world(0)
    on, _, _ = world.peers(everyone(world), text=True, ties=True)
    off, _, _ = world.peers(everyone(world), **{"text": True, "ties": True, switch: False})
    column = PEER_FEATURES.index(name)
    assert on[..., column].any()
    assert not off[..., column].any()
    others = np.arange(len(PEER_FEATURES)) != column
    assert torch.equal(on[..., others], off[..., others])


@pytest.mark.parametrize("peers", [1, 4, 28])
def test_few_peers_are_the_most_similar_ones_with_the_same_values(peers):
    """Catches a wrong order, an absent user among the peers, and values of another one."""
    snapshot = make_dated_snapshot(6)
    every = World(snapshot, CONFIG)
    world = World(snapshot, replace(CONFIG, peers=peers))
    rows = everyone(world)
    full, full_absent, _ = every.peers(rows, text=True, ties=True)
    features, absent, nodes = world.peers(rows, text=True, ties=True)
    assert nodes.shape == absent.shape == (world.n_users, peers)
    rare, tie = (PEER_FEATURES.index(name) for name in ("log idf cosine", "tie"))
    for user in range(world.n_users):
        chosen = nodes[user].tolist()
        assert len(set(chosen)) == peers
        assert torch.equal(features[user], full[user, nodes[user]])
        assert torch.equal(absent[user], full_absent[user, nodes[user]])
        near = full[user, :, rare].exp() + full[user, :, tie]
        present = ~full_absent[user]
        best = near[present].sort(descending=True).values[:peers]
        mine = near[nodes[user]][~absent[user]].sort(descending=True).values
        np.testing.assert_allclose(mine, best, atol=1e-6)


def test_kernels_by_edge():
    """Catches a head with another's half-life, and messages of the wrong user."""
    config = replace(CONFIG, short_half_life=5.0)
    world = make_world(7, config)

    def fades(age, half_life):
        return 2 ** (-age / half_life) if half_life else 1.0

    for own, other, kernel in zip((20.0, 100.0), (100.0, 20.0), world.kernels, strict=True):
        expected = np.zeros((world.n_items, world.n_users))
        for user, items in edges(world.snapshot).items():
            for item, age in items.items():
                rest = (fades(age, other) + fades(age, 5.0) + 1.0) / 3
                expected[item, user] = 0.75 * fades(age, own) + 0.25 * rest
        np.testing.assert_allclose(kernel.toarray().T, expected, atol=1e-5)


def test_an_altered_row_is_read_as_it_stands():
    """Catches features of a row that come from the user's own node instead."""
    world = make_world(8)
    one = world.receivers(np.array([3]))
    other = world.receivers(np.array([11]))
    mixed = Receivers(one.user, other.held, other.age, other.text, other.ties)
    features, absent, _ = world.peers(mixed, text=True, ties=True)
    theirs, their_absent, _ = world.peers(other, text=True, ties=True)
    own, own_absent, _ = world.peers(one, text=True, ties=True)
    assert torch.equal(features, theirs)
    assert not torch.equal(features, own)
    assert torch.equal(absent, own_absent)  # whoever it is, they are no peer of themselves
    assert not torch.equal(absent, their_absent)
    assert np.array_equal(world.covariates(mixed), world.covariates(other))
    for found, expected in zip(world.filtered(mixed), world.filtered(other), strict=True):
        assert np.array_equal(found, expected)


# ---- text


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_descriptions_by_product(weight):
    """Catches categories of another weight or product, and ones where a category is unknown."""
    snapshot = make_dated_snapshot(3)
    kinds = np.array([-1, 0, 2] * 7)[: snapshot.n_items].astype(np.int32)
    places = np.array([1, -1, -1, 0] * 5).astype(np.int32)
    snapshot = replace(snapshot, item_categories={"kind": kinds, "place": places})
    found = World(snapshot, replace(CONFIG, text_categories=weight)).description
    for item in range(snapshot.n_items):
        told = [float(kinds[item] == code) for code in range(3)]
        told += [float(places[item] == code) for code in range(2)]
        known = max(math.sqrt(sum(told)), 1e-9)
        row = [*snapshot.item_text[item], *snapshot.item_posts[item]]
        row = np.array([*row, *(weight * one / known for one in told)], np.float64)
        length = max(np.linalg.norm(row), 1e-9)
        np.testing.assert_allclose(found[item], row / length, atol=1e-6)


def test_numbers_are_described_by_their_weight():
    """Catches numbers of another product or weight, and ones that have a say by default."""
    snapshot = make_dated_snapshot(3)
    prices = np.random.default_rng(0).normal(size=snapshot.n_items).astype(np.float32)
    prices[[0, 5]] = np.nan
    ages = np.arange(snapshot.n_items, dtype=np.float32)
    ages[5] = np.nan
    with_numbers = replace(snapshot, item_values={"price": prices, "age": ages})
    plain = World(snapshot, CONFIG).description
    assert np.array_equal(World(with_numbers, CONFIG).description, plain)
    found = World(with_numbers, replace(CONFIG, text_numbers=0.6)).description
    numbers = with_numbers.item_numbers.astype(np.float64)
    categories = np.zeros((snapshot.n_items, snapshot.item_categories["kind"].max() + 1))
    for item, code in enumerate(snapshot.item_categories["kind"]):
        categories[item, code] = code >= 0
    for item in range(snapshot.n_items):
        told = numbers[item] / max(np.linalg.norm(numbers[item]), 1e-9)
        row = [*snapshot.item_text[item], *snapshot.item_posts[item], *categories[item]]
        row = np.array([*row, *(0.6 * told)], np.float64)
        length = max(np.linalg.norm(row), 1e-9)
        np.testing.assert_allclose(found[item], row / length, atol=1e-6)
    assert not found[5, -2:].any()


def test_a_product_with_a_number_alone_is_described():
    """Catches a new product without a text whose numbers have no say though they count."""
    snapshot = replace(without_text(make_dated_snapshot(4), dim=8), item_categories={})
    prices = np.arange(snapshot.n_items, dtype=np.float32)
    prices[::3] = np.nan
    snapshot = replace(snapshot, item_values={"price": prices})
    assert not World(snapshot, CONFIG).described.any()
    world = World(snapshot, replace(CONFIG, text_numbers=1.0))
    assert np.array_equal(world.described.numpy(), ~np.isnan(prices))


def test_a_product_with_a_category_alone_is_described():
    """Catches a new product without a text whose category has no say."""
    snapshot = without_text(make_dated_snapshot(4), dim=8)
    known = snapshot.item_categories["kind"] >= 0
    assert 0 < known.sum() < snapshot.n_items
    world = World(snapshot, CONFIG)
    assert np.array_equal(world.described.numpy(), known)
    assert not World(snapshot, replace(CONFIG, text_categories=0.0)).described.any()


def test_what_is_known_of_a_hidden_product_does_not_hang_on_its_past():
    """Catches a hidden product's holders in its description, or in what is carried over to it."""
    snapshot = make_dated_snapshot(5)
    hidden = np.arange(snapshot.n_items) < 4
    other = with_pairs(snapshot, ~np.isin(snapshot.pairs.item, [0, 1]))
    worlds = [World(without_nodes(one, "item", hidden), CONFIG) for one in (snapshot, other)]
    one, another = worlds
    assert np.array_equal(one.description, another.description)
    assert torch.equal(text_maps(one)[0], text_maps(another)[0])
    assert torch.equal(text_maps(one)[1][1], text_maps(another)[1][1])
    assert not text_maps(one)[1][1][hidden].any()


def test_told_by_pair():
    """Catches texts of a product that is its own neighbour, and similarity where there is none."""
    world = make_world(9)
    snapshot, sharp = world.snapshot, CONFIG.text_sharpness
    both = world.description
    held = edges(snapshot)
    found = world.told(everyone(world))
    for user in (0, 4, NOBODY):
        for item in range(world.n_items):
            near = sum(
                math.exp(sharp * (cosine(both[item], both[j]) - 1))
                for j in held[user]
                if j != item and both[item].any() and both[j].any()
            )
            message, there = found[0]
            assert message[user, item] == pytest.approx(near, rel=1e-3, abs=1e-7)
            assert there[user, item] == bool(held[user] and both[item].any())
            texts = (snapshot.item_text, snapshot.item_posts)
            for (message, there), text in zip(found[1:3], texts, strict=True):
                mine = snapshot.user_text[user]
                assert there[user, item] == bool(mine.any() and text[item].any())
                if not there[user, item]:
                    continue
                expected = math.exp(sharp * (cosine(mine, text[item]) - 1))
                assert message[user, item] == pytest.approx(expected, rel=1e-3, abs=1e-7)


def text_maps(world):
    """Those to all products."""
    return world.text_maps(np.arange(world.n_items))


def known_products(world):
    return [i for i in range(world.n_items) if world.sold[i] and world.described[i]]


def test_the_text_kernel_is_a_mean_over_other_held_products():
    """Catches a column that does not add up to 1, that holds the product itself, or new ones."""
    world = make_world(10)
    kernel, _ = text_maps(world)
    known, text = known_products(world), world.description
    for item in range(world.n_items):
        raw = [
            math.exp(CONFIG.text_sharpness * float(text[item] @ text[j]))
            if j in known and j != item
            else 0.0
            for j in range(world.n_items)
        ]
        np.testing.assert_allclose(kernel[:, item], np.array(raw) / sum(raw), rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(kernel.sum(0), 1.0, atol=1e-5)
    assert not kernel.diagonal().any()


def test_the_ridge_smoother_leaves_each_product_out():
    """Catches a fitted score in which the product's own one has a part: by explicit refits."""
    world = make_world(11)
    _, (mask, smoother) = text_maps(world)
    known, text = known_products(world), world.description.astype(np.float64)
    assert np.flatnonzero(mask).tolist() == known
    centred = text - text[known].mean(axis=0)
    scores = np.random.default_rng(0).normal(size=world.n_items)
    found = (scores * mask.numpy()) @ smoother.double().numpy()
    for item in range(world.n_items):
        rest = [j for j in known if j != item]
        x = centred[rest]
        normal = x.T @ x + CONFIG.text_penalty * np.eye(x.shape[1])
        expected = centred[item] @ np.linalg.solve(normal, x.T @ scores[rest])
        expected = expected if world.described[item] else 0.0
        assert found[item] == pytest.approx(expected, abs=1e-3)
    assert not smoother.diagonal().any()


def test_text_maps_to_some_products_are_columns_of_those_to_all():
    """Catches a product's own score in its fitted one, or another product's column."""
    world = make_world(11)
    every, (_, smoother) = text_maps(world)
    columns = np.array([0, 2, UNSOLD])
    kernel, (_, some) = world.text_maps(columns)
    np.testing.assert_allclose(kernel, every[:, columns], atol=1e-6)
    np.testing.assert_allclose(some, smoother[:, columns], atol=1e-5)


# ---- what may be missing

MISSING = {
    "undated": lambda one: replace(one, last=None, time=None),
    "untold": lambda one: without_text(one, dim=8),
    "no vectors": without_text,
    "untied": lambda one: replace(one, ties={}),
    "no interactions": lambda one: with_pairs(one, []),
    "no interactions, undated": lambda one: replace(with_pairs(one, []), last=None, time=None),
    "one interaction": lambda one: with_pairs(one, [0]),
    "one user's": lambda one: with_pairs(one, one.pairs.user == 3),
    "one product's": lambda one: with_pairs(one, one.pairs.item == 3),
}


@pytest.mark.parametrize("peers", [0, 3])
@pytest.mark.parametrize("missing", MISSING)
def test_whatever_is_missing_every_relation_is_finite(missing, peers):
    """Catches NaN, infinity and errors of shape where there is nothing to divide by."""
    world = World(MISSING[missing](make_dated_snapshot(12)), replace(CONFIG, peers=peers))
    rows = everyone(world)
    features, absent, _ = world.peers(rows, text=True, ties=True)
    kernel, (known, smoother) = text_maps(world)
    found = [features, absent, kernel, known, smoother, *(one.toarray() for one in world.kernels)]
    found += [*world.filtered(rows), *world.trends.values()]
    found += [message for message, _ in world.told(rows)]
    for one in (*found, world.covariates(rows)):
        dense = one.to_dense() if isinstance(one, torch.Tensor) else torch.from_numpy(one)
        assert torch.isfinite(dense).all()
    assert all(one.shape == (world.n_users, world.n_items) for one in world.filtered(rows))


def test_peers_need_no_spectral_filter():
    """Catches a world that cannot be without the filter whose vectors peers share."""
    world = World(make_dated_snapshot(12), replace(CONFIG, ranks=()))
    every = everyone(world)
    features, _, _ = world.peers(every, text=True, ties=True)
    assert torch.isfinite(features).all()
    assert len(world.filtered(every)) == len(CONFIG.ease) + len(CONFIG.holding_half_lives)


def test_undated_interactions_are_all_of_now():
    """Catches a fading where nothing is known of times."""
    snapshot = make_dated_snapshot(1)
    world = World(replace(snapshot, last=None), CONFIG)
    assert not world.age.any()
    ones = sp.csr_array(snapshot.matrix()).toarray().T
    for kernel in world.kernels:
        np.testing.assert_allclose(kernel.toarray().T, ones, atol=1e-6)
    for name, values in world.trends.items():
        if name != "popularity":
            np.testing.assert_allclose(values, 0.0, atol=1e-3)


def test_a_user_with_nothing_and_a_product_of_nobody():
    """Catches messages that come from nowhere."""
    world = make_world(0)
    rows = world.receivers(np.array([NOBODY]))
    assert not any(one.any() for one in world.filtered(rows))
    assert not world.told(rows)[0][0].any()
    assert not any(there[0, UNSOLD] for _, there in world.told(rows)[3:])
    assert world.sold[UNSOLD] == 0
    assert not any(kernel.toarray()[:, UNSOLD].any() for kernel in world.kernels)
    assert not text_maps(world)[0][UNSOLD].any()
