"""The outcome of a comparison: one row a model, for machines, for people and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finrec_dgl.evaluation import Comparison

REFERENCE = "hybrid"
"""The model that every other one is compared with."""

METRIC = "ndcg@10"
HEADERS = (
    *("model", "NDCG@10", "95% interval", "Hit@10", "Precision@10", "Recall@10", "MRR"),
    *("difference to the hybrid", "p (Holm)"),
)


@dataclass(frozen=True)
class Row:
    """One model, its metrics averaged over users and seeds.

    ``metrics`` and ``intervals`` (95%, over users) by name, such as "ndcg@10"; ``by_seed``: the
    mean NDCG@10 of each seed; ``chosen``: for each seed what validation chose; ``runs``: folders
    of trained runs, relative to the comparison's; ``comparison``: the model less the hybrid, user
    by user (None: it is the hybrid, or there is none); ``p_value``: its p, corrected after Holm.
    """

    model: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    by_seed: tuple[float, ...]
    chosen: tuple[Mapping[str, Any], ...]
    runs: tuple[str, ...]
    seconds: float
    comparison: Comparison | None
    p_value: float | None

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "model": self.model,
            "seeds": len(self.by_seed),
            "metrics": dict(self.metrics),
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            f"{METRIC} by seed": list(self.by_seed),
            "chosen": [dict(one) for one in self.chosen],
            "runs": list(self.runs),
            "seconds": round(self.seconds, 2),
            "comparison": None if self.comparison is None else self.comparison.to_mapping(),
            "p_holm": self.p_value,
        }

    def cells(self) -> tuple[str, ...]:
        """The row for people, in the order of ``HEADERS``."""
        low, high = self.intervals[METRIC]
        shown = [f"{self.metrics[name]:.4f}" for name in _SHOWN]
        difference, p_value = "", ""
        if self.comparison is not None and self.p_value is not None:
            bounds = " to ".join(f"{one:+.4f}" for one in self.comparison.interval)
            difference = f"{self.comparison.difference:+.4f} ({bounds})"
            p_value = "< 0.001" if self.p_value < 0.001 else f"{self.p_value:.3f}"
        return (self.model, shown[0], f"{low:.4f} to {high:.4f}", *shown[1:], difference, p_value)


_SHOWN = (METRIC, "hit@10", "precision@10", "recall@10", "mrr")


@dataclass(frozen=True)
class Skipped:
    """A model that could not be measured, and why."""

    model: str
    reason: str


@dataclass(frozen=True)
class Table:
    """A comparison on the test split of one data set of ``users`` with ``targets`` to find."""

    dataset: str
    dataset_hash: str
    users: int
    targets: int
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]

    @property
    def title(self) -> str:
        """What the table is of."""
        return f"{self.dataset}: test, {self.users:,} users, {self.targets:,} targets"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the figures: seeds, and what was left out."""
        seeds = max((len(row.by_seed) for row in self.rows), default=0)
        told = [] if seeds < 2 else [f"models that draw at random: mean of {seeds} seeds"]
        return (*told, *(f"{one.model} skipped: {one.reason}" for one in self.skipped))

    def row(self, model: str) -> Row:
        """The row of ``model``. Raises KeyError where it was not measured."""
        for one in self.rows:
            if one.model == model:
                return one
        raise KeyError(model)

    def cells(self) -> list[tuple[str, ...]]:
        """The rows for people, in the order of ``HEADERS``."""
        return [row.cells() for row in self.rows]

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "dataset": {"name": self.dataset, "hash": self.dataset_hash},
            "split": "test",
            "users": self.users,
            "targets": self.targets,
            "metric": METRIC,
            "compared_with": REFERENCE,
            "models": [row.to_mapping() for row in self.rows],
            "skipped": {one.model: one.reason for one in self.skipped},
        }

    def to_markdown(self) -> str:
        """The table as Markdown, numbers to the right."""
        lines = [f"**{_escaped(self.title)}**", "", _line(HEADERS)]
        lines.append(_line(["---"] + ["---:"] * (len(HEADERS) - 1)))
        lines += [_line(cells) for cells in self.cells()]
        lines += [line for note in self.notes for line in ("", _escaped(note))]
        return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
