"""Recommend by EASE that is regularised towards similarities of the items' texts: L3AE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from finrec_dgl.base.config import refuse
from finrec_dgl.base.errors import DataError
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.checks import above_zero, require_few_items, zero_or_more

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot


class L3AE(Recommender):
    """Score items by the text-enhanced linear autoencoder of Moon et al., CIKM 2025.

    Parameters
    ----------
    reg
        The L2 penalty on the weights, in users; above 0.
    distill_reg
        The penalty on the distance to the text weights, in users; at least 0, where 0 is EASE.
    text_reg
        The L2 penalty on the text weights, for text vectors of length 1; above 0.

    Raises
    ------
    ConfigError
        For values out of range.

    Notes
    -----
    Implements both closed forms of arXiv 2508.13500, with X the binary interactions
    [n_users, n_items] and F the text vectors as columns [width, n_items]:

        S = argmin |F - F S|^2 + text_reg |S|^2                     with diag(S) = 0
        B = argmin |X - X B|^2 + reg |B|^2 + distill_reg |B - S|^2  with diag(B) = 0

    With P = (X'X + (reg + distill_reg) I)^-1 and Q = distill_reg * P S, for i != j

        B_ij = Q_ij - P_ij (1 + Q_jj) / P_jj

    S is EASE on F: S_ij = -R_ij / R_jj with R = (F'F + text_reg I)^-1. An item without text has
    the weights 0 in S. ``fit`` raises DataError where no item has a text vector, and for more
    than 20,000 items.
    """

    name = "l3ae"

    def __init__(
        self, reg: float = 300.0, distill_reg: float = 1000.0, text_reg: float = 10.0
    ) -> None:
        refuse(above_zero(reg=reg, text_reg=text_reg) + zero_or_more(distill_reg=distill_reg))
        self.reg, self.distill_reg, self.text_reg = reg, distill_reg, text_reg

    def _fit(self, snapshot: Snapshot) -> None:
        texts = snapshot.item_text
        if not np.any(texts):
            raise DataError(
                "no item has a text vector",
                expected="a dataset made with a text encoder from items with text columns",
            )
        require_few_items("L3AE", snapshot.n_items)
        self._seen = sp.csr_array(snapshot.matrix(), dtype=np.float32)
        text_weights = _text_weights(torch.from_numpy(texts.astype(np.float64)), self.text_reg)
        self._weights = self._distilled(text_weights)

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self._seen[users] @ self._weights)

    def _distilled(self, text_weights: Tensor) -> np.ndarray:
        """B [n_items, n_items] float32, of S."""
        gram = torch.from_numpy((self._seen.T @ self._seen).toarray()).double()
        inverse = _inverse(gram, self.reg + self.distill_reg)
        pulled = self.distill_reg * (inverse @ text_weights)
        scale = (1 + pulled.diagonal()) / inverse.diagonal()
        weights = pulled - inverse * scale
        return np.asarray(weights.fill_diagonal_(0.0).float().numpy())


def _text_weights(texts: Tensor, reg: float) -> Tensor:
    """S [n_items, n_items], of ``texts`` [n_items, width]."""
    inverse = _inverse(texts @ texts.T, reg)
    return (-inverse / inverse.diagonal()).fill_diagonal_(0.0)


def _inverse(gram: Tensor, reg: float) -> Tensor:
    """(``gram`` + ``reg`` I)^-1; overwrites ``gram``."""
    gram.diagonal().add_(reg)
    return torch.cholesky_inverse(torch.linalg.cholesky(gram))
