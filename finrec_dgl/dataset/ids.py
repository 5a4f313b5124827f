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
_LONGEST, _LONGEST_NUMBER = 64, 18
"""Bytes of ids up to which they are sorted as integers, several times faster than as strings."""


def sort_ids(ids: pa.Array) -> pa.Array:
    """Distinct ``ids`` in node order: by code point, or by number where all are decimal digits."""
    return ids.take(pa.array(id_order(ids)))


def id_order(ids: pa.Array) -> np.ndarray:
    """int64 [ids]: the places of the distinct ``ids`` in node order."""
    if not len(ids):
        return np.zeros(0, np.int64)
    length = pc.binary_length(ids).to_numpy()
    longest = int(length.max())
    numbers = bool(length.min()) and _all_digits(ids)
    if longest > (_LONGEST_NUMBER if numbers else _LONGEST):
        return _order_of_long(ids, numbers)
    order = np.argsort(length, kind="stable")
    # Sorting by one key after another, the last one first, each time keeping the order of equals.
    # UTF-8 sorts by bytes as its text does by code points
    for word in reversed(_words(ids, length, longest)):
        order = order[np.argsort(word[order], kind="stable")]
    if numbers:
        order = order[np.argsort(ids.cast(pa.int64()).to_numpy()[order], kind="stable")]
    return order


def _order_of_long(ids: pa.Array, numbers: bool) -> np.ndarray:
    if not numbers:
        return pc.sort_indices(ids).to_numpy().astype(np.int64)
    digits = pc.ascii_ltrim(ids, "0")
    table = pa.table({"length": pc.binary_length(digits), "digits": digits, "id": ids})
    keys = [("length", "ascending"), ("digits", "ascending"), ("id", "ascending")]
    return pc.sort_indices(table, sort_keys=keys).to_numpy().astype(np.int64)


def _all_digits(ids: pa.Array) -> bool:
    first, last = _offsets(ids)[[0, -1]]
    return bool(np.all(_bytes(ids)[first:last] - np.uint8(ord("0")) < 10))


def _words(ids: pa.Array, length: np.ndarray, longest: int) -> list[np.ndarray]:
    """The bytes of ``ids`` as uint64 [ids] each, eight at a time, zeros after the end."""
    filled = np.zeros((len(ids), -(-longest // 8) * 8), np.uint8)
    data, offsets = _bytes(ids), _offsets(ids)
    if int(length.min()) == longest:
        filled[:, :longest] = data[offsets[0] : offsets[-1]].reshape(len(ids), longest)
    else:
        for place in range(longest):
            rows = np.flatnonzero(length > place)
            filled[rows, place] = data[offsets[rows] + place]
    words = filled.view(">u8").astype(np.uint64)
    return [np.ascontiguousarray(words[:, one]) for one in range(words.shape[1])]


def _offsets(ids: pa.Array) -> np.ndarray:
    return np.frombuffer(ids.buffers()[1], np.int32, len(ids) + 1, 4 * ids.offset)


def _bytes(ids: pa.Array) -> np.ndarray:
    data = ids.buffers()[2]
    return np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)


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
