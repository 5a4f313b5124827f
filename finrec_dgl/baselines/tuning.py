"""Chooses options by validation alone: the same windows, and as many trials, for every model."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.progress import SILENT, Progress, Task
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.registry import BASELINES, Baseline
from finrec_dgl.dataset.windows import Window, validation_windows
from finrec_dgl.evaluation import window_ndcg

if TYPE_CHECKING:
    from finrec_dgl.dataset import Dataset


@dataclass(frozen=True)
class Trial:
    """One combination of options and the validation NDCG@10 it reached, the mean over windows."""

    options: Mapping[str, Any]
    ndcg: float


@dataclass(frozen=True)
class Tuned:
    """What tuning chose: ``recommender`` is refitted on everything before the cut."""

    recommender: Recommender
    chosen: Trial
    trials: tuple[Trial, ...]


def within_budget(
    options: Sequence[dict[str, Any]], budget: int | None, default: dict[str, Any], seed: int = 0
) -> list[dict[str, Any]]:
    """At most ``budget`` of ``options``, in their order: ``default`` and a seeded draw of others.

    None: all of them. Raises ConfigError for a budget below 1.
    """
    if budget is not None and budget < 1:
        refuse([f"budget is {budget}, expected at least 1"], where="tuning")
    if budget is None or len(options) <= budget:
        return list(options)
    others = [number for number, one in enumerate(options) if one != default]
    count = budget - (len(others) < len(options))
    drawn = np.random.default_rng(seed).permutation(len(others))[:count]
    kept = {others[number] for number in drawn.tolist()}
    return [one for number, one in enumerate(options) if number in kept or one == default]


def default_options(baseline: Baseline) -> dict[str, Any]:
    """For each option of its grid the baseline's own default, where the grid has it, else the first
    value there."""
    own = inspect.signature(baseline.make).parameters
    return {
        name: own[name].default if name in own and own[name].default in values else values[0]
        for name, values in baseline.grid.items()
    }


def try_options(
    options: Sequence[Mapping[str, Any]],
    measure: Callable[[Mapping[str, Any]], float],
    task: Task,
    known: MutableMapping[str, float] | None = None,
) -> list[Trial]:
    """A trial of each of ``options``; ``known`` holds what was measured before, and takes more.

    Its keys are the options as JSON. A mapping that writes itself to disk makes tuning resumable.
    """
    known = {} if known is None else known
    trials = []
    for one in options:
        key = json.dumps(one, sort_keys=True)
        if key not in known:
            known[key] = measure(one)
        trials.append(Trial(one, known[key]))
        task.advance(1, ndcg=round(known[key], 4))
    return trials


def best_of(trials: Sequence[Trial]) -> Trial:
    """That of the highest NDCG@10, the first of equals."""
    return max(trials, key=lambda trial: trial.ndcg)


def choose(
    name: str,
    windows: Sequence[Window],
    seed: int = 0,
    *,
    budget: int | None = None,
    known: MutableMapping[str, float] | None = None,
    progress: Progress = SILENT,
) -> tuple[Trial, ...]:
    """The trials of the baseline ``name``; ``best_of`` them is the choice.

    Each combination of its grid, or ``budget`` of them, is fitted on the snapshot of each of
    ``windows``; what counts is the mean NDCG@10. One that draws at random does so by ``seed``.
    ``known``: as ``try_options`` takes it. Raises ConfigError for an unknown name, DataError where
    a snapshot lacks what the baseline needs.
    """
    refuse(choice("baseline", name, tuple(BASELINES)), where="baseline")
    baseline = BASELINES[name]
    options = within_budget(baseline.options(), budget, default_options(baseline))

    def measure(one: Mapping[str, Any]) -> float:
        return fmean(
            window_ndcg(baseline.made(one, seed).fit(window.snapshot), window) for window in windows
        )

    with progress.task(f"tuning {name}", total=len(options), unit="trials") as task:
        return tuple(try_options(options, measure, task, known))


def tune(
    name: str,
    dataset: Dataset,
    seed: int = 0,
    *,
    group: str = "all",
    windows: int = 1,
    progress: Progress = SILENT,
) -> Tuned:
    """Try the grid of the baseline ``name`` on ``validation_windows``, and refit the best on "fit".

    ``windows``: how many of them, for ``group``. The winner is made anew. The test split is never
    looked at. Raises as ``choose`` does.
    """
    trials = choose(name, validation_windows(dataset, windows, group), seed, progress=progress)
    chosen = best_of(trials)
    refitted = BASELINES[name].made(chosen.options, seed).fit(dataset.snapshot("fit"))
    return Tuned(refitted, chosen, trials)
