"""The ids of a made-up world: they look like a bank's own, such as C000123 and FND-0042."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.tables.world.kinds import KINDS
from finrec_dgl.tables.world.population import Population


def user_ids(population: Population) -> list[str]:
    """The id of every customer, in the order of their numbers."""
    return user_id_array(np.arange(population.world.users), population.world.users).to_pylist()


def item_ids(population: Population) -> list[str]:
    """The id of every product, in the order of their numbers."""
    return item_id_array(population).to_pylist()


def user_id_array(users: np.ndarray, n_users: int) -> pa.Array:
    """The ids of the customers with these numbers, as strings."""
    return pc.binary_join_element_wise("C", _digits(users + 1, max(6, len(str(n_users)))), "")


def item_id_array(population: Population) -> pa.Array:
    """The ids of all products, as strings: counted within each kind, oldest first."""
    kind = population.kind
    order = np.argsort(kind, kind="stable")
    counts = np.bincount(kind, minlength=len(KINDS))
    number = np.empty(len(kind), np.int64)
    number[order] = np.arange(len(kind)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    codes = pa.array([one.code for one in KINDS]).take(pa.array(kind))
    return pc.binary_join_element_wise(codes, _digits(number, max(4, len(str(counts.max())))), "-")


def _digits(numbers: np.ndarray, width: int) -> pa.Array:
    """Decimal numbers with leading zeros, ``width`` letters each."""
    letters = np.empty((len(numbers), width), np.uint8)
    left = numbers.astype(np.int64)
    for place in reversed(range(width)):
        left, digit = np.divmod(left, 10)
        letters[:, place] = digit + ord("0")
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * width
    return pa.Array.from_buffers(
        pa.string(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(letters)]
    )
