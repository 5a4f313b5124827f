"""The nearest items of each item by the users that both share, as sparse rows."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from finrec_dgl.kernels.library import find_library
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.kernels.slots import SparseRows

_AT_ONCE = 16_384  # items whose lists are held before the empty places are dropped


def near_items(
    user_items: Ragged,
    item_users: Ragged,
    *,
    near: int,
    fanout: int = -1,
    alpha: float = 0.5,
    users: float = 0.0,
    shrink: float = 10.0,
    seed: int = 0,
) -> SparseRows:
    """Return the ``near`` largest entries of each row of a cosine filter between items.

    c_ij / ((n_i + shrink)^alpha (n_j + shrink)^(1 - alpha)), 0 on the diagonal, with c_ij the sum
    of d_u^-users over the users u who share i and j, n_i the users of i and d_u the items of u: see
    ``finrec_dgl.graph.filters.CosineFilter``.

    Parameters
    ----------
    user_items, item_users : Ragged
        The items of each user, and the users of each item.
    near : int
        Entries a row.
    fanout : int
        c_ij is estimated from so many users of i, and so many items of each, spread evenly over the
        row from a drawn start; -1: all.
    alpha, users, shrink : float
        See above.
    seed : int
        Of the draw; it is the same on any number of threads.

    Returns
    -------
    SparseRows
        [n_items, n_items] with at most ``near`` entries a row, the columns of each rising.
    """
    device, n_items = user_items.values.device, len(item_users)
    weight = user_items.counts.clamp(min=1).float() ** -users
    count = item_users.counts.float() + shrink
    count = torch.where(count > 0, count, torch.ones_like(count))
    scales = (weight, count**-alpha, count ** (alpha - 1))
    rows = [item_users.indptr, item_users.values, user_items.indptr, user_items.values]
    given = [one.cpu().contiguous() for one in (*rows, *scales)]
    if find_library().handle is None:
        return _sparse(given, near, n_items, device)
    found, values, counts = [], [], [torch.zeros(1, dtype=torch.long)]
    threads = torch.get_num_threads()
    for begin in range(0, n_items, _AT_ONCE):
        end = min(begin + _AT_ONCE, n_items)
        items = torch.empty(end - begin, near, dtype=torch.int32)
        value = torch.empty(end - begin, near)
        sizes = (begin, end, n_items, near, fanout, seed % 2**63)
        find_library().call("finrec_near_items", threads, *sizes, *given, items, value)
        there = items >= 0
        found.append(items[there])
        values.append(value[there])
        counts.append(there.sum(1))
    return SparseRows(
        torch.cat(counts).cumsum(0).to(device),
        torch.cat(found).to(device),
        torch.cat(values).to(device),
        n_items,
    )


def _sparse(given: list[Tensor], near: int, n_items: int, device: torch.device) -> SparseRows:
    """The same from all users, by sparse products, where native code was not built."""
    item_at, _, user_at, items, weight, into, out = (one.numpy() for one in given)
    del item_at
    shape = (len(user_at) - 1, n_items)
    held = sp.csr_array((np.ones(len(items), np.float32), items, user_at), shape=shape)
    back, forth = sp.csr_array(held.T), sp.csr_array(sp.diags_array(weight) @ held)
    columns, values, counts = [], [], [0]
    for item in range(n_items):
        row = sp.csr_array(back[[item]] @ forth)
        value = row.data * into[item] * out[row.indices]
        value[row.indices == item] = 0.0
        kept = np.lexsort((row.indices, -value))[:near]
        kept = np.sort(row.indices[kept][value[kept] > 0])
        columns.append(kept)
        values.append(dict(zip(row.indices.tolist(), value.tolist(), strict=True)))
        counts.append(len(kept))
    data = [values[item][one] for item, kept in enumerate(columns) for one in kept.tolist()]
    return SparseRows(
        torch.tensor(np.cumsum(counts)).to(device),
        torch.from_numpy(np.concatenate(columns).astype(np.int32)).to(device),
        torch.tensor(data, dtype=torch.float32).to(device),
        n_items,
    )
