"""Draws the products that the positives of a batch are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finrec_dgl.kernels.library import find_library

NEGATIVES = ("all", "uniform", "popularity", "in-batch")


@dataclass(frozen=True)
class Candidates:
    """Products that a batch is about: ``items`` int64 [C], distinct and sorted.

    ``negatives`` int64 [K]: the places among them of those that its positives are compared with.
    """

    items: np.ndarray
    negatives: np.ndarray


class NegativeSampler:
    """Negatives shared by a batch, by one of ``NEGATIVES``.

    ``all`` products; ``uniform``: ``count`` draws, each product as likely as any other;
    ``popularity``: as likely as it is held; ``in-batch``: of ``count`` of the batch's own
    positives, which are computed anyway. A product that is drawn twice stands there once.

    The items of user u, which may be learned from, are ``item[indptr[u]:indptr[u + 1]]``.
    """

    def __init__(
        self,
        kind: str,
        count: int,
        indptr: np.ndarray,
        item: np.ndarray,
        n_items: int,
    ) -> None:
        self.kind, self.count, self.n_items = kind, count, n_items
        self.indptr = indptr
        self.item = np.ascontiguousarray(item, np.int32)
        popularity = np.bincount(item, minlength=n_items).astype(np.float64)
        self.share = popularity / max(popularity.sum(), 1)

    def draw(self, positives: np.ndarray, rng: np.random.Generator) -> Candidates:
        """The candidates of a batch with the given positives, int [B]."""
        if self.kind == "all":
            return Candidates(np.arange(self.n_items), np.arange(self.n_items))
        drawn: np.ndarray
        if self.kind == "in-batch":
            few = self.count < len(positives)
            drawn = rng.choice(positives, self.count, replace=False) if few else positives
        elif self.kind == "uniform":
            drawn = rng.integers(0, self.n_items, self.count)
        else:
            drawn = self.item[rng.integers(0, len(self.item), self.count)]
        # by sorting the few, not by a pass over all products
        chosen = np.unique(drawn)
        items = np.union1d(positives, chosen).astype(np.int64)
        return Candidates(items, np.searchsorted(items, chosen))

    def free(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """bool [n, K]: which of ``items`` int64 [K] each of ``users`` int [n] does not hold."""
        free = np.ones((len(users), len(items)), dtype=bool)
        column = np.full(self.n_items, -1, np.int32)
        column[items] = np.arange(len(items), dtype=np.int32)
        if find_library().handle is not None:
            rows = np.ascontiguousarray(users, np.int32)
            arrays = (rows, self.indptr, self.item, column, free)
            find_library().call("finrec_mask_held", *free.shape, *arrays)
            return free
        start, counts = self.indptr[users], np.diff(self.indptr)[users]
        first = np.cumsum(counts) - counts
        at = np.arange(counts.sum()) + np.repeat(start - first, counts)
        held_column = column[self.item[at]]
        held_row = np.repeat(np.arange(len(users)), counts)
        inside = held_column >= 0
        free[held_row[inside], held_column[inside]] = False
        return free

    def log_expected(self, positives: int, items: np.ndarray) -> np.ndarray | None:
        """float32 [C]: log of how often ``items`` are expected as negatives of a batch.

        None where all products are. The batch's ``positives`` are taken to come by popularity.
        """
        if self.kind == "all":
            return None
        if self.kind == "uniform":
            expected = np.full(len(items), self.count / self.n_items)
        else:
            count = self.count if self.kind == "popularity" else min(self.count, positives)
            expected = count * self.share[items]
        # a candidate stands once however often it was drawn
        return np.log(np.minimum(1.0, np.maximum(expected, 1e-12))).astype(np.float32)
