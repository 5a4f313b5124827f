"""A temporal heterograph in plain arrays, whose state at any time is a prefix of each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.units import UNDATED
from finrec_dgl.graph.schema import Relation, check_nodes, reverse_of


class NodeData(Protocol):
    """Text, categories and numbers of nodes as of a time; None: of everything in the graph."""

    def text(self, node_type: str, time: int | None) -> np.ndarray | None:
        """Float32 [nodes, d], zero rows where there is no text; None without vectors."""

    def categories(self, node_type: str, time: int | None) -> Mapping[str, np.ndarray]:
        """Column -> codes int32 [nodes], -1 unknown."""

    def numbers(self, node_type: str, time: int | None) -> Mapping[str, np.ndarray]:
        """Column -> float32 [nodes], NaN where the value is missing."""


@dataclass(frozen=True, eq=False)
class EdgeState:
    """What is known of edges as of a time; all arrays [edges].

    Parameters
    ----------
    edge
        Number of each edge's (src, dst) pair, which it shares with its reverse edge.
    time
        int64: when the edge was first seen, in seconds since 1970 UTC; ``UNDATED`` without a date.
    last
        int64: when it was last seen.
    count
        float32: how many events it stands for.
    weight
        float32: the sum of the events' weights; None where they have none.
    """

    edge: np.ndarray
    time: np.ndarray
    last: np.ndarray
    count: np.ndarray
    weight: np.ndarray | None

    def __len__(self) -> int:
        return len(self.edge)


@dataclass(frozen=True, eq=False)
class EdgeEvents:
    """The distinct (src, dst) pairs of a relation, and all events of each, sorted by time.

    Parameters
    ----------
    src, dst
        int32 [pairs], sorted by src, then dst.
    ptr
        int64 [pairs + 1]: the events of pair p are ``ptr[p]`` to ``ptr[p + 1]``.
    time
        int64 [events], ascending within a pair.
    total
        float64 [events]: weight summed over the pair's events up to this one; None without weights.
    """

    src: np.ndarray
    dst: np.ndarray
    ptr: np.ndarray
    time: np.ndarray
    total: np.ndarray | None

    def __len__(self) -> int:
        return len(self.src)

    @classmethod
    def group(
        cls,
        src: np.ndarray,
        dst: np.ndarray,
        time: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        *,
        ordered: bool = False,
    ) -> EdgeEvents:
        """Group events by their (src, dst) pair.

        Parameters
        ----------
        src, dst
            int [events].
        time
            int64 [events]; None: undated.
        weight
            float [events]; None: events have no weights.
        ordered
            The events are sorted by src, dst and time already.

        Raises
        ------
        DataError
            For columns of different lengths, and for a number that no node can have.
        """
        columns = (src, dst, *(one for one in (time, weight) if one is not None))
        if any(one.shape != (len(src),) for one in columns):
            raise DataError(
                f"the columns of events have shapes {', '.join(str(one.shape) for one in columns)}",
                expected="as many sources, destinations, times and weights",
            )
        for index in (src, dst):
            # larger numbers would become others in int32
            if len(index) and not 0 <= index.min() <= index.max() < 2**31:
                raise DataError("the number of a node is out of range", expected="0 to 2^31 - 1")
        time = np.full(len(src), UNDATED) if time is None else time
        if not ordered:
            order = np.lexsort((time, dst, src))
            src, dst, time = src[order], dst[order], time[order]
            weight = None if weight is None else weight[order]
        new = np.ones(len(src), bool)
        new[1:] = (src[1:] != src[:-1]) | (dst[1:] != dst[:-1])
        first = np.flatnonzero(new)
        ptr = np.append(first, len(src)).astype(np.int64)
        total = None if weight is None else _running_sums(weight, ptr)
        src, dst = (one[first].astype(np.int32) for one in (src, dst))
        return cls(src, dst, ptr, time.astype(np.int64, copy=False), total)

    @cached_property
    def first(self) -> np.ndarray:
        """int64 [pairs]: when each pair was first seen."""
        return self.time[self.ptr[:-1]]

    def as_of(self, edge: np.ndarray, time: int | np.ndarray | None) -> EdgeState:
        """The state of the pairs ``edge`` just before ``time``, by binary search.

        Parameters
        ----------
        edge
            int [edges]: numbers of pairs, each of which exists by then.
        time
            One time, or int64 [edges]; None: after all events.
        """
        start, stop = self.ptr[edge], self.ptr[edge + 1]
        if time is not None:
            stop = first_not_before(self.time, start, stop, time)
        last = stop - 1
        weight = None if self.total is None else self.total[last].astype(np.float32)
        count = (stop - start).astype(np.float32)
        return EdgeState(edge, self.time[start], self.time[last], count, weight)

    def weights(self) -> np.ndarray | None:
        """float64 [events]: the weight of each event."""
        if self.total is None:
            return None
        before = np.append(0.0, self.total[:-1])[: len(self.total)]
        before[self.ptr[:-1]] = 0.0
        return self.total - before


@dataclass(frozen=True, eq=False)
class TemporalRelation:
    """The edges of one relation, compressed by destination (CSC), each row sorted by time.

    The graph as of t is a prefix of each row: whatever was first seen before t.

    Parameters
    ----------
    n_src, n_dst
        Nodes of the source and of the destination type.
    indptr
        int64 [n_dst + 1]: the in-edges of node v are ``indptr[v]`` to ``indptr[v + 1]``.
    indices
        int32 [edges]: the source of each edge.
    time
        int64 [edges]: when the edge was first seen, ascending within a row.
    edge
        int32 or int64 [edges]: the number of its pair in ``events``.
    events
        The history of every pair, shared with the reverse relation.
    reverse
        Whether the edges lead from the ``dst`` of ``events`` to its ``src``.
    """

    n_src: int
    n_dst: int
    indptr: np.ndarray
    indices: np.ndarray
    time: np.ndarray
    edge: np.ndarray
    events: EdgeEvents
    reverse: bool = False

    @classmethod
    def of_events(
        cls, n_src: int, n_dst: int, events: EdgeEvents, reverse: bool = False
    ) -> TemporalRelation:
        """Sort the pairs of ``events`` into rows. ``n_src``, ``n_dst``: of this direction."""
        src, dst = (events.dst, events.src) if reverse else (events.src, events.dst)
        indptr, edge = order_by_time(dst, events.first, n_dst)
        return cls(
            n_src, n_dst, indptr, src[edge], events.first[edge], edge, events, reverse=reverse
        )

    def __len__(self) -> int:
        return len(self.indices)

    def src_dst(self, edge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source and destination of the pairs ``edge``, int32 [edges] each."""
        src, dst = self.events.src[edge], self.events.dst[edge]
        return (dst, src) if self.reverse else (src, dst)

    def ends(self, time: int | np.ndarray | None, rows: np.ndarray | None = None) -> np.ndarray:
        """Where the prefix of each row ends that was first seen before ``time``.

        One binary search a row: no pass over edges.

        Parameters
        ----------
        time
            Seconds since 1970 UTC for all rows, or int64 [rows]; None: the whole rows.
        rows
            int [rows]: destination nodes, which may repeat; None: all in order.

        Returns
        -------
        numpy.ndarray
            int64 [rows]: edges ``indptr[v]`` up to this one exist.
        """
        if rows is None:
            start, stop = self.indptr[:-1], self.indptr[1:]
        else:
            start, stop = self.indptr[rows], self.indptr[rows + 1]
        return stop if time is None else first_not_before(self.time, start, stop, time)


@dataclass(frozen=True, eq=False)
class Neighbors:
    """In-edges of some rows: row i has ``indices[indptr[i] : indptr[i + 1]]``, oldest first.

    ``indptr`` int64 [rows + 1]; ``indices`` int32 [edges]: sources; ``data``: the edges' state.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: EdgeState


@dataclass(frozen=True, eq=False)
class EdgeList:
    """Edges in the order of their pairs, the same for a relation and its reverse.

    ``src``, ``dst`` int32 [edges]; ``data``: the edges' state.
    """

    src: np.ndarray
    dst: np.ndarray
    data: EdgeState

    def __len__(self) -> int:
        return len(self.src)


@dataclass(frozen=True, eq=False)
class GraphView:
    """The graph as of a time: everything strictly before it, and nothing later.

    It shares the graph's arrays and holds none of its own. ``time``: seconds since 1970 UTC; None:
    everything in the graph.
    """

    graph: TemporalGraph
    time: int | None = None

    @property
    def num_nodes(self) -> Mapping[str, int]:
        """Node type -> how many nodes it has, with edges or without."""
        return self.graph.num_nodes

    @property
    def canonical_etypes(self) -> list[Relation]:
        """The relations, named as DGL does."""
        return list(self.graph.relations)

    def as_of(self, time: int) -> GraphView:
        """The graph as of an earlier ``time``. Raises UsageError for a later one."""
        self._refuse_later(time)
        return GraphView(self.graph, int(time))

    def neighbors(
        self,
        relation: Relation,
        rows: np.ndarray,
        times: np.ndarray | None = None,
    ) -> Neighbors:
        """The in-edges of destination nodes.

        Parameters
        ----------
        relation
            (source type, name, destination type).
        rows
            int [rows]: destination nodes, which may repeat.
        times
            int64 [rows]: a time of its own for each row, none later than the view's; None: the
            view's for all.

        Raises
        ------
        UsageError
            For an unknown relation, a node out of range or a time later than the view's.
        """
        found, rows = self.graph.relation(relation), np.asarray(rows)
        if len(rows) and not 0 <= rows.min() <= rows.max() < found.n_dst:
            raise UsageError(
                f"a node of relation {relation[1]} is out of range",
                expected=f"node numbers from 0 to {found.n_dst - 1}",
            )
        if times is not None:
            times = np.asarray(times, np.int64)
            self._check_times(rows, times)
        start, stop = found.indptr[rows], found.ends(self.time if times is None else times, rows)
        indptr = np.append(0, np.cumsum(stop - start))
        place = np.arange(indptr[-1]) + np.repeat(start - indptr[:-1], stop - start)
        each = self.time if times is None else np.repeat(times, stop - start)
        data = found.events.as_of(found.edge[place], each)
        return Neighbors(indptr, found.indices[place], data)

    def _check_times(self, rows: np.ndarray, times: np.ndarray) -> None:
        if times.shape != rows.shape:
            raise UsageError(f"there are {len(rows)} rows and {len(times)} times, expected a pair")
        if len(times):
            self._refuse_later(int(times.max()))

    def _refuse_later(self, time: int) -> None:
        limit = self.graph.time if self.time is None else self.time
        if limit is not None and time > limit:
            raise UsageError(
                f"the time {time} is later than the graph's",
                expected=f"at most {limit}, in seconds since 1970 UTC",
            )

    def edges(self, relation: Relation) -> EdgeList:
        """All edges of ``relation``, in the order of their pairs. One pass over the relation."""
        found = self.graph.relation(relation)
        edge = np.arange(len(found))
        if self.time is not None:
            edge = edge[found.events.first < max(self.time, UNDATED + 1)]
        return EdgeList(*found.src_dst(edge), found.events.as_of(edge, self.time))

    def num_edges(self, relation: Relation) -> int:
        """How many edges ``relation`` has; one binary search a row."""
        found = self.graph.relation(relation)
        return int((found.ends(self.time) - found.indptr[:-1]).sum())

    def text(self, node_type: str) -> np.ndarray | None:
        """Text vectors, float32 [nodes, d], zero rows where there is none; None without vectors."""
        nodes = self.graph.nodes
        return None if nodes is None else nodes.text(node_type, self.time)

    def categories(self, node_type: str) -> Mapping[str, np.ndarray]:
        """Column -> codes int32 [nodes], -1 unknown."""
        nodes = self.graph.nodes
        return {} if nodes is None else nodes.categories(node_type, self.time)

    def numbers(self, node_type: str) -> Mapping[str, np.ndarray]:
        """Column -> float32 [nodes], NaN where the value is missing."""
        nodes = self.graph.nodes
        return {} if nodes is None else nodes.numbers(node_type, self.time)

    def to_dgl(self, *, node_data: bool = True) -> Any:
        """A ``dgl.DGLGraph`` of this view, see ``finrec_dgl.graph.convert.to_dgl``."""
        return _convert("to_dgl")(self, node_data=node_data)

    def to_pyg(self, *, node_data: bool = True) -> Any:
        """A ``torch_geometric.data.HeteroData`` of this view, see ``graph.convert.to_pyg``."""
        return _convert("to_pyg")(self, node_data=node_data)


@dataclass(frozen=True, eq=False)
class TemporalGraph:
    """A heterograph in which every edge carries its time, in NumPy arrays.

    Parameters
    ----------
    num_nodes
        Node type -> how many nodes, with edges or without.
    relations
        The relations, each followed by its reverse.
    time
        Everything in the graph is dated before it, in seconds since 1970 UTC; None: not known.
    nodes
        Text vectors and categories of nodes, read when they are asked for; None: there are none.
    """

    num_nodes: Mapping[str, int]
    relations: Mapping[Relation, TemporalRelation]
    time: int | None = None
    nodes: NodeData | None = None

    @classmethod
    def from_events(
        cls,
        num_nodes: Mapping[str, int],
        events: Mapping[Relation, EdgeEvents],
        time: int | None = None,
        nodes: NodeData | None = None,
    ) -> TemporalGraph:
        """Build each relation of ``events`` and its reverse.

        Raises DataError for a node out of range, and for an event at or after ``time``.
        """
        relations: dict[Relation, TemporalRelation] = {}
        for relation, one in events.items():
            sizes = num_nodes[relation[0]], num_nodes[relation[2]]
            for index, size in zip((one.src, one.dst), sizes, strict=True):
                check_nodes(index, size, relation)
            if time is not None and len(one.time) and int(one.time.max()) >= time:
                raise DataError(
                    f"an edge of relation {relation[1]} is dated after the graph's end",
                    expected=f"times before {time}, in seconds since 1970 UTC",
                )
            relations[relation] = TemporalRelation.of_events(*sizes, one)
            back = TemporalRelation.of_events(*sizes[::-1], one, reverse=True)
            relations[reverse_of(relation)] = back
        return cls(dict(num_nodes), relations, time, nodes)

    @property
    def canonical_etypes(self) -> list[Relation]:
        """The relations, named as DGL does."""
        return list(self.relations)

    def relation(self, relation: Relation) -> TemporalRelation:
        """The arrays of ``relation``. Raises UsageError where there is none of that name."""
        if relation not in self.relations:
            raise UsageError(
                f"there is no relation {relation}",
                expected="one of " + ", ".join(map(str, self.relations)),
            )
        return self.relations[relation]

    def view(self) -> GraphView:
        """Everything in the graph."""
        return GraphView(self)

    def as_of(self, time: int) -> GraphView:
        """Everything strictly before ``time``: a view on the same arrays, nothing is rebuilt.

        Raises UsageError for a time after the graph's end.
        """
        return self.view().as_of(time)

    def to_dgl(self, *, node_data: bool = True, events: bool = False) -> Any:
        """A ``dgl.DGLGraph``, see ``finrec_dgl.graph.convert.to_dgl``."""
        return _convert("to_dgl")(self, node_data=node_data, events=events)

    def to_pyg(self, *, node_data: bool = True, events: bool = False) -> Any:
        """A ``torch_geometric.data.HeteroData``, see ``finrec_dgl.graph.convert.to_pyg``."""
        return _convert("to_pyg")(self, node_data=node_data, events=events)

    @staticmethod
    def from_dgl(graph: Any, time: int | None = None) -> TemporalGraph:
        """A temporal graph from a ``dgl.DGLGraph``, see ``finrec_dgl.graph.convert.from_dgl``."""
        made: TemporalGraph = _convert("from_dgl")(graph, time)
        return made

    @staticmethod
    def from_pyg(data: Any, time: int | None = None) -> TemporalGraph:
        """A temporal graph from a ``HeteroData``, see ``finrec_dgl.graph.convert.from_pyg``."""
        made: TemporalGraph = _convert("from_pyg")(data, time)
        return made


def first_not_before(
    values: np.ndarray, start: np.ndarray, stop: np.ndarray, time: int | np.ndarray
) -> np.ndarray:
    """The first place from ``start`` to ``stop`` whose value is not below ``time``, for each range.

    Binary search in all ranges at once: as many steps as the longest range has bits.

    Parameters
    ----------
    values
        int64 [n], ascending within each range. ``UNDATED`` is before every time.
    start, stop
        int64 [ranges].
    time
        One for all, or int64 [ranges].

    Returns
    -------
    numpy.ndarray
        int64 [ranges]; ``stop`` where all values are below.
    """
    low, high = start.astype(np.int64), stop.astype(np.int64)
    bound = np.broadcast_to(np.maximum(time, UNDATED + 1), low.shape)
    active = np.flatnonzero(low < high)
    while len(active):
        middle = (low[active] + high[active]) // 2
        before = values[middle] < bound[active]
        low[active[before]] = middle[before] + 1
        high[active[~before]] = middle[~before]
        active = active[low[active] < high[active]]
    return low


def order_by_time(dst: np.ndarray, time: np.ndarray, n_dst: int) -> tuple[np.ndarray, np.ndarray]:
    """Compress edges by destination, each row sorted by time, then by number.

    Parameters
    ----------
    dst
        int32 [edges].
    time
        int64 [edges].
    n_dst
        How many destination nodes there are.

    Returns
    -------
    tuple of numpy.ndarray
        ``indptr`` int64 [n_dst + 1] and the number of each edge, int32 or int64 [edges].
    """
    n_edges = len(dst)
    index = np.int32 if n_edges < 2**31 else np.int64
    order = np.argsort(time, kind="stable").astype(index)
    # to transpose a sparse matrix is to sort by counting, which keeps equal ones in their order
    cells = (order, dst[order].astype(index, copy=False), np.arange(n_edges + 1, dtype=index))
    rows = sp.csr_array(cells, shape=(n_edges, n_dst), copy=False).tocsc()
    return rows.indptr.astype(np.int64), rows.data


def _running_sums(weight: np.ndarray, ptr: np.ndarray) -> np.ndarray:
    """float64 [events]: sums within each range, which no other range rounds."""
    total = weight.astype(np.float64)
    place, stop = ptr[:-1] + 1, ptr[1:]
    more = place < stop
    while more.any():
        place, stop = place[more], stop[more]
        total[place] += total[place - 1]
        place = place + 1
        more = place < stop
    return total


def _convert(name: str) -> Callable[..., Any]:
    # here, since the conversions import this module
    from finrec_dgl.graph import convert

    found: Callable[..., Any] = getattr(convert, name)
    return found
