"""Opening a data set: what was changed, cut short or lost is found, and said in words."""

from __future__ import annotations

import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_worlds import CUT, DAY, NO_TEXT, START, day, make_tables, options

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.files import load_arrays, save_arrays, sha256
from finrec_dgl.dataset import build_dataset, layout, load_dataset
from finrec_dgl.tables import Tables


@pytest.fixture
def made(tmp_path):
    build_dataset(make_tables(), tmp_path / "out", options())
    return tmp_path / "out"


def test_it_opens_as_it_was_made(made):
    """Catches arrays that change on their way to the disk and back."""
    dataset = load_dataset(made)
    again = load_dataset(str(made), verify=False)
    assert dataset.hash == again.hash == json.loads((made / layout.MANIFEST).read_text())["hash"]
    assert dataset.n_users == len(dataset.user_ids) == 25
    assert np.array_equal(dataset.snapshot("fit").user_text, again.snapshot("fit").user_text)
    for name in ("stage", "split"):
        with pytest.raises(UsageError, match=f"{name} is"):
            dataset.snapshot("valid") if name == "stage" else dataset.targets("fit")


@pytest.mark.parametrize("name", layout.FILES)
@pytest.mark.parametrize("damage", ["missing", "truncated", "changed"])
def test_damaged_files_are_found(made, name, damage):
    """Catches a data set that opens though it is not what was made; and errors without a name."""
    file = made / name
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[-1] ^= 1
        file.write_bytes(data)
    with pytest.raises(DataError, match=name) as error:
        load_dataset(made)
    assert "make the data set again" in str(error.value)
    if name == layout.ITEM_IDS:
        return  # for people and other programs; not read here
    if damage != "changed":
        with pytest.raises(DataError, match=name.rsplit("/")[-1]):
            load_dataset(made, verify=False)


def test_a_changed_manifest_is_found(made):
    """Catches options or dates that are edited after the fact."""
    text = (made / layout.MANIFEST).read_text()
    (made / layout.MANIFEST).write_text(text.replace('"k_core": 0', '"k_core": 5'))
    with pytest.raises(DataError, match="the manifest was changed"):
        load_dataset(made)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"schema_version": layout.SCHEMA_VERSION + 1}, "newer finrec-dgl"),
        ({"schema_version": layout.SCHEMA_VERSION - 1}, "no longer read"),
        ({"schema_version": "one"}, "not the manifest of a data set"),
        ({"split": None, "drop": "split"}, "lacks split"),
        ({"files": {}}, "does not list the files"),
        ({"numbers": {"item": [], "user": ["size"]}}, "the manifest was changed"),
    ],
)
def test_other_manifests_are_refused(made, change, match):
    """Catches a data set of another version read as if it were of this one."""
    manifest = json.loads((made / layout.MANIFEST).read_text())
    manifest.update(change)
    manifest.pop(manifest.pop("drop", ""), None)
    (made / layout.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=match):
        load_dataset(made)


def test_what_is_no_data_set_is_told(tmp_path):
    """Catches a traceback for a mistyped folder."""
    with pytest.raises(DataError, match="does not exist"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no data set"):
        load_dataset(tmp_path)
    (tmp_path / layout.MANIFEST).write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        load_dataset(tmp_path)
    (tmp_path / layout.MANIFEST).write_text("[]")
    with pytest.raises(DataError, match="not the manifest"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("file", "name", "change", "match"),
    [
        (layout.INTERACTIONS, "user", lambda a: a + 1000, "user goes out of the range"),
        (layout.INTERACTIONS, "item", lambda a: a - 1, "item goes out of the range"),
        (layout.INTERACTIONS, "text", lambda a: a - 1, "text goes out of the range from -1"),
        (layout.INTERACTIONS, "time", lambda a: a[::-1], "time is not sorted"),
        (layout.INTERACTIONS, "time", lambda a: a + DAY * 30, "reaches over the cut"),
        (layout.INTERACTIONS, "time", None, "no array time"),
        (layout.INTERACTIONS, "user", lambda a: a.astype(np.int64), "user is int64"),
        (layout.TIES, "kind", lambda a: a + 1, "kind goes out of the range"),
        (layout.PROFILES, "user_node", lambda a: a[::-1], "user_node is not sorted"),
        (layout.PROFILES, "item_category.kind", lambda a: a + 9, "item_category.kind goes out"),
        (layout.PROFILES, "item_number.size", lambda a: a.astype(np.float64), "size is float64"),
        (layout.PROFILES, "user_number.size", None, "no array user_number.size"),
        (
            layout.PROFILES,
            "user_number.size",
            lambda a: a + np.float32(np.inf),
            "infinite in places",
        ),
        (layout.VECTORS, "vectors", lambda a: a * np.nan, "not finite"),
        (layout.VECTORS, "vectors", lambda a: a[1:], "expected"),
        (layout.SPLITS, "test_candidates", lambda a: a[1:], "test_candidates is bool"),
        (layout.SPLITS, "valid_item", lambda a: a[:-1], "valid_item is int32"),
    ],
)
def test_arrays_out_of_bounds_are_found(made, file, name, change, match):
    """Catches files that are whole, hash and all, but cannot be."""
    arrays = load_arrays(made / file)
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    save_arrays(made / file, arrays)
    manifest = json.loads((made / layout.MANIFEST).read_text())
    manifest["files"][file] = sha256(made / file)
    manifest["hash"] = layout.dataset_hash(manifest)
    (made / layout.MANIFEST).write_text(json.dumps(manifest))
    for verify in (True, False):
        with pytest.raises(DataError, match=match):
            load_dataset(made, verify=verify)


def test_ids_of_another_length_are_found(made):
    """Catches ids that belong to other nodes."""
    table = pq.read_table(made / layout.USER_IDS)
    pq.write_table(table.slice(1), made / layout.USER_IDS)
    with pytest.raises(DataError, match="24 users, the manifest says 25"):
        load_dataset(made, verify=False)


def test_a_moment_of_a_large_history_is_cheap(tmp_path):
    """Catches an as_of or a window that walks through all events in Python; 200,000 here."""
    rng = np.random.default_rng(0)
    size = 200_000

    def ids(name, count):
        codes = np.minimum(rng.geometric(3 / count, size), count - 1)
        return pa.array(codes).cast(pa.string())

    events = pa.table(
        {
            "user_id": ids("u", 30_000),
            "item_id": ids("i", 7_000),
            "timestamp": pa.array(START + rng.integers(0, 100 * DAY, size), pa.int64()),
        }
    )
    dataset = build_dataset(Tables(events), tmp_path / "out", options(encoder=NO_TEXT))
    took = []
    for number in range(3):
        start = time.process_time()
        dataset.as_of(CUT - number * DAY)
        dataset.window(day(40), day(60 + number))
        took.append(time.process_time() - start)
    assert min(took) < 0.4
