"""Texts to vectors: each distinct text once, in batches of like length, through the cache."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from finrec_dgl.base.errors import UsageError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.text.cache import VectorCache, text_keys
from finrec_dgl.text.encoder import Encoder, EncoderSpec, resolve

# Tokens of a batch, padding included. On a CPU small batches stay in its caches (measured with
# MiniLM and posts on one thread: 1,024 to 2,048 alike, 256 and 8,192 a quarter slower). A GPU wants
# to be filled; its figure is a guess that no measurement backs yet. Where native code takes texts
# end to end, its threads divide a batch themselves, and wait for each other only at its end.
_CPU_TOKENS = 1_024
_PACKED_TOKENS = 16_384
_GPU_TOKENS = 32_768
# Texts of a shard of the cache: what is lost at most where the work is stopped.
_SHARD = 4_096


@dataclass(frozen=True)
class Encoded:
    """Vectors of texts, and what they cost.

    ``vectors`` float32 [n, d], a row for each text as given, zero where the text is empty;
    ``encoded`` and ``cached`` count distinct texts; ``seconds`` is the whole time;
    ``ingredients`` is the encoder as it was decided (model, pooling, precision, ...), empty where
    there is none.
    """

    vectors: np.ndarray
    encoded: int
    cached: int
    seconds: float
    ingredients: dict[str, str | int | bool] = field(default_factory=dict)


def encode_texts(
    texts: Sequence[str],
    spec: EncoderSpec,
    *,
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> Encoded:
    """Encode ``texts`` [n] into ``vectors`` float32 [n, d]; d is 0 for the encoder ``none``.

    Each distinct text is encoded once, and not at all where ``cache`` (a folder such as
    ``default_cache()``; None: no cache) holds it from before. The empty string is no text and
    gets the zero vector. PyTorch's current number of threads is used, or the device of ``spec``.

    Raises UsageError where a text is not a string, DataError where the model cannot be had or
    used, ConfigError where ``spec`` does not suit it.
    """
    start = time.perf_counter()
    distinct = _distinct(texts)
    if spec.name == "none":
        return Encoded(np.zeros((len(texts), 0), np.float32), 0, 0, time.perf_counter() - start)
    model = resolve(spec)
    store = None if cache is None else VectorCache(cache, model.ingredients(), progress)
    names = list(distinct)
    keys = text_keys(names)
    found, vectors = np.zeros(len(names), dtype=bool), None
    if store is not None:
        found, vectors = store.read(keys)
    missing = np.flatnonzero(~found)
    if vectors is None or len(missing):
        progress.note(
            f"loading the text encoder {spec.name} ({model.precision}, {model.pooling} pooling)"
        )
        encoder = Encoder(model)
        if vectors is None:
            vectors = np.zeros((len(names), encoder.dimension), dtype=np.float32)
        _encode(encoder, names, missing, keys, vectors, store, progress)
    return Encoded(
        vectors=_expand(texts, distinct, vectors),
        encoded=len(missing),
        cached=len(names) - len(missing),
        seconds=time.perf_counter() - start,
        ingredients=model.ingredients(),
    )


def encode_with(encoder: Encoder, texts: Sequence[str], progress: Progress = SILENT) -> np.ndarray:
    """Vectors float32 [n, d] of ``texts`` [n] by an encoder in memory, as ``encode_texts`` would.

    For an encoder that is no longer what its files say, such as one with an adapter: no cache.
    """
    distinct = _distinct(texts)
    names = list(distinct)
    vectors = np.zeros((len(names), encoder.dimension), dtype=np.float32)
    _encode(encoder, names, np.arange(len(names)), text_keys(()), vectors, None, progress)
    return _expand(texts, distinct, vectors)


def _distinct(texts: Sequence[str]) -> dict[str, int]:
    """The texts that are not empty, each with its row, in the order of their first appearance."""
    distinct: dict[str, int] = {}
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(
                f"a text is of the type {type(text).__name__}",
                expected="str, with the empty string where there is no text",
                where=f"row {row}",
            )
        if text:
            distinct.setdefault(text, len(distinct))
    return distinct


def _expand(texts: Sequence[str], distinct: dict[str, int], vectors: np.ndarray) -> np.ndarray:
    if len(distinct) == len(texts):
        return vectors
    rows = np.fromiter((distinct.get(text, -1) for text in texts), np.int64, len(texts))
    expanded = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
    expanded[rows >= 0] = vectors[rows[rows >= 0]]
    return expanded


def _encode(
    encoder: Encoder,
    names: Sequence[str],
    missing: np.ndarray,
    keys: np.ndarray,
    vectors: np.ndarray,
    store: VectorCache | None,
    progress: Progress,
) -> None:
    """Fill the rows ``missing`` of ``vectors``, and keep them in ``store`` shard by shard."""
    tokens = encoder.tokenize([names[row] for row in missing])
    budget = _CPU_TOKENS if encoder.device.type == "cpu" else _GPU_TOKENS
    budget = _PACKED_TOKENS if encoder.packs else budget
    done: list[np.ndarray] = []
    start, count = time.perf_counter(), 0
    with progress.task("encoding texts", len(missing), "texts") as task:
        try:
            for batch in batches(tokens.lengths, budget):
                rows = missing[batch]
                if tokens.lengths[batch[0]] > 0:
                    vectors[rows] = encoder.forward(tokens, batch)
                done.append(rows)
                count += len(rows)
                task.advance(
                    len(rows), texts_per_second=round(count / (time.perf_counter() - start))
                )
                if sum(map(len, done)) >= _SHARD:
                    _keep(store, done, keys, vectors)
        finally:
            # What is done is kept even where the rest was interrupted.
            _keep(store, done, keys, vectors)


def _keep(
    store: VectorCache | None, done: list[np.ndarray], keys: np.ndarray, vectors: np.ndarray
) -> None:
    if store is not None and done:
        rows = np.concatenate(done)
        store.write(keys[rows], vectors[rows])
    done.clear()


def batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Split texts into batches of like length, the longest first.

    Yields rows, each row once, such that the rows times their longest length stay within
    ``budget`` tokens (a text longer than it is a batch of its own). Texts without a token come
    last, by themselves.
    """
    order = np.argsort(-lengths, kind="stable")
    empty = int(np.count_nonzero(lengths == 0))
    filled, start = len(order) - empty, 0
    while start < filled:
        rows = max(1, budget // int(lengths[order[start]]))
        yield order[start : min(start + rows, filled)]
        start += rows
    if empty:
        yield order[filled:]
