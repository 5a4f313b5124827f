"""What ``inspect`` prints, against counts by hand."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from dataset_worlds import NO_TEXT, day, interactions, make_tables, options

from finrec_dgl.dataset import SplitOptions, build_dataset, describe
from finrec_dgl.tables import Tables


def test_it_counts_what_there_is(tmp_path):
    """Catches numbers of other stages, of events for pairs, and cold nodes that are not told."""
    events = interactions(
        [("u1", "i1", 1), ("u1", "i1", 2), ("u2", "i1", 3), ("u1", "i2", 62), ("u3", "i1", 80)]
        + [("u2", "i3", 81), ("u2", "i2", 82), ("u9", "i1", 83)],
        ["a post", *[None] * 7],
    )
    users = pa.table({"user_id": ["u1", "u3"], "bio": ["x", "y"]})
    items = pa.table({"item_id": ["i1", "i2", "i3"], "name": ["A", None, "C"], "sector": ["s"] * 3})
    items = items.append_column("fee", pa.array(["1", "3", None]))
    ties = pa.table(
        {"source_id": ["u1"], "target_id": ["u2"], "kind": ["k"], "timestamp": [day(5)]}
    )
    tables = Tables(
        *(events, items, users, ties, ("name",), ("sector",), ("bio",), (), "name", ("fee",)),
        dropped={"bad": 3},
    )
    found = describe(build_dataset(tables, tmp_path / "out", options(), source="mine"))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["nodes"] == {"user": 3, "item": 3}
    assert found["edges"] == {"interacts": 3, "k": 1}
    assert found["interactions"]["events"] == 4
    assert found["interactions"]["density"] == pytest.approx(3 / 9)
    assert (found["interactions"]["first"], found["interactions"]["last"]) == (
        "2017-01-02",
        "2017-03-04",
    )
    assert found["degrees"]["user"]["without edges"] == 1
    assert found["degrees"]["item"]["max"] == 2
    assert found["popularity"]["top item"] == pytest.approx(2 / 3)
    assert found["popularity"]["top 10 items"] == 1
    assert found["text"]["user"] == {"from posts": 1, "from profile": 1, "none": 1}
    assert found["text"]["item"] == {"text": 2, "none": 1}
    assert found["categories"] == {"item": {"sector": 1}, "user": {}}
    fee = {"known": 2, "scaled over": 2, "scale": "as it is", "mean": 2.0, "sd": 1.0}
    assert found["numbers"] == {"item": {"fee": fee}, "user": {}}
    assert found["split"]["cut"] == "2017-03-17"
    assert found["valid"] == {
        "users": 1,
        "targets": 1,
        "candidates": 3,
        "cold users": 0,
        "cold items": 1,
        "targets of cold items": 1,
    }
    assert found["test"] == {
        "users": 2,
        "targets": 3,
        "candidates": 3,
        "cold users": 1,
        "cold items": 1,
        "targets of cold items": 1,
    }
    assert found["dropped"] == {"bad": 3, "test pairs: of unknown users": 1}


@pytest.mark.parametrize("dated", [True, False])
def test_it_tells_of_any_data_set(tmp_path, dated):
    """Catches a description that needs dates, text or ties."""
    split = SplitOptions(kind="random")
    tables = Tables(make_tables(dated=dated).interactions)
    found = describe(build_dataset(tables, tmp_path / "out", options(split=split, encoder=NO_TEXT)))
    assert (found["interactions"]["first"] is None) is not dated
    assert found["edges"].keys() == {"interacts"}
    assert found["text"]["dim"] == 0
