"""Tuning of what is trained: its options, its windows, and that trials are kept."""

import numpy as np
import pytest
from benchmarking_worlds import PAIR, TINY, make_dataset, without_dates

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.benchmarking import Tuning, tuning
from finrec_dgl.benchmarking.jobs import Study
from finrec_dgl.benchmarking.tuning import (
    HYBRID_GRID,
    TRAINED,
    candidates,
    changed,
    config_of,
    measure_trained,
    plain_form,
    try_configs,
    usable_windows,
)
from finrec_dgl.dataset import PreprocessOptions, build_dataset
from finrec_dgl.dataset.windows import validation_windows
from finrec_dgl.evaluation import window_ndcg
from finrec_dgl.tables.generate import World
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training.learner import fit


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A data set with texts."""
    with pytest.MonkeyPatch.context() as patch:
        return make_dataset(tmp_path_factory.mktemp("tuning") / "data", patch)


def test_the_hybrid_is_ranked_on_windows_before_the_cut(dataset, tmp_path):
    """Catches a trial on the test, on fewer windows, or learnt from a window's own targets."""
    study = Study(dataset, tmp_path / "out")
    options = [{"lambda_start": 0.001}]
    trials, used = try_configs(study, "hybrid", PAIR, options, 3)
    windows = validation_windows(dataset, 3)
    assert used == len(windows) == 3
    assert all(one.end <= dataset.cut for one in windows)
    expected = np.mean([window_ndcg(fit(dataset, one.snapshot, PAIR), one) for one in windows])
    assert trials[0].ndcg == pytest.approx(expected, abs=1e-6)


def test_a_tuning_cut_off_goes_on(dataset, tmp_path, monkeypatch):
    """Catches trials that are lost with the process that made them."""
    study = Study(dataset, tmp_path / "out")
    tried = []

    def measure(data, config, *rest):
        tried.append(config.lambda_start)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return 0.5 if config.lambda_start == 0.02 else 0.1

    monkeypatch.setattr(tuning, "valid_ndcg", measure)
    options = [{"lambda_start": one} for one in (0.01, 0.02, 0.03)]
    with pytest.raises(KeyboardInterrupt):
        try_configs(study, "hybrid", PAIR, options, 2)
    trials, _ = try_configs(Study(dataset, tmp_path / "out"), "hybrid", PAIR, options, 2)
    assert tried == [0.01, 0.02, 0.02, 0.03]
    assert [one.ndcg for one in trials] == [0.1, 0.5, 0.1]


def test_the_choice_is_what_is_trained(dataset, tmp_path, monkeypatch):
    """Catches a tuning whose outcome does not arrive, or that is done for each seed."""
    study = Study(dataset, tmp_path / "out")
    reached = iter([0.1, 0.2, 0.9, 0.3, 0.4])
    monkeypatch.setattr(tuning, "valid_ndcg", lambda *given: next(reached))
    found = measure_trained(study, "hybrid-graph", 2, PAIR, Tuning(budget=3, windows=1))
    assert found.tuning["tried"] == 3
    chosen = found.tuning["options"]
    assert found.tuning["valid_ndcg@10"] == 0.9
    for one in found.results:
        assert one["settings"]["lambda_start"] == chosen["lambda_start"]
        assert one["settings"]["model"]["stream_one"] == chosen["model.stream_one"]
        assert one["settings"]["model"]["text"] is False
    assert next(reached) == 0.3


def test_options_begin_with_the_configuration_as_given():
    """Catches a budget of one that trains something else than what was asked for."""
    found = candidates(PAIR, HYBRID_GRID, strict=False)
    assert changed(PAIR, found[0]) == PAIR
    assert len(found) == 8
    own = changed(PAIR, {"lambda_start": 0.5})
    assert len(candidates(own, HYBRID_GRID, strict=False)) == 9
    lone = changed(PAIR, {"model.stream_two": False})
    assert all(one["model.stream_one"] for one in candidates(lone, HYBRID_GRID, strict=False))


def test_a_wrong_grid_is_named():
    """Catches a misspelt key that is silently not tuned, and a value that cannot be."""
    with pytest.raises(ConfigError, match=r"unknown key 'model\.layrs'.*model\.layers"):
        candidates(TINY, {"model.layrs": (1, 2)}, strict=True)
    with pytest.raises(ConfigError, match="lr is -1"):
        candidates(TINY, {"lr": (-1.0,)}, strict=True)
    with pytest.raises(ConfigError, match="budget is 0.*windows is 0"):
        Tuning(0, 0)


def test_the_plain_form_is_the_paper_s_whatever_is_given():
    """Catches a plain form that inherits what only the other one can use."""
    for given in (PAIR, TINY, changed(TINY, {"model.text": False})):
        plain = plain_form(given)
        assert (plain.model.readout, plain.loss) == ("tower", "softmax")
        assert plain.model.text
    assert plain_form(TINY) == TINY
    assert plain_form(TINY, 1) == changed(TINY, {"epochs": 1})
    assert config_of("gnn", PAIR, 3).epochs == 3
    assert config_of("hybrid", PAIR, 3).epochs == PAIR.epochs
    for name in TRAINED:
        assert config_of(name, PAIR).model is not None


def test_early_stopping_and_undated_data_have_the_validation_part_alone(dataset, tmp_path):
    """Catches epochs chosen on one window and measured on others, or a crash without dates."""
    study = Study(dataset, tmp_path / "dated")
    assert len(usable_windows(study, TINY, 3)) == 1
    assert len(usable_windows(study, PAIR, 3)) == 3
    tables = without_dates(World(users=120, items=30, interactions_per_user=8.0))
    options = PreprocessOptions(encoder=EncoderSpec(name="none"))
    undated = build_dataset(tables, tmp_path / "data", options)
    assert len(usable_windows(Study(undated, tmp_path / "out"), PAIR, 3)) == 1
