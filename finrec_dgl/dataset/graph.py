"""The temporal graph of a data set: everything before the cut, with nodes read when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finrec_dgl.graph import INTERACTS, EdgeEvents, TemporalGraph, tie_relations

if TYPE_CHECKING:
    from finrec_dgl.dataset.snapshot import Profiles, SortedPairs
    from finrec_dgl.dataset.store import Dataset


@dataclass(frozen=True, eq=False)
class StoredNodes:
    """Node data of a data set as of any time, from its profiles and posts."""

    dataset: Dataset

    def text(self, node_type: str, time: int | None) -> np.ndarray:
        """Float32 [nodes, d]: what ``Snapshot.user_text`` or ``Snapshot.item_text`` is by then."""
        texts = self.dataset.texts_as_of(time)
        return texts.users()[0] if node_type == "user" else texts.items()

    def categories(self, node_type: str, time: int | None) -> dict[str, np.ndarray]:
        """Column -> codes int32 [nodes], -1 unknown, of the profiles by then."""
        profiles, latest = self._latest(node_type, time)
        return profiles.categories_at(latest)

    def numbers(self, node_type: str, time: int | None) -> dict[str, np.ndarray]:
        """Column -> float32 [nodes], NaN missing, of the profiles by then."""
        profiles, latest = self._latest(node_type, time)
        return profiles.numbers_at(latest)

    def _latest(self, node_type: str, time: int | None) -> tuple[Profiles, np.ndarray]:
        one = self.dataset
        sides = {"user": (one.user_profiles, one.n_users), "item": (one.item_profiles, one.n_items)}
        profiles, count = sides[node_type]
        return profiles, profiles.latest(count, one.cut if time is None else time)


def temporal_graph(dataset: Dataset, by_pair: SortedPairs) -> TemporalGraph:
    """Build the graph of ``dataset``; ``by_pair``: its interactions by user, item and time."""
    interactions, order = dataset.interactions, by_pair.order
    events = {
        INTERACTS: EdgeEvents.group(
            by_pair.user,
            by_pair.item,
            None if interactions.time is None else interactions.time[order],
            None if interactions.weight is None else interactions.weight[order],
            ordered=True,
        )
    }
    ties = dataset.ties
    for code, kind in enumerate(ties.kinds):
        rows = np.flatnonzero(ties.kind == code)
        time = None if ties.time is None else ties.time[rows]
        events[tie_relations(kind)[0]] = EdgeEvents.group(
            ties.source[rows], ties.target[rows], time
        )
    for relation, edges in dataset.extra_edges.items():
        events[relation] = EdgeEvents.group(edges.src, edges.dst, edges.time)
    sizes = {"user": dataset.n_users, "item": dataset.n_items}
    return TemporalGraph.from_events(sizes, events, dataset.cut, StoredNodes(dataset))
