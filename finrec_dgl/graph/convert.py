"""Conversion of temporal graphs to and from DGL and PyTorch Geometric."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.base.errors import DataError, FinrecError
from finrec_dgl.graph.backend import dgl
from finrec_dgl.graph.schema import Relation, reverse_of
from finrec_dgl.graph.temporal import EdgeEvents, GraphView, TemporalGraph

_CATEGORY, _NUMBER = "category.", "number."


@dataclass(frozen=True, eq=False)
class FixedNodes:
    """Node data without dates, the same as of every time.

    ``arrays``: node type -> name -> array; ``text`` float32 [nodes, d], ``category.<column>`` int32
    [nodes], -1 unknown, and ``number.<column>`` float32 [nodes], NaN missing.
    """

    arrays: Mapping[str, Mapping[str, np.ndarray]]

    def text(self, node_type: str, time: int | None) -> np.ndarray | None:  # noqa: ARG002
        """The text vectors; None without."""
        return self.arrays.get(node_type, {}).get("text")

    def categories(self, node_type: str, time: int | None) -> dict[str, np.ndarray]:  # noqa: ARG002
        """Column -> codes."""
        return self._columns(node_type, _CATEGORY)

    def numbers(self, node_type: str, time: int | None) -> dict[str, np.ndarray]:  # noqa: ARG002
        """Column -> values."""
        return self._columns(node_type, _NUMBER)

    def _columns(self, node_type: str, prefix: str) -> dict[str, np.ndarray]:
        return {
            name.removeprefix(prefix): values
            for name, values in self.arrays.get(node_type, {}).items()
            if name.startswith(prefix)
        }


def to_dgl(
    graph: TemporalGraph | GraphView, *, node_data: bool = True, events: bool = False
) -> Any:
    """Convert to a DGL heterograph.

    Edge e of a relation and of its reverse are one pair, so ``exclude="reverse_types"`` works.

    Parameters
    ----------
    graph
        A graph, or a view of one.
    node_data
        Give nodes their data: ``text`` float32 [nodes, d], ``category.<column>`` int32 [nodes],
        -1 unknown, and ``number.<column>`` float32 [nodes], NaN missing.
    events
        Of a whole graph: an edge for each event and not for each pair, with its ``time`` and
        ``weight``. ``from_dgl`` then gives the same graph again.

    Returns
    -------
    dgl.DGLGraph
        With edge data ``time`` int64 [edges] (first seen, ``UNDATED`` without a date), ``last``
        int64 [edges] (last seen), ``count`` float32 [edges] and, where there are weights,
        ``weight`` float32 [edges], all as of the graph's end or the view's time.

    Raises
    ------
    FinrecError
        Where DGL is not installed.
    """
    edges = _edges(graph, events)
    ends = {relation: (src, dst) for relation, (src, dst, _) in edges.items()}
    small = max([*graph.num_nodes.values(), *(len(src) for src, _ in ends.values())]) < 2**31
    made = dgl.heterograph(
        ends,
        num_nodes_dict=dict(graph.num_nodes),
        idtype=torch.int32 if small else torch.int64,
    )
    for relation, (_, _, data) in edges.items():
        made.edges[relation].data.update(data)
    for name in graph.num_nodes if node_data else ():
        made.nodes[name].data.update(_node_tensors(graph, name))
    return made


def from_dgl(graph: Any, time: int | None = None) -> TemporalGraph:
    """Convert from a DGL heterograph.

    Parameters
    ----------
    graph
        A ``dgl.DGLGraph``. Each edge is an event: at ``edata["time"]`` (int64, seconds since 1970
        UTC; undated without), with ``edata["weight"]``. A relation named ``<name>-by``, or
        ``interacted-by``, in the other direction of another one is its reverse and must have the
        same edges; a relation without one gets one. ``text``, ``category.*`` and ``number.*`` of
        nodes are read and taken to hold at every time.
    time
        When the graph ends, in seconds since 1970 UTC; None: not known.

    Returns
    -------
    TemporalGraph
        With the relations of ``graph`` and their reverses.

    Raises
    ------
    DataError
        Where an edge stands for several events, a reverse has other edges, or an edge is dated at
        or after ``time``.
    """
    edges = {
        relation: (*graph.edges(etype=relation, order="eid"), dict(graph.edges[relation].data))
        for relation in graph.canonical_etypes
    }
    sizes = {name: int(graph.num_nodes(name)) for name in graph.ntypes}
    nodes = {name: dict(graph.nodes[name].data) for name in graph.ntypes}
    return _from_edges(sizes, edges, nodes, time)


def to_pyg(
    graph: TemporalGraph | GraphView, *, node_data: bool = True, events: bool = False
) -> Any:
    """Convert to PyTorch Geometric's ``HeteroData``; names and parameters as in ``to_dgl``.

    Raises FinrecError where PyTorch Geometric is not installed.
    """
    data = _pyg().HeteroData()
    for name, count in graph.num_nodes.items():
        data[name].num_nodes = count
        for key, values in (_node_tensors(graph, name) if node_data else {}).items():
            data[name][key] = values
    for relation, (src, dst, tensors) in _edges(graph, events).items():
        data[relation].edge_index = torch.stack([src, dst]).long()
        for key, values in tensors.items():
            data[relation][key] = values
    return data


def from_pyg(data: Any, time: int | None = None) -> TemporalGraph:
    """Convert from PyTorch Geometric's ``HeteroData``; names and errors as in ``from_dgl``."""
    edges = {
        tuple(relation): (*data[relation].edge_index, dict(data[relation].items()))
        for relation in data.edge_types
    }
    sizes = {name: int(data[name].num_nodes) for name in data.node_types}
    nodes = {name: dict(data[name].items()) for name in data.node_types}
    return _from_edges(sizes, edges, nodes, time)


def _pyg() -> Any:
    if importlib.util.find_spec("torch_geometric") is None:
        raise FinrecError(
            "PyTorch Geometric (torch_geometric) is not installed",
            mend='pip install "finrec-dgl[pyg]"',
        )
    return importlib.import_module("torch_geometric.data")


_Edges = dict[Relation, tuple[Tensor, Tensor, dict[str, Tensor]]]


def _edges(graph: TemporalGraph | GraphView, events: bool) -> _Edges:
    """Relation -> src, dst int32 [edges], and edge data."""
    if events and isinstance(graph, TemporalGraph):
        return _event_edges(graph)
    view = graph.view() if isinstance(graph, TemporalGraph) else graph
    found: _Edges = {}
    for relation in graph.canonical_etypes:
        edges = view.edges(relation)
        state = edges.data
        arrays = {"time": state.time, "last": state.last, "count": state.count}
        if state.weight is not None:
            arrays["weight"] = state.weight
        found[relation] = (_tensor(edges.src), _tensor(edges.dst), _tensors(arrays))
    return found


def _event_edges(graph: TemporalGraph) -> _Edges:
    found: _Edges = {}
    for relation, one in graph.relations.items():
        history = one.events
        edge = np.repeat(np.arange(len(history)), np.diff(history.ptr))
        arrays, weight = {"time": history.time}, history.weights()
        if weight is not None:
            arrays["weight"] = weight.astype(np.float32)
        src, dst = one.src_dst(edge)
        found[relation] = (_tensor(src), _tensor(dst), _tensors(arrays))
    return found


def _node_tensors(graph: TemporalGraph | GraphView, node_type: str) -> dict[str, Tensor]:
    view = graph.view() if isinstance(graph, TemporalGraph) else graph
    text = view.text(node_type)
    arrays = {} if text is None or not text.shape[1] else {"text": text}
    for name, codes in view.categories(node_type).items():
        arrays[f"{_CATEGORY}{name}"] = codes
    for name, values in view.numbers(node_type).items():
        arrays[f"{_NUMBER}{name}"] = values
    return _tensors(arrays)


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: _tensor(values) for name, values in arrays.items()}


def _tensor(values: np.ndarray) -> Tensor:
    # a copy, so that what is written into the tensor does not change the graph
    return torch.from_numpy(np.array(values))


def _from_edges(
    sizes: Mapping[str, int],
    edges: Mapping[Any, tuple[Tensor, Tensor, Mapping[str, Tensor]]],
    nodes: Mapping[str, Mapping[str, Tensor]],
    time: int | None,
) -> TemporalGraph:
    events = {relation: _events(relation, *edges[relation]) for relation in _forward(edges)}
    for relation, one in events.items():
        if reverse_of(relation) in edges:
            _check_reverse(relation, one, _events(relation, *edges[reverse_of(relation)]))
    arrays = {
        name: {
            key: values.cpu().numpy()
            for key, values in data.items()
            if key == "text" or key.startswith((_CATEGORY, _NUMBER))
        }
        for name, data in nodes.items()
    }
    return TemporalGraph.from_events(sizes, events, time, FixedNodes(arrays))


def _forward(relations: Iterable[Relation]) -> list[Relation]:
    """The relations that are not the reverse of another one."""
    reverses = {reverse_of(relation) for relation in relations}
    return [relation for relation in relations if relation not in reverses]


def _events(relation: Relation, src: Tensor, dst: Tensor, data: Mapping[str, Tensor]) -> EdgeEvents:
    count = data.get("count")
    if count is not None and bool((count != 1).any()):
        raise DataError(
            f"edges of relation {relation[1]} stand for several events each",
            expected="an edge for each event, since its time and weight are not known otherwise",
            mend="convert with events=True, or remove the edge data 'count' to take each as one",
        )
    time, weight = data.get("time"), data.get("weight")
    return EdgeEvents.group(
        src.cpu().numpy(),
        dst.cpu().numpy(),
        None if time is None else time.cpu().numpy().astype(np.int64),
        None if weight is None else weight.cpu().numpy(),
    )


def _check_reverse(relation: Relation, one: EdgeEvents, reverse: EdgeEvents) -> None:
    order = np.lexsort((reverse.src, reverse.dst))
    same = np.array_equal(one.src, reverse.dst[order]) and np.array_equal(
        one.dst, reverse.src[order]
    )
    if not same:
        raise DataError(
            f"the reverse of relation {relation[1]} has other edges",
            expected=f"in {reverse_of(relation)[1]} each edge of {relation[1]}, turned round",
        )
