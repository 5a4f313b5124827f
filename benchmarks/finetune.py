"""Compare the fine-tuned text encoder with the frozen one on one data set: time, memory, ranking.

python benchmarks/finetune.py DATASET --tables SOURCE --out finetune.json --set steps=300
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from finrec_dgl.base.config import apply_sets, from_mapping
from finrec_dgl.base.errors import FinrecError
from finrec_dgl.base.files import write_json
from finrec_dgl.baselines import Recommender, TextOnly
from finrec_dgl.cli.progress import listener
from finrec_dgl.dataset import Dataset, Snapshot, load_dataset
from finrec_dgl.evaluation import evaluate
from finrec_dgl.nn import HybridConfig
from finrec_dgl.training import FinetuneConfig, TextSource
from finrec_dgl.training.finetune import check_texts, encode_anew, open_texts, tune_encoder

STAGES = {"valid": "train", "test": "fit"}


class OwnText(Recommender):
    """score(u, i) = cos(e_u, t_i): what a user wrote, or their profile, against items' profiles."""

    name = "own text"

    def _fit(self, snapshot: Snapshot) -> None:
        self._users, self._items = snapshot.user_text, snapshot.item_text

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self._users[users] @ self._items.T)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a folder that finrec-dgl preprocess made")
    parser.add_argument("--tables", type=Path, required=True, help="the folder it was made from")
    parser.add_argument("--split-file", type=Path, help="the split it was made with, if any")
    parser.add_argument("--encoder", type=Path, help="its text encoder, where that was a folder")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--posts", type=int, help="keep so many posts, drawn at random: quicker")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice")
    parser.add_argument("--set", action="append", default=[], help="of the tuning, as key=value")
    asked = parser.parse_args()
    try:
        config = from_mapping(FinetuneConfig, {"method": "lora", **apply_sets({}, asked.set)})
        source = TextSource(asked.tables, asked.split_file, asked.encoder)
        report = compare(load_dataset(asked.dataset), source, config, asked.posts, asked.seed)
        write_json(asked.out, report)
    except FinrecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    show(report)
    return 0


def with_posts(dataset: Dataset, posts: int | None, seed: int) -> Dataset:
    """The data set with the texts of ``posts`` interactions only, drawn at random; None: all."""
    events = dataset.interactions
    written = np.flatnonzero(events.text >= 0)
    if posts is None or posts >= len(written):
        return dataset
    text = events.text.copy()
    text[np.random.default_rng(seed).permutation(written)[posts:]] = -1
    return replace(dataset, interactions=replace(events, text=text))


def compare(
    dataset: Dataset, source: TextSource, config: FinetuneConfig, posts: int | None, seed: int
) -> dict[str, Any]:
    """What fine-tuning cost, and NDCG@10 with the frozen vectors and with the tuned ones."""
    progress = listener(quiet=False)
    texts, encoder = open_texts(dataset, source, progress)
    dataset = with_posts(dataset, posts, seed)
    frozen = check_texts(dataset, texts, encoder, seed, progress)
    tuned = tune_encoder(dataset, texts, encoder, config, HybridConfig(), seed, progress)
    vectors, encoding = encode_anew(dataset, texts, encoder, config.reencode, progress)
    return {
        "dataset": dataset.path.name,
        "posts": int((dataset.interactions.text >= 0).sum()),
        "frozen": frozen,
        **tuned,
        "encoding": encoding,
        "ndcg@10": {
            "frozen": ranked(dataset),
            "tuned": ranked(replace(dataset, vectors=vectors)),
        },
    }


def ranked(dataset: Dataset) -> dict[str, dict[str, float]]:
    """NDCG@10 of both text rankings on validation and test."""
    return {
        one.name: {
            split: evaluate(one.fit(dataset.snapshot(stage)), dataset, split).metrics["ndcg@10"]
            for split, stage in STAGES.items()
        }
        for one in (TextOnly(), OwnText())
    }


def show(report: dict[str, Any]) -> None:
    """Print the figures, one a line."""
    for part in ("frozen", "tuning", "encoding"):
        told = ", ".join(f"{name} {value:,}" for name, value in report[part].items())
        print(f"{part}: {told}")
    print(f"held out: {report['held_out']}")
    for kind, found in report["ndcg@10"].items():
        for name, values in found.items():
            told = ", ".join(f"{split} {value:.4f}" for split, value in values.items())
            print(f"ndcg@10, {kind}, {name}: {told}")


if __name__ == "__main__":
    sys.exit(main())
