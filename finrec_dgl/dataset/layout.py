"""The files of a data set on disk: their names, the schema's version, and the data set's hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SCHEMA_VERSION = 2

MANIFEST = "manifest.json"
USER_IDS = "ids/users.parquet"
ITEM_IDS = "ids/items.parquet"
ITEMS = "items.parquet"
INTERACTIONS = "interactions.safetensors"
TIES = "ties.safetensors"
EDGES = "edges.safetensors"
PROFILES = "profiles.safetensors"
VECTORS = "vectors.safetensors"
SPLITS = "splits.safetensors"

FILES = (USER_IDS, ITEM_IDS, ITEMS, INTERACTIONS, TIES, EDGES, PROFILES, VECTORS, SPLITS)
_IDS_AT_ONCE = 65_536
_ESCAPED = bytes(range(32)) + b'"\\'
_HASHED = (INTERACTIONS, TIES, EDGES, PROFILES, VECTORS, SPLITS)


def ids_digest(ids: pa.Array) -> str:
    """SHA-256 of the ids in their order, as one JSON array, however they are stored."""
    digest = hashlib.sha256(b"[")
    for start in range(0, len(ids), _IDS_AT_ONCE):
        digest.update(("," if start else "").encode() + _quoted(ids.slice(start, _IDS_AT_ONCE)))
    digest.update(b"]")
    return digest.hexdigest()


def _quoted(ids: pa.Array) -> bytes:
    """The ids as JSON strings between commas."""
    together = pa.ListArray.from_arrays(pa.array([0, len(ids)], pa.int32()), ids)
    joined: bytes = pc.binary_join(together.cast(pa.list_(pa.binary())), b'","')[0].as_py()
    # nothing but control characters, quotes and backslashes is written otherwise in JSON
    if len(joined.translate(None, _ESCAPED)) == len(joined) - 2 * (len(ids) - 1):
        return b'"' + joined + b'"'
    return _json(ids.to_pylist())[1:-1].encode()


def dataset_hash(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over options, split, ids, names and contents: the same wherever it is made.

    Parquet files are left out, since their bytes depend on the writer's version, and all they hold
    is in the rest.
    """
    names = ("schema_version", "options", "split", "ids", "numbers", "edges")
    parts = {name: manifest[name] for name in names}
    return _digest({**parts, "files": {name: manifest["files"][name] for name in _HASHED}})


def _digest(value: Any) -> str:
    return hashlib.sha256(_json(value).encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
