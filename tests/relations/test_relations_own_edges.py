"""Messages over the edge tables of the user: by loops, in either direction, of any two ends."""

import math
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pytest
import torch
from graph_views import CONFIG, NOBODY, batch_of, edges
from pair_models import shape_of
from snapshots import make_dated_snapshot

from finrec_dgl.dataset.snapshot import Snapshot
from finrec_dgl.relations import GraphTensors, ModelShape, OwnEdges

VISITS, TALKS, PARTS = ("user", "visits", "item"), ("user", "talks", "user"), ("item", "of", "item")
BACK = ("item", "shown", "user")


@dataclass(frozen=True)
class Table:
    """Edges and their features."""

    src: np.ndarray
    dst: np.ndarray
    features: np.ndarray


@dataclass(frozen=True, eq=False)
class Edged(Snapshot):
    """A snapshot with edge tables."""

    edges: dict = field(default_factory=dict)


def edged(seed=0, tables=(VISITS, TALKS, PARTS, BACK), count=40, width=2):
    """A dated snapshot with random edges, some of them double, and features of ``width``."""
    snapshot, rng = make_dated_snapshot(seed), np.random.default_rng(seed)
    sizes = {"user": snapshot.n_users, "item": snapshot.n_items}
    given = {one.name: getattr(snapshot, one.name) for one in fields(Snapshot)}
    given["edges"] = {
        table: Table(
            rng.integers(0, sizes[table[0]] - 1, count).astype(np.int32),
            rng.integers(0, sizes[table[2]] - 1, count).astype(np.int32),
            rng.normal(3, 2, (count, width)).astype(np.float32),
        )
        for table in tables
    }
    return Edged(**given)


def relation_with(snapshot, seed=0):
    """The relation away from its start."""
    widths = {table: one.features.shape[1] for table, one in snapshot.edges.items()}
    shape = shape_of(snapshot)
    relation = OwnEdges(CONFIG, ModelShape(shape.n_users, shape.n_items, 0, edges=widths))
    made = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in relation.parameters():
            one.add_(torch.randn(one.shape, generator=made) * 0.5)
    return relation


def channel_by_loop(snapshot, table, weight, floor):
    """float [users, items]: the channel of one table."""
    given, held = snapshot.edges[table], edges(snapshot)
    message = np.zeros((snapshot.n_users, snapshot.n_items))
    features = given.features.astype(np.float64)
    spread = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    for src, dst, f in zip(given.src.tolist(), given.dst.tolist(), features, strict=True):
        amount = math.exp(f @ weight)
        ends = {(table[0], src, table[2], dst), (table[2], dst, table[0], src)}
        directions = [(table[0], src, table[2], dst), (table[2], dst, table[0], src)]
        if table[0] != table[2]:
            directions = [one for one in ends if one[0] == "user"]
        for here, one, there, other in directions:
            if (here, there) == ("user", "item"):
                message[one, other] += amount
            elif (here, there) == ("user", "user"):
                for item in held[other]:
                    message[one, item] += amount
            else:
                for user, items in held.items():
                    if one in items:
                        message[user, other] += amount
    found = np.zeros_like(message)
    for user in range(snapshot.n_users):
        free = np.array([item not in held[user] for item in range(snapshot.n_items)])
        total = max((message[user] * free).sum(), 1e-9)
        found[user] = np.log(message[user] / total * free.sum() + math.exp(floor)) - floor
    return found


@pytest.mark.parametrize("table", [VISITS, TALKS, PARTS, BACK], ids=lambda one: one[1])
@pytest.mark.parametrize("width", [0, 2])
def test_channels_by_edge(table, width):
    """Catches an edge of one direction, another edge's features, and a channel of another table."""
    snapshot = edged(width=width)
    relation, batch = relation_with(snapshot), batch_of(GraphTensors(snapshot))
    found = relation(batch, relation.sample(batch))
    number = list(snapshot.edges).index(table)
    assert relation.channel_names()[number] == f"edges {table[1]}"
    weight = relation.feature[number].detach().double().numpy()
    floor = relation.floor[number].item()
    expected = channel_by_loop(snapshot, table, weight, floor)
    np.testing.assert_allclose(found[..., number].detach(), expected, atol=1e-3)
    found.square().sum().backward()
    assert relation.floor.grad[number].abs() > 1e-3
    assert not width or relation.feature[number].grad.abs().max() > 1e-3


def test_without_tables_there_is_no_channel():
    """Catches a channel, or weights, of no edges."""
    snapshot = edged(tables=())
    assert relation_with(snapshot).channel_names() == ()


def test_a_table_without_edges_tells_nothing():
    """Catches a mean over no edges, and messages that come from nowhere."""
    snapshot = edged(count=0)
    relation, batch = relation_with(snapshot), batch_of(GraphTensors(snapshot))
    found = relation(batch, relation.sample(batch))
    np.testing.assert_allclose(found.detach(), 0.0, atol=1e-6)


def test_features_that_are_all_alike_change_nothing():
    """Catches a division by a spread of nothing."""
    snapshot = edged()
    for one in snapshot.edges.values():
        one.features[:] = 7.0
    relation, batch = relation_with(snapshot), batch_of(GraphTensors(snapshot))
    found = relation(batch, relation.sample(batch))
    assert torch.isfinite(found).all()
    with torch.no_grad():
        for one in relation.feature:
            one.zero_()
    assert torch.equal(found, relation(batch, relation.sample(batch)))


def test_some_seeds_have_the_channels_that_all_have():
    """Catches rows that are mixed up, and a seed that is asked for twice."""
    snapshot = edged()
    relation, view = relation_with(snapshot), GraphTensors(snapshot)
    every, some = batch_of(view), batch_of(view, [9, 3, NOBODY, 3])
    whole = relation(every, relation.sample(every))
    found = relation(some, relation.sample(some))
    torch.testing.assert_close(found, whole[[9, 3, NOBODY, 3]])


def test_an_altered_row_is_read_as_it_stands():
    """Catches items of the user's own node where another history is given."""
    snapshot = edged(tables=(PARTS,))
    relation, view = relation_with(snapshot), GraphTensors(snapshot)
    one, other = batch_of(view, [3]), batch_of(view, [11])
    mixed = type(one)(view, type(one.seeds)(one.seeds.user, *seed_parts(other.seeds)))
    found = relation(mixed, relation.sample(mixed))
    torch.testing.assert_close(found, relation(other, relation.sample(other)))


def seed_parts(seeds):
    """What is known of seeds but who they are."""
    return seeds.history, seeds.age, seeds.text, seeds.connected


def test_two_tables_of_one_name_are_apart():
    """Catches the edges of one table in the channel of another of the same name."""
    tables = (("user", "same", "item"), ("user", "same", "user"))
    snapshot = edged(tables=tables)
    relation, batch = relation_with(snapshot), batch_of(GraphTensors(snapshot))
    found = relation(batch, relation.sample(batch))
    assert relation.channel_names() == ("edges user same item", "edges user same user")
    for number, table in enumerate(tables):
        weight = relation.feature[number].detach().double().numpy()
        expected = channel_by_loop(snapshot, table, weight, relation.floor[number].item())
        np.testing.assert_allclose(found[..., number].detach(), expected, atol=1e-3)


def test_a_user_who_is_not_in_the_graph_has_no_edges():
    """Catches the last user's edges in the row of a new user, whose number is -1."""
    snapshot = edged(tables=(VISITS, TALKS))
    relation, batch = relation_with(snapshot), batch_of(GraphTensors(snapshot))
    seeds = replace(batch.seeds, user=torch.full_like(batch.seeds.user, -1), altered=True)
    stranger = replace(batch, seeds=seeds)
    channels = relation(stranger, relation.sample(stranger))
    assert not channels.any()
    assert relation(batch, relation.sample(batch)).any()
