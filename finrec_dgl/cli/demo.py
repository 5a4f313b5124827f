"""``finrec-dgl demo``: every step on made-up data, and one page of it all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finrec_dgl.cli.output import Debug, Json, Output, Quiet, clean

if TYPE_CHECKING:
    from rich.console import Console

    from finrec_dgl.benchmarking.demo import Demo


def demo(
    out: Annotated[
        Path, typer.Option(help="The folder to make; an earlier demo in it is replaced.")
    ] = Path("demo-out"),
    users: Annotated[int, typer.Option(help="Customers to make up.")] = 3000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bank.")] = 0,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show everything on made-up data, in a few minutes."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        progress = output.progress
        progress.note("a bank is made up and everything shown on it; a few minutes on two cores")
        from finrec_dgl.benchmarking.demo import run_demo

        made = run_demo(out, users, seed, progress=progress)
        from finrec_dgl.cli.recommend import to_mapping

        document = {
            "out": str(made.out),
            "page": str(made.page),
            "dataset": str(made.dataset),
            "run": str(made.run),
            "verdict": made.verdict,
            "ceiling": made.ceiling,
            "table": made.table.to_mapping(),
            "user": made.customer.user_id,
            "recommendations": [to_mapping(one) for one in made.recommendations],
            "seconds": made.seconds,
        }
        output.result(document, lambda console: show_demo(console, made))


def show_demo(console: Console, made: Demo) -> None:
    """Draw the comparison, one customer's recommendations, and where to go on."""
    from finrec_dgl.benchmarking.demo import ceiling_note
    from finrec_dgl.cli.benchmark import show_tables
    from finrec_dgl.cli.recommend import show_recommendations

    show_tables(console, [made.table])
    console.print(f"\n{made.verdict}\n{ceiling_note(made.ceiling)}\n", markup=False)
    customer = made.customer
    console.print(f"customer {clean(customer.user_id)}", style="bold")
    for line in (*customer.known, *(f"  {title}" for title in customer.holdings)):
        console.print(clean(line), markup=False)
    show_recommendations(console, made.recommendations, reasons=True)
    console.print(f"page: {made.page}    ({made.seconds:,.0f} s)", markup=False)
    console.print("\n".join(("try next:", *(f"  {one}" for one in made.commands))), markup=False)
