"""Small made-up banks as data sets, with texts encoded by a hash of their words."""

import zlib
from dataclasses import replace

import numpy as np

from finrec_dgl.dataset import PreprocessOptions, build_dataset, texts
from finrec_dgl.nn import HybridConfig
from finrec_dgl.nn.config import DerivedConfig
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec
from finrec_dgl.text.encoding import Encoded
from finrec_dgl.training import TrainConfig

TINY = TrainConfig.plain(
    model=HybridConfig(relations="observed", layers=1, dim=8, dim_two=8, heads=2, pseudo_classes=4),
    epochs=2,
    patience=2,
)
SMALL = TrainConfig.plain(
    model=HybridConfig(
        relations="observed", layers=2, dim=16, dim_two=16, heads=2, pseudo_classes=12
    ),
    batch_size=1024,
    lr=5e-3,
    epochs=12,
    patience=12,
)
DERIVED = TrainConfig(
    model=HybridConfig(
        relations="derived",
        pseudo_classes=4,
        derived=DerivedConfig(ease=(100.0,), holding_half_lives=(60.0,), rank=4),
    ),
    loss="backtest",
    windows=2,
    warm_up=60.0,
    lr=0.05,
    epochs=2,
    average=1,
)
"""The hybrid over derived relations, as small as it can be."""

SILENT_WORLD = {f"{signal}_strength": 0.0 for signal in ("text", "graph", "tie", "popularity")}


def word_vectors(given, spec, *, cache=None, progress=None):
    """In place of a language model: a word is a random direction, a text the sum of its words."""
    vectors = np.zeros((len(given), 96), np.float32)
    directions = {}
    for row, text in enumerate(given):
        for word in set(text.lower().split()):
            seed = zlib.crc32(word.encode())
            if seed not in directions:
                directions[seed] = np.random.default_rng(seed).normal(size=96)
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
