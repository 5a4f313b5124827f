"""Ids of users and items: their order, their node numbers, and pseudonyms of the users'."""

from __future__ import annotations

import hashlib
import hmac
import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import UsageError

USER_IDS = ("keep", "hashed", "none")
KEY_VARIABLE = "FINREC_DGL_ID_KEY"


def sort_ids(ids: pa.Array) -> pa.Array:
    """Distinct ``ids`` in node order: by code point, or by number where all are decimal digits."""
    if len(ids) and pc.all(pc.match_substring_regex(ids, r"\A[0-9]+\z")).as_py():
        digits = pc.ascii_ltrim(ids, "0")
        table = pa.table({"length": pc.binary_length(digits), "digits": digits, "id": ids})
        order = [("length", "ascending"), ("digits", "ascending"), ("id", "ascending")]
        return ids.take(pc.sort_indices(table, sort_keys=order))
    return ids.take(pc.sort_indices(ids))


def node_of(values: pa.Array | pa.ChunkedArray, ids: pa.Array) -> np.ndarray:
    """int32 [values]: the position of each value in ``ids``, -1 where it is not among them."""
    found = pc.fill_null(pc.index_in(values, value_set=ids), -1)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    return found.to_numpy(zero_copy_only=False).astype(np.int32)


def distinct(*columns: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The distinct strings of ``columns``, in order of appearance."""
    chunks: list[pa.Array] = []
    for column in columns:
        chunks += column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return pc.unique(pa.chunked_array(chunks, pa.string()))


def id_key() -> bytes:
    """The secret key of ``hashed`` ids. Raises UsageError where the environment has none."""
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise UsageError(
            "user ids are hashed, and there is no key",
            expected=f"a secret of your own in the environment variable {KEY_VARIABLE}",
            mend="set it to the same value whenever this data set is made or asked",
        )
    return key.encode()


def hash_ids(ids: pa.Array | pa.ChunkedArray, key: bytes) -> pa.Array:
    """HMAC-SHA256 of every id under ``key``, in hexadecimal; null stays null."""
    return pa.array(
        [None if one is None else _hmac(one, key) for one in ids.to_pylist()], pa.string()
    )


def key_check(key: bytes) -> str:
    """Tells a wrong key from an unknown user without telling the key."""
    return _hmac("finrec-dgl: is this the key?", key)[:16]


def _hmac(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
