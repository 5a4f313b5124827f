"""Ranking metrics on plain arrays: from the ranks of each user's relevant items to one number each.

All take ``ranks`` int [T], the 1-based rank of every relevant item (a target) among the candidates
of its user, or UNRANKED where the ranking cannot hold it; ``owner`` int [T], the row 0..n_users-1
that each target belongs to; and ``n_users``. Every row owns at least one target. All return
float64 [n_users]. With R_u the ranks of user u's targets and |R_u| their number, UNRANKED included:

    hit@k       = 1 where some r in R_u is <= k, else 0
    precision@k = |{r in R_u : r <= k}| / k
    recall@k    = |{r in R_u : r <= k}| / |R_u|
    ndcg@k      = sum over r in R_u, r <= k of 1 / log2(1 + r)
                  / sum over j = 1 .. min(k, |R_u|) of 1 / log2(1 + j)
    mrr         = 1 / min R_u, the minimum over the full ranking (0 where no target is ranked)

NDCG has binary gains: Jarvelin and Kekalainen, ACM TOIS 20(4), 2002, with the discount log2(1 + r).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finrec_dgl.base.errors import DataError, UsageError

METRICS = ("hit", "precision", "recall", "ndcg", "mrr")
UNRANKED = 0  # the rank of a target that is no candidate, or that its user already holds


def check_cutoffs(k: Sequence[int]) -> tuple[int, ...]:
    """``k`` as a tuple of distinct whole numbers of at least 1, else UsageError."""
    cutoffs = tuple(k)
    whole = all(isinstance(one, (int, np.integer)) and one >= 1 for one in cutoffs)
    if not cutoffs or not whole or len(set(cutoffs)) < len(cutoffs):
        raise UsageError(
            f"k is {list(cutoffs)}", expected="one or more distinct whole numbers of at least 1"
        )
    return tuple(int(one) for one in cutoffs)


def hits(ranks: np.ndarray, owner: np.ndarray, n_users: int, k: int) -> np.ndarray:
    """How many of each user's targets are among the first ``k``; float64 [n_users]."""
    return np.bincount(owner[_within(ranks, k)], minlength=n_users).astype(np.float64)


def ndcg(ranks: np.ndarray, owner: np.ndarray, n_users: int, k: int) -> np.ndarray:
    """ndcg@k of each user (see the module); float64 [n_users]."""
    found = _within(ranks, k)
    gains = 1.0 / np.log2(1.0 + ranks[found])
    total = np.bincount(owner[found], weights=gains, minlength=n_users)
    relevant = np.bincount(owner, minlength=n_users)
    longest = int(min(k, relevant.max()))
    ideal = np.cumsum(1.0 / np.log2(1.0 + np.arange(1, longest + 1)))
    return np.asarray(total / ideal[np.minimum(relevant, k) - 1])


def reciprocal_rank(ranks: np.ndarray, owner: np.ndarray, n_users: int) -> np.ndarray:
    """1 / the rank of each user's first target, 0 where none is ranked; float64 [n_users]."""
    ranked = ranks != UNRANKED
    best = np.zeros(n_users, dtype=np.float64)
    np.maximum.at(best, owner[ranked], 1.0 / ranks[ranked])
    return best


def ranking_metrics(
    ranks: np.ndarray, owner: np.ndarray, n_users: int, k: Sequence[int] = (10,)
) -> dict[str, np.ndarray]:
    """Every metric of the module for every cutoff in ``k``: name such as "ndcg@10" -> [n_users].

    Raises UsageError for a cutoff that is no whole number of at least 1, and DataError where the
    arrays do not fit each other or some row owns no target.
    """
    cutoffs = check_cutoffs(k)
    ranks, owner = np.asarray(ranks), np.asarray(owner)
    if ranks.shape != owner.shape or ranks.ndim != 1:
        raise DataError(f"ranks {ranks.shape} and owners {owner.shape} differ in shape")
    if n_users < 1 or len(owner) == 0 or owner.min() < 0 or owner.max() >= n_users:
        raise DataError("a target has no user", expected=f"owners from 0 to {n_users - 1}")
    if ranks.min() < UNRANKED:
        raise DataError(f"a rank is {ranks.min()}", expected="1 or more, or 0 for unranked")
    relevant = np.bincount(owner, minlength=n_users)
    if relevant.min() == 0:
        raise DataError(
            f"row {int(relevant.argmin())} has no target", expected="users with at least one target"
        )
    values: dict[str, np.ndarray] = {}
    for cutoff in cutoffs:
        found = hits(ranks, owner, n_users, cutoff)
        values[f"hit@{cutoff}"] = (found > 0).astype(np.float64)
        values[f"precision@{cutoff}"] = found / cutoff
        values[f"recall@{cutoff}"] = found / relevant
        values[f"ndcg@{cutoff}"] = ndcg(ranks, owner, n_users, cutoff)
    values["mrr"] = reciprocal_rank(ranks, owner, n_users)
    return values


def _within(ranks: np.ndarray, k: int) -> np.ndarray:
    return np.asarray((ranks != UNRANKED) & (ranks <= k))
