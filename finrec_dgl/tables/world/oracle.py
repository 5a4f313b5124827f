"""The scores by which a made-up world chose, for telling how far a model is from the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.tables.world.config import World
from finrec_dgl.tables.world.ids import item_ids, user_ids
from finrec_dgl.tables.world.population import Population, populate
from finrec_dgl.tables.world.simulate import Holdings, Neighbours, Simulation

NOT_ON_SALE = -1e9
"""The score of what cannot be bought in the whole window: finite, below every other."""


@dataclass(frozen=True)
class Oracle:
    """The generator's own scores, as of ``at``, for purchases in [``at``, ``until``).

    The score is the exponent in ``World``'s docstring, with popularity at the middle of the
    window, holdings and ties as they were at ``at``, and the log of the part of the window in
    which a product is on sale. No ranking that knows only the time before ``at`` does better on
    average, but for what ties buy within the window.

    ``users`` and ``items`` are the world's numbers of the rows and columns of ``score``; first
    those of the world itself, after ``aligned`` those of somebody else's order.
    """

    population: Population
    at: int
    until: int
    users: np.ndarray
    items: np.ndarray
    _holdings: Holdings
    _neighbours: Neighbours

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all products for ``users`` (int [n], rows of ``self.users``): float32 [n, I].

        Higher is better; a product that is not on sale before ``until`` has ``NOT_ON_SALE``.
        """
        world, numbers = self.population.world, self.users[np.asarray(users)]
        about, topic = self.population.topics()
        liking = self.population.liking(about)
        score = liking[self.population.character(numbers)][:, topic]
        latent = self.population.latent[numbers] @ self.population.directions.T
        score += world.graph_strength * latent[:, self.population.group]
        score += self.population.popularity((self.at + self.until) // 2)
        counts = self._holdings.count
        row, item, share = self._neighbours.shares(
            numbers, self.at, self._holdings, counts, world.items
        )
        score[row, item] += world.tie_strength * share
        for one, number in enumerate(numbers):
            start = self._holdings.start[number]
            held = self._holdings.items[start : start + counts[number]]
            score[one, held] += np.log(max(world.repurchase, 1e-30))
        on_sale = (self.until - np.maximum(self.population.launched, self.at)) / (
            self.until - self.at
        )
        never = on_sale <= 0
        score += np.log(np.where(never, 1.0, on_sale))
        score[:, never] = NOT_ON_SALE
        return score[:, self.items].astype(np.float32)

    def aligned(self, users: Sequence[str], items: Sequence[str]) -> Oracle:
        """The same with rows and columns in the order of these ids.

        Raises DataError where an id is not of this world.
        """
        return replace(
            self,
            users=_places(user_ids(self.population), users, "user"),
            items=_places(item_ids(self.population), items, "item"),
        )


def oracle(world: World, at: int, until: int | None = None, progress: Progress = SILENT) -> Oracle:
    """Live through ``world`` again, up to ``at`` (seconds since 1970 UTC; the cut of a split).

    ``until`` (default: the end of the world) ends the window that the scores are for.
    Raises DataError where the window is empty.
    """
    until = world.end_time if until is None else until
    if not at < until:
        raise DataError(
            f"the oracle's window ends at {until}, before it begins at {at}",
            expected="at < until (seconds since 1970 UTC)",
        )
    population = populate(world)
    simulation = Simulation(population)
    users, items = [], []
    for batch in simulation.batches(progress):
        before = batch.time < at
        users.append(batch.user[before])
        items.append(batch.item[before])
        if not before.all():
            break
    pairs = np.zeros(0, np.int64)
    if users:
        pairs = np.unique(np.concatenate(users) * np.int64(world.items) + np.concatenate(items))
    owner = pairs // world.items
    counts = np.bincount(owner, minlength=world.users).astype(np.int32)
    holdings = Holdings(counts)
    holdings.items[:] = pairs % world.items
    holdings.count = counts
    return Oracle(
        population=population,
        at=at,
        until=until,
        users=np.arange(world.users),
        items=np.arange(world.items),
        _holdings=holdings,
        _neighbours=simulation.neighbours,
    )


def _places(known: Sequence[str], wanted: Sequence[str], what: str) -> np.ndarray:
    place = {one: number for number, one in enumerate(known)}
    missing = [one for one in wanted if one not in place]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(wanted)} {what} ids are not of this world, such as"
            f" {missing[0]!r}",
            expected="the ids of a data set generated by the same World",
        )
    return np.array([place[one] for one in wanted], np.int64)
