"""Small made-up banks as data sets, with texts encoded by a hash of their words."""

import zlib
from dataclasses import replace

import numpy as np

from finrec_dgl.dataset import PreprocessOptions, build_dataset, texts
from finrec_dgl.nn import HybridConfig
from finrec_dgl.relations import PairConfig
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec
from finrec_dgl.text.encoding import Encoded
from finrec_dgl.training import TrainConfig

TINY = TrainConfig.plain(
    model=HybridConfig(readout="tower", layers=1, dim=8, dim_two=8, heads=2, pseudo_classes=4),
    epochs=2,
    patience=2,
)
SMALL = TrainConfig.plain(
    model=HybridConfig(readout="tower", layers=2, dim=16, dim_two=16, heads=2, pseudo_classes=12),
    batch_size=1024,
    lr=5e-3,
    epochs=12,
    patience=12,
)
PAIR = TrainConfig(
    model=HybridConfig(
        readout="pair",
        pseudo_classes=4,
        pair=PairConfig(ease=(100.0,), holding_half_lives=(60.0,), ranks=(4,)),
    ),
    loss="backtest",
    windows=2,
    warm_up=60.0,
    lr=0.05,
    epochs=2,
    average=1,
)
"""The hybrid with the pair readout, as small as it can be."""

SILENT_WORLD = {f"{signal}_strength": 0.0 for signal in ("text", "graph", "tie", "popularity")}

CUTOFF = 10
WIDTH = 384


def word_vectors(given, spec, *, cache=None, progress=None):
    """In place of a language model: a word is a random direction, a text the sum of its words."""
    vectors = np.zeros((len(given), WIDTH), np.float32)
    directions = {}
    for row, text in enumerate(given):
        for word in set(text.lower().split()):
            seed = zlib.crc32(word.encode())
            if seed not in directions:
                directions[seed] = np.random.default_rng(seed).normal(size=WIDTH)
            vectors[row] += directions[seed]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return Encoded(vectors, len(given), 0, 0.0, {"model": "words"})


def make_dataset(folder, monkeypatch=None, **world):
    """The data set of a World; with ``monkeypatch`` texts have vectors, without they have none."""
    world = {"users": 120, "items": 30, "interactions_per_user": 8.0, **world}
    name = "none" if monkeypatch is None else "minilm"
    if monkeypatch is not None:
        monkeypatch.setattr(texts, "encode_texts", word_vectors)
    options = PreprocessOptions(encoder=EncoderSpec(name=name))
    return build_dataset(generate(World(**world)), folder, options)


def without_dates(world):
    """Tables of the World without any time, and so a data set split at random."""
    tables = generate(world)
    parts = {
        name: getattr(tables, name).drop_columns(["timestamp"])
        for name in ("interactions", "items", "users", "ties")
    }
    return replace(tables, **parts)


def expected_random_ndcg(dataset, among=True):
    """float64 [n]: the expected NDCG@10 of a ranking in random order, for each user of test.

    ``among`` bool [I]: candidates and targets are of these items alone.

    Each place of the ranking holds a target with probability reachable / ranked, so
    E[DCG@10] = reachable / ranked * sum over j = 1 .. min(10, ranked) of 1 / log2(1 + j).
    """
    targets, held = dataset.targets("test"), dataset.snapshot("fit").pairs
    candidates = dataset.candidates("test") & among
    asked = np.broadcast_to(among, candidates.shape)[targets.item]
    discounts = np.cumsum(1 / np.log2(1 + np.arange(1, CUTOFF + 1)))
    expected = []
    for user in np.unique(targets.user[asked]):
        rankable = candidates.copy()
        rankable[held.item[held.user == user]] = False
        mine = targets.item[asked & (targets.user == user)]
        ranked = int(rankable.sum())
        dcg = rankable[mine].sum() / ranked * discounts[min(CUTOFF, ranked) - 1]
        expected.append(dcg / discounts[min(CUTOFF, len(mine)) - 1])
    return np.array(expected)
