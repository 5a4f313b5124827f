"""The script that times attention runs at a small size and gives every figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from finrec_dgl.kernels.library import find_library

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "messages.py"


@pytest.mark.skipif(find_library().handle is None, reason=find_library().told)
def test_a_small_run_has_every_figure(tmp_path):
    """Catches a script that no longer runs, or sides that do not compute the same."""
    out = tmp_path / "found.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--repeats", "2", "--threads", "1"]
    said = subprocess.run(
        [*command, "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(out.read_text())
    assert {"bandwidth_gb_s", "pyg", "peak_mib", "forward_floor_ms"} <= set(found)
    assert max(found["difference"].values()) < 1e-5
    for name, sides in (("forward", 3), ("forward_backward", 3), ("layer", 2)):
        assert len(found[name]) == sides
        assert found[name]["native"]["ratio"] == 1
        assert all(one["least_ms"] <= one["ms"] for one in found[name].values())
