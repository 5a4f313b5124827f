"""Tell from the training pairs alone whether a k-core's test was drawn at random.

python benchmarks/drawn.py out/gowalla --core 10

Two marks of a test of each user's latest pairs:

- Products lost unequal shares. Were pairs drawn at random, a product of N pairs would have a
  Binomial(N, s) of them in training, s the share kept. Where some products came late it is rather
  BetaBinomial(N, s k, (1 - s) k), with a smaller k the more unequal. N is not known; its
  distribution on N >= core is fitted (EM) for each k, and the log-likelihood of the training's
  numbers of pairs tells which k fits.
- Where ids are numbered in the order of the training file, the products that a user brings in
  stand in the order of the user's history. If that order is one of time, neighbours in it are more
  alike than any two of them: the cosine by holders, users counting less by how much they hold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.special import betaln, gammaln

from finrec_dgl.base.errors import FinrecError
from finrec_dgl.dataset import load_dataset
from finrec_dgl.graph.filters import normalised

_SHOWN = 60  # numbers of training pairs that are looked at, up to this one
_ROUNDS = 3_000


def likelihood(seen: np.ndarray, core: int, share: float, spread: float) -> float:
    """Of ``seen`` int [m], how many products have 1, 2, ... training pairs: log, at its maximum.

    ``spread``: k of the beta-binomial, infinite for the binomial.
    """
    count = np.arange(1, len(seen) + 1)[:, None]
    whole = np.arange(core, 2 * _SHOWN + core)[None, :]
    rest = np.maximum(whole - count, 0)
    log = gammaln(whole + 1) - gammaln(count + 1) - gammaln(rest + 1)
    if np.isinf(spread):
        log = log + count * np.log(share) + rest * np.log(1 - share)
    else:
        kept, lost = share * spread, (1 - share) * spread
        log = log + betaln(count + kept, rest + lost) - betaln(kept, lost)
    given = np.where(count <= whole, np.exp(log), 0.0)
    wholes = np.full(whole.shape[1], 1 / whole.shape[1])
    target = seen / seen.sum()
    for _ in range(_ROUNDS):
        wholes = wholes * (given.T @ (target / np.maximum(given @ wholes, 1e-300)))
        wholes = wholes / np.maximum(given.sum(axis=0), 1e-12)
        wholes /= wholes.sum()
    told = given @ wholes
    return float((seen * np.log(np.maximum(told / told.sum(), 1e-300))).sum())


def brought(user: np.ndarray, item: np.ndarray, fewest: int) -> Iterator[np.ndarray]:
    """The items that each user holds and none before does, rising, ``fewest`` at least."""
    items, first = np.unique(item, return_index=True)  # pairs are sorted by user
    order = np.lexsort((items, user[first]))
    _, start = np.unique(user[first][order], return_index=True)
    for block in np.split(items[order], start[1:]):
        if len(block) >= fewest:
            yield block


def neighbours(held: sp.csr_array, blocks: Sequence[np.ndarray], seed: int) -> tuple[float, float]:
    """Mean cosine of items that follow one another in a block, and of the same in a drawn order."""
    columns = normalised(held, 0.35, 0.5).tocsc()
    rng = np.random.default_rng(seed)
    found: list[list[float]] = [[], []]
    for block in blocks:
        for number, order in enumerate((block, rng.permutation(block))):
            both = columns[:, order[:-1]].multiply(columns[:, order[1:]])
            found[number].append(float(both.sum(axis=0).mean()))
    return float(np.mean(found[0])), float(np.mean(found[1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a folder that preprocess made")
    parser.add_argument("--core", type=int, default=10, help="pairs of a product at least, in all")
    parser.add_argument("--share", type=float, default=0.788, help="of the pairs in training")
    chosen = parser.parse_args(arguments)
    try:
        snapshot = load_dataset(chosen.dataset).snapshot("fit")
    except FinrecError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    seen = np.bincount(np.bincount(snapshot.pairs.item), minlength=_SHOWN)[1:_SHOWN]
    for spread in (np.inf, 100.0, 50.0, 30.0, 20.0, 10.0):
        value = likelihood(seen, chosen.core, chosen.share, spread)
        sys.stdout.write(f"spread {spread:g}: log-likelihood {value:,.1f}\n")
    blocks = [*brought(snapshot.pairs.user, snapshot.pairs.item, 20)]
    near, drawn = neighbours(sp.csr_array(snapshot.matrix()), blocks, 0)
    sys.stdout.write(
        f"cosine of neighbours in the order of ids, {len(blocks)} users: {near:.5f}; "
        f"in a drawn order: {drawn:.5f}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
