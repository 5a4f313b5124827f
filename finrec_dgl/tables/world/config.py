"""What a made-up world is like: its size, its dates and how strong each of its signals is."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta, timezone

from finrec_dgl.base.config import refuse
from finrec_dgl.base.units import DAY

MOST_USERS = 100_000_000
MOST_ITEMS = 10_000_000


@dataclass(frozen=True)
class World:
    """The one configuration of the generator; the same World gives the same data.

    Customer u buys product i at time t with a probability proportional to exp(score), where

        score(u, i, t) = popularity_strength * popularity(i, t)
                       + text_strength * <taste_u, theme_i>
                       + graph_strength * <z_u, q_i>
                       + tie_strength * (share of u's ties who hold i before t)
                       + log(repurchase) where u holds i already

    over the products on sale at t. Each term alone plants one signal; all strengths 0 make every
    purchase uniform. The terms:

    - popularity: minus the log of the product's rank (so that strength 1 is Zipf's law), plus
      seasons of its kind and a slow drift of its own (at most 0.6 each way).
    - taste and theme, known only from texts: a product is about a theme (1) and maybe touches on
      a second (0.5) and belongs to a family such as lending; a customer is drawn to one theme
      (1), less to another (0.6), and to a family (0.4). The product of both is at most 1.7.
    - z and q, in no text: z_u is standard normal in 6 dimensions, q_i one of 24 unit vectors, so
      that <z_u, q_i> has variance 1.
    - ties are independent of taste, theme, z and q.

    Fields: ``users``, ``items``; ``interactions_per_user`` (mean; log-normal tail);
    ``ties_per_user`` (mean number of other customers that a customer is tied to; 0: no ties
    table); ``start``, ``end`` (ISO days, both included); the strengths (0 to 10;
    popularity 0 to 3); ``cold_share`` of the products are launched after ``start``,
    ``arriving_share`` of the customers join after it; ``repurchase`` (0 to 1); ``texts`` (False:
    ids, categories and times only, for huge worlds); ``seed``.

    Raises ConfigError that names every field out of range.
    """

    users: int = 4000
    items: int = 320
    interactions_per_user: float = 14.0
    ties_per_user: float = 4.0
    start: str = "2023-01-01"
    end: str = "2024-12-31"
    text_strength: float = 3.0
    graph_strength: float = 1.5
    tie_strength: float = 4.0
    popularity_strength: float = 0.7
    cold_share: float = 0.15
    arriving_share: float = 0.3
    repurchase: float = 0.05
    texts: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        problems = self._type_problems()
        if not problems:
            problems = self._range_problems() + self._date_problems()
        refuse(problems, where="world")

    def _type_problems(self) -> list[str]:
        problems = []
        for one in fields(self):
            value = getattr(self, one.name)
            if one.type == "float":
                good = type(value) in (int, float) and math.isfinite(value)
            else:
                good = type(value).__name__ == one.type
            if not good:
                problems.append(f"{one.name} is {value!r}, expected {one.type}")
        return problems

    def _range_problems(self) -> list[str]:
        ranges = {
            "users": (2, MOST_USERS),
            "items": (2, MOST_ITEMS),
            "interactions_per_user": (0.1, 10_000),
            "ties_per_user": (0, min(100, self.users - 1)),
            "text_strength": (0, 10),
            "graph_strength": (0, 10),
            "tie_strength": (0, 10),
            "popularity_strength": (0, 3),
            "cold_share": (0, 0.9),
            "arriving_share": (0, 0.9),
            "repurchase": (0, 1),
            "seed": (0, 2**63 - 1),
        }
        problems = [
            f"{name} is {getattr(self, name)}, expected {low:,} to {high:,}"
            for name, (low, high) in ranges.items()
            if not low <= getattr(self, name) <= high
        ]
        if not problems and self.users * self.interactions_per_user >= 2**31:
            problems.append("users times interactions_per_user is 2^31 or more")
        return problems

    def _date_problems(self) -> list[str]:
        problems = []
        for name in ("start", "end"):
            try:
                date.fromisoformat(getattr(self, name))
            except ValueError:
                problems.append(f"{name} is {getattr(self, name)!r}, expected a day: 2023-01-31")
                continue
            if not 1980 <= date.fromisoformat(getattr(self, name)).year <= 2100:
                problems.append(f"{name} is {getattr(self, name)}, expected the years 1980 to 2100")
        if problems:
            return problems
        days = (self.end_time - self.start_time) // DAY
        if not 60 <= days <= 20 * 366:
            problems.append(f"start to end is {days} days, expected 60 days to 20 years")
        return problems

    @property
    def start_time(self) -> int:
        """The first second of ``start``, since 1970 UTC."""
        return _seconds(date.fromisoformat(self.start))

    @property
    def end_time(self) -> int:
        """The first second after ``end``, since 1970 UTC."""
        return _seconds(date.fromisoformat(self.end) + timedelta(days=1))


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp())
