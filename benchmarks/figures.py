"""What the scripts that measure have in common: a line a row, a JSON file, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from finrec_dgl.base.errors import FinrecError
from finrec_dgl.base.files import write_json

Row = tuple[str, Mapping[str, float]]


def tell(rows: Iterable[Row], out: Path | None, *, mean: bool = False) -> int:
    """Print each row as it is measured, write all to ``out`` at the end; the script's exit code.

    A row is its name and figures by name; with ``mean`` their mean and bare figures come first.
    """
    found = {}
    try:
        for name, figures in rows:
            found[name] = dict(figures)
            if mean:
                shown = [f"{value:.4f}" for value in figures.values()]
                first = f"{sum(figures.values()) / len(figures):.4f}"
                print("  ".join([first, *shown, name]), flush=True)
            else:
                shown = [f"{what} {value:.4f}" for what, value in figures.items()]
                print("  ".join([name, *shown]), flush=True)
        if out:
            write_json(out, found)
    except FinrecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
