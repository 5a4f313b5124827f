"""Samples the neighbours that the seeds of a batch need, without its seed edges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from finrec_dgl.base.errors import UsageError
from finrec_dgl.graph import INTERACTED_BY, INTERACTS, NODE_TYPES, Relation
from finrec_dgl.kernels import Compressed, Edges, Layer, relation_edges
from finrec_dgl.sampling.draws import Gone, Marks, Numbers, draw_neighbours, mix
from finrec_dgl.sampling.layers import Blocks


class NeighborSampler:
    """Samples for each layer up to ``fanout`` in-neighbours a node and relation (-1: all).

    ``fanouts`` is given from the layer of the seeds outwards, as users of GraphSAGE expect.
    ``relations``: those to sample, both of interactions among them; None: all of the graph.
    ``silent``: those of which the outermost layer needs no edge, since nothing is sent there yet.
    Neighbours are distinct, and each set of them as likely as any other. May be used by several
    threads at once.
    """

    def __init__(
        self,
        graph: Any,
        fanouts: Sequence[int],
        relations: Sequence[Relation] | None = None,
        silent: Collection[Relation] = (),
    ) -> None:
        if not fanouts or any(fanout < -1 or fanout == 0 for fanout in fanouts):
            raise UsageError(
                f"the fanouts are {list(fanouts)}",
                expected="one positive number for each layer, or -1 for all neighbours",
                where="--fanout",
            )
        self.fanouts = tuple(fanouts)
        self.sizes = {name: graph.num_nodes(name) for name in NODE_TYPES}
        self.edges: dict[Relation, Edges] = {
            relation: relation_edges(graph, relation)
            for relation in relations or graph.canonical_etypes
        }
        self.silent = frozenset(silent)
        self._spare: list[_Scratch] = []

    def sample(
        self,
        seeds: Mapping[str, Tensor],
        exclude: Tensor | None = None,
        *,
        seed: int = 0,
        threads: int | None = None,
    ) -> Blocks:
        """Blocks for the distinct ``seeds`` per node type, without interactions ``exclude``.

        ``exclude``: ids [B], left out in both directions. All draws follow from ``seed``, whatever
        the number of ``threads`` (None: as many as PyTorch has). Raises UsageError for a seed or an
        id out of range, and for a seed that stands twice.
        """
        threads = torch.get_num_threads() if threads is None else threads
        with self._scratch() as scratch:
            wanted = {name: self._seeds(name, seeds[name], scratch) for name in NODE_TYPES}
            outputs = {name: ids.long() for name, ids in wanted.items()}
            gone = scratch.mark(self.edges, exclude)
            layers: list[Layer] = []
            for depth, fanout in enumerate(self.fanouts):
                silent = self.silent if depth == len(self.fanouts) - 1 else ()
                drawn = {
                    relation: _no_neighbours(wanted[relation[2]])
                    if relation in silent
                    else draw_neighbours(
                        edges.by_receiver,
                        wanted[relation[2]],
                        fanout,
                        mix(mix(seed) + depth * len(self.edges) + at),
                        gone.get(relation),
                        threads,
                    )
                    for at, (relation, edges) in enumerate(self.edges.items())
                }
                for relation, rows in drawn.items():
                    scratch.numbers[relation[0]].give(rows.indices)
                n_dst = {name: len(ids) for name, ids in wanted.items()}
                wanted = {name: scratch.numbers[name].seen() for name in NODE_TYPES}
                n_src = {name: len(ids) for name, ids in wanted.items()}
                edges = {
                    relation: Edges.compressed(n_src[relation[0]], n_dst[relation[2]], rows)
                    for relation, rows in drawn.items()
                }
                layers.insert(0, Layer(n_src, n_dst, edges))
            return Blocks(
                tuple(layers), {name: ids.long() for name, ids in wanted.items()}, outputs
            )

    def _seeds(self, name: str, ids: Tensor, scratch: _Scratch) -> Tensor:
        size = self.sizes[name]
        fits = not len(ids) or 0 <= int(ids.min()) <= int(ids.max()) < size
        if fits:
            scratch.numbers[name].give(ids.int().clone())
        seen = scratch.numbers[name].seen()
        if len(seen) != len(ids):
            raise UsageError(
                f"a seed of type {name} {'stands twice' if fits else 'is out of range'}",
                expected=f"distinct numbers from 0 to {size - 1}",
            )
        return seen

    @contextmanager
    def _scratch(self) -> Iterator[_Scratch]:
        """Room for one call, clean; it is used again, since to make it costs a pass over nodes."""
        scratch = self._spare.pop() if self._spare else _Scratch(self.sizes)
        try:
            yield scratch
        finally:
            scratch.clean()
            self._spare.append(scratch)


def _no_neighbours(nodes: Tensor) -> Compressed:
    return Compressed(nodes.new_zeros(len(nodes) + 1), nodes.new_empty(0))


class _Scratch:
    """What one call of the sampler writes to: numbers of nodes, and marks of seed edges."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.numbers = {name: Numbers(size) for name, size in sizes.items()}
        self.marks = {
            relation: Marks(sizes[relation[2]]) for relation in (INTERACTS, INTERACTED_BY)
        }

    def mark(self, edges: Mapping[Relation, Edges], exclude: Tensor | None) -> dict[Relation, Gone]:
        """The interactions ``exclude`` in the order of either relation."""
        if exclude is None or not len(exclude):
            return {}
        ids = exclude.long().contiguous()
        least, most = ids.aminmax()
        if int(least) < 0 or int(most) >= len(edges[INTERACTS]):
            raise UsageError(
                "the number of an interaction is out of range",
                expected=f"numbers from 0 to {len(edges[INTERACTS]) - 1}",
            )
        return {relation: one.mark(edges[relation], ids) for relation, one in self.marks.items()}

    def clean(self) -> None:
        for numbers in self.numbers.values():
            numbers.forget()
        for marks in self.marks.values():
            marks.forget()
