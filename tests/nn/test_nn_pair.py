"""The model over derived relations: attention by loops, switches, the gate, and what is missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from derived_models import DERIVED, make_derived
from finrec_dgl.nn.derived import TEXT_CHANNELS
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import DAY, FixedTexts, make_dated_snapshot, with_pairs
from test_nn_world import MISSING, NOBODY, UNSOLD

from finrec_dgl.dataset.snapshot import Pairs
from finrec_dgl.nn import World

SWITCHES = [
    {},
    {"text": False},
    {"graph": False},
    {"pseudo": False},
    {"social": False},
    {"stream_one": False},
    {"stream_two": False},
]


def scores_of(model, snapshot, users=None, derived=DERIVED):
    """float32 [users, items]."""
    world = World(snapshot, derived)
    users = np.arange(snapshot.n_users) if users is None else users
    with torch.inference_mode():
        return model(world, model.evidence(world, world.receivers(users))).numpy()


# ---- attention


def attention_alone(snapshot, derived=DERIVED):
    """A model whose heads alone have a weight, the same for every user."""
    model = make_derived(snapshot, text=False, stream_two=False, derived=derived)
    with torch.no_grad():
        model.slope.zero_()
        for number, name in enumerate(model.channels):
            if not name.startswith("peers"):
                model.weight[number] = 0.0
    return model


def explicit_attention(world, evidence, weight, query, floor):
    """sum over heads of w log_share(sum over v of softmax_v(q . f_uv) kappa_iv), pair by pair."""
    features, absent, nodes = evidence.peers
    if nodes is None:
        nodes = torch.arange(world.n_users).expand(len(features), -1)
    rows = []
    for user in range(len(features)):
        column = {node: one for one, node in enumerate(nodes[user].tolist())}
        present = [peer for peer, one in column.items() if not absent[user, one]]
        free = [item for item in range(world.n_items) if evidence.free[user, item]]
        score = [torch.zeros((), dtype=torch.float64) for _ in range(world.n_items)]
        for head, kernel in enumerate(world.kernels):
            fades = torch.from_numpy(kernel.toarray().T).double()
            raw = {
                peer: torch.exp(query[head] @ features[user, column[peer]].double())
                for peer in present
            }
            whole = sum(raw.values())
            message = [
                sum(raw[peer] / whole * fades[item, peer] for peer in present)
                for item in range(world.n_items)
            ]
            total = sum(message[item] for item in free)
            for item in range(world.n_items):
                share = message[item] / total * len(free)
                score[item] = score[item] + weight[head] * torch.log(share + floor[head].exp())
        rows.append(torch.stack(score))
    return torch.stack(rows)


@pytest.mark.parametrize("peers", [0, 4])
def test_attention_between_users_and_its_gradient_by_loops(peers):
    """Catches a softmax over the wrong users, a message of another head, a share of all products,
    and a gradient that does not flow through any of them."""
    snapshot = make_dated_snapshot(0, users=14, items=9, edges=50)
    derived = replace(DERIVED, peers=peers)
    model = attention_alone(snapshot, derived)
    heads = [number for number, name in enumerate(model.channels) if name.startswith("peers")]
    world = World(snapshot, derived)
    users = np.flatnonzero(np.bincount(snapshot.pairs.user, minlength=14))[:6]
    evidence = model.evidence(world, world.receivers(users))
    pull = torch.from_numpy(np.random.default_rng(0).normal(size=(len(users), 9)))

    found = model(world, evidence)
    (found * pull).sum().backward()
    mine = {
        "weight": model.weight.detach()[heads],
        "query": model.query.detach(),
        "floor": model.floor.detach(),
    }
    mine = {name: value.double().requires_grad_() for name, value in mine.items()}
    expected = explicit_attention(world, evidence, **mine)
    (expected * pull).sum().backward()
    np.testing.assert_allclose(found.detach(), expected.detach(), rtol=1e-4, atol=1e-4)
    gradients = {
        "weight": model.weight.grad[heads],
        "query": model.query.grad,
        "floor": model.floor.grad,
    }
    for name, gradient in gradients.items():
        assert gradient.abs().max() > 1e-2
        np.testing.assert_allclose(gradient, mine[name].grad, rtol=1e-3, atol=1e-3)


def test_absent_users_send_nothing():
    """Catches a user, alone in a world, who hears from themselves what they hold."""
    snapshot = make_dated_snapshot(0)
    alone = with_pairs(snapshot, snapshot.pairs.user == 3)
    model, world = attention_alone(alone), World(alone, DERIVED)
    rows = replace(world.receivers(np.array([NOBODY])), user=np.array([3]))
    with torch.inference_mode():
        scores = model(world, model.evidence(world, rows))
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
    model = make_derived(snapshot, text=False)
    assert not any(name.startswith("pseudo") for name, _ in model.named_parameters())
    assert np.array_equal(scores_of(model, snapshot), scores_of(model, changed))
    model = make_derived(snapshot)
    assert np.abs(scores_of(model, snapshot) - scores_of(model, changed)).max() > 0.1


@pytest.mark.parametrize("part", ["social", "stream_one", "graph"])
def test_without_the_relation_no_tie_has_a_say(part):
    """Catches ties that reach a score past a switch."""
    snapshot = make_dated_snapshot(2)
    changed = other_ties(snapshot, np.random.default_rng(0))
    model = make_derived(snapshot, **{part: False})
    assert np.array_equal(scores_of(model, snapshot), scores_of(model, changed))
    model = make_derived(snapshot)
    assert np.abs(scores_of(model, snapshot) - scores_of(model, changed)).max() > 0.01


def test_without_the_graph_it_does_not_matter_who_else_holds_what():
    """Catches messages that reach a score past the switch; popularity is no message."""
    snapshot, user = make_dated_snapshot(3), 4
    changed = rewired(snapshot, np.random.default_rng(0), user)
    assert not np.array_equal(snapshot.pairs.user, changed.pairs.user)
    model = make_derived(snapshot, graph=False, derived=replace(DERIVED, text_channels=False))
    with torch.no_grad():
        # what is fitted from texts to holdings is no message either
        model.told[TEXT_CHANNELS.index("text fit")] = 0.0
    # ridge and kernel read which products somebody holds, and that is as it was
    one, other = (scores_of(model, world, np.array([user])) for world in (snapshot, changed))
    np.testing.assert_allclose(one, other, atol=1e-5)
    model = make_derived(snapshot)
    one, other = (scores_of(model, world, np.array([user])) for world in (snapshot, changed))
    assert np.abs(one - other).max() > 0.05


OTHERWISE = {
    "stream_one": {"peer_half_lives": (3.0, 5.0), "short_half_life": 1.0, "peers": 2},
    "stream_two": {"ease": (3.0, 5.0), "holding_half_lives": (3.0, 5.0), "ranks": (1,)},
}


@pytest.mark.parametrize("part", OTHERWISE)
def test_a_stream_that_is_off_has_no_say(part):
    """Catches relations of a stream that are read though it is switched off."""
    snapshot = make_dated_snapshot(4)
    derived = replace(DERIVED, **OTHERWISE[part])
    model = make_derived(snapshot, **{part: False})
    one, other = (scores_of(model, snapshot, derived=world) for world in (DERIVED, derived))
    assert np.array_equal(one, other)
    model = make_derived(snapshot)
    one, other = (scores_of(model, snapshot, derived=world) for world in (DERIVED, derived))
    assert np.abs(one - other).max() > 0.05


def test_pseudo_labels_have_a_say_only_where_they_are_on():
    """Catches labels that are learned and never read, or weights that stay when they are off."""
    snapshot = make_dated_snapshot(5)
    off = make_derived(snapshot, pseudo=False)
    assert off.pseudo is None
    assert not off.pseudo_logits(World(snapshot, DERIVED))
    assert not any(name.startswith("pseudo") for name, _ in off.named_parameters())
    on = make_derived(snapshot)
    before = scores_of(on, snapshot)
    logits = on.pseudo_logits(World(snapshot, DERIVED))
    assert {name: tuple(one.shape) for name, one in logits.items()} == {
        "user": (30, 3),
        "item": (20, 3),
    }
    with torch.no_grad():
        for parameter in on.pseudo.parameters():
            parameter.copy_(torch.randn_like(parameter) * 5)
    assert np.abs(scores_of(on, snapshot) - before).max() > 0.01


# ---- the gate


def without_channels(model, evidence, items, names):
    """``evidence`` with the fixed channels ``names`` of ``items`` as noise."""
    fixed = evidence.fixed.clone()
    for number, name in enumerate(model.channels[: fixed.shape[-1]]):
        if name in names:
            fixed[:, items, number] = torch.randn(len(fixed), len(items)) * 7
    return replace(evidence, fixed=fixed)


def described(snapshot, items):
    """``snapshot`` in which the products ``items`` have texts."""
    item, about = snapshot.item_text.copy(), snapshot.item_posts.copy()
    for number in items:
        item[number] = about[number] = np.linspace(0.1, 0.9, item.shape[1])
        item[number] /= np.linalg.norm(item[number])
        about[number] /= np.linalg.norm(about[number])
    return replace(snapshot, texts=FixedTexts(snapshot.user_text, item, about))


def test_a_product_that_nobody_holds_is_known_by_text_alone():
    """Catches a graph score of a product that has none, or one that is carried over from it."""
    snapshot = described(make_dated_snapshot(6), [UNSOLD])
    model, world = make_derived(snapshot), World(snapshot, DERIVED)
    evidence = model.evidence(world, world.receivers(np.arange(30)))
    graph = list(model.channels)
    with torch.inference_mode():
        before = model(world, evidence)
        after = model(world, without_channels(model, evidence, [UNSOLD], graph))
        assert torch.equal(before, after)
        other = model(world, without_channels(model, evidence, [0], graph))
        assert not torch.allclose(before[:, 0], other[:, 0], atol=0.1)
    with torch.inference_mode():
        after = model(world, replace(evidence, text=evidence.text + 1.0))
    assert not torch.allclose(before[:, UNSOLD], after[:, UNSOLD], atol=0.1)


def test_a_product_without_text_is_known_by_the_graph_alone():
    """Catches a share of text where there is none; and the gate's own shares."""
    snapshot = make_dated_snapshot(7)
    model, world = make_derived(snapshot), World(snapshot, DERIVED)
    model.config = replace(model.config, derived=replace(DERIVED, text_holders=1.0))
    silent = ~world.described.numpy()
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
    snapshot = described(make_dated_snapshot(8), range(20))
    model, world = make_derived(snapshot), World(snapshot, DERIVED)

    def with_holders(k):
        derived = replace(model.config.derived, text_holders=k)
        model.config = replace(model.config, derived=derived)
        return scores_of(model, snapshot)

    graph, text, half = with_holders(0.0), with_holders(1e9), with_holders(3.0)
    graph[:, UNSOLD] = text[:, UNSOLD]  # whatever k is, nobody holds it
    share = 3 / (3 + world.sold)
    np.testing.assert_allclose(half, (1 - share) * graph + share * text, atol=1e-3)


# ---- contracts of the scores


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
@pytest.mark.parametrize("missing", ["nothing", *MISSING])
def test_scores_and_gradients_are_finite_whatever_is_missing(missing, switch):
    """Catches NaN in a score, or in a gradient, where there is nothing to divide by."""
    snapshot = {"nothing": lambda one: one, **MISSING}[missing](make_dated_snapshot(9))
    model, world = make_derived(snapshot, **switch), World(snapshot, DERIVED)
    scores = model(world, model.evidence(world, world.receivers(np.arange(30))))
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
    peers=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_worlds_of_any_size(users, items, share, dim, peers, seed):
    """Catches errors of shape, NaN and infinity in worlds of a user or a product or two."""
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
    derived = replace(DERIVED, peers=peers)
    found = scores_of(make_derived(snapshot, derived=derived), snapshot, derived=derived)
    assert found.shape == (users, items)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("peers", [0, 5])
def test_a_user_s_scores_do_not_depend_on_who_else_is_asked_for(peers):
    """Catches a mean over the batch, and rows that are mixed up."""
    snapshot = make_dated_snapshot(10)
    derived = replace(DERIVED, peers=peers)
    model = make_derived(snapshot, derived=derived)
    whole = scores_of(model, snapshot, derived=derived)
    for users in ([4], [NOBODY, 7, 4, 7]):
        found = scores_of(model, snapshot, np.array(users), derived)
        np.testing.assert_allclose(found, whole[users], atol=1e-4)
    assert scores_of(model, snapshot, np.array([], np.int64), derived).shape == (0, 20)


@pytest.mark.parametrize("peers", [30, 31, 1000])
def test_as_many_peers_as_users_are_all_users(peers):
    """Catches an off-by-one at the number of users."""
    snapshot = make_dated_snapshot(11)
    found = [
        scores_of(make_derived(snapshot, derived=one), snapshot, derived=one)
        for one in (DERIVED, replace(DERIVED, peers=peers))
    ]
    assert np.array_equal(*found)
    fewer = replace(DERIVED, peers=3)
    other = scores_of(make_derived(snapshot, derived=fewer), snapshot, derived=fewer)
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
    model = make_derived(snapshot, **switch)
    found, expected = scores_of(model, renamed), scores_of(model, snapshot)
    np.testing.assert_allclose(found[user][:, item], expected, atol=1e-3)


def test_the_distance_to_the_start():
    """Catches a pull to zero in place of the start, and weights that are not pulled."""
    model = make_derived(make_dated_snapshot(0), moved=False)
    with torch.no_grad():
        assert model.squared_distance() == 0
        for name, parameter in model.named_parameters():
            if name.startswith("pseudo."):
                continue  # what holds them are their targets
            before = parameter.clone()
            parameter.add_(0.5)
            assert model.squared_distance() >= 0.25 * parameter.numel() - 1e-4, name
            parameter.copy_(before)
        assert model.squared_distance() == 0


def test_weights_are_told_by_channel():
    """Catches names that do not belong to their weights."""
    model = make_derived(make_dated_snapshot(0))
    told = model.weights_by_channel()
    assert list(told) == list(model.channels)
    assert list(told.values()) == pytest.approx(model.weight.detach().tolist())
