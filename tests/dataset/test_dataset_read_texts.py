"""The texts behind stored vectors, from the tables again: the same, in the same order, or none."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from dataset_worlds import make_tables, options, vector_of

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.dataset import SplitOptions, build_dataset
from finrec_dgl.dataset.preprocessing import read_texts

SPLITS = [
    options(),
    options(SplitOptions(kind="last-out")),
    options(SplitOptions(kind="random", seed=3), k_core=2),
    options(user_ids="none"),
]


@pytest.mark.parametrize("chosen", SPLITS, ids=["dated", "last-out", "random-core", "no-ids"])
def test_the_texts_are_those_that_were_encoded(chosen, encoder, tmp_path):
    """Catches another order, a text from after the cut, or one that no vector is of."""
    tables = make_tables()
    dataset = build_dataset(tables, tmp_path / "data", chosen)
    texts = read_texts(dataset, tables)
    assert texts == encoder.seen
    assert len(texts) > 30
    vectors = np.stack([vector_of(text) for text in texts])
    np.testing.assert_allclose(vectors, dataset.vectors, atol=1e-3)


def test_hashed_ids_need_their_key_again(tmp_path, monkeypatch):
    """Catches the order of other pseudonyms, in which every user has another's text."""
    tables = make_tables()
    monkeypatch.setenv("FINREC_DGL_ID_KEY", "one secret")
    dataset = build_dataset(tables, tmp_path / "data", options(user_ids="hashed"))
    assert len(read_texts(dataset, tables)) == len(dataset.vectors)
    monkeypatch.setenv("FINREC_DGL_ID_KEY", "another secret")
    with pytest.raises(DataError, match="other users or items"):
        read_texts(dataset, tables)


def test_a_split_file_must_be_the_same(tmp_path):
    """Catches a data set that is split otherwise than it was."""
    tables = make_tables()
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"time_point": "2017-03-17", "test": {"u0": ["i1"]}}))
    chosen = options(SplitOptions(kind="given", split_file=str(split)))
    dataset = build_dataset(tables, tmp_path / "data", chosen)
    moved = split.rename(tmp_path / "moved.json")
    assert len(read_texts(dataset, tables, moved)) == len(dataset.vectors)
    with pytest.raises(UsageError, match=r"split file split\.json(.|\n)*--split-file"):
        read_texts(dataset, tables)
    moved.write_text(json.dumps({"time_point": "2017-03-18", "test": {"u0": ["i1"]}}))
    with pytest.raises(DataError, match="not the one that the data set was made with"):
        read_texts(dataset, tables, moved)
    with pytest.raises(DataError):
        read_texts(dataset, tables, tmp_path / "absent.json")


def test_other_tables_are_refused(tmp_path):
    """Catches vectors that would be given to other users, items or texts."""
    tables = make_tables()
    dataset = build_dataset(tables, tmp_path / "data", options())
    with pytest.raises(DataError, match="other users or items"):
        read_texts(dataset, make_tables(users=26))
    events = tables.interactions
    texts = pa.array(
        [
            None if text == events["text"][0].as_py() else text
            for text in events["text"].to_pylist()
        ],
        pa.string(),
    )
    at = events.column_names.index("text")
    less = dataclasses.replace(tables, interactions=events.set_column(at, "text", texts))
    first_text = events["text"].to_pylist()
    assert first_text.count(None) < texts.null_count
    with pytest.raises(DataError, match="other texts"):
        read_texts(dataset, less)
    users = tables.users.set_column(
        tables.users.column_names.index("about"),
        "about",
        pa.array(tables.users["about"].to_pylist()[::-1], pa.string()),
    )
    with pytest.raises(DataError, match="other texts"):
        read_texts(dataset, dataclasses.replace(tables, users=users))
