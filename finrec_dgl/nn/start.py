"""Where learned vectors and biases start: at what the training graph tells before any step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph.filters import normalised, singular_vectors
from finrec_dgl.nn.config import HybridConfig

_MOST_PRODUCTS = 2e8


@dataclass(frozen=True)
class Start:
    """``item_bias`` float [n_items]; ``ids``: per node type, vectors float [n, dim], if any."""

    item_bias: Tensor
    ids: Mapping[str, Tensor]


def start_of(config: HybridConfig, snapshot: Snapshot, seed: int = 0) -> Start:
    """The start that ``config`` asks for, from the interactions of ``snapshot``."""
    popularity = np.bincount(snapshot.pairs.item, minlength=snapshot.n_items)
    bias = np.log1p(popularity)
    item_bias = torch.from_numpy(config.item_bias * (bias - bias.mean())).float()
    if not config.uses_ids or not starts_spectral(config, snapshot):
        return Start(item_bias, {})
    return Start(item_bias, spectral_vectors(config, snapshot, seed))


def starts_spectral(config: HybridConfig, snapshot: Snapshot) -> bool:
    """Whether learned vectors start at singular vectors.

    Those are had from the products of all pairs of columns (or rows, if fewer), one entry for each
    two products of a user: ``auto`` does without where that may be over 2e8, 2.4 GB.
    """
    if config.ids_start != "auto":
        return config.ids_start == "spectral"
    pairs = snapshot.pairs
    shared = pairs.user if snapshot.n_users >= snapshot.n_items else pairs.item
    held = np.bincount(shared).astype(np.float64)
    return bool((held**2).sum() <= _MOST_PRODUCTS)


def spectral_vectors(config: HybridConfig, snapshot: Snapshot, seed: int = 0) -> dict[str, Tensor]:
    """Leading singular vectors of the normalised interactions, scaled for scores of unit order.

    R = D_u^(-a/2) X D_i^(-1/2) ~ U S V^T with S_1 = 1, a = ``spectral_users``. A product starts at
    c V_i S^p and a user at c U_u S^p, p = ``spectral_power``, with rank ``dim_two`` and
    c^2 = sqrt(n_items) * (mean interactions of a user)^(3/4): Stream Two starts with a mean over
    what a user holds times the fourth root of how much that is.
    With one graph convolution the score is then the low-pass filter V S^(2p) V^T of the products'
    graph. Source: graph filters for recommendation, Shen et al., 2021 (GF-CF).
    """
    matrix = snapshot.matrix()
    held = np.asarray(matrix.sum(axis=1)).reshape(-1)
    normal = normalised(matrix, config.spectral_users / 2)
    sizes = {"user": snapshot.n_users, "item": snapshot.n_items}
    vectors = {name: np.zeros((size, config.dim_two)) for name, size in sizes.items()}
    left, values, right = singular_vectors(normal, config.dim_two, seed)
    rank = len(values)
    if rank:
        damped = (values / values.max()) ** config.spectral_power
        scale = (snapshot.n_items**0.5 * held[held > 0].mean() ** 0.75) ** 0.5
        vectors["user"][:, :rank] = left * damped * scale
        vectors["item"][:, :rank] = right * damped * scale
    return {name: torch.from_numpy(vector).float() for name, vector in vectors.items()}
