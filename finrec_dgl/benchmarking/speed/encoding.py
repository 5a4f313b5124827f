"""Texts to vectors beside sentence-transformers' own ``encode``, and from a full cache.

(a) distinct posts of StockNet where ``data`` has it, else of the generator: the default encoder in
each precision, against ``SentenceTransformer(...).encode`` in its defaults on the same folder,
whose vectors in float32 every cosine is taken with; (b) StockNet's number of texts and a million,
all of them in the cache.
"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finrec_dgl.base.progress import SILENT
from finrec_dgl.benchmarking.speed.timing import Settings, alternate, products
from finrec_dgl.tables import generate as generator
from finrec_dgl.text import EncoderSpec, encode_texts, encode_with
from finrec_dgl.text.cache import VectorCache, text_keys
from finrec_dgl.text.encoder import Encoder, Model, resolve

TEXTS = 800
CACHED = {"StockNet's number": 68_000, "a million": 1_000_000}
_LIBRARY = "sentence_transformers"


def measure(settings: Settings) -> dict[str, Any]:
    """Both parts at the size of ``settings``."""
    return {**encoded(settings), **cached(settings)}


def encoded(settings: Settings) -> dict[str, Any]:
    """(a): texts a second, cosines with the float32 vectors, and the floor by operations."""
    texts, source = read_texts(settings)
    model = resolve(EncoderSpec())
    named = dict.fromkeys([model.precision, "float32", "bfloat16"])
    encoders = {name: Encoder(replace(model, precision=name)) for name in named}
    theirs, told = reference(model)
    sides: dict[str, Callable[[], np.ndarray]] = {
        name: functools.partial(encode_with, encoder, texts) for name, encoder in encoders.items()
    }
    sides["sentence-transformers"] = lambda: theirs(texts)
    times = alternate(sides, settings.repeats)
    exact = theirs(texts)
    tokens = encoders["float32"].tokenize(texts)
    work = operations(encoders["float32"], tokens.lengths)
    return {
        "texts": {"source": source, "number": len(texts), "tokens": int(tokens.lengths.sum())},
        "beside": told,
        "texts a second": {name: len(texts) / one["ms"] * 1e3 for name, one in times.items()},
        "cosine": {name: cosine(sides[name](), exact) for name in named},
        "compared": {"encoding": times},
        "floor, ms": {name: work / rate * 1e3 for name, rate in rates(settings).items()},
    }


def read_texts(settings: Settings) -> tuple[list[str], str]:
    """Distinct texts drawn with seed 0, and where they come from."""
    number = 20 if settings.quick else TEXTS
    folder = settings.data.get("stocknet")
    if folder is None:
        world = generator.World(users=number)
        column, source = generator.generate(world).interactions["text"], "generated"
    else:
        import pyarrow.csv

        column, source = pyarrow.csv.read_csv(folder / "posts.csv.gz")["text"], "StockNet"
    texts = column.drop_null().unique().to_pylist()
    drawn = np.random.default_rng(0).permutation(len(texts))[:number]
    return [texts[row] for row in drawn], source


def reference(model: Model) -> tuple[Callable[[Sequence[str]], np.ndarray], str]:
    """``encode`` of sentence-transformers, or its plain form where that is absent, and which."""
    if importlib.util.find_spec(_LIBRARY) is None:
        plain = functools.partial(plain_encode, Encoder(replace(model, precision="float32")))
        return plain, "a plain form of sentence-transformers' encode, which is not installed"
    import sentence_transformers

    library = sentence_transformers.SentenceTransformer(str(model.folder), device="cpu")
    library.eval()

    def encode(texts: Sequence[str]) -> np.ndarray:
        vectors: np.ndarray = library.encode(list(texts), show_progress_bar=False)
        return vectors

    return encode, f"sentence-transformers {sentence_transformers.__version__}"


def plain_encode(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """What ``encode`` does by default: the longest in characters first, 32 at a time, padded."""
    order = np.argsort([-len(text) for text in texts], kind="stable")
    vectors = np.empty((len(texts), encoder.dimension), np.float32)
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        tokens = encoder.tokenize([texts[row] for row in rows])
        with torch.inference_mode():
            vectors[rows] = encoder.embed(tokens, np.arange(len(rows))).numpy()
    return vectors


def cosine(found: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Mean and least cosine of the rows [n, d] of both."""
    product = (found * exact).sum(axis=1)
    each = product / (np.linalg.norm(found, axis=1) * np.linalg.norm(exact, axis=1))
    return {"mean": float(each.mean()), "least": float(each.min())}


def operations(encoder: Encoder, lengths: np.ndarray) -> float:
    """Multiplications and additions for texts of ``lengths`` tokens, no padding.

    By token and layer 2 (4 d^2 + 2 d f) in linear layers of widths d and f, and by text 4 L^2 d in
    attention.
    """
    config = encoder.network.config
    d, f = config.hidden_size, config.intermediate_size
    one_layer = 2 * lengths.sum() * (4 * d * d + 2 * d * f) + 4 * (lengths**2).sum() * d
    return float(config.num_hidden_layers * one_layer)


def rates(settings: Settings) -> dict[str, float]:
    """Operations a second of this machine's matrix products, by precision, the best of each."""
    found = {"float32": products(settings.repeats)}
    left, right = torch.ones(1024, 384), torch.ones(384, 1536)
    work = 2 * 1024 * 384 * 1536
    whole = left.to(torch.int8), right.to(torch.int8)
    half = left.bfloat16(), right.bfloat16()
    for name, product in {
        "bfloat16": lambda: torch.mm(*half),
        "int8": lambda: torch._int_mm(*whole),
    }.items():
        times = alternate({name: product}, 10 * settings.repeats)
        found[name] = work / times[name]["least_ms"] * 1e3
    return found


def cached(settings: Settings) -> dict[str, Any]:
    """(b): texts a second of a run that encodes nothing."""
    found: dict[str, Any] = {"from the cache, texts a second": {}}
    spec = EncoderSpec()
    model = resolve(spec)
    for name, number in CACHED.items():
        size = number // 1000 if settings.quick else number
        texts = [f"Post {row} on a share, {row * row}" for row in range(size)]
        with tempfile.TemporaryDirectory() as folder:
            fill(VectorCache(Path(folder), model.ingredients(), SILENT), texts)
            side = functools.partial(encode_texts, texts, spec, cache=Path(folder))
            times = alternate({name: side}, settings.repeats)[name]
        found["from the cache, texts a second"][name] = {
            "median": len(texts) / times["ms"] * 1e3,
            "least": len(texts) / times["most_ms"] * 1e3,
        }
    return found


def fill(store: VectorCache, texts: Sequence[str]) -> None:
    """Vectors drawn at random under the keys of ``texts``, in shards as encoding writes them."""
    made = np.random.default_rng(0)
    keys = text_keys(texts)
    for start in range(0, len(texts), 4_096):
        some = keys[start : start + 4_096]
        store.write(some, made.standard_normal((len(some), 384), dtype=np.float32))
