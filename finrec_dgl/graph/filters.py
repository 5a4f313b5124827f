"""Linear filters of the products' graph in closed form: what is near to what a user holds."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg
import torch

from finrec_dgl.base.errors import DataError

_DENSE = 2_000  # rows of a matrix whose eigenvectors take seconds all at once
_MOST_ITEMS = 20_000  # a matrix of 3 GB in float64, of which two are held at a time


def time_kernel(age: np.ndarray, half_life: float) -> np.ndarray:
    """2^(-age / half_life), ``age`` float [n] in days; 1 throughout where ``half_life`` is 0."""
    if not half_life:
        return np.ones(len(age), np.float32)
    return np.exp2(-age / half_life).astype(np.float32)


def ease_filter(held: Any, penalty: float) -> np.ndarray:
    """EASE: float32 [n_items, n_items], zero diagonal; scores of users are ``held @ filter``.

    The minimiser B of ||X - X B||^2 + penalty ||B||^2 with diag(B) = 0: with
    P = (X^T X + penalty I)^-1 it is B_ij = -P_ij / P_jj (Steck, WWW 2019). ``held``: sparse
    [n_users, n_items]. Memory: two dense matrices of n_items^2 float64. Raises DataError for more
    than 20,000 items, which would need too much of it.
    """
    if held.shape[1] > _MOST_ITEMS:
        raise DataError(
            f"EASE inverts a dense matrix between items, and there are {held.shape[1]:,}",
            expected=f"at most {_MOST_ITEMS:,} items",
            mend="train with model.relations=observed, compare with itemknn, or keep a k-core",
        )
    gram = torch.from_numpy((held.T @ held).toarray()).double()
    gram.diagonal().add_(penalty)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    filter_ = -inverse / inverse.diagonal()
    filter_.fill_diagonal_(0.0)
    found: np.ndarray = filter_.float().numpy()
    return found


def cosine_filter(held: Any, alpha: float = 0.5, shrink: float = 10.0) -> np.ndarray:
    """c_ij / ((c_ii + shrink)^alpha (c_jj + shrink)^(1 - alpha)): float32 [n_items, n_items].

    0 on the diagonal. c_ij: the number of users who hold both; ``held`` sparse [n_users, n_items]
    of ones; i is what is held, j what is recommended. ``alpha`` 0.5 is the cosine, 1 the share of
    i's holders who hold j too, which favours what is popular (Deshpande and Karypis, ACM TOIS
    22(1), 2004).
    """
    together = (held.T @ held).toarray().astype(np.float32)
    own = np.diag(together) + np.float32(shrink)
    together /= np.outer(own**alpha, own ** (1 - alpha))
    np.fill_diagonal(together, 0.0)
    return together


def _leading(matrix: Any, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U, S and V^T of the ``rank`` leading ones, from the eigenvectors of the smaller Gram matrix.

    The same each time: an iteration restarts from vectors drawn anew where the matrix has fewer
    dimensions than it seems, as that of an early snapshot has, and SciPy's ``svds`` has no seed
    for those.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    gram = matrix.T @ matrix if tall else matrix @ matrix.T
    size = gram.shape[0]
    if size <= _DENSE:
        last = (size - rank, size - 1)
        values, near = scipy.linalg.eigh(gram.toarray(), subset_by_index=last)
    else:
        rng = np.random.default_rng(seed)
        drawn = {"rng": rng} if "rng" in signature(scipy.sparse.linalg.eigsh).parameters else {}
        values, near = scipy.sparse.linalg.eigsh(gram, k=rank, v0=rng.random(size), **drawn)
    values = np.sqrt(np.maximum(values, 0))
    # what is no dimension of the matrix has no direction on its other side
    scale = np.where(values > 1e-7 * values.max(), values, np.inf)
    far = (matrix @ near if tall else matrix.T @ near) / scale
    left, right = (far, near) if tall else (near, far)
    return left, values, right.T


def singular_vectors(
    matrix: Any, rank: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leading singular vectors of a sparse matrix: U [n, r], S [r] falling, V [m, r].

    r is ``rank``, or one less than the smaller side; 0 for a matrix without entries.
    """
    rank = min(rank, min(matrix.shape) - 1)
    if rank < 1 or not matrix.nnz:
        return np.zeros((matrix.shape[0], 0)), np.zeros(0), np.zeros((matrix.shape[1], 0))
    if 4 * rank >= min(matrix.shape):
        left, values, right = np.linalg.svd(matrix.toarray().astype(np.float64), False)
        left, values, right = left[:, :rank], values[:rank], right[:rank]
    else:
        left, values, right = _leading(matrix.astype(np.float64), rank, seed)
    order = np.argsort(-values)
    return left[:, order], np.maximum(values[order], 0), right.T[:, order]


def normalised(held: Any, user_power: float = 0.5, item_power: float = 0.5) -> Any:
    """D_u^(-user_power) X D_i^(-item_power), sparse, with the degrees D; empty rows stay empty."""
    users = np.maximum(np.asarray(held.sum(axis=1)).ravel(), 1) ** -user_power
    items = np.maximum(np.asarray(held.sum(axis=0)).ravel(), 1) ** -item_power
    return (sp.diags_array(users) @ held @ sp.diags_array(items)).tocsr()


def unit_rows(matrix: Any) -> Any:
    """The rows of a sparse matrix at length 1; empty ones stay empty."""
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return (sp.diags_array(1 / np.where(lengths > 0, lengths, 1)) @ matrix).tocsr()
