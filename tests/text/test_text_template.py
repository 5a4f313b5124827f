"""What the template says of a record, and what it passes over."""

import pyarrow as pa
import pytest

from finrec_dgl.base.errors import DataError
from finrec_dgl.text import render_table
from finrec_dgl.text.template import humanise


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("assetSubCategory", "Asset sub category"),
        ("risk_level", "Risk level"),
        ("ISIN", "ISIN"),
        ("ESGScore", "ESG score"),
        ("sector", "Sector"),
        ("item.kind-2", "Item kind 2"),
    ],
)
def test_column_names_become_labels(column: str, label: str) -> None:
    """Would catch labels that read as code, or acronyms broken into letters."""
    assert humanise(column) == label


def test_title_is_bare_after_categories_and_order_is_the_callers() -> None:
    """Would catch a labelled title, labels all share, another order, missing stops."""
    table = pa.table({"sector": ["Tech"], "name": ["Acme"], "assetSubCategory": ["Large cap"]})
    assert render_table(table, ["assetSubCategory", "sector"], title="name") == [
        "Acme. Large cap. Tech."
    ]
    assert render_table(table, ["sector", "name"], title="name") == ["Acme. Tech."]
    columns = ["name", "assetSubCategory", "sector"]
    assert render_table(table, columns, "name", ["sector"]) == ["Tech. Acme. Large cap."]
    assert render_table(table, columns, "name", ["sector", "assetSubCategory", "other"]) == [
        "Large cap. Tech. Acme."
    ]
    assert render_table(table, ["name", "sector"], None, ["sector"]) == [
        "Name: Acme. Sector: Tech."
    ]


def test_absent_values_are_skipped_wherever_they_stand() -> None:
    """Would catch 'None', 'Sector: .', stray spaces, or a null that wipes out the whole row."""
    table = pa.table(
        {
            "name": pa.array(["A", None, "C", None, "  "], pa.string()),
            "x": pa.array([None, "1", "", None, "\t"], pa.string()),
            "y": pa.array(["2", None, None, None, None], pa.string()),
        }
    )
    assert render_table(table, ["x", "y"], title="name") == ["A. 2.", "1.", "C", "", ""]
    assert render_table(table, ["x", "y"]) == ["Y: 2.", "X: 1.", "", "", ""]


def test_white_space_collapses_and_stops_are_not_doubled() -> None:
    """Would catch line breaks, no-break spaces and '..' in what the encoder sees."""
    table = pa.table({"name": ["Is it\r\n\tso?"], "about": ["  one\u00a0\u2003two \x00 three.  "]})
    assert render_table(table, ["about"], title="name") == ["Is it so? one two three."]


def test_a_lone_title_stays_as_written() -> None:
    """Would catch a stop added to posts, whose text is their title."""
    table = pa.table({"text": ["buy $AAPL now", None, " a  b "]})
    assert render_table(table, [], title="text") == ["buy $AAPL now", "", "a b"]
    table = pa.table({"text": ["a", "a"], "kind": ["b", None]})
    assert render_table(table, ["kind"], "text", ["kind"]) == ["b. a.", "a"]


def test_other_types_are_written_out() -> None:
    """Would catch a crash on numbers, truth values or categories encoded as dictionaries."""
    table = pa.table(
        {
            "n": pa.array([3, None], pa.int64()),
            "b": pa.array([True, False]),
            "c": pa.array(["x", "y"]).dictionary_encode(),
        }
    )
    assert render_table(table, ["n", "b", "c"]) == ["N: 3. B: true. C: x.", "B: false. C: y."]
    # beside a title words stand for themselves, numbers and truth values do not
    assert render_table(table, ["n", "b"], title="c") == ["x. N: 3. B: true.", "y. B: false."]
    assert render_table(table, ["n", "c"], title="b") == ["true. N: 3. x.", "false. y."]


def test_no_rows_and_no_columns() -> None:
    """Would catch a crash at the edges."""
    table = pa.table({"name": pa.array([], pa.string()), "x": pa.array([], pa.string())})
    assert render_table(table, ["x"], title="name") == []
    assert render_table(pa.table({"x": ["1", "2"]}), []) == ["", ""]


def test_several_chunks_keep_their_rows() -> None:
    """Would catch text of one chunk beside a title of another."""
    name = pa.chunked_array([["a", "b"], ["c"]])
    x = pa.chunked_array([["1"], ["2", "3"]])
    table = pa.table({"name": name, "x": x})
    assert render_table(table, ["x"], title="name") == ["a. 1.", "b. 2.", "c. 3."]


def test_an_unknown_column_is_named_with_a_hint() -> None:
    """Would catch a KeyError that leaves the user to guess."""
    with pytest.raises(DataError, match="'secter'; did you mean 'sector'"):
        render_table(pa.table({"sector": ["a"]}), ["secter"])


def test_nested_values_are_refused() -> None:
    """Would catch a list printed in Arrow's own notation."""
    with pytest.raises(DataError, match="list"):
        render_table(pa.table({"tags": [["a", "b"]]}), ["tags"])
