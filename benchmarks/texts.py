"""What the texts of some data sets are worth alone: to compare encoders, columns and their order.

python benchmarks/texts.py out/far010 out/far010named

For each data set the validation NDCG@10 of ranking by the likeness of texts: by the mean of the
products held, and by the nearest of them. The test plays no part.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import Row, tell

from finrec_dgl.baselines.content import Content
from finrec_dgl.baselines.textonly import TextOnly
from finrec_dgl.dataset import load_dataset
from finrec_dgl.dataset.windows import validation_windows
from finrec_dgl.evaluation import window_ndcg

MODELS = {
    "all held": TextOnly,
    "nearest": lambda: Content(1),
    "5 nearest": lambda: Content(5),
    "5 nearest, posts too": lambda: Content(5, True),
}


def measure(paths: Sequence[Path]) -> Iterator[Row]:
    """A row for each data set."""
    for path in paths:
        (window,) = validation_windows(load_dataset(path), 1)
        yield (
            str(path),
            {
                name: window_ndcg(make().fit(window.snapshot), window)
                for name, make in MODELS.items()
            },
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="+", help="folders that preprocess made")
    parser.add_argument("--out", type=Path, help="a JSON file of the figures")
    asked = parser.parse_args()
    return tell(measure(asked.datasets), asked.out)


if __name__ == "__main__":
    sys.exit(main())
