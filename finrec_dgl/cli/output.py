"""What a command says and where: its result on stdout, everything else on stderr."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finrec_dgl.base.errors import FinrecError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from finrec_dgl.base.progress import Progress

Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks and warnings, for bug reports.")]


def clean(text: str) -> str:
    """``text`` without control characters, which could steer a terminal: ids are others' data."""
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode()
        for one in text
    )


@contextmanager
def importing() -> Iterator[None]:
    """While a command imports what it needs: nobody looks for garbage, for there is none.

    Each look goes over all that lives, and PyTorch's modules are half a million objects.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Output:
    """Where one command's result and progress go; as a context, keeps others' prints off stdout."""

    def __init__(self, *, json: bool = False, quiet: bool = False, debug: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self.debug = debug
        self._stdout = sys.stdout
        self._redirected: redirect_stdout[Any] | None = None

    @classmethod
    def of(cls, argv: Sequence[str]) -> Output:
        """The output that the command line ``argv`` asks for, even where it cannot be parsed."""
        return cls(json="--json" in argv, quiet="--quiet" in argv, debug="--debug" in argv)

    def __enter__(self) -> Output:
        # DGL and others print while they are imported
        self._redirected = redirect_stdout(sys.stderr)
        self._redirected.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._redirected is not None:
            self._redirected.__exit__(kind, error, traceback)

    @property
    def progress(self) -> Progress:
        """The listener for long work."""
        from finrec_dgl.cli.progress import listener

        return listener(quiet=self.quiet)

    def result(self, mapping: Mapping[str, Any], show: Callable[[Console], None]) -> None:
        """Write the result once: ``mapping`` with --json, else what ``show`` draws."""
        if self.json:
            self._document(mapping)
        else:
            show(self._console())
        self._stdout.flush()

    def error(self, error: FinrecError) -> None:
        """Say what went wrong on stderr; with --json as a document on stdout too."""
        from rich.console import Console
        from rich.text import Text

        first, *rest = clean(error.render()).split("\n")
        message = Text.assemble(("error: ", "bold red"), first)
        message.append("".join(f"\n{line}" for line in rest))
        Console(file=sys.stderr).print(message, soft_wrap=True, highlight=False)
        if self.json:
            self._document({"error": error.to_mapping()})

    def _document(self, mapping: Mapping[str, Any]) -> None:
        text = json.dumps(mapping, indent=2, ensure_ascii=False, allow_nan=False)
        self._stdout.write(text + "\n")

    def _console(self) -> Console:
        from rich.console import Console

        terminal = self._stdout.isatty()
        # a pipe has no width: do not fold a table for it
        return Console(file=self._stdout, width=None if terminal else 200, highlight=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A rich table; numbers stand to the right. No header where all ``columns`` are empty."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    headed = any(columns)
    drawn = Table(
        title=Text(clean(title), style="bold") if title else None,
        title_justify="left",
        show_header=headed,
        box=box.SIMPLE_HEAD if headed else None,
        pad_edge=True,
    )
    for at, name in enumerate(columns):
        numbers = all(isinstance(row[at], (int, float)) for row in rows)
        drawn.add_column(name, justify="right" if numbers and rows else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(clean(show_value(value))) for value in row))
    return drawn


def show_value(value: object) -> str:
    """A value for people: counts with separators, floats to four places, absent ones as a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.4f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(show_value(one) for one in value) or "-"
    return str(value)
