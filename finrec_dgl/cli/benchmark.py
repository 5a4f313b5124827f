"""``finrec-dgl benchmark``: measurements, so far of how well models rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finrec_dgl.base.errors import UsageError
from finrec_dgl.cli.options import names
from finrec_dgl.cli.output import Debug, Json, Output, Quiet, table
from finrec_dgl.cli.train import read_config

if TYPE_CHECKING:
    from rich.console import Console

    from finrec_dgl.benchmarking import Table


def accuracy(
    datasets: Annotated[list[Path], typer.Argument(help="Folders that preprocess made.")],
    out: Annotated[
        Path, typer.Option(help="The folder to make, or to go on in; one in it for each data set.")
    ],
    models: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="popularity, popularity-recent, itemknn, text, hybrid, hybrid-text, hybrid-graph; "
            "by default all of them.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Of the models that draw at random.")] = 5,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of the hybrid's configuration.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One key of the configuration."),
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="Learning rates; each hybrid takes the best on validation."
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare the hybrid with its selves of one modality and the baselines.

    Everything is tuned on validation and measured once on test. What is in --out already is not
    done again.
    """
    with Output(json=json, quiet=quiet, debug=debug) as output:
        _refuse_same_names(datasets)
        settings = read_config(config, sets or [], {})
        from finrec_dgl.benchmarking import MODELS, compare_models
        from finrec_dgl.dataset import load_dataset

        wanted = names(models) or MODELS
        tried = _rates(rates)
        # all are opened first: a wrong path should not be found after hours of training
        opened = [load_dataset(path) for path in datasets]
        progress = output.progress
        tables = []
        for dataset in opened:
            place = out / Path(dataset.path).resolve().name
            progress.note(f"comparing on {dataset.path}")
            tables.append(compare_models(dataset, place, wanted, seeds, settings, progress, tried))
        output.result(
            {"out": str(out), "tables": [one.to_mapping() for one in tables]},
            lambda console: show_tables(console, tables),
        )


def _rates(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in (text or "").split(",") if one.strip())
    except ValueError as error:
        raise UsageError(
            f"the learning rates are '{text}'",
            expected="numbers with commas between, such as 1e-5,1e-3",
            where="--rates",
        ) from error


def _refuse_same_names(datasets: Sequence[Path]) -> None:
    counts = Counter(path.resolve().name for path in datasets)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise UsageError(
            f"several data sets are named {', '.join(twice)}",
            expected="folders of different names, since each names its results",
            mend="rename one, or compare on it with another --out",
        )


def show_tables(console: Console, tables: Sequence[Table]) -> None:
    """Draw each comparison, with its notes below."""
    from finrec_dgl.benchmarking.table import HEADERS

    for one in tables:
        console.print(table(one.title, HEADERS, one.cells()))
        for note in one.notes:
            console.print(f"  {note}", markup=False)
