"""Make a rehearsal of a data set's test from its training pairs alone, to choose settings on.

python benchmarks/rehearsal.py out/gowalla rehearsal --core 8 --alike 1 --late 0.3

Published splits often keep a k-core of all pairs, the test's among them, and then draw the test.
So a product of few training pairs is one that the test asks for: it would not be in the core else.
A validation part drawn from the training pairs does not have that, and favours what is popular.
The rehearsal is drawn as the test was: a core of the training pairs, and of it a share of each
user's pairs as its test. It is written as train.txt and test.txt, which `preprocess` reads.

A test of each user's latest pairs is not like one drawn at random. What is taken up at one time is
alike, and further from the rest (`--alike`); and a product that came late lost more of its pairs to
the test (`--late`). Without dates, both are drawn: the pairs with the largest

    x_ui + late * t_i,    t_i ~ N(0, 1) a product,

x_ui ~ N(0, 1) a pair, averaged `alike` times with those of the user's products that others hold
too, by the cosine in which active users count less, and then scaled for each user.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.errors import FinrecError
from finrec_dgl.dataset import load_dataset
from finrec_dgl.dataset.kcore import k_core
from finrec_dgl.dataset.snapshot import Pairs
from finrec_dgl.dataset.splits import share_of_each
from finrec_dgl.graph.filters import user_weights

_USERS = 0.7  # how much an active user's holdings count less in what is alike


def rehearsal(
    pairs: Pairs, core: int, share: float, seed: int, alike: int = 0, late: float = 0.0
) -> dict[str, Pairs]:
    """``train`` and ``test`` of the ``core``-core of ``pairs``, drawn by ``seed``."""
    kept = pairs.where(k_core(pairs.user, pairs.item, core))
    _, owner = np.unique(kept.user, return_inverse=True)
    rng = np.random.default_rng(seed)
    if alike or late:
        drawn = latest_of_each(owner, kept.item, share, rng, alike, late)
    else:
        drawn = share_of_each(owner, share, rng)
    return {"train": kept.where(~drawn), "test": kept.where(drawn)}


def latest_of_each(
    owner: np.ndarray,
    item: np.ndarray,
    share: float,
    rng: np.random.Generator,
    alike: int,
    late: float,
) -> np.ndarray:
    """bool [pairs]: of n pairs of a user n - floor((1 - share) n), late ones as the module says.

    ``owner`` int [pairs], sorted from 0 without gaps, ``item`` int [pairs].
    """
    _, item = np.unique(item, return_inverse=True)
    held = sp.csr_array((np.ones(len(owner), np.float32), (owner, item)))
    when = rng.standard_normal(held.shape[1])
    weighted = sp.csr_array((user_weights(held, _USERS / 2) @ held).T)
    holders = np.asarray(held.sum(axis=0)).ravel().astype(np.float64)
    drawn = np.zeros(len(owner), bool)
    start = np.flatnonzero(np.diff(owner, prepend=-1))
    for pairs in np.split(np.arange(len(owner)), start[1:]):
        own, count = item[pairs], len(pairs)
        near = _likeness(weighted[own], holders[own], count**-_USERS)
        time = _smooth(rng.standard_normal(count), near, alike) + late * when[own]
        wanted = count - int((1 - share) * count)
        drawn[pairs[np.argsort(-time)[:wanted]]] = True
    return drawn


def _likeness(rows: Any, holders: np.ndarray, own: float) -> np.ndarray:
    """[n, n]: cosine of products by users other than the one who holds them all, 0 for itself."""
    shared = np.maximum((rows @ rows.T).toarray() - own, 0)
    np.fill_diagonal(shared, 0)
    found: np.ndarray = shared / np.sqrt(np.outer(holders, holders))
    return found


def _smooth(values: np.ndarray, near: np.ndarray, rounds: int) -> np.ndarray:
    """``values`` [n], each moved half way to the mean of those near it, then scaled."""
    total = near.sum(axis=1)
    share = near / np.maximum(total, 1e-9)[:, None]
    for _ in range(rounds):
        values = np.where(total > 0, 0.5 * values + 0.5 * (share @ values), values)
    found: np.ndarray = (values - values.mean()) / max(values.std(), 1e-9)
    return found


def lines(pairs: Pairs) -> str:
    """A line a user: their number, then the numbers of their items."""
    users, start = np.unique(pairs.user, return_index=True)
    items = np.split(pairs.item, start[1:])
    return "".join(
        " ".join(map(str, [user, *held])) + "\n" for user, held in zip(users, items, strict=True)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the two files; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a folder that preprocess made")
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--core", type=int, default=10, help="pairs a user and product at least")
    parser.add_argument("--share", type=float, default=0.2, help="of each user's pairs to test on")
    parser.add_argument("--alike", type=int, default=0, help="rounds; what is tested on is alike")
    parser.add_argument("--late", type=float, default=0.0, help="weight; some products are late")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    how = (chosen.core, chosen.share, chosen.seed, chosen.alike, chosen.late)
    try:
        parts = rehearsal(load_dataset(chosen.dataset).snapshot("fit").pairs, *how)
    except FinrecError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    chosen.out.mkdir(parents=True)
    for name, part in parts.items():
        (chosen.out / f"{name}.txt").write_text(lines(part), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
