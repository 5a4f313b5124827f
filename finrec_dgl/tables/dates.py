"""Dates and times as whole seconds since 1970-01-01 UTC, from text or from typed columns."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import UsageError
from finrec_dgl.tables.piecewise import piecewise

EXPECTED = (
    "unix time in seconds, or ISO 8601 such as 2015-06-01 or 2015-06-01T12:30:00+02:00 "
    "(no offset: UTC)"
)
EARLIEST = -2208988800
"""1900-01-01: earlier dates are taken for mistakes."""
LATEST = 7258118400
"""2200-01-01: this and later dates are taken for mistakes (9999-12-31 is a common "never")."""
_MILLISECONDS = 10**11
"""Integers above this are milliseconds: as seconds they would lie beyond the year 5138."""
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?)?"
    r"(?: ?(?:Z|([+-])(\d\d):?(\d\d)?))?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"-?\d{1,19}(?:\.\d*)?", re.ASCII)


def parse_date(text: str) -> int:
    """Seconds since 1970 UTC of an ISO 8601 date (its first second) or date and time.

    Without an offset the time is UTC; fractions of a second are cut off. Raises UsageError where
    ``text`` is no such date, or lies before 1900 or after 2199.
    """
    seconds = _iso_seconds(text.strip()) if isinstance(text, str) else None
    if seconds is None:
        raise UsageError(
            f"{text!r} is not a date",
            expected="ISO 8601 such as 2015-06-01 or 2015-06-01T12:30:00+02:00 (no offset: UTC)",
        )
    if not EARLIEST <= seconds < LATEST:
        raise UsageError(f"the date {text!r} is out of range", expected="the years 1900 to 2199")
    return seconds


def is_day(text: str) -> bool:
    """Whether ``text`` is a date without a time of day."""
    return re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip(), re.ASCII) is not None


def to_seconds(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column of strings, integers, floats, dates or timestamps as int64 seconds since 1970 UTC.

    Integers above 1e11 are milliseconds. A string that is no date becomes null. None where the
    column's type cannot hold times. The range is not checked here.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # Arrow keeps zoned timestamps in UTC already; a time without a zone is UTC by our rule
        return pc.floor_temporal(column, unit="second").cast(pa.timestamp("s")).cast(pa.int64())
    if pa.types.is_integer(kind):
        return _whole(column)
    if pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(column), column, None)
        return _whole(pc.floor(finite))
    if not pa.types.is_string(kind):
        return None
    return pa.chunked_array(
        [piecewise(chunk, _parse_all, _parse_one, pa.int64()) for chunk in column.chunks],
        type=pa.int64(),
    )


def days_without_dashes(column: pa.ChunkedArray) -> bool:
    """Whether every value is an integer like 20150601, which as seconds would lie in 1970."""
    if len(column) == column.null_count:
        return False
    if pa.types.is_string(column.type):
        lengths = pc.min_max(pc.utf8_length(column)).as_py()
        if lengths["min"] != 8 or lengths["max"] != 8:
            return False
        pattern = r"^(19|20|21)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
        return bool(pc.all(pc.match_substring_regex(column, pattern)).as_py())
    if not pa.types.is_integer(column.type):
        return False
    ends = pc.min_max(column).as_py()
    return ends["min"] >= 19000101 and ends["max"] <= 21991231


def _whole(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    whole = numbers.cast(pa.int64(), safe=False)
    if not (pc.max(whole).as_py() or 0) > _MILLISECONDS:
        return whole
    return pc.if_else(pc.greater(whole, _MILLISECONDS), pc.divide(whole, 1000), whole)


def _parse_all(strings: pa.Array) -> pa.Array:
    """Whole seconds of strings that are all integers, or all dates of one kind; else ArrowInvalid.

    The first string says which: a cast that fails is slow, for Arrow words an error per value.
    """
    first = strings.slice(0, 16).drop_null()
    first = (first if len(first) else strings.drop_null()).slice(0, 1)
    kinds = (pa.int64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
    kind = next((one for one in kinds if _casts(first, one)), None)
    if kind is None:
        raise pa.ArrowInvalid("the first string is no date")
    if pa.types.is_integer(kind):
        return _whole(strings.cast(kind))
    times = pc.floor_temporal(strings.cast(kind), unit="second")
    return times.cast(pa.timestamp("s")).cast(pa.int64())


def _casts(values: pa.Array, kind: pa.DataType) -> bool:
    try:
        values.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _parse_one(text: str) -> int | None:
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = int(text.partition(".")[0])
        return number // 1000 if number > _MILLISECONDS else number
    return _iso_seconds(text)


def _iso_seconds(text: str) -> int | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, sign, off_hours, off_minutes = match.groups()
    try:
        moment = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            tzinfo=timezone.utc,
        )
    except ValueError:
        return None
    seconds = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1)
    if sign is not None:
        if int(off_hours) > 23 or int(off_minutes or 0) > 59:
            return None
        offset = int(off_hours) * 3600 + int(off_minutes or 0) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds
