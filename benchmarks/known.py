"""How well new products would rank had they been known: the most that text can hope for.

python benchmarks/known.py out/stock0601 out/stockcold0 --config examples/default.toml

The hybrid learns from the first data set, in which nothing is held out. For each of the others, of
the same tables and cut, the products held out there are ranked among themselves for the customers
who newly took one up, by that model, by popularity, and by the same with text alone (the hybrid
that learned from the data set that holds them out).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from figures import Row, tell

from finrec_dgl.base.config import apply_sets, read_toml
from finrec_dgl.base.errors import DataError
from finrec_dgl.baselines.popularity import Popularity
from finrec_dgl.dataset import Dataset, load_dataset
from finrec_dgl.dataset.snapshot import Pairs
from finrec_dgl.dataset.windows import Window
from finrec_dgl.evaluation import window_ndcg
from finrec_dgl.training.config import read_settings
from finrec_dgl.training.learner import fit


def held_out(whole: Dataset, held: Dataset) -> np.ndarray:
    """bool [items of ``whole``]: the candidates that ``held`` knows by their text only."""
    if held.cold_side != "item" or held.cut != whole.cut:
        raise DataError(
            "products are not held out of it, or its cut is another one",
            expected="a data set made with --split cold-items, of the same tables and cut",
            where=str(held.path),
        )
    ids = held.item_ids.filter(held.cold("test") & held.candidates("test"))
    places = whole.item_indices(ids)
    found = np.zeros(whole.n_items, bool)
    found[places[places >= 0]] = True
    return found & whole.candidates("test")


def asked_of(whole: Dataset, items: np.ndarray) -> Window:
    """The test's task among ``items`` bool [I] alone."""
    targets = whole.targets("test")
    return Window(None, None, whole.snapshot("fit"), targets.where(items[targets.item]), items)


def carried_over(whole: Dataset, held: Dataset, window: Window) -> Window:
    """The same task in the node numbers of ``held``, as far as it knows users and products."""
    user = held.user_indices(whole.user_ids.take(window.targets.user))
    item = held.item_indices(whole.item_ids.take(window.targets.item))
    known = (user >= 0) & (item >= 0)
    targets = Pairs(user[known], item[known])
    candidates = held.cold("test") & held.candidates("test")
    return Window(None, None, held.snapshot("fit"), targets, candidates)


def measure(dataset: Path, helds: Sequence[Path], config: Path, sets: list[str]) -> Iterator[Row]:
    """A row for each of the data sets with products held out."""
    settings = read_settings(apply_sets(read_toml(config), sets))
    whole = load_dataset(dataset)
    knowing = fit(whole, whole.snapshot("fit"), settings)
    popular = Popularity().fit(whole.snapshot("fit"))
    for path in helds:
        held = load_dataset(path)
        window = asked_of(whole, held_out(whole, held))
        blind = fit(held, held.snapshot("fit"), settings)
        yield (
            str(path),
            {
                "known": window_ndcg(knowing, window),
                "popularity": window_ndcg(popular, window),
                "text alone": window_ndcg(blind, carried_over(whole, held, window)),
            },
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a data set in which nothing is held out")
    parser.add_argument("held", type=Path, nargs="+", help="the same with products held out")
    parser.add_argument("--config", type=Path, required=True, help="a TOML file of the hybrid")
    parser.add_argument("--set", action="append", default=[], help="one key of it, as key=value")
    parser.add_argument("--out", type=Path, help="a JSON file of the figures")
    asked = parser.parse_args()
    return tell(measure(asked.dataset, asked.held, asked.config, asked.set), asked.out)


if __name__ == "__main__":
    sys.exit(main())
