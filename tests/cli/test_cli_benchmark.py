"""``finrec-dgl benchmark accuracy``, and the script that does the same."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from small_bank import write_tables

from finrec_dgl.cli import main

SCRIPT = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "accuracy.py"
SMALL = ["--set", "model.dim=8", "--set", "model.heads=2", "--set", "epochs=1"]
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
