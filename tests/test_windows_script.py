"""The script that tries settings on earlier windows: it asks for what was known before the cut."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from finrec_dgl.cli import main

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "benchmarks" / "windows.py"


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """A small made-up bank as a data set without texts."""
    place = tmp_path_factory.mktemp("windows")
    assert main(["generate", str(place / "tables"), "--users", "150", "--quiet"]) == 0
    made = [str(place / "tables"), str(place / "dataset"), "--encoder", "none", "--quiet"]
    assert main(["preprocess", *made]) == 0
    return place / "dataset"


def run(*arguments):
    """The script in a process of its own."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_setting_has_a_row_and_each_date_a_figure(bank, tmp_path):
    """Catches a row without its change, or figures that the change cannot have moved."""
    config = tmp_path / "config.toml"
    config.write_text(
        'loss = "backtest"\nwindows = 3\nlr = 0.05\nepochs = 2\naverage = 1\n'
        '[model]\nreadout="pair"\n'
    )
    manifest = json.loads((bank / "manifest.json").read_text())
    date = manifest["split"]["valid_cut"][:10]
    out = tmp_path / "found.json"
    said = run(
        *(bank, "--config", config, "--at", date),
        *("--try", "model.stream_one=false", "--out", out),
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(out.read_text())
    assert list(found) == ["as it is", "model.stream_one=false"]
    values = [one[date] for one in found.values()]
    assert all(0 <= value <= 1 for value in values)
    assert values[0] != values[1]
    assert f"{values[0]:.4f}" in said.stdout.splitlines()[0]


def test_a_date_after_the_cut_is_refused(bank, tmp_path):
    """Catches a look at the test while settings are chosen."""
    config = tmp_path / "config.toml"
    config.write_text('loss = "backtest"\n[model]\nreadout="pair"\n')
    said = run(bank, "--config", config, "--at", "2999-01-01")
    assert said.returncode == 2
    assert "Traceback" not in said.stderr
