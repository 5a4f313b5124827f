"""The rank of every target in the full ranking of its user, within bounded memory and unsorted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.evaluation.metrics import UNRANKED
from finrec_dgl.evaluation.scores import Scorer, Scoring, columns_of

if TYPE_CHECKING:
    from finrec_dgl.dataset import Pairs
    from finrec_dgl.kernels.ranking import Lists

MEMORY = 64 * 2**20  # bytes that one chunk of scores and its copy may take


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
    from finrec_dgl.kernels.ranking import Lists, count_above

    n_items = candidates.shape[1]
    _check_items(targets, n_items, "target")
    _check_items(held, n_items, "held")
    if batch is not None and batch < 1:
        raise UsageError(f"batch is {batch}", expected="a whole number of at least 1")

    users, owner = np.unique(targets.user, return_inverse=True)
    ranks = np.full((len(candidates), len(owner)), UNRANKED, dtype=np.int64)
    parts = _Parts.of(candidates)
    scoring = Scoring(scorer, parts.columns, n_items, memory=memory, beside=4, batch=batch)
    start = 0
    with progress.task("ranking", total=len(users), unit="users") as task:
        for chunk, scores in scoring.chunks(users):
            mine = slice(*np.searchsorted(owner, (start, start + len(chunk))))
            held_here = columns_of(held, chunk, parts.column)
            row, column = owner[mine] - start, parts.column[targets.item[mine]]
            open_ = np.flatnonzero((column >= 0) & ~_among(held_here, row, column))
            row, column = row[open_], column[open_]
            at = np.searchsorted(row, np.arange(len(chunk) + 1))
            asked = Lists(at, column.astype(np.int32))
            above = count_above(scores, held_here, asked, parts.first, parts.borders(column))
            if above is None:
                scoring.refuse(scores)
            # a set's columns are those of its parts
            ranked = 1 + parts.inside.astype(np.int64) @ above
            there = parts.inside[:, parts.part[column]]
            ranks[:, np.arange(mine.start, mine.stop)[open_]] = np.where(there, ranked, UNRANKED)
            start += len(chunk)
            task.advance(len(chunk))
    return [Ranking(users.astype(np.int32), owner.astype(np.int64), one) for one in ranks]


@dataclass(frozen=True, eq=False)
class _Parts:
    """The candidates of several sets, by which of the sets they are in, each part in tie order.

    ``columns`` int64 [C]: the items; ``place`` int64 [C]: where each stands in the tie order;
    ``part`` int64 [C]; ``first`` int32 [parts + 1]: where each part's columns begin; ``inside``
    bool [sets, parts]; ``column`` int64 [n_items]: the column of each item, -1 none.
    """

    columns: np.ndarray
    place: np.ndarray
    part: np.ndarray
    first: np.ndarray
    inside: np.ndarray
    column: np.ndarray

    @classmethod
    def of(cls, candidates: np.ndarray) -> _Parts:
        """``candidates`` bool [sets, n_items]."""
        n_items = candidates.shape[1]
        order = tie_order(n_items)
        place = np.flatnonzero(candidates[:, order].any(axis=0))
        inside, part = np.unique(candidates[:, order[place]], axis=1, return_inverse=True)
        by_part = np.argsort(part.ravel(), kind="stable")
        place, part = place[by_part], part.ravel()[by_part]
        columns = order[place]
        column = np.full(n_items, -1, dtype=np.int64)
        column[columns] = np.arange(len(columns))
        first = np.searchsorted(part, np.arange(inside.shape[1] + 1)).astype(np.int32)
        return cls(columns, place, part, first, inside, column)

    def borders(self, column: np.ndarray) -> np.ndarray:
        """int32 [parts, n]: before which column of a part an equal score goes before ``column``."""
        place = self.place[column]
        found = [
            start + np.searchsorted(self.place[start:stop], place)
            for start, stop in pairwise(self.first.tolist())
        ]
        return np.asarray(found, dtype=np.int32).reshape(len(found), len(column))


def _among(lists: Lists, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """bool [n]: whether ``column`` is in the list of ``row``; lists rise."""
    width = 1 + max(int(lists.values.max(initial=0)), int(column.max(initial=0)))
    keys = lists.owner * width + lists.values
    asked = row * width + column
    found = np.searchsorted(keys, asked)
    inside = found < len(keys)
    inside[inside] = keys[found[inside]] == asked[inside]
    return inside


def tie_order(n_items: int) -> np.ndarray:
    """int64 [n_items]: the items in the order in which equal scores rank, best first.

    Drawn once for a number of items, the same for all scorers and users. The order of ids would be
    no neutral one: ids may be dates of launch, or names that go by kind.
    """
    return np.random.default_rng(0).permutation(n_items)


def _check_items(pairs: Pairs, n_items: int, what: str) -> None:
    if len(pairs.item) and (pairs.item.min() < 0 or pairs.item.max() >= n_items):
        raise DataError(
            f"a {what} pair names an item out of range", expected=f"items from 0 to {n_items - 1}"
        )
