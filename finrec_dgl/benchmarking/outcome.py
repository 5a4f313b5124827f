"""From results to tables and pictures, for every comparison of models on the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finrec_dgl.benchmarking.charts import Bar, bars, picture
from finrec_dgl.benchmarking.jobs import Measured, mean_evaluation, write_outcome
from finrec_dgl.benchmarking.table import METRIC, REFERENCE, Combined, Row, Skipped, Table, combine
from finrec_dgl.dataset import Dataset
from finrec_dgl.evaluation import Comparison, compare, holm


@dataclass(frozen=True)
class Outcome:
    """The tables of one comparison, a data set each, and all side by side if there are several."""

    tables: tuple[Table, ...]
    combined: Combined | None

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "tables": [one.to_mapping() for one in self.tables],
            "combined": None if self.combined is None else self.combined.to_mapping(),
        }


def table_of(
    dataset: Dataset,
    measured: Mapping[str, Measured],
    skipped: Sequence[Skipped] = (),
    reference: str = REFERENCE,
    group: str = "all",
    remarks: Sequence[str] = (),
) -> Table:
    """The table of ``measured`` on ``group``; each row but ``reference``'s is compared with it."""
    seeded = {name: one.evaluations(group) for name, one in measured.items()}
    means = {name: mean_evaluation(evaluations) for name, evaluations in seeded.items()}
    comparisons: dict[str, Comparison] = {}
    if reference in means:
        others = [name for name in means if name != reference]
        comparisons = {name: compare(means[name], means[reference]) for name in others}
    adjusted = holm([one.p_value for one in comparisons.values()]).tolist()
    p_values = dict(zip(comparisons, adjusted, strict=True))
    rows = [
        Row(
            model=name,
            metrics=mean.metrics,
            intervals=mean.intervals,
            by_seed=tuple(one.metrics[METRIC] for one in seeded[name]),
            chosen=tuple(one["chosen"] for one in measured[name].results),
            runs=tuple(one["run"] for one in measured[name].results if one["run"]),
            seconds=sum(one["seconds"] for one in measured[name].results),
            comparison=comparisons.get(name),
            p_value=p_values.get(name),
            tuning=measured[name].tuning,
        )
        for name, mean in means.items()
    ]
    some = next(iter(means.values()), None)
    return Table(
        dataset=name_of(dataset),
        dataset_hash=dataset.hash,
        users=len(some.users) if some else 0,
        targets=some.targets if some else 0,
        rows=tuple(rows),
        skipped=tuple(skipped),
        reference=reference,
        group=group,
        remarks=tuple(remarks),
        evaluations=means,
    )


def name_of(dataset: Dataset) -> str:
    """The name of the data set's folder."""
    return Path(dataset.path).resolve().name


def write_table(out: Path, table: Table, name: str = "table") -> None:
    """Write ``table`` as JSON, Markdown and SVG."""
    drawn = picture(table.title, [("NDCG@10 with 95% intervals", _bars(table), ())])
    write_outcome(out, name, table.to_mapping(), table.to_markdown(), drawn)


def write_combined(out: Path, tables: Sequence[Table], name: str = "table") -> Outcome:
    """The tables of several data sets side by side, written to ``out``; one is left as it is."""
    if len(tables) < 2:
        return Outcome(tuple(tables), None)
    combined = combine(tables)
    drawn = picture(combined.title, [(one.title, _bars(one), ()) for one in tables])
    write_outcome(out, name, combined.to_mapping(), combined.to_markdown(), drawn)
    return Outcome(tuple(tables), combined)


def _bars(table: Table) -> str:
    rows = [
        Bar(row.model, row.metrics[METRIC], *row.intervals[METRIC], row.model == table.reference)
        for row in table.rows
    ]
    return bars(table.title, rows, "NDCG@10 on test")
