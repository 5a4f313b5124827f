"""Which columns of an items or users table are text, which are categories and which numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypedDict, cast

import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import UsageError
from finrec_dgl.tables import dates
from finrec_dgl.tables.contract import unknown_columns
from finrec_dgl.tables.numbers import to_numbers
from finrec_dgl.tables.options import ReadOptions

TITLE_NAMES = ("title", "name", "item_name", "product_name", "short_name", "company", "label")
TEXT_NAMES = (
    *TITLE_NAMES,
    *("description", "text", "summary", "about", "bio", "profile", "abstract", "body", "content"),
    *("notes", "objective", "strategy", "features", "keywords"),
)
CATEGORY_NAMES = (
    *("category", "subcategory", "sub_category", "type", "kind", "class", "asset_class", "sector"),
    *("industry", "segment", "market", "exchange", "country", "region", "currency", "risk"),
    *("risk_level", "issuer", "brand"),
)
CODE_WORDS = ("id", "code", "key", "number", "no", "nr", "zip", "zipcode", "postcode", "phone")
TIME_WORDS = ("timestamp", "time", "date", "datetime", "at", "ts")
MOST_CATEGORIES = 100
MOST_NUMBERS = 20
LEAST_TIME = 100_000_000
"""Unix times from 1973 on, in seconds, are no less than this; a duration seldom is as much."""


class Suggested(NamedTuple):
    """The columns of one profile table that are text, categories and numbers, in its order."""

    text: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


class Chosen(TypedDict):
    """The columns of ``Tables`` that are text, categories and numbers."""

    item_text: tuple[str, ...]
    item_categories: tuple[str, ...]
    item_numbers: tuple[str, ...]
    user_text: tuple[str, ...]
    user_categories: tuple[str, ...]
    user_numbers: tuple[str, ...]


_NONE = Suggested()


def suggest_columns(table: pa.Table, id_column: str) -> Suggested:
    """Suggest which columns of a profile table are text, categories and numbers.

    Parameters
    ----------
    table : pa.Table
        Items or users; all columns but the timestamp are strings.
    id_column : str
        The column of the ids, which is none of the three, as is ``timestamp``.

    Returns
    -------
    Suggested
        The columns of each kind, in the table's order.

    Notes
    -----
    The rule for every other column; the first line that fits decides:

    1. nothing in it: none of them;
    2. its name is one of ``TEXT_NAMES``: text;
    3. all values are finite numbers: a category where they are whole and at most 20 different
       ones, each on average in two rows or more; none where they are codes or times (see
       ``_is_code`` and ``_is_time``); else a number. Dates: none;
    4. its name is one of ``CATEGORY_NAMES``, or it has at most 100 different values, each on
       average in two rows or more: a category; and text too, for such words tell what the thing is;
    5. else text.
    """
    chosen: dict[str, list[str]] = {kind: [] for kind in Suggested._fields}
    for column in table.column_names:
        if column not in (id_column, "timestamp"):
            for kind in _kinds(column, table[column]):
                chosen[kind].append(column)
    return Suggested(**{kind: tuple(names) for kind, names in chosen.items()})


def _kinds(column: str, values: pa.ChunkedArray) -> tuple[str, ...]:
    """Which of the fields of ``Suggested`` a column belongs to, by the rule."""
    values = values.filter(pc.match_substring_regex(values, r"\S"))
    name = column.lower()
    if not len(values):
        return ()
    if name in TEXT_NAMES:
        return ("text",)
    distinct = pc.unique(values)
    repeats = 2 * len(distinct) <= len(values)
    if _all_match(distinct, r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"):
        whole = _all_match(distinct, r"^\s*-?\d+\s*$")
        if whole and repeats and len(distinct) <= MOST_NUMBERS:
            return ("categories",)
        numbers = to_numbers(pa.chunked_array([distinct]))
        if numbers.null_count or _is_code(column, distinct) or _is_time(column, numbers, whole):
            return ()
        return ("numbers",)
    if _all_match(distinct, r"^\d{4}-\d\d-\d\d([T ].*)?$"):
        return ()
    if name in CATEGORY_NAMES or (repeats and len(distinct) <= MOST_CATEGORIES):
        return ("text", "categories")
    return ("text",)


def _last_word(column: str) -> str:
    """The last word of a name: ``id`` of ``customer_id``, ``customerId`` and ``Customer ID``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column).lower()
    return (re.findall(r"[^\W_]+", parted) or [""])[-1]


def _is_code(column: str, distinct: pa.Array) -> bool:
    """Whether numbers name things: by the last word of the column's name, or by leading zeros.

    ``Unnamed: 0`` is what pandas calls the numbers of rows that it finds in a file.
    """
    if column.startswith("Unnamed:"):
        return True
    zeros = pc.any(pc.match_substring_regex(distinct, r"^\s*0\d+\s*$")).as_py()
    return bool(zeros) or _last_word(column) in CODE_WORDS


def _is_time(column: str, numbers: pa.ChunkedArray, whole: bool) -> bool:
    """Whether numbers are times: days such as 20150601, or unix time in a column named so."""
    if not whole:
        return False
    values = numbers.cast(pa.int64(), safe=False)
    named = _last_word(column) in TIME_WORDS and (pc.min(values).as_py() or 0) >= LEAST_TIME
    return named or dates.days_without_dashes(values)


def suggest_title(columns: Sequence[str]) -> str | None:
    """The column that names an item to people: the first of ``TITLE_NAMES`` there is."""
    folded = {column.lower(): column for column in columns}
    return next((folded[name] for name in TITLE_NAMES if name in folded), None)


def choose_columns(
    options: ReadOptions,
    items: pa.Table | None,
    users: pa.Table | None,
    *,
    item: Suggested = _NONE,
    user: Suggested = _NONE,
) -> Chosen:
    """Choose the columns of ``Tables``: those that the options name, else the format's own.

    Parameters
    ----------
    options : ReadOptions
        The columns that the user named, if any.
    items, users : pa.Table or None
        The profile tables. The format's columns that a table lacks are left out.
    item, user : Suggested
        The format's own choice.

    Returns
    -------
    Chosen
        The columns by field of ``Tables``. A column that the user named as a number is not taken
        for text or a category by the format's choice, nor a named category for a number.

    Raises
    ------
    UsageError
        If an option names a column that is not there.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for side, table, suggested in (("item", items, item), ("user", users, user)):
        present = [] if table is None else table.column_names
        named = {kind: getattr(options, f"{side}_{kind}") for kind in Suggested._fields}
        for kind, asked in named.items():
            option = f"{side}_{kind}"
            if asked is not None:
                chosen[option] = asked
                problems += unknown_columns(option, asked, table)
                continue
            taken = named["categories" if kind == "numbers" else "numbers"] or ()
            chosen[option] = tuple(
                one for one in getattr(suggested, kind) if one in present and one not in taken
            )
    if problems:
        raise UsageError("; ".join(problems), where="read options")
    return cast(Chosen, chosen)


def _all_match(distinct: pa.Array, pattern: str) -> bool:
    if re.fullmatch(pattern, distinct[0].as_py()) is None:
        return False
    return bool(pc.all(pc.match_substring_regex(distinct, pattern)).as_py())
