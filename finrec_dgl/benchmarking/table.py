"""The outcome of a comparison: one row a model, for machines, for people and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from finrec_dgl.evaluation import Comparison, Evaluation, compare, holm

REFERENCE = "hybrid"
"""The model that every other one is compared with, where no other is named."""

METRIC = "ndcg@10"


@dataclass(frozen=True)
class Row:
    """One model, its metrics averaged over users and seeds.

    ``metrics`` and ``intervals`` (95%, over users) by name, such as "ndcg@10"; ``by_seed``: the
    mean NDCG@10 of each seed; ``chosen``: for each seed what validation chose; ``runs``: folders
    of trained runs, relative to the comparison's; ``comparison``: the model less the reference,
    user by user (None: it is the reference, or there is none); ``p_value``: its p, corrected after
    Holm; ``tuning``: how options were chosen, and after how many trials.
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
    tuning: Mapping[str, Any] = field(default_factory=dict)

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
            "tuning": dict(self.tuning),
        }

    def cells(self) -> tuple[str, ...]:
        """The row for people, in the order of ``Table.headers``."""
        low, high = self.intervals[METRIC]
        shown = [f"{self.metrics[name]:.4f}" for name in _SHOWN]
        told = _told(self.comparison, self.p_value)
        return (self.model, shown[0], f"{low:.4f} to {high:.4f}", *shown[1:], *told)


def _told(comparison: Comparison | None, p_value: float | None) -> tuple[str, str]:
    """The difference with its interval, and the p-value; empty where there is none."""
    if comparison is None or p_value is None:
        return "", ""
    bounds = " to ".join(f"{one:+.4f}" for one in comparison.interval)
    told = "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
    return f"{comparison.difference:+.4f} ({bounds})", told


_SHOWN = (METRIC, "hit@10", "precision@10", "recall@10", "mrr")


@dataclass(frozen=True)
class Skipped:
    """A model that could not be measured, and why."""

    model: str
    reason: str


@dataclass(frozen=True)
class Table:
    """A comparison on the test split of one data set of ``users`` with ``targets`` to find.

    ``reference``: the row that the others are compared with; ``group``: all, warm or cold;
    ``remarks``: what else a reader must know; ``evaluations``: by model, the mean over seeds.
    """

    dataset: str
    dataset_hash: str
    users: int
    targets: int
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    reference: str = REFERENCE
    group: str = "all"
    remarks: tuple[str, ...] = ()
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict, compare=False, repr=False)

    @property
    def title(self) -> str:
        """What the table is of."""
        which = "" if self.group == "all" else f" of {self.group} ones"
        return f"{self.dataset}: test{which}, {self.users:,} users, {self.targets:,} targets"

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the columns."""
        shown = ("NDCG@10", "95% interval", "Hit@10", "Precision@10", "Recall@10", "MRR")
        return ("model", *shown, f"difference to {self.reference}", "p (Holm)")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the figures: seeds, and what was left out."""
        seeds = max((len(row.by_seed) for row in self.rows), default=0)
        told = [] if seeds < 2 else [f"models that draw at random: mean of {seeds} seeds"]
        skipped = (f"{one.model} skipped: {one.reason}" for one in self.skipped)
        return (*told, *self.remarks, *skipped)

    def row(self, model: str) -> Row:
        """The row of ``model``. Raises KeyError where it was not measured."""
        for one in self.rows:
            if one.model == model:
                return one
        raise KeyError(model)

    def cells(self) -> list[tuple[str, ...]]:
        """The rows for people, in the order of ``headers``."""
        return [row.cells() for row in self.rows]

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "dataset": {"name": self.dataset, "hash": self.dataset_hash},
            "split": "test",
            "users": self.users,
            "targets": self.targets,
            "metric": METRIC,
            "group": self.group,
            "compared_with": self.reference,
            "models": [row.to_mapping() for row in self.rows],
            "skipped": {one.model: one.reason for one in self.skipped},
        }

    def to_markdown(self) -> str:
        """The table as Markdown, numbers to the right."""
        return markdown(self.title, self.headers, self.cells(), self.notes)


@dataclass(frozen=True)
class Pooled:
    """A model less the reference over the users of all data sets; its p corrected after Holm."""

    comparison: Comparison
    p_value: float


@dataclass(frozen=True)
class Combined:
    """Tables of several data sets side by side: a row a model, a column a data set, their mean.

    ``pooled``: by model, the paired test over the users of all data sets that both were measured
    on.
    """

    tables: tuple[Table, ...]
    pooled: Mapping[str, Pooled]

    @property
    def title(self) -> str:
        """What the table is of."""
        group = self.tables[0].group
        which = "" if group == "all" else f" of {group} ones"
        return f"NDCG@10 on test{which}, {len(self.tables)} data sets"

    @property
    def models(self) -> list[str]:
        """Every model of any table, in their order."""
        return list(dict.fromkeys(row.model for one in self.tables for row in one.rows))

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the columns."""
        told = f"difference to {self.tables[0].reference}, all users"
        return ("model", *(one.dataset for one in self.tables), "mean", told, "p (Holm)")

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of every table, each once."""
        return tuple(dict.fromkeys(note for one in self.tables for note in one.notes))

    def values(self, model: str) -> list[float | None]:
        """NDCG@10 of ``model`` on each data set, then the mean; None where it was not measured."""
        found = [
            next((row.metrics[METRIC] for row in one.rows if row.model == model), None)
            for one in self.tables
        ]
        known = [value for value in found if value is not None]
        return [*found, fmean(known) if len(known) == len(found) else None]

    def cells(self, strong: str = "") -> list[tuple[str, ...]]:
        """The rows for people, in the order of ``headers``; ``strong`` stands around the best."""
        values = [self.values(model) for model in self.models]
        columns = zip(*values, strict=True)
        best = [max((v for v in one if v is not None), default=None) for one in columns]
        rows = []
        for model, found in zip(self.models, values, strict=True):
            pooled = self.pooled.get(model)
            told = _told(pooled.comparison, pooled.p_value) if pooled else ("", "")
            shown = (
                "-" if v is None else f"{strong}{v:.4f}{strong}" if v == top else f"{v:.4f}"
                for v, top in zip(found, best, strict=True)
            )
            rows.append((model, *shown, *told))
        return rows

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "datasets": [{"name": one.dataset, "hash": one.dataset_hash} for one in self.tables],
            "split": "test",
            "metric": METRIC,
            "group": self.tables[0].group,
            "compared_with": self.tables[0].reference,
            "models": [
                {
                    "model": model,
                    "by_dataset": self.values(model)[:-1],
                    "mean": self.values(model)[-1],
                    "comparison": self.pooled[model].comparison.to_mapping()
                    if model in self.pooled
                    else None,
                    "p_holm": self.pooled[model].p_value if model in self.pooled else None,
                }
                for model in self.models
            ],
            "notes": list(self.notes),
        }

    def to_markdown(self) -> str:
        """The table as Markdown, the best of each column bold."""
        return markdown(self.title, self.headers, self.cells("**"), self.notes)


def combine(tables: Sequence[Table]) -> Combined:
    """The tables of several data sets as one, with the paired test over the users of all.

    All must have the same reference; two models are compared on the data sets that have both.
    """
    reference = tables[0].reference
    pairs: dict[str, Comparison] = {}
    for model in dict.fromkeys(name for one in tables for name in one.evaluations):
        both = [one.evaluations for one in tables if {model, reference} <= set(one.evaluations)]
        if model != reference and both:
            pairs[model] = compare(
                _together([one[model] for one in both]),
                _together([one[reference] for one in both]),
                METRIC,
            )
    adjusted = holm([one.p_value for one in pairs.values()]).tolist()
    pooled = {
        model: Pooled(one, p_value)
        for (model, one), p_value in zip(pairs.items(), adjusted, strict=True)
    }
    return Combined(tuple(tables), pooled)


def _together(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The users of all ``evaluations`` as those of one."""
    values = np.concatenate([one.per_user[METRIC] for one in evaluations])
    return Evaluation(
        split=evaluations[0].split,
        k=evaluations[0].k,
        users=np.arange(len(values), dtype=np.int32),
        per_user={METRIC: values},
        targets=sum(one.targets for one in evaluations),
        unreachable=sum(one.unreachable for one in evaluations),
    )


def markdown(
    title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()
) -> str:
    """A table as Markdown, numbers to the right, ``notes`` below."""
    lines = [f"**{_escaped(title)}**", "", _line(headers)]
    lines.append(_line(["---"] + ["---:"] * (len(headers) - 1)))
    lines += [_line(cells) for cells in rows]
    lines += [line for note in notes for line in ("", _escaped(note))]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
