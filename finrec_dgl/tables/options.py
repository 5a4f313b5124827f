"""What a reader may be told: which formats there are, what to do with bad rows, which columns."""

from __future__ import annotations

from dataclasses import dataclass

from finrec_dgl.base.config import choice, refuse

FORMATS = ("tables", "fartrans", "stocknet", "amazon", "lightgcn")
ON_BAD_ROWS = ("error", "drop")
COLUMN_OPTIONS = (
    *("item_text", "item_categories", "item_numbers"),
    *("user_text", "user_categories", "user_numbers"),
)
"""The options that name columns of the items and users tables."""


@dataclass(frozen=True)
class ReadOptions:
    """How ``read_source`` reads.

    - ``on_bad_rows``: ``error`` (default) stops at the first bad row and names it; ``drop`` leaves
      bad rows out and counts them by reason in ``Tables.dropped``.
    - ``item_text``, ``item_categories``, ``item_numbers``, ``user_text``, ``user_categories``,
      ``user_numbers``: the columns of the items and users tables to take, in order; None (default)
      means the format's own choice. A value of a named number column must be a finite number or
      empty.
    - ``keep_retweets``: StockNet only. A retweet is a tie and would be an interaction too, so that
      ties would tell of interactions; they are left out of the interactions by default.

    Raises ConfigError for a value out of these.
    """

    on_bad_rows: str = "error"
    item_text: tuple[str, ...] | None = None
    item_categories: tuple[str, ...] | None = None
    item_numbers: tuple[str, ...] | None = None
    user_text: tuple[str, ...] | None = None
    user_categories: tuple[str, ...] | None = None
    user_numbers: tuple[str, ...] | None = None
    keep_retweets: bool = False

    def __post_init__(self) -> None:
        problems = choice("on_bad_rows", self.on_bad_rows, ON_BAD_ROWS)
        for name in COLUMN_OPTIONS:
            columns = getattr(self, name)
            if columns is None:
                continue
            if not isinstance(columns, tuple) or not all(
                isinstance(one, str) and one for one in columns
            ):
                problems.append(f"{name} is {columns!r}, expected a tuple of column names or None")
            elif len(set(columns)) != len(columns):
                problems.append(f"{name} names a column twice: {', '.join(columns)}")
        if not isinstance(self.keep_retweets, bool):
            problems.append(f"keep_retweets is {self.keep_retweets!r}, expected true or false")
        refuse(problems, where="read options")

    def number_columns(self, table: str) -> tuple[str, ...]:
        """The columns of ``table`` (``items``, ``users`` or another) asked for as numbers."""
        asked = {"items": self.item_numbers, "users": self.user_numbers}.get(table)
        return asked or ()
