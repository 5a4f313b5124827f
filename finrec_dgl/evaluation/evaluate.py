"""Evaluate a scorer on a dataset: every metric of every user, their means and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.evaluation.metrics import check_cutoffs, ranking_metrics
from finrec_dgl.evaluation.ranking import Scorer, rank_targets

if TYPE_CHECKING:
    from finrec_dgl.dataset import Dataset

# the split -> what its scorer may have been fitted on, so what a user already holds
BASE_STAGE = {"valid": "train", "test": "fit"}
Z95 = 1.959963984540054  # the 97.5% point of the standard normal distribution


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95% interval of the mean of ``values`` [n] by the normal approximation.

    mean +- 1.96 s / sqrt(n), with s the sample standard deviation (ddof 1). It speaks of other
    users drawn from the same population, not of other seeds or other periods. One value says
    nothing of its spread: (-inf, inf).
    """
    if len(values) < 2:
        return -np.inf, np.inf
    half = Z95 * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    mean = float(values.mean())
    return mean - half, mean + half


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    ``users`` int32 [n]: those with at least one target, ascending; ``per_user``: metric name such
    as "ndcg@10" -> float64 [n] in the same order. ``targets`` counts the relevant items and
    ``unreachable`` those among them that no ranking could hold (no candidate, or already held);
    they count against every scorer alike. Raises DataError where the arrays do not fit.
    """

    split: str
    k: tuple[int, ...]
    users: np.ndarray
    per_user: Mapping[str, np.ndarray]
    targets: int
    unreachable: int = 0

    def __post_init__(self) -> None:
        if len(self.users) == 0:
            raise DataError("an evaluation needs at least one user")
        short = [name for name, one in self.per_user.items() if one.shape != self.users.shape]
        if short:
            raise DataError(
                f"{', '.join(short)} differ in shape from the users",
                expected=f"{self.users.shape}",
            )

    @property
    def metrics(self) -> dict[str, float]:
        """The mean over users of every metric."""
        return {name: float(values.mean()) for name, values in self.per_user.items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95% interval of every mean over users (``mean_interval``), kept within [0, 1]."""
        bounds = {name: mean_interval(values) for name, values in self.per_user.items()}
        return {name: (max(0.0, low), min(1.0, high)) for name, (low, high) in bounds.items()}

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines: plain numbers and lists, without the values of single users."""
        return {
            "split": self.split,
            "k": list(self.k),
            "users": len(self.users),
            "targets": self.targets,
            "unreachable": self.unreachable,
            "metrics": self.metrics,
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
        }


def evaluate(
    scorer: Scorer,
    dataset: Dataset,
    split: str = "test",
    *,
    k: Sequence[int] = (10,),
    batch: int | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Rank every candidate for every user that has a target in ``split``, and measure.

    Full ranking, never sampled: the candidates of the split less the pairs that the user holds in
    the snapshot the scorer may know ("train" for "valid", "fit" for "test"), ties broken by item
    index. ``k``: cutoffs of hit, precision, recall and ndcg; mrr is over the whole ranking.
    ``batch``: users a call to the scorer; None: as many as fit ``ranking.MEMORY``.

    Raises UsageError for an unknown split or a cutoff below 1, DataError where the split has no
    targets, TrainingError where the scorer gives scores that are not finite or of another shape.
    """
    if split not in BASE_STAGE:
        raise UsageError(f"the split is '{split}'", expected=" or ".join(BASE_STAGE))
    cutoffs = check_cutoffs(k)
    targets = dataset.targets(split)
    if len(targets.user) == 0:
        raise DataError(
            f"the {split} split has no targets: there is nothing to measure",
            expected="at least one user with a new interaction in it",
            mend="choose another cut when the dataset is made",
        )
    held = dataset.snapshot(BASE_STAGE[split]).pairs
    ranking = rank_targets(
        scorer, targets, held, dataset.candidates(split), batch=batch, progress=progress
    )
    return Evaluation(
        split=split,
        k=cutoffs,
        users=ranking.users,
        per_user=ranking_metrics(ranking.ranks, ranking.owner, len(ranking.users), cutoffs),
        targets=len(ranking.ranks),
        unreachable=ranking.unreachable,
    )
