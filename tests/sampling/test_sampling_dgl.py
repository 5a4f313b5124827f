"""The sampler of DGL's data loader: nothing at or after a seed's time, on any hop or relation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from finrec_dgl.base.errors import ConfigError, UsageError
from finrec_dgl.base.units import UNDATED
from finrec_dgl.graph import INTERACTED_BY, INTERACTS, EdgeEvents, TemporalGraph
from finrec_dgl.graph.backend import dgl
from finrec_dgl.sampling import TemporalNeighborSampler

# DGL advises to pin threads to cores whenever its loader is used without
pytestmark = pytest.mark.filterwarnings("ignore:Dataloader CPU affinity")

USERS, ITEMS, DAYS = 40, 25, 50
FAMILY = ("user", "family", "user")
BACK = {"interacts": "interacted-by", "interacted-by": "interacts"}


@pytest.fixture(scope="module")
def graph():
    rng = np.random.default_rng(0)
    user, item, time = (rng.integers(0, size, 600) for size in (USERS, ITEMS, DAYS))
    source, target, seen = (rng.integers(0, size, 90) for size in (USERS, USERS, DAYS))
    made = TemporalGraph.from_events(
        {"user": USERS, "item": ITEMS},
        {
            INTERACTS: EdgeEvents.group(user, item, time, rng.random(600)),
            FAMILY: EdgeEvents.group(source, target, np.where(seen < 5, UNDATED, seen)),
        },
    )
    found = made.to_dgl()
    found.nodes["user"].data["asked"] = torch.from_numpy(rng.integers(0, DAYS, USERS))
    return found


def check(graph, blocks):
    """Every edge is one of the graph, older than its row's time, which its source inherits."""
    edges = 0
    for block in blocks:
        for relation in graph.canonical_etypes:
            src, dst = block.edges(etype=relation)
            ids = block.edges[relation].data[dgl.EID]
            edges += len(ids)
            rows, sources = block.dstnodes[relation[2]].data, block.srcnodes[relation[0]].data
            time = graph.edges[relation].data["time"][ids.long()]
            asked = rows["seed_time"][dst.long()]
            assert torch.all(time < asked)
            assert torch.equal(block.edges[relation].data["time"], time)
            assert torch.equal(sources["seed_time"][src.long()], asked)
            ends = graph.find_edges(ids, etype=relation)
            assert torch.equal(ends[0], sources[dgl.NID][src.long()])
            assert torch.equal(ends[1], rows[dgl.NID][dst.long()])
    for outer, inner in zip(blocks[:-1], blocks[1:], strict=True):
        for name in graph.ntypes:
            assert torch.equal(
                outer.dstnodes[name].data[dgl.NID], inner.srcnodes[name].data[dgl.NID]
            )
    return edges


def allowed(graph, relation, node, time):
    """The edges of ``node`` that are older than ``time``, oldest first."""
    _, dst, ids = graph.edges(etype=relation, form="all", order="eid")
    seen = graph.edges[relation].data["time"]
    kept = [int(one) for one in ids[dst == node] if seen[int(one)] < time]
    return sorted(kept, key=lambda one: (int(seen[one]), one))


@pytest.mark.parametrize("strategy", ["uniform", "recent"])
@pytest.mark.parametrize("fanouts", [[3, 2], [-1, -1], [{"interacted-by": 2, FAMILY: 1}, 4]])
def test_no_edge_at_or_after_the_time_of_its_seed(graph, strategy, fanouts):
    """Catches a leak on any hop and relation: an edge, or a time lent by another seed."""
    sampler = TemporalNeighborSampler(fanouts, strategy, seed_time="asked")
    loader = dgl.dataloading.DataLoader(
        graph, {"user": torch.arange(USERS).int()}, sampler, batch_size=7, shuffle=True
    )
    edges = 0
    for inputs, outputs, blocks in loader:
        edges += check(graph, blocks)
        last = blocks[-1].dstnodes["user"].data
        assert torch.equal(
            last["seed_time"], graph.nodes["user"].data["asked"][outputs["user"].long()]
        )
        for name in graph.ntypes:
            assert torch.equal(inputs[name], blocks[0].srcnodes[name].data[dgl.NID])
    assert edges > 100


@pytest.mark.parametrize("strategy", ["uniform", "recent"])
def test_how_many_and_which(graph, strategy):
    """Catches edges drawn twice, too few of them, and recent ones that are not the latest."""
    sampler = TemporalNeighborSampler([3], strategy, seed_time=30)
    users = torch.arange(USERS).int()
    _, _, (block,) = sampler.sample(graph, {"user": users})
    for relation in (INTERACTED_BY, FAMILY):
        _, dst = block.edges(etype=relation)
        ids = block.edges[relation].data[dgl.EID]
        for user in range(USERS):
            drawn, wanted = ids[dst == user].tolist(), allowed(graph, relation, user, 30)
            assert len(set(drawn)) == len(drawn) == min(3, len(wanted))
            assert set(drawn) <= set(wanted[-3:] if strategy == "recent" else wanted)
    assert block.num_edges(INTERACTS) == 0


def test_each_set_is_as_likely(graph):
    """Catches a draw that favours old or new edges, or follows from the node alone."""
    counts = {}
    user = max(range(USERS), key=lambda one: len(allowed(graph, INTERACTED_BY, one, 40)))
    wanted = allowed(graph, INTERACTED_BY, user, 40)
    for epoch in range(2000):
        sampler = TemporalNeighborSampler([2], seed_time=40, epoch=epoch)
        _, _, (block,) = sampler.sample(graph, {"user": torch.tensor([user])})
        for one in block.edges[INTERACTED_BY].data[dgl.EID].tolist():
            counts[one] = counts.get(one, 0) + 1
    expected = 4000 / len(wanted)
    assert set(counts) == set(wanted)
    assert max(abs(one - expected) for one in counts.values()) < 5 * expected**0.5


def test_a_seed_at_two_times_has_two_samples(graph):
    """Catches the rows of one node that are merged, so that the earlier one sees the later."""
    sampler = TemporalNeighborSampler([-1, -1])
    users, times = torch.tensor([3, 3, 8]), torch.tensor([10, 45, 45])
    _, _, blocks = sampler.sample(graph, {"user": users}, seed_times={"user": times})
    check(graph, blocks)
    _, dst = blocks[-1].edges(etype=INTERACTED_BY)
    ids = blocks[-1].edges[INTERACTED_BY].data[dgl.EID]
    for row, (user, time) in enumerate(zip(users.tolist(), times.tolist(), strict=True)):
        assert sorted(ids[dst == row].tolist()) == sorted(allowed(graph, INTERACTED_BY, user, time))


@pytest.mark.parametrize("workers", [0, 2])
def test_edges_to_predict_are_hidden_both_ways(graph, workers):
    """Catches a seed edge or its reverse in a block, and one that is younger than the batch's."""
    sampler = dgl.dataloading.as_edge_prediction_sampler(
        TemporalNeighborSampler([5, 5]),
        exclude="reverse_types",
        reverse_etypes=BACK,
        negative_sampler=dgl.dataloading.negative_sampler.Uniform(2),
    )
    seeds = {INTERACTS: torch.arange(graph.num_edges(INTERACTS)).int()}
    loader = dgl.dataloading.DataLoader(
        graph, seeds, sampler, batch_size=16, shuffle=False, num_workers=workers
    )
    for _, pairs, _, blocks in loader:
        check(graph, blocks)
        ids = pairs.edges[INTERACTS].data[dgl.EID].long()
        for block in blocks:
            for relation in (INTERACTS, INTERACTED_BY):
                assert not np.isin(block.edges[relation].data[dgl.EID], ids).any()
        times = graph.edges[INTERACTS].data["time"][ids]
        src, _ = pairs.edges(etype=INTERACTS)
        asked = blocks[-1].dstnodes["user"].data["seed_time"]
        for node in src.unique().tolist():
            assert asked[node] == times[src == node].min()
        assert asked.min() == times.min()


def test_an_excluded_edge_is_not_drawn_though_it_is_older(graph):
    """Catches exclusion that only the time brings about."""
    sampler = TemporalNeighborSampler([-1], seed_time=DAYS)
    wanted = allowed(graph, INTERACTED_BY, 0, DAYS)
    out = wanted[1::2]
    for ids, left in ((out, wanted[::2]), (wanted, [])):
        exclude = {"interacted-by": torch.tensor(ids)}
        _, _, (block,) = sampler.sample(graph, {"user": torch.tensor([0])}, exclude)
        assert sorted(block.edges[INTERACTED_BY].data[dgl.EID].tolist()) == sorted(left)


def drawn(graph, workers, **options):
    """All edges of an epoch, by hop, relation, node and time; workers change the batches."""
    sampler = TemporalNeighborSampler([2, 2], seed_time="asked", **options)
    loader = dgl.dataloading.DataLoader(
        graph, {"user": torch.arange(USERS).int()}, sampler, batch_size=9, num_workers=workers
    )
    found = {}
    for _, _, blocks in loader:
        for hop, block in enumerate(blocks):
            for relation in graph.canonical_etypes:
                _, dst = block.edges(etype=relation)
                rows = block.dstnodes[relation[2]].data
                row = list(zip(rows[dgl.NID].tolist(), rows["seed_time"].tolist(), strict=True))
                edges = block.edges[relation].data[dgl.EID].tolist()
                for one, edge in zip(dst.tolist(), edges, strict=True):
                    found.setdefault((hop, relation, row[one]), []).append(edge)
    return {key: sorted(set(edges)) for key, edges in found.items()}


def test_draws_follow_from_the_seed_alone(graph):
    """Catches draws that change with workers or threads, and seeds or epochs that do not count."""
    first = drawn(graph, 0)
    assert drawn(graph, 2) == first
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert drawn(graph, 0) == first
    finally:
        torch.set_num_threads(threads)
    assert drawn(graph, 0, seed=1) != first
    assert drawn(graph, 0, epoch=1) != first


def test_blocks_go_through_a_layer_of_dgl(graph):
    """Catches blocks that DGL's own layers cannot take."""
    sampler = TemporalNeighborSampler([3, 3], seed_time=30)
    inputs, _, blocks = sampler.sample(graph, {"user": torch.arange(5), "item": torch.arange(3)})
    torch.manual_seed(0)
    layers = {name: dgl.nn.SAGEConv(4, 4, "mean") for _, name, _ in graph.canonical_etypes}
    convolution = dgl.nn.HeteroGraphConv(layers)
    h = {name: torch.randn(len(ids), 4) for name, ids in inputs.items()}
    for block in blocks:
        h = convolution(block, h)
    assert h["user"].shape == (5, 4)
    assert h["item"].shape == (3, 4)


def test_a_homogeneous_undated_graph(graph):
    """Catches a sampler that only takes graphs of several types, with times."""
    plain = dgl.graph((torch.tensor([0, 1, 2]), torch.tensor([2, 2, 0])), num_nodes=3)
    sampler = TemporalNeighborSampler([-1], seed_time=7)
    inputs, outputs, (block,) = sampler.sample(plain, torch.tensor([2]))
    assert inputs.tolist() == [2, 0, 1]
    assert outputs.tolist() == [2]
    assert block.num_edges() == 2


def test_what_cannot_be_sampled_is_refused(graph):
    """Catches seeds without a time, that would see everything, and options out of range."""
    seeds = {"user": torch.tensor([1])}
    with pytest.raises(UsageError, match="have no time"):
        TemporalNeighborSampler([2]).sample(graph, seeds)
    with pytest.raises(UsageError, match="have no time"):
        TemporalNeighborSampler([2], seed_time={"item": 3}).sample(graph, seeds)
    with pytest.raises(UsageError, match="not as many times"):
        TemporalNeighborSampler([2]).sample(graph, seeds, seed_times={"user": torch.tensor([])})
    with pytest.raises(ConfigError, match="at least -1"):
        TemporalNeighborSampler([-2])
    with pytest.raises(ConfigError, match="did you mean 'recent'"):
        TemporalNeighborSampler([2], "recnt")
