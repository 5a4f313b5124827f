"""EASE: each product's holders told from the other products, or from the nearest ones, by ridge
regression in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from finrec_dgl.base.errors import DataError
from finrec_dgl.graph.filters import user_weights

_MOST_ITEMS = 20_000  # a matrix of 3 GB in float64, of which three are held at a time
_AT_ONCE = 256  # items fitted together, of which each takes a matrix [near, near]
_COLUMNS = 2**23  # of the sparse matrix that keeps what such items share apart


def ease_filters(held: Any, penalties: Sequence[float], users: float = 0.0) -> list[np.ndarray]:
    """EASE: float32 [n_items, n_items] a penalty, zero diagonal; users' scores: held @ filter.

    The minimiser B of ||W^(1/2) (X - X B)||^2 + penalty ||B||^2 with diag(B) = 0: with
    P = (X^T W X + penalty I)^-1 it is B_ij = -P_ij / P_jj (Steck, WWW 2019). ``held``: sparse
    [n_users, n_items]. W is diagonal, d_u^-users with what u holds in all, d_u: an active user's
    holdings say less of one another. Memory: three dense matrices of n_items^2 float64, and the
    filters. Raises DataError for more than 20,000 items, which would need too much of it.
    """
    if not penalties:
        return []
    if held.shape[1] > _MOST_ITEMS:
        raise DataError(
            f"EASE inverts a dense matrix between items, and there are {held.shape[1]:,}",
            expected=f"at most {_MOST_ITEMS:,} items",
            mend="train with model.pair.ease_near=64, compare with itemknn, or keep a k-core",
        )
    # an item without interactions has no edge: it need not be in what is inverted
    active = np.flatnonzero(np.asarray(held.sum(axis=0)).ravel())
    part = held[:, active]
    gram = torch.from_numpy((part.T @ (user_weights(held, users) @ part)).toarray()).double()
    counts, found = gram.diagonal().clone(), []
    for penalty in penalties:
        gram.diagonal().copy_(counts + penalty)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = inverse.div_(-inverse.diagonal().clone()).float().fill_diagonal_(0.0)
        whole = np.zeros((held.shape[1], held.shape[1]), np.float32)
        whole[np.ix_(active, active)] = weights.numpy()
        found.append(whole)
    return found


def near_ease_filters(
    held: Any, penalties: Sequence[float], near: int, users: float = 0.0
) -> list[Any]:
    """``ease_filters`` where B_ij is 0 unless i is one of the ``near`` nearest to j, sparse.

    Nearest by the cosine (X^T W X)_ij / sqrt((X^T W X)_ii (X^T W X)_jj); who shares no user with j
    is not near. Column j is then the ridge regression of j on its N: B_Nj = (G_NN + penalty I)^-1
    G_Nj with G = X^T W X. Nothing of the size n_items^2 is made.
    """
    rooted = sp.csr_array(user_weights(held, users / 2) @ held)  # W^(1/2) X
    back = sp.csr_array(rooted.T)
    n_items = held.shape[1]
    own = np.asarray(rooted.multiply(rooted).sum(axis=0)).ravel()
    each = min(_AT_ONCE, max(1, _COLUMNS // max(held.shape[0], 1)))
    values: list[list[np.ndarray]] = [[] for _ in penalties]
    sender, receiver = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, n_items, each):
        block = np.arange(start, min(start + each, n_items))
        nearest, shared = _nearest(sp.csr_array(back[block] @ rooted), block, own, near)
        there = nearest >= 0
        if not there.any():
            continue
        gram = _gram(back, np.where(there, nearest, block[:, None]), there)
        target = torch.from_numpy(shared).double().unsqueeze(2)
        for number, penalty in enumerate(penalties):
            factor = torch.linalg.cholesky(gram + penalty * torch.eye(gram.shape[1]))
            fitted = torch.cholesky_solve(target, factor).squeeze(2)
            values[number].append(fitted.float().numpy()[there])
        sender.append(nearest[there])
        receiver.append(np.repeat(block, there.sum(axis=1)))
    ends = np.concatenate(sender), np.concatenate(receiver)
    none = np.zeros(0, np.float32)
    return [
        sp.csr_array((np.concatenate([none, *one]), ends), shape=(n_items, n_items))
        for one in values
    ]


def _nearest(
    gram: Any, block: np.ndarray, own: np.ndarray, near: int
) -> tuple[np.ndarray, np.ndarray]:
    """int64 [b, k]: the nearest of each of ``block``, -1 where there are fewer; and G of both.

    ``gram``: sparse [b, I], their rows of G, whose diagonal is ``own`` [I].
    """
    nearest = np.full((len(block), near), -1)
    shared = np.zeros((len(block), near), np.float32)
    for row, item in enumerate(block):
        entries = slice(*gram.indptr[row : row + 2])
        others, values = gram.indices[entries], gram.data[entries]
        others, values = others[others != item], values[others != item]
        if len(others) > near:
            # the root of the item's own length is the same for all of them
            kept = np.argpartition(-values / np.sqrt(own[others]), near - 1)[:near]
            others, values = others[kept], values[kept]
        nearest[row, : len(others)], shared[row, : len(others)] = others, values
    return nearest, shared


def _gram(back: Any, nearest: np.ndarray, there: np.ndarray) -> Tensor:
    """float64 [b, k, k]: G between the ``nearest`` [b, k] of each item, 0 where not ``there``.

    One sparse product for all: each item's neighbours have the users as columns of their own.
    """
    count, near = nearest.shape
    rows = back[nearest.ravel()]
    item = np.repeat(np.arange(count * near) // near, np.diff(rows.indptr))
    column = item * back.shape[1] + rows.indices
    apart = sp.csr_array(
        (rows.data, column, rows.indptr), shape=(count * near, count * back.shape[1])
    )
    between = sp.coo_array(apart @ apart.T)
    row, other = between.coords
    gram = np.zeros((count, near, near))
    gram[row // near, row % near, other % near] = between.data
    gram *= there[:, :, None] & there[:, None, :]
    return torch.from_numpy(gram)
