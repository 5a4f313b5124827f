"""The entry point: exit codes, where errors are said, what --help costs."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from finrec_dgl import __version__
from finrec_dgl.base.errors import DataError, FinrecError, TrainingError, UsageError
from finrec_dgl.cli import app, main
from finrec_dgl.cli import inspect as inspect_command

HELP_SECONDS = 0.3
NEVER_FOR_HELP = {"torch", "dgl", "pyarrow", "numpy", "transformers", "pandas", "rich"}


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``inspect`` fail with ``error`` as soon as it starts."""

    def enter(_: object) -> None:
        raise error

    monkeypatch.setattr(inspect_command.Output, "__enter__", enter)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("the words"), 2),
        (DataError("the words"), 2),
        (TrainingError("the words"), 1),
        (FinrecError("the words"), 1),
        (ValueError("the words"), 1),
        (MemoryError(), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_every_failure_has_its_exit_code_and_one_message(monkeypatch, finrec, error, code, as_json):
    """Catches a traceback, a wrong exit code, or an error a script cannot read."""
    fails(monkeypatch, error)
    said = finrec("inspect", "x", *(["--json"] if as_json else []))
    assert said.code == code
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    if as_json:
        assert set(said.document["error"]) == {"kind", "found", "expected", "where", "mend"}
    else:
        assert said.out == ""


def test_an_error_says_expected_where_and_mend_on_lines_of_their_own(monkeypatch, finrec):
    """Catches parts of an error that get lost on the way to the terminal."""
    fails(monkeypatch, DataError("found it", expected="else", where="a.csv, row 3", mend="do so"))
    said = finrec("inspect", "x")
    assert said.err == "error: found it\n  expected: else\n  where: a.csv, row 3\n  mend: do so\n"


def test_an_error_cannot_steer_the_terminal(monkeypatch, finrec):
    """Catches control characters of an id reaching the terminal, and ids read as rich's markup."""
    fails(monkeypatch, DataError("id '\x1b[2J[bold]x\r' is odd"))
    said = finrec("inspect", "x")
    assert said.err == "error: id '\\x1b[2J[bold]x\\r' is odd\n"


def test_debug_alone_shows_a_traceback(monkeypatch, finrec):
    """Catches a bug report without the place of the failure."""
    fails(monkeypatch, ValueError("the words"))
    assert "Traceback" in finrec("inspect", "x", "--debug").err
    assert "again with --debug" in finrec("inspect", "x").err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["trian"], "train"),
        (["inspect", "x", "--jsno"], "--json"),
        (["inspect"], "dataset"),
        (["inspect", "x", "y"], "unexpected"),
        (["train", "a", "b", "--epochs", "many"], "--epochs"),
        (["--nonsense"], "--nonsense"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_cannot_be_parsed_exits_2(finrec, argv, words):
    """Catches usage errors said in another voice, without the near word, or past --json."""
    said = finrec(*argv)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert words.lower() in said.err.lower()
    assert "--help" in said.err
    said = finrec(*argv, "--json")
    assert said.code == 2
    assert said.document["error"]["kind"] == "UsageError"


def test_version_and_help_are_results(finrec):
    """Catches help or the version on stderr, where no pager finds them."""
    assert finrec("--version").out == f"finrec-dgl {__version__}\n"
    assert finrec().out == finrec("--help").out
    assert "recommend" in finrec("--help").out


def leaves(command, path=()):
    """The words of every command, those of groups too."""
    below = getattr(command, "commands", {})
    return [leaf for name, one in below.items() for leaf in leaves(one, (*path, name))] or [path]


ROOT = typer.main.get_command(app.app)


@pytest.mark.parametrize("command", leaves(ROOT), ids=" ".join)
def test_every_command_has_help_and_the_three_flags(finrec, command):
    """Catches a command without --json, --quiet or --debug, or an option without help."""
    said = finrec(*command, "--help")
    assert said.code == 0
    assert {"--json", "--quiet", "--debug"} <= set(said.out.split())
    found = ROOT
    for word in command:
        found = found.commands[word]
    assert [one.name for one in found.params if not one.help] == []


def command_line(*argv: str) -> list[str]:
    """The installed program, as a person runs it."""
    return [str(Path(sys.executable).with_name("finrec-dgl")), *argv]


def test_help_is_fast_and_imports_nothing_heavy():
    """Catches a heavy import on the way to --help."""
    code = (
        "import sys; from finrec_dgl.cli import main; main(['--help']);"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not NEVER_FOR_HELP & set(done.stderr.split())

    def processor_seconds() -> float:
        # of the process, not of the clock: other tests share the cores
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command_line("--help"), capture_output=True, timeout=60, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(processor_seconds() for _ in range(5)) < HELP_SECONDS


SLOW = """
import sys, time
from finrec_dgl.base.files import folder_atomically
from finrec_dgl.cli import app, inspect

def enter(_):
    with folder_atomically(sys.argv[2], marker="x"):
        sys.stderr.write("started\\n"); sys.stderr.flush()
        time.sleep(60)

inspect.Output.__enter__ = enter
sys.exit(app.main())
"""


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_leaves_nothing_half_made(tmp_path, sent, code):
    """Catches an interrupted command that leaves temporary files, or a traceback."""
    target = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "inspect", str(target)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.readline() == "started\n"
        os.kill(process.pid, sent)
        told = process.stderr.read()
    assert process.wait(timeout=30) == code
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in told
    if sent == signal.SIGINT:
        assert "nothing was lost" in told


def test_a_closed_pipe_ends_quietly():
    """Catches a traceback where the reader (head, less) went away first."""
    process = subprocess.Popen(
        command_line("--help"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        told = process.stderr.read()
    process.wait(timeout=30)
    assert told == ""


def test_main_does_not_touch_the_process_when_called_from_python():
    """Catches a caller's signal handler or warning filter being replaced."""
    before = signal.getsignal(signal.SIGTERM)
    assert main(["--version"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before
