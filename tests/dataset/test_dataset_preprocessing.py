"""Making a data set: what is kept, counted and written, and what is left when it fails."""

from __future__ import annotations

import dataclasses
import errno
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_worlds import (
    CUT,
    DATES,
    NO_TEXT,
    VALID_CUT,
    day,
    interactions,
    make_tables,
    named_pairs,
    options,
    vector_of,
)

from finrec_dgl.base.config import from_mapping
from finrec_dgl.base.errors import ConfigError, DataError, FinrecError, UsageError
from finrec_dgl.base.files import load_arrays
from finrec_dgl.dataset import (
    PreprocessOptions,
    SplitOptions,
    build_dataset,
    layout,
    load_dataset,
    preprocess,
)
from finrec_dgl.tables import GivenSplit, Tables


def test_known_before_the_cut(tmp_path):
    """Catches nodes known by the future, nodes left out that were known, and wrong counts."""
    events = interactions(
        [("u1", "i1", 1), ("u2", "i2", 61), ("u3", "i3", 80), ("u1", "i2", 80)]
        + [("u1", "i4", 81), ("u4", "i1", 82), ("u9", "i1", 83)]
    )
    items = pa.table(
        {"item_id": ["i4", "i5", "i1"], "timestamp": pa.array([None, day(90), day(2)], pa.int64())}
    )
    users = pa.table(
        {
            "user_id": ["u4", "u5", "u1", "u6", "u3"],
            "timestamp": pa.array([day(70), day(76), day(1), None, day(80)], pa.int64()),
        }
    )
    ties = pa.table(
        {
            "source_id": ["u1", "u1", "u2", "u1", "u2"],
            "target_id": ["u3", "u5", "u2", "u2", "u1"],
            "kind": ["a", "a", "a", "a", "b"],
            "timestamp": [day(74), day(75), day(3), day(9), day(8)],
        }
    )
    dataset = build_dataset(
        Tables(events, items=items, users=users, ties=ties), tmp_path / "out", options()
    )
    assert dataset.user_ids.to_pylist() == ["u1", "u2", "u3", "u4", "u6"]
    assert dataset.item_ids.to_pylist() == ["i1", "i2", "i4"]
    assert named_pairs(dataset, dataset.targets("test")) == {
        ("u1", "i2"),
        ("u1", "i4"),
        ("u4", "i1"),
    }
    dropped = dataset.manifest["dropped"]
    assert dropped == {
        "items table: rows from the cut on": 1,
        "test pairs: of unknown items": 1,
        "test pairs: of unknown users": 1,
        "ties: from the cut on": 1,
        "ties: of users with themselves": 1,
        "users table: rows from the cut on": 2,
        "validation pairs: of items that are no candidates by then": 1,
    }
    assert len(dataset.targets("valid")) == 0
    assert dataset.manifest["counts"]["ties"] == {"a": 2, "b": 1}


def test_validation_asks_only_for_what_was_known_by_then(tmp_path):
    """Catches validation of newcomers, whom the test never asks for either."""
    events = interactions(
        [("u1", "i1", 1), ("u1", "i2", 62), ("u2", "i1", 63), ("u1", "i3", 64), ("u3", "i1", 65)]
        + [("u1", "i4", 66), ("u1", "i3", 80)]
    )
    users = pa.table(
        {
            "user_id": ["u3", "u1", "u2"],
            "timestamp": pa.array([day(59), None, day(61)], pa.int64()),
        }
    )
    items = pa.table({"item_id": ["i2", "i3"], "timestamp": pa.array([None, day(61)], pa.int64())})
    dataset = build_dataset(
        Tables(events, items=items, users=users), tmp_path / "out", options(encoder=NO_TEXT)
    )
    assert named_pairs(dataset, dataset.targets("valid")) == {("u1", "i2"), ("u3", "i1")}
    known = np.array(dataset.item_ids.to_pylist())[dataset.candidates("valid")]
    assert known.tolist() == ["i1", "i2"]
    assert dataset.candidates("test").all()
    dropped = dataset.manifest["dropped"]
    assert dropped["validation pairs: of users not known by then"] == 1
    assert dropped["validation pairs: of items that are no candidates by then"] == 2
    assert dropped["test pairs: already held"] == 1


def test_a_given_split_by_date(tmp_path):
    """Catches a given test that is not taken as it is, candidates lost, or its users in valid."""
    events = interactions(
        [("u1", "i1", 1), ("u2", "i1", 2), ("u1", "i2", 62), ("u3", "i2", 63), ("u1", "i3", 64)]
        + [("u2", "i2", 90), ("u1", "i4", 90)]
    )
    test = pa.table({"user_id": ["u2", "u1", "u1", "u8"], "item_id": ["i2", "i9", "i1", "i1"]})
    given = GivenSplit(test, ("i1", "i2", "i9"), CUT, day(100))
    dataset = build_dataset(
        Tables(events, given=given),
        tmp_path / "out",
        options(split=SplitOptions(valid_cut=DATES.valid_cut)),
    )
    assert dataset.manifest["split"]["kind"] == "given"
    assert (dataset.valid_cut, dataset.cut, dataset.test_end) == (VALID_CUT, CUT, day(100))
    assert dataset.item_ids.to_pylist() == ["i1", "i2", "i3", "i9"]
    assert dataset.candidates("test").tolist() == [True, True, False, True]
    assert dataset.candidates("valid").tolist() == [True, True, False, True]
    assert named_pairs(dataset, dataset.targets("test")) == {("u2", "i2"), ("u1", "i9")}
    assert named_pairs(dataset, dataset.targets("valid")) == {("u1", "i2")}
    dropped = dataset.manifest["dropped"]
    assert dropped["test pairs: already held"] == 1
    assert dropped["test pairs: of unknown users"] == 1
    assert dropped["interactions: from the cut on"] == 2
    assert len(dataset.as_of(day(62)).pairs) == 2


def test_a_given_split_without_dates(tmp_path):
    """Catches test pairs that are learnt from because the interactions hold them too."""
    rows = [(f"u{u}", f"i{i}") for u in range(5) for i in range(6)]
    test = pa.table({"user_id": ["u1", "u1", "u2"], "item_id": ["i1", "i7", "i2"]})
    dataset = build_dataset(
        Tables(interactions(rows), given=GivenSplit(test)),
        tmp_path / "out",
        options(split=SplitOptions(valid_share=0.3)),
    )
    assert named_pairs(dataset, dataset.targets("test")) == {("u1", "i1"), ("u2", "i2")}
    fit = named_pairs(dataset, dataset.snapshot("fit").pairs)
    assert fit == set(rows) - {("u1", "i1"), ("u2", "i2")}
    assert dataset.manifest["dropped"]["interactions: pairs of the given test"] == 2
    assert 5 <= len(dataset.targets("valid")) <= 15
    with pytest.raises(UsageError, match="valid_cut does not go with"):
        build_dataset(
            Tables(interactions(rows), given=GivenSplit(test)),
            tmp_path / "other",
            options(split=SplitOptions(kind="given", valid_cut="2020-01-01")),
        )
    with pytest.raises(UsageError, match="none came with the data"):
        build_dataset(
            Tables(interactions(rows)),
            tmp_path / "other",
            options(split=SplitOptions(kind="given")),
        )


def test_a_split_file_is_read_and_named(tmp_path):
    """Catches a split file that is not used, or of which the manifest keeps the place."""
    file = tmp_path / "split.json"
    file.write_text(
        json.dumps(
            {"time_point": "2017-03-17", "test": {"u1": ["i2"]}, "eligible_assets": ["i1", "i2"]}
        )
    )
    events = interactions([("u1", "i1", 1), ("u2", "i2", 30), ("u2", "i1", 60), ("u1", "i2", 90)])
    dataset = build_dataset(
        Tables(events), tmp_path / "out", options(split=SplitOptions(split_file=str(file)))
    )
    assert dataset.cut == day(75)
    assert named_pairs(dataset, dataset.targets("test")) == {("u1", "i2")}
    assert dataset.manifest["options"]["split"]["split_file"] == "split.json"
    assert len(dataset.manifest["split"]["file_sha256"]) == 64
    assert str(tmp_path) not in (tmp_path / "out" / layout.MANIFEST).read_text()


def test_last_out_from_end_to_end(tmp_path):
    """Catches dates that cut a split which is not by date."""
    events = interactions(
        [("u1", "i1", 1), ("u1", "i2", 95), ("u1", "i1", 96), ("u1", "i3", 97), ("u2", "i3", 99)]
        + [("u2", "i2", 99)]
    )
    dataset = build_dataset(
        Tables(events), tmp_path / "out", options(split=SplitOptions(kind="last-out"))
    )
    assert named_pairs(dataset, dataset.snapshot("train").pairs) == {
        ("u1", "i1"),
        ("u2", "i2"),
        ("u2", "i3"),
    }
    assert named_pairs(dataset, dataset.targets("valid")) == {("u1", "i2")}
    assert named_pairs(dataset, dataset.targets("test")) == {("u1", "i3")}
    assert dataset.cut is None
    assert dataset.snapshot("fit").time == day(99) + 1
    assert dataset.snapshot("fit").count.tolist() == [2, 1, 1, 1]
    with pytest.raises(DataError, match="split by date"):
        dataset.as_of(day(50))


def test_repeated_rows_are_events_of_one_pair(tmp_path):
    """Catches duplicates that become several edges, or are lost from the count."""
    events = interactions(
        [("u1", "i1", 1)] * 3 + [("u1", "i1", 61), ("u1", "i2", 62), ("u2", "i1", 80)]
    )
    dataset = build_dataset(Tables(events), tmp_path / "out", options())
    fit = dataset.snapshot("fit")
    assert len(fit.pairs) == 2
    assert fit.count.tolist() == [4, 1]
    assert len(dataset.targets("valid")) == 0  # i2 was not known by then
    assert fit.graph().num_edges("interacts") == 2


def test_events_are_sorted_and_keep_their_columns(tmp_path):
    """Catches weights, times or texts that stay behind when events are put in order."""
    tables = make_tables(seed=4)
    dataset = build_dataset(tables, tmp_path / "out", options())
    events = dataset.interactions
    assert np.all(np.diff(events.time) >= 0)
    users, items = dataset.user_ids.to_pylist(), dataset.item_ids.to_pylist()
    found = [
        (users[u], items[i], t, np.float32(w), None if x < 0 else dataset.vectors[x].tobytes())
        for u, i, t, w, x in zip(
            events.user, events.item, events.time, events.weight, events.text, strict=True
        )
    ]
    expected = [
        (
            row["user_id"],
            row["item_id"],
            row["timestamp"],
            np.float32(row["weight"]),
            None if row["text"] is None else vector_of(row["text"]).astype(np.float16).tobytes(),
        )
        for row in tables.interactions.to_pylist()
        if row["timestamp"] < CUT
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_weights_beyond_float32_stay_finite(tmp_path):
    """Catches a warning and an infinite weight."""
    events = interactions([("u1", "i1", 1), ("u1", "i2", 61), ("u1", "i3", 80)])
    events = events.append_column("weight", pa.array([1e300, 2.0, 3.0]))
    dataset = build_dataset(Tables(events), tmp_path / "out", options())
    assert np.isfinite(dataset.interactions.weight).all()


def test_ties_are_told_once_at_their_earliest(tmp_path):
    """Catches a tie that is older than its last repeat being forgotten at earlier moments."""
    events = interactions([("a", "x", 1), ("b", "x", 61), ("a", "y", 80)])
    ties = pa.table(
        {
            "source_id": ["a", "a", "b", "a"],
            "target_id": ["b", "b", "a", "b"],
            "kind": ["k", "k", "k", "other"],
            "timestamp": [day(40), day(10), day(50), day(60)],
        }
    )
    dataset = build_dataset(Tables(events, ties=ties), tmp_path / "out", options())
    assert dataset.ties.time.tolist() == [day(10), day(50), day(60)]
    early = dataset.as_of(day(30)).ties
    assert [one.tolist() for one in early["k"]] == [[0], [1]]
    assert [one.tolist() for one in early["other"]] == [[], []]
    assert set(dataset.as_of(day(10)).graph().canonical_etypes) == set(
        dataset.snapshot("fit").graph().canonical_etypes
    )


def test_undated_ties_hold_always(tmp_path):
    """Catches ties without dates that are lost, or that fail."""
    events = interactions([("a", "x", 1), ("b", "x", 61), ("a", "y", 80)])
    ties = pa.table({"source_id": ["a"], "target_id": ["c"], "kind": ["k"]})
    dataset = build_dataset(Tables(events, ties=ties), tmp_path / "out", options())
    assert len(dataset.as_of(day(2)).ties["k"][0]) == 1
    assert dataset.user_ids.to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize("kinds", [["interacts"], ["knows", "knows-by"]])
def test_kinds_that_name_other_relations_are_refused(tmp_path, kinds):
    """Catches two relations of one name, which DGL would merge or refuse in its own words."""
    events = interactions([("a", "x", 1), ("b", "x", 61), ("a", "y", 80)])
    ties = pa.table(
        {"source_id": ["a"] * len(kinds), "target_id": ["b"] * len(kinds), "kind": kinds}
    )
    with pytest.raises(DataError, match="the name of another relation"):
        build_dataset(Tables(events, ties=ties), tmp_path / "out", options())
    assert not (tmp_path / "out").exists()


def test_it_is_the_same_each_time(tmp_path):
    """Catches anything that differs from run to run, but for the date of making."""
    tables = make_tables()
    one = build_dataset(tables, tmp_path / "a", options(), source="here")
    two = build_dataset(tables, tmp_path / "b", options(cache="/nowhere"), source="here")
    assert one.hash == two.hash
    for name in layout.FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    manifests = [{**each.manifest, "created": "", "files": ""} for each in (one, two)]
    assert manifests[0] == manifests[1]


@pytest.mark.parametrize(
    "change",
    [
        {"k_core": 2},
        {"split": dataclasses.replace(DATES, valid_cut="2017-02-20")},
        {"encoder": NO_TEXT},
        {"user_ids": "none"},
    ],
)
def test_another_data_set_has_another_hash(tmp_path, change):
    """Catches options or contents that are not in the hash."""
    tables = make_tables()
    one = build_dataset(tables, tmp_path / "a", options())
    two = build_dataset(tables, tmp_path / "b", dataclasses.replace(options(), **change))
    assert one.hash != two.hash


def test_the_options_in_the_manifest_make_it_again(tmp_path):
    """Catches an option that is not recorded, or in a form that cannot be read back."""
    asked = options(
        split=SplitOptions(kind="random", seed=7, test_share=0.3), k_core=2, encoder=NO_TEXT
    )
    first = build_dataset(make_tables(), tmp_path / "a", asked)
    again = from_mapping(PreprocessOptions, first.manifest["options"])
    assert again == asked
    assert build_dataset(make_tables(), tmp_path / "b", again).hash == first.hash
    later = dataclasses.replace(asked, split=dataclasses.replace(asked.split, seed=8))
    assert build_dataset(make_tables(), tmp_path / "c", later).hash != first.hash


def test_half_precision_costs_nothing(tmp_path, encoder):
    """Catches vectors that lose their direction: the cosine must stay within 1e-6 of 1."""
    dataset = build_dataset(make_tables(), tmp_path / "out", options())
    assert dataset.vectors.dtype == np.float16
    assert len(dataset.vectors) == len(encoder.seen) == len(set(encoder.seen))
    exact = np.stack([vector_of(text) for text in encoder.seen])
    stored = dataset.vectors.astype(np.float32)
    cosine = (exact * stored).sum(axis=1) / np.linalg.norm(stored, axis=1)
    assert cosine.min() > 1 - 1e-6


@pytest.mark.parametrize("scale", [1e6, 1e-7])
def test_vectors_too_large_or_small_for_half_precision_stay(tmp_path, encoder, scale):
    """Catches infinities or zeros out of an encoder that does not normalise."""
    encoder.scale = scale
    dataset = build_dataset(make_tables(), tmp_path / "out", options())
    assert dataset.vectors.dtype == np.float32
    assert np.isfinite(dataset.vectors).all()


def test_an_encoder_that_fails_leaves_nothing(tmp_path, encoder):
    """Catches NaN vectors on disk."""
    encoder.scale = np.nan
    with pytest.raises(DataError, match="not finite"):
        build_dataset(make_tables(), tmp_path / "out", options())
    assert list(tmp_path.iterdir()) == []


def test_without_an_encoder_there_are_no_vectors(tmp_path, encoder):
    """Catches the loading of a model that is not asked for."""
    dataset = build_dataset(make_tables(), tmp_path / "out", options(encoder=NO_TEXT))
    assert encoder.seen == []
    assert dataset.vectors.shape == (0, 0)
    fit = dataset.snapshot("fit")
    assert fit.user_text.shape == (fit.n_users, 0)
    assert fit.item_text.shape == (fit.n_items, 0)
    assert not fit.user_text_from.any()


def test_titles_are_those_of_the_cut(tmp_path):
    """Catches a later name of a product, and products without a name that have none at all."""
    events = interactions([("a", "x", 1), ("a", "y", 61), ("a", "z", 62), ("b", "y", 80)])
    items = pa.table(
        {
            "item_id": ["x", "x", "x", "y"],
            "timestamp": [day(1), day(50), day(90), day(1)],
            "name": ["old", "new", "future", " "],
            "sector": ["s", None, "t", "u"],
        }
    )
    tables = Tables(events, items=items, item_categories=("sector",), item_title="name")
    dataset = build_dataset(tables, tmp_path / "out", options())
    assert dataset.item_titles.to_pylist() == ["new", "y", "z"]
    shown = pq.read_table(tmp_path / "out" / layout.ITEMS).to_pylist()
    assert shown[0] == {"id": "x", "title": "new", "category.sector": None}
    assert dataset.item_category_names == {"sector": ("s", "u")}
    assert dataset.snapshot("fit").item_categories["sector"].tolist() == [-1, 1, -1]
    assert dataset.as_of(day(20)).item_categories["sector"].tolist() == [0, 1, -1]


@pytest.mark.parametrize("call", ["fsync", "replace", "rename"])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, call):
    """Catches half a data set, and another error than the one that says so."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(FinrecError, match="No space left") as error:
        build_dataset(make_tables(), tmp_path / "out", options())
    monkeypatch.undo()
    assert error.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_data_set_of_before(tmp_path, monkeypatch):
    """Catches an overwrite that destroys first and writes then."""
    first = build_dataset(make_tables(), tmp_path / "out", options())
    monkeypatch.setattr(pq, "write_table", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(FinrecError, match="full"):
        build_dataset(make_tables(seed=1), tmp_path / "out", options(), overwrite=True)
    assert load_dataset(tmp_path / "out").hash == first.hash
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_what_is_in_the_way_stays(tmp_path, encoder):
    """Catches somebody's files deleted, and hours of encoding before they are found in the way."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="holds other files"):
            build_dataset(make_tables(), tmp_path / "mine", options(), overwrite=overwrite)
    (tmp_path / "file").write_text("keep")
    with pytest.raises(UsageError, match="a file, not a folder"):
        preprocess(tmp_path / "no source", tmp_path / "file", options())
    assert encoder.seen == []
    build_dataset(make_tables(), tmp_path / "out", options())
    with pytest.raises(UsageError, match="--overwrite"):
        build_dataset(make_tables(), tmp_path / "out", options())
    other = build_dataset(make_tables(seed=1), tmp_path / "out", options(), overwrite=True)
    assert load_dataset(tmp_path / "out").hash == other.hash


def test_preprocess_reads_and_names_its_source(tmp_path):
    """Catches a manifest that tells where on a machine the tables were."""
    source = tmp_path / "tables"
    source.mkdir()
    events = interactions([("a", "x", 1), ("b", "x", 61), ("a", "y", 62), ("b", "y", 80)])
    pq.write_table(events, source / "interactions.parquet")
    dataset = preprocess(source, tmp_path / "out", options(encoder=NO_TEXT))
    assert dataset.manifest["source"]["name"] == "tables"
    assert dataset.manifest["source"]["format"] == "tables"
    assert str(tmp_path) not in (tmp_path / "out" / layout.MANIFEST).read_text()


def test_options_name_every_problem():
    """Catches a misspelt choice that is taken for the default."""
    with pytest.raises(ConfigError, match="format is 'cvs'.*user_ids is 'hash'.*k_core is -1"):
        PreprocessOptions(format="cvs", user_ids="hash", k_core=-1)


def test_an_empty_core_is_an_error(tmp_path):
    """Catches a data set without nodes."""
    with pytest.raises(DataError, match="99-core"):
        build_dataset(make_tables(), tmp_path / "out", options(k_core=99))


def test_candidates_out_of_the_core_are_none(tmp_path):
    """Catches candidates without a node."""
    rows = [(f"u{u}", f"i{i}", 10 * i + 1) for u in range(4) for i in range(7)]
    test = pa.table({"user_id": ["u1"], "item_id": ["i8"]})
    given = GivenSplit(test, ("i1", "i8"), CUT, None)
    dataset = build_dataset(
        Tables(interactions([*rows, ("u1", "i9", 5)]), given=given),
        tmp_path / "out",
        options(split=SplitOptions(valid_cut=DATES.valid_cut), k_core=2),
    )
    assert dataset.item_ids.to_pylist() == [f"i{i}" for i in range(7)]
    assert np.flatnonzero(dataset.candidates("test")).tolist() == [1]
    assert dataset.manifest["dropped"]["test pairs: of unknown items"] == 1


def test_the_stored_arrays_are_those_of_the_format(tmp_path):
    """Catches a type or a name on disk that differs from the documented one."""
    build_dataset(make_tables(), tmp_path / "out", options())
    types = {
        name: {key: array.dtype.name for key, array in load_arrays(tmp_path / "out" / name).items()}
        for name in layout.FILES
        if name.endswith(".safetensors")
    }
    profile = {"node": "int32", "time": "int64", "text": "int32"}
    assert types == {
        layout.INTERACTIONS: {
            "user": "int32",
            "item": "int32",
            "time": "int64",
            "weight": "float32",
            "text": "int32",
            "valid": "bool",
        },
        layout.TIES: {"source": "int32", "target": "int32", "kind": "int16", "time": "int64"},
        layout.EDGES: {},
        layout.PROFILES: {
            **{
                f"{side}_{name}": kind
                for side in ("item", "user")
                for name, kind in profile.items()
            },
            "item_category.kind": "int32",
            "user_category.kind": "int32",
            "item_number.size": "float32",
            "user_number.size": "float32",
        },
        layout.VECTORS: {"vectors": "float16"},
        layout.SPLITS: {
            **{
                f"{split}_{end}": "int32" for split in ("valid", "test") for end in ("user", "item")
            },
            "valid_candidates": "bool",
            "test_candidates": "bool",
        },
    }
