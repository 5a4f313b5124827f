"""Edge tables: found, typed, checked row by row, and refused where a relation cannot be made."""

from __future__ import annotations

import gzip
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables import ReadOptions, Tables, read_source

DROP = ReadOptions(on_bad_rows="drop")
WORLD = {
    "interactions.csv": "user_id,item_id,timestamp\nu1,a,100\nu2,b,200\nu3,a,300\n",
    "items.csv": "item_id,title\na,A\nb,B\nc,C\n",
    "users.csv": "user_id,segment\nu1,x\nu2,x\nu9,y\n",
    "ties.csv": "source_id,target_id,kind\nu1,u2,family\nu2,u3,pays-by\n",
}
HEAD = "source_user_id,target_item_id,timestamp,hours\n"
VIEWED = HEAD + "u1,b,2015-06-01,1.5\nu9,c,50,2\nu1,b,60,-3e2\n"
SIMILAR = "target_item_id\tscore\tsource_item_id\nb\t0.5\ta\n"


def test_two_edge_tables_are_read_typed_and_whole(folder):
    """Catches ends, times or features that are lost, mixed up or of another type."""
    files = {"edges/viewed.csv.gz": gzip.compress(VIEWED.encode()), "edges/similar.tsv": SIMILAR}
    tables = read_source(folder({**WORLD, **files, "edges/.listing": "x"}))
    assert list(tables.edges) == ["similar", "viewed"]
    assert tables.edges["viewed"].to_pydict() == {
        "source_user_id": ["u1", "u9", "u1"],
        "target_item_id": ["b", "c", "b"],
        "timestamp": [1433116800, 50, 60],
        "hours": [1.5, 2.0, -300.0],
    }
    similar = tables.edges["similar"]
    assert similar.to_pydict() == {
        "source_item_id": ["a"],
        "target_item_id": ["b"],
        "score": [0.5],
    }
    assert similar.schema.field("score").type == pa.float64()
    assert tables.dropped == {}


def test_edges_may_come_as_parquet_with_typed_columns(folder):
    """Catches typed times, whole-number ids and decimals that only text has a way for."""
    path = folder({"interactions.csv": "user_id,item_id\n1,7\n2,8\n", "edges/x": ""})
    (path / "edges/x").unlink()
    columns = {
        "source_user_id": pa.array([1, 2]),
        "target_user_id": pa.array([2, 1]),
        "timestamp": pa.array([0, 86400], pa.timestamp("s")),
        "amount": pa.array([Decimal("1.25"), Decimal("2")], pa.decimal128(9, 2)),
    }
    pq.write_table(pa.table(columns), path / "edges/paid.parquet")
    paid = read_source(path).edges["paid"]
    assert paid.to_pydict() == {
        "source_user_id": ["1", "2"],
        "target_user_id": ["2", "1"],
        "timestamp": [0, 86400],
        "amount": [1.25, 2.0],
    }


BAD_ROWS = [
    (",b,5,1", "source_user_id empty", "source_user_id is empty"),
    ("u1,,5,1", "target_item_id empty", "target_item_id is empty"),
    ("u1,b,soon,1", "timestamp not a date", "'soon' is not a date"),
    ("u1,b,,1", "timestamp empty", "timestamp is empty"),
    ("u1,b,9999-12-31,1", "timestamp out of range", "out of range"),
    ("u1,b,5,", "hours empty", "hours is empty"),
    ("u1,b,5,long", "hours not a number", "'long' is not a number"),
    ("u1,b,5,nan", "hours not finite", "'nan' is not finite"),
    ("u1,b,5,1e39", "hours not finite", "'1e39' is not finite"),
    ("u77,b,5,1", "source_user_id not a known user", "'u77' is not a known user"),
    ("u1,zz,5,1", "target_item_id not a known item", "'zz' is not a known item"),
    ("u1,b,5", "wrong number of fields", "row 3 has 3 fields"),
]


@pytest.mark.parametrize(("row", "reason", "words"), BAD_ROWS)
def test_a_bad_edge_is_named_with_its_row_or_counted(folder, refused, row, reason, words):
    """Catches an edge that is passed over in silence, or named with another row."""
    path = folder({**WORLD, "edges/viewed.csv": f"{HEAD}u1,b,5,1\n{row}\nu2,a,6,2\n"})
    error = refused(path)
    assert words in error.found
    assert "edges/viewed.csv, row 3" in error.where
    assert error.expected
    assert "--on-bad-rows drop" in error.mend
    tables = read_source(path, options=DROP)
    assert tables.edges["viewed"]["source_user_id"].to_pylist() == ["u1", "u2"]
    assert tables.dropped == {f"edges viewed: {reason}": 1}


def test_without_profiles_some_end_must_be_in_the_interactions(folder, refused):
    """Catches ids that are written differently, and edges that bring in nobody to be refused."""
    files = {"interactions.csv": WORLD["interactions.csv"]}
    bad = "source_user_id,target_item_id\n01,a\n"
    error = refused(folder({**files, "edges/viewed.csv": bad}))
    assert "no source_user_id of the table edges viewed occurs" in error.found
    path = folder({**files, "edges/viewed.csv": bad + "u1,a\n"})
    assert read_source(path).edges["viewed"].num_rows == 2


BAD_FILES = [
    (
        {"edges/viewed.csv": "source_id,target_item_id\nu1,a\n"},
        ("no column for the source", "rename source_id by what it names", "source_item_id"),
    ),
    (
        {"edges/viewed.csv": "source_user_id,source_item_id,target_item_id\nu1,a,b\n"},
        ("two columns for the source", "remove one"),
    ),
    (
        {"edges/viewed.csv": "source_user_id,item\nu1,a\n"},
        ("no column for the target", "it now reads 'source_user_id', 'item'"),
    ),
    ({"edges/viewed.csv": "source_user_id;target_item_id\nu1;a\n"}, ("by semicolons", "commas")),
    ({"edges/viewed.csv": HEAD}, ("edges viewed table has no rows", "remove the file")),
    ({"edges/viewed.csv": ""}, ("viewed.csv is empty",)),
    (
        {"edges/viewed.csv": HEAD.replace("timestamp", "timestmp") + "u1,a,5,1\n"},
        ("did you mean 'timestamp'",),
    ),
    (
        {"edges/viewed.csv": HEAD.replace("timestamp", "date") + "u1,a,5,1\n"},
        ("column 'date' but none named 'timestamp'", "the time of an edge"),
    ),
    (
        {"edges/viewed.csv": HEAD + "u1,a,20150601,1\n"},
        ("days without dashes", "2015-06-01"),
    ),
    (
        {"edges/viewed.csv": VIEWED, "edges/viewed.tsv": VIEWED.replace(",", "\t")},
        ("2 files for viewed", "viewed.csv, viewed.tsv"),
    ),
    ({"edges/interacts.csv": VIEWED}, ("'interacts' has the name of another relation",)),
    ({"edges/interacted-by.csv": VIEWED}, ("name of another relation",)),
    ({"edges/family.csv": VIEWED}, ("'family' has the name of another relation", "rename")),
    ({"edges/family-by.csv": VIEWED}, ("'family-by' has the name of another relation",)),
    ({"edges/pays.csv": VIEWED}, ("'pays' has the name of another relation",)),
    (
        {"edges/viewed.csv": VIEWED, "edges/viewed-by.csv": VIEWED},
        ("'viewed-by' has the name of another relation",),
    ),
    ({"edges/has viewed.csv": VIEWED}, ("'has viewed'", "no relation can have", "letters")),
    ({"edges/v.1.csv": VIEWED}, ("'v.1'", "no relation can have")),
    ({"edges/viewed.xlsx": "x"}, ("viewed.xlsx is no edge table", "export it as CSV")),
    ({"edges_viewed.csv": VIEWED}, ("file edges_viewed.csv beside", "move it to edges/")),
    ({"edge/viewed.csv": VIEWED}, ("folder edge", "rename it to edges")),
    ({"edges": "x"}, ("edges is a file",)),
]


@pytest.mark.parametrize(("files", "words"), BAD_FILES)
def test_a_file_that_makes_no_relation_is_refused(folder, refused, files, words):
    """Catches an edge table that is guessed at or passed over, and errors without a way out."""
    error = refused(folder({**WORLD, **files}))
    assert error.where
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"weight": pa.array([True])}, ("weight", "bool", "numbers")),
        ({"weight": pa.array([[1]])}, ("weight", "list", "numbers")),
        ({"weight": pa.array([float("nan")])}, ("weight", "not finite", "row 1")),
        ({"weight": pa.array([None], pa.float64())}, ("weight", "empty", "row 1")),
    ],
)
def test_parquet_features_that_are_no_numbers_are_refused(folder, refused, columns, words):
    """Catches typed columns that slip past the checks of text."""
    path = folder({**WORLD, "edges/x": ""})
    (path / "edges/x").unlink()
    ends = {"source_user_id": ["u1"], "target_item_id": ["a"]}
    pq.write_table(pa.table({**ends, **columns}), path / "edges/viewed.parquet")
    message = str(refused(path))
    for word in words:
        assert word in message


def test_other_formats_do_not_pass_over_edges(folder, refused):
    """Catches edge tables beside a known source, which nothing would read."""
    files = {
        "transactions.csv": "customerID,ISIN,timestamp,transactionType\nu,a,2018-01-01,Buy\n",
        "edges/viewed.csv": VIEWED,
    }
    error = refused(folder(files))
    assert "the format fartrans has no edge tables" in error.found


EDGE = {"source_user_id": ["u"], "target_item_id": ["a"], "hours": [1.0]}


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ({"viewed": "none"}, "edges viewed is str, expected a pyarrow.Table"),
        ({"viewed": pa.table({**EDGE, "hours": ["1"]})}, "edges viewed.hours is string"),
        ({"viewed": pa.table(EDGE).slice(1)}, "edges viewed has no rows"),
        ({"viewed": pa.table({**EDGE, "hours": [float("inf")]})}, "not finite"),
        ({"viewed": pa.table({**EDGE, "target_item_id": [""]})}, "target_item_id '' is empty"),
        ({"viewed": pa.table({**EDGE, "target_item_id": ["z"]})}, "not a known item"),
        ({"viewed": pa.table({"hours": [1.0]})}, "no column for the source"),
        ({"interacts": pa.table(EDGE)}, "the name of another relation"),
    ],
)
def test_edges_in_memory_check_themselves(edges, words):
    """Catches tables that no reader made and nobody checked."""
    interactions = pa.table({"user_id": ["u"], "item_id": ["a"]})
    items = pa.table({"item_id": ["a"]})
    with pytest.raises(DataError) as caught:
        Tables(interactions, items, edges=edges)
    assert words in str(caught.value)
    assert "--on-bad-rows" not in str(caught.value)
