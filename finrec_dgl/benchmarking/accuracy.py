"""Compares models on data sets: tuned on validation, measured once on test, tested in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.baselines import BASELINES
from finrec_dgl.benchmarking.jobs import Measured, Study, Unavailable, open_folder
from finrec_dgl.benchmarking.outcome import Outcome, name_of, table_of, write_combined, write_table
from finrec_dgl.benchmarking.table import Skipped, Table
from finrec_dgl.benchmarking.tuning import TRAINED, Tuning, measure_baseline, measure_trained
from finrec_dgl.dataset import Dataset
from finrec_dgl.training import TrainConfig

MODELS = (*BASELINES, *TRAINED)


def compare_models(
    dataset: Dataset,
    out: Path,
    models: Sequence[str] = MODELS,
    seeds: int = 5,
    config: TrainConfig | None = None,
    tuning: Tuning | None = None,
    progress: Progress = SILENT,
) -> Table:
    """Measure ``models`` on the test split of ``dataset``, and compare each with the hybrid.

    Every choice is made before the cut, within the same ``tuning.budget`` of trials a model: a
    baseline's options and the configuration of what trains for a fixed number of epochs on
    ``tuning.windows`` windows, anything with early stopping on the last of them, the validation
    part. A model that draws at random is tuned with its first seed. The choice is refitted on
    everything before the cut (what is trained: with ``config.refit``) and ranked in full, once for
    each seed, on test.

    ``models``: names of ``MODELS``; ``hybrid-text`` and ``hybrid-graph`` are the hybrid of
    ``config`` (default: TrainConfig()) with its graph, or its text, switched off; ``paper`` and
    ``gnn`` the paper's plain form, with all parts and as graph attention alone. Those that draw
    at random are measured with ``seeds`` seeds, from ``config.seed`` on, and a user's metric is the
    mean over them. The p-values are paired over users (``evaluation.compare``, NDCG@10) and
    corrected for the number of comparisons by Holm's procedure.

    ``out`` receives ``table.json``, ``table.md`` and ``table.svg``, a JSON file in ``results/`` for
    each model and seed (users in it are node numbers), the trials in ``tuning/`` and the trained
    runs in ``runs/``. What is there already for the same data set, configuration and version is not
    done again, and a training that was cut off goes on. A model that needs what the data lacks is
    skipped, with its reason in the table.

    Raises ConfigError for unknown models or ``seeds`` below 1, UsageError where ``out`` holds
    anything else, DataError where validation or test have no targets.
    """
    config, tuning = config or TrainConfig(), tuning or Tuning()
    check_asked(models, MODELS, seeds)
    study = Study(dataset, out, progress)
    measured, skipped = measure_models(study, models, seeds, config, tuning)
    table = table_of(dataset, measured, skipped)
    write_table(study.out, table)
    return table


def compare_everywhere(
    asked: Sequence[tuple[Dataset, TrainConfig]],
    out: Path,
    models: Sequence[str] = MODELS,
    seeds: int = 5,
    tuning: Tuning | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """``compare_models`` on each data set with its configuration, and all side by side.

    In ``out`` each has a folder of its name; several share ``table.json``, ``table.md`` and
    ``table.svg`` there, with the paired test over the users of all. Raises as that does.
    """
    check_asked(models, MODELS, seeds)
    open_folder(out)
    tables = []
    for dataset, config in asked:
        progress.note(f"comparing on {name_of(dataset)}")
        place = out / name_of(dataset)
        tables.append(compare_models(dataset, place, models, seeds, config, tuning, progress))
    return write_combined(out, tables)


def check_asked(models: Sequence[str], known: Sequence[str], seeds: int) -> None:
    """Raise ConfigError, naming every problem, for what cannot be compared."""
    problems = [problem for name in models for problem in choice("model", name, known)]
    if not models or len(set(models)) < len(models):
        problems.append(
            f"models are {', '.join(models) or 'none'}, expected one or more, each once"
        )
    if seeds < 1:
        problems.append(f"seeds is {seeds}, expected at least 1")
    refuse(problems, where="benchmark")


def measure_models(
    study: Study,
    models: Sequence[str],
    seeds: int,
    config: TrainConfig,
    tuning: Tuning,
    group: str = "all",
) -> tuple[dict[str, Measured], list[Skipped]]:
    """Tune and measure ``models``; those that lack what they need are skipped.

    ``group``: what ``content`` is tuned for.
    """
    measured: dict[str, Measured] = {}
    skipped: list[Skipped] = []
    with study.progress.task("comparing", total=len(models), unit="models") as task:
        for name in models:
            try:
                if name in BASELINES:
                    asked = group if name == "content" else "all"
                    measured[name] = measure_baseline(
                        study, name, seeds, config.seed, tuning, asked
                    )
                else:
                    measured[name] = measure_trained(study, name, seeds, config, tuning)
            except Unavailable as reason:
                skipped.append(Skipped(name, str(reason)))
            task.advance(1, last=name)
    return measured, skipped
