"""Vectors kept on disk under hashes: a text that was encoded once is not encoded again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from finrec_dgl.base.errors import DataError, FinrecError
from finrec_dgl.base.files import load_arrays, save_arrays, write_json
from finrec_dgl.base.progress import Progress

_DIGEST = 32
_FORMAT = 1


def default_cache() -> Path:
    """``finrec-dgl/vectors`` under FINREC_DGL_CACHE, else XDG_CACHE_HOME, else ``~/.cache``."""
    root = os.environ.get("FINREC_DGL_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "finrec-dgl" / "vectors"


def text_keys(texts: Iterable[str]) -> np.ndarray:
    """The SHA-256 of every text, as ``S32`` [n]: what stands for the text in the cache."""
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype=f"S{_DIGEST}")


class VectorCache:
    """The vectors of one way of encoding, in one folder of safetensors shards.

    ``ingredients`` is everything that a vector depends on besides its text; its hash names the
    folder under ``root``. A shard holds the texts' hashes (never a text), their vectors, and a
    SHA-256 over both. Shards are written whole under the hash of their rows' keys and never
    changed, so any number of processes may read and write at once. The folder can be deleted at
    any time; all that is lost is time.
    """

    def __init__(
        self, root: Path, ingredients: Mapping[str, str | int | bool], progress: Progress
    ) -> None:
        self.ingredients = {"format": _FORMAT, **ingredients}
        text = json.dumps(self.ingredients, sort_keys=True, ensure_ascii=False)
        self.folder = Path(root) / hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
        self._progress = progress
        self._writable = True

    def read(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Whether each of the distinct ``keys`` [n] is here (bool [n]), and the vectors.

        The vectors are float32 [n, d], zero where a key is absent; None where nothing was found.
        A shard that is not whole is removed with a note, as if it had never been written.
        """
        found = np.zeros(len(keys), dtype=bool)
        vectors: np.ndarray | None = None
        if not len(keys):
            return found, vectors
        order = np.argsort(keys)
        ordered = keys[order]
        for path in sorted(self.folder.glob("*.safetensors")):
            shard = self._load(path, None if vectors is None else vectors.shape[1])
            if shard is None:
                continue
            shard_keys, shard_vectors = shard
            place = np.minimum(np.searchsorted(ordered, shard_keys), len(keys) - 1)
            here = np.flatnonzero(ordered[place] == shard_keys)
            rows = order[place[here]]
            if vectors is None and len(rows):
                vectors = np.zeros((len(keys), shard_vectors.shape[1]), dtype=np.float32)
            if vectors is not None:
                vectors[rows] = shard_vectors[here]
                found[rows] = True
        return found, vectors

    def write(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        """Keep ``vectors`` float32 [n, d] under ``keys`` [n] as one shard.

        Where the disk refuses, a note says so, once, and the work goes on without the cache.
        """
        if not self._writable or not len(keys):
            return
        rows = np.frombuffer(keys.tobytes(), dtype=np.uint8).reshape(-1, _DIGEST)
        name = hashlib.sha256(rows.data).hexdigest()[:_DIGEST]
        arrays = {"keys": rows, "vectors": vectors, "checksum": _checksum(rows, vectors)}
        try:
            if not (self.folder / "encoder.json").is_file():
                write_json(self.folder / "encoder.json", self.ingredients)
            save_arrays(self.folder / f"{name}.safetensors", arrays)
        except FinrecError as error:
            self._writable = False
            self._progress.note(f"text vectors are not cached: {error.found} ({error.where})")

    def _load(self, path: Path, width: int | None) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            arrays = load_arrays(path, what="cached vectors")
        except DataError:
            if path.exists():
                self._discard(path)
            return None
        if set(arrays) != {"keys", "vectors", "checksum"}:
            self._discard(path)
            return None
        rows, vectors = arrays["keys"], arrays["vectors"]
        if (
            rows.dtype != np.uint8
            or rows.ndim != 2
            or rows.shape[1] != _DIGEST
            or vectors.dtype != np.float32
            or vectors.ndim != 2
            or len(vectors) != len(rows)
            or width not in (None, vectors.shape[1])
            or not np.array_equal(arrays["checksum"], _checksum(rows, vectors))
        ):
            self._discard(path)
            return None
        return np.frombuffer(rows.tobytes(), dtype=f"S{_DIGEST}"), vectors

    def _discard(self, path: Path) -> None:
        self._progress.note(
            f"cached vectors in {path.name} are damaged; their texts are encoded again"
        )
        try:
            path.unlink(missing_ok=True)
        except OSError:
            # Left where it is (a cache that is read-only, say), and passed over each time.
            return


def _checksum(rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    digest = hashlib.sha256(np.ascontiguousarray(rows).data)
    digest.update(np.ascontiguousarray(vectors).data)
    return np.frombuffer(digest.digest(), dtype=np.uint8)
