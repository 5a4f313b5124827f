"""``finrec-dgl benchmark``, and the scripts that do the same."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from small_bank import write_tables

from finrec_dgl.cli import main

SCRIPT = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "accuracy.py"
SMALL = ["--set", "windows=2", "--set", "epochs=1"]
MODELS = "popularity,text,hybrid"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of the small bank, without text."""
    place = tmp_path_factory.mktemp("benchmark")
    write_tables(place / "source")
    made = ["preprocess", str(place / "source"), str(place / "data"), "--encoder", "none"]
    assert main([*made, "--quiet"]) == 0
    return place / "data"


def test_the_table_is_shown_and_kept(data, finrec, tmp_path):
    """Catches a column or a skipped model that is not told, or options that do not arrive."""
    out = tmp_path / "out"
    asked = ["benchmark", "accuracy", data, "--out", out, "--models", MODELS, "--seeds", 2, *SMALL]
    asked += ["--budget", 1]
    said = finrec(*asked, "--json")
    assert said.code == 0, said.err
    (table,) = said.document["tables"]
    assert [row["model"] for row in table["models"]] == ["popularity", "hybrid"]
    assert table["models"][1]["seeds"] == 2
    assert "text" in table["skipped"]
    assert (out / "data/table.json").exists()
    results = sorted((out / "data/results").iterdir())
    times = [one.stat().st_mtime_ns for one in results]
    said = finrec(*asked)
    assert said.code == 0, said.err
    assert [one.stat().st_mtime_ns for one in results] == times
    for word in ("NDCG@10", "95% interval", "MRR", "p (Holm)", "text skipped:", "2 seeds"):
        assert word in said.out
    assert "done before" in said.err


def test_data_sets_of_one_name_are_refused(data, finrec, tmp_path):
    """Catches results of one data set that overwrite those of another."""
    said = finrec("benchmark", "accuracy", data, data, "--out", tmp_path / "out")
    assert said.code == 2
    assert "named data" in said.err


def test_a_misspelt_model_or_a_foreign_folder_exits_2(data, finrec, tmp_path):
    """Catches a traceback, or files of others that are touched."""
    said = finrec("benchmark", "accuracy", data, "--out", tmp_path, "--models", "hybird")
    assert said.code == 2
    assert "did you mean 'hybrid'" in said.err
    (tmp_path / "data").mkdir()
    (tmp_path / "data/thesis.doc").write_text("years of work")
    said = finrec("benchmark", "accuracy", data, "--out", tmp_path, "--models", "popularity")
    assert said.code == 2
    assert "thesis" not in said.out


def test_the_script_does_the_same(data, tmp_path, monkeypatch, capsys):
    """Catches a script left behind by the library."""
    asked = ["--models", "popularity", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["accuracy.py", str(data), *asked])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 0
    assert "popularity" in capsys.readouterr().out
    assert (tmp_path / "out/data/table.md").exists()
    monkeypatch.setattr(sys, "argv", ["accuracy.py", str(tmp_path), *asked])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


PAIR = [
    *("--set", "model.readout=pair", "--set", "loss=backtest", "--set", "warm_up=20"),
    *("--set", "epochs=1", "--set", "windows=2", "--set", "model.pair.ranks=[2]"),
]


def test_several_data_sets_are_put_side_by_side(data, finrec, tmp_path):
    """Catches a table that is not written, a configuration of another data set, or a second run."""
    other = tmp_path / "other"
    shutil.copytree(data, other)
    files = []
    for name, epochs in (("one", 1), ("two", 2)):
        files.append(tmp_path / f"{name}.toml")
        files[-1].write_text(f"epochs = {epochs}\nwindows = 2\n")
    out = tmp_path / "out"
    asked = ["benchmark", "accuracy", data, other, "--out", out, "--models", "popularity,hybrid"]
    asked += ["--seeds", 1, "--grid", "lr=[0.001,0.01]", "--budget", 2, "--valid-windows", 1]
    said = finrec(*asked, "--config", files[0], "--config", files[1], "--json")
    assert said.code == 0, said.err
    combined = said.document["combined"]
    assert [one["name"] for one in combined["datasets"]] == ["data", "other"]
    assert json.loads((out / "table.json").read_text()) == combined
    assert {one.suffix for one in out.glob("table.*")} == {".json", ".md", ".svg"}
    for table, epochs in zip(said.document["tables"], (1, 2), strict=True):
        run = out / table["dataset"]["name"] / table["models"][1]["runs"][0]
        assert json.loads((run / "config.json").read_text())["epochs"] == epochs
        assert table["models"][1]["tuning"]["tried"] == 2
    said = finrec(*asked, "--config", files[0], "--config", files[1])
    assert "mean" in said.out
    assert "done before" in said.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config", "a.toml", "--config", "b.toml"], "2 configurations for 1 data sets"),
        (["--grid", "lr=0.1"], "no list of values"),
        (["--grid", "lrr=[0.1,0.2]", "--models", "hybrid"], "unknown key 'lrr'"),
        (["--budget", "0"], "budget is 0"),
        (["--valid-windows", "0"], "windows is 0"),
    ],
)
def test_bad_options_exit_2_and_leave_nothing(data, finrec, tmp_path, options, words):
    """Catches a traceback, or an option that is silently not used."""
    out = tmp_path / "out"
    said = finrec("benchmark", "accuracy", data, "--out", out, *options)
    assert said.code == 2
    assert words in said.err
    assert not (out / "data/table.json").exists()


def test_the_ablation_is_shown_and_kept(data, finrec, tmp_path):
    """Catches options that do not arrive, or a form that is not told."""
    out = tmp_path / "out"
    asked = ["benchmark", "ablation", data, "--out", out, "--seeds", 1, "--epochs", 1]
    asked += ["--variants", "without-social,without-stream-one,layers-1", *PAIR]
    said = finrec(*asked, "--json")
    assert said.code == 0, said.err
    rows = {part: said.document[part]["tables"][0]["models"] for part in ("hybrid", "paper")}
    assert [one["model"] for one in rows["hybrid"]] == [
        *("hybrid", "without-social", "without-stream-one")
    ]
    assert "layers-1" in [one["model"] for one in rows["paper"]]
    assert (out / "data/paper.svg").exists()
    said = finrec(*asked, "--part", "paper")
    assert "difference to paper" in said.out
    assert "difference to hybrid" not in said.out


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("ablation", ["--part", "papr"], "did you mean 'paper'"),
        ("ablation", ["--set", "model.readout=tower"], "expected: pair"),
        ("ablation", ["--part", "paper", "--variants", "heads-3"], "variant is 'heads-3'"),
        ("pseudo", ["--part", "paper"], "there is no text"),
        ("pseudo", ["--part", "paper", "--lambdas", "a"], "not a list of numbers"),
        ("noise", ["--part", "paper", "--kinds", "masked"], "no text that could be corrupted"),
        ("noise", ["--part", "paper", "--kinds", "drop", "--levels", "2"], "level of drop is 2"),
        ("cold", [], "no items or users are held out"),
    ],
)
def test_what_cannot_be_measured_exits_2(data, finrec, tmp_path, command, options, words):
    """Catches a traceback, or work before a bad option is found."""
    said = finrec("benchmark", command, data, "--out", tmp_path / "out", *options)
    assert said.code == 2
    assert words in said.err
    assert not (tmp_path / "out").exists()


def test_noise_and_held_out_nodes_are_one_document(data, finrec, tmp_path):
    """Catches a result that is no JSON, or that lacks a form, a group or a level."""
    asked = ["benchmark", "noise", data, "--out", tmp_path / "noise", "--part", "paper", *SMALL]
    said = finrec(*asked, "--kinds", "drop", "--levels", "0.5", "--seeds", 1, "--json")
    assert said.code == 0, said.err
    (one,) = said.document["datasets"]
    assert [row["model"] for row in one["forms"]["paper"]["models"]] == ["clean", "drop 0.5"]
    assert one["spread"] is None
    source = data.parent / "source"
    cold = ["preprocess", source, tmp_path / "cold", "--split", "cold-items", "--encoder", "none"]
    assert finrec(*cold, "--quiet").code == 0
    asked = ["benchmark", "cold", tmp_path / "cold", "--out", tmp_path / "out", *SMALL, "--json"]
    said = finrec(*asked, "--models", "random,popularity,text", "--seeds", 2)
    assert said.code == 0, said.err
    assert {"all", "warm", "cold"} <= set(said.document)
    assert "text" in said.document["all"]["tables"][0]["skipped"]


@pytest.mark.parametrize("name", ["ablation", "pseudo", "noise", "cold"])
def test_each_script_is_its_command(name, monkeypatch, capsys):
    """Catches a script left behind by the command line."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT.with_name(f"{name}.py")), run_name="__main__")
    assert ended.value.code == 0
    assert f"benchmark {name}" in capsys.readouterr().out
