"""How the default model's time and memory grow with the number of users.

python benchmarks/users.py --users 20000,100000,300000 --out users.json

For each size a synthetic bank is generated and preprocessed without texts; then the model is
trained with ``--sampler neighbor``, evaluated on at most 10,000 users, and asked for ten items for
every user. Seconds are of this process on its PyTorch threads; a model whose time is linear in the
users has the same figure a thousand users in every row.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import Row, tell

from finrec_dgl.base.measure import measured
from finrec_dgl.dataset import PreprocessOptions, build_dataset
from finrec_dgl.evaluation import evaluate
from finrec_dgl.recommending import recommend_all
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training import TrainConfig, train

EVALUATED = 10_000


def measure(sizes: Sequence[int], items: int, place: Path) -> Iterator[Row]:
    """A row for each number of users."""
    options = PreprocessOptions(encoder=EncoderSpec(name="none"))
    for users in sizes:
        folder = place / str(users)
        world = World(users=users, items=items, texts=False)
        dataset = build_dataset(generate(world), folder / "dataset", options)
        with measured() as training:
            config = TrainConfig(sampler="neighbor")
            run = train(dataset, folder / "run", config, judge=False)
        with measured() as evaluation:
            found = evaluate(run.scorer("test"), dataset, "test", at_most=EVALUATED)
        with measured() as recommendation:
            recommend_all(run, folder / "all.parquet", k=10)
        yield (
            f"{users} users",
            {
                "interactions": float(len(dataset.interactions)),
                "train_s": training.seconds,
                "evaluate_ms_per_user": 1e3 * evaluation.seconds / len(found.users),
                "recommend_ms_per_user": 1e3 * recommendation.seconds / users,
                "train_MiB": training.peak_mib,
                "recommend_MiB": recommendation.peak_mib,
                "ndcg@10": found.metrics["ndcg@10"],
            },
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", default="20000,100000", help="numbers, separated by commas")
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--out", type=Path, help="a JSON file of the figures")
    asked = parser.parse_args()
    sizes = [int(one) for one in asked.users.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        return tell(measure(sizes, asked.items, Path(folder)), asked.out)


if __name__ == "__main__":
    sys.exit(main())
