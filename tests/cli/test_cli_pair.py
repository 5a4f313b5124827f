"""The pair readout from the command line: train, evaluate, recommend, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_bank import ITEMS, USERS, write_tables

from finrec_dgl.cli.app import main

PAIR = [
    *("--set", "model.readout=pair", "--set", "loss=backtest", "--set", "warm_up=10"),
    *("--set", "average=2", "--epochs", "4", "--set", "lr=0.05"),
    *("--set", "model.pair.ease=[20, 100]", "--set", "model.pair.ranks=[4]"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tables, the data set of them, and a run on it."""
    place = tmp_path_factory.mktemp("pair")
    write_tables(place / "source")
    data, run = str(place / "data"), str(place / "run")
    assert main(["preprocess", str(place / "source"), data, "--encoder", "none", "--quiet"]) == 0
    assert main(["train", data, run, "--quiet", *PAIR]) == 0
    return place


def test_settings_arrive_and_the_run_can_be_judged(place, finrec):
    """Catches nested settings that are lost, and a run that evaluate cannot read."""
    config = json.loads((place / "run/config.json").read_text())
    assert config["model"]["readout"] == "pair"
    assert config["model"]["pair"]["ease"] == [20, 100]
    for split in ("valid", "test"):
        said = finrec("evaluate", place / "run", "--split", split, "--json")
        assert said.code == 0, said.err
        assert said.document["users"] == USERS
        assert 0 <= said.document["metrics"]["ndcg@10"] <= 1
    info = json.loads((place / "run/run.json").read_text())
    valid = finrec("evaluate", place / "run", "--split", "valid", "--json").document
    assert valid["metrics"]["ndcg@10"] == pytest.approx(info["valid_ndcg@10"], abs=1e-9)


def test_recommendations_come_with_reasons(place, finrec, tmp_path):
    """Catches known products, reasons that are not told, or customers left out of the file."""
    said = finrec("recommend", place / "run", "--user", "u3", "--k", "4", "--json")
    assert said.code == 0, said.err
    found = said.document["recommendations"]
    assert not {"i3", "i4", "i7", "i2"} & {one["item_id"] for one in found}
    kinds = {why["kind"] for one in found for why in one["reasons"]}
    assert "held" in kinds
    assert kinds <= {"held", "ties", "popularity"}
    out = tmp_path / "all.parquet"
    said = finrec("recommend", place / "run", "--all-users", "--out", out, "--k", "3", "--json")
    assert said.code == 0, said.err
    assert said.document["rows"] <= USERS * min(3, ITEMS)
    assert said.document["users"] == USERS


def test_undated_tables_need_nothing_more(finrec, tmp_path):
    """Catches a default that dated tables alone can be trained with."""
    write_tables(tmp_path / "source")
    for name in ("interactions", "ties"):
        file = tmp_path / f"source/{name}.csv"
        lines = [line.rsplit(",", 1)[0] for line in file.read_text().splitlines()]
        file.write_text("\n".join(lines) + "\n")
    data, run = tmp_path / "data", tmp_path / "run"
    assert finrec("preprocess", tmp_path / "source", data, "--encoder", "none").code == 0
    said = finrec("train", data, run, "--epochs", "3")
    assert said.code == 0, said.err
    assert finrec("evaluate", run).code == 0
    assert finrec("recommend", run, "--user", "u3").code == 0


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("loss=brp", "did you mean 'bpr'"),
        ("model.readout=pairs", "did you mean 'pair'"),
        ("model.pair.relations=['ease', 'cosin']", "did you mean 'cosine'"),
        ("model.pair.peers=0", "peers is 0, expected at least 1"),
        ("lambda_reg=0.1", "lambda_reg has no effect"),
        ("model.dim=8", "model.dim has no effect"),
        ("average=-1", "average is -1"),
        ("model.pair.peer=3", "did you mean 'peers'"),
        ("model.pair.cold_share=1.0", "cold_share is 1.0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(place, finrec, tmp_path, setting, words):
    """Catches a setting that fails late, or is quietly ignored."""
    said = finrec("train", place / "data", tmp_path / "run", *PAIR, "--set", setting)
    assert said.code == 2
    assert words in " ".join(said.err.split())


@pytest.mark.parametrize("command", ["train", "evaluate", "recommend"])
def test_a_device_that_is_not_there_is_refused(place, finrec, tmp_path, command):
    """Catches a GPU that is asked for and silently replaced, and one that is found missing late."""
    given = {
        "train": [place / "data", tmp_path / "run", *PAIR],
        "evaluate": [place / "run"],
        "recommend": [place / "run", "--user", "u3"],
    }[command]
    said = finrec(command, *given, "--device", "cuda:77")
    assert said.code == 2
    assert "no device cuda:77 here" in " ".join(said.err.split())
    said = finrec(command, *given, "--device", "cdua")
    assert said.code == 2
    assert "did you mean 'cuda'" in " ".join(said.err.split())
    assert not (tmp_path / "run").exists()


def test_a_run_by_drawn_neighbours_can_be_used(place, finrec, tmp_path):
    """Catches a sampler that training alone understands."""
    run = tmp_path / "run"
    drawn = [*PAIR, "--sampler", "neighbor", "--fanout", "4,9,4", "--device", "cpu"]
    said = finrec("train", place / "data", run, "--quiet", *drawn)
    assert said.code == 0, said.err
    config = json.loads((run / "config.json").read_text())
    assert (config["sampler"], config["fanout"]) == ("neighbor", [4, 9, 4])
    first = finrec("evaluate", run, "--json", "--device", "cpu").document
    assert first["metrics"] == finrec("evaluate", run, "--json").document["metrics"]
    info = json.loads((run / "run.json").read_text())
    valid = finrec("evaluate", run, "--split", "valid", "--json").document
    assert valid["metrics"]["ndcg@10"] == pytest.approx(info["valid_ndcg@10"], abs=1e-9)
