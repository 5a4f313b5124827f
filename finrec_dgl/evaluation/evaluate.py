"""Evaluate a scorer on a dataset: every metric of every user, their means and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset.windows import GROUPS, Window, group_targets
from finrec_dgl.evaluation.metrics import check_cutoffs, ndcg, ranking_metrics
from finrec_dgl.evaluation.ranking import Ranking, rank_among, rank_targets
from finrec_dgl.evaluation.scores import Scorer

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
    group: str = "all",
    batch: int | None = None,
    at_most: int | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Rank every candidate for every user that has a target in ``split``, and measure.

    Full ranking, never sampled: the candidates of the split less the pairs that the user holds in
    the snapshot the scorer may know ("train" for "valid", "fit" for "test"), ties broken by
    ``ranking.tie_order``. ``k``: cutoffs of hit, precision, recall and ndcg; mrr is over the whole
    ranking.
    ``group``: ``warm`` or ``cold`` of a dataset that holds nodes out (``Dataset.cold``): candidates
    and targets are then the items of the group alone, or, where users are held out, users are.
    ``batch``: users a call to the scorer; None: as many as fit ``ranking.MEMORY``.
    ``at_most``: where more users have targets, so many of them, drawn alike for every scorer.

    Raises UsageError for an unknown split or group or a cutoff below 1, DataError where there are
    no targets or ``group`` asks for held-out nodes where there are none, TrainingError where the
    scorer gives scores that are not finite or of another shape.
    """
    found = _measure(scorer, dataset, split, (group,), k, batch, progress, at_most)
    return found[group]


def evaluate_groups(
    scorer: Scorer,
    dataset: Dataset,
    split: str = "test",
    *,
    k: Sequence[int] = (10,),
    batch: int | None = None,
    at_most: int | None = None,
    progress: Progress = SILENT,
) -> dict[str, Evaluation]:
    """``evaluate`` for every group that has targets, ``all`` first; scores are asked for once.

    A dataset that holds no nodes out has the group ``all`` alone. Raises as ``evaluate`` does.
    """
    groups = GROUPS if dataset.cold_side is not None else GROUPS[:1]
    return _measure(scorer, dataset, split, groups, k, batch, progress, at_most)


def _measure(
    scorer: Scorer,
    dataset: Dataset,
    split: str,
    groups: Sequence[str],
    k: Sequence[int],
    batch: int | None,
    progress: Progress,
    at_most: int | None,
) -> dict[str, Evaluation]:
    """The evaluation of each of ``groups`` that has targets; raises where none has."""
    if at_most is not None and at_most < 1:
        raise UsageError(f"at_most is {at_most}", expected="a whole number of at least 1")
    if split not in BASE_STAGE:
        raise UsageError(f"the split is '{split}'", expected=" or ".join(BASE_STAGE))
    cutoffs = check_cutoffs(k)
    targets = dataset.targets(split)
    drawn = _drawn(targets.user, at_most)
    targets = targets.where(drawn)
    parts = {name: group_targets(dataset, split, name) for name in groups}
    parts = {name: (items, asked[drawn]) for name, (items, asked) in parts.items()}
    parts = {name: part for name, part in parts.items() if part[1].any()}
    if not parts:
        which = "targets" if "all" in groups else f"{groups[0]} targets"
        raise DataError(
            f"the {split} split has no {which}: there is nothing to measure",
            expected="at least one user with a new interaction in it",
            mend="choose another cut when the dataset is made",
        )
    rankings = rank_among(
        scorer,
        targets,
        dataset.snapshot(BASE_STAGE[split]).pairs,
        np.stack([items for items, _ in parts.values()]),
        batch=batch,
        progress=progress,
    )
    found = {}
    for (name, (_, asked)), ranking in zip(parts.items(), rankings, strict=True):
        users, owner = np.unique(ranking.owner[asked], return_inverse=True)
        kept = Ranking(ranking.users[users], owner, ranking.ranks[asked])
        found[name] = Evaluation(
            split=split,
            k=cutoffs,
            users=kept.users,
            per_user=ranking_metrics(kept.ranks, kept.owner, len(users), cutoffs),
            targets=len(kept.ranks),
            unreachable=kept.unreachable,
        )
    return found


def _drawn(owner: np.ndarray, at_most: int | None) -> np.ndarray:
    """bool [targets]: those of ``at_most`` of the users ``owner``, the same each time."""
    users = np.flatnonzero(np.bincount(owner))
    if at_most is None or len(users) <= at_most:
        return np.ones(len(owner), bool)
    chosen = np.zeros(int(users[-1]) + 1, bool)
    chosen[np.random.default_rng(0).choice(users, at_most, replace=False)] = True
    return chosen[owner]


def window_ndcg(scorer: Scorer, window: Window, k: int = 10) -> float:
    """The mean NDCG@k of the users with targets in ``window``; ``scorer`` knows its snapshot."""
    found = rank_targets(scorer, window.targets, window.snapshot.pairs, window.candidates)
    return float(ndcg(found.ranks, found.owner, len(found.users), k).mean())
