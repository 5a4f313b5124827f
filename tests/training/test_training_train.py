"""Training end to end on a small made-up bank: what it leaves, resuming, refusing, leaking."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from finrec_dgl.base.errors import ConfigError, DataError, TrainingError, UsageError
from finrec_dgl.dataset import PreprocessOptions, build_dataset, load_dataset
from finrec_dgl.evaluation import evaluate
from finrec_dgl.nn import HybridConfig
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training import TrainConfig, load_run, train

MODEL = HybridConfig(readout="tower", dim=8, dim_two=8, heads=2, layers=1)
CONFIG = TrainConfig.plain(model=MODEL, batch_size=512, epochs=3, patience=3, lr=0.01)
NO_TEXT = PreprocessOptions(encoder=EncoderSpec(name="none"))


def bank(folder, seed=0, **fields):
    world = World(users=150, items=30, interactions_per_user=10.0, texts=False, seed=seed, **fields)
    return build_dataset(generate(world), folder, NO_TEXT)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return bank(tmp_path_factory.mktemp("bank") / "data", graph_strength=4.0)


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    return train(dataset, tmp_path_factory.mktemp("runs") / "run", CONFIG)


def weights(run, split="test"):
    return dict(run.model(split).state_dict())


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_what_a_run_holds(run, dataset):
    """Catches a run that could not be judged or used later, and pickles in it."""
    files = {path.name for path in run.path.iterdir()} - {"tensorboard"}
    assert files == {
        "config.json",
        "run.json",
        "metrics.jsonl",
        "model.safetensors",
        "selected.safetensors",
    }
    info = json.loads((run.path / "run.json").read_text())
    assert info["dataset"]["hash"] == dataset.hash
    assert info["state"] == "finished"
    phases = [(one["phase"], one["epoch"]) for one in run.metrics]
    assert phases[: CONFIG.epochs + 1] == [("select", epoch) for epoch in range(4)]
    assert all(phase == "refit" for phase, _ in phases[4:])
    best = max(one["ndcg@10"] for one in run.metrics if one["phase"] == "select")
    assert info["valid_ndcg@10"] == best
    valid = evaluate(run.scorer("valid"), dataset, "valid")
    assert valid.metrics["ndcg@10"] == pytest.approx(best, abs=1e-9)


def test_the_loss_falls(run):
    """Catches a training that does not train."""
    losses = [one["rec"] for one in run.metrics if one["phase"] == "select" and "rec" in one]
    assert losses[-1] < losses[0]


def test_the_same_seed_gives_the_same_weights(run, dataset, tmp_path):
    """Catches randomness that does not come from the seed."""
    again = train(dataset, tmp_path / "again", CONFIG)
    assert same(weights(run), weights(again))
    other = train(dataset, tmp_path / "other", dataclasses.replace(CONFIG, seed=1))
    assert not same(weights(run), weights(other))


def test_a_graph_that_was_scored_first_can_be_trained_on(tmp_path):
    """Catches what is kept of a graph and was made where gradients are impossible."""
    dataset = bank(tmp_path / "data", ties_per_user=2.0)
    model = dataclasses.replace(MODEL, ids_start="random")
    run = train(dataset, tmp_path / "run", dataclasses.replace(CONFIG, model=model, epochs=1))
    evaluate(run.scorer("valid"), dataset, "valid")
    train(dataset, tmp_path / "again", dataclasses.replace(CONFIG, model=model, epochs=1))


@pytest.mark.parametrize("sampler", ["full", "neighbor"])
@pytest.mark.parametrize("cut_after", [("select", 2), ("refit", 1)])
def test_a_resumed_run_ends_as_an_uncut_one(dataset, tmp_path, monkeypatch, sampler, cut_after):
    """Catches anything that a checkpoint forgets: moments, randomness, the best so far."""
    from finrec_dgl.training import loop

    # from a random start the best epoch is a late one, so that the refit has epochs to be cut in
    model = dataclasses.replace(MODEL, ids_start="random")
    config = dataclasses.replace(CONFIG, model=model, sampler=sampler, fanout=(4,), lr=0.03)
    whole = train(dataset, tmp_path / "whole", config)
    checkpoint = loop._Phase.checkpoint

    def cut(self, epoch, best):
        checkpoint(self, epoch, best)
        if (self.name, epoch) == cut_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop._Phase, "checkpoint", cut)
    if whole.info["best_epoch"] >= cut_after[1] or cut_after[0] == "select":
        with pytest.raises(KeyboardInterrupt):
            train(dataset, tmp_path / "cut", config)
        monkeypatch.setattr(loop._Phase, "checkpoint", checkpoint)
        with pytest.raises(DataError, match=r"not finished(.|\n)*--resume"):
            load_run(tmp_path / "cut", dataset)
        resumed = train(dataset, tmp_path / "cut", config, resume=True)
        assert same(weights(whole), weights(resumed))
        assert same(weights(whole, "valid"), weights(resumed, "valid"))

        def record(run):
            return [
                {key: value for key, value in one.items() if key != "interactions_per_second"}
                for one in run.metrics
            ]

        assert record(whole) == record(resumed)
    else:
        pytest.fail("the refit has no epoch to be cut in: the test would show nothing")


def test_resuming_something_else_is_refused(run, dataset, tmp_path):
    """Catches a run mixed from two configurations or two data sets."""
    with pytest.raises(UsageError, match="another configuration: lr differ"):
        train(dataset, run.path, dataclasses.replace(CONFIG, lr=0.5), resume=True)
    other = bank(tmp_path / "other", seed=9)
    with pytest.raises(UsageError, match="another data set"):
        train(other, run.path, CONFIG, resume=True)
    with pytest.raises(DataError, match="not the one that the run was trained on"):
        load_run(run.path, other)


def test_a_run_in_the_way_is_kept(run, dataset):
    """Catches a finished run that is lost by training over it."""
    with pytest.raises(UsageError, match="already there"):
        train(dataset, run.path, CONFIG)
    assert load_run(run.path).info["state"] == "finished"


def test_a_loss_that_is_not_finite_stops_with_an_explanation(dataset, tmp_path, monkeypatch):
    """Catches a run that ends in NaN weights."""
    from finrec_dgl.training import learner

    monkeypatch.setattr(learner, "finite", lambda loss: False)
    with pytest.raises(TrainingError, match="no longer a finite number"):
        train(dataset, tmp_path / "run", CONFIG)


def test_broken_weights_are_refused(run, dataset, tmp_path):
    """Catches NaN, cut and foreign weight files."""
    import shutil

    from safetensors.torch import load_file, save_file

    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    path = copy / "model.safetensors"
    good = load_file(path)
    save_file({**good, "item_bias": torch.full_like(good["item_bias"], float("nan"))}, path)
    with pytest.raises(DataError, match="not finite: item_bias"):
        load_run(copy, dataset).scorer("test")
    save_file({**good, "item_bias": good["item_bias"][:3].clone()}, path)
    with pytest.raises(DataError, match="do not fit"):
        load_run(copy, dataset).scorer("test")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="not a readable safetensors"):
        load_run(copy, dataset).scorer("test")
    path.unlink()
    with pytest.raises(DataError, match=r"no model\.safetensors"):
        load_run(copy, dataset).scorer("test")


def test_validation_never_reaches_the_selected_weights(dataset, tmp_path):
    """Leakage: the weights judged on validation must not change when validation pairs do."""
    import shutil

    from safetensors.numpy import load_file, save_file

    config = dataclasses.replace(CONFIG, epochs=1, patience=1, refit=False)
    honest = train(dataset, tmp_path / "honest", config)
    shuffled = tmp_path / "data"
    shutil.copytree(dataset.path, shuffled)
    arrays = load_file(shuffled / "interactions.safetensors")
    rows = np.flatnonzero(arrays["valid"])
    arrays["item"][rows] = np.random.default_rng(0).permutation(arrays["item"][rows])
    save_file(arrays, shuffled / "interactions.safetensors")
    other = load_dataset(shuffled, verify=False)
    assert len(rows) > 50
    assert not np.array_equal(other.interactions.item, dataset.interactions.item)
    dishonest = train(other, tmp_path / "dishonest", config)
    scored = [one.scorer("valid") for one in (honest, dishonest)]
    # whichever epoch was chosen, the weights of each epoch are the same
    if honest.info["best_epoch"] == dishonest.info["best_epoch"]:
        assert np.array_equal(*(one.score(np.arange(20)) for one in scored))
    records = [[one["rec"] for one in r.metrics if "rec" in one] for r in (honest, dishonest)]
    assert records[0] == records[1]


def test_tests_never_reach_training(dataset, tmp_path):
    """Leakage: no weight changes when the test targets do."""
    keep = np.arange(len(dataset.splits["test_user"])) % 2 == 0
    fewer = {
        name: array[keep] if name in ("test_user", "test_item") else array
        for name, array in dataset.splits.items()
    }
    changed = dataclasses.replace(dataset, splits=fewer)
    assert len(changed.targets("test")) < len(dataset.targets("test"))
    runs = [
        train(one, tmp_path / name, dataclasses.replace(CONFIG, epochs=1, patience=1))
        for name, one in (("a", dataset), ("b", changed))
    ]
    assert same(weights(runs[0]), weights(runs[1]))


def test_a_run_of_another_schema_is_refused(run, dataset, tmp_path):
    """Catches a run of an earlier version that is read as what it is not."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    info = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**info, "schema": info["schema"] - 1}))
    with pytest.raises(DataError, match=r"schema 2(.|\n)*schema 3(.|\n)*train again"):
        load_run(copy, dataset)


def test_a_run_computes_where_it_is_told_to(run, dataset, tmp_path):
    """Catches a device that a run keeps from its training, or one that is found missing late."""
    count = torch.cuda.device_count()
    assert load_run(run.path, dataset, "cpu").config.device == "cpu"
    with pytest.raises((UsageError, ConfigError)):
        load_run(run.path, dataset, f"cuda:{count}")
    pair = TrainConfig(device=f"cuda:{count}")
    with pytest.raises(UsageError, match=f"no device cuda:{count}"):
        train(dataset, tmp_path / "run", pair)
    assert not (tmp_path / "run").exists()
    told = train(dataset, tmp_path / "run", dataclasses.replace(CONFIG, epochs=1, device="cpu"))
    assert told.config.device == "cpu"
