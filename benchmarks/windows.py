"""Try settings of the hybrid on earlier windows of one data set: what a choice would have been.

python benchmarks/windows.py DATASET --config examples/stocknet.toml --at 2014-10-15 --at 2014-12-01
    --try model.pair.text_channels=true

For each date the model learns from what is before it and is asked for what was newly taken up in
the horizon after it, never beyond the cut: the test plays no part. The first row is the
configuration as it is; each ``--try`` changes one key.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import Row, tell

from finrec_dgl.base.config import apply_sets, read_toml
from finrec_dgl.dataset import Dataset, load_dataset
from finrec_dgl.dataset.windows import horizon, window
from finrec_dgl.evaluation import window_ndcg
from finrec_dgl.tables.dates import parse_date
from finrec_dgl.training import TrainConfig
from finrec_dgl.training.config import read_settings
from finrec_dgl.training.learner import fit


def reached(dataset: Dataset, config: TrainConfig, start: int) -> float:
    """NDCG@10 of ``config`` on the window that begins at ``start``, seconds since 1970 UTC."""
    end = min(start + horizon(dataset), dataset.cut or start)
    asked = window(dataset, start, end, dataset.candidates("test"))
    return window_ndcg(fit(dataset, asked.snapshot, config), asked)


def measure(path: Path, config: Path, dates: Sequence[str], tries: Sequence[str]) -> Iterator[Row]:
    """A row for the configuration as it is, and for each change of it."""
    dataset, mapping = load_dataset(path), read_toml(config)
    starts = [parse_date(date) for date in dates]
    for change in ("", *tries):
        settings = read_settings(apply_sets(mapping, [change] if change else []))
        values = [reached(dataset, settings, start) for start in starts]
        yield change or "as it is", dict(zip(dates, values, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a folder that finrec-dgl preprocess made")
    parser.add_argument("--config", type=Path, required=True, help="a TOML file of the hybrid")
    parser.add_argument("--at", action="append", required=True, help="a date before the cut")
    parser.add_argument("--try", action="append", default=[], dest="tries", help="key=value")
    parser.add_argument("--out", type=Path, help="a JSON file of the figures")
    asked = parser.parse_args()
    return tell(measure(asked.dataset, asked.config, asked.at, asked.tries), asked.out, mean=True)


if __name__ == "__main__":
    sys.exit(main())
