"""The rank of every target in the full ranking of its user, within bounded memory and unsorted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from finrec_dgl.base.errors import DataError, TrainingError, UsageError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.evaluation.metrics import UNRANKED

if TYPE_CHECKING:
    from finrec_dgl.dataset import Pairs

MEMORY = 64 * 2**20  # bytes that one chunk of scores and its copy may take


class Scorer(Protocol):
    """Anything that can score every item for a user: a baseline, a trained model, a service."""

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, n_items], the higher the better, finite at every candidate."""


@dataclass(frozen=True)
class Ranking:
    """Where each target stands.

    ``users`` int32 [n]: those with at least one target, ascending. ``owner`` int64 [T]: the row of
    ``users`` that each target belongs to. ``ranks`` int64 [T]: 1 for the best candidate, UNRANKED
    for a target that is no candidate or that its user already holds.
    """

    users: np.ndarray
    owner: np.ndarray
    ranks: np.ndarray

    @property
    def unreachable(self) -> int:
        """How many targets no ranking could hold."""
        return int(np.count_nonzero(self.ranks == UNRANKED))


def rank_targets(
    scorer: Scorer,
    targets: Pairs,
    held: Pairs,
    candidates: np.ndarray,
    *,
    batch: int | None = None,
    memory: int = MEMORY,
    progress: Progress = SILENT,
) -> Ranking:
    """Rank the ``targets`` of every user among all ``candidates`` less what the user holds.

    ``candidates`` is bool [n_items]; ``held`` are the pairs the scorer was fitted on. The rank of a
    target is 1 + the number of ranked items with a greater score + those of equal score that come
    before it in ``tie_order``, counted, not sorted, so it is exact for any rank. A target outside
    the ranking (no candidate, or already held) is UNRANKED: it counts as relevant and is never
    found.

    Users go to the scorer in ascending order, ``batch`` at a time; None: as many as keep the
    scores of one chunk and their copy within ``memory`` bytes (at least one user).

    Raises TrainingError where the scorer returns another shape than [B, n_items], no floats, or
    anything but finite numbers at a candidate; DataError where an index is out of range.
    """
    candidates = np.asarray(candidates)
    if candidates.dtype != np.bool_ or candidates.ndim != 1:
        raise UsageError(
            f"candidates are {candidates.dtype} {candidates.shape}", expected="bool [n_items]"
        )
    return rank_among(
        scorer, targets, held, candidates[None], batch=batch, memory=memory, progress=progress
    )[0]


def rank_among(
    scorer: Scorer,
    targets: Pairs,
    held: Pairs,
    candidates: np.ndarray,
    *,
    batch: int | None = None,
    memory: int = MEMORY,
    progress: Progress = SILENT,
) -> list[Ranking]:
    """``rank_targets`` among each of several sets of candidates, bool [sets, n_items].

    Scores are asked for once; they must be finite at the candidates of any set.
    """
    n_items = candidates.shape[1]
    _check_items(targets, n_items, "target")
    _check_items(held, n_items, "held")
    if batch is not None and batch < 1:
        raise UsageError(f"batch is {batch}", expected="a whole number of at least 1")

    users, owner = np.unique(targets.user, return_inverse=True)
    ranks = np.full((len(candidates), len(owner)), UNRANKED, dtype=np.int64)
    order = tie_order(n_items)
    columns = order[candidates[:, order].any(axis=0)]
    inside = candidates[:, columns]
    column_of = np.full(n_items, -1, dtype=np.int64)
    column_of[columns] = np.arange(len(columns))
    rows = batch or max(1, memory // max(1, 4 * (n_items + len(columns))))

    with progress.task("ranking", total=len(users), unit="users") as task:
        for start in range(0, len(users), rows):
            chunk = users[start : start + rows]
            scores = _candidate_scores(scorer, chunk, columns, n_items)
            for row, pair in _ranges(held.user, chunk):
                taken = column_of[held.item[pair]]
                scores[row, taken[taken >= 0]] = -np.inf
            for row, pair in _ranges(targets.user, chunk):
                columns_here = column_of[targets.item[pair]]
                for one, among in enumerate(inside):
                    kept = scores[row] if among.all() else np.where(among, scores[row], -np.inf)
                    ranks[one, pair] = _ranks_in_row(kept, columns_here)
            task.advance(len(chunk))
    return [Ranking(users.astype(np.int32), owner.astype(np.int64), one) for one in ranks]


def tie_order(n_items: int) -> np.ndarray:
    """int64 [n_items]: the items in the order in which equal scores rank, best first.

    Drawn once for a number of items, the same for all scorers and users. The order of ids would be
    no neutral one: ids may be dates of launch, or names that go by kind.
    """
    return np.random.default_rng(0).permutation(n_items)


def _candidate_scores(
    scorer: Scorer, users: np.ndarray, columns: np.ndarray, n_items: int
) -> np.ndarray:
    """The scores at the candidates ``columns`` only, a copy of our own; [B, len(columns)]."""
    name = getattr(scorer, "name", type(scorer).__name__)
    scores = np.asarray(scorer.score(users))
    if scores.shape != (len(users), n_items) or scores.dtype.kind != "f":
        raise TrainingError(
            f"the scorer {name} returned {scores.dtype} {scores.shape}",
            expected=f"float32 {(len(users), n_items)}: a row a user, a column an item",
        )
    chosen = scores[:, columns]
    finite = np.isfinite(chosen)
    if not finite.all():
        raise TrainingError(
            f"the scorer {name} gave {int(np.count_nonzero(~finite))} scores that are not finite",
            expected="a finite number for every candidate",
            where=f"{int(np.count_nonzero(~finite.all(axis=1)))} of {len(users)} users in a chunk",
            mend="a model that diverged gives these: lower its learning rate or clip its gradients",
        )
    return np.asarray(chosen)


def _ranks_in_row(row: np.ndarray, targets: np.ndarray) -> list[int]:
    """The rank of each target column of one user's scores, which hold -inf where already held."""
    ranks = []
    for target in targets.tolist():
        if target < 0 or row[target] == -np.inf:
            ranks.append(UNRANKED)
            continue
        # columns are in tie order: an equal score goes first only where it comes earlier
        before = np.count_nonzero(row[:target] >= row[target])
        after = np.count_nonzero(row[target + 1 :] > row[target])
        ranks.append(1 + int(before) + int(after))
    return ranks


def _ranges(owner: np.ndarray, users: np.ndarray) -> Iterator[tuple[int, slice]]:
    """The row of each of ``users`` with its slice of the pairs, which are sorted by user."""
    first = np.searchsorted(owner, users, side="left").tolist()
    last = np.searchsorted(owner, users, side="right").tolist()
    for row, (start, stop) in enumerate(zip(first, last, strict=True)):
        if stop > start:
            yield row, slice(start, stop)


def _check_items(pairs: Pairs, n_items: int, what: str) -> None:
    if len(pairs.item) and (pairs.item.min() < 0 or pairs.item.max() >= n_items):
        raise DataError(
            f"a {what} pair names an item out of range", expected=f"items from 0 to {n_items - 1}"
        )
