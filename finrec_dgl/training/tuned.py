"""The files that a fine-tuned text encoder leaves in a run, and the data set with its vectors."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.files import load_arrays, save_arrays
from finrec_dgl.dataset import Dataset

ADAPTER = "adapter"
VECTORS = "text_vectors.safetensors"


def save_tuned_vectors(run: Path, vectors: np.ndarray) -> None:
    """Keep ``vectors`` [texts, d], in the order of the data set's, in the folder ``run``."""
    save_arrays(run / VECTORS, {"vectors": vectors})


def with_tuned_vectors(dataset: Dataset, run: Path) -> Dataset:
    """``dataset`` with the vectors of ``run`` in place of its own.

    Raises DataError where they are absent, broken or not of this data set.
    """
    vectors = load_arrays(run / VECTORS, what="run's file of text vectors").get("vectors")
    if (
        vectors is None
        or vectors.shape != dataset.vectors.shape
        or vectors.dtype not in (np.float16, np.float32)
        or not np.isfinite(vectors).all()
    ):
        raise DataError(
            "the text vectors of the run do not fit the data set",
            expected=f"finite vectors of the shape {dataset.vectors.shape}",
            where=str(run / VECTORS),
            mend="train again: the file was changed since it was written",
        )
    return dataclasses.replace(dataset, vectors=vectors)


def drop_tuned(run: Path) -> None:
    """Remove what an earlier fine-tuning left in the folder ``run``."""
    (run / VECTORS).unlink(missing_ok=True)
    shutil.rmtree(run / ADAPTER, ignore_errors=True)
