"""What the texts of some data sets are worth alone: to compare encoders, columns and their order.

python benchmarks/texts.py out/far010 out/far010named
python benchmarks/texts.py out/f32 out/i8 --shuffles 12

For each data set the validation NDCG@10 of ranking by the likeness of texts: by the mean of the
products held, and by the nearest of them. The test plays no part. ``--shuffles``: how far these
figures move by chance, for two data sets of the same texts. The first's vectors are moved by what
the second's differ from them, each by what another text drawn at random was moved by.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from figures import Row, tell

from finrec_dgl.baselines.content import Content
from finrec_dgl.baselines.textonly import TextOnly
from finrec_dgl.dataset import Dataset, load_dataset
from finrec_dgl.dataset.windows import validation_windows
from finrec_dgl.evaluation import window_ndcg

MODELS = {
    "all held": TextOnly,
    "nearest": lambda: Content(1),
    "5 nearest": lambda: Content(5),
    "5 nearest, posts too": lambda: Content(5, True),
}


def measure(paths: Sequence[Path], shuffles: int) -> Iterator[Row]:
    """A row for each data set, and for each shuffle of the first two's difference."""
    datasets = [load_dataset(path) for path in paths]
    for dataset in datasets:
        yield str(dataset.path), figures(dataset)
    if not shuffles:
        return
    vectors, other = (one.vectors.astype(np.float32) for one in datasets[:2])
    for seed in range(shuffles):
        drawn = np.random.default_rng(seed).permutation(len(vectors))
        moved = (vectors + (other - vectors)[drawn]).astype(datasets[0].vectors.dtype)
        yield f"shuffle {seed}", figures(replace(datasets[0], vectors=moved))


def figures(dataset: Dataset) -> dict[str, float]:
    """NDCG@10 on validation by each of ``MODELS``."""
    (window,) = validation_windows(dataset, 1)
    return {name: window_ndcg(make().fit(window.snapshot), window) for name, make in MODELS.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="+", help="folders that preprocess made")
    parser.add_argument("--shuffles", type=int, default=0, help="so many, of the first two")
    parser.add_argument("--out", type=Path, help="a JSON file of the figures")
    asked = parser.parse_args()
    if asked.shuffles and len(asked.datasets) < 2:
        parser.error("--shuffles compares two data sets")
    return tell(measure(asked.datasets, asked.shuffles), asked.out)


if __name__ == "__main__":
    sys.exit(main())
