"""What one part of the model is worth: switch it off, and compare customer by customer.

    python examples/ablation.py --off social

Every switch of HybridConfig can be named: text, graph, pseudo, social, stream_one, stream_two.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from finrec_dgl import HybridConfig, PreprocessOptions, TrainConfig, evaluate, train
from finrec_dgl.dataset import build_dataset
from finrec_dgl.evaluation import compare
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec


def main(place: Path, off: str, users: int, epochs: int, encoder: str) -> None:
    world = World(users=users, items=100)
    options = PreprocessOptions(encoder=EncoderSpec(name=encoder))
    dataset = build_dataset(generate(world), place / "dataset", options)

    whole = HybridConfig()
    ablated = replace(whole, **{off: False})
    found = {}
    for name, model in (("whole", whole), ("ablated", ablated)):
        config = TrainConfig(model=model, epochs=epochs)
        run = train(dataset, place / name, config)
        found[name] = evaluate(run.scorer("test"), dataset, "test")

    # the same customers in both, so the difference is tested in pairs
    outcome = compare(found["whole"], found["ablated"], "ndcg@10")
    low, high = outcome.interval
    print(f"NDCG@10 with {off}: {outcome.mean_a:.4f}, without: {outcome.mean_b:.4f}")
    print(f"difference {outcome.difference:+.4f} (95%: {low:+.4f} to {high:+.4f})")
    print(f"p {outcome.p_value:.3f} over {outcome.users} customers")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--off", default="social")
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--encoder", choices=("none", "minilm"), default="none")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder), asked.off, asked.users, asked.epochs, asked.encoder)
