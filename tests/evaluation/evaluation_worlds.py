"""Small stand-ins for the dataset's interface, and brute-force rankings to check against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finrec_dgl.base.errors import DataError
from finrec_dgl.dataset.snapshot import Pairs
from finrec_dgl.evaluation.ranking import tie_order


def pairs_of(mask: np.ndarray) -> Pairs:
    """The pairs where ``mask`` bool [users, items] is set."""
    user, item = np.nonzero(mask)
    return Pairs(user.astype(np.int32), item.astype(np.int32))


class TableScorer:
    """Scores from a table; records the sizes of the chunks it was asked for."""

    name = "table"

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores
        self.asked: list[int] = []

    def score(self, users: np.ndarray) -> np.ndarray:
        self.asked.append(len(users))
        return self.scores[users]


@dataclass(frozen=True)
class FakeSnapshot:
    pairs: Pairs


class FakeDataset:
    """One base and one target mask a split; every item a candidate unless told.

    ``cold``: the side that has held-out nodes and their mask, the same for both splits.
    """

    def __init__(self, base, targets, candidates=None, cold=(None, None)) -> None:
        self.cold_side, self._cold = cold
        self._base = {"train": base["valid"], "fit": base["test"]}
        self._targets = targets
        self._candidates = candidates
        self.n_users, self.n_items = base["test"].shape

    def snapshot(self, stage: str) -> FakeSnapshot:
        return FakeSnapshot(pairs_of(self._base[stage]))

    def targets(self, split: str) -> Pairs:
        return pairs_of(self._targets[split])

    def candidates(self, split: str) -> np.ndarray:
        if self._candidates is None:
            return np.ones(self.n_items, dtype=bool)
        return self._candidates[split]

    def cold(self, split: str) -> np.ndarray:
        if self.cold_side is None:
            raise DataError("no items or users are held out in this data set")
        return self._cold


def brute_order(scores: np.ndarray, allowed: np.ndarray) -> list[int]:
    """The items of one user from best to worst, equal scores in tie order."""
    items = [item for item in tie_order(len(scores)).tolist() if allowed[item]]
    return sorted(items, key=lambda item: -float(scores[item]))
