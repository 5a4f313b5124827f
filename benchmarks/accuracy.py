"""Compare the hybrid with its one-modality selves and the baselines on one data set.

The same as `finrec-dgl benchmark accuracy`, for whoever prefers a script:

python benchmarks/accuracy.py DATASET --out results --seeds 5 --set epochs=30
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from finrec_dgl.base.config import apply_sets, from_mapping, read_toml
from finrec_dgl.base.errors import FinrecError
from finrec_dgl.benchmarking import MODELS, compare_models
from finrec_dgl.dataset import load_dataset
from finrec_dgl.training import TrainConfig


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a folder that finrec-dgl preprocess made")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make, or go on in")
    parser.add_argument("--models", default=",".join(MODELS), help="names, with commas between")
    parser.add_argument("--seeds", type=int, default=5, help="of models that draw at random")
    parser.add_argument("--config", type=Path, help="a TOML file of the hybrid's configuration")
    parser.add_argument("--set", action="append", default=[], help="one key of it, as key=value")
    asked = parser.parse_args()
    try:
        mapping = apply_sets(read_toml(asked.config) if asked.config else {}, asked.set)
        config = from_mapping(TrainConfig, mapping)
        models = asked.models.split(",")
        table = compare_models(load_dataset(asked.dataset), asked.out, models, asked.seeds, config)
    except FinrecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(table.to_markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
