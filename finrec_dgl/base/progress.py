"""How long work tells of its progress without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One piece of long work under way."""

    def advance(self, steps: int = 1, **fields: object) -> None:
        """Count ``steps`` more as done; ``fields`` are shown beside (such as ``loss=0.31``)."""


class Progress(Protocol):
    """Whoever listens: a terminal bar, a log, nobody."""

    def task(self, name: str, total: int | None, unit: str = "") -> AbstractContextManager[Task]:
        """Open a task of ``total`` steps (None: unknown); use it as a context manager."""

    def note(self, text: str) -> None:
        """Say one line, such as a stage reached."""


class _SilentTask:
    def advance(self, steps: int = 1, **fields: object) -> None:
        """Nobody listens."""


class Silent:
    """The Progress that nobody sees: the default of every library function."""

    @contextmanager
    def task(self, name: str, total: int | None, unit: str = "") -> Iterator[Task]:  # noqa: ARG002
        """A task that is not shown."""
        yield _SilentTask()

    def note(self, text: str) -> None:
        """Nobody listens."""


SILENT = Silent()
