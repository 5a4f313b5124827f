"""Progress on stderr: bars on a terminal, lines in a log, nothing when quiet."""

from __future__ import annotations

import io
import sys

import pytest

from finrec_dgl.base.progress import SILENT
from finrec_dgl.cli import progress
from finrec_dgl.cli.progress import Bars, Lines, listener, show_fields, show_rate, show_seconds


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def stderr_is_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of stderr, from within a test: pytest sets its own before."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    return screen


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A clock whose only element is the time."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_quiet_is_silent():
    """Catches progress in a nightly job's mail."""
    assert listener(quiet=True) is SILENT


def test_the_listener_fits_stderr(monkeypatch):
    """Catches escape sequences in a log, or plain lines on a terminal."""
    stderr_is_terminal(monkeypatch)
    assert isinstance(listener(quiet=False), Bars)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(listener(quiet=False), Lines)


def test_a_bar_shows_count_fields_and_notes(monkeypatch):
    """Catches a bar that stays at nothing, or one that swallows notes."""
    terminal = stderr_is_terminal(monkeypatch)
    bars = Bars()
    bars.note("before")
    with bars.task("epochs", total=20, unit="epochs") as task:
        for _ in range(20):
            task.advance(loss=0.31239)
        bars.note("a [red]note[/red]")
        with bars.task("inner", total=None) as inner:
            inner.advance(3)
    shown = terminal.getvalue()
    assert "before\n" in shown
    assert "20/20" in shown
    assert "loss 0.3124" in shown
    assert "a [red]note[/red]" in shown


def test_bars_end_after_an_error(monkeypatch):
    """Catches a terminal left without its cursor."""
    terminal = stderr_is_terminal(monkeypatch)
    bars = Bars()
    with pytest.raises(ValueError, match="x"), bars.task("a", total=1):
        raise ValueError("x")
    assert terminal.getvalue().rstrip().endswith("\x1b[?25h")


def test_a_log_gets_a_line_now_and_then(capsys, clock):
    """Catches a log without progress, and one flooded with it."""
    lines = Lines()
    with lines.task("train", total=100, unit="epochs") as task:
        for _ in range(50):
            clock[0] += 1.0
            task.advance(loss=0.5)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "train: 10/100 epochs, 1.0 epochs/s, 0:00:10 elapsed, 0:01:30 left, loss 0.5"
    assert len(told) == 6
    assert told[-1].startswith("train: 50/100 epochs")


def test_a_short_task_leaves_no_line(capsys, clock):
    """Catches one line for each of a thousand quick evaluations."""
    lines = Lines()
    for _ in range(5):
        with lines.task("evaluate", total=3) as task:
            clock[0] += 1.0
            task.advance(3)
    assert capsys.readouterr().err == ""


def test_a_log_gets_every_note(capsys):
    """Catches a stage that a log does not tell of."""
    Lines().note("reading")
    assert capsys.readouterr().err == "reading\n"


def test_numbers_are_readable():
    """Catches rates as 0.0/s and raw seconds."""
    assert show_rate(1234.5, "rows") == "1,234 rows/s"
    assert show_rate(0.02, "epochs") == "50.0 s/epoch"
    assert show_rate(2.0, "steps") == "2.0 steps/s"
    assert show_seconds(65.2) == "0:01:05"
    assert show_seconds(None) == "-"
    assert show_fields({"loss": 0.312391, "epoch": 3}) == "loss 0.3124, epoch 3"
