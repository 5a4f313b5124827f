"""The script that measures growth with users runs at its smallest size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "users.py"


def test_a_row_for_each_number_of_users(tmp_path):
    """Catches a script that the library has left behind, and figures that are not measured."""
    out = tmp_path / "users.json"
    asked = ["--users", "60,90", "--items", "30", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    assert list(rows) == ["60 users", "90 users"]
    for figures in rows.values():
        assert all(value > 0 for name, value in figures.items() if name != "ndcg@10")
