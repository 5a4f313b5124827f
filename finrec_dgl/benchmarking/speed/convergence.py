"""How long training takes to rank as well as LightGCN is published to, beside LightGCN's epochs.

Gowalla in the split that LightGCN reports on, by the model of ``OURS``; an epoch of LightGCN as its
authors set it (64 dimensions, 3 layers, batches of 2,048, a sparse adjacency) is told from some of
its steps.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from finrec_dgl.baselines import LightGCN
from finrec_dgl.benchmarking.speed.timing import Settings
from finrec_dgl.dataset import Dataset, PreprocessOptions, SplitOptions, preprocess
from finrec_dgl.evaluation import evaluate
from finrec_dgl.training import train
from finrec_dgl.training.config import read_settings

PUBLISHED = {"recall@20": 0.1824, "ndcg@20": 0.1547}
"""Of LightGCN with three layers, in its authors' repository gusye1234/LightGCN-PyTorch."""

OURS: Mapping[str, Any] = {
    "windows": 2,
    "hidden_core": 10,
    "loss_floor": 0.003,
    "epochs": 15,
    "average": 7,
    "model": {
        "text": False,
        "social": False,
        "stream_one": False,
        "pair": {
            "all_items": 50_000,
            "ease": [],
            "holding_half_lives": [0.0],
            "cosine_alpha": 0.7,
            "cosine_users": 0.7,
            "cosine_shrink": 0.0,
            "ranks": [768],
            "chebyshev": 8,
            "vectors": 128,
            "trend_half_lives": [],
            "steady_half_life": 0.0,
        },
    },
}
"""The settings of examples/gowalla.toml."""

SPLIT = SplitOptions(valid_share=0.2)
"""Validation, and what back-testing hides, is as large a share of each user's as the test was."""

WARM_UP, STEPS, BATCH = 3, 30, 2_048


def measure(settings: Settings) -> dict[str, Any]:
    """Seconds of our training and of ten epochs of LightGCN, and what ours reaches on the test.

    Ours is all of ``train``: learning, the judgement on validation, and learning anew from all
    before the test. Without the data set, why nothing is measured.
    """
    if settings.quick:
        with TemporaryDirectory() as folder:
            made_up(Path(folder))
            return _measured(Path(folder))
    if "gowalla" not in settings.data:
        return {"gowalla": "not measured: --data gowalla=FOLDER names its folder"}
    return _measured(settings.data["gowalla"])


def _measured(tables: Path) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        dataset = preprocess(tables, Path(folder) / "dataset", PreprocessOptions(split=SPLIT))
        found = {"lightgcn": lightgcn_epoch(dataset)}
        started = time.perf_counter()
        run = train(dataset, Path(folder) / "run", read_settings(OURS))
        trained = time.perf_counter()
        figures = evaluate(run.scorer("test"), dataset, "test", k=(20,))
        evaluated = time.perf_counter()
    ten = 10 * found["lightgcn"]["s an epoch, estimated"]
    return {
        **found,
        "ours": {
            "s to train": trained - started,
            "s to rank the test": evaluated - trained,
            **{name: figures.metrics[name] for name in PUBLISHED},
            "best_epoch": run.info["best_epoch"],
        },
        "published of LightGCN": PUBLISHED,
        "ten epochs of LightGCN / our training": ten / (trained - started),
    }


def lightgcn_epoch(dataset: Dataset) -> dict[str, float]:
    """What a step takes, the median of ``STEPS`` after a warm-up, and so an epoch."""
    snapshot = dataset.snapshot("fit")
    steps = LightGCN(epochs=100, batch=BATCH).steps(snapshot)
    times = []
    for _ in islice(steps, 1 + WARM_UP):
        started = time.perf_counter()
    for _ in islice(steps, STEPS):
        times.append(time.perf_counter() - started)
        started = time.perf_counter()
    step = statistics.median(times)
    return {
        "ms a step": 1e3 * step,
        "steps timed": len(times),
        "steps an epoch": -(-len(snapshot.pairs) // BATCH),
        "s an epoch, estimated": step * -(-len(snapshot.pairs) // BATCH),
    }


def made_up(folder: Path, users: int = 100, items: int = 60) -> None:
    """Write a small split in LightGCN's form: two halves of users, each with a taste of its own."""
    rng = np.random.default_rng(0)
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for user in range(users):
        liked = rng.permutation(items // 2)[:20] + (user % 2) * (items // 2)
        for name, part in (("train", liked[:16]), ("test", liked[16:])):
            lines[name].append(" ".join(map(str, [user, *part])))
    for name, one in lines.items():
        (folder / f"{name}.txt").write_text("\n".join(one) + "\n", encoding="utf-8")
