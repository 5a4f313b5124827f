"""The items nearest to each item by who took both, from drawn users where there are many."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from finrec_dgl.kernels.library import find_library
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.kernels.slots import SparseRows
from finrec_dgl.sampling.draws import draw_places, mix_all, row_keys

_LEAST = np.float32(1e-20)
_AT_ONCE = 256  # items whose pairs NumPy sorts together
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def near_items(
    user_items: Ragged,
    n_users: int,
    n_items: int,
    *,
    near: int,
    fanout: int,
    alpha: float,
    users: float,
    shrink: float,
    seed: int,
    item_users: Ragged | None = None,
) -> SparseRows:
    """Return the ``near`` largest entries of each row of ``CosineFilter``, from drawn users.

    Parameters
    ----------
    user_items : Ragged
        The distinct items of every user, ``n_users`` rows.
    n_users, n_items : int
        The size of the graph.
    near : int
        How many items to keep for each item.
    fanout : int
        At most so many users of an item and items of a user are drawn for a row; -1 for all.
    alpha, users, shrink : float
        See ``finrec_dgl.graph.filters.CosineFilter``.
    seed : int
        What is drawn follows from it and the item, whatever the number of threads.
    item_users : Ragged, optional
        The users of every item, rising; made of ``user_items`` where it is not given.

    Returns
    -------
    SparseRows
        Row i, an item of a history, has c_ij / ((n_i + shrink)^alpha (n_j + shrink)^(1 - alpha))
        in the columns of its nearest items j, by rising number. i itself is not among them.

    Notes
    -----
    Of the n_i users of an item m <= ``fanout`` are drawn, and c_ij is n_i / m times the sum over
    those at whom j was drawn. Draws of a user's items are not scaled up: one with more than
    ``fanout`` items weighs less than in the filter, and no item comes near by a single such user.
    Nothing of size [n_items, n_items] or [n_users, n_items] is made.
    """
    indptr, items = (one.cpu().numpy() for one in (user_items.indptr, user_items.values))
    if item_users is None:
        item_users = _transposed(indptr, items, (n_users, n_items))
    item_ptr, holding = (one.cpu().numpy() for one in (item_users.indptr, item_users.values))
    holders = np.diff(item_ptr).astype(np.float32) + np.float32(shrink)
    holders[holders == 0] = 1.0
    # by the number of a user's items: read more quickly than by the user
    sizes = np.arange(np.diff(indptr).max(initial=0) + 1)
    weight = np.maximum(sizes, 1).astype(np.float32) ** np.float32(-users)
    # native code knows by a sum of 0 that an item is new: nobody may weigh nothing
    weight = np.maximum(weight, _LEAST)
    own, other = holders ** np.float32(-alpha), holders ** np.float32(alpha - 1)
    near = max(min(near, n_items - 1), 0)
    given = (item_ptr, holding, indptr, items, weight, own, other)
    if find_library().handle is None:
        made = _near_items(*given, near, fanout, seed)
    else:
        found = torch.empty(n_items, dtype=torch.int64)
        # NumPy asks for large pages, which the system clears in a fraction of the time
        indices = torch.from_numpy(np.empty(n_items * near, np.int32))
        values = torch.from_numpy(np.empty(n_items * near, np.float32))
        find_library().call(
            "finrec_near_items",
            *(torch.get_num_threads(), n_items, n_users, near, fanout, seed),
            *(*given, found, indices, values),
        )
        ends = torch.cat([found.new_zeros(1), found.cumsum(0)])
        made = (ends, _cut(indices, int(ends[-1])), _cut(values, int(ends[-1])))
    ends, indices, values = (one.to(user_items.values.device) for one in made)
    return SparseRows(ends, indices, values, n_items)


def _transposed(indptr: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> Ragged:
    """Return the users of every item."""
    # SciPy copies items to the type of the offsets
    offsets = indptr.astype(np.int32) if len(items) < 2**31 else indptr
    by_item = sp.csr_array((np.ones(len(items), np.int8), items, offsets), shape=shape).tocsc()
    return Ragged(
        torch.from_numpy(by_item.indptr.astype(np.int64)),
        torch.from_numpy(by_item.indices.astype(np.int32, copy=False)),
    )


def _cut(array: Tensor, size: int) -> Tensor:
    """Return the first ``size`` numbers, as a copy where much of the memory would be unused."""
    return array[:size].clone() if 2 * size < len(array) else array[:size]


def _near_items(
    item_ptr: np.ndarray,
    item_users: np.ndarray,
    user_ptr: np.ndarray,
    user_items: np.ndarray,
    by_size: np.ndarray,
    own: np.ndarray,
    other: np.ndarray,
    near: int,
    fanout: int,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The rows by NumPy, with the same draws as native code."""
    n_items = len(own)
    nowhere = np.zeros(0, np.int64)
    counts = np.zeros(n_items, np.int64)
    columns, values = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    for start in range(0, n_items, _AT_ONCE):
        block = np.arange(start, min(start + _AT_ONCE, n_items))
        keys = row_keys(seed, block)
        first, place = draw_places(item_ptr[block], item_ptr[block + 1], fanout, keys, nowhere)
        drawn = np.diff(first)
        user, row = item_users[place].astype(np.int64), np.repeat(np.arange(len(block)), drawn)
        keys = mix_all(~keys[row] + _GOLDEN * (user + 1).astype(np.uint64))
        first, place = draw_places(user_ptr[user], user_ptr[user + 1], fanout, keys, nowhere)
        degree = np.diff(first)
        pair = np.repeat(row, degree) * n_items + user_items[place]
        pair, at = np.unique(pair, return_inverse=True)
        shared = np.bincount(
            at, np.repeat(by_size[np.diff(user_ptr)[user]], degree), minlength=len(pair)
        )
        row, item = pair // n_items, pair % n_items
        apart = item != block[row]
        row, item, score = row[apart], item[apart], (shared * other[item])[apart]
        order = np.lexsort((item, -score, row))
        begin = np.searchsorted(row, np.arange(len(block)))
        order = np.sort(order[np.arange(len(row)) - begin[row] < near])
        row, item, score = row[order], item[order], score[order]
        counts[block] = np.bincount(row, minlength=len(block))
        scale = own[block] * np.diff(item_ptr)[block] / np.maximum(drawn, 1)
        columns.append(item.astype(np.int32))
        values.append((score * scale[row]).astype(np.float32))
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
    return (
        offsets,
        torch.from_numpy(np.concatenate(columns)),
        torch.from_numpy(np.concatenate(values)),
    )
