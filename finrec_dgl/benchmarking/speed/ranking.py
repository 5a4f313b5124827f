"""A full ranking beside RecBole's way and a plain loop, and the best for a million customers.

(a) every item of Gowalla ranked for every user by vectors of width 64, with all metrics at 10 and
20; where its folder is not given, pairs made up of the same sizes. RecBole is not installed: its
full-sort evaluation is written out below, step by step as its trainer, collector and metrics do it,
and so is the loop that anybody would write. Both find the first 20 alone; ours ranks every target.
(b) ten products for each of 1,000,000 customers out of 100,000, with ids and titles, as Parquet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from finrec_dgl.base.measure import measured
from finrec_dgl.benchmarking.speed.timing import Settings, alternate, own_process, products
from finrec_dgl.dataset import Pairs
from finrec_dgl.dataset.snapshot import pair_keys, pairs_of_keys
from finrec_dgl.evaluation import Vectors, rank_targets, ranking_metrics
from finrec_dgl.recommending import recommend_all
from finrec_dgl.tables.reading import read_source

WIDTH = 64
CUTOFFS = (10, 20)
BATCHES = (64, 256, 1024, 4096)  # users at a time; the fastest is taken for the other sides
GOWALLA = {"users": 29_858, "items": 40_981, "held": 810_128, "targets": 217_242}
BANK = {"users": 1_000_000, "items": 100_000, "held": 10_000_000}


@dataclass(frozen=True, eq=False)
class World:
    """Pairs held, pairs to find, and vectors whose products are the scores."""

    held: Pairs
    targets: Pairs
    user: np.ndarray  # float32 [users, WIDTH]
    item: np.ndarray  # float32 [items, WIDTH]

    def vectors(self) -> Vectors:
        """What our side ranks by."""
        return Vectors(self.user, self.item)


class Rows:
    """The same scores for a ranking that is given whole rows."""

    def __init__(self, world: World) -> None:
        self._user, self._item = torch.from_numpy(world.user), torch.from_numpy(world.item)

    def score(self, users: np.ndarray) -> np.ndarray:
        """int [B] -> float32 [B, items]."""
        scores: np.ndarray = (self._user[users] @ self._item.T).numpy()
        return scores


def make_world(folder: str | None, users: int, items: int, held: int, targets: int) -> World:
    """Gowalla from ``folder``, or made-up pairs; a user's vector is the sum of what it holds."""
    if folder is None:
        rng = np.random.default_rng(0)
        item = (items * rng.random(held + targets) ** 2).astype(np.int64)
        keys = np.unique(pair_keys(rng.integers(0, users, len(item)), item, items))
        keys = rng.permutation(keys)
        parts = [np.sort(keys[targets:]), np.sort(keys[:targets])]
    else:
        tables = read_source(folder)
        test = tables.given.test if tables.given is not None else tables.interactions[:0]
        parts = []
        for table in (tables.interactions, test):
            user, item = (np.asarray(table[one].cast(pa.int64())) for one in ("user_id", "item_id"))
            parts.append(np.unique(pair_keys(user, item, items)))
    known, asked = (pairs_of_keys(one, items) for one in parts)
    vectors = np.random.default_rng(1).standard_normal((items, WIDTH), dtype=np.float32)
    return World(known, asked, known.matrix(users, items) @ vectors, vectors)


def ours(world: World, scorer: Any) -> dict[str, float]:
    """Every metric by exact ranks of all targets."""
    everything = np.ones(len(world.item), bool)
    found = rank_targets(scorer, world.targets, world.held, everything)
    values = ranking_metrics(found.ranks, found.owner, len(found.users), CUTOFFS)
    return {name: float(one.mean()) for name, one in values.items()}


@dataclass(frozen=True, eq=False)
class _Batch:
    """Some users, and where in their rows of scores what they hold and what they seek stands."""

    users: Tensor
    held: tuple[Tensor, Tensor]
    targets: tuple[Tensor, Tensor]


def _batches(world: World, size: int) -> list[_Batch]:
    """All users that have targets; made before the timing, as a loader would have it."""
    users = np.unique(world.targets.user)
    return [
        _Batch(torch.from_numpy(part.astype(np.int64)), *_places(world, part))
        for part in (users[start : start + size] for start in range(0, len(users), size))
    ]


def _places(world: World, users: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
    for pairs in (world.held, world.targets):
        inside = np.flatnonzero(np.isin(pairs.user, users))
        row = np.searchsorted(users, pairs.user[inside])
        yield torch.from_numpy(row), torch.from_numpy(pairs.item[inside].astype(np.int64))


def full_sort(world: World, batches: list[_Batch]) -> dict[str, float]:
    """As RecBole evaluates: a matrix of what is relevant, looked up at the first k of each user."""
    user, item = torch.from_numpy(world.user), torch.from_numpy(world.item)
    found = []
    for batch in batches:
        scores = user[batch.users] @ item.T
        scores[batch.held] = -np.inf
        _, first = torch.topk(scores, max(CUTOFFS), dim=-1)
        relevant = torch.zeros_like(scores, dtype=torch.int)
        relevant[batch.targets] = 1
        count = relevant.sum(dim=1, keepdim=True)
        found.append(torch.cat([torch.gather(relevant, 1, first), count], dim=1))
    told: np.ndarray = torch.cat(found).numpy()
    return _by_position(told[:, :-1].astype(bool), told[:, -1])


def plain_loop(world: World, batches: list[_Batch]) -> dict[str, float]:
    """Scores, mask, ``torch.topk``; what is found is looked up among the sorted targets."""
    user, item = torch.from_numpy(world.user), torch.from_numpy(world.item)
    wanted = torch.from_numpy(pair_keys(world.targets.user, world.targets.item, len(item)))
    hits = []
    for batch in batches:
        scores = user[batch.users] @ item.T
        scores[batch.held] = -np.inf
        first = torch.topk(scores, max(CUTOFFS), dim=-1).indices
        keys = batch.users[:, None] * len(item) + first
        place = torch.searchsorted(wanted, keys).clamp(max=len(wanted) - 1)
        hits.append(wanted[place] == keys)
    count = np.unique(world.targets.user, return_counts=True)[1]
    return _by_position(torch.cat(hits).numpy(), count)


def _by_position(hit: np.ndarray, count: np.ndarray) -> dict[str, float]:
    """Means of all metrics at every cutoff, by cumulative sums. ``hit`` bool [users, k]."""
    found = hit.cumsum(axis=1)
    discount = 1 / np.log2(np.arange(2, hit.shape[1] + 2))
    gain, ideal = (hit * discount).cumsum(axis=1), discount.cumsum()
    means = {}
    for k in CUTOFFS:
        means[f"hit@{k}"] = float((found[:, k - 1] > 0).mean())
        means[f"precision@{k}"] = float(found[:, k - 1].mean() / k)
        means[f"recall@{k}"] = float((found[:, k - 1] / count).mean())
        means[f"ndcg@{k}"] = float((gain[:, k - 1] / ideal[np.minimum(count, k) - 1]).mean())
    return means


def sides(world: World, batches: list[_Batch]) -> dict[str, Callable[[], dict[str, float]]]:
    """What is timed, ours first."""
    return {
        "by vectors": partial(ours, world, world),
        "by rows of scores": partial(ours, world, Rows(world)),
        "RecBole's full sort, written out": partial(full_sort, world, batches),
        "plain loop": partial(plain_loop, world, batches),
    }


def fastest_batch(world: World) -> int:
    """The size of ``BATCHES`` at which the plain loop takes least for as many users."""
    some = max(BATCHES)
    taken = {}
    for size in BATCHES:
        batches = _batches(world, size)[: max(1, some // size)]
        start = time.perf_counter()
        _first_of(world, batches)
        taken[size] = (time.perf_counter() - start) / sum(len(one.users) for one in batches)
    return min(taken, key=taken.__getitem__)


def _first_of(world: World, batches: list[_Batch]) -> None:
    user, item = torch.from_numpy(world.user), torch.from_numpy(world.item)
    for batch in batches:
        scores = user[batch.users] @ item.T
        scores[batch.held] = -np.inf
        torch.topk(scores, max(CUTOFFS), dim=-1)


def peak_mib(side: str, world: list[Any], batch: int, threads: int) -> list[float]:
    """MiB of this whole process at the peak of one ranking, and before it."""
    torch.set_num_threads(threads)
    folder, sizes = world
    made = make_world(folder, **sizes)
    once = sides(made, _batches(made, batch))[side]
    with measured() as before:
        pass
    with measured() as during:
        once()
    return [during.peak_mib, before.peak_mib]


@dataclass(frozen=True, eq=False)
class Bank:
    """A run, its data set, scorer and snapshot in one: what recommending asks of them."""

    n_users: int
    user_ids: pa.Array
    item_ids: pa.Array
    item_titles: pa.Array
    pairs: Pairs
    user: np.ndarray
    item: np.ndarray

    @property
    def dataset(self) -> Bank:
        """The data set of the run."""
        return self

    @property
    def snapshot(self) -> Bank:
        """The snapshot of the scorer."""
        return self

    def scorer(self, split: str) -> Bank:  # noqa: ARG002
        """The scorer of the run."""
        return self

    def candidates(self, split: str) -> np.ndarray:  # noqa: ARG002
        """Every product."""
        return np.ones(len(self.item), bool)

    def vectors(self) -> Vectors:
        """Vectors whose products are the scores."""
        return Vectors(self.user, self.item)


def make_bank(users: int, items: int, held: int) -> Bank:
    """Random holdings and vectors."""
    rng = np.random.default_rng(0)
    # distinct, so a few less than `held`
    keys = np.unique(pair_keys(rng.integers(0, users, held), rng.integers(0, items, held), items))
    return Bank(
        users,
        pa.array([f"customer-{one:07d}" for one in range(users)]),
        pa.array([f"P{one:06d}" for one in range(items)]),
        pa.array([f"Fund of the house number {one}" for one in range(items)]),
        pairs_of_keys(keys, items),
        rng.standard_normal((users, WIDTH), dtype=np.float32),
        rng.standard_normal((items, WIDTH), dtype=np.float32),
    )


def all_users(sizes: dict[str, int], threads: int) -> dict[str, float]:
    """Seconds and MiB of ``recommend --all-users`` in this process, the file's size and rows."""
    torch.set_num_threads(threads)
    bank: Any = make_bank(**sizes)
    with measured() as before:
        pass
    with TemporaryDirectory() as folder, measured() as during:
        out = Path(folder) / "all.parquet"
        rows = recommend_all(bank, out)["rows"]
        size = out.stat().st_size
    return {
        "seconds": during.seconds,
        "peak MiB": during.peak_mib,
        "of which vectors, holdings and ids": before.peak_mib,
        "rows": rows,
        "file MiB": size / 2**20,
    }


def measure(settings: Settings) -> dict[str, Any]:
    """Times, the floor, how far the figures are apart, and peaks of memory."""
    folder = settings.data.get("gowalla")
    sizes = GOWALLA
    bank = BANK
    if settings.quick:
        folder = None
        sizes = {name: size // 50 for name, size in GOWALLA.items()}
        bank = {name: size // 1000 for name, size in BANK.items()}
    where = None if folder is None else str(folder)
    world = make_world(where, **sizes)
    batch = fastest_batch(world)
    timed = sides(world, _batches(world, batch))
    figures = {name: once() for name, once in timed.items()}
    plain = figures["plain loop"]
    rate = products(settings.repeats)
    operations = {
        "ranking": 2 * len(np.unique(world.targets.user)) * len(world.item) * WIDTH,
        "all users": 2 * bank["users"] * bank["items"] * WIDTH,
    }
    return {
        "pairs": "made up" if folder is None else "Gowalla",
        "sizes": {**sizes, "width": WIDTH},
        "users at a time, other sides": batch,
        "compared": {"ranking of all items": alternate(timed, settings.repeats)},
        "figures": figures["by vectors"],
        "largest difference": {
            name: max(abs(found[one] - plain[one]) for one in plain)
            for name, found in figures.items()
        },
        "floor of the products, s": {name: one / rate for name, one in operations.items()},
        "peak MiB, before": {
            name: own_process(peak_mib, name, [where, sizes], batch, settings.threads)
            for name in timed
        },
        "all users": {"sizes": bank, **own_process(all_users, bank, settings.threads)},
    }
