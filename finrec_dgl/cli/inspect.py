"""``finrec-dgl inspect``: what a preprocessed data set holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finrec_dgl.cli.output import Debug, Json, Output, Quiet, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def inspect(
    dataset: Annotated[Path, typer.Argument(help="A folder that preprocess made.")],
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what a data set holds, and what was left out."""
    with Output(json=json, quiet=quiet, debug=debug) as output:
        from finrec_dgl.dataset import describe, load_dataset

        description = describe(load_dataset(dataset))
        output.result(description, lambda console: show_description(console, description))


def show_description(console: Console, description: Mapping[str, Any]) -> None:
    """Draw a nested mapping: its plain values first, then a table for each mapping in it."""
    plain = [(name, value) for name, value in description.items() if not _nested(value)]
    console.print(table("data set", ("", ""), plain))
    for name, value in description.items():
        if _nested(value):
            console.print()
            console.print(_group(name, value))


def _nested(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _shallow(mapping: Mapping[str, Any]) -> bool:
    """Whether no value of ``mapping`` is a mapping itself."""
    return not any(isinstance(one, Mapping) for one in mapping.values())


def _group(name: str, mapping: Mapping[str, Any]) -> Table:
    """Mappings of the same plain keys as the rows of one table, all else as one value a row."""
    values = mapping.values()
    if all(isinstance(one, Mapping) for one in values) and not all(map(_shallow, values)):
        mapping = {
            f"{outer}: {inner}": value
            for outer, inside in mapping.items()
            for inner, value in inside.items()
        }
    rows = list(mapping.values())
    if all(_nested(row) and _shallow(row) and row.keys() == rows[0].keys() for row in rows):
        return table(name, ("", *rows[0]), [(key, *row.values()) for key, row in mapping.items()])
    return table(name, ("", ""), list(_flat(mapping)))


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in mapping.items():
        if _nested(value):
            yield from _flat(value, f"{prefix}{name}: ")
        else:
            yield f"{prefix}{name}", None if isinstance(value, Mapping) else value
