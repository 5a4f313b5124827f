"""Generate, preprocess and train at 1 and at 100 million interactions, and the memory they take.

First the default model, trained whole and asked for recommendations; then steps of the tower
readout on one graph. Worlds of one shape: a tenth as many users as interactions, a hundredth as
many products, bought by popularity alone, without texts and ties. Each stage is a process of its
own; its imports are not counted. ``processor_seconds`` are of all threads, and so tell what a
shared machine hides. What was made lies in a temporary folder (``TMPDIR``), some 5 GB at the large
size.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finrec_dgl.base.measure import Cost, measured
from finrec_dgl.benchmarking.speed.timing import Settings, own_process
from finrec_dgl.dataset import PreprocessOptions, describe, load_dataset, preprocess
from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import HybridConfig
from finrec_dgl.recommending.topk import best_listed
from finrec_dgl.tables.generate import World, write_world
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training import Batches, ModelScorer, TrainConfig
from finrec_dgl.training.learner import Learner, fit

SIZES = {"1 M": 1_000_000, "100 M": 100_000_000}
WARM_UP, STEPS = 5, 30
DEFAULT = "default model"
RECOMMENDED = 20_000
# stage -> seeds_per_user; the first as it comes
TRAINED = {"train": 0, "train, 1 seed a user": 1, "train, 4 seeds a user": 4}


def world(interactions: int) -> World:
    """The world of a size."""
    return World(
        users=interactions // 10,
        items=interactions // 100,
        interactions_per_user=10,
        ties_per_user=0,
        text_strength=0,
        graph_strength=0,
        tie_strength=0,
        texts=False,
    )


def config(together: int = 0) -> TrainConfig:
    """The plain form with one layer of ten sampled neighbours, the same at every size.

    Deeper, a batch of the small world reaches all of its nodes, and so would not be the same work.
    ``together``: ``seeds_per_user``.
    """
    return TrainConfig.plain(
        sampler="neighbor",
        fanout=(10,),
        seeds_per_user=together,
        negatives="in-batch",
        model=HybridConfig(layers=1, ids_start="random"),
    )


def generate_stage(interactions: int, folder: str) -> dict[str, float]:
    """Interactions a second, the peak in MiB and the rows written, of ``finrec-dgl generate``."""
    import pyarrow.parquet  # noqa: F401

    before = time.process_time()
    with measured() as cost:
        rows = write_world(world(interactions), Path(folder), "parquet")
    spent = time.process_time() - before
    return _told(cost, spent, rows["interactions"]) | {"interactions": rows["interactions"]}


def preprocess_stage(rows: int, source: str, folder: str, threads: int) -> dict[str, float]:
    """The same of ``finrec-dgl preprocess``, reading ``rows`` interactions."""
    torch.set_num_threads(threads)
    before = time.process_time()
    with measured() as cost:
        describe(preprocess(source, folder, PreprocessOptions(encoder=EncoderSpec(name="none"))))
    return _told(cost, time.process_time() - before, rows)


def train_stage(folder: str, threads: int, together: int = 0) -> dict[str, float]:
    """Interactions a second by the median of ``STEPS`` steps, and what opening takes.

    And what a batch is made of: one as large in a larger world repeats fewer products, and so has
    more to compute. ``together``: ``seeds_per_user``.
    """
    torch.set_num_threads(threads)
    with measured() as cost:
        dataset = load_dataset(folder)
        learner = Learner(dataset, dataset.snapshot("train"), config(together))
        learner.model.train()
        opened = time.perf_counter()
        seconds, sizes = [], []
        start = opened
        for loss, size in islice(learner.objective.epoch(1), WARM_UP + STEPS):
            learner.step(loss)
            now = time.perf_counter()
            seconds.append(now - start)
            sizes.append(size)
            start = now
    rates = sorted(size / one for size, one in zip(sizes[WARM_UP:], seconds[WARM_UP:], strict=True))
    return {
        "interactions_per_second": statistics.median(rates),
        "least": rates[0],
        "most": rates[-1],
        "peak_mib": cost.peak_mib,
        "open_seconds": cost.seconds - sum(seconds),
        **_batch(Batches(dataset.snapshot("train"), config(together))),
    }


def default_stage(folder: str, threads: int) -> dict[str, float]:
    """Interactions a second and the peak of the default model with ``--sampler neighbor``.

    All its windows and epochs on everything before the cut; then users a second that are given ten
    items each, of ``RECOMMENDED``, beside the seconds that the graph takes once.
    """
    torch.set_num_threads(threads)
    before = time.process_time()
    settings = TrainConfig(sampler="neighbor")
    with measured() as cost:
        dataset = load_dataset(folder)
        scorer = fit(dataset, dataset.snapshot("fit"), settings)
    spent = time.process_time() - before
    users = np.arange(min(RECOMMENDED, dataset.n_users))
    with measured() as opening:
        _ten_best(scorer, users[:1])
    with measured() as recommending:
        for start in range(0, len(users), 512):
            _ten_best(scorer, users[start : start + 512])
    return {
        **_told(cost, spent, len(dataset.interactions)),
        "open_seconds": opening.seconds,
        "users_per_second": len(users) / recommending.seconds,
        "recommend_peak_mib": recommending.peak_mib,
    }


def _ten_best(scorer: ModelScorer, users: np.ndarray) -> None:
    if scorer.has_candidates:
        items, scores = scorer.candidates(users)
    else:
        scores = scorer.score(users)
        items = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    best_listed(items, scores, 10)


def _batch(batches: Batches) -> dict[str, float]:
    """How many users, candidates, nodes and edges the first batch has."""
    batch = next(batches.epoch(1))
    layer = batch.blocks.layers[0]
    return {
        "users": len(batch.users),
        "candidates": len(batch.items),
        "nodes": sum(layer.num_src_nodes(name) for name in NODE_TYPES),
        "edges": sum(len(one) for one in layer.edges.values()),
    }


def _told(cost: Cost, processor_seconds: float, interactions: int) -> dict[str, float]:
    return {
        "interactions_per_second": interactions / cost.seconds,
        "seconds": cost.seconds,
        "processor_seconds": processor_seconds,
        "peak_mib": cost.peak_mib,
    }


def measure(settings: Settings) -> dict[str, Any]:
    """Each stage at each size (``quick``: the small one), and the ratios of training's rates."""
    found: dict[str, Any] = {}
    for name, interactions in list(SIZES.items())[: 1 if settings.quick else None]:
        with tempfile.TemporaryDirectory() as folder:
            tables, dataset = str(Path(folder) / "tables"), str(Path(folder) / "dataset")
            made = own_process(generate_stage, interactions, tables)
            rows = made["interactions"]
            found[name] = {
                "generate": made,
                "preprocess": own_process(
                    preprocess_stage, rows, tables, dataset, settings.threads
                ),
                DEFAULT: own_process(default_stage, dataset, settings.threads),
                **{
                    stage: own_process(train_stage, dataset, settings.threads, together)
                    for stage, together in TRAINED.items()
                },
            }
    ratios = {}
    for stage in (DEFAULT, *TRAINED):
        rates = [one[stage]["interactions_per_second"] for one in found.values()]
        ratios[f"{stage}, ratio"] = rates[-1] / rates[0]
    return {**found, **ratios}
