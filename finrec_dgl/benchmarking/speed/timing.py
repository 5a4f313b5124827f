"""Times sides of a comparison in turn, and measures the machine that they run on."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from finrec_dgl.base.config import refuse
from finrec_dgl.base.errors import FinrecError


@dataclass(frozen=True)
class Settings:
    """What every case is told. Raises ConfigError, naming every field out of range.

    ``threads``: of PyTorch and of native code. ``repeats``: of each side, after a warm-up.
    ``quick``: a small size, to see that all runs. ``data``: folders of public data sets, by name.
    """

    threads: int = 2
    repeats: int = 7
    quick: bool = False
    data: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse(
            [
                f"{name} is {getattr(self, name)}, expected at least 1"
                for name in ("threads", "repeats")
                if getattr(self, name) < 1
            ],
            where="benchmark speed",
        )


def alternate(sides: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each side: median, least and most; and its ratio to the first, with spread.

    Every side runs once before. A ratio is of times in the same round, so that what else the
    machine does meanwhile falls on both.
    """
    for once in sides.values():
        once()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, once in sides.items():
            start = time.perf_counter()
            once()
            times[name].append((time.perf_counter() - start) * 1e3)
    base = times[next(iter(sides))]
    return {name: _told(one, base) for name, one in times.items()}


def _told(times: list[float], base: list[float]) -> dict[str, float]:
    ratios = [one / other for one, other in zip(times, base, strict=True)]
    return {
        "ms": statistics.median(times),
        "least_ms": min(times),
        "most_ms": max(times),
        "ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "most_ratio": max(ratios),
    }


def bandwidth(repeats: int = 7) -> float:
    """Bytes a second read and written by a copy of 256 MiB, the best of ``repeats``."""
    source = torch.ones(1 << 26)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _least_seconds(lambda: target.copy_(source), repeats)


def products(repeats: int = 7) -> float:
    """Operations a second in a float32 product of [4096, 1024] and [1024, 1024], the best."""
    one, other = torch.ones(4096, 1024), torch.ones(1024, 1024)
    target = torch.empty(4096, 1024)
    seconds = _least_seconds(lambda: torch.mm(one, other, out=target), repeats)
    return 2 * one.numel() * other.shape[1] / seconds


def _least_seconds(once: Callable[[], Any], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        once()
        best = min(best, time.perf_counter() - start)
    return best


def processor() -> str:
    """The name of this machine's processor, as the system tells it; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else ""


_CALL = """
import json, sys
from importlib import import_module
module, name, arguments = json.loads(sys.argv[1])
print(json.dumps(getattr(import_module(module), name)(*arguments)), file=sys.__stdout__)
"""


def own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function``, a module's own, gives for ``arguments`` in a process of its own.

    For peaks of memory and cold starts. Arguments and result go as JSON. Raises FinrecError with
    what the process said last where it fails.
    """
    call = json.dumps([function.__module__, function.__name__, arguments])
    done = subprocess.run(
        [sys.executable, "-c", _CALL, call], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise FinrecError(f"{function.__name__} failed in a process of its own: {' '.join(last)}")
    return json.loads(done.stdout.strip().splitlines()[-1])
