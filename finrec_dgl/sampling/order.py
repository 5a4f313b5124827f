"""The order in which an epoch predicts its interactions, those of a user by groups."""

from __future__ import annotations

import numpy as np

from finrec_dgl.sampling.draws import mix_all

_ROUNDS = 12
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class SeedGroups:
    """Interactions of each user in groups of up to ``together``, to be predicted at once.

    What is predicted carries no message (its edges are left out), so a user of two interactions or
    more has two groups or more: each is predicted from the others. Groups differ in size by one.

    ``user`` int32 [E]: whose each interaction is, sorted; ``indptr`` int64 [U + 1]: those of user u
    are ``indptr[u]`` to ``indptr[u + 1]``.
    """

    def __init__(self, user: np.ndarray, indptr: np.ndarray, together: int) -> None:
        self.user = user
        self.indptr = indptr
        self.count = int(indptr[-1])
        self.together = together = min(together, max(self.count, 1))
        number = np.int32 if self.count < 2**31 else np.int64
        if together == 1:
            self.starts = np.arange(self.count + 1, dtype=number)
            return
        degree = np.diff(indptr).astype(number)
        groups = np.maximum(-(-degree // together), np.minimum(degree, 2))
        size, larger = np.divmod(degree, np.maximum(groups, 1))
        # the first groups of a user are the larger ones
        at = np.arange(groups.sum(), dtype=number)
        at -= np.repeat((np.cumsum(groups, dtype=number) - groups), groups)
        starts = at * np.repeat(size, groups)
        starts += np.minimum(at, np.repeat(larger, groups))
        starts += np.repeat(indptr[:-1].astype(number), groups)
        self.starts = np.append(starts, number(self.count))

    def shuffled(self, rng: np.random.Generator) -> ShuffledGroups:
        """All interactions, each once, in an order that follows from ``rng``."""
        order = rng.permutation(np.arange(len(self.starts) - 1, dtype=self.starts.dtype))
        return ShuffledGroups(self, order, int(rng.integers(2**63)))


class ShuffledGroups:
    """The interactions of one epoch: their groups by ``order`` [groups], filled by ``key``.

    Which interactions of a user stand together is drawn anew for each epoch, and found when a part
    is asked for: nothing as large as all interactions is kept.
    """

    def __init__(self, groups: SeedGroups, order: np.ndarray, key: int) -> None:
        self.groups = groups
        self.order = order
        self.key = np.uint64(key)
        self.ends = groups.starts[1:]
        if groups.together > 1:
            self.ends = np.cumsum(np.diff(groups.starts)[order], dtype=order.dtype)

    def part(self, start: int, stop: int) -> np.ndarray:
        """int64 [stop - start]: the interactions from ``start`` on; a group may be cut."""
        number = self.ends.dtype.type  # of another type, all ends would be converted
        first = np.searchsorted(self.ends, number(start), side="right")
        last = np.searchsorted(self.ends, number(stop), side="left") + 1
        group = self.order[first:last]
        begin = self.groups.starts[group].astype(np.int64)
        size = self.groups.starts[group + 1] - begin
        before = np.cumsum(size) - size
        place = np.arange(size.sum()) + np.repeat(begin - before, size)
        ahead = int(start - (self.ends[last - 1] - len(place))) if len(place) else 0
        if self.groups.together > 1:
            indptr = self.groups.indptr
            user = self.groups.user[begin].astype(np.int64)
            head, degree = indptr[user], indptr[user + 1] - indptr[user]
            key = mix_all(self.key + _GOLDEN * (user + 1).astype(np.uint64))
            head, degree, key = (np.repeat(one, size) for one in (head, degree, key))
            place = head + _shuffled(place - head, degree, key)
        return place[ahead : ahead + stop - start]


def _shuffled(place: np.ndarray, degree: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Where ``place`` of 0 .. degree - 1 is in an order that ``key`` tells, int64 [n] each.

    Swap-or-not (Hoang, Morris and Rogaway, 2012): each round pairs all places and swaps a pair or
    not, by a bit that both find. So one place needs none of the others.
    """
    for _ in range(_ROUNDS):
        key = mix_all(key + _GOLDEN)
        other = (key % degree.astype(np.uint64)).astype(np.int64) - place
        other += np.where(other < 0, degree, 0)
        pair = np.maximum(place, other).astype(np.uint64)
        swapped = mix_all((key ^ pair) + _GOLDEN) >> np.uint64(63) > 0
        place = np.where(swapped, other, place)
    return place
