"""Who lives in a made-up world and what is sold there: every fact that a purchase depends on."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from finrec_dgl.base.units import DAY
from finrec_dgl.tables.world.config import World
from finrec_dgl.tables.world.kinds import FAMILIES, KINDS
from finrec_dgl.tables.world.themes import THEMES

DIMENSIONS = 6
GROUPS = 24
DRIFT = 0.6
YEAR = 365.25 * DAY
TIE_KINDS = ("family", "colleague", "referral")
_TIE_DRAWS = (1.0, 1.2, 0.15)
_BEFORE = 10 * YEAR
"""Customers who are there from the start joined within so many seconds before it."""


def random(world: World, *purpose: int) -> np.random.Generator:
    """The random numbers of one purpose: independent of those of any other."""
    return np.random.default_rng([world.seed, *purpose])


@dataclass(frozen=True)
class Ties:
    """Distinct pairs of tied customers, each stored once: int32 [ties], time in seconds."""

    source: np.ndarray
    target: np.ndarray
    kind: np.ndarray
    time: np.ndarray


@dataclass(frozen=True)
class Population:
    """The customers (numbered by the time they joined), the products (by launch), the ties.

    Arrays of U customers: ``joined`` int64 seconds, ``first``, ``second`` (themes they are drawn
    to) and ``need`` (family) int8, ``latent`` float32 [U, 6], ``activity`` float32 (mean 1).
    Arrays of I products: ``launched`` int64, ``kind``, ``theme``, ``also`` (second theme, -1:
    none), ``group`` int8, ``log_rank`` (log of the popularity rank), ``phase``, ``period``
    (seconds) float32. ``directions`` float64 [24, 6]: the q of each group.
    """

    world: World
    joined: np.ndarray
    first: np.ndarray
    second: np.ndarray
    need: np.ndarray
    latent: np.ndarray
    activity: np.ndarray
    launched: np.ndarray
    kind: np.ndarray
    theme: np.ndarray
    also: np.ndarray
    group: np.ndarray
    log_rank: np.ndarray
    phase: np.ndarray
    period: np.ndarray
    directions: np.ndarray
    ties: Ties

    def popularity(self, time: int) -> np.ndarray:
        """The popularity of every product at ``time``, float64 [I], strength applied."""
        month = (time / YEAR % 1.0) * 12 + 0.5
        peak = np.array([kind.peak for kind in KINDS])
        swing = np.array([kind.swing for kind in KINDS])
        season = swing * np.cos(2 * np.pi * (month - peak) / 12)
        drift = DRIFT * np.sin(2 * np.pi * (time / self.period + self.phase))
        return self.world.popularity_strength * (season[self.kind] + drift - self.log_rank)

    def character(self, users: np.ndarray) -> np.ndarray:
        """The number of the (first, second, need) of ``users`` [n], int64 [n]."""
        themes = self.first[users].astype(np.int64) * len(THEMES) + self.second[users]
        return themes * len(FAMILIES) + self.need[users]

    def liking(self, about: np.ndarray) -> np.ndarray:
        """How much each character likes what the rows of ``about`` [topics, themes + families]
        are about: float64 [characters, topics], strength applied."""
        taste = np.zeros((len(THEMES) ** 2 * len(FAMILIES), about.shape[1]))
        rows = np.arange(len(taste))
        taste[rows, rows // len(FAMILIES) // len(THEMES)] = 1.0
        taste[rows, rows // len(FAMILIES) % len(THEMES)] = 0.6
        taste[rows, len(THEMES) + rows % len(FAMILIES)] = 0.4
        return self.world.text_strength * (taste @ about.T)

    def topics(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct (theme, second theme, family): vectors [topics, themes + families] of what
        they are about, sorted by theme, and the topic of every product, int64 [I]."""
        family = np.array([FAMILIES.index(kind.family) for kind in KINDS])[self.kind]
        width = len(THEMES) + 1
        code = (self.theme.astype(np.int64) * width + self.also + 1) * len(FAMILIES) + family
        codes, topic = np.unique(code, return_inverse=True)
        about = np.zeros((len(codes), len(THEMES) + len(FAMILIES)))
        rows = np.arange(len(codes))
        about[rows, codes // len(FAMILIES) // width] = 1.0
        also = codes // len(FAMILIES) % width - 1
        about[rows[also >= 0], also[also >= 0]] = 0.5
        about[rows, len(THEMES) + codes % len(FAMILIES)] = 1.0
        return about, topic.reshape(-1)


def populate(world: World) -> Population:
    """Draw the customers, products and ties of ``world``."""
    joined = _joined(world)
    return Population(
        world=world,
        joined=joined,
        **_customers(world),
        **_products(world),
        ties=_ties(world, joined),
    )


def _joined(world: World) -> np.ndarray:
    rng = random(world, 1)
    arriving = round(world.users * world.arriving_share)
    # the later years before the start brought more customers than the earlier ones
    before = world.start_time - _BEFORE * rng.random(world.users - arriving) ** 1.5
    # who joins in the last month would hardly buy, so nobody does
    during = rng.uniform(world.start_time, world.end_time - 28 * DAY + 1, arriving)
    return np.sort(np.concatenate([before, during]).astype(np.int64))


def _customers(world: World) -> dict[str, np.ndarray]:
    rng = random(world, 2)
    first = rng.integers(len(THEMES), size=world.users, dtype=np.int8)
    partners, counts = _partners()
    pick = (rng.random(world.users, dtype=np.float32) * counts[first]).astype(np.int8)
    activity = rng.lognormal(-0.5 * 0.8**2, 0.8, world.users).astype(np.float32)
    return {
        "first": first,
        "second": partners[first, np.minimum(pick, counts[first] - 1)],
        "need": rng.integers(len(FAMILIES), size=world.users, dtype=np.int8),
        "latent": rng.standard_normal((world.users, DIMENSIONS), dtype=np.float32),
        "activity": activity,
    }


@functools.cache
def _partners() -> tuple[np.ndarray, np.ndarray]:
    """For each theme those that one customer may follow beside it: int8 [themes, most], counts.

    Nobody is a student and a pensioner at once: where both themes name ages, one must be shared.
    """
    lists = [
        [
            other
            for other, there in enumerate(THEMES)
            if there is not here
            and not (here.ages and there.ages and not set(here.ages) & set(there.ages))
        ]
        for here in THEMES
    ]
    table = np.zeros((len(THEMES), max(map(len, lists))), np.int8)
    for theme, others in enumerate(lists):
        table[theme, : len(others)] = others
    return table, np.array([len(others) for others in lists], np.int8)


def _products(world: World) -> dict[str, np.ndarray]:
    rng = random(world, 3)
    n = world.items
    late = min(round(n * world.cold_share), n - 1)
    before = world.start_time - _BEFORE * rng.random(n - late)
    during = rng.uniform(world.start_time + 1, world.end_time - 28 * DAY, late)
    theme = rng.permutation(np.arange(n) % len(THEMES)).astype(np.int8)
    kind = _kinds_of(theme, rng.random(n))
    directions = rng.standard_normal((GROUPS, DIMENSIONS))
    return {
        "launched": np.sort(np.concatenate([before, during]).astype(np.int64)),
        "kind": kind,
        "theme": theme,
        "also": _second_themes(theme, kind, rng),
        "group": rng.permutation(np.arange(n) % GROUPS).astype(np.int8),
        "log_rank": np.log(1 + rng.permutation(n)).astype(np.float32),
        "phase": rng.random(n).astype(np.float32),
        "period": (YEAR * rng.uniform(1, 3, n)).astype(np.float32),
        "directions": directions / np.linalg.norm(directions, axis=1, keepdims=True),
    }


def _kinds_of(theme: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """A kind for each product, by the shares of those kinds that its theme has."""
    shares = np.array([[k.share * (k.name in one.kinds()) for k in KINDS] for one in THEMES])
    bounds = np.cumsum(shares / shares.sum(1, keepdims=True), axis=1)
    kind = np.empty(len(theme), np.int8)
    for one in range(len(THEMES)):
        rows = np.flatnonzero(theme == one)
        # side="right": never a kind of share 0; the last bound may round to just below 1
        last = int(np.flatnonzero(shares[one])[-1])
        kind[rows] = np.minimum(np.searchsorted(bounds[one], uniform[rows], side="right"), last)
    return kind


def _second_themes(theme: np.ndarray, kind: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A second theme for 3 of 10 products, one whose words fit the kind; -1 for the others."""
    proposed = rng.integers(len(THEMES), size=len(theme), dtype=np.int8)
    fits = np.array([[fits_beside(k.name, t) for t in range(len(THEMES))] for k in KINDS])
    good = fits[kind, proposed] & (proposed != theme) & (rng.random(len(theme)) < 0.6)
    return np.where(good, proposed, -1).astype(np.int8)


def fits_beside(kind: str, theme: int) -> bool:
    """Whether a product of ``kind`` can touch on ``theme`` beside its own."""
    if kind in ("equity_fund", "etf"):
        return bool(THEMES[theme].shares)
    if kind == "bond_fund":
        return bool(THEMES[theme].debt)
    return kind not in ("bond", "note") and bool(THEMES[theme].aside)


def _ties(world: World, joined: np.ndarray) -> Ties:
    """Households, workplaces and referrals, drawn without regard to anybody's taste."""
    rng = random(world, 4)
    n = world.users
    pairs = round(n * world.ties_per_user / 2)
    # more than needed, since pairs that were drawn before fall away
    wanted = [int(pairs * times) + 8 for times in _TIE_DRAWS] if pairs else [0, 0, 0]
    newer = rng.integers(1, n, wanted[2])
    ends = (
        _near(n, wanted[0], 4, rng),
        _near(n, wanted[1], max(20, 4 * int(world.ties_per_user)), rng),
        # a newcomer (target) was referred by somebody (source) who was there before
        ((newer * rng.random(wanted[2])).astype(np.int64), newer),
    )
    source = np.concatenate([one[0] for one in ends])
    target = np.concatenate([one[1] for one in ends])
    kind = np.repeat(np.arange(len(ends), dtype=np.int8), [len(one[0]) for one in ends])
    keep = _distinct(source, target, n)
    if len(keep) > pairs:
        keep = np.sort(rng.choice(keep, pairs, replace=False))
    source, target, kind = source[keep], target[keep], kind[keep]
    time = np.maximum(joined[source], joined[target])
    lag = rng.exponential(200 * DAY, len(time)) * (kind != TIE_KINDS.index("referral"))
    left = world.end_time - time
    time += np.where(lag < left, lag, rng.random(len(time)) * (left - 1)).astype(np.int64)
    order = np.argsort(time, kind="stable")
    return Ties(
        source[order].astype(np.int32), target[order].astype(np.int32), kind[order], time[order]
    )


def _near(
    n: int, count: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """``count`` pairs from groups of ``width`` consecutive places in a random order of all."""
    order = rng.permutation(n)
    place = rng.integers(n, size=count)
    other = place // width * width + rng.integers(width, size=count)
    good = (other < n) & (other != place)
    return order[place[good]], order[other[good]]


def _distinct(source: np.ndarray, target: np.ndarray, n: int) -> np.ndarray:
    """The rows of the first mention of each unordered pair, in order."""
    key = np.minimum(source, target) * np.int64(n) + np.maximum(source, target)
    return np.sort(np.unique(key, return_index=True)[1])
