"""The edges of one relation in the orders that kernels read them in, made once for each graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finrec_dgl.base.errors import UsageError
from finrec_dgl.graph import Relation
from finrec_dgl.graph.backend import dgl
from finrec_dgl.kernels.library import find_library, native_for


@dataclass(frozen=True)
class Compressed:
    """The neighbours of row i are ``indices[indptr[i] : indptr[i + 1]]``, both int32."""

    indptr: Tensor  # [rows + 1]
    indices: Tensor  # [edges]

    @property
    def rows(self) -> Tensor:
        """The row of each edge, int32 [edges]."""
        number = torch.arange(len(self.indptr) - 1, dtype=torch.int32, device=self.indptr.device)
        return torch.repeat_interleave(number, self.indptr.diff())

    def without(self, gone: Tensor) -> Compressed:
        """The same less the edges that stand at ``gone``, int32, distinct and rising."""
        left = len(self.indices) - len(gone)
        if not native_for(self.indices, gone):
            keep = torch.ones(len(self.indices), dtype=torch.bool, device=gone.device)
            keep[gone.long()] = False
            before = torch.searchsorted(gone, self.indptr, out_int32=True)
            return Compressed(self.indptr - before, self.indices[keep])
        made = torch.empty_like(self.indptr), self.indices.new_empty(left)
        sizes = len(self.indptr) - 1, len(gone)
        find_library().call("finrec_without", *sizes, self.indptr, self.indices, gone, *made)
        return Compressed(*made)


class Edges:
    """One relation: an edge e from the sender ``source[e]`` to the receiver ``target[e]``.

    Shapes: source and target int32 [edges], in any order; edges may repeat. The other orders are
    made when they are first asked for and kept. Raises UsageError for another type, for sides of
    different length, and for a node that is out of range, which native code would not notice.
    """

    def __init__(self, n_src: int, n_dst: int, source: Tensor, target: Tensor) -> None:
        for name, index, size in (("source", source, n_src), ("target", target, n_dst)):
            if index.dtype != torch.int32 or index.shape != source.shape or index.dim() != 1:
                raise UsageError(
                    f"{name} is {index.dtype} of shape {list(index.shape)}",
                    expected="int32, one number an edge, as many sources as targets",
                )
            _check_range(name, index, size)
        self._take(n_src, n_dst, source, target)

    def _take(self, n_src: int, n_dst: int, source: Tensor, target: Tensor) -> None:
        self.n_src, self.n_dst = n_src, n_dst
        self.source, self.target = source, target
        self._count = len(source)
        self._as_received = False

    @classmethod
    def unchecked(cls, n_src: int, n_dst: int, source: Tensor, target: Tensor) -> Edges:
        """Edges known to be int32 and in range, such as a DGL graph's; no look at the numbers."""
        made = cls.__new__(cls)
        made._take(n_src, n_dst, source, target)
        return made

    @classmethod
    def compressed(
        cls, n_src: int, n_dst: int, by_receiver: Compressed, by_sender: Compressed | None = None
    ) -> Edges:
        """Edges that are sorted already, numbered as they stand in ``by_receiver``; not checked."""
        made = cls.__new__(cls)
        made.n_src, made.n_dst = n_src, n_dst
        made.by_receiver = by_receiver
        made._count = len(by_receiver.indices)
        made._as_received = True
        if by_sender is not None:
            made.by_sender = by_sender
        return made

    def __len__(self) -> int:
        return self._count

    @property
    def device(self) -> torch.device:
        """Where the numbers of the nodes are."""
        return self.source.device

    def to(self, device: torch.device) -> Edges:
        """Return the same edges on ``device``: these themselves where they are there already."""
        if device == self.device:
            return self
        return Edges.unchecked(
            self.n_src, self.n_dst, self.source.to(device), self.target.to(device)
        )

    @cached_property
    def source(self) -> Tensor:
        """int32 [edges]."""
        return self.by_receiver.indices

    @cached_property
    def target(self) -> Tensor:
        """int32 [edges]."""
        return self.by_receiver.rows

    @cached_property
    def by_receiver(self) -> Compressed:
        """Rows are receivers; each one's senders in rising order where they were sorted here."""
        return _transpose(_compress(self.source, self.target, self.n_src), self.n_src, self.n_dst)

    @cached_property
    def by_sender(self) -> Compressed:
        """Rows are senders, each one's receivers in rising order."""
        return _transpose(self.by_receiver, self.n_dst, self.n_src)

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """Where each edge stands in ``by_receiver`` and in ``by_sender``, int32 [edges] each."""
        number = torch.arange(len(self), dtype=torch.int32, device=self.device)
        found = torch.empty_like(number), torch.empty_like(number)
        for places, order in zip(found, self.orders, strict=True):
            places[order.long()] = number
        return found

    @cached_property
    def orders(self) -> tuple[Tensor, Tensor]:
        """Which edge stands at each place of ``by_receiver`` and ``by_sender``, int32 [edges]."""
        received = torch.arange(len(self), dtype=torch.int32, device=self.device)
        if not self._as_received:
            sent = _compress(self.source, received, self.n_src).indices
            received = _compress(self.target[sent.long()], sent, self.n_dst).indices
        return received, _compress(self.source[received.long()], received, self.n_src).indices

    def without(self, ids: Tensor) -> Edges:
        """These less the edges ``ids`` [k], without sorting anew: one pass over each order.

        Raises UsageError for a number out of range.
        """
        _check_range("the number of an edge", ids, len(self))
        orders = (self.by_receiver, self.by_sender)
        left = [
            rows.without(torch.unique(places[ids.long()]))
            for rows, places in zip(orders, self.places, strict=True)
        ]
        return Edges.compressed(self.n_src, self.n_dst, *left)

    @cached_property
    def received(self) -> Edges:
        """These edges, numbered as they stand in ``by_receiver``."""
        if self._as_received:
            return self
        return Edges.compressed(self.n_src, self.n_dst, self.by_receiver, self.by_sender)

    def as_received(self, by_edge: Tensor) -> Tensor:
        """What there is by edge, [edges, ...], in the order of ``received``."""
        if self._as_received:
            return by_edge
        moved: Tensor = _Moved.apply(by_edge, self.orders[0], self.places[0])
        return moved

    def from_received(self, by_edge: Tensor) -> Tensor:
        """What there is by edge of ``received``, [edges, ...], in the order of these edges."""
        if self._as_received:
            return by_edge
        moved: Tensor = _Moved.apply(by_edge, self.places[0], self.orders[0])
        return moved

    @cached_property
    def in_degree(self) -> Tensor:
        """Edges of each receiver, int64 [n_dst]."""
        return self.by_receiver.indptr.diff().long()

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


class _Moved(torch.autograd.Function):
    """Rows in another order: by rows read, both ways, since sums by index are slow on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.back = back
        return x.detach()[order.long()]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad[ctx.back.long()], None, None


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of message passing: every relation's edges from its sources to its destinations.

    ``n_src``, ``n_dst``: how many nodes of each type it has on either side.
    """

    n_src: Mapping[str, int]
    n_dst: Mapping[str, int]
    edges: Mapping[Relation, Edges]

    def num_src_nodes(self, name: str) -> int:
        """Source nodes of one type."""
        return self.n_src[name]

    def num_dst_nodes(self, name: str) -> int:
        """Destination nodes of one type."""
        return self.n_dst[name]

    def num_nodes(self, name: str) -> int:
        """Nodes of one type in a layer that is a whole graph."""
        return self.n_src[name]

    @property
    def canonical_etypes(self) -> list[Relation]:
        """The relations, named as a DGL graph does."""
        return list(self.edges)

    def to(self, device: torch.device) -> Layer:
        """Return the same layer with its edges on ``device``."""
        edges = {relation: one.to(device) for relation, one in self.edges.items()}
        return Layer(self.n_src, self.n_dst, edges)


# graph or block -> relation -> its edges. A slice of a graph by relation is a new object each time,
# so it is the graph that edges are kept beside, for as long as it lives
_KEPT: WeakKeyDictionary[Any, dict[Any, Edges]] = WeakKeyDictionary()


def relation_edges(graph: Any, relation: Any = None) -> Edges:
    """The edges of ``relation`` in a layer, or in a DGL graph or block.

    The latter must not be changed afterwards. ``relation`` None: of a graph that has but one. A
    graph that was given compressed by receiver (DGL's ``csc``) is taken as it is, not sorted.
    """
    if isinstance(graph, Layer):
        return graph.edges[relation]
    kept = _KEPT.setdefault(graph, {})
    if relation not in kept:
        kept[relation] = _edges_of(graph if relation is None else graph[relation])
    return kept[relation]


class LastEdges:
    """Keeps the edges of the last graph, so that the same graph is sorted once.

    A graph is the same where DGL gives the same arrays: a slice of a graph by relation is, which
    DGL makes anew each time, and a graph that was changed in place is not. The arrays are kept
    here, so their addresses are not used again. Neither copied nor pickled with its owner.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._arrays: tuple[Tensor, ...] = ()
        self._edges: Edges | None = None

    def __reduce__(self) -> tuple[type[LastEdges], tuple[()]]:
        return LastEdges, ()

    def of(self, graph: Any) -> Edges:
        """The edges of ``graph``, a DGL graph or block of one relation, in the order of its ids."""
        if isinstance(graph, Edges):
            return graph
        sizes, arrays = (graph.num_src_nodes(), graph.num_dst_nodes()), _arrays(graph)
        key = (*sizes, *((one.data_ptr(), len(one), one.dtype, one.device) for one in arrays))
        if self._edges is None or key != self._key:
            self._key, self._arrays, self._edges = key, arrays, _from_arrays(sizes, arrays)
        return self._edges


def _arrays(one: Any) -> tuple[Tensor, ...]:
    """The source and target of each edge, or indptr, indices and ids of a graph that is ``csc``."""
    if one.formats()["created"] == ["csc"]:
        return tuple(one.adj_tensors("csc"))
    return tuple(one.edges(order="eid"))


def _edges_of(one: Any) -> Edges:
    return _from_arrays((one.num_src_nodes(), one.num_dst_nodes()), _arrays(one))


def _from_arrays(sizes: tuple[int, int], arrays: tuple[Tensor, ...]) -> Edges:
    if len(arrays) == 2:
        source, target = arrays
        return Edges.unchecked(*sizes, source.int(), target.int())
    indptr, indices, ids = arrays
    rows = Compressed(indptr.int(), indices.int())
    in_order = not len(ids) or torch.equal(ids, torch.arange(len(ids)).to(ids))
    if in_order:
        return Edges.compressed(*sizes, rows)
    place = torch.empty_like(ids).scatter_(0, ids, torch.arange(len(ids)).to(ids))
    return Edges.unchecked(*sizes, rows.indices[place], rows.rows[place])


def _check_range(what: str, index: Tensor, size: int) -> None:
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < size:
        raise UsageError(f"{what} is out of range", expected=f"numbers from 0 to {size - 1}")


def _compress(row: Tensor, column: Tensor, n_rows: int) -> Compressed:
    if not native_for(row, column):
        order = torch.argsort(row, stable=True)
        count = torch.bincount(row, minlength=n_rows)
        indptr = torch.cat([count.new_zeros(1), count.cumsum(0)]).int()
        return Compressed(indptr, column[order])
    made = _empty(n_rows, row)
    find_library().call(
        "finrec_compress", n_rows, len(row), row.contiguous(), column.contiguous(), *made
    )
    return Compressed(*made)


def _transpose(rows: Compressed, n_rows: int, n_columns: int) -> Compressed:
    if not native_for(rows.indices):
        return _compress(rows.indices, rows.rows, n_columns)
    made = _empty(n_columns, rows.indices)
    find_library().call("finrec_transpose", n_rows, n_columns, rows.indptr, rows.indices, *made)
    return Compressed(*made)


def _empty(n_rows: int, edges: Tensor) -> tuple[Tensor, Tensor]:
    return edges.new_empty(n_rows + 1), torch.empty_like(edges)
