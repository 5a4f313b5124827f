"""Every baseline by name with the grid it is tuned on, so that all are tuned alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.content import Content
from finrec_dgl.baselines.itemknn import ItemKNN
from finrec_dgl.baselines.popularity import Popularity
from finrec_dgl.baselines.textonly import TextOnly
from finrec_dgl.evaluation import evaluate

if TYPE_CHECKING:
    from finrec_dgl.dataset import Dataset

METRIC = "ndcg@10"


@dataclass(frozen=True)
class Baseline:
    """How to make one baseline, and the values that each of its options is tried with."""

    name: str
    make: Callable[..., Recommender]
    grid: Mapping[str, tuple[Any, ...]]

    def options(self) -> list[dict[str, Any]]:
        """Every combination of the grid, the last option varying fastest; one where it is empty."""
        return [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]


@dataclass(frozen=True)
class Trial:
    """One combination of options and the validation NDCG@10 it reached."""

    options: Mapping[str, Any]
    ndcg: float


@dataclass(frozen=True)
class Tuned:
    """What tuning chose: ``recommender`` is refitted on everything before the cut."""

    recommender: Recommender
    chosen: Trial
    trials: tuple[Trial, ...]


BASELINES: Mapping[str, Baseline] = {
    one.name: one
    for one in (
        Baseline("popularity", Popularity, {}),
        Baseline("popularity-recent", Popularity, {"days": (7, 14, 30, 60, 90, 180)}),
        Baseline(
            "itemknn",
            ItemKNN,
            {
                "user_weight": (0.0, 0.5),
                "alpha": (0.5, 0.7, 0.9),
                "shrink": (0.0, 10.0, 100.0),
                "neighbours": (50, 200, None),
            },
        ),
        Baseline("text", TextOnly, {}),
        Baseline("content", Content, {"neighbours": (1, 5, 20, None), "posts": (False, True)}),
    )
}


def tune(name: str, dataset: Dataset, *, group: str = "all", progress: Progress = SILENT) -> Tuned:
    """Try the grid of the baseline ``name`` on validation, and refit the best.

    Each combination is fitted on the "train" snapshot and evaluated on "valid" (``group`` as
    ``evaluate`` takes it); the highest NDCG@10 wins, the first of equals. The winner is made anew
    and fitted on the "fit" snapshot. The test split is never looked at. Raises ConfigError for an
    unknown name, DataError where the dataset lacks what the baseline needs.
    """
    refuse(choice("baseline", name, tuple(BASELINES)), where="baseline")
    baseline = BASELINES[name]
    train = dataset.snapshot("train")
    trials = []
    grid = baseline.options()
    with progress.task(f"tuning {name}", total=len(grid), unit="trials") as task:
        for options in grid:
            scorer = baseline.make(**options).fit(train)
            found = evaluate(scorer, dataset, "valid", group=group)
            trials.append(Trial(options, found.metrics[METRIC]))
            task.advance(ndcg=round(trials[-1].ndcg, 4))
    chosen = max(trials, key=lambda trial: trial.ndcg)
    refitted = baseline.make(**chosen.options).fit(dataset.snapshot("fit"))
    return Tuned(refitted, chosen, tuple(trials))
