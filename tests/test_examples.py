"""Every example runs, in its smallest size, and says what it is meant to show."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TINY = ["--users", "80", "--epochs", "1"]
NO_PYG = importlib.util.find_spec("torch_geometric") is None
CASES = {
    "quickstart.py": (TINY, ["NDCG@10 on test", "for customer", "1. "]),
    "own_tables.py": ([], ["ana buys home-loan", "yesterday", "interactions.csv"]),
    "open_in_dgl.py": ([], ["edges, from ", "64 edges to predict, 2 blocks"]),
    "open_in_pyg.py": ([], ["PyTorch Geometric is not"] if NO_PYG else ["for each of 40 items"]),
    "fusion_conv.py": ([], ["GATConv: ", "FusionGATConv: ", " of the items"]),
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
