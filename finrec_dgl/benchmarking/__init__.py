"""Measurements of the whole: models compared on a data set, and a demonstration."""

from finrec_dgl.benchmarking.accuracy import HYBRIDS, MODELS, compare_models
from finrec_dgl.benchmarking.table import REFERENCE, Row, Skipped, Table

__all__ = ["HYBRIDS", "MODELS", "REFERENCE", "Row", "Skipped", "Table", "compare_models"]
