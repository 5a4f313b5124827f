"""Draws every purchase of a made-up world in the order of time, exactly and in bounded memory.

The softmax over all products is never laid out. Products that share a topic (theme, second theme,
family) and a group of latent vectors form a cell, within which taste and latent terms are the same
for a customer; and customers of one character (both themes and family they are drawn to) like every
topic the same. So a draw is: a group, then a theme, then a topic, then a product by its popularity,
each from sums made once a step. The few products that tied customers hold have more weight than
that; the surplus is a second part of a mixture, drawn with its own share of the total. Products
already held are refused with probability 1 - repurchase and drawn anew, which is the same as
weighing them down. The draw is exact at every size, but for two simplifications: popularity, what
is on sale and what ties hold are those at the start (popularity: the middle) of a fortnight, and
after 20 refusals a repeated purchase is let through.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.base.units import DAY
from finrec_dgl.tables.world.population import Population, random
from finrec_dgl.tables.world.themes import THEMES

STEP = 14 * DAY
_TRIES = 20
_CHUNK = 8192
_BITS = int(STEP).bit_length()
"""Of a time within a step, in seconds."""


@dataclass(frozen=True)
class Batch:
    """Some purchases: ``user``, ``item`` int32 and ``time`` int64 [n], sorted by time."""

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray


class Holdings:
    """What each customer holds, as distinct products in the order of their purchase."""

    def __init__(self, capacity: np.ndarray) -> None:
        self.start = np.concatenate([[0], np.cumsum(capacity, dtype=np.int64)])
        self.count = np.zeros(len(capacity), np.int32)
        self.items = np.empty(self.start[-1], np.int32)

    def has(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether each of ``users`` [n] holds the one of ``items`` [n]: bool [n]."""
        row, place = ragged(self.start[users], self.count[users])
        same = self.items[place] == items[row]
        return np.bincount(row[same], minlength=len(users)) > 0

    def add(self, users: np.ndarray, items: np.ndarray) -> None:
        """Let distinct ``users`` hold ``items``, which they do not hold yet."""
        self.items[self.start[users] + self.count[users]] = items
        self.count[users] += 1


class Neighbours:
    """The ties of each customer in both directions, with the time since when they hold."""

    def __init__(self, population: Population) -> None:
        ties = population.ties
        ends = np.concatenate([ties.source, ties.target])
        order = np.argsort(ends, kind="stable")
        self.start = np.concatenate(
            [[0], np.cumsum(np.bincount(ends, minlength=population.world.users))]
        )
        self.other = np.concatenate([ties.target, ties.source])[order]
        self.time = np.concatenate([ties.time, ties.time])[order]

    def shares(
        self, users: np.ndarray, time: int, holdings: Holdings, counts: np.ndarray, n_items: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which products the ties of ``users`` hold at ``time``: rows into ``users``, products,
        and the share of the ties that hold them (0 to 1), sorted by row and product.

        ``counts`` [customers] are how many of each one's holdings were there at ``time``.
        """
        row, place = ragged(self.start[users], self.start[users + 1] - self.start[users])
        known = self.time[place] < time
        row, other = row[known], self.other[place[known]]
        ties = np.bincount(row, minlength=len(users))
        holder, place = ragged(holdings.start[other], counts[other])
        key = row[holder] * np.int64(n_items) + holdings.items[place]
        key, held = np.unique(key, return_counts=True)
        rows = key // n_items
        return rows, key % n_items, held / ties[rows]


def ragged(start: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows and the places of the ranges [start, start + length), one after the other."""
    row = np.repeat(np.arange(len(start)), length)
    first = np.cumsum(length, dtype=np.int64) - length
    return row, np.arange(len(row)) + np.repeat(start - first, length)


class _Market:
    """What is on sale in one step: the weights of products, summed by cell, theme and group."""

    def __init__(self, population: Population, *, alike: bool) -> None:
        self.population = population
        self.alike = alike
        about, self.topic = population.topics()
        self.liking = np.exp(population.liking(about))
        theme = about[:, : len(THEMES)].argmax(1)
        self.blocks = np.searchsorted(theme, np.arange(len(THEMES) + 1))
        groups = len(population.directions)
        cell = self.topic * groups + population.group
        self.order = np.argsort(cell, kind="stable").astype(np.int32)
        self.bounds = np.searchsorted(cell[self.order], np.arange(len(about) * groups + 1))
        self.shape = (len(about), groups)

    def open(self, step_start: int) -> None:
        """Set the weights to those of the step that starts at ``step_start``."""
        weight = np.exp(self.population.popularity(step_start + STEP // 2))
        self.weight = weight * (self.population.launched <= step_start)
        self.cumulative = np.concatenate([[0.0], np.cumsum(self.weight[self.order])])
        if self.alike:
            return
        self.mass = np.diff(self.cumulative[self.bounds]).reshape(self.shape)
        self.by_theme = np.stack(
            [
                self.liking[:, low:high] @ self.mass[low:high]
                for low, high in itertools.pairwise(self.blocks)
            ],
            axis=1,
        )
        self.by_group = self.by_theme.sum(1)

    def draw(
        self, character: np.ndarray, latent: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A product for each row, and the sum of the weights of all products, both [n]."""
        uniform = rng.random((4, len(character)))
        by_group = latent * self.by_group[character]
        group = _pick(by_group, uniform[0])
        theme = _pick(self.by_theme[character, :, group], uniform[1])
        low, high = self.blocks[theme][:, None], self.blocks[theme + 1][:, None]
        topics = low + np.arange(np.diff(self.blocks).max())
        inside = topics < high
        topics = np.where(inside, topics, low)
        weights = self.liking[character[:, None], topics] * self.mass[topics, group[:, None]]
        topic = low[:, 0] + _pick(weights * inside, uniform[2])
        return self._product(topic * self.shape[1] + group, uniform[3]), by_group.sum(1)

    def draw_any(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Products for ``count`` customers whose taste makes no difference, by popularity alone."""
        at = np.minimum(
            rng.random(count) * self.cumulative[-1], np.nextafter(self.cumulative[-1], -np.inf)
        )
        return self.order[np.searchsorted(self.cumulative, at, side="right") - 1]

    def _product(self, cell: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        low = self.cumulative[self.bounds[cell]]
        high = self.cumulative[self.bounds[cell + 1]]
        # rounding must not step over the upper bound, into the next cell
        at = np.minimum(low + uniform * (high - low), np.nextafter(high, -np.inf))
        return self.order[np.searchsorted(self.cumulative, at, side="right") - 1]


def _pick(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """A column for each row of ``weights`` [n, m], by weight."""
    cumulative = np.cumsum(weights, axis=1)
    above = cumulative > (uniform * cumulative[:, -1])[:, None]
    # where rounding left nothing above, the largest weight is as good as any
    return np.where(above[:, -1], above.argmax(1), weights.argmax(1))


class Simulation:
    """The purchases of a population. Iterate once over ``batches``; then ``holdings`` is full."""

    def __init__(self, population: Population) -> None:
        world = population.world
        self.population = population
        steps = -(-(world.end_time - world.start_time) // STEP)
        self.starts = world.start_time + STEP * np.arange(steps)
        shares = np.array([self._exposure(step).sum() for step in range(steps)])
        self._rate = world.users * world.interactions_per_user / shares.sum()
        capacity = np.zeros(world.users, np.int32)
        self._bought = []
        for step in range(steps):
            counts = self._counts(step)
            capacity += counts
            # mostly a byte each, in less time than to draw them again
            self._bought.append(counts.astype(np.min_scalar_type(counts.max())))
        self.holdings = Holdings(capacity)
        self.neighbours = Neighbours(population)
        self._by_ties = bool(world.tie_strength and len(self.neighbours.other))
        # of customers whose taste makes no difference, popularity alone decides
        self._alike = not (world.text_strength or world.graph_strength or self._by_ties)
        self._market = _Market(population, alike=self._alike)
        self.total = int(capacity.sum())

    def batches(self, progress: Progress = SILENT) -> Iterator[Batch]:
        """The purchases of one fortnight after another."""
        with progress.task("simulating", self.total, "purchases") as task:
            for step in range(len(self.starts)):
                batch = self._step(step)
                task.advance(len(batch.user))
                if len(batch.user):
                    yield batch

    def _span(self, step: int) -> tuple[int, int]:
        start = int(self.starts[step])
        return start, min(start + STEP, self.population.world.end_time)

    def _exposure(self, step: int) -> np.ndarray:
        """How much each customer is expected to buy in a step, up to a common factor."""
        start, end = self._span(step)
        present = np.clip((end - self.population.joined) / STEP, 0, (end - start) / STEP)
        # more is bought in winter than in summer, whatever it is
        season = 1 + 0.2 * np.cos(2 * np.pi * (start / (365.25 * DAY)))
        return self.population.activity * present * season

    def _counts(self, step: int) -> np.ndarray:
        rng = random(self.population.world, 5, step)
        return rng.poisson(self._rate * self._exposure(step)).astype(np.int32)

    def _step(self, step: int) -> Batch:
        start, end = self._span(step)
        rng = random(self.population.world, 6, step)
        user = np.repeat(np.arange(self.population.world.users, dtype=np.int32), self._bought[step])
        since = np.maximum(self.population.joined[user], start)
        time = (rng.random(len(user)) * (end - since)).astype(np.int64) + since - start
        # in one number with its user, of which the sorted order is known: no second array to move
        time = np.sort(user.astype(np.int64) << _BITS | time) & ((1 << _BITS) - 1)
        item = np.empty(len(user), np.int32)
        self._market.open(start)
        before = self.holdings.count.copy()
        # one purchase a customer at a time, so that each knows of the ones before it
        first = np.flatnonzero(np.diff(user, prepend=-1))
        turn = np.arange(len(user)) - np.repeat(first, np.diff(np.append(first, len(user))))
        by_turn = np.argsort(turn.astype(np.min_scalar_type(turn.max(initial=0))), kind="stable")
        edges = np.append(0, np.cumsum(np.bincount(turn)))
        for low, high in itertools.pairwise(edges):
            for place in range(low, high, _CHUNK):
                rows = by_turn[place : min(place + _CHUNK, high)]
                item[rows] = self._draw(user[rows], start, before, rng)
        ordered = np.sort(time << 32 | np.arange(len(time)))
        order = ordered & (2**32 - 1)
        return Batch(user[order], item[order], (ordered >> 32) + start)

    def _draw(
        self, users: np.ndarray, start: int, before: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """One purchase of each of the distinct ``users``; it is added to their holdings."""
        world = self.population.world
        if not self._alike:
            character = self.population.character(users)
            latent = self.population.latent[users] @ self.population.directions.T
            latent = np.exp(world.graph_strength * latent)
            surplus = self._surplus(users, character, latent, start, before)
        item = np.empty(len(users), np.int32)
        again = np.zeros(len(users), bool)
        rows = np.arange(len(users))
        for attempt in range(_TRIES):
            if self._alike:
                drawn = self._market.draw_any(len(rows), rng)
            else:
                drawn = self._mixture(character[rows], latent[rows], surplus, rows, rng)
            held = self.holdings.has(users[rows], drawn)
            item[rows] = drawn
            again[rows] = held
            refused = held & (rng.random(len(rows)) >= world.repurchase)
            if attempt == _TRIES - 1 or not refused.any():
                break
            rows = rows[refused]
        self.holdings.add(users[~again], item[~again])
        return item

    def _surplus(
        self,
        users: np.ndarray,
        character: np.ndarray,
        latent: np.ndarray,
        start: int,
        before: np.ndarray,
    ) -> _Surplus:
        """The weight that products gain because ties hold them."""
        strength = self.population.world.tie_strength
        if not self._by_ties:
            return _Surplus(np.empty(0, np.int64), np.zeros(1), np.zeros(len(users) + 1, np.int64))
        row, item, share = self.neighbours.shares(
            users, start, self.holdings, before, self.population.world.items
        )
        weight = (
            self._market.liking[character[row], self._market.topic[item]]
            * latent[row, self.population.group[item]]
            * self._market.weight[item]
            * np.expm1(strength * share)
        )
        bounds = np.searchsorted(row, np.arange(len(users) + 1))
        return _Surplus(item, np.concatenate([[0.0], np.cumsum(weight)]), bounds)

    def _mixture(
        self,
        character: np.ndarray,
        latent: np.ndarray,
        surplus: _Surplus,
        rows: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        item, weight = self._market.draw(character, latent, rng)
        low = surplus.cumulative[surplus.bounds[rows]]
        high = surplus.cumulative[surplus.bounds[rows + 1]]
        at = rng.random(len(rows)) * (weight + high - low)
        from_ties = at < high - low
        at = np.minimum(low + at, np.nextafter(high, -np.inf))[from_ties]
        place = np.searchsorted(surplus.cumulative, at, side="right") - 1
        item[from_ties] = surplus.item[place]
        return item


@dataclass(frozen=True)
class _Surplus:
    """Extra weights: ``item`` [m], their running sum [m + 1], and the range of each row."""

    item: np.ndarray
    cumulative: np.ndarray
    bounds: np.ndarray
