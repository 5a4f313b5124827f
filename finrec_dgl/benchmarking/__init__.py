"""Measurements of the whole: models compared on data sets, ablations, and a demonstration."""

from finrec_dgl.benchmarking.accuracy import MODELS, compare_everywhere, compare_models
from finrec_dgl.benchmarking.table import REFERENCE, Combined, Row, Skipped, Table, combine
from finrec_dgl.benchmarking.tuning import Tuning

__all__ = [
    "MODELS",
    "REFERENCE",
    "Combined",
    "Row",
    "Skipped",
    "Table",
    "Tuning",
    "combine",
    "compare_everywhere",
    "compare_models",
]
