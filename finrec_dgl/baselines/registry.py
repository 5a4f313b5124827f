"""Every baseline by name with the grid it is tuned on, so that all are tuned alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.chebycf import ChebyCF
from finrec_dgl.baselines.content import Content
from finrec_dgl.baselines.decayed import DecayedPopularity
from finrec_dgl.baselines.ease import EASE
from finrec_dgl.baselines.esasrec import ESASRec
from finrec_dgl.baselines.factors import ALS, BPR
from finrec_dgl.baselines.frequency import Frequency
from finrec_dgl.baselines.itemknn import ItemKNN
from finrec_dgl.baselines.l3ae import L3AE
from finrec_dgl.baselines.lightgcn import LightGCN
from finrec_dgl.baselines.popularity import Popularity
from finrec_dgl.baselines.slim import SLIM
from finrec_dgl.baselines.textonly import TextOnly
from finrec_dgl.baselines.userknn import UserKNN


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of ``grid``, the last option varying fastest; one where it is empty."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


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
        """Every combination of the grid, see ``combinations``."""
        return combinations(self.grid)

    def made(self, options: Mapping[str, Any], seed: int = 0) -> Recommender:
        """The baseline with ``options``, unfitted; ``seed`` counts where it draws at random."""
        return self.make(**options, **({"seed": seed} if self.seeded else {}))


_HALF_LIVES = (3.5, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0)  # days

BASELINES: Mapping[str, Baseline] = {
    one.name: one
    for one in (
        Baseline("popularity", Popularity, {}),
        Baseline("popularity-recent", Popularity, {"days": (7, 14, 30, 60, 90, 180)}),
        Baseline("popularity-decayed", DecayedPopularity, {"half_life": _HALF_LIVES}),
        Baseline("frequency", Frequency, {"half_life": _HALF_LIVES}),
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
            "slim",
            SLIM,
            {"l1_reg": (0.5, 2.0, 8.0), "l2_reg": (100.0, 1000.0, 3000.0, 10000.0)},
        ),
        Baseline(
            "l3ae",
            L3AE,
            {
                "reg": (300.0, 1000.0, 3000.0),
                "distill_reg": (100.0, 1000.0),
                "text_reg": (10.0, 100.0),
            },
        ),
        Baseline(
            "chebycf",
            ChebyCF,
            {
                "flatness": (1.0, 1.5, 10.0),
                "rank": (32, 256),
                "ideal_weight": (0.2, 0.5),
                "degree_power": (0.2, 0.5),
            },
        ),
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
        Baseline("lightgcn", LightGCN, {"epochs": (5, 10, 20, 40, 80)}, seeded=True),
        Baseline("esasrec", ESASRec, {"epochs": (5, 10, 20)}, seeded=True),
        Baseline("text", TextOnly, {}),
        Baseline("content", Content, {"neighbours": (1, 5, 20, None), "posts": (False, True)}),
    )
}
