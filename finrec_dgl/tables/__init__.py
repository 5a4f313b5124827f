"""Tables of users, items, interactions and ties: read from known sources, checked, typed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from finrec_dgl.tables.options import FORMATS, ReadOptions

if TYPE_CHECKING:
    from finrec_dgl.tables.contract import GivenSplit, Tables
    from finrec_dgl.tables.dates import parse_date
    from finrec_dgl.tables.reading import read_source, recognise
    from finrec_dgl.tables.splits import read_split_file

# imported on first use, so that naming the formats does not load pyarrow
_LAZY = {
    "GivenSplit": "contract",
    "Tables": "contract",
    "parse_date": "dates",
    "read_source": "reading",
    "read_split_file": "splits",
    "recognise": "reading",
}

__all__ = [
    "FORMATS",
    "GivenSplit",
    "ReadOptions",
    "Tables",
    "parse_date",
    "read_source",
    "read_split_file",
    "recognise",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"finrec_dgl.tables.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'finrec_dgl.tables' has no attribute '{name}'")
