"""How far a wrong text spreads through the layers of graph attention, hop by hop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from finrec_dgl.base.errors import DataError
from finrec_dgl.benchmarking.charts import lines, picture
from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import TowerRecommender, features_of
from finrec_dgl.sampling import whole_graph

HOPS = 3


@dataclass(frozen=True)
class Spread:
    """How much node states change when one node's text is another's.

    ``change`` [L + 1][hops + 1]: row l is of the states after l layers, column h of nodes h hops
    from the one that was changed: the mean over ``nodes`` changed ones of sum |dh| / sum |h|. None
    where no changed node has any so far away.
    """

    dataset: str
    nodes: int
    change: tuple[tuple[float | None, ...], ...]

    @property
    def title(self) -> str:
        """What the table is of."""
        return f"{self.dataset}: relative change of states when one text of {self.nodes} is wrong"

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the columns."""
        return ("layers", *(f"{hop} hops" for hop in range(len(self.change[0]))))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the figures."""
        return ("Stream One of the paper's form; a change reaches no further than its layers",)

    def cells(self) -> list[tuple[str, ...]]:
        """The rows for people, in the order of ``headers``."""
        return [
            (str(layer), *("-" if one is None else f"{one:.2e}" for one in row))
            for layer, row in enumerate(self.change)
        ]

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "dataset": self.dataset,
            "nodes": self.nodes,
            "change": [list(row) for row in self.change],
        }

    def picture(self) -> str:
        """The change by layer, a line a number of hops, each as a share of its largest."""
        series = {
            f"{hop} hops": [
                (float(layer), value) for layer, value in enumerate(column) if value is not None
            ]
            for hop, column in enumerate(zip(*self.change, strict=True))
        }
        panels = [
            (name, lines(name, {name: one}, "layers", "relative change", from_zero=True), ())
            for name, one in series.items()
            if one
        ]
        return picture(self.title, panels)


def spread(
    model: TowerRecommender, snapshot: Snapshot, nodes: int = 20, hops: int = HOPS, seed: int = 0
) -> tuple[tuple[tuple[float | None, ...], ...], int]:
    """See ``Spread.change``; and how many nodes were changed, at most ``nodes``.

    They are drawn among those that have a text and an edge, and get the text of another of their
    type that has one. Raises DataError where there are no two such nodes.
    """
    features = features_of(snapshot, model.config.half_life)
    near = _adjacency(snapshot, model.config.social)
    linked = np.diff(near.indptr) > 0
    offset = {"user": 0, "item": snapshot.n_users}
    told = {name: np.flatnonzero(features.has_text[name].numpy()) for name in NODE_TYPES}
    able = [
        (name, node)
        for name in NODE_TYPES
        if len(told[name]) > 1
        for node in told[name].tolist()
        if linked[offset[name] + node]
    ]
    if not able:
        raise DataError("no node has a text, an edge, and another one to take a text from")
    rng = np.random.default_rng(seed)
    drawn = [able[place] for place in rng.permutation(len(able))[:nodes].tolist()]
    before = _states(model, snapshot, features)
    total = [[0.0] * (hops + 1) for _ in before]
    count = [0] * (hops + 1)
    for name, node in drawn:
        other = int(rng.choice(told[name][told[name] != node]))
        text = dict(features.text)
        text[name] = text[name].clone()
        text[name][node] = features.text[name][other]
        after = _states(model, snapshot, replace(features, text=text))
        away = dijkstra(near, unweighted=True, indices=offset[name] + node, limit=hops)
        for hop in range(hops + 1):
            there = torch.from_numpy(np.flatnonzero(away == hop))
            count[hop] += len(there) > 0
            for layer, (old, new) in enumerate(zip(before, after, strict=True)):
                moved = (new[there] - old[there]).norm(dim=1).sum()
                size = old[there].norm(dim=1).sum().clamp(min=1e-12)
                total[layer][hop] += float(moved / size)
    change = tuple(
        tuple(value / times if times else None for value, times in zip(row, count, strict=True))
        for row in total
    )
    return change, len(drawn)


def _states(model: TowerRecommender, snapshot: Snapshot, features: Any) -> list[Tensor]:
    """States of users, then items, [U + I, dim], before Stream One and after each of its layers."""
    found: list[Tensor] = []
    handles = []

    def begun(_: Any, given: tuple[Any, ...]) -> None:
        found.append(torch.cat([given[3][name] for name in NODE_TYPES]))

    def done(_: Any, __: Any, states: Mapping[str, Tensor]) -> None:
        found.append(torch.cat([states[name] for name in NODE_TYPES]))

    if model.stream_one is None:
        raise DataError("the model has no Stream One")
    layers = list(model.stream_one.layers)
    handles.append(layers[0].register_forward_pre_hook(begun))
    handles += [layer.register_forward_hook(done) for layer in layers]
    try:
        with torch.inference_mode():
            model.eval().encode(whole_graph(snapshot.layer(), model.config.depth), features)
    finally:
        for one in handles:
            one.remove()
    return found


def _adjacency(snapshot: Snapshot, social: bool) -> Any:
    """Users, then items: sparse [U + I, U + I], both ways; with the ties between users."""
    ends = [(snapshot.pairs.user, snapshot.pairs.item + snapshot.n_users)]
    ends += list(snapshot.ties.values()) if social else []
    source = np.concatenate([one[0] for one in ends]).astype(np.int64)
    target = np.concatenate([one[1] for one in ends]).astype(np.int64)
    size = snapshot.n_users + snapshot.n_items
    both = (np.concatenate([source, target]), np.concatenate([target, source]))
    return sp.coo_array((np.ones(2 * len(source), np.float32), both), shape=(size, size)).tocsr()
