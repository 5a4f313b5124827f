"""With unlimited fanouts both samplers give the same loss and the same gradients."""

import dataclasses

import numpy as np
import pytest
import torch
from pair_models import CONFIG
from snapshots import make_snapshot
from training_banks import with_vectors

from finrec_dgl.dataset import PreprocessOptions, build_dataset
from finrec_dgl.nn import HybridConfig, PseudoLabeler, TowerRecommender, features_of, tower
from finrec_dgl.relations import GraphTensors, ModelShape
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training import (
    Batches,
    ModelScorer,
    TrainConfig,
    joint_loss,
)
from finrec_dgl.training.learner import Learner

MODEL = HybridConfig(
    readout="tower",
    dim=8,
    dim_two=12,
    heads=2,
    layers=3,
    linear_layers=2,
    pseudo_classes=4,
    dropout=0.0,
    attention_dropout=0.0,
)


@pytest.mark.parametrize("loss", ["softmax", "bpr", "bce"])
@pytest.mark.parametrize("ids", ["items", "both"])
@pytest.mark.parametrize("negatives", ["all", "uniform"])
@pytest.mark.parametrize("text", [True, False])
def test_same_batch_same_loss_and_gradients(loss, ids, negatives, text):
    """Catches any part of the loss that depends on which nodes happen to be in the blocks."""
    snapshot = make_snapshot(7, users=40, items=25, edges=260)
    model_config = dataclasses.replace(MODEL, ids=ids, text=text)
    base = TrainConfig.plain(
        model=model_config,
        loss=loss,
        negatives=negatives,
        n_negatives=9,
        batch_size=50,
        fanout=(-1,),
        lambda_reg=1e-3,
        lambda_ids=1e-2,
        lambda_pseudo=0.3,
    )
    targets = PseudoLabeler(model_config, None, snapshot).targets(snapshot)
    torch.manual_seed(0)
    model = TowerRecommender(model_config, ModelShape(40, 25, 8, ("family",), 4))
    model.start_from(GraphTensors(snapshot))
    with torch.no_grad():
        model.head.item.gain.add_(torch.randn_like(model.head.item.gain) * 0.1)
    features = features_of(snapshot)
    edges = np.random.default_rng(0).choice(len(snapshot.pairs.user), 50, replace=False)
    found = {}
    for sampler in ("full", "neighbor"):
        config = dataclasses.replace(base, sampler=sampler)
        batch = Batches(snapshot, config).batch(1, 0, edges)
        model.zero_grad()
        terms = joint_loss(model, config, batch, features, targets)
        terms.total.backward()
        grads = {name: p.grad.clone() for name, p in model.named_parameters()}
        found[sampler] = (terms, grads)
    (full, full_grads), (sampled, sampled_grads) = found["full"], found["neighbor"]
    for name in ("total", "rec", "pseudo", "reg"):
        torch.testing.assert_close(
            getattr(full, name), getattr(sampled, name), rtol=1e-5, atol=1e-6
        )
    assert (float(full.pseudo) > 0) == text
    for name, grad in full_grads.items():
        torch.testing.assert_close(grad, sampled_grads[name], rtol=1e-5, atol=1e-5)


def scorer_drawing(model, snapshot, fanout):
    """A scorer that draws ``fanout`` neighbours a layer."""
    config = TrainConfig.plain(model=MODEL, sampler="neighbor", fanout=(fanout,), device="cpu")
    return ModelScorer(model, snapshot, config)


def test_a_scorer_that_samples_all_neighbours_scores_the_same(monkeypatch):
    """Catches nodes encoded out of order, twice or by chance where the whole graph does not fit."""
    snapshot = make_snapshot(3, users=40, items=25, edges=260)
    torch.manual_seed(0)
    model = TowerRecommender(MODEL, ModelShape(40, 25, 8, ("family",), 0))
    model.start_from(GraphTensors(snapshot))
    users = np.array([7, 3, 3, 39, 0])
    whole = scorer_drawing(model, snapshot, 2).score(users)  # they fit, so all are taken
    monkeypatch.setattr(tower, "MOST_BYTES", 1000)
    sampled = scorer_drawing(model, snapshot, 10_000).score(users)
    np.testing.assert_allclose(sampled, whole, atol=1e-5)
    few = [scorer_drawing(model, snapshot, 2).score(users) for _ in range(2)]
    assert np.array_equal(*few)
    assert np.abs(few[0] - sampled).max() > 1e-3
    assert scorer_drawing(model, snapshot, 2).vectors() is None


@pytest.mark.parametrize("ids", ["items", "both"])
def test_gradients_by_rows_are_the_same(ids):
    """Catches a use of learned vectors that a sparse gradient does not have."""
    snapshot = make_snapshot(7, users=40, items=25, edges=260)
    model_config = dataclasses.replace(MODEL, ids=ids)
    config = TrainConfig.plain(
        model=model_config, sampler="neighbor", fanout=(2,), batch_size=50, lambda_ids=1e-2
    )
    torch.manual_seed(0)
    model = TowerRecommender(model_config, ModelShape(40, 25, 8, ("family",), 0))
    batch = Batches(snapshot, config).batch(1, 0, np.arange(20))
    found = {}
    for by_rows in (False, True):
        model.row_gradients = by_rows
        model.zero_grad()
        joint_loss(model, config, batch, features_of(snapshot), None).total.backward()
        found[by_rows] = {name: value.grad for name, value in model.named_parameters()}
    for name, grad in found[True].items():
        assert grad.is_sparse == name.startswith(("ids.", "item_bias"))
        torch.testing.assert_close(grad.to_dense() if grad.is_sparse else grad, found[False][name])


# ---- the pair readout

PAIR = TrainConfig(
    model=CONFIG, windows=3, warm_up=40.0, sampler="full", lambda_start=1e-2, lambda_pseudo=0.3
)
TOWER = dataclasses.replace(
    PAIR, model=dataclasses.replace(MODEL, pseudo_classes=3), seeds="windows"
)
CANDIDATES = dataclasses.replace(
    PAIR,
    model=dataclasses.replace(
        CONFIG, pair=dataclasses.replace(CONFIG.pair, all_items=5, candidates=16, near=8)
    ),
)
FORMS = pytest.mark.parametrize(
    "form", [PAIR, CANDIDATES, TOWER], ids=["pair", "candidates", "tower"]
)
MORE_THAN_THERE_ARE = 10_000


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A bank with ties, and a text for every item and user."""
    world = World(users=150, items=30, interactions_per_user=10.0, texts=False, ties_per_user=3.0)
    options = PreprocessOptions(encoder=EncoderSpec(name="none"))
    folder = tmp_path_factory.mktemp("agree") / "data"
    return with_vectors(build_dataset(generate(world), folder, options))


def steps_of(dataset, config):
    """For each batch: its seeds, the terms of the loss, and the gradient of every weight."""
    learner = Learner(dataset, dataset.snapshot("train"), config)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            made = torch.Generator().manual_seed(parameter.numel())
            parameter.add_(torch.randn(parameter.shape, generator=made) * 0.1)
    found = []
    for batch in learner.objective.batches:
        terms = learner.objective._loss(batch)
        learner.model.zero_grad()
        terms.total.backward()
        grads = {name: one.grad.clone() for name, one in learner.model.named_parameters()}
        found.append((batch.episode.users, terms, grads))
    return found


@pytest.mark.parametrize("loss", ["backtest", "softmax", "bpr", "bce"])
@pytest.mark.parametrize("fanout", [(-1, -1, -1), (MORE_THAN_THERE_ARE,) * 3], ids=str)
@FORMS
def test_unlimited_fanouts_give_the_loss_and_gradients_of_all_neighbours(
    dataset, loss, fanout, form
):
    """Catches any neighbour, age or message that is lost or doubled on the way through a draw."""
    full = dataclasses.replace(form, loss=loss)
    drawn = dataclasses.replace(full, sampler="neighbor", fanout=fanout)
    one, other = (steps_of(dataset, config) for config in (full, drawn))
    # three windows, each once more with cold items where text has weights of its own
    assert len(one) == (3 if form is TOWER else 6)
    for (users, terms, grads), (same, theirs, their_grads) in zip(one, other, strict=True):
        assert np.array_equal(users, same)
        for name in ("total", "rec", "pseudo", "reg"):
            mine, wanted = getattr(terms, name), getattr(theirs, name)
            torch.testing.assert_close(mine, wanted, rtol=1e-5, atol=1e-5)
        assert terms.pseudo > 0
        assert grads.keys() == their_grads.keys()
        for name, grad in grads.items():
            assert grad.any(), name
            torch.testing.assert_close(grad, their_grads[name], rtol=1e-5, atol=1e-5)


@FORMS
def test_fewer_neighbours_give_another_loss(dataset, form):
    """Catches fanouts that do not reach the windows."""
    drawn = dataclasses.replace(form, sampler="neighbor", fanout=(3, 4, 3))
    few, again, full = (steps_of(dataset, config) for config in (drawn, drawn, form))
    other = steps_of(dataset, dataclasses.replace(drawn, seed=1))
    for (_, mine, _), (_, theirs, _), (_, whole, _) in zip(few, again, full, strict=True):
        assert mine.rec == theirs.rec
        assert abs(mine.rec - whole.rec) > 1e-4
    assert any(a[1].rec != b[1].rec for a, b in zip(few, other, strict=True))


def test_scores_by_unlimited_fanouts_are_those_of_all_neighbours(dataset):
    """Catches a scorer that sees other neighbours than it was told to."""
    snapshot = dataset.snapshot("train")
    model = Learner(dataset, snapshot, PAIR).model
    users = np.array([7, 3, 3, dataset.n_users - 1, 0])
    full = ModelScorer(model, snapshot, PAIR).score(users)
    configs = [
        dataclasses.replace(PAIR, sampler="neighbor", fanout=(one,) * 3)
        for one in (MORE_THAN_THERE_ARE, 2)
    ]
    every, few = (ModelScorer(model, snapshot, config).score(users) for config in configs)
    np.testing.assert_allclose(every, full, atol=1e-5)
    assert np.abs(few - full).max() > 1e-3
    assert np.array_equal(few, ModelScorer(model, snapshot, configs[1]).score(users))
