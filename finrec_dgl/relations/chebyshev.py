"""Item to item by a polynomial over the whole spectrum of the normalised interactions."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional

from finrec_dgl.graph.chebyshev import chebyshev_sum, plateau_coefficients
from finrec_dgl.graph.filters import normalised
from finrec_dgl.relations.base import Relation, register_relation, stacked
from finrec_dgl.relations.batch import SeedBatch
from finrec_dgl.relations.view import GraphTensors


@register_relation
class Chebyshev(Relation):
    """The plateau filter of ChebyCF (Kim et al., SIGIR 2025, arXiv 2505.00552) of a seed's history.

    message = X D_i^-b p(L) D_i^b,  L = I - 2 R^T R,  R = D_u^-1/2 X D_i^-1/2

    p is the polynomial of degree ``chebyshev`` that meets the plateau of ``chebyshev_flatness``
    (``graph.chebyshev.plateau``), and b is ``chebyshev_degree``. It keeps all of the spectrum, the
    smooth half more than the rough one, where ``spectral`` cuts at a rank. Sparse products over the
    users: nothing of the size n_items^2 is made.
    """

    name = "chebyshev"

    def channel_names(self) -> tuple[str, ...]:
        return ("chebyshev",) if self.config.chebyshev else ()

    def sample(self, batch: SeedBatch) -> Tensor:
        view, seeds = batch.view, batch.seeds
        forth, back, scale = view.kept("chebyshev", lambda: self._operators(view))
        signal = torch.zeros(view.n_items, len(seeds), device=view.device)
        signal[seeds.item, seeds.row] = 1 / scale[seeds.item]

        def laplacian(one: Tensor) -> Tensor:
            return one - 2 * back.product(forth.product(one))

        weights = plateau_coefficients(self.config.chebyshev, self.config.chebyshev_flatness)
        message = chebyshev_sum(laplacian, signal, weights)
        return stacked([batch.log_share((message * scale.unsqueeze(1)).T.contiguous())])

    def _operators(self, view: GraphTensors) -> tuple[_Sparse, _Sparse, Tensor]:
        """Return R, its transpose, and D_i^b float32 [I]."""
        forth = sp.csr_array(normalised(view.snapshot.matrix()), dtype=np.float32)
        scale = view.item_count.clamp(min=1) ** self.config.chebyshev_degree
        return _Sparse(forth, view), _Sparse(sp.csr_array(forth.T), view), scale.float()


class _Sparse:
    """A SciPy matrix in rows, as tensors on the device of a view."""

    def __init__(self, matrix: Any, view: GraphTensors) -> None:
        parts = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data)
        self._parts = tuple(torch.from_numpy(one).to(view.device) for one in parts)

    def product(self, columns: Tensor) -> Tensor:
        """Return the product with ``columns`` float32 [n, B]."""
        indptr, indices, values = self._parts
        return functional.embedding_bag(
            indices, columns, indptr[:-1], mode="sum", per_sample_weights=values
        )
