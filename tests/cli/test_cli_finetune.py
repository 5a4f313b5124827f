"""Fine-tuning from the command line: one option of train, and what it refuses."""

import json

import pytest
from text_bank import write_bank
from tiny_models import save_bert

SMALL = ["--set", "windows=2", "--epochs", 1, "--quiet"]
TUNING = ["--set", "finetune.steps=3", "--set", "finetune.rank=2", "--set", "finetune.batch_size=4"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    from finrec_dgl.cli import main

    place = tmp_path_factory.mktemp("finetune")
    write_bank(place / "tables")
    save_bert(place / "bert")
    command = ["preprocess", place / "tables", place / "data", "--encoder", place / "bert"]
    command += ["--cut", "2024-03-01", "--valid-cut", "2024-02-10", "--max-length", "64"]
    assert main([str(one) for one in [*command, "--no-cache", "--quiet"]]) == 0
    return place


def test_a_run_with_a_tuned_encoder_from_end_to_end(place, finrec, tmp_path):
    """Catches options that do not arrive, and commands that need the tables again."""
    pytest.importorskip("peft")
    run = tmp_path / "run"
    said = finrec(
        *("train", place / "data", run, "--finetune", "lora", "--tables", place / "tables"),
        *("--encoder", place / "bert", *SMALL, *TUNING),
    )
    assert said.code == 0, said.err
    config = json.loads((run / "config.json").read_text())
    assert config["finetune"]["method"] == "lora"
    assert (config["finetune"]["steps"], config["finetune"]["rank"]) == (3, 2)
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    assert finrec("evaluate", run, "--json").code == 0
    said = finrec("recommend", run, "--user", "u3", "--k", 3, "--json")
    assert said.code == 0, said.err
    assert len(said.document["recommendations"]) == 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--finetune", "lora"], "--tables"),
        (["--finetune", "loar"], "did you mean 'lora'"),
        (["--tables", "tables"], "none is asked for"),
        (["--split-file", "split.json"], "go with --tables"),
        (["--finetune", "lora", "--tables", "nowhere"], "source does not exist"),
        (["--finetune", "lora", "--tables", "tables", "--encoder", "nowhere/at/all"], "encoder"),
    ],
)
def test_what_cannot_be_done_exits_with_2(place, finrec, tmp_path, monkeypatch, options, told):
    """Catches a traceback, or a run that trains without what was asked for."""
    pytest.importorskip("peft")
    monkeypatch.chdir(place)
    said = finrec("train", "data", tmp_path / "run", *options, *SMALL, *TUNING)
    assert said.code == 2
    assert told in said.err
    assert "Traceback" not in said.err


def test_tables_of_other_texts_exit_with_2(place, finrec, tmp_path):
    """Catches fine-tuning on texts that are not those of the data set."""
    pytest.importorskip("peft")
    other = write_bank(tmp_path / "other", last_word="low")
    said = finrec(
        *("train", place / "data", tmp_path / "run", "--finetune", "lora", "--tables", other),
        *("--encoder", place / "bert", *SMALL, *TUNING),
    )
    assert said.code == 2
    assert "other vectors than the data set holds" in said.err
