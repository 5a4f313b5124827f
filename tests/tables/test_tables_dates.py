"""Dates: every accepted form gives the right second, one value or a whole column alike."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finrec_dgl.base.errors import UsageError
from finrec_dgl.tables import parse_date
from finrec_dgl.tables.dates import days_without_dashes, is_day, to_seconds

FORMS = [
    ("2015-06-01", 1433116800),
    ("2015-06-01T00:00", 1433116800),
    ("2015-06-01 12", 1433160000),
    ("2015-06-01 12:30:15", 1433161815),
    ("2015-06-01T12:30:15.999", 1433161815),
    ("2015-06-01T12:30:15Z", 1433161815),
    ("2015-06-01T12:30:15+02:00", 1433154615),
    ("2015-06-01T12:30:15-0130", 1433167215),
    ("1969-12-31T23:59:59.5Z", -1),
]
WRONG = [
    *("", "today", "2015-02-30", "2015-13-01", "2015-6-1", "01.06.2015", "2015-06-01T25:00"),
    *("2015-06-01T12:30+99:00", "2015-06-01Z", "20150601", "1433116800", "٢٠١٥-٠٦-٠١"),
]


def column(*values: str | None) -> pa.ChunkedArray:
    """A column of strings in two chunks."""
    middle = len(values) // 2
    return pa.chunked_array([values[:middle], values[middle:]], pa.string())


@pytest.mark.parametrize(("text", "seconds"), FORMS)
def test_a_date_is_the_same_second_alone_and_in_a_column(text, seconds):
    assert parse_date(text) == seconds
    assert to_seconds(column(text, text)).to_pylist() == [seconds, seconds]
    # beside a value of another form the slow path answers; it must agree
    assert to_seconds(column(text, "5", "x", None)).to_pylist() == [seconds, 5, None, None]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_date_is_a_usage_error(text):
    with pytest.raises(UsageError, match="is not a date") as caught:
        parse_date(text)
    assert caught.value.exit_code == 2
    assert "2015-06-01" in str(caught.value)


@pytest.mark.parametrize("text", ["1899-12-31", "2200-01-01", "9999-12-31"])
def test_a_date_far_off_is_refused(text):
    with pytest.raises(UsageError, match="out of range"):
        parse_date(text)


def test_integers_are_seconds_and_large_ones_milliseconds():
    assert to_seconds(column("1433116800", "1433116800123", "-5")).to_pylist() == [
        1433116800,
        1433116800,
        -5,
    ]
    assert to_seconds(column("1433116800.0", "x")).to_pylist() == [1433116800, None]
    numbers = pa.chunked_array([[1433116800, 1433116800123]])
    assert to_seconds(numbers).to_pylist() == [1433116800, 1433116800]
    floats = pa.chunked_array([[1433116800.7, float("nan"), float("inf")]])
    assert to_seconds(floats).to_pylist() == [1433116800, None, None]


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("us", "UTC")),
        *(pa.timestamp("ns", "America/New_York"), pa.date32(), pa.date64()),
    ],
)
def test_typed_times_of_parquet_are_read_in_utc(kind):
    typed = pa.chunked_array([pa.array([1433116800], pa.int64()).cast(pa.timestamp("s"))])
    assert to_seconds(typed.cast(kind)).to_pylist() == [1433116800]


def test_a_fraction_before_1970_is_cut_towards_the_past():
    typed = pa.chunked_array([pa.array([-500], pa.timestamp("ms"))])
    assert to_seconds(typed).to_pylist() == [-1]


def test_types_that_hold_no_times_give_none():
    assert to_seconds(pa.chunked_array([[True]])) is None


def test_days_without_dashes_are_seen():
    assert days_without_dashes(column("20150601", "20151231"))
    assert days_without_dashes(pa.chunked_array([[20150601]]))
    assert not days_without_dashes(column("20150601", "1433116800"))
    assert not days_without_dashes(column("20151399"))
    assert not days_without_dashes(column(None, None))
    assert is_day("2015-06-01")
    assert not is_day("2015-06-01T00:00")


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30)),
    st.none() | st.integers(-23 * 60, 23 * 60),
    st.sampled_from("T "),
)
def test_any_moment_comes_back_as_its_second(moment, offset, joint):
    zone = timezone.utc if offset is None else timezone(timedelta(minutes=offset))
    text = moment.isoformat(joint)
    if offset is not None:
        text += moment.replace(tzinfo=zone).isoformat()[-6:]
    expected = (moment.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=timezone.utc)) // (
        timedelta(seconds=1)
    )
    assert parse_date(text) == expected
    assert to_seconds(column(text, text)).to_pylist() == [expected, expected]
    assert to_seconds(column("x", text)).to_pylist() == [None, expected]
