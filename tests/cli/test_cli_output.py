"""Results on stdout and only there, as text or as one document."""

from __future__ import annotations

import json
import sys

import pytest

from finrec_dgl.base.errors import UsageError
from finrec_dgl.cli.options import integers, names
from finrec_dgl.cli.output import Output, clean, show_value, table


def test_json_is_one_document_whatever_others_print(capsys):
    """Catches a print of another package, DGL's at import for one, inside our document."""
    with Output(json=True) as output:
        sys.stdout.write("Setting the default backend\n")
        output.result({"a": 1, "title": "Ä"}, lambda _: pytest.fail("drawn too"))
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": 1, "title": "Ä"}
    assert captured.err == "Setting the default backend\n"


def test_stdout_is_given_back(capsys):
    """Catches a redirection that outlives the command, or one that an error leaves behind."""
    before = sys.stdout
    with pytest.raises(UsageError), Output():
        raise UsageError("no")
    assert sys.stdout is before


def test_a_value_that_is_no_json_is_refused():
    """Catches NaN in a document, which few readers take."""
    with Output(json=True) as output, pytest.raises(ValueError, match="not JSON compliant"):
        output.result({"a": float("nan")}, lambda _: None)


def test_text_is_drawn_without_folding_into_a_pipe(capsys):
    """Catches a table cut to 80 columns where it is read by another program."""
    wide = "x" * 150
    with Output() as output:
        output.result({}, lambda console: console.print(table("t", ("a", "b"), [(wide, 1)])))
    assert wide in capsys.readouterr().out


def test_a_table_shows_ids_as_they_are(capsys):
    """Catches ids read as markup or sent to the terminal raw."""
    with Output() as output:
        drawn = table("", ("id",), [("[red]a[/red]\x1b[2J",)])
        output.result({}, lambda console: console.print(drawn))
    assert "[red]a[/red]\\x1b[2J" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.31239, "0.3124"),
        ([], "-"),
        (["a", 2], "a, 2"),
        ("plain", "plain"),
    ],
)
def test_values_for_people(value, shown):
    """Catches a value shown in Python's own spelling."""
    assert show_value(value) == shown


def test_clean_keeps_lines_and_letters():
    """Catches umlauts or line breaks lost with the control characters."""
    assert clean("Zürich\nBörse\x07") == "Zürich\nBörse\\x07"


def test_lists_of_names_and_numbers():
    """Catches spaces, repeats or an empty list read wrongly."""
    assert names(None) is None
    assert names("") == ()
    assert names("a, b") == ("a", "b")
    assert integers(["10,20", "50"], "--k") == [10, 20, 50]
    with pytest.raises(UsageError, match="--k"):
        integers(["ten"], "--k")
