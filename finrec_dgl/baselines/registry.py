"""Every baseline by name with the grid it is tuned on, so that all are tuned alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.content import Content
from finrec_dgl.baselines.ease import EASE
from finrec_dgl.baselines.factors import ALS, BPR
from finrec_dgl.baselines.itemknn import ItemKNN
from finrec_dgl.baselines.lightgcn import LightGCN
from finrec_dgl.baselines.popularity import Popularity
from finrec_dgl.baselines.textonly import TextOnly
from finrec_dgl.baselines.userknn import UserKNN
from finrec_dgl.dataset.windows import validation_windows
from finrec_dgl.evaluation import window_ndcg

if TYPE_CHECKING:
    from finrec_dgl.dataset import Dataset


@dataclass(frozen=True)
class Baseline:
    """How to make one baseline, and the values that each of its options is tried with.

    ``seeded``: it draws at random, and ``make`` takes a ``seed`` besides the options of the grid.
    """

    name: str
    make: Callable[..., Recommender]
    grid: Mapping[str, tuple[Any, ...]]
    seeded: bool = False

    def options(self) -> list[dict[str, Any]]:
        """Every combination of the grid, the last option varying fastest; one where it is empty."""
        return [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]


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
        Baseline(
            "userknn",
            UserKNN,
            {
                "item_weight": (0.0, 0.5, 1.0),
                "alpha": (0.5, 0.7),
                "shrink": (1.0, 10.0),
                "neighbours": (50, 200, None),
            },
        ),
        Baseline("ease", EASE, {"l2": (100.0, 300.0, 1000.0, 3000.0, 10000.0, 30000.0)}),
        Baseline(
            "als",
            ALS,
            {"factors": (16, 64), "confidence": (1.0, 5.0), "l2": (10.0, 30.0, 100.0, 300.0)},
            seeded=True,
        ),
        Baseline(
            "bpr",
            BPR,
            {"l2": (0.01, 0.03, 0.1), "rate": (0.005, 0.01, 0.02), "epochs": (50, 100, 200)},
            seeded=True,
        ),
        Baseline("lightgcn", LightGCN, {"epochs": (10, 20, 40, 80)}, seeded=True),
        Baseline("text", TextOnly, {}),
        Baseline("content", Content, {"neighbours": (1, 5, 20, None), "posts": (False, True)}),
    )
}


def tune(
    name: str,
    dataset: Dataset,
    seed: int = 0,
    *,
    windows: int = 1,
    group: str = "all",
    progress: Progress = SILENT,
) -> Tuned:
    """Try the grid of the baseline ``name`` on validation, and refit the best.

    Each combination is fitted on the snapshot of each of ``dataset.windows.validation_windows``;
    the highest mean NDCG@10 of ``group`` wins, the first of equals. The winner is made anew and
    fitted on the "fit" snapshot. One that draws at random does so by ``seed`` in all of this. The
    test split is never looked at. Raises ConfigError for an unknown name, DataError where the
    dataset lacks what the baseline needs.
    """
    refuse(choice("baseline", name, tuple(BASELINES)), where="baseline")
    baseline = BASELINES[name]
    drawn = {"seed": seed} if baseline.seeded else {}
    asked = validation_windows(dataset, windows, group)
    trials = []
    grid = baseline.options()
    with progress.task(f"tuning {name}", total=len(grid), unit="trials") as task:
        for options in grid:
            reached = [
                window_ndcg(baseline.make(**options, **drawn).fit(window.snapshot), window)
                for window in asked
            ]
            trials.append(Trial(options, fmean(reached)))
            task.advance(ndcg=round(trials[-1].ndcg, 4))
    chosen = max(trials, key=lambda trial: trial.ndcg)
    refitted = baseline.make(**chosen.options, **drawn).fit(dataset.snapshot("fit"))
    return Tuned(refitted, chosen, tuple(trials))
