"""Which columns of an items or users table are text and which are categories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypedDict, cast

import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import UsageError
from finrec_dgl.tables.contract import unknown_columns
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
MOST_CATEGORIES = 100
MOST_NUMBERS = 20


class Chosen(TypedDict):
    """The columns of ``Tables`` that are text and categories."""

    item_text: tuple[str, ...]
    item_categories: tuple[str, ...]
    user_text: tuple[str, ...]
    user_categories: tuple[str, ...]


def suggest_columns(table: pa.Table, id_column: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The text columns and the category columns of a profile table, each in the table's order.

    The rule, for every column but the id and the timestamp; the first line that fits decides:

    1. nothing in it: neither;
    2. its name is one of ``TEXT_NAMES``: text;
    3. numbers: a category where they are whole and at most 20 different ones, each on average in
       two rows or more; else neither. Dates: neither;
    4. its name is one of ``CATEGORY_NAMES``, or it has at most 100 different values, each on
       average in two rows or more: a category; and text too, for such words tell what the thing is;
    5. else text.
    """
    text: list[str] = []
    categories: list[str] = []
    for column in table.column_names:
        if column in (id_column, "timestamp"):
            continue
        filled = len(table) - table[column].null_count
        name = column.lower()
        if not filled:
            continue
        if name in TEXT_NAMES:
            text.append(column)
            continue
        distinct = pc.unique(table[column].drop_null())
        repeats = 2 * len(distinct) <= filled
        if _all_match(distinct, r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"):
            whole = _all_match(distinct, r"^\s*-?\d+\s*$")
            if whole and repeats and len(distinct) <= MOST_NUMBERS:
                categories.append(column)
        elif _all_match(distinct, r"^\d{4}-\d\d-\d\d([T ].*)?$"):
            continue
        elif name in CATEGORY_NAMES or (repeats and len(distinct) <= MOST_CATEGORIES):
            categories.append(column)
            text.append(column)
        else:
            text.append(column)
    return tuple(text), tuple(categories)


def suggest_title(columns: Sequence[str]) -> str | None:
    """The column that names an item to people: the first of ``TITLE_NAMES`` there is."""
    folded = {column.lower(): column for column in columns}
    return next((folded[name] for name in TITLE_NAMES if name in folded), None)


def choose_columns(
    options: ReadOptions,
    items: pa.Table | None,
    users: pa.Table | None,
    *,
    item_text: Sequence[str] = (),
    item_categories: Sequence[str] = (),
    user_text: Sequence[str] = (),
    user_categories: Sequence[str] = (),
) -> Chosen:
    """The four choices of ``Tables``: the options' where given, else the format's.

    The format's columns that a table lacks are left out. Raises UsageError where an option names
    a column that is not there.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for name, table, default in (
        ("item_text", items, item_text),
        ("item_categories", items, item_categories),
        ("user_text", users, user_text),
        ("user_categories", users, user_categories),
    ):
        asked = getattr(options, name)
        present = [] if table is None else table.column_names
        if asked is None:
            chosen[name] = tuple(one for one in default if one in present)
        else:
            chosen[name] = asked
            problems += unknown_columns(name, asked, table)
    if problems:
        raise UsageError("; ".join(problems), where="read options")
    return cast(Chosen, chosen)


def _all_match(distinct: pa.Array, pattern: str) -> bool:
    if re.fullmatch(pattern, distinct[0].as_py()) is None:
        return False
    return bool(pc.all(pc.match_substring_regex(distinct, pattern)).as_py())
