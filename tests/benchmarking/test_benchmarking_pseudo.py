"""The sweep over pseudo-labels: its figures, its gaps, and that nothing is tried twice."""

import json

import pytest
from benchmarking_worlds import PAIR, TINY, make_dataset

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.benchmarking import sweep_pseudo, tuning
from finrec_dgl.benchmarking.tuning import changed
from finrec_dgl.training import train

LAMBDAS = (0.0, 0.5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A data set with texts."""
    with pytest.MonkeyPatch.context() as patch:
        return make_dataset(tmp_path_factory.mktemp("pseudo") / "data", patch)


def test_the_figures_are_validation_s_and_made_once(dataset, tmp_path, monkeypatch):
    """Catches a point of another weight, target or split, or a sweep that begins anew."""
    asked, out = [(dataset, TINY)], tmp_path / "out"
    (sweep,) = sweep_pseudo(asked, out, ["paper"], LAMBDAS, ("prototypes", "columns"), 2)
    assert [(one.target, one.weight) for one in sweep.points] == [
        (target, weight) for target in ("prototypes", "columns") for weight in LAMBDAS
    ]
    options = {"model.pseudo_target": "columns", "lambda_pseudo": 0.5, "seed": 1, "refit": False}
    run = train(dataset, tmp_path / "run", changed(TINY, options))
    assert sweep.points[3].by_seed[1] == pytest.approx(run.info["valid_ndcg@10"], abs=1e-6)
    assert json.loads((out / "data/pseudo.json").read_text()) == sweep.to_mapping()
    assert (out / "data/pseudo.svg").read_text().count("<polyline") == 2
    monkeypatch.setattr(tuning, "train", None)
    (again,) = sweep_pseudo(asked, out, ["paper"], LAMBDAS, ("prototypes", "columns"), 2)
    assert again == sweep


def test_both_forms_are_told_apart(dataset, tmp_path):
    """Catches the hybrid's figures in the paper's line, or other windows than are told."""
    (sweep,) = sweep_pseudo(
        [(dataset, PAIR)],
        tmp_path / "out",
        lambdas=(0.1,),
        targets=("prototypes",),
        seeds=1,
        windows=2,
        epochs=1,
    )
    assert [one.form for one in sweep.points] == ["hybrid", "paper"]
    assert sweep.windows == {"hybrid": 2, "paper": 1}


def test_what_cannot_be_swept_is_refused(dataset, tmp_path):
    """Catches hours of training before a wrong name, or labels of texts that are not there."""
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="target is 'colums'.*a lambda is -1"):
        sweep_pseudo([(dataset, TINY)], out, ["paper"], (-1.0,), ("colums",))
    silent = make_dataset(tmp_path / "silent")
    with pytest.raises(DataError, match="there is no text"):
        sweep_pseudo([(silent, TINY)], out, ["paper"])
    assert not out.exists()
