"""``finrec-dgl generate``: tables of a made-up bank, to try everything on without data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from finrec_dgl.cli.output import Debug, Json, Output, Quiet, table


def generate(
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    users: Annotated[int, typer.Option(help="Customers.")] = 4000,
    items: Annotated[int, typer.Option(help="Products.")] = 320,
    interactions_per_user: Annotated[float, typer.Option(help="Purchases, on average.")] = 14.0,
    ties_per_user: Annotated[float, typer.Option(help="Ties, on average; 0: no ties.")] = 4.0,
    start: Annotated[str, typer.Option(help="The first day.")] = "2023-01-01",
    end: Annotated[str, typer.Option(help="The last day.")] = "2024-12-31",
    text_strength: Annotated[
        float, typer.Option(help="How much taste, known from texts alone, decides.")
    ] = 3.0,
    graph_strength: Annotated[
        float, typer.Option(help="How much taste that is in no text decides.")
    ] = 1.5,
    tie_strength: Annotated[
        float, typer.Option(help="How much the holdings of ties decide.")
    ] = 4.0,
    popularity_strength: Annotated[float, typer.Option(help="How much popularity decides.")] = 0.7,
    cold_share: Annotated[float, typer.Option(help="Products launched after the start.")] = 0.15,
    arriving_share: Annotated[float, typer.Option(help="Customers who join after it.")] = 0.3,
    repurchase: Annotated[float, typer.Option(help="Odds of buying again what one holds.")] = 0.05,
    texts: Annotated[bool, typer.Option(help="Write texts; without, for huge worlds.")] = True,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 0,
    format: Annotated[str, typer.Option(metavar="csv|parquet", help="Of the files.")] = "csv",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace tables that generate made.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make up customers, products, purchases and ties."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        from finrec_dgl.tables.generate import World, write_world

        world = World(
            users=users,
            items=items,
            interactions_per_user=interactions_per_user,
            ties_per_user=ties_per_user,
            start=start,
            end=end,
            text_strength=text_strength,
            graph_strength=graph_strength,
            tie_strength=tie_strength,
            popularity_strength=popularity_strength,
            cold_share=cold_share,
            arriving_share=arriving_share,
            repurchase=repurchase,
            texts=texts,
            seed=seed,
        )
        rows = write_world(world, out, format, overwrite=overwrite, progress=output.progress)
        output.result(
            {"out": str(out), "rows": rows},
            lambda console: console.print(table(str(out), ("table", "rows"), list(rows.items()))),
        )
