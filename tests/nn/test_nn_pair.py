"""The pair readout: attention by loops, switches, the gate, devices, and what is missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_views import MISSING, NOBODY, UNSOLD, faded
from hypothesis import given, settings
from hypothesis import strategies as st
from pair_models import PAIR, make_pair
from pretend_device import DEVICE, Elsewhere, PretendDevice, numbers
from snapshots import DAY, FixedTexts, make_dated_snapshot, with_pairs

from finrec_dgl.dataset.snapshot import Pairs
from finrec_dgl.relations import GraphTensors
from finrec_dgl.relations.text_near import TEXT_CHANNELS, described

SWITCHES = [
    {},
    {"text": False},
    {"graph": False},
    {"pseudo": False},
    {"social": False},
    {"stream_one": False},
    {"stream_two": False},
]


def evidence_of(model, snapshot, users=None, device="cpu"):
    """What the graph of ``snapshot`` says of ``users``, by default of all."""
    view = GraphTensors(snapshot, device)
    return model.evidence(view, view.seeds(np.arange(view.n_users) if users is None else users))


def scores_of(model, snapshot, users=None):
    """float32 [users, items]."""
    with torch.inference_mode():
        return model(evidence_of(model, snapshot, users)).numpy()


# ---- attention


def attention_alone(snapshot, pair=PAIR):
    """A model whose heads alone have a weight, the same for every user."""
    model = make_pair(snapshot, text=False, stream_two=False, pair=pair)
    with torch.no_grad():
        model.slope.zero_()
        for number, name in enumerate(model.channels):
            if not name.startswith("peers"):
                model.weight[number] = 0.0
    return model


def kernels_of(snapshot, pair):
    """A head's fades of every user's items each, float64 [users, items]."""
    lives = pair.peer_half_lives
    found = []
    for head, own in enumerate(lives):
        others = [*lives[:head], *lives[head + 1 :], pair.short_half_life, 0.0]
        rest = np.mean([faded(snapshot, one) for one in others], axis=0)
        found.append(torch.from_numpy(0.75 * faded(snapshot, own) + 0.25 * rest))
    return found


def explicit_attention(evidence, kernels, weight, query, floor):
    """sum over heads of w log_share(sum over v of softmax_v(q . f_uv) kappa_vi), pair by pair."""
    peers, features = evidence.sampled["peers"]
    n_items, rows = kernels[0].shape[1], []
    for user in range(len(features)):
        column = {peer: one for one, peer in enumerate(peers[user].tolist()) if peer >= 0}
        free = [item for item in range(n_items) if evidence.batch.free[user, item]]
        score = [torch.zeros((), dtype=torch.float64) for _ in range(n_items)]
        for head, fades in enumerate(kernels):
            raw = {
                peer: torch.exp(query[head] @ features[user, one].double())
                for peer, one in column.items()
            }
            whole = sum(raw.values())
            message = [
                sum(raw[peer] / whole * fades[peer, item] for peer in column)
                for item in range(n_items)
            ]
            total = sum(message[item] for item in free)
            for item in range(n_items):
                share = message[item] / total * len(free)
                score[item] = score[item] + weight[head] * torch.log(share + floor[head].exp())
        rows.append(torch.stack(score))
    return torch.stack(rows)


@pytest.mark.parametrize("peers", [4, 256])
def test_attention_between_users_and_its_gradient_by_loops(peers):
    """Catches a softmax over the wrong users, a message of another head, a share of all items,
    and a gradient that does not flow through any of them."""
    snapshot = make_dated_snapshot(0, users=14, items=9, edges=50)
    pair = replace(PAIR, peers=peers)
    model = attention_alone(snapshot, pair)
    heads = [number for number, name in enumerate(model.channels) if name.startswith("peers")]
    users = np.flatnonzero(np.bincount(snapshot.pairs.user, minlength=14))[:6]
    evidence = evidence_of(model, snapshot, users)
    pull = torch.from_numpy(np.random.default_rng(0).normal(size=(len(users), 9)))

    found = model(evidence)
    (found * pull).sum().backward()
    own = model.relations["peers"]
    mine = {
        "weight": model.weight.detach()[heads],
        "query": own.query.detach(),
        "floor": own.floor.detach(),
    }
    mine = {name: value.double().requires_grad_() for name, value in mine.items()}
    expected = explicit_attention(evidence, kernels_of(snapshot, pair), **mine)
    (expected * pull).sum().backward()
    np.testing.assert_allclose(found.detach(), expected.detach(), rtol=1e-4, atol=1e-4)
    gradients = {
        "weight": model.weight.grad[heads],
        "query": own.query.grad,
        "floor": own.floor.grad,
    }
    for name, gradient in gradients.items():
        assert gradient.abs().max() > 1e-2
        np.testing.assert_allclose(gradient, mine[name].grad, rtol=1e-3, atol=1e-3)


def test_absent_users_send_nothing():
    """Catches a user, alone in a graph, who hears from themselves what they have."""
    snapshot = make_dated_snapshot(0)
    view = GraphTensors(with_pairs(snapshot, snapshot.pairs.user == 3))
    model = attention_alone(view.snapshot)
    seeds = replace(view.seeds([NOBODY]), user=torch.tensor([3]))
    with torch.inference_mode():
        scores = model(model.evidence(view, seeds))
    assert len(scores.unique()) == 1


# ---- switches


def other_texts(snapshot, rng, keep=()):
    """``snapshot`` with random texts, but for those of the users ``keep``."""
    users, items, about = (
        rng.normal(size=one.shape).astype(np.float32)
        for one in (snapshot.user_text, snapshot.item_text, snapshot.item_posts)
    )
    users, items, about = (
        one / np.linalg.norm(one, axis=1, keepdims=True) for one in (users, items, about)
    )
    for user in keep:
        users[user] = snapshot.user_text[user]
    return replace(snapshot, texts=FixedTexts(users, items, about))


def other_ties(snapshot, rng):
    """``snapshot`` with everyone tied to somebody."""
    source = np.arange(snapshot.n_users, dtype=np.int32)
    return replace(snapshot, ties={"family": (source, np.roll(source, rng.integers(1, 9)))})


def rewired(snapshot, rng, user):
    """Every product is held by as many, at the same times, but ``user`` alone is as before."""
    others = np.setdiff1d(np.arange(snapshot.n_users), [user])
    who, what = snapshot.pairs.user.copy(), snapshot.pairs.item
    for item in np.unique(what):
        rows = np.flatnonzero((what == item) & (who != user))
        who[rows] = rng.permutation(others)[: len(rows)]
    order = np.lexsort((what, who))
    return replace(snapshot, pairs=Pairs(who[order], what[order]), last=snapshot.last[order])


def test_without_text_no_text_has_a_say():
    """Catches text that reaches a score past its switch."""
    snapshot = make_dated_snapshot(1)
    changed = other_texts(snapshot, np.random.default_rng(0))
    model = make_pair(snapshot, text=False)
    assert not any("pseudo" in name for name, _ in model.named_parameters())
    assert np.array_equal(scores_of(model, snapshot), scores_of(model, changed))
    model = make_pair(snapshot)
    assert np.abs(scores_of(model, snapshot) - scores_of(model, changed)).max() > 0.1


@pytest.mark.parametrize("part", ["social", "stream_one", "graph"])
def test_without_the_relation_no_tie_has_a_say(part):
    """Catches ties that reach a score past a switch."""
    snapshot = make_dated_snapshot(2)
    changed = other_ties(snapshot, np.random.default_rng(0))
    model = make_pair(snapshot, **{part: False})
    assert np.array_equal(scores_of(model, snapshot), scores_of(model, changed))
    model = make_pair(snapshot)
    assert np.abs(scores_of(model, snapshot) - scores_of(model, changed)).max() > 0.01


def test_without_the_graph_it_does_not_matter_who_else_holds_what():
    """Catches messages that reach a score past the switch; popularity is no message."""
    snapshot, user = make_dated_snapshot(3), 4
    changed = rewired(snapshot, np.random.default_rng(0), user)
    assert not np.array_equal(snapshot.pairs.user, changed.pairs.user)
    model = make_pair(snapshot, graph=False, pair=replace(PAIR, text_channels=False))
    with torch.no_grad():
        # what is fitted from texts to holdings is no message either
        model.told[TEXT_CHANNELS.index("text fit")] = 0.0
    # ridge and kernel read which products somebody holds, and that is as it was
    one, other = (scores_of(model, one, np.array([user])) for one in (snapshot, changed))
    np.testing.assert_allclose(one, other, atol=1e-5)
    model = make_pair(snapshot)
    one, other = (scores_of(model, one, np.array([user])) for one in (snapshot, changed))
    assert np.abs(one - other).max() > 0.05


OTHERWISE = {
    "stream_one": {"peer_half_lives": (3.0, 5.0), "short_half_life": 1.0, "peers": 2},
    "stream_two": {"ease": (3.0, 5.0), "holding_half_lives": (3.0, 5.0), "ranks": (1,)},
}


@pytest.mark.parametrize("part", OTHERWISE)
def test_a_stream_that_is_off_has_no_say(part):
    """Catches relations of a stream that are read though it is switched off."""
    snapshot = make_dated_snapshot(4)

    def both(**switch):
        one = make_pair(snapshot, **switch)
        other = make_pair(snapshot, pair=replace(PAIR, **OTHERWISE[part]), **switch)
        other.load_state_dict(one.state_dict())
        return scores_of(one, snapshot), scores_of(other, snapshot)

    assert np.array_equal(*both(**{part: False}))
    one, other = both()
    assert np.abs(one - other).max() > 0.05


def test_pseudo_labels_have_a_say_only_where_they_are_on():
    """Catches labels that are learned and never read, or weights that stay when they are off."""
    snapshot = make_dated_snapshot(5)
    off = make_pair(snapshot, pseudo=False)
    assert off.pseudo_labels() is None
    assert not any("pseudo" in name for name, _ in off.named_parameters())
    on = make_pair(snapshot)
    before = scores_of(on, snapshot)
    view = GraphTensors(snapshot)
    assert on.pseudo_labels()(view.user_text).shape == (30, 3)
    with torch.no_grad():
        for parameter in on.pseudo_labels().parameters():
            parameter.copy_(torch.randn_like(parameter) * 5)
    assert np.abs(scores_of(on, snapshot) - before).max() > 0.01


# ---- the gate


def without_channels(evidence, items):
    """``evidence`` with the fixed channels of ``items`` as noise."""
    pairs, own = evidence.pairs.clone(), evidence.items.clone()
    pairs[:, items] = torch.randn(len(pairs), len(items), pairs.shape[-1]) * 7
    own[items] = torch.randn(len(items), own.shape[-1]) * 7
    return replace(evidence, pairs=pairs, items=own)


def with_texts(snapshot, items):
    """``snapshot`` in which the products ``items`` have texts."""
    item, about = snapshot.item_text.copy(), snapshot.item_posts.copy()
    for number in items:
        item[number] = about[number] = np.linspace(0.1, 0.9, item.shape[1])
        item[number] /= np.linalg.norm(item[number])
        about[number] /= np.linalg.norm(about[number])
    return replace(snapshot, texts=FixedTexts(snapshot.user_text, item, about))


def test_a_product_that_nobody_holds_is_known_by_text_alone():
    """Catches a graph score of a product that has none, or one that is carried over from it."""
    snapshot = with_texts(make_dated_snapshot(6), [UNSOLD])
    model = make_pair(snapshot)
    evidence = evidence_of(model, snapshot)
    with torch.inference_mode():
        before = model(evidence)
        after = model(without_channels(evidence, [UNSOLD]))
        assert torch.equal(before, after)
        other = model(without_channels(evidence, [0]))
        assert not torch.allclose(before[:, 0], other[:, 0], atol=0.1)
    with torch.inference_mode():
        after = model(replace(evidence, text=evidence.text + 1.0))
    assert not torch.allclose(before[:, UNSOLD], after[:, UNSOLD], atol=0.1)


def test_a_product_without_text_is_known_by_the_graph_alone():
    """Catches a share of text where there is none; and the gate's own shares."""
    snapshot = make_dated_snapshot(7)
    model = make_pair(snapshot)
    model.config = replace(model.config, pair=replace(PAIR, text_holders=1.0))
    silent = ~described(GraphTensors(snapshot), PAIR).numpy()
    assert 0 < silent.sum() < 20
    before = scores_of(model, snapshot)
    with torch.no_grad():
        for one in (model.carry, model.offset, model.told):
            one.add_(2.0)
    after = scores_of(model, snapshot)
    assert np.array_equal(before[:, silent], after[:, silent])
    assert (np.abs(before - after).max(axis=0)[~silent] > 0.01).all()


def test_the_gate_weighs_text_by_how_few_hold_a_product():
    """Catches a gate that grows with the holders: (1 - g) graph + g text, g = k / (k + n)."""
    snapshot = with_texts(make_dated_snapshot(8), range(20))
    model = make_pair(snapshot)

    def with_holders(k):
        model.config = replace(model.config, pair=replace(PAIR, text_holders=k))
        return scores_of(model, snapshot)

    graph, text, half = with_holders(0.0), with_holders(1e9), with_holders(3.0)
    graph[:, UNSOLD] = text[:, UNSOLD]  # whatever k is, nobody holds it
    share = 3 / (3 + GraphTensors(snapshot).item_count.numpy())
    np.testing.assert_allclose(half, (1 - share) * graph + share * text, atol=1e-3)


# ---- contracts of the scores


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
@pytest.mark.parametrize("missing", ["nothing", *MISSING])
def test_scores_and_gradients_are_finite_whatever_is_missing(missing, switch):
    """Catches NaN in a score, or in a gradient, where there is nothing to divide by."""
    snapshot = {"nothing": lambda one: one, **MISSING}[missing](make_dated_snapshot(9))
    model = make_pair(snapshot, **switch)
    scores = model(evidence_of(model, snapshot))
    assert scores.shape == (30, 20)
    assert torch.isfinite(scores).all()
    torch.log_softmax(scores, dim=1)[:, 3].sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), name


@settings(max_examples=60)
@given(
    users=st.integers(1, 4),
    items=st.integers(1, 4),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    dim=st.integers(0, 3),
    peers=st.sampled_from([1, 3, 256]),
    seed=st.integers(0, 1000),
)
def test_graphs_of_any_size(users, items, share, dim, peers, seed):
    """Catches errors of shape, NaN and infinity in graphs of a user or an item or two."""
    rng = np.random.default_rng(seed)
    user, item = (one.astype(np.int32) for one in np.nonzero(rng.random((users, items)) < share))
    texts = [rng.normal(size=(n, dim)).astype(np.float32) for n in (users, items, items)]
    for one in texts:
        one /= np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-9)
        one[rng.random(len(one)) < 0.3] = 0
    snapshot = replace(
        make_dated_snapshot(0, kinds=()),
        n_users=users,
        n_items=items,
        pairs=Pairs(user, item),
        count=np.ones(len(user), np.float32),
        last=rng.integers(0, 300 * DAY, len(user)),
        item_categories={"kind": rng.integers(-1, 2, items).astype(np.int32)},
        texts=FixedTexts(*texts),
    )
    found = scores_of(make_pair(snapshot, pair=replace(PAIR, peers=peers)), snapshot)
    assert found.shape == (users, items)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("peers", [5, 256])
def test_a_user_s_scores_do_not_depend_on_who_else_is_asked_for(peers):
    """Catches a mean over the batch, and rows that are mixed up."""
    snapshot = make_dated_snapshot(10)
    model = make_pair(snapshot, pair=replace(PAIR, peers=peers))
    whole = scores_of(model, snapshot)
    for users in ([4], [NOBODY, 7, 4, 7]):
        found = scores_of(model, snapshot, np.array(users))
        np.testing.assert_allclose(found, whole[users], atol=1e-4)
    assert scores_of(model, snapshot, np.array([], np.int64)).shape == (0, 20)


@pytest.mark.parametrize("peers", [30, 31, 1000])
def test_as_many_peers_as_users_are_all_users(peers):
    """Catches an off-by-one at the number of users."""
    snapshot = make_dated_snapshot(11)
    found = [
        scores_of(make_pair(snapshot, pair=one), snapshot)
        for one in (PAIR, replace(PAIR, peers=peers))
    ]
    assert np.array_equal(*found)
    fewer = replace(PAIR, peers=3)
    other = scores_of(make_pair(snapshot, pair=fewer), snapshot)
    assert not np.allclose(found[0], other, atol=1e-2)


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_names_of_nodes_do_not_matter(switch):
    """Catches anything that hangs on the order of users or products."""
    snapshot, rng = make_dated_snapshot(12), np.random.default_rng(0)
    user, item = rng.permutation(30).astype(np.int32), rng.permutation(20).astype(np.int32)
    who, what = user[snapshot.pairs.user], item[snapshot.pairs.item]
    order = np.lexsort((what, who))
    back, forth = np.argsort(user), np.argsort(item)
    renamed = replace(
        snapshot,
        pairs=Pairs(who[order], what[order]),
        last=snapshot.last[order],
        ties={name: (user[a], user[b]) for name, (a, b) in snapshot.ties.items()},
        item_categories={name: one[forth] for name, one in snapshot.item_categories.items()},
        texts=FixedTexts(
            snapshot.user_text[back], snapshot.item_text[forth], snapshot.item_posts[forth]
        ),
    )
    model = make_pair(snapshot, **switch)
    found, expected = scores_of(model, renamed), scores_of(model, snapshot)
    np.testing.assert_allclose(found[user][:, item], expected, atol=1e-3)


def test_the_distance_to_the_start():
    """Catches a pull to zero in place of the start, and weights that are not pulled."""
    model = make_pair(make_dated_snapshot(0), moved=False)
    with torch.no_grad():
        assert model.squared_distance() == 0
        for name, parameter in model.named_parameters():
            if name.startswith("relations.pseudo."):
                continue  # what holds them are their targets
            before = parameter.clone()
            parameter.add_(0.5)
            assert model.squared_distance() >= 0.25 * parameter.numel() - 1e-4, name
            parameter.copy_(before)
        assert model.squared_distance() == 0


def test_weights_are_told_by_channel():
    """Catches names that do not belong to their weights."""
    model = make_pair(make_dated_snapshot(0))
    told = model.weights_by_channel()
    assert list(told) == list(model.channels)
    assert list(told.values()) == pytest.approx(model.weight.detach().tolist())


# ---- the start


@pytest.mark.parametrize(
    ("switch", "pair", "expected"),
    [
        ({}, {}, {"cosine 0": 0.5, "peers 0": 0.25, "peers 1": 0.25}),
        ({"stream_one": False}, {}, {"cosine 0": 1.0}),
        ({"stream_two": False}, {}, {"peers 0": 0.5, "peers 1": 0.5}),
        (
            {},
            {"holding_half_lives": ()},
            {"ease 200": 0.5, "peers 0": 0.25, "peers 1": 0.25},
        ),
        ({"graph": False}, {}, {"popularity": 1.0}),
        ({"stream_one": False}, {"ease": (), "holding_half_lives": ()}, {"popularity": 1.0}),
        ({"graph": False}, {"relations": ("trends",)}, {}),
    ],
    ids=str,
)
def test_the_start_is_a_recommender(switch, pair, expected):
    """Catches a model that begins by scoring everything alike, or whose starts add up to more."""
    snapshot = make_dated_snapshot(0)
    model = make_pair(snapshot, moved=False, pair=replace(PAIR, **pair), **switch)
    told = {name: value for name, value in model.weights_by_channel().items() if value}
    assert told == pytest.approx(expected)
    assert not model.slope.any()
    history = model.told[TEXT_CHANNELS.index("text history")]
    linear = any(name.startswith(("ease", "cosine", "peers")) for name in expected)
    assert history == (0.0 if linear else 0.5)


def test_relations_that_learn_nothing_have_no_weights():
    """Catches a weight that no gradient reaches: every weight has one where all parts are on."""
    snapshot = make_dated_snapshot(9)
    model = make_pair(snapshot)
    torch.log_softmax(model(evidence_of(model, snapshot)), dim=1)[:, 3].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    for one in model.listed():
        assert one.learned == bool(list(one.parameters())), one.name


def test_evidence_is_of_no_weight():
    """Catches evidence, made once, that hangs on weights which go on moving."""
    snapshot = make_dated_snapshot(9)
    model, other = make_pair(snapshot), make_pair(snapshot, seed=1)
    one, two = evidence_of(model, snapshot), evidence_of(other, snapshot)
    for tensor, same in ((one.pairs, two.pairs), (one.items, two.items), (one.text, two.text)):
        assert torch.equal(tensor, same)
        assert not tensor.requires_grad
    assert one.sampled.keys() == two.sampled.keys()
    for name, tensors in one.sampled.items():
        for tensor, same in zip(listed(tensors), listed(two.sampled[name]), strict=True):
            assert torch.equal(tensor, same), name
            assert not tensor.requires_grad


def listed(tensors):
    """A tensor, or a tuple of them, as a tuple."""
    return tensors if isinstance(tensors, tuple) else (tensors,)


# ---- devices

cuda = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
)


def trained_once(snapshot, device, users=None, **switch):
    """Scores and gradients on ``device``, one forward and one backward, as CPU tensors."""
    model = make_pair(snapshot, **switch).to(device)
    scores = model(evidence_of(model, snapshot, users, device))
    loss = torch.log_softmax(scores, dim=1)[:, 3].sum() + model.squared_distance()
    labels, view = model.pseudo_labels(), GraphTensors(snapshot, device)
    for text in (view.item_text, view.user_text):
        loss = loss if labels is None else loss + labels(text).square().mean()
    loss.backward()
    grads = {name: one.grad for name, one in model.named_parameters()}
    return scores.detach(), grads


def assert_same_elsewhere(found, expected):
    """Scores and gradients of two devices, near enough for sums in another order."""
    torch.testing.assert_close(numbers(found[0]).cpu(), expected[0], rtol=1e-4, atol=1e-4)
    assert found[1].keys() == expected[1].keys()
    for name, grad in expected[1].items():
        if grad is None:
            assert found[1][name] is None, name
        else:
            other = numbers(found[1][name]).cpu()
            torch.testing.assert_close(other, grad, rtol=1e-3, atol=1e-3, msg=name)


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
@pytest.mark.parametrize("missing", ["nothing", *MISSING])
def test_everything_is_on_one_device(missing, switch):
    """Catches a tensor left on the CPU, which a GPU alone would refuse: on a pretended device, no
    operation of a forward or a backward may mix the two."""
    snapshot = {"nothing": lambda one: one, **MISSING}[missing](make_dated_snapshot(9))
    expected = trained_once(snapshot, "cpu", **switch)
    with PretendDevice():
        found = trained_once(snapshot, DEVICE, **switch)
    assert isinstance(found[0], Elsewhere)
    assert all(one is None or isinstance(one, Elsewhere) for one in found[1].values())
    assert_same_elsewhere(found, expected)


OTHER_PATHS = {
    "near": {"ease_near": 3},
    "vectors": {"vectors": 4, "vector_epochs": 1},
    "few peers": {"peers": 3},
    "text shares": {"text_holders": 3.0},
    "no ranks": {"ranks": ()},
}


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_settings_with_paths_of_their_own_are_on_one_device(path):
    """Catches a tensor left on the CPU by what is not in the default configuration."""
    snapshot, pair = make_dated_snapshot(9), replace(PAIR, **OTHER_PATHS[path])
    expected = trained_once(snapshot, "cpu", pair=pair)
    with PretendDevice():
        found = trained_once(snapshot, DEVICE, pair=pair)
    assert_same_elsewhere(found, expected)


@pytest.mark.parametrize("device", [cuda])
@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_a_gpu_gives_what_the_cpu_gives(device, switch):
    """Catches what a pretended device cannot: kernels of another device."""
    snapshot = make_dated_snapshot(9)
    expected = trained_once(snapshot, "cpu", **switch)
    assert_same_elsewhere(trained_once(snapshot, device, **switch), expected)


def test_the_pretended_device_refuses_what_a_gpu_would():
    """Catches a pretence under which every test passes."""
    with PretendDevice():
        away, here = torch.zeros(3, device=DEVICE), torch.ones(3)
        place = torch.tensor([0, 1])
        for call in (
            lambda: away + here,
            lambda: away[place],
            lambda: torch.where(here > 0, away, away),
            lambda: away.index_add_(0, place, here[:2]),
        ):
            with pytest.raises(RuntimeError, match="mixes devices"):
                call()
        with pytest.raises(RuntimeError, match="not supported"):
            away.numpy()
        there = here.to(DEVICE)
        assert isinstance(there + away, Elsewhere)
        assert (there + 1).cpu().tolist() == [2, 2, 2]
        assert int(there.sum()) == 3
