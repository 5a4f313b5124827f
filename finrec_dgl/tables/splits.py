"""A split that somebody else has made, read from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from finrec_dgl.base.config import suggest
from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.units import DAY
from finrec_dgl.tables.contract import GivenSplit
from finrec_dgl.tables.dates import is_day, parse_date
from finrec_dgl.tables.sheets import open_bytes, unreadable

_KEYS = ("test", "time_point", "test_end", "eligible_assets")


def read_split_file(path: str | Path) -> GivenSplit:
    """Read a JSON file (plain, .gz or .zst) of the form of FAR-Trans's rolling splits.

    One object with the keys ``test`` (user id -> list of item ids), and optionally ``time_point``
    (the cut: a date), ``test_end`` (the test window's last day, or its end as a time) and
    ``eligible_assets`` (the items that may be recommended). Raises DataError.
    """
    path = Path(path)
    found = _read_json(path)
    if not isinstance(found, Mapping):
        raise DataError(
            f"the split file holds {type(found).__name__}, not an object",
            expected=f"an object with the keys {', '.join(_KEYS)}",
            where=str(path),
        )
    problems = [f"unknown key '{key}'{suggest(key, _KEYS)}" for key in found if key not in _KEYS]
    test = found.get("test")
    if "test" not in found:
        problems.append("there is no key 'test'")
    elif not isinstance(test, Mapping) or not all(_is_ids(items) for items in test.values()):
        problems.append("'test' is not an object of user ids with lists of item ids")
    candidates = found.get("eligible_assets")
    if candidates is not None and not _is_ids(candidates):
        problems.append("'eligible_assets' is not a list of item ids")
    times = {key: _time(found.get(key), key, problems) for key in ("time_point", "test_end")}
    if problems or not isinstance(test, Mapping):
        raise DataError(
            f"the split file cannot be used: {'; '.join(problems)}",
            expected=f"an object with the keys {', '.join(_KEYS)}",
            where=str(path),
        )
    end = times["test_end"]
    if end is not None and is_day(found["test_end"]):
        end += DAY
    pairs = pa.table(
        {
            "user_id": pa.array([user for user, items in test.items() for _ in items], pa.string()),
            "item_id": pa.array([item for items in test.values() for item in items], pa.string()),
        }
    )
    try:
        return GivenSplit(
            pairs, None if candidates is None else tuple(candidates), times["time_point"], end
        )
    except DataError as error:
        raise DataError(error.found, where=str(path)) from error


def _read_json(path: Path) -> Any:
    try:
        with open_bytes(path) as stream:
            return json.loads(stream.read())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"the split file is not JSON: {error}", where=str(path)) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one for one in value)


def _time(value: object, key: str, problems: list[str]) -> int | None:
    if value is None:
        return None
    try:
        return parse_date(value)  # type: ignore[arg-type]
    except UsageError as error:
        problems.append(f"'{key}': {error.found}")
        return None
