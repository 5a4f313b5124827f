"""Recommend financial products by text and graph together: a hybrid of arXiv 2506.05873 on DGL."""

from __future__ import annotations

import importlib
from typing import Any

from finrec_dgl._version import __version__

# name -> module; imported on first use, so that `import finrec_dgl` costs nothing
_PUBLIC = {
    "preprocess": "finrec_dgl.dataset",
    "PreprocessOptions": "finrec_dgl.dataset",
    "load_dataset": "finrec_dgl.dataset",
    "HybridConfig": "finrec_dgl.nn",
    "HybridRecommender": "finrec_dgl.nn",
    "PairConfig": "finrec_dgl.relations",
    "FusionGATConv": "finrec_dgl.nn",
    "TrainConfig": "finrec_dgl.training",
    "train": "finrec_dgl.training",
    "load_run": "finrec_dgl.training",
    "evaluate": "finrec_dgl.evaluation",
    "recommend": "finrec_dgl.recommending",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'finrec_dgl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
