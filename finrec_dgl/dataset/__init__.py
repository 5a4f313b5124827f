"""Data sets on disk: made from tables without leaks, opened as of any moment before the cut."""

from finrec_dgl.dataset.description import describe
from finrec_dgl.dataset.edges import ExtraEdges, Relation
from finrec_dgl.dataset.preprocessing import PreprocessOptions, build_dataset, preprocess
from finrec_dgl.dataset.snapshot import NodeTexts, Pairs, Snapshot
from finrec_dgl.dataset.splits import SplitOptions
from finrec_dgl.dataset.store import Dataset, Interactions, Ties, load_dataset

__all__ = [
    "Dataset",
    "ExtraEdges",
    "Interactions",
    "NodeTexts",
    "Pairs",
    "PreprocessOptions",
    "Relation",
    "Snapshot",
    "SplitOptions",
    "Ties",
    "build_dataset",
    "describe",
    "load_dataset",
    "preprocess",
]
