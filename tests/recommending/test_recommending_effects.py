"""Reasons with the pair readout: as if the evidence were gone from the user's own row."""

import dataclasses

import numpy as np
import pytest
import torch
from pair_models import make_pair
from recommending_worlds import WorldDataset, WorldRun
from snapshots import FixedTexts, make_dated_snapshot, with_pairs
from test_recommending_reasons import tied_world

from finrec_dgl.recommending import evidence as pieces
from finrec_dgl.recommending import reasons as module
from finrec_dgl.recommending import recommend
from finrec_dgl.recommending.evidence import Evidence, holdings, tied
from finrec_dgl.recommending.reasons import effects_of, evidence_of, explain, popularity_of
from finrec_dgl.relations import GraphTensors
from finrec_dgl.training import ModelScorer, TrainConfig

USER = 4
CONFIG = TrainConfig(device="cpu")
SWITCHES = [
    {},
    {"text": False},
    {"graph": False},
    {"pseudo": False},
    {"social": False},
    {"stream_one": False},
    {"stream_two": False},
]


def make_scorer(seed=3, **switches):
    """A scorer in a graph where ``USER`` holds some, is tied by two kinds and has a text."""
    snapshot = make_dated_snapshot(seed, kinds=("family", "work"))
    snapshot.texts.user[USER] = 8**-0.5
    ties = {
        name: (np.append(source, np.int32(USER)), np.append(target, np.int32(other)))
        for (name, (source, target)), other in zip(snapshot.ties.items(), (9, 12), strict=True)
    }
    snapshot = dataclasses.replace(snapshot, ties=ties)
    return ModelScorer(make_pair(snapshot, **switches), snapshot, CONFIG)


def known_of(scorer, user):
    """The evidence of ``user``."""
    return evidence_of(scorer.model, scorer.snapshot, user)


def really_without(snapshot, user, one):
    """The graph in which ``one`` of ``user`` was never there."""
    if one.kind == "held":
        gone = (snapshot.pairs.user == user) & (snapshot.pairs.item == one.item)
        assert gone.sum() == 1
        return with_pairs(snapshot, ~gone)
    if one.kind == "ties":
        source, target = snapshot.ties[one.tie]
        kept = (source != user) & (target != user)
        return dataclasses.replace(
            snapshot, ties={**snapshot.ties, one.tie: (source[kept], target[kept])}
        )
    text = snapshot.user_text.copy()
    text[user] = 0
    return dataclasses.replace(
        snapshot, texts=FixedTexts(text, snapshot.item_text, snapshot.item_posts)
    )


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_effects_are_those_of_really_removing_the_evidence(switch):
    """Catches a row that lacks something else, or of which something is left: ages, ties, text.

    Everyone else stays as they were, so the row of the other graph is scored in this one.
    """
    scorer = make_scorer(**switch)
    evidence = known_of(scorer, USER)
    config = scorer.model.config
    assert [one.item for one in evidence if one.kind == "held"] == list(
        holdings(scorer.snapshot, USER)
    )
    ties = [one.tie for one in evidence if one.kind == "ties"]
    assert ties == (
        ["family", "work"] if config.graph and config.social and config.stream_one else []
    )
    assert ("text" in {one.kind for one in evidence}) == config.text

    items = np.array([0, 7, 3, 19])
    found = effects_of(scorer, USER, evidence, items)
    base = scorer.score(np.array([USER]))[0, items]
    for effect, one in zip(found, evidence, strict=True):
        rest = GraphTensors(really_without(scorer.snapshot, USER, one))
        expected = base - scorer.score_rows(rest.seeds([USER]))[0, items]
        np.testing.assert_allclose(effect, expected, atol=1e-4)
    for kind in {one.kind for one in evidence}:
        says = [np.abs(e).max() for e, one in zip(found, evidence, strict=True) if one.kind == kind]
        assert max(says) > 1e-3, kind


def test_a_user_of_whom_nothing_is_known_has_no_evidence():
    """Catches NaN, or reasons, where there is nothing to take away."""
    scorer = make_scorer()
    newcomer = scorer.snapshot.n_users - 1
    scorer.snapshot.texts.user[newcomer] = 0
    evidence = [one for one in known_of(scorer, newcomer) if one.kind != "ties"]
    assert evidence == []
    assert effects_of(scorer, newcomer, [], np.arange(3)).shape == (0, 3)
    assert effects_of(scorer, USER, [Evidence("text")], np.arange(0)).shape == (1, 0)


def test_taking_the_last_holding_away_is_finite():
    """Catches NaN where a row is left without anything."""
    scorer = make_scorer()
    snapshot = scorer.snapshot
    kept = (snapshot.pairs.user != USER) | (np.cumsum(snapshot.pairs.user == USER) == 1)
    one = ModelScorer(scorer.model, with_pairs(snapshot, kept), CONFIG)
    (held,) = holdings(one.snapshot, USER)
    effects = effects_of(one, USER, [Evidence("held", item=int(held))], np.arange(20))
    assert np.isfinite(effects).all()
    assert effects.any()


def test_only_the_latest_holdings_are_weighed(monkeypatch):
    """Catches a row for every one of a thousand holdings, or the oldest ones taken."""
    scorer = make_scorer()
    snapshot = scorer.snapshot
    edges = np.flatnonzero(snapshot.pairs.user == USER)
    latest = edges[np.argsort(-snapshot.last[edges], kind="stable")][:2]
    monkeypatch.setattr(pieces, "MOST_HOLDINGS", 2)
    found = [one.item for one in known_of(scorer, USER) if one.kind == "held"]
    assert found == snapshot.pairs.item[latest].tolist()


def test_tied_in_either_direction_and_once():
    """Catches ties of one direction, and somebody who counts twice."""
    snapshot = tied_world()
    assert tied(snapshot, "family", 0).tolist() == [1, 2, 3, 4, 5]
    assert tied(snapshot, "family", 3).tolist() == [0]
    assert tied(snapshot, "work", 0).tolist() == []


def test_popularity_is_what_it_adds_beyond_the_mean_item():
    """Catches the part of another channel, and popularity of what hardly anybody has."""
    scorer = make_scorer(text=False)
    model, view = scorer.model, scorer.view
    found = popularity_of(scorer, USER, np.arange(20))
    count = view.item_count.numpy()
    some = np.flatnonzero(count > count.mean())
    assert len(some)
    assert (found[count <= count.mean()] == 0).all()
    # the same scores where the channels of the item are the same for every item
    with torch.inference_mode():
        evidence = model.evidence(view, view.seeds([USER]))
        mean = evidence.items.mean(dim=0, keepdim=True).expand_as(evidence.items)
        flat = model(dataclasses.replace(evidence, items=mean))
        rest = (model(evidence) - flat).numpy()
    np.testing.assert_allclose(found[some], rest[0, some], atol=1e-3)
    others = np.array([some[-1], 3, some[0]])
    np.testing.assert_array_equal(popularity_of(scorer, USER, others), found[others])


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_reasons_are_few_ordered_positive_and_tell_of_nobody_else(switch):
    """Catches a fourth reason, one that lowers the score, a wrong order, a customer's id."""
    scorer = make_scorer(1, **switch)
    run = WorldRun(WorldDataset(scorer.snapshot), scorer)
    kinds = set()
    for user in range(0, run.dataset.n_users, 3):
        for one in recommend(run, run.dataset.user_ids[user].as_py(), k=5):
            assert len(one.reasons) <= 3
            measured = [why.effect for why in one.reasons if why.kind != "new"]
            assert measured == sorted(measured, reverse=True)
            assert all(effect > 0 for effect in measured)
            kinds |= {why.kind for why in one.reasons}
            assert "customer-" not in " ".join(map(str, one.reasons))
    newcomer = recommend(run, f"customer-{run.dataset.n_users - 1:03d}", k=3)
    assert [one.reasons[0].kind for one in newcomer] == ["new"] * 3
    assert "held" in kinds
    config = scorer.model.config
    if not (config.graph and config.social and config.stream_one):
        assert "ties" not in kinds
    if not config.text:
        assert "text" not in kinds


def test_the_sentences_are_those_of_the_tower(monkeypatch):
    """Catches a second wording, or a wrong number in one."""
    snapshot = tied_world()
    scorer = ModelScorer(make_pair(snapshot), snapshot, CONFIG)
    evidence = [Evidence("held", item=5), Evidence("ties", tie="family"), Evidence("text")]
    effects = np.array([[0.4234, -1.0, 12.0], [0.05, 0.3, -0.1], [-9.0, 0.0, 0.2]], np.float32)
    monkeypatch.setattr(module, "evidence_of", lambda *_: evidence)
    monkeypatch.setattr(module, "effects_of", lambda *_: effects)
    monkeypatch.setattr(module, "popularity_of", lambda *_: np.array([0.0, 0.0, 0.9]))
    first, second, third = explain(scorer, WorldDataset(snapshot), 0, np.array([6, 7, 8]))
    assert [str(one) for one in first] == [
        "Because you hold Fund 5 (+0.42)",
        "3 customers you are tied to hold it (family, +0.05)",
    ]
    assert [str(one) for one in second] == [
        "Because of what customers you are tied to hold or write (family, +0.30)"
    ]
    assert [str(one) for one in third] == [
        "Because you hold Fund 5 (+12.00)",
        "Popular: held by 42% of customers",
        "Because of what you wrote (+0.20)",
    ]
