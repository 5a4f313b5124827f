"""Make a rehearsal of a data set's test from its training pairs alone, to choose settings on.

python benchmarks/rehearsal.py out/gowalla rehearsal --core 10 --share 0.2

Published splits often keep a k-core of all pairs, the test's among them, and then draw the test.
So a product of few training pairs is one that the test asks for: it would not be in the core else.
A validation part drawn from the training pairs does not have that, and favours what is popular.
The rehearsal is drawn as the test was: the k-core of the training pairs, and of it a share of each
user's pairs as its test. It is written as train.txt and test.txt, which `preprocess` reads.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finrec_dgl.base.errors import FinrecError
from finrec_dgl.dataset import load_dataset
from finrec_dgl.dataset.kcore import k_core
from finrec_dgl.dataset.snapshot import Pairs
from finrec_dgl.dataset.splits import share_of_each


def rehearsal(pairs: Pairs, core: int, share: float, seed: int) -> dict[str, Pairs]:
    """``train`` and ``test`` of the ``core``-core of ``pairs``, drawn by ``seed``."""
    kept = pairs.where(k_core(pairs.user, pairs.item, core))
    _, owner = np.unique(kept.user, return_inverse=True)
    drawn = share_of_each(owner, share, np.random.default_rng(seed))
    return {"train": kept.where(~drawn), "test": kept.where(drawn)}


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
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    try:
        pairs = load_dataset(chosen.dataset).snapshot("fit").pairs
        parts = rehearsal(pairs, chosen.core, chosen.share, chosen.seed)
    except FinrecError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    chosen.out.mkdir(parents=True)
    for name, part in parts.items():
        (chosen.out / f"{name}.txt").write_text(lines(part), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
