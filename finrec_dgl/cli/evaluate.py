"""``finrec-dgl evaluate``: how well a trained model ranks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finrec_dgl.cli.options import Device, integers
from finrec_dgl.cli.output import Debug, Json, Output, Quiet, table

if TYPE_CHECKING:
    from rich.console import Console

    from finrec_dgl.evaluation import Evaluation


def evaluate(
    run: Annotated[Path, typer.Argument(help="A folder that train made.")],
    split: Annotated[
        str, typer.Option(metavar="valid|test", help="Which split to measure on.")
    ] = "test",
    k: Annotated[
        list[str] | None, typer.Option("--k", help="Cutoff; repeat it or list them: 10,20.")
    ] = None,
    users: Annotated[
        int | None, typer.Option(help="At most so many customers, drawn alike for every model.")
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="The data set, where it has moved since the training.")
    ] = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure how well a trained model ranks."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        cutoffs = integers(k or ["10"], "--k")
        from finrec_dgl.evaluation import evaluate_groups
        from finrec_dgl.training import load_run

        loaded = load_run(run, dataset, device)
        groups = evaluate_groups(
            loaded.scorer(split),
            loaded.dataset,
            split,
            k=cutoffs,
            at_most=users,
            progress=output.progress,
        )
        document = groups["all"].to_mapping()
        if loaded.dataset.cold_side is not None:
            document["groups"] = {name: found.to_mapping() for name, found in groups.items()}
        output.result(document, lambda console: show_evaluation(console, groups))


def show_evaluation(console: Console, groups: Mapping[str, Evaluation]) -> None:
    """Draw every metric with its 95% interval over users, and the groups where there are some."""
    found = groups["all"]
    rows = [
        (name, f"{value:.4f}", f"[{found.intervals[name][0]:.4f}, {found.intervals[name][1]:.4f}]")
        for name, value in found.metrics.items()
    ]
    title = f"{found.split}: {len(found.users):,} users, {found.targets:,} targets"
    console.print(table(title, ("metric", "mean", "95% interval"), rows))
    if len(groups) > 1:
        columns = ("group", "users", "targets", *found.metrics)
        told = [
            (name, len(one.users), one.targets, *(f"{mean:.4f}" for mean in one.metrics.values()))
            for name, one in groups.items()
        ]
        console.print()
        console.print(table("of new and known ones", columns, told))
