"""The whole model: every switch, sampled blocks against the whole graph, no text where off."""

import dataclasses

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, Elsewhere, PretendDevice, numbers
from snapshots import make_snapshot

from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import HybridConfig, TowerRecommender, features_of, silent_relations
from finrec_dgl.nn.heads import DotHead, MLPHead
from finrec_dgl.relations import GraphTensors, ModelShape
from finrec_dgl.sampling import FULL, Fanouts, NeighborSampler, whole_graph

BASE = HybridConfig(
    dim=8, dim_two=12, heads=2, layers=2, pseudo_classes=3, dropout=0.0, attention_dropout=0.0
)
SWITCHES = [
    {},
    {"text": False},
    {"graph": False},
    {"pseudo": False},
    {"social": False},
    {"stream_one": False},
    {"stream_two": False},
    {"ids": "both"},
    {"ids": "none"},
    {"ids_start": "random"},
    {"head": "mlp"},
    {"linear_layers": 3},
    {"layers": 4},
    *({"fusion": one, "fusion_two": one} for one in ("concat", "sum", "text", "graph")),
    {"graph": False, "stream_two": False},
]
SILENT = ("stream_one.layers.0.messages.user/", "stream_one.layers.0.own.user")


def make_model(snapshot, config, seed=0):
    torch.manual_seed(seed)
    shape = ModelShape(
        snapshot.n_users,
        snapshot.n_items,
        snapshot.item_text.shape[1],
        tuple(snapshot.ties),
        config.pseudo_classes if config.uses_pseudo else 0,
    )
    model = TowerRecommender(config, shape)
    model.start_from(GraphTensors(snapshot))
    # away from the quiet start, so that every part has a say in the output
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_every_switch_gives_finite_scores_and_gradients(switch):
    """Catches a switched-off part that is still called for, and NaN at isolated nodes."""
    snapshot = make_snapshot()
    config = dataclasses.replace(BASE, **switch)
    model = make_model(snapshot, config)
    encoded = model.encode(whole_graph(snapshot.graph(), config.depth), features_of(snapshot))
    scores = model.score(encoded.fused["user"], encoded.fused["item"])
    assert scores.shape == (30, 20)
    assert torch.isfinite(scores).all()
    loss = scores.logsumexp(1).sum()
    if encoded.pseudo is not None:
        loss = loss + sum(logits.sum() for logits in encoded.pseudo.values())
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            # text and graph take one side of the fusion, so the other's weights are idle; users who
            # have neither text nor vectors say nothing in the first layer
            silent = not config.text and name.startswith(SILENT)
            assert silent or config.fusion in ("text", "graph"), f"{name} has no say in the score"
            continue
        assert torch.isfinite(parameter.grad).all(), name


def test_switches_take_their_weights_away():
    """Catches a switch that only hides a part."""
    snapshot = make_snapshot()
    names = {
        key: {
            name
            for name, _ in make_model(
                snapshot, dataclasses.replace(BASE, **switch)
            ).named_parameters()
        }
        for key, switch in {
            "all": {},
            "text": {"text": False},
            "graph": {"graph": False},
            "pseudo": {"pseudo": False},
            "social": {"social": False},
            "one": {"stream_one": False},
            "two": {"stream_two": False},
        }.items()
    }
    gone = {key: names["all"] - found for key, found in names.items()}
    assert any(name.startswith("pseudo.") for name in gone["text"])
    assert any("gate_weight" in name for name in gone["text"])
    assert any(name.startswith("ids.") for name in gone["graph"])
    assert any(name.startswith("stream_one.") for name in gone["graph"])
    assert {name.split(".")[0] for name in gone["pseudo"]} == {"pseudo"}
    assert all("family" in name or "mixers.user" in name for name in gone["social"])
    assert gone["social"]
    assert all(name.startswith(("stream_one.", "text_one.", "ids_one.")) for name in gone["one"])
    assert all(name.startswith(("stream_two.", "text_two.")) for name in gone["two"])


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_sampled_blocks_with_full_fanout_equal_the_whole_graph(switch):
    """Catches layers cut at the wrong place: the same nodes must get the same vectors."""
    snapshot = make_snapshot(2)
    config = dataclasses.replace(BASE, **switch)
    model = make_model(snapshot, config).double().eval()
    features = features_of(snapshot, dtype=torch.float64)
    seeds = {"user": torch.tensor([0, 3, 7, 29]), "item": torch.tensor([1, 2, 19])}
    exclude = torch.tensor([0, 5, 9, 40])
    whole = model.encode(whole_graph(snapshot.graph(), config.depth, exclude), features)
    if config.depth:
        silent = silent_relations(config, snapshot.item_text.shape[1])
        assert bool(silent) == (switch == {"text": False})
        sampler = NeighborSampler(snapshot.graph(), [-1] * config.depth, silent=silent)
        blocks = sampler.sample(seeds, exclude)
        sampled = model.encode(blocks, features)
        for name in NODE_TYPES:
            torch.testing.assert_close(sampled.fused[name], whole.fused[name][seeds[name]])


def test_without_text_the_text_has_no_say():
    """Catches text that comes in by a back door."""
    snapshot = make_snapshot()
    config = dataclasses.replace(BASE, text=False)
    model = make_model(snapshot, config).eval()
    features = features_of(snapshot)
    noise = dataclasses.replace(
        features, text={name: torch.randn_like(v) for name, v in features.text.items()}
    )
    blocks = whole_graph(snapshot.graph(), config.depth)
    one, other = (model.encode(blocks, f).fused for f in (features, noise))
    assert all(torch.equal(one[name], other[name]) for name in NODE_TYPES)


def test_hidden_text_is_as_if_absent():
    """Catches text dropout that leaks the text through the gate or the pseudo-labels."""
    snapshot = make_snapshot()
    model = make_model(snapshot, BASE).eval()
    features = features_of(snapshot)
    hidden = {name: torch.ones(len(features.degree[name]), dtype=torch.bool) for name in NODE_TYPES}
    noise = dataclasses.replace(
        features, text={name: torch.randn_like(v) for name, v in features.text.items()}
    )
    blocks = whole_graph(snapshot.graph(), BASE.depth)
    one, other = (model.encode(blocks, f, hidden).fused for f in (features, noise))
    assert all(torch.equal(one[name], other[name]) for name in NODE_TYPES)


def test_text_only_form_sees_no_edges():
    """Catches a text-only baseline that profits from the graph."""
    snapshot, other = make_snapshot(0), make_snapshot(0, edges=20)
    config = dataclasses.replace(BASE, graph=False)
    model = make_model(snapshot, config).eval()
    features = features_of(snapshot)
    outs = [model.encode(whole_graph(s.graph(), 0), features).fused for s in (snapshot, other)]
    assert all(torch.equal(outs[0][name], outs[1][name]) for name in NODE_TYPES)


def test_spectral_start_is_the_low_pass_filter():
    """Stream Two alone must begin as the published filter, up to a scale per user."""
    snapshot = make_snapshot(4, users=40, items=15, edges=300)
    config = dataclasses.replace(
        BASE,
        dim_two=5,
        text=False,
        stream_one=False,
        item_bias=0.0,
        spectral_users=1.0,
        spectral_power=0.5,
    )
    shape = ModelShape(40, 15, 0)
    model = TowerRecommender(config, shape)
    model.start_from(GraphTensors(snapshot))
    fused = model.encode(whole_graph(snapshot.graph(), 1), features_of(snapshot)).fused
    scores = model.score(fused["user"], fused["item"]).detach().numpy()
    matrix = snapshot.matrix().toarray().astype(float)
    d_user, d_item = matrix.sum(1).clip(1), matrix.sum(0).clip(1)
    normal = matrix / np.sqrt(d_user)[:, None] / np.sqrt(d_item)[None]
    _, values, right = np.linalg.svd(normal)
    right = right[:5].T * np.sqrt(values[:5])
    # layer 0 gives a product its own vector, layer 1 gives users theirs; a product's layer 1 is
    # made of users' layer 0, which is zero
    plain = (matrix / np.sqrt(d_item)) @ right @ right.T * np.sqrt(d_item)
    active = matrix.sum(1) > 0
    for row, other in zip(scores[active], plain[active], strict=True):
        ratio = row @ other / (other @ other)
        assert ratio > 0
        np.testing.assert_allclose(row, ratio * other, rtol=1e-3, atol=1e-4)


def test_heads_equal_their_formulas():
    """Catches a head whose slices do not add up."""
    torch.manual_seed(0)
    user, item, bias = torch.randn(7, 6), torch.randn(5, 6), torch.randn(5)
    mlp = MLPHead(6, hidden=4, pairs_at_once=8)
    scores = mlp(user, item, bias)
    for u in range(7):
        for i in range(5):
            hidden = torch.relu(
                mlp.user.weight @ user[u] + mlp.item.weight @ item[i] + mlp.user.bias
            )
            torch.testing.assert_close(scores[u, i], mlp.out.weight[0] @ hidden + bias[i])
    dot = DotHead(6, quiet=2)
    torch.testing.assert_close(dot(user, item, bias), user[:, 2:] @ item[:, 2:].T + bias)
    assert mlp(user[:0], item, bias).shape == (0, 5)


@pytest.mark.parametrize("head", ["dot", "mlp"])
@pytest.mark.parametrize("users", [7, 30])
def test_a_batch_is_scored_as_all_pairs_are(head, users):
    """Catches a positive with another's bias, and rows or columns that change places."""
    snapshot = make_snapshot()
    model = make_model(snapshot, dataclasses.replace(BASE, head=head))
    encoded = model.encode(whole_graph(snapshot.graph(), 2), features_of(snapshot))
    bias = torch.randn(20)
    if head == "dot":
        # towers that do something, and another thing transposed
        torch.nn.init.normal_(model.head.user.mix)
        torch.nn.init.normal_(model.head.item.mix)
    rows, columns = torch.randint(users, (15,)), torch.randint(20, (15,))
    negatives = torch.tensor([1, 4, 5, 11])
    user, item = encoded.fused["user"][:users], encoded.fused["item"]
    positive, negative = model.score_batch(user, item, bias, (rows, columns), negatives)
    expected = model.head(user, item, bias)
    torch.testing.assert_close(positive, expected[rows, columns])
    torch.testing.assert_close(negative, expected[:, negatives])


@pytest.mark.parametrize(
    ("switch", "silent"),
    [
        ({}, [set(), {"user"}]),
        ({"text": False}, [{"user"}, {"user"}]),
        ({"text": False, "ids": "both"}, [set(), set()]),
    ],
    ids=str,
)
def test_what_has_nothing_to_say_is_not_asked(switch, silent, monkeypatch):
    """Catches a type of nodes that is passed over though it has states, in either stream."""
    snapshot = make_snapshot()
    config = dataclasses.replace(BASE, **switch)
    model = make_model(snapshot, config)
    blocks, features = whole_graph(snapshot.graph(), config.depth), features_of(snapshot)
    found = model.encode(blocks, features).fused
    passed_over = []
    for stream in (model.stream_one, model.stream_two):

        def asked(*given, forward=stream.forward):
            passed_over.append(set(given[-1]))
            return forward(*given[:-1])

        monkeypatch.setattr(stream, "forward", asked)
    expected = model.encode(blocks, features).fused
    for name in NODE_TYPES:
        torch.testing.assert_close(found[name], expected[name])
    assert passed_over == silent


@pytest.mark.parametrize("switch", [{"ids": "none"}, {"graph": False}, {}], ids=str)
def test_stream_two_can_leave_its_start(switch):
    """Catches vectors that are zero for users and products alike, whose product never learns."""
    snapshot = make_snapshot()
    config = dataclasses.replace(BASE, stream_one=False, **switch)
    torch.manual_seed(0)
    model = TowerRecommender(config, ModelShape(30, 20, 8, ("family",), 3))
    model.start_from(GraphTensors(snapshot))
    blocks = whole_graph(snapshot.graph(), config.depth)
    fused = model.encode(blocks, features_of(snapshot)).fused
    model.score(fused["user"], fused["item"]).logsumexp(1).sum().backward()
    for name in NODE_TYPES:
        assert model.text_two[name].weight.grad.any()


# ---- seeds in a graph


def altered(seeds):
    """The same seeds as rows that are described otherwise than in the graph."""
    return dataclasses.replace(seeds, altered=True)


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_a_row_that_is_described_as_the_graph_has_it_scores_the_same(switch):
    """Catches a copy of a user that gets another message, degree, vector or text than the user."""
    snapshot = make_snapshot(2)
    model = make_model(snapshot, dataclasses.replace(BASE, **switch)).eval()
    view = GraphTensors(snapshot)
    seeds = view.seeds([4, 0, 4, 29])
    with torch.no_grad():
        expected = model(model.evidence(view, seeds))
        copies = model(model.evidence(view, altered(seeds)))
        kept = model.score_seeds(view, seeds)
    torch.testing.assert_close(copies, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(kept, expected, rtol=1e-4, atol=1e-4)


def trained_once(snapshot, device, form, **switch):
    """Scores and gradients on ``device``, one forward and one backward."""
    model = make_model(snapshot, dataclasses.replace(BASE, **switch)).to(device)
    fanouts = Fanouts((2,), 3) if form == "drawn" else FULL
    view = GraphTensors(snapshot, device, fanouts)
    seeds = view.seeds([4, 0, 4, 29])
    scores = model(model.evidence(view, altered(seeds) if form == "altered" else seeds))
    loss = torch.log_softmax(scores, dim=1)[:, 3].sum() + sum(model.penalties().values())
    labels = model.pseudo_labels()
    if labels is not None:
        loss = loss + labels(view.user_text).square().mean()
    loss.backward()
    return scores.detach(), {name: one.grad for name, one in model.named_parameters()}


@pytest.mark.parametrize("form", ["plain", "altered", "drawn"])
@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_everything_is_on_one_device(switch, form):
    """Catches a tensor left on the CPU, which a GPU alone would refuse: on a pretended device, no
    operation of a forward or a backward may mix the two."""
    switch = {"dropout": 0.0, "attention_dropout": 0.0, **switch}
    expected = trained_once(make_snapshot(2), "cpu", form, **switch)
    with PretendDevice():
        found = trained_once(make_snapshot(2), DEVICE, form, **switch)
    assert isinstance(found[0], Elsewhere)
    torch.testing.assert_close(numbers(found[0]), expected[0], rtol=1e-4, atol=1e-4)
    for name, grad in expected[1].items():
        other = found[1][name]
        if grad is None:
            assert other is None, name
        else:
            torch.testing.assert_close(numbers(other), grad, rtol=1e-3, atol=1e-3, msg=name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("form", ["plain", "altered", "drawn"])
def test_a_gpu_gives_what_the_cpu_gives(form):
    """Catches what a pretended device cannot: kernels of another device."""
    expected = trained_once(make_snapshot(2), "cpu", form, dropout=0.0, attention_dropout=0.0)
    found = trained_once(make_snapshot(2), "cuda", form, dropout=0.0, attention_dropout=0.0)
    torch.testing.assert_close(found[0].cpu(), expected[0], rtol=1e-4, atol=1e-4)


def test_products_in_bfloat16_are_near():
    """Catches a part of the forward pass that mixed precision cannot run."""
    snapshot = make_snapshot(2)
    model = make_model(snapshot, dataclasses.replace(BASE, kernels="torch")).eval()
    view = GraphTensors(snapshot)
    evidence = model.evidence(view, view.seeds([4, 0, 29]))
    expected = model(evidence)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(evidence)
    found.float().logsumexp(1).sum().backward()
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.1, atol=0.1)
