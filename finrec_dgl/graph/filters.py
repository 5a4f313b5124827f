"""Linear filters of the products' graph in closed form: what is near to what a user holds."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import torch
from torch import Tensor

_DENSE = 400  # rows of a matrix whose eigenvectors take long all at once
_MOST_ITEMS = 20_000  # a matrix of 1.6 GB
_ITERATIONS = 6
_TALL = 20_000  # rows from which a basis is found by Cholesky


def time_kernel(age: np.ndarray, half_life: float) -> np.ndarray:
    """2^(-age / half_life), ``age`` float [n] in days; 1 throughout where ``half_life`` is 0."""
    if not half_life:
        return np.ones(len(age), np.float32)
    return np.exp2(-age / half_life).astype(np.float32)


def user_weights(held: Any, users: float) -> Any:
    """Diagonal [n_users, n_users] of d_u^-users, d_u what u holds; 1 for who holds nothing."""
    active = np.maximum(np.asarray(held.sum(axis=1)).ravel(), 1).astype(np.float32)
    return sp.diags_array(active**-users)


class CosineFilter:
    """Scores of what is held by its cosine with other items.

    The filter is c_ij / ((n_i + shrink)^alpha (n_j + shrink)^(1 - alpha)), 0 on the diagonal; i is
    what is held, j what is recommended. n_i is the number of i's holders and

        c_ij = sum over users u who hold both of d_u^-users

    with d_u what u holds in all: an active user's holdings say less of one another. ``held`` sparse
    [n_users, n_items] of ones. ``alpha`` 0.5 and ``users`` 0 is the cosine, ``alpha`` 1 the share
    of i's holders who hold j too, which favours what is popular (Deshpande and Karypis, ACM TOIS
    22(1), 2004; ``users`` as in random walks, Paudel et al., ACM TiiS 7(1), 2016).

    Up to ``most`` items the filter is one dense matrix, ``matrix`` [n_items, n_items] float32;
    above, messages go over the users in two sparse products, and nothing of that size is made.
    """

    def __init__(
        self,
        held: Any,
        alpha: float = 0.5,
        users: float = 0.0,
        shrink: float = 10.0,
        most: int = _MOST_ITEMS,
    ) -> None:
        holders = np.asarray(held.sum(axis=0)).ravel().astype(np.float32) + np.float32(shrink)
        holders[holders == 0] = 1.0  # nobody's item has no messages whatever it is divided by
        self._into, self._out = holders**-alpha, holders ** (alpha - 1)
        self._back = sp.csr_array(held.T)
        self._forth = sp.csr_array(user_weights(held, users) @ held)
        self._own = np.asarray(self._forth.sum(axis=0)).ravel()  # c_ii
        self.matrix: np.ndarray | None = None
        if held.shape[1] <= most:
            together = (self._back @ self._forth).toarray()
            together *= np.outer(self._into, self._out)
            np.fill_diagonal(together, 0.0)
            self.matrix = together

    def __call__(self, rows: Any) -> np.ndarray:
        """Messages float32 [B, n_items] of ``rows``, sparse [B, n_items]: what each holds."""
        found: np.ndarray
        if self.matrix is not None:
            found = rows @ self.matrix
            return found
        weighted = sp.csr_array(rows @ sp.diags_array(self._into))
        found = (weighted @ self._back @ self._forth).toarray()
        # an item is no neighbour of its own: what came to it from itself is taken off
        row = np.repeat(np.arange(weighted.shape[0]), np.diff(weighted.indptr))
        found[row, weighted.indices] -= weighted.data * self._own[weighted.indices]
        found *= self._out
        return found


def _leading(matrix: Any, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U, S and V^T of the ``rank`` leading ones, the same each time for one ``seed``.

    Up to 400 rows or columns from the eigenvectors of the smaller Gram matrix, all at once; above
    by ``_subspace``.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    size = min(matrix.shape)
    if size <= _DENSE:
        gram = (matrix.T @ matrix if tall else matrix @ matrix.T).toarray()
        values, near = scipy.linalg.eigh(gram, subset_by_index=(size - rank, size - 1))
    else:
        values, near = _subspace(matrix if tall else matrix.T, rank, seed)
    values = np.sqrt(np.maximum(values, 0))
    # what is no dimension of the matrix has no direction on its other side
    scale = np.where(values > 1e-7 * values.max(), values, np.inf)
    far = (matrix @ near if tall else matrix.T @ near) / scale
    left, right = (far, near) if tall else (near, far)
    return left, values, right.T


def _subspace(matrix: Any, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``rank`` largest eigenvalues of M^T M and their vectors [m, rank], of M [n, m].

    Subspace iteration from a drawn block that is an eighth wider, and 16 columns at least (Halko,
    Martinsson and Tropp, SIAM Review 53(2), 2011). One by one, as Lanczos finds them, hundreds take
    minutes; the block's products and factorisations are of whole matrices. The last ones of a
    spectrum that falls slowly come out as mixtures of their neighbours, which a filter by all of
    them does not notice.
    """
    over, back = _sparse(matrix), _sparse(matrix.T)
    width = min(rank + max(rank // 8, 16), matrix.shape[1])
    draws = torch.Generator().manual_seed(seed)
    block = torch.randn(matrix.shape[1], width, generator=draws, dtype=torch.float64)
    block = _orthonormal(block)
    for _ in range(_ITERATIONS):
        block = _orthonormal(back @ (over @ block))
    image = over @ block
    values, turn = torch.linalg.eigh(image.T @ image)
    return values[-rank:].numpy(), (block @ turn[:, -rank:]).numpy()


def _orthonormal(block: Tensor) -> Tensor:
    """An orthonormal basis of the columns of ``block`` [m, width]; of many rows by Cholesky.

    A QR factorisation of 100,000 rows takes as long as ten products with the block. The columns are
    images of orthonormal ones, so their Gram matrix is conditioned well enough for float64.
    """
    if len(block) <= _TALL:
        return torch.linalg.qr(block).Q
    factor, failed = torch.linalg.cholesky_ex(block.T @ block)
    if failed:
        return torch.linalg.qr(block).Q
    return torch.linalg.solve_triangular(factor.T, block, upper=True, left=False)


def _sparse(matrix: Any) -> Tensor:
    """A SciPy matrix as a sparse tensor in rows, whose products use all threads."""
    rows = sp.csr_array(matrix)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls its compressed rows a beta
        return torch.sparse_csr_tensor(
            torch.from_numpy(rows.indptr.astype(np.int64)),
            torch.from_numpy(rows.indices.astype(np.int64)),
            torch.from_numpy(rows.data.astype(np.float64)),
            rows.shape,
            check_invariants=False,
        )


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
