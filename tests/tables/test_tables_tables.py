"""The project's own form, read whole."""

from __future__ import annotations

from finrec_dgl.tables import read_source

FILES = {
    "interactions.csv": "user_id,item_id,timestamp,text,price\n01,a,100,good,5\n02,b,200,,6\n",
    "items.tsv": "item_id\ttitle\tsector\na\tFund A\tBonds\nc\tFund C\t\n",
    "users.csv": "user_id,timestamp,segment\n01,,retail\n01,150,private\n03,10,retail\n",
    "ties.csv": "source_id,target_id,kind\n01,02,\n02,03,follows\n",
}


def test_a_folder_of_four_tables_is_read_typed_and_whole(folder):
    tables = read_source(folder(FILES))
    assert tables.format == "tables"
    assert tables.interactions.to_pydict() == {
        "user_id": ["01", "02"],
        "item_id": ["a", "b"],
        "timestamp": [100, 200],
        "text": ["good", None],
    }
    assert tables.items.to_pydict() == {
        "item_id": ["a", "c"],
        "title": ["Fund A", "Fund C"],
        "sector": ["Bonds", None],
    }
    assert tables.users["timestamp"].to_pylist() == [None, 150, 10]
    assert tables.ties["kind"].to_pylist() == ["tie", "follows"]
    assert (tables.item_text, tables.item_categories) == (("title", "sector"), ("sector",))
    assert (tables.user_text, tables.user_categories) == (("segment",), ("segment",))
    assert tables.item_title == "title"
    assert tables.dropped == {}
    assert tables.given is None


def test_ties_without_kinds_are_all_of_one_kind(folder):
    tables = read_source(folder(FILES | {"ties.csv": "source_id,target_id\n01,02\n"}))
    assert tables.ties["kind"].to_pylist() == ["tie"]


def test_only_the_interactions_are_needed(folder):
    tables = read_source(folder({"interactions.csv": FILES["interactions.csv"]}))
    assert (tables.items, tables.users, tables.ties) == (None, None, None)
    assert (tables.item_text, tables.user_text, tables.item_title) == ((), (), None)


def test_repeated_interactions_are_events_of_their_own(folder):
    rows = "user_id,item_id\nu,a\nu,a\n"
    assert read_source(folder({"interactions.csv": rows})).interactions.num_rows == 2
