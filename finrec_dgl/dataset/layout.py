"""The files of a data set on disk: their names, the schema's version, and the data set's hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1

MANIFEST = "manifest.json"
USER_IDS = "ids/users.parquet"
ITEM_IDS = "ids/items.parquet"
ITEMS = "items.parquet"
INTERACTIONS = "interactions.safetensors"
TIES = "ties.safetensors"
PROFILES = "profiles.safetensors"
VECTORS = "vectors.safetensors"
SPLITS = "splits.safetensors"
GRAPH = "graph.bin"

FILES = (USER_IDS, ITEM_IDS, ITEMS, INTERACTIONS, TIES, PROFILES, VECTORS, SPLITS, GRAPH)
_IDS_AT_ONCE = 65_536
_HASHED = (INTERACTIONS, TIES, PROFILES, VECTORS, SPLITS)


def ids_digest(ids: pa.Array) -> str:
    """SHA-256 of the ids in their order, as one JSON array, however they are stored."""
    digest = hashlib.sha256(b"[")
    for start in range(0, len(ids), _IDS_AT_ONCE):
        text = _json(ids.slice(start, _IDS_AT_ONCE).to_pylist())[1:-1]
        digest.update(("," if start else "").encode() + text.encode())
    digest.update(b"]")
    return digest.hexdigest()


def dataset_hash(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over options, split, ids and contents: the same whenever and wherever it is made.

    Parquet and DGL files are left out, since their bytes depend on the writer's version, and all
    they hold is in the rest.
    """
    parts = {name: manifest[name] for name in ("schema_version", "options", "split", "ids")}
    return _digest({**parts, "files": {name: manifest["files"][name] for name in _HASHED}})


def _digest(value: Any) -> str:
    return hashlib.sha256(_json(value).encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
