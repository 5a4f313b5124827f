"""``finrec-dgl recommend``: products for one customer with reasons, or for all into a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finrec_dgl.base.errors import UsageError
from finrec_dgl.cli.options import Device
from finrec_dgl.cli.output import Debug, Json, Output, Quiet, importing, table

if TYPE_CHECKING:
    from rich.console import Console

    from finrec_dgl.recommending import Recommendation


def recommend(
    run: Annotated[Path, typer.Argument(help="A folder that train made.")],
    user: Annotated[str | None, typer.Option(help="The user's id.")] = None,
    all_users: Annotated[bool, typer.Option("--all-users", help="For every user.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="The Parquet file to write, with --all-users.")
    ] = None,
    k: Annotated[int, typer.Option("--k", help="How many products.")] = 10,
    include_known: Annotated[
        bool, typer.Option("--include-known", help="Also products the user already holds.")
    ] = False,
    reasons: Annotated[bool, typer.Option(help="Say why.")] = True,
    dataset: Annotated[
        Path | None, typer.Option(help="The data set, where it has moved since the training.")
    ] = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Recommend products to one user, or to all into a file."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        _refuse_unclear(user, all_users, out)
        with importing():
            from finrec_dgl.recommending import recommend as recommend_one
            from finrec_dgl.recommending import recommend_all
            from finrec_dgl.training import load_run

        loaded = load_run(run, dataset, device)
        if out is not None:
            summary = recommend_all(loaded, out, k, include_known, output.progress)
            rows = list(summary.items())
            output.result(summary, lambda console: console.print(table("", ("", ""), rows)))
            return
        found = recommend_one(loaded, str(user), k, include_known, reasons)
        output.result(
            {"user": user, "k": k, "recommendations": [to_mapping(one) for one in found]},
            lambda console: show_recommendations(console, found, reasons),
        )


def _refuse_unclear(user: str | None, all_users: bool, out: Path | None) -> None:
    if (user is None) == (not all_users):
        raise UsageError(
            "it is not clear for whom to recommend",
            expected="either --user ID, or --all-users --out FILE.parquet",
        )
    if all_users != (out is not None):
        raise UsageError(
            "--all-users and --out belong together",
            expected="--all-users --out FILE.parquet",
        )


def to_mapping(one: Recommendation) -> dict[str, Any]:
    """One recommendation for machines."""
    return {
        "rank": one.rank,
        "item_id": one.item_id,
        "title": one.title,
        "score": one.score,
        "reasons": [reason.to_mapping() for reason in one.reasons],
    }


def show_recommendations(console: Console, found: Sequence[Recommendation], reasons: bool) -> None:
    """Draw the ranking: rank, product, title, score and, if wanted, a line for each reason."""
    columns = ["rank", "product", "title", "score"] + ["reasons"] * reasons
    rows = []
    for one in found:
        row: list[object] = [one.rank, one.item_id, one.title, f"{one.score:.4f}"]
        rows.append(row + ["\n".join(map(str, one.reasons))] * reasons)
    console.print(table("", columns, rows))
