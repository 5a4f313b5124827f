"""Every example runs, in its smallest size, and says what it is meant to show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TINY = ["--users", "80", "--epochs", "1"]
CASES = {
    "quickstart.py": (TINY, ["NDCG@10 on test", "for customer", "1. "]),
    "own_tables.py": ([], ["ana buys home-loan", "yesterday", "interactions.csv"]),
    "own_relation.py": (TINY, ["NDCG@10 ", "weight of its channel "]),
    "ablation.py": (["--off", "social", *TINY], ["without: ", "difference ", " customers"]),
}


def test_every_example_is_run() -> None:
    """Catches an example that no test would notice breaking."""
    assert {one.name for one in EXAMPLES.glob("*.py")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_example_runs(name, tmp_path):
    """Catches an example that the library has left behind, or files left where it was run."""
    options, words = CASES[name]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", EXAMPLES / name, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout
    assert list(tmp_path.iterdir()) == []
