"""What the costly parts take beside other software, alternated in one run, and their floor."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.benchmarking.speed.timing import Settings, bandwidth, processor, products
from finrec_dgl.kernels.library import find_library

CASES = ("convergence", "encoding", "messages", "ranking", "sampling", "scale", "startup")
"""Each a module of this folder, whose ``measure`` takes the settings and gives JSON.

Where sides were timed against each other, ``compared`` in it holds, by what was timed, what
``alternate`` gave.
"""

__all__ = ["CASES", "Settings", "measure_speed"]


def measure_speed(
    settings: Settings, cases: Sequence[str] = CASES, progress: Progress = SILENT
) -> dict[str, Any]:
    """Run ``cases`` one after another and give the machine and each one's figures, for JSON.

    Raises ConfigError for a case that there is not.
    """
    refuse([problem for one in cases for problem in choice("only", one, CASES)], where="cases")
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        found: dict[str, Any] = {"machine": _machine(settings)}
        with progress.task("measuring", total=len(cases), unit="cases") as task:
            for case in cases:
                module = import_module(f"finrec_dgl.benchmarking.speed.{case}")
                found[case] = module.measure(settings)
                task.advance(1)
    finally:
        torch.set_num_threads(before)
    return found


def _machine(settings: Settings) -> dict[str, Any]:
    return {
        "processor": processor(),
        "threads": settings.threads,
        "torch": str(torch.__version__),
        "kernels": find_library().told,
        "copy_gb_s": bandwidth(settings.repeats) / 1e9,
        "products_gflop_s": products(settings.repeats) / 1e9,
    }
