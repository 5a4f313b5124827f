"""How long the command line takes to answer, each time in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from finrec_dgl.base.errors import FinrecError
from finrec_dgl.benchmarking.speed.timing import Settings, alternate

COMMAND = ("-m", "finrec_dgl.cli")


def measure(settings: Settings) -> dict[str, Any]:
    """``--help`` beside Python alone, and ``recommend`` for one customer beside PyTorch's import.

    The bank is that of ``generate`` without texts, 10,000 customers and 1,000 products; what is
    trained is the default model, one epoch, which answers like one of many.
    """
    users, items = (200, 40) if settings.quick else (10_000, 1_000)
    with TemporaryDirectory() as folder:
        run = _trained(Path(folder), users, items)
        ids = pq.ParquetFile(Path(folder) / "dataset" / "ids" / "users.parquet").read()
        one = ids["id"][0].as_py()
        compared = {
            "--help": alternate(
                {"finrec-dgl": _python(*COMMAND, "--help"), "python": _python("-c", "pass")},
                settings.repeats,
            ),
            "recommend --user, cold": alternate(
                {
                    "finrec-dgl": _python(*COMMAND, "recommend", str(run), "--user", one),
                    "import torch": _python("-c", "import torch"),
                },
                settings.repeats,
            ),
        }
    return {"compared": compared, "users": users, "items": items}


def _trained(folder: Path, users: int, items: int) -> Path:
    tables, dataset, run = (folder / name for name in ("tables", "dataset", "run"))
    sizes = ("--users", str(users), "--items", str(items))
    _python(*COMMAND, "generate", str(tables), "--no-texts", *sizes)()
    _python(*COMMAND, "preprocess", str(tables), str(dataset))()
    short = ("--epochs", "1", "--set", "windows=2")
    _python(*COMMAND, "train", str(dataset), str(run), *short)()
    return run


def _python(*words: str) -> Callable[[], None]:
    return partial(_done, [sys.executable, *words])


def _done(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise FinrecError(f"a command that was timed failed: {' '.join(last)}")
