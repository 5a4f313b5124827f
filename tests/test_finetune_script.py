"""The script that compares the tuned text encoder with the frozen one, in its smallest size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from text_bank import write_bank
from tiny_models import save_bert

from finrec_dgl.dataset import PreprocessOptions, SplitOptions, preprocess
from finrec_dgl.text import EncoderSpec

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "finetune.py"


def test_the_script_tells_cost_and_ranking_of_both(tmp_path):
    """Catches a script that the library has left behind, or a --posts that keeps them all."""
    pytest.importorskip("peft")
    tables, model = write_bank(tmp_path / "tables"), save_bert(tmp_path / "bert")
    encoder = EncoderSpec(name=str(model), precision="float32", max_length=64)
    split = SplitOptions(kind="temporal", cut="2024-03-01", valid_cut="2024-02-10")
    preprocess(tables, tmp_path / "data", PreprocessOptions(split=split, encoder=encoder))
    out = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, tmp_path / "data", "--tables", tables]
        + ["--encoder", model, "--out", out, "--posts", "50", "--set", "steps=2"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ndcg@10, tuned, text: valid 0." in done.stdout
    report = json.loads(out.read_text())
    assert report["posts"] == 50
    assert report["encoding"]["texts"] <= 50 + 12
    assert report["ndcg@10"]["frozen"] != report["ndcg@10"]["tuned"]
