"""Tunes every model within one budget of trials, on the same windows before the cut."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from finrec_dgl.base.config import from_mapping, refuse, suggest, to_mapping
from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.base.progress import Progress
from finrec_dgl.baselines.registry import BASELINES, combinations
from finrec_dgl.baselines.tuning import (
    Trial,
    best_of,
    choose,
    try_options,
    within_budget,
)
from finrec_dgl.benchmarking.jobs import (
    VALID,
    Job,
    Made,
    Measured,
    Study,
    Unavailable,
    refuse_textless,
    remove,
    settings_of,
)
from finrec_dgl.benchmarking.table import REFERENCE
from finrec_dgl.dataset import Dataset
from finrec_dgl.dataset.windows import Window, windows
from finrec_dgl.evaluation import window_ndcg
from finrec_dgl.training import TrainConfig, train
from finrec_dgl.training.learner import fit

HYBRID_GRID: Mapping[str, Sequence[Any]] = {
    "lambda_start": (1e-3, 1e-2),
    "model.stream_one": (True, False),
    "model.pair.text_channels": (False, True),
}
"""What is tried of the hybrid with the pair readout, beside its configuration as given."""

TEXT_GRID: Mapping[str, Sequence[Any]] = {"lambda_start": (1e-3, 1e-2)}
"""The same without a graph, and so without streams to choose from."""

PLAIN_GRID: Mapping[str, Sequence[Any]] = {"lr": (1e-4, 1e-3)}
"""What is tried of a model with the tower readout."""

GNN_GRID: Mapping[str, Sequence[Any]] = {"lr": (1e-4, 1e-3), "loss": ("softmax", "bpr")}
"""What is tried of graph attention without text."""

TRAINED: Mapping[str, Mapping[str, Any]] = {
    REFERENCE: {},
    "hybrid-text": {"model.graph": False},
    "hybrid-graph": {"model.text": False},
    "paper": {},
    "gnn": {"model.text": False, "model.stream_two": False},
}
"""What is trained: name -> switches of its configuration.

``paper`` and ``gnn`` are of the plain form (``plain_form``), the others of the configuration given.
"""

PARTS = ("text", "graph", "pseudo", "social", "stream_one", "stream_two")
"""The switches of the model's parts."""


@dataclass(frozen=True)
class Tuning:
    """What every model is granted. Raises ConfigError for values below 1.

    ``budget``: trials a model; ``windows``: before the cut, the latest is the validation part;
    ``grid``: configuration key -> values, in place of the grids of this module for all that is
    trained; empty: only as configured; ``epochs``: at most, in the paper's form (None: its own).
    """

    budget: int = 12
    windows: int = 3
    grid: Mapping[str, Sequence[Any]] | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        refuse(
            [
                f"{name} is {getattr(self, name)}, expected at least 1"
                for name in ("budget", "windows")
                if getattr(self, name) < 1
            ],
            where="tuning",
        )


@dataclass(frozen=True)
class Choice:
    """What tuning chose: ``ndcg`` on ``windows`` windows after ``tried`` trials.

    None and 0 where there was one option only, which needs no trial.
    """

    options: Mapping[str, Any]
    ndcg: float | None
    tried: int
    windows: int
    group: str = "all"

    def to_mapping(self, budget: int) -> dict[str, Any]:
        """The same for machines."""
        return {
            "options": dict(self.options),
            VALID: self.ndcg,
            "tried": self.tried,
            "budget": budget,
            "windows": self.windows,
            "group": self.group,
        }


def plain_form(config: TrainConfig, epochs: int | None = None) -> TrainConfig:
    """The paper's form with every part on: of ``config`` where that has the tower readout,
    else the plain defaults with its seed. ``epochs``: at most so many, stopping early."""
    if config.model.readout != "tower" or config.windowed:
        config = TrainConfig.plain(seed=config.seed)
    if epochs is not None:
        config = replace(config, epochs=epochs, average=0)
    return changed(config, {f"model.{part}": True for part in PARTS})


def config_of(name: str, config: TrainConfig, epochs: int | None = None) -> TrainConfig:
    """The configuration of the model ``name`` of ``TRAINED``, before tuning.

    ``epochs``: as ``plain_form`` takes them, for the models of that form.
    """
    base = plain_form(config, epochs) if name in ("paper", "gnn") else config
    return changed(base, TRAINED[name])


def grid_of(name: str, config: TrainConfig) -> Mapping[str, Sequence[Any]]:
    """What is tried of the model ``name``, whose configuration is ``config``."""
    if name == "gnn":
        return GNN_GRID
    if config.model.readout == "tower":
        return PLAIN_GRID
    return HYBRID_GRID if config.model.graph else TEXT_GRID


def changed(config: TrainConfig, options: Mapping[str, Any]) -> TrainConfig:
    """``config`` with the dotted keys of ``options``. Raises ConfigError for those it lacks."""
    mapping = to_mapping(config)
    for key, value in options.items():
        table, last = _place(mapping, key)
        table[last] = value
    return from_mapping(TrainConfig, mapping, where="grid")


def _place(mapping: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    *parents, last = key.split(".")
    table: Any = mapping
    for parent in parents:
        table = table.get(parent) if isinstance(table, dict) else None
    if not isinstance(table, dict) or last not in table:
        known = [*mapping, *(f"model.{one}" for one in mapping["model"])]
        refuse([f"unknown key '{key}'{suggest(key, known)}"], where="grid")
    return table, last


def candidates(
    config: TrainConfig, grid: Mapping[str, Sequence[Any]], strict: bool
) -> list[dict[str, Any]]:
    """The options of ``config`` itself, then every other combination of ``grid``.

    One that makes no valid configuration is left out; with ``strict`` it raises ConfigError.
    """
    mapping = to_mapping(config)
    own = {key: _place(mapping, key)[0][_place(mapping, key)[1]] for key in grid}
    found = [own]
    for one in combinations(grid):
        try:
            changed(config, one)
        except ConfigError:
            if strict:
                raise
            continue
        if one not in found:
            found.append(one)
    return found


def measure_baseline(
    study: Study, name: str, seeds: int, first_seed: int, tuning: Tuning, group: str = "all"
) -> Measured:
    """Tune the baseline ``name`` with its first seed, and measure the choice with every seed.

    Raises Unavailable where the data set lacks what it needs.
    """
    baseline, dataset = BASELINES[name], study.dataset
    grid = {key: list(values) for key, values in baseline.grid.items()}
    known = study.trials(name, grid, tuning.windows, group, first_seed)
    asked = study.windows(tuning.windows, group)
    try:
        trials = choose(
            name,
            asked,
            first_seed,
            budget=tuning.budget,
            known=known,
            progress=study.progress,
        )
    except DataError as error:
        # both splits have targets: it is the baseline that cannot be fitted
        raise Unavailable(error.found) from error
    best = best_of(trials)
    choice = Choice(best.options, best.ndcg, len(trials), len(asked), group)
    drawn = range(first_seed, first_seed + seeds) if baseline.seeded else (None,)
    results = []
    for seed in drawn:

        def make(seed: int | None = seed) -> Made:
            scorer = baseline.made(best.options, seed or 0).fit(dataset.snapshot("fit"))
            return Made(scorer, best.options)

        results.append(study.measure(Job(name, seed, {"options": dict(best.options)}), make))
    return Measured(results, choice.to_mapping(tuning.budget))


def measure_trained(
    study: Study, name: str, seeds: int, config: TrainConfig, tuning: Tuning
) -> Measured:
    """Tune the model ``name`` of ``TRAINED`` with its first seed, and measure it with every seed.

    Raises Unavailable where the data set lacks what it needs.
    """
    base = config_of(name, config, tuning.epochs)
    refuse_textless(study.dataset, base)
    grid = grid_of(name, base) if tuning.grid is None else tuning.grid
    options = candidates(base, grid, strict=tuning.grid is not None)
    options = within_budget(options, tuning.budget, options[0], config.seed)
    if len(options) == 1:
        choice = Choice(options[0], None, 0, 0)
    else:
        trials, used = try_configs(study, name, base, options, tuning.windows)
        best = best_of(trials)
        choice = Choice(best.options, best.ndcg, len(trials), used)
    results = study.configured(name, changed(base, choice.options), seeds)
    return Measured(results, choice.to_mapping(tuning.budget))


def try_configs(
    study: Study,
    name: str,
    config: TrainConfig,
    options: Sequence[Mapping[str, Any]],
    windows: int,
) -> tuple[list[Trial], int]:
    """A trial of ``config`` with each of ``options``, and the number of windows that counted."""
    known = study.trials(name, settings_of(config), windows)
    used = usable_windows(study, config, windows)

    def measure(one: Mapping[str, Any]) -> float:
        place = study.scratch(name, settings_of(config), json.dumps(one, sort_keys=True))
        return valid_ndcg(study.dataset, changed(config, one), used, place, study.progress)

    with study.progress.task(f"tuning {name}", total=len(options), unit="trials") as task:
        return try_options(options, measure, task, known), len(used)


def usable_windows(study: Study, config: TrainConfig, count: int) -> list[Window]:
    """The windows that ``config`` is tuned on.

    All of them where it trains for a fixed number of epochs (``config.average``); the validation
    part alone where that stops it. Back-testing needs earlier windows still: those that have none
    are left out.
    """
    if not config.average:
        return study.windows()
    first, *rest = study.windows(count)
    if config.loss == "backtest":
        how = (config.windows, config.window_step, config.warm_up)
        rest = [one for one in rest if windows(study.dataset, one.start or 0, *how)]
    return [first, *rest]


def valid_ndcg(
    dataset: Dataset, config: TrainConfig, used: Sequence[Window], scratch: Path, progress: Progress
) -> float:
    """The validation NDCG@10 of ``config``: the mean over ``used``, or the best epoch's.

    ``scratch``: a folder for training with early stopping, which goes on there after a cut.
    """
    if config.average:
        return fmean(window_ndcg(fit(dataset, one.snapshot, config), one) for one in used)
    own = replace(config, refit=False)
    reached = float(train(dataset, scratch, own, progress=progress, resume=True).info[VALID])
    remove(scratch)
    return reached
