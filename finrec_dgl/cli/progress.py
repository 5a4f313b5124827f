"""Shows the progress of long work on stderr: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from finrec_dgl.base.progress import SILENT, Progress, Task

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LOG_SECONDS = 10.0  # between two lines in a log


def listener(*, quiet: bool) -> Progress:
    """The Progress that fits stderr: none with ``quiet``, a bar on a terminal, else lines."""
    if quiet:
        return SILENT
    return Bars() if sys.stderr.isatty() else Lines()


def show_fields(fields: dict[str, object]) -> str:
    """``loss 0.3124, ndcg 0.2`` of ``{"loss": 0.31241, "ndcg": 0.2}``."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in fields.items()
    )


def show_rate(steps: float, unit: str) -> str:
    """``12.5 epochs/s``, or the inverse where that is the clearer number."""
    if 0 < steps < 0.1:
        return f"{1 / steps:.1f} s/{unit.removesuffix('s') or 'step'}"
    return f"{steps:,.0f} {unit}/s" if steps >= 100 else f"{steps:.1f} {unit}/s"


def show_seconds(seconds: float | None) -> str:
    """``0:01:05`` of 65.2; a dash where it is unknown."""
    return "-" if seconds is None else str(timedelta(seconds=round(seconds)))


class _BarTask:
    def __init__(self, bars: RichProgress, task: TaskID) -> None:
        self._bars = bars
        self._task = task
        self._fields: dict[str, object] = {}

    def advance(self, steps: int = 1, **fields: object) -> None:
        self._fields.update(fields)
        self._bars.update(self._task, advance=steps, fields=show_fields(self._fields))


class Bars:
    """Bars with count, rate, elapsed and remaining time; a task inside another goes when done."""

    def __init__(self) -> None:
        self._bars: RichProgress | None = None
        self._open = 0

    @contextmanager
    def task(self, name: str, total: int | None, unit: str = "") -> Iterator[Task]:
        """Show a bar while the block runs."""
        if self._bars is None:
            self._bars = _rich_bars()
            self._bars.start()
        bars = self._bars
        self._open += 1
        task = bars.add_task(name, total=total, unit=unit or "steps", fields="")
        try:
            yield _BarTask(bars, task)
        finally:
            self._open -= 1
            if self._open:
                bars.remove_task(task)
            else:
                bars.stop_task(task)
                bars.stop()
                self._bars = None

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(f"{text}\n")


def _rich_bars() -> RichProgress:
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress
    from rich.progress import Task as RichTask
    from rich.text import Text

    class Count(ProgressColumn):
        def render(self, task: RichTask) -> Text:
            total = "" if task.total is None else f"/{int(task.total):,}"
            return Text(f"{int(task.completed):,}{total}", style="progress.download")

    class Rate(ProgressColumn):
        def render(self, task: RichTask) -> Text:
            speed = task.finished_speed or task.speed
            return Text(show_rate(speed, task.fields["unit"]) if speed else "")

    class Remaining(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: RichTask) -> Text:
            left = task.time_remaining
            return Text(f"{show_seconds(left)} left" if left else "")

    class Shown(RichProgress):
        def get_renderables(self) -> Iterator[RenderableType]:
            # the fields on a line of their own: beside the bar there is no room for a loss's terms
            for task in self.tasks:
                yield self.make_tasks_table([task])
                if task.fields["fields"]:
                    yield Text(f"  {task.fields['fields']}", style="dim")

    return Shown(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        Count(),
        Rate(),
        TimeElapsedColumn(),
        Remaining(),
        console=Console(file=sys.stderr),
        redirect_stdout=False,
    )


class _LineTask:
    def __init__(self, lines: Lines, name: str, total: int | None, unit: str) -> None:
        self._lines = lines
        self._name = name
        self._total = total
        self._unit = unit or "steps"
        self._done = 0
        self._started = time.monotonic()
        self._fields: dict[str, object] = {}

    def advance(self, steps: int = 1, **fields: object) -> None:
        self._done += steps
        self._fields.update(fields)
        self._lines.occasionally(self)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def __str__(self) -> str:
        rate = self._done / self.seconds if self.seconds > 0 else 0.0
        parts = [f"{self._done:,} {self._unit}", show_rate(rate, self._unit)]
        if self._total:
            parts[0] = f"{self._done:,}/{self._total:,} {self._unit}"
        parts.append(f"{show_seconds(self.seconds)} elapsed")
        if self._total and rate and self._done < self._total:
            parts.append(f"{show_seconds((self._total - self._done) / rate)} left")
        if self._fields:
            parts.append(show_fields(self._fields))
        return f"{self._name}: {', '.join(parts)}"


class Lines:
    """Plain lines, at most one every ``LOG_SECONDS``, and one at the end of a task that long."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    @contextmanager
    def task(self, name: str, total: int | None, unit: str = "") -> Iterator[Task]:
        """Tell of the block's progress now and then."""
        task = _LineTask(self, name, total, unit)
        yield task
        if task.seconds >= LOG_SECONDS:
            self.note(str(task))

    def occasionally(self, line: Any) -> None:
        """Say ``line`` where the last one lies long enough back."""
        if time.monotonic() - self._last >= LOG_SECONDS:
            self.note(str(line))

    def note(self, text: str) -> None:
        """Say one line."""
        self._last = time.monotonic()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
