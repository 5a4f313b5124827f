"""What pseudo-labels earn: validation NDCG@10 by their weight in the loss and what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import DataError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.benchmarking.ablation import FORMS, check_parts, form_of
from finrec_dgl.benchmarking.charts import lines, picture
from finrec_dgl.benchmarking.jobs import Study, open_folder, write_outcome
from finrec_dgl.benchmarking.outcome import name_of
from finrec_dgl.benchmarking.table import markdown
from finrec_dgl.benchmarking.tuning import changed, try_configs
from finrec_dgl.dataset import Dataset
from finrec_dgl.nn.config import PSEUDO_TARGETS
from finrec_dgl.training import TrainConfig

LAMBDAS = (0.0, 0.1, 0.3, 0.5, 0.7)
HEADERS = ("form", "targets", "lambda_pseudo", "validation NDCG@10", "by seed")


@dataclass(frozen=True)
class Point:
    """The validation NDCG@10 of one form with one kind of targets at one weight, by seed."""

    form: str
    target: str
    weight: float
    by_seed: tuple[float, ...]

    @property
    def ndcg(self) -> float:
        """The mean over seeds."""
        return fmean(self.by_seed)


@dataclass(frozen=True)
class Sweep:
    """All points on one data set; ``windows``: by form, how many validation windows counted."""

    dataset: str
    dataset_hash: str
    points: tuple[Point, ...]
    windows: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the table is of."""
        return f"{self.dataset}: validation NDCG@10 by the weight of pseudo-labels"

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the columns."""
        return HEADERS

    def cells(self) -> list[tuple[str, ...]]:
        """The rows for people, in the order of ``headers``."""
        return [
            (
                one.form,
                one.target,
                f"{one.weight:g}",
                f"{one.ndcg:.4f}",
                " ".join(f"{value:.4f}" for value in one.by_seed),
            )
            for one in self.points
        ]

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "dataset": {"name": self.dataset, "hash": self.dataset_hash},
            "split": "valid",
            "windows": dict(self.windows),
            "points": [
                {
                    "form": one.form,
                    "target": one.target,
                    "lambda_pseudo": one.weight,
                    "ndcg@10": one.ndcg,
                    "by_seed": list(one.by_seed),
                }
                for one in self.points
            ],
            "notes": list(self.notes),
        }

    def picture(self) -> str:
        """NDCG@10 against the weight, a line a kind of targets, a panel a form."""
        panels = []
        for form in dict.fromkeys(one.form for one in self.points):
            series: dict[str, list[tuple[float, float]]] = {}
            for one in self.points:
                if one.form == form:
                    series.setdefault(one.target, []).append((one.weight, one.ndcg))
            chart = lines(form, series, "lambda_pseudo", "validation NDCG@10")
            panels.append((form, chart, tuple(series)))
        return picture(self.title, panels)


def sweep_pseudo(
    asked: Sequence[tuple[Dataset, TrainConfig]],
    out: Path,
    parts: Sequence[str] = FORMS,
    lambdas: Sequence[float] = LAMBDAS,
    targets: Sequence[str] = ("prototypes", "columns"),
    seeds: int = 3,
    windows: int = 3,
    epochs: int | None = None,
    progress: Progress = SILENT,
) -> list[Sweep]:
    """Train each form of ``parts`` with each of ``targets`` at each of ``lambdas``.

    Measured on validation, as tuning does (``usable_windows``), since it is a choice and not a
    result; ``asked`` and ``epochs`` as ``ablate`` takes them. ``columns`` is left out where
    products have no categories. ``out`` receives ``pseudo`` as .json, .md and .svg in a folder for
    each data set. Raises ConfigError for unknown names and weights below 0, DataError where there
    is no text.
    """
    check_parts(asked, parts, seeds)
    problems = [one for name in targets for one in choice("target", name, PSEUDO_TARGETS)]
    problems += [f"a lambda is {one}, expected at least 0" for one in lambdas if not one >= 0]
    if not targets or not lambdas:
        problems.append("there is nothing to try, expected targets and lambdas")
    refuse(problems, where="benchmark")
    for dataset, _ in asked:
        if not dataset.vectors.shape[1]:
            raise DataError(
                "there is no text, and pseudo-labels are made of it",
                expected="a data set made with a text encoder",
                where=str(dataset.path),
            )
    open_folder(out)
    found = []
    for dataset, config in asked:
        progress.note(f"pseudo-labels on {name_of(dataset)}")
        study = Study(dataset, Path(out) / name_of(dataset), progress)
        forms = {part: form_of(part, config, epochs) for part in parts}
        sweep = _sweep(study, forms, lambdas, targets, seeds, windows)
        table = markdown(sweep.title, sweep.headers, sweep.cells(), sweep.notes)
        write_outcome(study.out, "pseudo", sweep.to_mapping(), table, sweep.picture())
        found.append(sweep)
    return found


def _sweep(
    study: Study,
    forms: Mapping[str, TrainConfig],
    lambdas: Sequence[float],
    targets: Sequence[str],
    seeds: int,
    windows: int,
) -> Sweep:
    bare = not study.dataset.snapshot("train").item_categories
    usable = [one for one in targets if one != "columns" or not bare]
    notes = () if len(usable) == len(targets) else ("columns: products have no categories",)
    points: list[Point] = []
    used = {}
    for form, config in forms.items():
        # a form without them has none to weigh
        config = changed(config, {"model.pseudo": True, "model.text": True})
        options = [
            {"model.pseudo_target": target, "lambda_pseudo": float(weight), "seed": seed}
            for target in usable
            for weight in lambdas
            for seed in range(config.seed, config.seed + seeds)
        ]
        trials, used[form] = try_configs(study, f"pseudo-{form}", config, options, windows)
        reached: dict[tuple[str, float], list[float]] = {}
        for one in trials:
            key = (one.options["model.pseudo_target"], one.options["lambda_pseudo"])
            reached.setdefault(key, []).append(one.ndcg)
        points += [
            Point(form, target, weight, tuple(values))
            for (target, weight), values in reached.items()
        ]
    dataset = study.dataset
    return Sweep(name_of(dataset), dataset.hash, tuple(points), used, notes)
