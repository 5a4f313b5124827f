"""Compares models on one data set: tuned on validation, measured once on test, tested in pairs."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from finrec_dgl._version import __version__
from finrec_dgl.base.config import choice, refuse, to_mapping
from finrec_dgl.base.errors import DataError
from finrec_dgl.base.files import (
    check_writable_folder,
    read_json,
    sha256,
    write_atomically,
    write_json,
)
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.baselines import BASELINES, tune
from finrec_dgl.benchmarking.table import REFERENCE, Row, Skipped, Table
from finrec_dgl.dataset import Dataset
from finrec_dgl.evaluation import Comparison, Evaluation, compare, evaluate, holm
from finrec_dgl.training import TrainConfig, train

HYBRIDS: Mapping[str, Mapping[str, Any]] = {
    REFERENCE: {},
    "hybrid-text": {"graph": False},
    "hybrid-graph": {"text": False},
}
"""The hybrid and its selves of one modality: name -> switches of the model's configuration."""

MODELS = (*BASELINES, *HYBRIDS)
MARKER = "benchmark.json"
SCHEMA = 1
VALID = "valid_ndcg@10"


@dataclass(frozen=True)
class _Job:
    """One model with one seed (None: it draws nothing at random): what a result file is of."""

    model: str
    seed: int | None
    settings: Mapping[str, Any]
    config: TrainConfig | None
    rates: tuple[float, ...] = ()

    def name(self, dataset: Dataset) -> str:
        """The name of its result: another data set, configuration or version has another name."""
        made_of = [SCHEMA, __version__, dataset.hash, self.model, self.settings]
        digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        seed = "" if self.seed is None else f"-{self.seed}"
        return f"{self.model}{seed}-{digest[:12]}"


def compare_models(
    dataset: Dataset,
    out: Path,
    models: Sequence[str] = MODELS,
    seeds: int = 5,
    config: TrainConfig | None = None,
    progress: Progress = SILENT,
    rates: Sequence[float] = (),
) -> Table:
    """Measure ``models`` on the test split of ``dataset``, and compare each with the hybrid.

    Every choice is made on validation: a baseline's options by ``baselines.tune``, a hybrid's
    number of epochs by early stopping in ``train``, and its learning rate among ``rates`` where
    there are any (what suits a model that starts at a filter does not suit one that starts from
    nothing, so that each may choose). The choice is refitted on everything before
    the cut (a hybrid: with ``config.refit``) and ranked in full, once, on test.

    ``models``: names of ``MODELS``; ``hybrid-text`` and ``hybrid-graph`` are the hybrid of
    ``config`` (default: TrainConfig()) with its graph, or its text, switched off. Those that draw
    at random are trained with ``seeds`` seeds, from ``config.seed`` on, and a user's metric is the
    mean over them. The p-values are paired over users (``evaluation.compare``, NDCG@10) and
    corrected for the number of comparisons by Holm's procedure.

    ``out`` receives ``table.json`` and ``table.md``, a JSON file in ``results/`` for each model and
    seed (users in it are node numbers), and the trained runs in ``runs/``. What is there already
    for the same data set, configuration and version is not done again, and a training that was cut
    off goes on. A model that needs what the data lacks is skipped, with its reason in the table.

    Raises ConfigError for unknown models or ``seeds`` below 1, UsageError where ``out`` holds
    anything else, DataError where validation or test have no targets.
    """
    jobs = _plan(models, seeds, config or TrainConfig(), tuple(rates))
    out = Path(out)
    check_writable_folder(out, marker=MARKER, overwrite=True)
    for split in ("valid", "test"):
        if not len(dataset.targets(split)):
            raise DataError(
                f"the {split} split has no targets: there is nothing to compare on",
                where=str(dataset.path),
                mend="choose another cut when the data set is made",
            )
    write_json(out / MARKER, {"schema": SCHEMA})
    found: dict[str, list[dict[str, Any]]] = {}
    skipped: list[Skipped] = []
    with progress.task("comparing", total=sum(map(len, jobs.values())), unit="models") as task:
        for model, seeded in jobs.items():
            try:
                results = []
                for job in seeded:
                    results.append(_result(job, dataset, out, progress))
                    task.advance(1, last=model)
                found[model] = results
            except _Unavailable as reason:
                skipped.append(Skipped(model, str(reason)))
                task.advance(len(seeded))
    table = _table(dataset, found, skipped)
    write_json(out / "table.json", table.to_mapping())
    text = table.to_markdown()
    write_atomically(out / "table.md", lambda target: target.write_text(text, encoding="utf-8"))
    return table


class _Unavailable(Exception):
    """The data set lacks what a model needs."""


def _plan(
    models: Sequence[str], seeds: int, config: TrainConfig, rates: tuple[float, ...]
) -> dict[str, list[_Job]]:
    problems = [problem for name in models for problem in choice("model", name, MODELS)]
    if not models or len(set(models)) < len(models):
        problems.append(
            f"models are {', '.join(models) or 'none'}, expected one or more, each once"
        )
    if seeds < 1:
        problems.append(f"seeds is {seeds}, expected at least 1")
    problems += [f"a rate is {one}, expected above 0" for one in rates if not one > 0]
    refuse(problems, where="benchmark")
    return {name: _jobs(name, seeds, config, rates) for name in models}


def _jobs(name: str, seeds: int, config: TrainConfig, rates: tuple[float, ...]) -> list[_Job]:
    if name in BASELINES:
        baseline = BASELINES[name]
        drawn = range(config.seed, config.seed + seeds) if baseline.seeded else (None,)
        return [_Job(name, seed, {"grid": dict(baseline.grid)}, None) for seed in drawn]
    model = replace(config.model, **HYBRIDS[name])
    jobs = []
    for seed in range(config.seed, config.seed + seeds):
        own = replace(config, model=model, seed=seed)
        settings = to_mapping(own)
        if rates:
            settings["rates"] = list(rates)
        if model.uses_pseudo and model.pseudo_target == "file":
            # other labels under the same name are another model
            settings["labels"] = _labels_hash(Path(model.pseudo_file or ""))
        jobs.append(_Job(name, seed, settings, own, rates))
    return jobs


def _labels_hash(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(
            f"the file of pseudo-labels cannot be read: {error.strerror}", where=str(path)
        ) from error


def _result(job: _Job, dataset: Dataset, out: Path, progress: Progress) -> dict[str, Any]:
    """The result of ``job``, from its file where it was done before."""
    name = job.name(dataset)
    path = out / "results" / f"{name}.json"
    if path.exists():
        progress.note(f"{job.model}: done before ({path.name})")
    else:
        progress.note(job.model if job.seed is None else f"{job.model}, seed {job.seed}")
        if job.config is None:
            record = _baseline(job, dataset, progress)
        else:
            record = _hybrid(job, job.config, dataset, out / "runs" / name, progress)
        write_json(path, record)
    result: dict[str, Any] = read_json(path, what="result")
    _evaluation(result, path)
    return result


def _baseline(job: _Job, dataset: Dataset, progress: Progress) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        tuned = tune(job.model, dataset, job.seed or 0, progress=progress)
    except DataError as error:
        # both splits have targets: it is the baseline that cannot be fitted
        raise _Unavailable(error.found) from error
    evaluation = evaluate(tuned.recommender, dataset, "test")
    chosen = {**tuned.chosen.options, VALID: tuned.chosen.ndcg}
    return _record(job, dataset, evaluation, chosen, None, started)


def _hybrid(
    job: _Job, config: TrainConfig, dataset: Dataset, run: Path, progress: Progress
) -> dict[str, Any]:
    if not config.model.graph:
        _refuse_textless(dataset)
    started = time.perf_counter()
    tried = {
        rate: train(
            dataset,
            run / f"lr-{rate:g}" if job.rates else run,
            replace(config, lr=rate),
            progress=progress,
            resume=True,
        )
        for rate in job.rates or (config.lr,)
    }
    rate = max(tried, key=lambda one: tried[one].info[VALID])
    best = tried[rate]
    evaluation = evaluate(best.scorer("test"), dataset, "test")
    chosen = {"lr": rate, **{name: best.info[name] for name in ("best_epoch", "refitted", VALID)}}
    place = best.path.relative_to(run.parent.parent).as_posix()
    return _record(job, dataset, evaluation, chosen, place, started)


def _refuse_textless(dataset: Dataset) -> None:
    fit = dataset.snapshot("fit")
    if not (np.any(fit.item_text) and np.any(fit.user_text)):
        raise _Unavailable("users or items have no text vectors, and it knows nothing else")


def _record(
    job: _Job,
    dataset: Dataset,
    evaluation: Evaluation,
    chosen: Mapping[str, Any],
    run: str | None,
    started: float,
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "finrec_dgl": __version__,
        "dataset": dataset.hash,
        "model": job.model,
        "seed": job.seed,
        "settings": job.settings,
        "chosen": dict(chosen),
        "run": run,
        "seconds": round(time.perf_counter() - started, 2),
        "evaluation": evaluation.to_mapping(),
        "users": evaluation.users.tolist(),
        "per_user": {name: values.tolist() for name, values in evaluation.per_user.items()},
    }


def _evaluation(result: Mapping[str, Any], where: object = None) -> Evaluation:
    """The evaluation that a result file holds. Raises DataError where it is not one of ours."""
    try:
        summary = result["evaluation"]
        per_user = {
            name: np.asarray(values, np.float64) for name, values in result["per_user"].items()
        }
        return Evaluation(
            split=summary["split"],
            k=tuple(summary["k"]),
            users=np.asarray(result["users"], np.int32),
            per_user=per_user,
            targets=summary["targets"],
            unreachable=summary["unreachable"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            "the result of an earlier comparison is broken",
            where=None if where is None else str(where),
            mend="remove this file, and the comparison makes it again",
        ) from error


def mean_evaluation(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Each user's metrics averaged over ``evaluations`` (seeds) of the same users.

    Raises DataError where the users differ.
    """
    first = evaluations[0]
    if any(not np.array_equal(one.users, first.users) for one in evaluations):
        raise DataError("evaluations of different users cannot be averaged")
    per_user = {
        name: np.mean([one.per_user[name] for one in evaluations], axis=0)
        for name in first.per_user
    }
    return replace(first, per_user=per_user)


def _table(
    dataset: Dataset, found: Mapping[str, list[dict[str, Any]]], skipped: Sequence[Skipped]
) -> Table:
    seeded = {name: [_evaluation(one) for one in results] for name, results in found.items()}
    means = {name: mean_evaluation(evaluations) for name, evaluations in seeded.items()}
    comparisons: dict[str, Comparison] = {}
    if REFERENCE in means:
        others = [name for name in means if name != REFERENCE]
        comparisons = {name: compare(means[name], means[REFERENCE]) for name in others}
    adjusted = holm([one.p_value for one in comparisons.values()]).tolist()
    p_values = dict(zip(comparisons, adjusted, strict=True))
    rows = [
        Row(
            model=name,
            metrics=mean.metrics,
            intervals=mean.intervals,
            by_seed=tuple(one.metrics["ndcg@10"] for one in seeded[name]),
            chosen=tuple(one["chosen"] for one in found[name]),
            runs=tuple(one["run"] for one in found[name] if one["run"]),
            seconds=sum(one["seconds"] for one in found[name]),
            comparison=comparisons.get(name),
            p_value=p_values.get(name),
        )
        for name, mean in means.items()
    ]
    targets = dataset.targets("test")
    return Table(
        dataset=Path(dataset.path).resolve().name,
        dataset_hash=dataset.hash,
        users=len(np.unique(targets.user)),
        targets=len(targets),
        rows=tuple(rows),
        skipped=tuple(skipped),
    )
