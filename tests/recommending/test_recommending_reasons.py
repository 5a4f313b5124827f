"""Reasons: measured as if the evidence were really gone, in order, few, and about nobody else."""

import dataclasses

import numpy as np
import pytest
import torch
from recommending_worlds import BASE, PLAIN, WorldDataset, make_model, make_run
from snapshots import make_snapshot

from finrec_dgl.graph import INTERACTED_BY, NODE_TYPES, tie_relations
from finrec_dgl.graph.backend import dgl
from finrec_dgl.nn import NodeFeatures, features_of
from finrec_dgl.recommending import evidence as pieces
from finrec_dgl.recommending import reasons as module
from finrec_dgl.recommending import recommend
from finrec_dgl.recommending.evidence import Evidence
from finrec_dgl.recommending.reasons import effects_of, evidence_of, explain
from finrec_dgl.sampling import whole_graph
from finrec_dgl.training import ModelScorer

SWITCHES = [
    {},
    {"layers": 3},
    {"linear_layers": 3},
    {"head": "mlp"},
    {"text": False},
    {"pseudo": False},
    {"social": False},
    {"stream_one": False},
    {"stream_two": False},
    {"ids": "both"},
    {"ids": "none"},
    {"graph": False},
    *({"fusion": one, "fusion_two": one} for one in ("concat", "sum", "text", "graph")),
]


def without(graph, gone):
    """``graph`` less the edges for which ``gone(relation, source, target)`` holds."""
    data = {}
    for relation in graph.canonical_etypes:
        source, target = graph.edges(order="eid", etype=relation)
        keep = ~gone(relation, source, target)
        data[relation] = source[keep], target[keep]
    sizes = {name: graph.num_nodes(name) for name in NODE_TYPES}
    return dgl.heterograph(data, num_nodes_dict=sizes, idtype=graph.idtype)


def none_of(source):
    return torch.zeros(len(source), dtype=torch.bool)


def really_without(graph, features, user, one):
    """Graph, features and hidden texts of the world in which ``one`` was never there."""

    def gone(relation, source, target):
        if one.kind == "held" and relation == INTERACTED_BY:
            return (target == user) & (source == one.item)
        if one.kind == "ties" and relation in tie_relations(one.tie):
            return target == user
        return none_of(source)

    degree = {name: one.clone() for name, one in features.degree.items()}
    if one.kind == "held":
        degree["user"][user] -= 1
    hidden = {name: torch.zeros(len(degree[name]), dtype=torch.bool) for name in NODE_TYPES}
    hidden["user"][user] = one.kind == "text"
    left = NodeFeatures(features.text, features.has_text, degree, degree)
    return without(graph, gone), left, hidden


def scores_of(model, graph, features, user, hidden=None):
    with torch.inference_mode():
        blocks = whole_graph(graph, model.config.depth)
        fused = model.encode(blocks, features, hidden).fused
        return model.score(fused["user"][user : user + 1], fused["item"])[0].numpy()


def scorer_in(model, snapshot, graph=None, features=None):
    """A scorer of ``model``, with another graph or other features than the snapshot's."""
    scorer = ModelScorer(model, snapshot, PLAIN)
    if graph is not None:
        scorer.view.layer = whole_graph(graph, 1).layers[0]
    if features is not None:
        scorer.view.kept("node features", lambda: features)
    return scorer


def brute(model, graph, features, user, evidence):
    base = scores_of(model, graph, features, user)
    return np.stack(
        [
            base - scores_of(model, rest, left, user, hidden)
            for rest, left, hidden in (
                really_without(graph, features, user, one) for one in evidence
            )
        ]
    )


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_effects_are_those_of_really_removing_the_evidence(switch):
    """Catches a copy that gets a wrong message, vector, degree or text, at any depth.

    The user has no out-edges here, so that nothing but its own row can change.
    """
    snapshot, user = make_snapshot(3), 4
    snapshot.texts.user[user] = np.linspace(-0.5, 0.5, 8)
    model = make_model(snapshot, dataclasses.replace(BASE, **switch)).double()
    features = features_of(snapshot, dtype=torch.float64)
    graph = without(
        snapshot.graph(),
        lambda relation, source, target: (
            source == user if relation[0] == "user" else none_of(source)
        ),
    )
    evidence = evidence_of(model, snapshot, user)
    kinds = {one.kind for one in evidence}
    assert ("held" in kinds) == model.config.graph
    assert ("ties" in kinds) == (
        model.config.graph and model.config.social and model.config.stream_one
    )
    assert ("text" in kinds) == model.config.text
    items = np.arange(snapshot.n_items)
    found = effects_of(scorer_in(model, snapshot, graph, features), user, evidence, items)
    np.testing.assert_allclose(found, brute(model, graph, features, user, evidence), atol=1e-5)
    if "text" not in (model.config.fusion, model.config.fusion_two):
        assert np.abs(found).max(axis=1).min() > 1e-4  # each has a say


@pytest.mark.parametrize("head", ["dot", "mlp"])
def test_with_one_layer_effects_are_exact_in_the_whole_graph(head):
    """Catches copies that send: with one layer, the user's out-edges may stay as they are."""
    snapshot, user = make_snapshot(5), 7
    config = dataclasses.replace(BASE, layers=1, head=head)
    model = make_model(snapshot, config).double()
    features = features_of(snapshot, dtype=torch.float64)
    evidence = [one for one in evidence_of(model, snapshot, user) if one.kind != "text"]
    scorer = scorer_in(model, snapshot, features=features)
    found = effects_of(scorer, user, evidence, np.array([0, 3, 19]))
    expected = brute(model, snapshot.graph(), features, user, evidence)[:, [0, 3, 19]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_caller_s_features_and_mode_stay_as_they_were():
    """Catches effects that write into the features, or leave a model in training in eval mode."""
    snapshot = make_snapshot(3)
    model = make_model(snapshot).train()
    features, again = features_of(snapshot), features_of(snapshot)
    evidence = evidence_of(model, snapshot, 4)
    effects_of(scorer_in(model, snapshot, features=features), 4, evidence, np.array([0]))
    for part in ("text", "has_text", "degree"):
        for name in NODE_TYPES:
            assert torch.equal(getattr(features, part)[name], getattr(again, part)[name])
    assert model.training


def test_only_the_latest_holdings_are_weighed(monkeypatch):
    """Catches a copy for every one of a thousand holdings, or the oldest ones taken."""
    snapshot, user = make_snapshot(3), 4
    edges = np.flatnonzero(snapshot.pairs.user == user)
    latest = edges[np.argsort(-snapshot.last[edges], kind="stable")][:2]
    monkeypatch.setattr(pieces, "MOST_HOLDINGS", 2)
    model = make_model(snapshot)
    found = [one.item for one in evidence_of(model, snapshot, user) if one.kind == "held"]
    assert found == snapshot.pairs.item[latest].tolist()
    undated = dataclasses.replace(snapshot, last=None)
    found = [one.item for one in evidence_of(model, undated, user) if one.kind == "held"]
    assert found == snapshot.pairs.item[edges[:2]].tolist()


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_reasons_are_few_ordered_positive_and_tell_of_nobody_else(switch):
    """Catches a fourth reason, one that lowers the score, a wrong order, a customer's id."""
    run = make_run(dataclasses.replace(BASE, **switch), seed=1)
    kinds = set()
    for user in range(run.dataset.n_users):
        name = run.dataset.user_ids[user].as_py()
        for one in recommend(run, name, k=5):
            assert len(one.reasons) <= 3
            measured = [why.effect for why in one.reasons if why.kind != "new"]
            assert measured == sorted(measured, reverse=True)
            assert all(effect > 0 for effect in measured)
            kinds |= {why.kind for why in one.reasons}
            assert "customer-" not in " ".join(map(str, one.reasons))
    assert {"new", "popularity"} <= kinds
    assert ("held" in kinds) == run.made.model.config.graph
    if not (run.made.model.config.graph and run.made.model.config.social):
        assert "ties" not in kinds


def test_a_customer_without_any_interaction_is_told_so():
    """Catches no recommendations, or reasons that speak of holdings, for a newcomer."""
    run = make_run()
    found = recommend(run, f"customer-{run.dataset.n_users - 1:03d}", k=4)
    assert len(found) == 4
    for one in found:
        assert one.reasons[0].kind == "new"
        assert "held" not in {why.kind for why in one.reasons}
    holder = recommend(run, "customer-000", k=4)
    assert "new" not in {why.kind for one in holder for why in one.reasons}


def tied_world():
    """Users 1 to 5 are tied to user 0; 1, 2 and 3 hold item 6; 1 and 2 item 7; all five item 8."""
    snapshot = make_snapshot(0, users=12, items=10)
    snapshot.texts.user[0] = 8**-0.5  # posts, by what FixedTexts says
    pairs = [(0, 5), (1, 6), (1, 7), (1, 8), (2, 6), (2, 7), (2, 8), (3, 6), (3, 8), (4, 8), (5, 8)]
    user, item = (np.array(side, np.int32) for side in zip(*pairs, strict=True))
    source = np.array([0, 1, 2, 0, 4, 5], np.int32)
    target = np.array([1, 0, 0, 3, 0, 0], np.int32)  # the tie with 1 goes both ways
    return dataclasses.replace(
        snapshot,
        pairs=type(snapshot.pairs)(user, item),
        count=np.ones(len(pairs), np.float32),
        last=None,
        ties={"family": (source, target)},
    )


def told(monkeypatch, items, effects, evidence):
    """The reasons for ``items`` of user 0, were the effects ``effects`` [evidence, items]."""
    snapshot = tied_world()
    monkeypatch.setattr(module, "effects_of", lambda *_: np.array(effects, np.float32))
    monkeypatch.setattr(module, "evidence_of", lambda *_: evidence)
    model = make_model(snapshot)
    with torch.no_grad():
        model.item_bias.zero_()
        model.item_bias[8] = 1.0
    scorer = ModelScorer(model, snapshot, PLAIN)
    return explain(scorer, WorldDataset(snapshot), 0, np.array(items))


def test_the_sentences(monkeypatch):
    """Catches sentences that a person could not read, and a wrong number in one."""
    evidence = [Evidence("held", item=5), Evidence("ties", tie="family"), Evidence("text")]
    effects = [[0.4234, -1.0, 12.0], [0.05, 0.3, -0.1], [-0.2, 0.0, 0.0061]]
    first, second, third = told(monkeypatch, [6, 7, 8], effects, evidence)
    assert [str(one) for one in first] == [
        "Because you hold Fund 5 (+0.42)",
        "3 customers you are tied to hold it (family, +0.05)",
    ]
    assert first[0].to_mapping() == {
        "kind": "held",
        "subject": "Fund 5",
        "item_id": "P5",
        "effect": pytest.approx(0.4234),
        "text": "Because you hold Fund 5 (+0.42)",
    }
    assert [str(one) for one in second] == [
        "Because of what customers you are tied to hold or write (family, +0.30)"
    ]
    assert [one.kind for one in third] == ["held", "popularity", "text"]
    assert str(third[1]) == "Popular: held by 42% of customers"
    assert third[1].effect == pytest.approx(0.9)
    assert str(third[2]) == "Because of what you wrote (+0.006)"


@pytest.mark.parametrize(("item", "number"), [(6, True), (7, False), (8, False), (9, False)])
def test_ties_do_not_tell_on_one_customer(monkeypatch, item, number):
    """Catches a count so small, or so full, that it tells what one certain customer holds."""
    (found,) = told(monkeypatch, [item], [[5.0]], [Evidence("ties", tie="family")])
    assert found[0].text[0].isdigit() == number


def test_a_product_held_already_is_not_its_own_reason(monkeypatch):
    """Catches "because you hold A" for A, with --include-known."""
    (found,) = told(monkeypatch, [5], [[0.5]], [Evidence("held", item=5)])
    assert str(found[0]) == "You hold it already (+0.50)"


def test_a_run_of_one_holding_and_of_no_evidence():
    """Catches NaN where the last in-edge goes, and a user of whom nothing is known."""
    snapshot = tied_world()
    scorer = scorer_in(make_model(snapshot), snapshot)
    found = effects_of(scorer, 0, [Evidence("held", item=5)], np.arange(10))
    assert np.isfinite(found).all()
    assert effects_of(scorer, 11, [], np.arange(10)).shape == (0, 10)
