"""Measurements of the whole: models compared on data sets, taken apart, and a demonstration."""

from finrec_dgl.benchmarking.ablation import ablate
from finrec_dgl.benchmarking.accuracy import MODELS, compare_everywhere, compare_models
from finrec_dgl.benchmarking.cold import COLD_MODELS, compare_cold
from finrec_dgl.benchmarking.noise import measure_noise
from finrec_dgl.benchmarking.outcome import Outcome
from finrec_dgl.benchmarking.pseudo import sweep_pseudo
from finrec_dgl.benchmarking.table import REFERENCE, Combined, Row, Skipped, Table, combine
from finrec_dgl.benchmarking.tuning import Tuning

__all__ = [
    "COLD_MODELS",
    "MODELS",
    "REFERENCE",
    "Combined",
    "Outcome",
    "Row",
    "Skipped",
    "Table",
    "Tuning",
    "ablate",
    "combine",
    "compare_cold",
    "compare_everywhere",
    "compare_models",
    "measure_noise",
    "sweep_pseudo",
]
