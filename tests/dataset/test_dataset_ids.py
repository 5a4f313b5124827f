"""The order of ids, their numbers, and pseudonyms that do not give them away."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pyarrow as pa
import pytest
from dataset_worlds import NO_TEXT, make_tables, named_pairs, options
from hypothesis import given
from hypothesis import strategies as st

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.dataset import build_dataset, load_dataset
from finrec_dgl.dataset.ids import KEY_VARIABLE, distinct, node_of, sort_ids

KEY = "a secret of ours"


@given(st.sets(st.text(min_size=1, max_size=4), max_size=12))
def test_ids_sort_by_code_point(ids):
    """Catches an order that depends on locale, hashing or rows, or digits other than ASCII's."""
    found = sort_ids(pa.array(sorted(ids, key=hash), pa.string())).to_pylist()
    if ids and all(set(one) <= set("0123456789") for one in ids):
        assert found == sorted(ids, key=lambda one: (int(one), one.lstrip("0"), one))
    else:
        assert found == sorted(ids)


@given(st.sets(st.text(alphabet="0123", min_size=1, max_size=25), min_size=1, max_size=12))
def test_decimal_ids_sort_by_number(ids):
    """Catches "10" before "9", and numbers too large for any integer of a machine."""
    found = sort_ids(pa.array(list(ids), pa.string())).to_pylist()
    assert [int(one) for one in found] == sorted(int(one) for one in ids)
    assert found == sort_ids(pa.array(list(ids)[::-1], pa.string())).to_pylist()


def test_numbers_of_ids():
    """Catches null or unknown ids that get a number, and chunks that lose their order."""
    ids = pa.array(["a", "b"])
    values = pa.chunked_array([["b", None], [], ["c", "a"]], pa.string())
    assert node_of(values, ids).tolist() == [1, -1, -1, 0]
    assert node_of(pa.chunked_array([], pa.string()), ids).tolist() == []
    assert distinct(values.drop_null(), pa.array(["z", "a"])).to_pylist() == ["b", "c", "a", "z"]


def contents(path) -> bytes:
    """All that the files hold, Parquet's pages decoded."""
    import pyarrow.parquet as pq

    found = b""
    for file in sorted(path.rglob("*")):
        if file.is_file():
            found += file.read_bytes()
        if file.suffix == ".parquet":
            found += repr(pq.read_table(file).to_pylist()).encode()
    return found


def test_hashed_ids_are_in_no_file(tmp_path, monkeypatch):
    """Catches an id, a text or the key on disk, and users that cannot be found again."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    tables = renamed(make_tables())
    dataset = build_dataset(tables, tmp_path / "out", options(user_ids="hashed"))
    plain = build_dataset(tables, tmp_path / "plain", options(user_ids="keep"))
    found = contents(tmp_path / "out")
    assert b"customer-" in contents(tmp_path / "plain")
    assert b"customer-" not in found
    assert KEY.encode() not in found
    for name in ("interactions", "users"):
        column = tables.interactions["text"] if name == "interactions" else tables.users["about"]
        words = [text for text in column.to_pylist() if text]
        assert not [text for text in words if f'"{text}"'.encode() in found]
    expected = hmac.new(KEY.encode(), b"customer-u3", hashlib.sha256).hexdigest()
    assert dataset.user_ids[dataset.user_index("customer-u3")].as_py() == expected
    assert dataset.user_index(expected) == dataset.user_index("customer-u3")
    ids = plain.user_ids
    order = dataset.user_indices(ids)
    assert np.array_equal(np.sort(order), np.arange(dataset.n_users))
    hashed = {(order[u], i) for u, i in zip(*both(plain), strict=True)}
    assert hashed == set(zip(*both(dataset), strict=True))
    assert dataset.user_ids.to_pylist() == sorted(dataset.user_ids.to_pylist())


def both(dataset):
    pairs = dataset.snapshot("fit").pairs
    return pairs.user.tolist(), pairs.item.tolist()


def renamed(tables):
    """Users whose ids cannot be in a file by chance."""
    import dataclasses

    def rename(table, *names):
        for name in names:
            ids = pa.array([f"customer-{one}" for one in table[name].to_pylist()])
            table = table.set_column(table.column_names.index(name), name, ids)
        return table

    return dataclasses.replace(
        tables,
        interactions=rename(tables.interactions, "user_id"),
        users=rename(tables.users, "user_id"),
        ties=rename(tables.ties, "source_id", "target_id"),
    )


def test_hashed_ids_need_their_key(tmp_path, monkeypatch):
    """Catches a key that is absent or wrong taken for an unknown user."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    asked = options(user_ids="hashed", encoder=NO_TEXT)
    with pytest.raises(UsageError, match="there is no key"):
        build_dataset(make_tables(), tmp_path / "out", asked)
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    dataset = build_dataset(make_tables(), tmp_path / "out", asked)
    with pytest.raises(DataError, match="unknown user"):
        dataset.user_index("nobody")
    monkeypatch.setenv(KEY_VARIABLE, "another")
    with pytest.raises(UsageError, match="is not the key"):
        load_dataset(tmp_path / "out").user_index("u3")
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(UsageError, match="there is no key"):
        dataset.user_index("u3")


def test_without_ids_users_are_their_numbers(tmp_path):
    """Catches ids in a data set that is to have none, and another graph than with them."""
    tables = renamed(make_tables())
    dataset = build_dataset(tables, tmp_path / "out", options(user_ids="none"))
    plain = build_dataset(tables, tmp_path / "plain", options())
    assert b"customer-" not in contents(tmp_path / "out")
    assert dataset.user_index("7") == 7
    assert both(dataset) == both(plain)
    with pytest.raises(DataError, match="give a node number"):
        dataset.user_index("customer-u3")


def test_unknown_ids_are_told(tmp_path):
    """Catches an id taken for another, and errors that list other customers."""
    dataset = build_dataset(make_tables(), tmp_path / "out", options(encoder=NO_TEXT))
    assert named_pairs(dataset, dataset.snapshot("fit").pairs)
    assert dataset.user_indices(["u1", "nobody", "u2"]).tolist() == [
        dataset.user_index("u1"),
        -1,
        dataset.user_index("u2"),
    ]
    assert dataset.item_indices(pa.chunked_array([["i1"], ["none"]])).tolist()[1] == -1
    assert dataset.item_ids[dataset.item_index("i1")].as_py() == "i1"
    with pytest.raises(DataError, match="unknown user 'U1'") as error:
        dataset.user_index("U1")
    assert "u1" not in str(error.value).replace("U1", "")
    with pytest.raises(DataError, match="unknown item"):
        dataset.item_index("")
    with pytest.raises(UsageError, match="not a string"):
        dataset.user_index(3)
