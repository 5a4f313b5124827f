"""How long the command line takes to answer, each time in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from finrec_dgl.base.errors import FinrecError
from finrec_dgl.benchmarking.speed.timing import Settings, alternate

COMMAND = ("-m", "finrec_dgl.cli")
FORMS = {
    "": ("--set", "windows=2"),
    ", tower readout": ("--set", "model.readout=tower", "--set", "steps=5"),
}
"""By what is added to a comparison's name: how a model is trained in a moment."""


def measure(settings: Settings) -> dict[str, Any]:
    """``--help`` beside Python alone, and ``recommend`` for one customer beside PyTorch's import.

    The bank is that of ``generate`` without texts, 10,000 customers and 1,000 products; with
    ``data`` also FAR-Trans, split 020, without text vectors. What is trained is the default model
    and the paper's plain form, one epoch, which answer like those of many.
    """
    users, items = (200, 40) if settings.quick else (10_000, 1_000)
    found: dict[str, Any] = {"users": users, "items": items}
    with TemporaryDirectory() as name:
        folder = Path(name)
        timed = _Commands(folder / "bytecode", settings.repeats)
        timed.beside("--help", {"finrec-dgl": (*COMMAND, "--help"), "python": ("-c", "pass")})
        sizes = ("--users", str(users), "--items", str(items))
        timed.run(*COMMAND, "generate", str(folder / "tables"), "--no-texts", *sizes)
        timed.run(*COMMAND, "preprocess", str(folder / "tables"), str(folder / "bank"))
        timed.answers("", folder / "bank")
        fartrans = settings.data.get("fartrans")
        if fartrans is None:
            found["fartrans"] = "not measured: --data fartrans=FOLDER names its folder"
        else:
            split = ("--split", "given", "--split-file", str(fartrans / "splits/020.json.gz"))
            short = ("--valid-cut", "2019-10-29", "--encoder", "none")
            made = str(folder / "fartrans")
            timed.run(*COMMAND, "preprocess", str(fartrans), made, *split, *short)
            timed.answers("FAR-Trans, ", folder / "fartrans")
        return {"compared": timed.compared, **found}


class _Commands:
    """Runs commands of Python's, each a process of its own, and keeps what they took.

    Their bytecode is kept in the folder ``bytecode``, as that of an installed package is, whatever
    this process was told: compiling a checkout anew each time is no part of an answer.
    """

    def __init__(self, bytecode: Path, repeats: int) -> None:
        self.compared: dict[str, dict[str, dict[str, float]]] = {}
        self._repeats = repeats
        self._environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(self, *words: str) -> None:
        """``python`` with ``words``. Raises FinrecError where it fails."""
        command = [sys.executable, *words]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self._environment
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:]
            raise FinrecError(f"a command that was timed failed: {' '.join(last)}")

    def beside(self, what: str, sides: Mapping[str, Sequence[str]]) -> None:
        """Time ``sides`` in turn, as ``what``."""
        calls = {name: partial(self.run, *words) for name, words in sides.items()}
        self.compared[what] = alternate(calls, self._repeats)

    def answers(self, data: str, dataset: Path) -> None:
        """Train each of ``FORMS`` on ``dataset`` and time its answer, beside PyTorch's import."""
        one = pq.ParquetFile(dataset / "ids" / "users.parquet").read()["id"][0].as_py()
        for number, (form, short) in enumerate(FORMS.items()):
            run = str(dataset.with_name(f"{dataset.name} {number}"))
            self.run(*COMMAND, "train", str(dataset), run, "--epochs", "1", *short)
            sides = {
                "finrec-dgl": (*COMMAND, "recommend", run, "--user", one),
                "import torch": ("-c", "import torch"),
            }
            self.beside(f"{data}recommend --user, cold{form}", sides)
