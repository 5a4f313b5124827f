"""From tables in a folder to recommendations with reasons, in Python.

    python examples/quickstart.py
    python examples/quickstart.py --encoder minilm     # with text, a minute more

The folder of tables is made up here; put your own in its place (see own_tables.py).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from finrec_dgl import (
    PreprocessOptions,
    TrainConfig,
    evaluate,
    preprocess,
    recommend,
    train,
)
from finrec_dgl.tables.generate import World, write_world
from finrec_dgl.text import EncoderSpec


def main(place: Path, users: int, epochs: int, encoder: str) -> None:
    # four CSV files: interactions, items, users, ties
    write_world(World(users=users, items=100), place / "tables")

    # a data set on disk: graph, text vectors, and a split by date that nothing leaks through
    options = PreprocessOptions(encoder=EncoderSpec(name=encoder))
    dataset = preprocess(place / "tables", place / "dataset", options)
    print(f"{dataset.n_users} customers, {dataset.n_items} products")

    # on earlier windows before validation, then once more on all of those before the test
    run = train(dataset, place / "run", TrainConfig(epochs=epochs))

    found = evaluate(run.scorer("test"), dataset, "test")
    low, high = found.intervals["ndcg@10"]
    print(f"NDCG@10 on test: {found.metrics['ndcg@10']:.3f} (95%: {low:.3f} to {high:.3f})")

    user_id = dataset.user_ids[0].as_py()
    print(f"for customer {user_id}:")
    for one in recommend(run, user_id, k=5):
        print(f"  {one.rank}. {one.title} ({one.score:.2f})")
        for reason in one.reasons:
            print(f"       {reason}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--encoder", choices=("none", "minilm"), default="none")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder), asked.users, asked.epochs, asked.encoder)
