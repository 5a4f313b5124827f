"""A sampler of DGL's data loader whose neighbours are always older than their seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import UsageError
from finrec_dgl.base.units import UNDATED
from finrec_dgl.graph import Relation
from finrec_dgl.graph.backend import dgl
from finrec_dgl.graph.temporal import first_not_before, order_by_time
from finrec_dgl.sampling.draws import draw_places, mix, mix_all, row_keys

STRATEGIES = ("uniform", "recent")
SEED_TIME = "seed_time"
"""Node data of blocks: the time of the seed that a row was sampled for."""

Fanout = int | Mapping[Any, int]


class TemporalNeighborSampler(dgl.dataloading.BlockSampler):
    """Sample in-neighbours by edges strictly older than the seed, for ``dgl.dataloading``.

    Every neighbour inherits the time of its seed, so nothing at or after that time is seen, on any
    hop or relation. A row of a block is a node at a time: a node that is reached for seeds of two
    times has two rows, which are sampled independently. Draws follow from ``seed``, ``epoch``, hop,
    relation, node and time alone, whatever the number of workers.

    Blocks have ``dgl.NID`` and ``"seed_time"`` int64 as node data, and ``dgl.EID`` and the edge's
    time as edge data. Other edge data of ``to_dgl()`` are as of the graph's end: ``last``,
    ``count`` and ``weight`` of an edge that is older than its seed may hold later events, and so do
    texts and categories of nodes. Convert a view (``graph.as_of(t).to_dgl()``) to use them.

    Parameters
    ----------
    fanouts
        For each layer, as in ``dgl.dataloading.NeighborSampler`` (the last one is the seeds' own):
        at most so many neighbours a row and relation, -1 for all; or relation -> number, where a
        relation that is left out is not sampled.
    strategy
        ``uniform``: each set of that many is as likely; ``recent``: those first seen last.
    seed_time
        The time of the seeds, in seconds since 1970 UTC, who see what is strictly older: one number
        for all, the name of node data, or node type -> number, name or int64 [nodes of the type].
        None: the time of the seed edges, that ``as_edge_prediction_sampler`` with an ``exclude``
        passes on. A node of several seed edges then takes the earliest of their times, and a node
        of none (a negative) the earliest of the batch.
    edge_time
        Name of the edge data, int64 [edges], since when an edge exists. A relation without them is
        undated: its edges exist at all times.
    seed, epoch
        What draws follow from; set the attribute ``epoch`` to draw anew.
    output_device
        Where blocks are put; None: where the graph is.

    Raises
    ------
    ConfigError
        For an unknown strategy or fanouts below -1.

    Examples
    --------
    >>> sampler = TemporalNeighborSampler([10, 10])
    >>> sampler = dgl.dataloading.as_edge_prediction_sampler(
    ...     sampler, exclude="reverse_types", reverse_etypes={"interacts": "interacted-by"}
    ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        fanouts: Sequence[Fanout],
        strategy: str = "uniform",
        *,
        seed_time: int | str | Mapping[str, int | str | Tensor] | None = None,
        edge_time: str = "time",
        seed: int = 0,
        epoch: int = 0,
        output_device: Any = None,
        **prefetch: Any,
    ) -> None:
        super().__init__(output_device=output_device, **prefetch)
        numbers = [
            number
            for one in fanouts
            for number in (one.values() if isinstance(one, Mapping) else [one])
        ]
        problems = choice("strategy", strategy, STRATEGIES)
        if not fanouts or any(number < -1 for number in numbers):
            problems.append(f"the fanouts are {list(fanouts)}, expected numbers of at least -1")
        refuse(problems, where="TemporalNeighborSampler")
        self.fanouts, self.strategy = list(fanouts), strategy
        self.seed_time, self.edge_time = seed_time, edge_time
        self.seed, self.epoch = seed, epoch

    def sample(
        self,
        g: Any,
        seed_nodes: Tensor | Mapping[str, Tensor],
        exclude_eids: Tensor | Mapping[Any, Tensor] | None = None,
        seed_times: Tensor | Mapping[str, Tensor] | None = None,
    ) -> tuple[Any, Any, list[Any]]:
        """Sample blocks for ``seed_nodes``.

        Parameters
        ----------
        g
            A ``dgl.DGLGraph``, which must not be changed afterwards.
        seed_nodes
            int [seeds], or node type -> int [seeds].
        exclude_eids
            Edges to leave out: int [edges], or relation -> int [edges].
        seed_times
            int64 [seeds] in the form of ``seed_nodes``: a time for each seed, instead of
            ``seed_time``. A node may then stand among the seeds once for each time.

        Returns
        -------
        tuple
            Input nodes, output nodes and blocks, as ``dgl.dataloading`` expects them.

        Raises
        ------
        UsageError
            Where seeds have no time.
        """
        found = self.sample_blocks(g, seed_nodes, exclude_eids, seed_times)
        made: tuple[Any, Any, list[Any]] = self.assign_lazy_features(found)
        return made

    def sample_blocks(
        self,
        g: Any,
        seed_nodes: Any,
        exclude_eids: Any = None,
        seed_times: Any = None,
    ) -> tuple[Any, Any, list[Any]]:
        """Do what ``sample`` does, without features to prefetch."""
        nodes = {name: _array(ids) for name, ids in _by_type(g, seed_nodes).items()}
        excluded = {
            relation: _array(ids) for relation, ids in _by_relation(g, exclude_eids).items()
        }
        times = self._times(g, nodes, excluded, seed_times)
        rows = {name: _Rows(nodes.get(name, _NONE), times.get(name, _NONE)) for name in g.ntypes}
        key = mix(mix(self.seed) + self.epoch)
        blocks: list[Any] = []
        for fanout in reversed(self.fanouts):
            key = mix(key + 1)
            drawn = self._draw(g, rows, fanout, key, excluded)
            block, rows = _block(g, rows, drawn, self.edge_time)
            blocks.insert(0, block.to(self.output_device or g.device))
        return blocks[0].srcdata[dgl.NID], seed_nodes, blocks

    def _draw(
        self,
        g: Any,
        rows: Mapping[str, _Rows],
        fanout: Fanout,
        key: int,
        excluded: Mapping[Relation, np.ndarray],
    ) -> dict[Relation, _Drawn]:
        found = {}
        limits = _limits(g, fanout)
        for number, relation in enumerate(g.canonical_etypes):
            edges, asked = _edges_by_time(g, relation, self.edge_time), rows[relation[2]]
            begin, end = edges.indptr[asked.node], edges.indptr[asked.node + 1]
            end = first_not_before(edges.time, begin, end, asked.time)
            keys = row_keys(mix(key + number), asked.node)
            keys = mix_all(keys + asked.time.astype(np.uint64))
            gone = np.unique(edges.place[excluded.get(relation, _NONE)])
            out, place = draw_places(
                begin, end, limits.get(relation, 0), keys, gone, self.strategy == "recent"
            )
            dst = np.repeat(np.arange(len(asked.node)), np.diff(out))
            src = _Rows(edges.src[place], asked.time[dst])
            found[relation] = _Drawn(src, dst, edges.edge[place], edges.time[place])
        return found

    def _times(
        self,
        g: Any,
        nodes: Mapping[str, np.ndarray],
        excluded: Mapping[Relation, np.ndarray],
        given: Any,
    ) -> dict[str, np.ndarray]:
        """Node type -> int64 [seeds]."""
        if given is not None:
            times = {name: _array(one) for name, one in _by_type(g, given).items()}
            for name, ids in nodes.items():
                if len(times.get(name, _NONE)) != len(ids):
                    raise UsageError(f"{len(ids)} seeds of type {name} have not as many times")
            return times
        if self.seed_time is None:
            return _times_of_edges(g, nodes, excluded, self.edge_time)
        found = {}
        for name, ids in nodes.items():
            one = (
                self.seed_time.get(name)
                if isinstance(self.seed_time, Mapping)
                else (self.seed_time)
            )
            if isinstance(one, str):
                one = g.nodes[name].data.get(one)
            if one is None and len(ids):
                raise _no_time(name)
            found[name] = _array(one)[ids] if isinstance(one, Tensor) else _full(ids, one or 0)
        return found


_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of one node type: int64 [rows] each, a node and its seed's time."""

    node: np.ndarray
    time: np.ndarray


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Drawn edges: their sources, the destination's row, number and time, [edges] each."""

    src: _Rows
    dst: np.ndarray
    edge: np.ndarray
    time: np.ndarray


@dataclass(frozen=True, eq=False)
class _EdgesByTime:
    """A relation compressed by destination, each row sorted by time.

    ``place``: where each edge stands; the other arrays are in that order.
    """

    indptr: np.ndarray
    src: np.ndarray
    time: np.ndarray
    edge: np.ndarray
    place: np.ndarray


# graph -> (relation, name of the time) -> its edges, for as long as the graph lives
_KEPT: WeakKeyDictionary[Any, dict[tuple[Relation, str], _EdgesByTime]] = WeakKeyDictionary()


def _edges_by_time(g: Any, relation: Relation, name: str) -> _EdgesByTime:
    kept = _KEPT.setdefault(g, {})
    if (relation, name) not in kept:
        src, dst = (_array(one) for one in g.edges(etype=relation, order="eid"))
        data = g.edges[relation].data
        time = _array(data[name]) if name in data else _full(src, UNDATED)
        indptr, edge = order_by_time(dst, time, g.num_nodes(relation[2]))
        place = np.empty_like(edge)
        place[edge] = np.arange(len(edge), dtype=edge.dtype)
        kept[relation, name] = _EdgesByTime(indptr, src[edge], time[edge], edge, place)
    return kept[relation, name]


def _block(
    g: Any, rows: Mapping[str, _Rows], drawn: Mapping[Relation, _Drawn], edge_time: str
) -> tuple[Any, dict[str, _Rows]]:
    """The DGL block of drawn edges, and its source rows, of which the first are ``rows``."""
    ends, found = {}, {}
    for name, dst in rows.items():
        mine = [relation for relation in drawn if relation[0] == name]
        sources = [drawn[relation].src for relation in mine]
        found[name], numbers = _numbered(dst, sources)
        for relation, number in zip(mine, numbers, strict=True):
            ends[relation] = (torch.from_numpy(number), torch.from_numpy(drawn[relation].dst))
    block = dgl.create_block(
        {relation: ends[relation] for relation in g.canonical_etypes},
        num_src_nodes={name: len(one.node) for name, one in found.items()},
        num_dst_nodes={name: len(one.node) for name, one in rows.items()},
        idtype=g.idtype,
    )
    for sides, kept in ((block.srcnodes, found), (block.dstnodes, rows)):
        for name, one in kept.items():
            sides[name].data[dgl.NID] = torch.from_numpy(one.node).to(g.idtype)
            sides[name].data[SEED_TIME] = torch.from_numpy(one.time)
    for relation, edges in drawn.items():
        data = block.edges[relation].data
        data[dgl.EID] = torch.from_numpy(edges.edge).to(g.idtype)
        data[edge_time] = torch.from_numpy(edges.time)
    return block, found


def _numbered(dst: _Rows, sources: Sequence[_Rows]) -> tuple[_Rows, list[np.ndarray]]:
    """Number (node, time) pairs: ``dst`` first, then those of ``sources`` as they come up.

    Returns all numbered rows, and the numbers of each of ``sources``.
    """
    node = np.concatenate([dst.node, *(one.node for one in sources)])
    time = np.concatenate([dst.time, *(one.time for one in sources)])
    _, code = np.unique(time, return_inverse=True)
    key = code.astype(np.int64) * (int(node.max(initial=0)) + 1) + node
    _, first, each = np.unique(key, return_index=True, return_inverse=True)
    new = np.flatnonzero(first >= len(dst.node))
    new = new[np.argsort(first[new])]
    number = first.copy()
    number[new] = len(dst.node) + np.arange(len(new))
    place = np.concatenate([np.arange(len(dst.node)), first[new]])
    cuts = np.cumsum([len(dst.node), *(len(one.node) for one in sources)])
    return _Rows(node[place], time[place]), np.split(number[each], cuts)[1:-1]


def _times_of_edges(
    g: Any,
    nodes: Mapping[str, np.ndarray],
    edges: Mapping[Relation, np.ndarray],
    name: str,
) -> dict[str, np.ndarray]:
    """The earliest time of the seed ``edges`` of each node; of a node without, of all edges."""
    latest = np.iinfo(np.int64).max
    found = {one: _full(ids, latest) for one, ids in nodes.items()}
    order = {one: np.argsort(ids, kind="stable") for one, ids in nodes.items()}
    earliest = latest
    for relation, ids in edges.items():
        if not len(ids) or name not in g.edges[relation].data:
            continue
        time = _array(g.edges[relation].data[name])[ids]
        earliest = min(earliest, int(time.min()))
        both = g.find_edges(torch.from_numpy(ids).to(g.idtype).to(g.device), etype=relation)
        for one, end in zip((relation[0], relation[2]), both, strict=True):
            if one in nodes:
                ranked = nodes[one][order[one]]
                place = np.minimum(np.searchsorted(ranked, _array(end)), len(ranked) - 1)
                seeds = order[one][place]
                hit = nodes[one][seeds] == _array(end)
                np.minimum.at(found[one], seeds[hit], time[hit])
    if earliest == latest and any(len(ids) for ids in nodes.values()):
        raise _no_time("/".join(nodes))
    return {one: np.where(time == latest, earliest, time) for one, time in found.items()}


def _no_time(name: str) -> UsageError:
    return UsageError(
        f"seeds of type {name} have no time",
        expected="seed_time or seed_times, or dated seed edges that are excluded",
        where="TemporalNeighborSampler",
        mend="pass seed_time=..., or exclude= to as_edge_prediction_sampler",
    )


def _limits(g: Any, fanout: Fanout) -> dict[Relation, int]:
    if not isinstance(fanout, Mapping):
        return dict.fromkeys(g.canonical_etypes, fanout)
    return {g.to_canonical_etype(relation): number for relation, number in fanout.items()}


def _by_type(g: Any, values: Any) -> dict[str, Tensor]:
    return dict(values) if isinstance(values, Mapping) else {g.ntypes[0]: values}


def _by_relation(g: Any, values: Any) -> dict[Relation, Tensor]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        values = {g.canonical_etypes[0]: values}
    return {g.to_canonical_etype(relation): ids for relation, ids in values.items()}


def _array(values: Tensor) -> np.ndarray:
    """int64 in the memory of the CPU."""
    return values.detach().cpu().numpy().astype(np.int64)


def _full(like: np.ndarray, value: int) -> np.ndarray:
    return np.full(len(like), value, np.int64)
