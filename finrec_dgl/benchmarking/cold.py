"""Compares models on products, or customers, that were held out altogether."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.baselines.chance import Chance
from finrec_dgl.benchmarking.accuracy import check_asked, measure_models
from finrec_dgl.benchmarking.jobs import Job, Made, Measured, Study, open_folder
from finrec_dgl.benchmarking.outcome import Outcome, name_of, table_of, write_combined, write_table
from finrec_dgl.benchmarking.table import METRIC, REFERENCE
from finrec_dgl.benchmarking.tuning import Tuning
from finrec_dgl.dataset import Dataset
from finrec_dgl.dataset.windows import GROUPS
from finrec_dgl.training import TrainConfig

FLOOR = Chance.name
COLD_REFERENCE = "content"
"""What the others are compared with on held-out nodes: it is tuned for them."""

COLD_MODELS = (
    *(FLOOR, "popularity", COLD_REFERENCE, "text"),
    *(REFERENCE, "hybrid-text", "hybrid-graph"),
)


def compare_cold(
    asked: Sequence[tuple[Dataset, TrainConfig]],
    out: Path,
    models: Sequence[str] = COLD_MODELS,
    seeds: int = 5,
    tuning: Tuning | None = None,
    progress: Progress = SILENT,
) -> dict[str, Outcome]:
    """Measure ``models`` on data sets that hold nodes out, by group: all, warm and cold.

    Tuned as ``compare_models`` does, but ``content`` for the held-out nodes of validation. On cold
    ones each model is compared with ``content``; on warm ones and on all with whichever is best on
    warm ones, by the mean over the data sets that all models were measured on: a rival that was not
    chosen to lose. ``random`` draws its scores: the floor, with ``seeds`` seeds.

    ``out`` receives in a folder for each data set, and for several in ``out`` itself, the tables
    ``all``, ``warm`` and ``cold`` as .json, .md and .svg. Returns them by group.

    Raises DataError where a data set holds no nodes out, else as ``compare_models``.
    """
    tuning = tuning or Tuning()
    check_asked(models, COLD_MODELS, seeds)
    for dataset, _ in asked:
        dataset.cold("test")
    open_folder(out)
    everything = []
    for dataset, config in asked:
        progress.note(f"comparing on {name_of(dataset)}")
        study = Study(dataset, Path(out) / name_of(dataset), progress)
        named = [name for name in models if name != FLOOR]
        measured, skipped = measure_models(study, named, seeds, config, tuning, "cold")
        if FLOOR in models:
            measured = {FLOOR: _floor(study, seeds, config.seed), **measured}
        everything.append((study, measured, skipped))
    found = {}
    best = _warm_best([one for _, one, _ in everything])
    for group in GROUPS:
        reference = COLD_REFERENCE if group == "cold" else best
        tables = []
        for study, measured, skipped in everything:
            there = {name: one for name, one in measured.items() if one.has(group)}
            remarks = [] if there else [f"the test has no {group} targets"]
            table = table_of(study.dataset, there, skipped, reference, group, remarks)
            write_table(study.out, table, group)
            tables.append(table)
        found[group] = write_combined(Path(out), tables, group)
    return found


def _floor(study: Study, seeds: int, first: int) -> Measured:
    results = []
    for seed in range(first, first + seeds):

        def make(seed: int = seed) -> Made:
            return Made(Chance(seed).fit(study.dataset.snapshot("fit")), {})

        results.append(study.measure(Job(FLOOR, seed, {}), make))
    return Measured(results)


def _warm_best(everything: Sequence[Mapping[str, Measured]]) -> str:
    """The model of the highest NDCG@10 on warm nodes, the mean over data sets and seeds."""
    total: dict[str, float] = {}
    shared = set(everything[0]).intersection(*everything[1:])
    for name in [one for one in everything[0] if one in shared]:
        total[name] = sum(
            sum(one.metrics[METRIC] for one in measured[name].evaluations("warm"))
            / len(measured[name].results)
            for measured in everything
            if measured[name].has("warm")
        )
    return max(total, key=lambda name: total[name]) if total else REFERENCE
