"""Recommend by factors of users and items, which the library ``implicit`` learns: ALS and BPR."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.config import refuse
from finrec_dgl.base.errors import DataError
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.evaluation import Vectors

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot

_INSTALL = "pip install finrec-dgl[implicit]"


class _Factors(Recommender):
    """score(u, i) = x_u . y_i, with the factors of a model of ``implicit``.

    Trained by one thread, so that a seed gives the same factors again.
    """

    def _fit(self, snapshot: Snapshot) -> None:
        held = sp.csr_matrix(snapshot.matrix(), copy=True)  # implicit asks for arrays to write to
        if not held.nnz:  # nothing to learn from
            self._users = np.zeros((snapshot.n_users, 1), np.float32)
            self._items = np.zeros((snapshot.n_items, 1), np.float32)
            return
        _library("implicit.utils")
        from threadpoolctl import threadpool_limits

        # implicit warns of a BLAS of several threads, and is slower with it
        with threadpool_limits(1, "blas"):
            model = self._model()
            model.fit(held, show_progress=False)
        self._users, self._items = model.user_factors, model.item_factors

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self._users[users] @ self._items.T)

    def _vectors(self) -> Vectors:
        return Vectors(self._users, self._items)

    @abstractmethod
    def _model(self) -> Any:
        """An untrained model of ``implicit``."""


class ALS(_Factors):
    """Matrix factorisation of Hu, Koren and Volinsky, ICDM 2008, on binary holdings.

        minimise  sum over u, i of c_ui (p_ui - x_u . y_i)^2 + l2 (sum |x_u|^2 + sum |y_i|^2)

    where p_ui is 1 and c_ui ``confidence`` for what u holds, else 0 and 1; by alternating least
    squares in ``implicit``. ``factors`` (default 32): the width of x and y; ``l2`` >= 0 (default
    10); ``confidence`` > 0 (default 5); ``iterations`` (default 15); ``seed`` of the first factors.

    Raises ConfigError for values out of range, DataError where ``implicit`` is not installed.
    """

    name = "als"

    def __init__(
        self,
        factors: int = 32,
        l2: float = 10.0,
        confidence: float = 5.0,
        iterations: int = 15,
        seed: int = 0,
    ) -> None:
        problems = _whole(factors=factors, iterations=iterations)
        if not 0 <= l2 < float("inf"):
            problems.append(f"l2 is {l2}, expected 0 or more")
        if not 0 < confidence < float("inf"):
            problems.append(f"confidence is {confidence}, expected more than 0")
        refuse(problems)
        self.factors, self.l2, self.confidence = factors, l2, confidence
        self.iterations, self.seed = iterations, seed

    def _model(self) -> Any:
        return _library("implicit.cpu.als").AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.l2,
            alpha=self.confidence,
            iterations=self.iterations,
            num_threads=1,
            random_state=self.seed,
        )


class BPR(_Factors):
    """Matrix factorisation by Bayesian personalised ranking (Rendle et al., UAI 2009).

        minimise  -log sigmoid(s_ui - s_uj) + l2 (|x_u|^2 + |y_i|^2 + |y_j|^2),
        s_ui = x_u . y_i + b_i,  i held by u, j drawn from what others hold and u does not

    by stochastic gradient descent in ``implicit``, an epoch being as many draws as there are pairs.
    ``factors`` (default 32): the width of x and y; ``rate`` > 0 (default 0.005): the learning rate;
    ``l2`` >= 0 (default 0.03); ``epochs`` (default 200); ``seed`` of first factors and draws.

    Raises ConfigError for values out of range, DataError where ``implicit`` is not installed.
    """

    name = "bpr"

    def __init__(
        self,
        factors: int = 32,
        rate: float = 0.005,
        l2: float = 0.03,
        epochs: int = 200,
        seed: int = 0,
    ) -> None:
        problems = _whole(factors=factors, epochs=epochs)
        if not 0 < rate < float("inf"):
            problems.append(f"rate is {rate}, expected more than 0")
        if not 0 <= l2 < float("inf"):
            problems.append(f"l2 is {l2}, expected 0 or more")
        refuse(problems)
        self.factors, self.rate, self.l2 = factors, rate, l2
        self.epochs, self.seed = epochs, seed

    def _model(self) -> Any:
        return _library("implicit.cpu.bpr").BayesianPersonalizedRanking(
            factors=self.factors,
            learning_rate=self.rate,
            regularization=self.l2,
            iterations=self.epochs,
            num_threads=1,
            random_state=self.seed,
        )


def _whole(**options: int) -> list[str]:
    return [
        f"{name} is {value}, expected at least 1" for name, value in options.items() if value < 1
    ]


def _library(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"the library implicit is not installed: {_INSTALL}", where=str(error), mend=_INSTALL
        ) from error
