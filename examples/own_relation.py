"""A relation of your own: items of the categories that a user chose before get a channel.

    python examples/own_relation.py

A run is opened again only where the module that registers its relations was imported before.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from finrec_dgl import HybridConfig, PairConfig, PreprocessOptions, TrainConfig, evaluate, train
from finrec_dgl.dataset import build_dataset
from finrec_dgl.relations import Relation, SeedBatch, log_share, register_relation
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec


@register_relation
class SameCategory(Relation):
    """message(u, i) = how many items of u's history are of the categories of i."""

    name = "same_category"

    def channel_names(self) -> tuple[str, ...]:
        return ("same category",)

    def sample(self, batch: SeedBatch) -> torch.Tensor:
        view = batch.view  # the graph just before the time of the seeds: nothing later is in it
        message = torch.zeros(len(batch.seeds), view.n_items, device=view.device)
        for codes in view.snapshot.item_categories.values():
            kinds = view.tensor(codes[:, None] == range(codes.max(initial=0) + 1))
            message += batch.seeds.message(kinds) @ kinds.T
        return log_share(message, batch.free).unsqueeze(-1)  # [users, items, channels]


def main(place: Path, users: int, epochs: int) -> None:
    options = PreprocessOptions(encoder=EncoderSpec(name="none"))
    dataset = build_dataset(generate(World(users=users, items=100)), place / "dataset", options)
    pair = PairConfig(relations=(*PairConfig().relations, "same_category"))
    run = train(dataset, place / "run", TrainConfig(model=HybridConfig(pair=pair), epochs=epochs))
    found = evaluate(run.scorer("test"), dataset, "test")
    print(f"NDCG@10 {found.metrics['ndcg@10']:.4f}")
    print(f"weight of its channel {run.model().weights_by_channel()['same category']:+.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=15)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder), asked.users, asked.epochs)
