"""Edge tables in a data set: what is kept and counted, and what was known of them at a time."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from dataset_worlds import CUT, CUT_DAY, NO_TEXT, START, day, interactions, make_tables, options
from hypothesis import given
from hypothesis import strategies as st

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.files import load_arrays, save_arrays, sha256
from finrec_dgl.dataset import (
    ExtraEdges,
    SplitOptions,
    build_dataset,
    describe,
    layout,
    load_dataset,
)
from finrec_dgl.tables import Tables

VIEWED, SIMILAR = ("user", "viewed", "item"), ("item", "similar", "item")


def edge_table(rows, columns) -> pa.Table:
    """An edge table of (source, target, ...) rows; the column ``timestamp`` is given in days."""
    parts = dict(zip(columns, zip(*rows, strict=True), strict=True))
    if "timestamp" in parts:
        parts["timestamp"] = pa.array([day(one) for one in parts["timestamp"]], pa.int64())
    return pa.table({name: pa.array(list(values)) for name, values in parts.items()})


def with_edges(seed=0, **others) -> Tables:
    """A small world with dated views and undated likenesses between items."""
    rng = np.random.default_rng((seed, 77))
    tables = make_tables(seed=seed, **others)
    size = 80
    known = [
        set(tables.interactions["item_id"].to_pylist()) | set(tables.items["item_id"].to_pylist())
    ]
    items = np.array(sorted(known[0]))
    viewed = {
        "source_user_id": [f"u{number}" for number in rng.integers(0, 25, size)],
        "target_item_id": rng.choice(items, size).tolist(),
        "timestamp": pa.array(START + rng.integers(0, 100 * 86_400, size), pa.int64()),
        "hours": rng.random(size),
        "clicks": rng.integers(0, 9, size).astype(float),
    }
    similar = {
        "source_item_id": rng.choice(items, size).tolist(),
        "target_item_id": rng.choice(items, size).tolist(),
    }
    edges = {"viewed": pa.table(viewed), "similar": pa.table(similar)}
    return dataclasses.replace(tables, edges=edges)


def test_what_is_kept_and_what_is_counted(tmp_path):
    """Catches edges of the future, of strangers or of a node with itself, and any uncounted."""
    events = interactions([("u1", "b", 1), ("u2", "a", 2), ("u2", "b", 62), ("u3", "a", 80)])
    viewed = edge_table(
        [
            ("u2", "a", 30, 0.5, 1.0),
            ("u1", "b", 10, 1.5, 2.0),
            ("u1", "b", 10, 2.5, 3.0),  # the same ends and time, another edge
            ("u1", "a", CUT_DAY, 9.0, 9.0),
            ("u3", "a", 20, 9.0, 9.0),  # known from the cut on
            ("u1", "z", 20, 9.0, 9.0),  # unknown
            ("u1", "a", 5, 3.5, 4.0),
        ],
        ("source_user_id", "target_item_id", "timestamp", "hours", "clicks"),
    )
    follows = edge_table(
        [("u2", "u1"), ("u1", "u2"), ("u1", "u1")], ("source_user_id", "target_user_id")
    )
    tables = Tables(events, edges={"viewed": viewed, "follows": follows})
    build_dataset(tables, tmp_path / "out", options(encoder=NO_TEXT))
    dataset = load_dataset(tmp_path / "out")
    assert dataset.user_ids.to_pylist() == ["u1", "u2"]
    found = dataset.extra_edges
    assert list(found) == [("user", "follows", "user"), VIEWED]
    edges = found[VIEWED]
    assert edges.feature_names == ("hours", "clicks")
    assert edges.src.tolist() == [0, 0, 0, 1]
    assert edges.dst.tolist() == [0, 1, 1, 0]
    assert edges.time.tolist() == [day(5), day(10), day(10), day(30)]
    assert edges.features.tolist() == [[3.5, 4], [1.5, 2], [2.5, 3], [0.5, 1]]
    assert (edges.src.dtype, edges.time.dtype, edges.features.dtype) == ("i4", "i8", "f4")
    other = found["user", "follows", "user"]
    assert (other.src.tolist(), other.dst.tolist(), other.time) == ([0, 1], [1, 0], None)
    assert other.features.shape == (2, 0)
    assert dataset.manifest["dropped"] == {
        "edges follows: of nodes with themselves": 1,
        "edges viewed: from the cut on": 1,
        "edges viewed: with a user or item that is left out": 2,
        "test pairs: of unknown users": 1,
    }
    assert dataset.manifest["counts"]["edges"] == {"follows": 2, "viewed": 4}
    told = describe(dataset)
    assert told["edges"] == {"interacts": 3, "follows": 2, "viewed": 4}
    assert told["edge tables"]["viewed"] == {
        "from": "user",
        "to": "item",
        "edges": 4,
        "dated": True,
        "features": ["hours", "clicks"],
    }


@given(st.lists(st.integers(0, 9), max_size=12), st.none() | st.integers(-1, 11))
def test_before_is_every_earlier_edge(times, time):
    """Catches an edge of the very moment, and one of another row."""
    times = np.sort(np.array(times, np.int64))
    ends = np.arange(len(times), dtype=np.int32)
    features = ends[:, None].astype(np.float32)
    edges = ExtraEdges(ends, ends + 1, times, features, ("n",))
    found = edges.before(time)
    expected = [row for row, one in enumerate(times) if time is None or one < time]
    assert found.src.tolist() == expected
    assert (found.dst - 1).tolist() == expected
    assert found.features[:, 0].tolist() == expected
    assert len(found) == len(found.time) == len(expected)
    undated = ExtraEdges(ends, ends, None, features, ("n",))
    assert len(undated.before(time)) == len(times)


@pytest.mark.parametrize(
    "change",
    [
        {"dst": np.zeros(2, np.int32)},
        {"time": np.zeros(2, np.int64)},
        {"features": np.zeros((3, 2), np.float32)},
        {"features": np.zeros((2, 1), np.float32)},
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(change):
    """Catches features that belong to other edges."""
    ends, time = np.zeros(3, np.int32), np.zeros(3, np.int64)
    fields = {"src": ends, "dst": ends, "time": time, "features": np.zeros((3, 1), np.float32)}
    with pytest.raises(DataError, match="edges have ends"):
        ExtraEdges(**{**fields, **change}, feature_names=("n",))


@pytest.mark.parametrize("number", [12, 33.5, 60, CUT_DAY])
def test_a_snapshot_has_the_edges_of_its_time(tmp_path, number):
    """Catches edges of later days in an earlier snapshot, and undated ones that are lost."""
    tables = with_edges()
    dataset = build_dataset(tables, tmp_path / "out", options(encoder=NO_TEXT))
    snapshot = dataset.as_of(day(number))
    users, items = dataset.user_ids.to_pylist(), dataset.item_ids.to_pylist()
    edges = snapshot.edges[VIEWED]
    found = {
        (users[a], items[b], int(time), float(hours))
        for a, b, time, hours in zip(
            edges.src, edges.dst, edges.time, edges.features[:, 0], strict=True
        )
    }
    rows = tables.edges["viewed"].to_pylist()
    expected = {
        (
            row["source_user_id"],
            row["target_item_id"],
            row["timestamp"],
            float(np.float32(row["hours"])),
        )
        for row in rows
        if row["timestamp"] < day(number)
        and row["source_user_id"] in users
        and row["target_item_id"] in items
    }
    assert found == expected
    assert found
    assert len(snapshot.edges[SIMILAR]) == len(dataset.extra_edges[SIMILAR])


def test_the_stages_have_the_edges_of_their_cuts(tmp_path):
    """Catches a training that knows of the validation's edges."""
    dataset = build_dataset(with_edges(), tmp_path / "out", options(encoder=NO_TEXT))
    train, fit = (dataset.snapshot(stage).edges[VIEWED] for stage in ("train", "fit"))
    assert train.time.max() < dataset.valid_cut <= fit.time.max() < dataset.cut
    assert len(fit) == len(dataset.extra_edges[VIEWED])


@pytest.mark.parametrize("change", ["ends", "features", "times", "removed", "newcomers"])
def test_edges_after_the_cut_are_nowhere_in_the_folder(tmp_path, change):
    """Catches any byte that an edge dated after the cut has a say in, but for its count."""
    tables = with_edges(seed=4)
    table = tables.edges["viewed"]
    late = np.array(table["timestamp"]) >= CUT
    assert 0 < late.sum() < len(late)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    for row in np.flatnonzero(late):
        if change == "ends":
            columns["source_user_id"][row], columns["target_item_id"][row] = "u0", "i0"
        elif change == "features":
            columns["hours"][row] = 1e9
        elif change == "times":
            columns["timestamp"][row] += 777
    if change == "newcomers":  # at the head, so that they are numbered first
        for name, value in (
            ("source_user_id", "u0"),
            ("target_item_id", "i0"),
            ("timestamp", CUT + 1),
            ("hours", 5.0),
            ("clicks", 5.0),
        ):
            columns[name].insert(0, value)
    other = pa.table({name: pa.array(one) for name, one in columns.items()})
    if change == "removed":
        other = other.filter(pa.array(~late))
    changed = dataclasses.replace(tables, edges={**tables.edges, "viewed": other})
    one = build_dataset(tables, tmp_path / "a", options(encoder=NO_TEXT))
    two = build_dataset(changed, tmp_path / "b", options(encoder=NO_TEXT))
    assert one.hash == two.hash
    for name in layout.FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_edges_bring_in_no_nodes(tmp_path):
    """Catches users and items who are known by an edge alone, and an order that edges change."""
    plain = build_dataset(make_tables(), tmp_path / "a", options(encoder=NO_TEXT))
    edges = build_dataset(with_edges(), tmp_path / "b", options(encoder=NO_TEXT))
    assert plain.user_ids.equals(edges.user_ids)
    assert plain.item_ids.equals(edges.item_ids)
    assert plain.hash != edges.hash
    assert plain.extra_edges == {}
    assert plain.snapshot("fit").edges == {}
    assert "edge tables" not in describe(plain)
    for name in (layout.INTERACTIONS, layout.TIES, layout.PROFILES, layout.SPLITS):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_held_out_items_are_the_same_with_edges(tmp_path):
    """Catches a draw that depends on how many ids the edge tables name."""
    split = SplitOptions(kind="cold-items", seed=3)
    plain = build_dataset(make_tables(), tmp_path / "a", options(split=split, encoder=NO_TEXT))
    edges = build_dataset(with_edges(), tmp_path / "b", options(split=split, encoder=NO_TEXT))
    assert np.array_equal(plain.cold("test"), edges.cold("test"))


def test_undated_splits_keep_all_edges(tmp_path):
    """Catches a split without a cut that fails on edges, or leaves some out."""
    events = interactions([(f"u{u}", f"i{i}") for u in range(5) for i in range(6)])
    table = edge_table([("u1", "i2", 500)], ("source_user_id", "target_item_id", "timestamp"))
    dataset = build_dataset(
        Tables(events, edges={"viewed": table}),
        tmp_path / "out",
        options(split=SplitOptions(kind="random"), encoder=NO_TEXT),
    )
    assert len(dataset.snapshot("train").edges[VIEWED]) == 1


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("viewed.src", lambda a: a + 1000, "viewed.src goes out of the range"),
        ("viewed.dst", lambda a: a - 99, "viewed.dst goes out of the range"),
        ("viewed.dst", None, "no array viewed.dst"),
        ("viewed.time", lambda a: a[::-1], "viewed.time is not sorted"),
        ("viewed.time", lambda a: a + 30 * 86_400, "viewed.time reaches over the cut"),
        ("viewed.time", None, "no array viewed.time"),
        ("viewed.features", lambda a: a[:, :1], "viewed.features is float32"),
        ("viewed.features", lambda a: a * np.nan, "not finite"),
    ],
)
def test_stored_edges_that_cannot_be_are_found(tmp_path, name, change, match):
    """Catches a changed file that opens as if it were sound."""
    place = tmp_path / "out"
    build_dataset(with_edges(), place, options(encoder=NO_TEXT))
    arrays = load_arrays(place / layout.EDGES)
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    save_arrays(place / layout.EDGES, arrays)
    manifest = json.loads((place / layout.MANIFEST).read_text())
    manifest["files"][layout.EDGES] = sha256(place / layout.EDGES)
    manifest["hash"] = layout.dataset_hash(manifest)
    (place / layout.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=match):
        load_dataset(place)


def test_renamed_features_are_found(tmp_path):
    """Catches a manifest whose names are no longer those of the arrays."""
    place = tmp_path / "out"
    build_dataset(with_edges(), place, options(encoder=NO_TEXT))
    text = (place / layout.MANIFEST).read_text()
    (place / layout.MANIFEST).write_text(text.replace('"hours"', '"minutes"'))
    with pytest.raises(DataError, match="the manifest was changed"):
        load_dataset(place)
