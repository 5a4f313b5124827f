"""Measurements that are made once: jobs, their result files, and what tables are made from."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from finrec_dgl._version import __version__
from finrec_dgl.base.config import to_mapping
from finrec_dgl.base.errors import DataError
from finrec_dgl.base.files import (
    check_writable_folder,
    read_json,
    sha256,
    write_atomically,
    write_json,
)
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset import Dataset
from finrec_dgl.dataset.windows import Window, validation_windows
from finrec_dgl.evaluation import Evaluation, Scorer, evaluate_groups
from finrec_dgl.training import TrainConfig, train

MARKER = "benchmark.json"
SCHEMA = 2
VALID = "valid_ndcg@10"


class Unavailable(Exception):
    """The data set lacks what a model needs."""


@dataclass(frozen=True)
class Job:
    """One model with one seed (None: it draws nothing at random): what a result file is of."""

    model: str
    seed: int | None
    settings: Mapping[str, Any]

    def name(self, dataset: Dataset) -> str:
        """The name of its result: another data set, configuration or version has another name."""
        seed = "" if self.seed is None else f"-{self.seed}"
        return f"{self.model}{seed}-{digest(dataset, self.model, self.settings)}"


@dataclass(frozen=True)
class Made:
    """What a job comes to: a scorer for the test, what validation chose, its run on disk if any."""

    scorer: Scorer
    chosen: Mapping[str, Any]
    run: Path | None = None


@dataclass(frozen=True)
class Measured:
    """A model's results, one a seed, and how it was tuned (``Choice.to_mapping``)."""

    results: Sequence[Mapping[str, Any]]
    tuning: Mapping[str, Any] = field(default_factory=dict)

    def evaluations(self, group: str = "all") -> list[Evaluation]:
        """The evaluation of each seed."""
        return [evaluation_of(one, group) for one in self.results]

    def has(self, group: str) -> bool:
        """Whether ``group`` was measured."""
        return all(group == "all" or group in one["groups"] for one in self.results)


def digest(dataset: Dataset, *parts: Any) -> str:
    """12 hexadecimal digits that differ with the version, the data set and the ``parts``."""
    made_of = json.dumps([SCHEMA, __version__, dataset.hash, *parts], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()[:12]


def open_folder(out: Path) -> None:
    """Make ``out`` a folder of measurements, or go on in one. Raises UsageError for any other."""
    check_writable_folder(out, marker=MARKER, overwrite=True)
    write_json(out / MARKER, {"schema": SCHEMA})


class Study:
    """The measurements on one data set, in the folder ``out``: what is there is not made again.

    ``results/`` holds a file a model and seed, ``runs/`` what was trained, ``tuning/`` trials.
    Raises UsageError where ``out`` holds anything else, DataError where validation or test have no
    targets.
    """

    def __init__(self, dataset: Dataset, out: Path, progress: Progress = SILENT) -> None:
        self.dataset, self.out, self.progress = dataset, Path(out), progress
        check_writable_folder(self.out, marker=MARKER, overwrite=True)
        for split in ("valid", "test"):
            if not len(dataset.targets(split)):
                raise DataError(
                    f"the {split} split has no targets: there is nothing to compare on",
                    where=str(dataset.path),
                    mend="choose another cut when the data set is made",
                )
        open_folder(self.out)
        self._windows: dict[tuple[int, str], list[Window]] = {}

    def windows(self, count: int = 1, group: str = "all") -> list[Window]:
        """``dataset.windows.validation_windows``, made once for all models."""
        if (count, group) not in self._windows:
            self._windows[count, group] = validation_windows(self.dataset, count, group)
        return self._windows[count, group]

    def measure(self, job: Job, make: Callable[[], Made], learnt: Dataset | None = None) -> Any:
        """The result of ``job`` on the test split, from its file where it was made before.

        ``learnt``: the data set that ``make`` learns from, where that is a corrupted one.
        """
        path = self.out / "results" / f"{job.name(learnt or self.dataset)}.json"
        if path.exists():
            self.progress.note(f"{job.model}: done before ({path.name})")
        else:
            self.progress.note(job.model if job.seed is None else f"{job.model}, seed {job.seed}")
            started = time.perf_counter()
            made = make()
            groups = evaluate_groups(made.scorer, self.dataset, "test")
            record = self._record(job, made, groups, time.perf_counter() - started)
            if learnt is not None:
                record["learnt"] = learnt.hash
            write_json(path, record)
        result: dict[str, Any] = read_json(path, what="result")
        for group in ("all", *result.get("groups", ())):
            evaluation_of(result, group, path)
        return result

    def trained(self, job: Job, config: TrainConfig) -> Callable[[], Made]:
        """Makes ``job`` by training ``config``; a training that was cut off goes on."""

        def make() -> Made:
            refuse_textless(self.dataset, config)
            place = self.out / "runs" / job.name(self.dataset)
            run = train(
                self.dataset, place, config, judge=False, progress=self.progress, resume=True
            )
            chosen = {name: run.info[name] for name in ("best_epoch", "refitted", VALID)}
            return Made(run.scorer("test"), chosen, place)

        return make

    def configured(self, name: str, config: TrainConfig, seeds: int) -> list[Any]:
        """The results of training ``config`` as ``name`` with ``seeds`` seeds from its own on."""
        found = []
        for seed in range(config.seed, config.seed + seeds):
            own = replace(config, seed=seed)
            job = Job(name, seed, settings_of(own))
            found.append(self.measure(job, self.trained(job, own)))
        return found

    def trials(self, name: str, *made_of: Any) -> TrialFile:
        """What was tried for ``name`` under the circumstances ``made_of``."""
        return TrialFile(
            self.out / "tuning" / f"{name}-{digest(self.dataset, name, *made_of)}.json"
        )

    def scratch(self, *made_of: Any) -> Path:
        """A folder for a training that is measured on validation and then removed."""
        return self.out / "runs" / f"trial-{digest(self.dataset, *made_of)}"

    def _record(
        self, job: Job, made: Made, groups: Mapping[str, Evaluation], seconds: float
    ) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "finrec_dgl": __version__,
            "dataset": self.dataset.hash,
            "model": job.model,
            "seed": job.seed,
            "settings": job.settings,
            "chosen": dict(made.chosen),
            "run": None if made.run is None else made.run.relative_to(self.out).as_posix(),
            "seconds": round(seconds, 2),
            **_stored(groups["all"]),
            "groups": {name: _stored(one) for name, one in groups.items() if name != "all"},
        }


class TrialFile(MutableMapping[str, float]):
    """Options as JSON -> the validation NDCG@10 they reached; on disk as soon as it is known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, float] = {}
        if path.exists():
            self._known = dict(read_json(path, what="file of trials"))

    def __getitem__(self, key: str) -> float:
        return self._known[key]

    def __setitem__(self, key: str, value: float) -> None:
        self._known[key] = value
        write_json(self.path, self._known)

    def __delitem__(self, key: str) -> None:
        del self._known[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """What a result of ``config`` depends on. Raises DataError where a file cannot be read."""
    settings = to_mapping(config)
    if config.model.uses_pseudo and config.model.pseudo_target == "file":
        # other labels under the same name are another model
        settings["labels"] = _labels_hash(Path(config.model.pseudo_file or ""))
    return settings


def _labels_hash(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(
            f"the file of pseudo-labels cannot be read: {error.strerror}", where=str(path)
        ) from error


def refuse_textless(dataset: Dataset, config: TrainConfig) -> None:
    """Raise Unavailable where ``config`` knows text alone and the data set has none."""
    if config.model.graph:
        return
    fit = dataset.snapshot("fit")
    if not (np.any(fit.item_text) and np.any(fit.user_text)):
        raise Unavailable("users or items have no text vectors, and it knows nothing else")


def _stored(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "evaluation": evaluation.to_mapping(),
        "users": evaluation.users.tolist(),
        "per_user": {name: values.tolist() for name, values in evaluation.per_user.items()},
    }


def evaluation_of(
    result: Mapping[str, Any], group: str = "all", where: Path | None = None
) -> Evaluation:
    """The evaluation that a result file holds. Raises DataError where it is not one of ours."""
    try:
        stored = result if group == "all" else result["groups"][group]
        summary = stored["evaluation"]
        per_user = {
            name: np.asarray(values, np.float64) for name, values in stored["per_user"].items()
        }
        return Evaluation(
            split=summary["split"],
            k=tuple(summary["k"]),
            users=np.asarray(stored["users"], np.int32),
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


def write_outcome(out: Path, name: str, mapping: Any, markdown: str, picture: str) -> None:
    """Write ``name``.json for machines, ``name``.md for people and ``name``.svg, each whole."""
    write_json(out / f"{name}.json", mapping)
    for suffix, text in (("md", markdown), ("svg", picture)):
        _write_text(out / f"{name}.{suffix}", text)


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda target: target.write_text(text, encoding="utf-8"))


def remove(folder: Path) -> None:
    """Remove what a trial left, if anything."""
    shutil.rmtree(folder, ignore_errors=True)
