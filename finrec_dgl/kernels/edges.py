"""The edges of one relation in the orders that kernels read them in, made once for each graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from finrec_dgl.base.errors import UsageError
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels.library import find_library


@dataclass(frozen=True)
class Compressed:
    """The neighbours of row i are ``indices[indptr[i] : indptr[i + 1]]``, both int32."""

    indptr: Tensor  # [rows + 1]
    indices: Tensor  # [edges]


@dataclass(frozen=True, eq=False)
class Edges:
    """One relation: an edge e from the sender ``source[e]`` to the receiver ``target[e]``.

    Shapes: source and target int32 [edges], in any order; edges may repeat. The other orders are
    made when they are first asked for and kept. Raises UsageError for another type, for sides of
    different length, and for a node that is out of range, which native code would not notice.
    """

    n_src: int
    n_dst: int
    source: Tensor
    target: Tensor

    def __post_init__(self) -> None:
        sides = (("source", self.source, self.n_src), ("target", self.target, self.n_dst))
        for name, index, size in sides:
            if index.dtype != torch.int32 or index.shape != self.source.shape or index.dim() != 1:
                raise UsageError(
                    f"{name} is {index.dtype} of shape {list(index.shape)}",
                    expected="int32, one number an edge, as many sources as targets",
                )
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < size:
                raise UsageError(
                    f"{name} names a node out of range", expected=f"numbers from 0 to {size - 1}"
                )

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def by_receiver(self) -> Compressed:
        """Rows are receivers, each one's senders in rising order."""
        return _transpose(_compress(self.source, self.target, self.n_src), self.n_src, self.n_dst)

    @cached_property
    def by_sender(self) -> Compressed:
        """Rows are senders, each one's receivers in rising order."""
        return _transpose(self.by_receiver, self.n_dst, self.n_src)

    @cached_property
    def in_degree(self) -> Tensor:
        """Edges of each receiver, int64 [n_dst]."""
        return torch.bincount(self.target, minlength=self.n_dst)

    @cached_property
    def graph(self) -> Any:
        """The same as a DGL block, its edges in the same order."""
        return dgl.create_block(
            (self.source, self.target), num_src_nodes=self.n_src, num_dst_nodes=self.n_dst
        )

    @cached_property
    def compact(self) -> tuple[Edges, Tensor, Tensor]:
        """These edges between just the nodes that have one, and those nodes' numbers.

        Returns the edges, the senders int64 [s] and the receivers int64 [r], both sorted.
        """
        senders, source = torch.unique(self.source, return_inverse=True)
        receivers, target = torch.unique(self.target, return_inverse=True)
        small = Edges(len(senders), len(receivers), source.int(), target.int())
        return small, senders.long(), receivers.long()


# graph or block -> relation -> its edges. A slice of a graph by relation is a new object each time,
# so it is the graph that edges are kept beside, for as long as it lives
_KEPT: WeakKeyDictionary[Any, dict[Any, Edges]] = WeakKeyDictionary()


def relation_edges(graph: Any, relation: Any = None) -> Edges:
    """The edges of ``relation`` in a DGL graph or block, which must not be changed afterwards.

    ``relation`` None: of a graph that has but one.
    """
    kept = _KEPT.setdefault(graph, {})
    if relation not in kept:
        one = graph if relation is None else graph[relation]
        source, target = one.edges(order="eid")
        kept[relation] = Edges(one.num_src_nodes(), one.num_dst_nodes(), source.int(), target.int())
    return kept[relation]


def _compress(row: Tensor, column: Tensor, n_rows: int) -> Compressed:
    made = _empty(n_rows, row)
    find_library().call(
        "finrec_compress", n_rows, len(row), row.contiguous(), column.contiguous(), *made
    )
    return Compressed(*made)


def _transpose(rows: Compressed, n_rows: int, n_columns: int) -> Compressed:
    made = _empty(n_columns, rows.indices)
    find_library().call("finrec_transpose", n_rows, n_columns, rows.indptr, rows.indices, *made)
    return Compressed(*made)


def _empty(n_rows: int, edges: Tensor) -> tuple[Tensor, Tensor]:
    return edges.new_empty(n_rows + 1), torch.empty_like(edges)
