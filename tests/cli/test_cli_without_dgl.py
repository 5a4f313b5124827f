"""Every command runs where DGL is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_bank import write_tables

# an import of DGL fails, and it is not found when looked for
_RUN = """
import sys
sys.modules["dgl"] = None
from finrec_dgl.cli.app import main
for line in LINES:
    code = main(line)
    if code:
        sys.exit(f"{line} ended with {code}")
assert not [name for name in sys.modules if name.startswith("dgl.")]
"""
SMALL = ["--epochs", "2", "--set", "model.dim=8", "--set", "model.heads=2"]
FORMS = {
    "pair": ["--epochs", "2"],
    "full": [*SMALL, "--set", "model.readout=tower", "--set", "sampler=full"],
    "neighbor": [*SMALL, "--set", "model.readout=tower", "--set", "sampler=neighbor"],
}


def run(*lines: list[str]) -> str:
    """Run command lines in a process without DGL; the output of all of them."""
    script = _RUN.replace("LINES", repr([list(map(str, line)) for line in lines]))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", FORMS)
def test_the_whole_way_runs_without_dgl(form, tmp_path: Path) -> None:
    """Catches a step that imports DGL though it computes nothing with it."""
    write_tables(tmp_path / "tables")
    data, made, out = (str(tmp_path / name) for name in ("data", "run", "all.parquet"))
    said = run(
        ["preprocess", str(tmp_path / "tables"), data, "--encoder", "none", "--quiet"],
        ["inspect", data, "--quiet"],
        ["train", data, made, "--quiet", *FORMS[form]],
        ["evaluate", made, "--quiet"],
        ["recommend", made, "--user", "u3", "--quiet"],
        ["recommend", made, "--all-users", "--out", out, "--quiet"],
    )
    assert said is not None
    assert json.loads((Path(made) / "run.json").read_text())["versions"]["dgl"] is None
    assert Path(out).is_file()


def test_slower_kernels_need_no_dgl() -> None:
    """Catches kernels that turn to DGL where there is neither native code nor DGL."""
    script = (
        "import sys; sys.modules['dgl'] = None\n"
        "import torch\n"
        "from finrec_dgl.kernels import backend\n"
        "from finrec_dgl.kernels import library\n"
        "none = type('None', (), {'handle': None, 'told': 'not built'})\n"
        "backend.find_library = library.find_library = lambda: none\n"
        "assert backend.choose('auto', torch.ones(1)) == 'torch'\n"
        "from finrec_dgl.base.errors import FinrecError\n"
        "from finrec_dgl.graph import build_graph\n"
        "import numpy as np\n"
        "try: build_graph(1, 1, np.array([0]), np.array([0]))\n"
        "except FinrecError as error: assert 'DGL is not installed' in str(error)\n"
        "else: sys.exit('no error')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
