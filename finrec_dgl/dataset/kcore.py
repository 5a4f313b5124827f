"""Finds the k-core of the pairs: what is left when users and items of few pairs are taken away."""

from __future__ import annotations

import numpy as np

from finrec_dgl.base.errors import DataError


def k_core(user: np.ndarray, item: np.ndarray, k: int) -> np.ndarray:
    """bool [pairs]: the pairs of the k-core.

    ``user``, ``item`` int [pairs], distinct pairs. Users and items with fewer than ``k`` pairs are
    taken away until every one that is left has ``k`` among those left; the result does not depend
    on the order. Raises DataError where nothing is left.

    Pairs are those before the cut, validation among them: both stages must speak of the same nodes,
    and the core must know nothing of the test. A core over all pairs, as often published, keeps
    just those products that will sell later.
    """
    left = np.arange(len(user))
    while len(left):
        users = np.bincount(user[left])
        items = np.bincount(item[left])
        keep = (users[user[left]] >= k) & (items[item[left]] >= k)
        if keep.all():
            break
        left = left[keep]
    if len(left) == 0:
        raise DataError(
            f"the {k}-core of the {len(user)} pairs before the cut is empty",
            expected=f"users and items with {k} pairs each",
            mend="lower k_core",
        )
    kept = np.zeros(len(user), bool)
    kept[left] = True
    return kept
