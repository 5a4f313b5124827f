"""``finrec-dgl benchmark``: measurements, so far of how well models rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finrec_dgl.base.errors import UsageError
from finrec_dgl.cli.options import names
from finrec_dgl.cli.output import Debug, Json, Output, Quiet, table
from finrec_dgl.cli.train import read_config

if TYPE_CHECKING:
    from rich.console import Console

    from finrec_dgl.benchmarking import Combined, Table
    from finrec_dgl.dataset import Dataset
    from finrec_dgl.training import TrainConfig

Datasets = Annotated[list[Path], typer.Argument(help="Folders that preprocess made.")]
Out = Annotated[
    Path, typer.Option(help="The folder to make, or to go on in; one in it for each data set.")
]
Seeds = Annotated[int, typer.Option(help="Of what draws at random.")]
Configs = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        help="A TOML file of the hybrid's configuration: one for all, or one for each data set in "
        "their order.",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One key of the configuration; repeatable."),
]
Budget = Annotated[int, typer.Option(help="Trials a model at most, when it is tuned.")]
Windows = Annotated[
    int, typer.Option(help="Windows before the cut to tune on; the latest is validation.")
]


def accuracy(
    datasets: Datasets,
    out: Out,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="popularity, popularity-recent, itemknn, userknn, ease, als, bpr, lightgcn, text, "
            "content, hybrid, hybrid-text, hybrid-graph, paper, gnn; by default all of them.",
        ),
    ] = None,
    seeds: Seeds = 5,
    config: Configs = None,
    sets: Sets = None,
    budget: Budget = 12,
    valid_windows: Windows = 3,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=[A,B]",
            help="What is tried of all that is trained, such as lr=[1e-5,1e-3]; repeatable.",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare the hybrid with its selves of one modality, the paper's form and the baselines.

    Everything is tuned before the cut and measured once on test. What is in --out already is not
    done again.
    """
    with Output(json=json, quiet=quiet, debug=debug) as output:
        opened = open_all(datasets, config, sets)
        from finrec_dgl.benchmarking import MODELS, Tuning, compare_everywhere

        wanted = names(models) or MODELS
        tuning = Tuning(budget, valid_windows, read_grid(grid))
        tables, combined = compare_everywhere(opened, out, wanted, seeds, tuning, output.progress)
        output.result(
            document(out, tables, combined), lambda console: show_tables(console, tables, combined)
        )


def open_all(
    datasets: Sequence[Path], configs: Sequence[Path] | None, sets: Sequence[str] | None
) -> list[tuple[Dataset, TrainConfig]]:
    """The data set and configuration of each folder; wrong ones are found before any work.

    Raises UsageError for folders of one name, and for another number of configurations.
    """
    counts = Counter(path.resolve().name for path in datasets)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise UsageError(
            f"several data sets are named {', '.join(twice)}",
            expected="folders of different names, since each names its results",
            mend="rename one, or compare on it with another --out",
        )
    files: list[Path | None] = [*configs] if configs else [None]
    if len(files) == 1:
        files *= len(datasets)
    if len(files) != len(datasets):
        raise UsageError(
            f"there are {len(files)} configurations for {len(datasets)} data sets",
            expected="one for all, or one for each in their order",
            where="--config",
        )
    settings = [read_config(file, list(sets or []), {}) for file in files]
    from finrec_dgl.dataset import load_dataset

    return [(load_dataset(path), one) for path, one in zip(datasets, settings, strict=True)]


def read_grid(texts: Sequence[str] | None) -> dict[str, list[Any]] | None:
    """configuration key -> values of ``KEY=[A,B]``; None of nothing. Raises UsageError."""
    from finrec_dgl.base.config import apply_sets

    grid = {}
    for text in texts or ():
        key = text.partition("=")[0].strip()
        values: Any = apply_sets({}, [text])
        for part in key.split("."):
            values = values[part]
        if not isinstance(values, list) or not values:
            raise UsageError(
                f"'{text}' holds no list of values",
                expected="KEY=[A,B], such as lr=[1e-5,1e-3]",
                where="--grid",
            )
        grid[key] = values
    return grid or None


def document(out: Path, tables: Sequence[Table], combined: Combined | None) -> dict[str, Any]:
    """The result for machines."""
    return {
        "out": str(out),
        "tables": [one.to_mapping() for one in tables],
        "combined": None if combined is None else combined.to_mapping(),
    }


def show_tables(
    console: Console, tables: Sequence[Table], combined: Combined | None = None
) -> None:
    """Draw each comparison, with its notes below, then all side by side."""
    shown: list[Table | Combined] = [*tables, *([combined] if combined else [])]
    for one in shown:
        console.print(table(one.title, one.headers, one.cells()))
        for note in one.notes:
            console.print(f"  {note}", markup=False)
