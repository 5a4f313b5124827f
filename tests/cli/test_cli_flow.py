"""The whole way through the commands, from tables to recommendations."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from small_bank import ITEMS, USERS, write_tables

from finrec_dgl.cli.app import app, main
from finrec_dgl.cli.train import read_config

SMALL = ["--set", "windows=2", "--epochs", "2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tables, the data set of them, and a run on it."""
    place = tmp_path_factory.mktemp("flow")
    write_tables(place / "source")
    data, run = str(place / "data"), str(place / "run")
    assert main(["preprocess", str(place / "source"), data, "--encoder", "none", "--quiet"]) == 0
    assert main(["train", data, run, "--quiet", *SMALL]) == 0
    return place


def test_generated_tables_can_be_preprocessed(finrec, tmp_path):
    """Catches a generator that writes what the reader refuses, in either file format."""
    for form in ("csv", "parquet"):
        source, data = tmp_path / form, tmp_path / f"{form}-data"
        said = finrec("generate", source, "--users", 40, "--items", 12, "--format", form, "--json")
        assert said.code == 0, said.err
        assert said.document["rows"]["users"] == 40
        said = finrec("preprocess", source, data, "--encoder", "none", "--json")
        assert said.code == 0, said.err
        assert said.document["nodes"]["item"] > 0


def test_inspect_shows_what_preprocess_made(place, finrec):
    """Catches counts in one form that are not in the other."""
    document = finrec("inspect", place / "data", "--json").document
    assert document["nodes"] == {"user": USERS, "item": ITEMS}
    told = finrec("inspect", place / "data").out
    assert re.search(rf"user +{USERS}", told)
    assert "dropped" in told


def test_numbers_and_edges_go_the_whole_way(finrec, tmp_path):
    """Catches numeric columns or edge tables that are lost between a folder and a training."""
    source, data = tmp_path / "source", tmp_path / "data"
    write_tables(source)
    users = [f"u{one},{18 + one}.5,{one % 3}" for one in range(USERS)]
    (source / "users.csv").write_text("\n".join(["user_id,age,risk", *users]) + "\n")
    (source / "edges").mkdir()
    (source / "edges/viewed.csv").write_text(
        "source_user_id,target_item_id,timestamp,seconds\n"
        "u0,i1,2024-01-06,30\nu1,i2,2024-01-07,12.5\nu1,i3,2024-03-09,7\nu1,i99,2024-01-08,1\n"
    )
    (source / "edges/similar.tsv").write_text(
        "source_item_id\ttarget_item_id\tcosine\nlast\ti1\t0.5\ni1\ti2\t0.25\n"
    )
    (source / "items.csv").write_text((source / "items.csv").read_text() + "last,Fund last,bond\n")
    cut = ["--cut", "2024-03-01", "--valid-cut", "2024-02-10", "--encoder", "none"]
    options = [*cut, "--user-numbers", "age,risk", "--on-bad-rows", "drop"]
    said = finrec("preprocess", source, data, *options, "--json", "--quiet")
    assert said.code == 0, said.err
    for document in (said.document, finrec("inspect", data, "--json").document):
        assert document["numbers"]["user"].keys() == {"age", "risk"}
        assert document["numbers"]["user"]["age"]["known"] == USERS
        assert document["edges"] == {"interacts": 96, "tie": 24, "similar": 2, "viewed": 2}
        assert document["edge tables"]["viewed"]["features"] == ["seconds"]
        assert document["dropped"]["edges viewed: from the cut on"] == 1
        assert document["dropped"]["edges viewed: target_item_id not a known item"] == 1
    told = finrec("inspect", data).out
    assert re.search(r"viewed +user +item +2 +yes +seconds", told)
    assert re.search(r"user: age +24 +24 +as it is +[\d.]+ +[\d.]+", told)
    assert finrec("train", data, tmp_path / "run", "--quiet", *SMALL).code == 0


def test_train_tells_what_it_reached(place, finrec, tmp_path):
    """Catches a training without a result to read."""
    said = finrec("train", place / "data", tmp_path / "run", "--json", *SMALL)
    assert said.code == 0, said.err
    assert said.document["run"] == str(tmp_path / "run")
    assert 0 <= said.document["valid_ndcg@10"] <= 1
    said = finrec("train", place / "data", tmp_path / "run", "--overwrite", *SMALL)
    assert "valid_ndcg@10" in said.out


def test_neighbour_sampling_is_a_matter_of_options(place, finrec, tmp_path):
    """Catches options of the sampler that do not arrive at the training."""
    sampler = ["--sampler", "neighbor", "--fanout", "3,3", "--batch-size", "16"]
    plain = ["--set", "model.readout=tower", "--set", "model.dim=8", "--epochs", "2", "--json"]
    said = finrec("train", place / "data", tmp_path / "run", *sampler, *plain)
    assert said.code == 0, said.err
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert (config["sampler"], config["fanout"], config["batch_size"]) == ("neighbor", [3, 3], 16)
    assert (config["loss"], config["average"]) == ("softmax", 0)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--sampler", "full", "--fanout", "3,3"], "fanout"),
        (["--set", "negatives=all"], "negatives"),
        (["--set", "model.layers=2"], "model.layers"),
        (["--set", "model.readout=tower", "--set", "warm_up=3"], "warm_up"),
    ],
    ids=str,
)
def test_an_option_that_changes_nothing_is_refused(place, finrec, tmp_path, options, name):
    """Catches an option that is quietly ignored, or refused when a folder was made already."""
    said = finrec("train", place / "data", tmp_path / "run", *options)
    assert said.code == 2
    assert f"{name} has no effect: " in " ".join(said.err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("side", ["item", "user"])
def test_new_ones_are_held_out_and_measured_apart(place, finrec, tmp_path, side):
    """Catches a share or a seed that does not arrive, and groups that are not told."""
    data, run = tmp_path / "data", tmp_path / "run"
    command = ["preprocess", place / "source", data, "--encoder", "none", "--json", "--quiet"]
    hold_out = ["--split", f"cold-{side}s", "--cold-share", "0.3", "--seed", "1"]
    said = finrec(*command, *hold_out, "--cut", "2024-03-01", "--valid-cut", "2024-02-10")
    assert said.code == 0, said.err
    count = round(0.3 * (ITEMS if side == "item" else USERS))
    assert said.document["held out"]["as the test begins"] == count
    assert said.document["held out"]["side"] == side
    assert finrec("train", data, run, "--quiet", *SMALL).code == 0
    said = finrec("evaluate", run, "--json")
    assert said.code == 0, said.err
    groups = said.document["groups"]
    assert list(groups) == ["all", "warm", "cold"]
    assert groups["all"]["metrics"] == said.document["metrics"]
    assert groups["warm"]["targets"] + groups["cold"]["targets"] == groups["all"]["targets"]
    told = finrec("evaluate", run).out
    for name in groups:
        assert re.search(rf"^ *{name} +\d+ +\d+ +[01]\.\d{{4}}", told, re.M)


def test_evaluate_measures_at_every_cutoff(place, finrec):
    """Catches a cutoff that is lost, given either way."""
    said = finrec("evaluate", place / "run", "--k", "1,3", "--k", "5", "--json")
    assert said.code == 0, said.err
    assert said.document["k"] == [1, 3, 5]
    assert {"hit@1", "ndcg@3", "recall@5", "mrr"} <= set(said.document["metrics"])
    assert "groups" not in said.document
    told = finrec("evaluate", place / "run", "--split", "valid").out
    assert re.search(r"ndcg@10 +0\.\d{4} +\[0\.\d{4}, [01]\.\d{4}\]", told)


def test_a_run_is_found_with_its_data_set_elsewhere(place, finrec, tmp_path):
    """Catches a --dataset that is not used."""
    moved = tmp_path / "moved"
    (place / "data").rename(moved)
    try:
        assert finrec("evaluate", place / "run").code == 2
        said = finrec("evaluate", place / "run", "--dataset", moved)
        assert said.code == 0, said.err
    finally:
        moved.rename(place / "data")


def test_recommendations_come_with_reasons(place, finrec):
    """Catches known products, a wrong number, or reasons that cannot be switched off."""
    said = finrec("recommend", place / "run", "--user", "u3", "--k", "4", "--json")
    assert said.code == 0, said.err
    found = said.document["recommendations"]
    held = {"i3", "i4", "i7", "i2"}
    assert len(found) == 4
    assert not held & {one["item_id"] for one in found}
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    told = finrec("recommend", place / "run", "--user", "u3").out
    assert "reasons" in told
    assert found[0]["item_id"] in told
    assert "reasons" not in finrec("recommend", place / "run", "--user", "u3", "--no-reasons").out
    said = finrec(
        "recommend", place / "run", "--user", "u3", "--include-known", "--k", ITEMS, "--json"
    )
    assert held <= {one["item_id"] for one in said.document["recommendations"]}


def test_recommendations_for_all_go_into_a_file(place, finrec, tmp_path):
    """Catches users left out, or a table on the screen for each of a million users."""
    out = tmp_path / "all.parquet"
    said = finrec(
        "recommend", place / "run", "--all-users", "--out", out, "--k", "3", "--json", "--quiet"
    )
    assert said.code == 0, said.err
    assert said.err == ""
    assert said.document["users"] == USERS
    table = pq.read_table(out)
    assert table.num_rows == 3 * USERS
    assert {"user_id", "item_id", "rank", "score"} <= set(table.column_names)


def test_progress_goes_to_stderr_and_quiet_hushes_it(place, finrec, tmp_path):
    """Catches progress among the results, or a --quiet that is not."""
    command = ["preprocess", place / "source", tmp_path / "data", "--encoder", "none"]
    said = finrec(*command)
    assert "reading" in said.err
    assert "reading" not in said.out
    assert finrec(*command, "--overwrite", "--quiet").err == ""


def test_the_installed_program_says_one_document(place):
    """Catches a print of PyTorch's or DGL's on stdout, which only a fresh process shows."""
    program = str(Path(sys.executable).with_name("finrec-dgl"))
    done = subprocess.run(
        [program, "recommend", str(place / "run"), "--user", "u3", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["user"] == "u3"
    assert done.stderr == ""


def test_options_win_over_sets_and_sets_over_the_file(tmp_path):
    """Catches an option that a configuration file silently overrules."""
    file = tmp_path / "c.toml"
    file.write_text('seed = 1\nepochs = 1\nlr = 0.5\n[model]\nreadout = "tower"\nlayers = 1\n')
    config = read_config(file, ["seed=2", "epochs=2", "model.dim=8"], {"seed": 3, "workers": None})
    assert (config.seed, config.epochs, config.lr) == (3, 2, 0.5)
    assert (config.model.layers, config.model.dim) == (1, 8)


def defaults(command: str) -> dict[str, Any]:
    """The defaults of a command's options."""
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return {one.name: one.default for one in found.params}


def test_generate_has_the_defaults_of_the_library():
    """Catches a command and a function that make different worlds."""
    from finrec_dgl.tables.generate import World

    options = defaults("generate")
    for one in dataclasses.fields(World):
        assert options[one.name] == one.default, one.name


def test_preprocess_has_the_defaults_of_the_library():
    """Catches a command and a function that split or encode differently."""
    from finrec_dgl.dataset import PreprocessOptions, SplitOptions
    from finrec_dgl.tables import ReadOptions
    from finrec_dgl.text import EncoderSpec

    options = defaults("preprocess")
    renamed = {"name": "encoder", "kind": "split"}
    for kind in (PreprocessOptions, SplitOptions, ReadOptions, EncoderSpec):
        for one in dataclasses.fields(kind):
            name = renamed.get(one.name, one.name)
            if one.default is not dataclasses.MISSING and name in options:
                assert options[name] == one.default, name


def test_the_choices_in_the_help_are_the_libraries_own(finrec):
    """Catches help that names a choice there is not, or hides one."""
    from finrec_dgl.dataset.ids import USER_IDS
    from finrec_dgl.dataset.splits import KINDS
    from finrec_dgl.tables import FORMATS
    from finrec_dgl.tables.generate import FILE_FORMATS
    from finrec_dgl.tables.options import ON_BAD_ROWS
    from finrec_dgl.text.encoder import POOLINGS, PRECISIONS
    from finrec_dgl.training.config import SAMPLERS

    told = finrec("preprocess", "--help").out
    told += finrec("generate", "--help").out + finrec("train", "--help").out
    for option, choices in (
        ("--format", ("auto", *FORMATS)),
        ("--format", FILE_FORMATS),
        ("--split", KINDS),
        ("--user-ids", USER_IDS),
        ("--on-bad-rows", ON_BAD_ROWS),
        ("--pooling", POOLINGS),
        ("--precision", PRECISIONS),
        ("--sampler", SAMPLERS),
    ):
        assert f"{option} {'|'.join(choices)}" in told
