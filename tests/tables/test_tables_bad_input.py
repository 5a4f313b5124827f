"""Every kind of bad input: refused with its file, row, column and mend, or dropped and counted."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finrec_dgl.tables import ReadOptions, read_source

HEAD = "user_id,item_id,timestamp,weight\n"
GOOD = HEAD + "u1,a,100,1\nu2,b,200,2\n"
DROP = ReadOptions(on_bad_rows="drop")

# name, files, words that the error must hold
ONE_FILE = [
    ("empty file", b"", ["interactions.csv is empty", "export"]),
    ("blank lines only", b"\n\r\n\n", ["interactions.csv is empty"]),
    ("header only", HEAD, ["no rows", "interactions.csv"]),
    ("header only, no newline", HEAD.strip(), ["no rows"]),
    (
        "no header",
        "u1,a,100\nu2,b,200\n",
        ["no column 'user_id' nor 'item_id'", "row 1", "must name the columns", "'u1'"],
    ),
    (
        "missing column",
        "user,item_id\nu1,a\n",
        ["no column 'user_id'", "did you mean 'user'", "row 1"],
    ),
    ("column in other case", "User_ID,item_id\nu1,a\n", ["'user_id'", "did you mean 'User_ID'"]),
    ("space in header", "user_id, item_id\nu1,a\n", ["'item_id'", "did you mean ' item_id'"]),
    ("duplicate column", "user_id,item_id,item_id\nu1,a,b\n", ["two columns", "item_id", "row 1"]),
    ("unnamed column", ",user_id,item_id\n0,u1,a\n", ["column 1 has no name", "index=False"]),
    ("misspelt optional column", "user_id,item_id,timestmp\nu1,a,5\n", ["'timestmp'", "timestamp"]),
    ("time by another name", "user_id,item_id,date\nu1,a,5\n", ["'date'", "timestamp", "rename"]),
    ("semicolons", "user_id;item_id\nu1;a\n", ["semicolons", "commas", "row 1"]),
    ("tabs in csv", "user_id\titem_id\nu1\ta\n", ["tabs", "rename the file to .tsv"]),
    (
        "too many fields",
        HEAD + "u1,a,100,1\nu2,b,200,2,x\n",
        ["row 3 has 5 fields", "the header has 4", "between double quotes", "--on-bad-rows drop"],
    ),
    ("too few fields", HEAD + "u1,a,100,1\n\nu2,b\n", ["row 4 has 2 fields"]),
    (
        "empty user id",
        HEAD + "u1,a,100,1\n,b,200,2\n",
        ["user_id", "empty", "row 3", "column user_id", "interactions.csv", "fill it in"],
    ),
    ("quoted empty item id", HEAD + 'u1,"",100,1\n', ["item_id", "empty", "row 2"]),
    ("blank lines are counted", HEAD + "u1,a,1,1\n\n\n,b,1,1\n", ["row 5"]),
    (
        "not a date",
        HEAD + "u1,a,100,1\nu2,b,yesterday,2\nu3,b,tomorrow,2\n",
        ["timestamp 'yesterday' is not a date", "1 more row at fault", "row 3", "ISO 8601"],
    ),
    ("no such day", HEAD + "u1,a,2015-02-30,1\n", ["'2015-02-30' is not a date", "row 2"]),
    ("year 9999", HEAD + "u1,a,9999-12-31,1\n", ["out of range", "1900 to 2199", "row 2"]),
    ("microseconds", HEAD + "u1,a,1433116800000000,1\n", ["out of range", "divide micro"]),
    ("days without dashes", HEAD + "u1,a,20150601,1\n", ["20150601", "2015-06-01", "timestamp"]),
    ("a timestamp missing", HEAD + "u1,a,100,1\nu1,b,,1\n", ["timestamp", "empty", "row 3"]),
    ("weight no number", HEAD + "u1,a,1,heavy\n", ["weight 'heavy' is not a number", "row 2"]),
    ("decimal comma", HEAD + 'u1,a,1,"1,5"\n', ["'1,5' is not a number", "point for decimals"]),
    ("weight NaN", HEAD + "u1,a,1,1\nu1,b,1,nan\n", ["weight 'nan' is not finite", "row 3"]),
    ("weight infinite", HEAD + "u1,a,1,-inf\n", ["weight '-inf' is not finite", "row 2"]),
    ("weight negative", HEAD + "u1,a,1,-2\n", ["weight '-2' is negative", "row 2"]),
    (
        "not UTF-8",
        HEAD.encode() + b"u1,a,1,1\nu2,caf\xe9,1,1\n",
        ["item_id", "not UTF-8", "row 3", "column item_id", "save the file as UTF-8"],
    ),
    ("header not UTF-8", b"user_id,item_id,caf\xe9\nu1,a,b\n", ["not UTF-8", "row 1"]),
    ("UTF-16", "user_id,item_id\nu1,a\n".encode("utf-16"), ["not UTF-8", "UTF-16"]),
    ("quote never closed", 'user_id,item_id\nu1,a\nu2,"b\nu3,c\n', ["within a quoted value"]),
    ("gzip by another name", gzip.compress(GOOD.encode()), ["gzip data", "rename"]),
    ("Parquet by another name", b"PAR1....PAR1", ["Parquet", "rename"]),
]


@pytest.mark.parametrize(
    ("content", "words"), [one[1:] for one in ONE_FILE], ids=[one[0] for one in ONE_FILE]
)
def test_a_bad_interactions_file_is_refused_with_its_place_and_mend(
    folder, refused, content, words
):
    error = refused(folder({"interactions.csv": content}), format="tables")
    message = str(error)
    assert "interactions.csv" in message
    for word in words:
        assert word in message


# name, bad row, reason counted
DROPPABLE = [
    (",b,200,2", "interactions: user_id empty"),
    ("u2,,200,2", "interactions: item_id empty"),
    ("u2,b,never,2", "interactions: timestamp not a date"),
    ("u2,b,,2", "interactions: timestamp empty"),
    ("u2,b,9999-12-31,2", "interactions: timestamp out of range"),
    ("u2,b,200,much", "interactions: weight not a number"),
    ("u2,b,200,nan", "interactions: weight not finite"),
    ("u2,b,200,-1", "interactions: weight negative"),
    ("u2,b,200", "interactions: wrong number of fields"),
    ("u2,b,200,2,9", "interactions: wrong number of fields"),
]


@pytest.mark.parametrize(("row", "reason"), DROPPABLE)
def test_a_bad_row_is_dropped_and_counted_by_its_reason_when_asked(folder, row, reason):
    path = folder({"interactions.csv": f"{HEAD}u1,a,100,1\n{row}\nu3,c,300,3\n"})
    tables = read_source(path, options=DROP)
    assert tables.interactions["user_id"].to_pylist() == ["u1", "u3"]
    assert tables.dropped == {reason: 1}


def test_each_dropped_row_is_counted_once_and_under_its_first_reason(folder):
    rows = "u1,a,100,1\n,,never,-1\n,b,1,1\nu2,b,x,1\n"
    tables = read_source(folder({"interactions.csv": HEAD + rows}), options=DROP)
    assert tables.interactions.num_rows == 1
    assert sum(tables.dropped.values()) == 3


def test_rows_that_are_not_utf8_are_dropped_alone(folder):
    content = HEAD.encode() + b"u1,a,1,1\nu2,caf\xe9,1,1\nu3,caf\xc3\xa9,1,1\n"
    tables = read_source(folder({"interactions.csv": content}), options=DROP)
    assert tables.interactions["item_id"].to_pylist() == ["a", "café"]
    assert tables.dropped == {"interactions: item_id not UTF-8 text": 1}


def test_nothing_left_after_dropping_is_refused(folder, refused):
    path = folder({"interactions.csv": HEAD + ",a,1,1\n,b,1,1\n"})
    assert "none is left" in refused(path, options=DROP).found


def test_a_bad_row_far_into_a_large_file_is_named_exactly(folder, refused):
    # catches row numbers that restart with the parser's blocks or with the pieces of a conversion
    rows = [f"u{n},i{n % 7},{n}" for n in range(30_000)]
    rows[25_000] = "u1,i1,soon"
    path = folder({"interactions.csv": "user_id,item_id,timestamp\n" + "\n".join(rows)})
    assert ", row 25002, column timestamp" in refused(path).where


def test_a_value_with_new_lines_is_one_row_in_the_count(folder, refused):
    content = 'user_id,item_id,text\nu1,a,"one\ntwo\nthree"\n,b,x\n'
    assert ", row 3, column user_id" in refused(folder({"interactions.csv": content})).where


def test_a_long_value_is_shortened_in_the_error(folder, refused):
    path = folder({"interactions.csv": HEAD + f"u1,a,{'x' * 5000},1\n"})
    assert len(str(refused(path))) < 1000


def test_truncated_gzip(folder, refused):
    rows = "".join(f"u{n * 7919 % 10007},i{n},{n},1\n" for n in range(5000))
    data = gzip.compress((HEAD + rows).encode())
    for cut in (len(data) // 2, len(data) - 4):
        error = refused(folder({"interactions.csv.gz": data[:cut]}))
        assert "cut short" in error.found
        assert "again" in error.mend


def test_damaged_gzip(folder, refused):
    data = bytearray(gzip.compress(GOOD.encode()))
    data[-6] ^= 255
    assert "not sound gzip" in refused(folder({"interactions.csv.gz": bytes(data)})).found


def test_plain_text_that_is_named_gz(folder, refused):
    error = refused(folder({"interactions.csv.gz": GOOD}))
    assert "not sound gzip" in error.found
    assert "rename" in error.mend


def test_truncated_zstd(folder, refused):
    rows = "".join(f"u{n * 7919 % 10007},i{n},{n},1\n" for n in range(5000))
    data = pa.compress((HEAD + rows).encode(), "zstd", asbytes=True)
    assert "interactions.csv.zst" in str(refused(folder({"interactions.csv.zst": data[:-9]})))


def _parquet(path, **columns):
    pq.write_table(pa.table(columns), path / "interactions.parquet")
    return path


def test_truncated_parquet(tmp_path, refused):
    path = _parquet(tmp_path, user_id=["u"] * 1000, item_id=[str(n) for n in range(1000)])
    data = (path / "interactions.parquet").read_bytes()
    for content in (data[: len(data) // 2], b"", data[:4]):
        (path / "interactions.parquet").write_bytes(content)
        assert "not a sound Parquet file" in refused(path).found


def test_parquet_without_a_column(tmp_path, refused):
    error = refused(_parquet(tmp_path, user=["u"], item_id=["a"]))
    assert "no column 'user_id' (did you mean 'user'?)" in error.found


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"user_id": [1.0, 2.0], "item_id": ["a", "b"]}, ["user_id", "double", "integers"]),
        ({"user_id": [[1], [2]], "item_id": ["a", "b"]}, ["user_id", "list"]),
        ({"user_id": ["u", None], "item_id": ["a", "b"]}, ["user_id", "empty", "row 2"]),
        ({"user_id": ["u", "v"], "item_id": ["a", "b"], "weight": ["1", "x"]}, ["'x'", "row 2"]),
        ({"user_id": ["u"], "item_id": ["a"], "weight": [True]}, ["weight", "bool"]),
        ({"user_id": ["u"], "item_id": ["a"], "timestamp": [True]}, ["timestamp", "bool"]),
        ({"user_id": ["u"], "item_id": ["a"], "timestamp": [20150601]}, ["2015-06-01"]),
        ({"user_id": ["u"], "item_id": ["a"], "weight": [np.inf]}, ["weight", "finite", "row 1"]),
    ],
)
def test_parquet_with_values_that_cannot_be_used(tmp_path, refused, columns, words):
    message = str(refused(_parquet(tmp_path, **columns)))
    for word in words:
        assert word in message


def test_parquet_with_two_columns_of_one_name(tmp_path, refused):
    table = pa.Table.from_arrays([pa.array(["u"])] * 3, ["user_id", "item_id", "item_id"])
    pq.write_table(table, tmp_path / "interactions.parquet")
    assert "two columns named item_id" in refused(tmp_path).found


def test_a_folder_where_a_file_should_be(tmp_path, refused):
    for name in ("interactions.csv", "interactions.parquet"):
        (tmp_path / name).mkdir()
        assert f"{name} is a folder" in refused(tmp_path, format="tables").found
        (tmp_path / name).rmdir()


def test_two_files_for_one_table(folder, refused):
    error = refused(folder({"interactions.csv": GOOD, "interactions.tsv": GOOD}))
    assert "interactions.csv, interactions.tsv" in error.found


def test_a_table_whose_file_name_is_nearly_right_is_not_passed_over(folder, refused):
    error = refused(folder({"interactions.csv": GOOD, "user.csv": "user_id,age\nu1,7\n"}))
    assert "user.csv" in error.found
    assert "rename it to users.csv" in error.mend


PROFILES = [
    ("items.csv", "item_id,title\na,x\na,y\n", ["item_id 'a' is there twice", "row 3"]),
    (
        "items.csv",
        "item_id,timestamp,title\na,5,x\na,6,y\na,5,z\n",
        ["item_id 'a' is there twice with the same timestamp", "row 4", "versions"],
    ),
    ("items.csv", "item_id,title\n,x\n", ["items", "item_id is empty", "row 2"]),
    ("items.csv", "item_id,title\n", ["items table has no rows", "remove the file"]),
    ("items.csv", "item_id,title\n007,x\n", ["no id of the items table", "leading zeros"]),
    ("items.csv", "item_id,timestamp\na,soon\n", ["items", "'soon' is not a date", "row 2"]),
    ("users.csv", "id,name\nu1,x\n", ["no column 'user_id'", "users.csv"]),
    ("users.csv", "user_id,age\nu1,3\nu1,3\n", ["user_id 'u1' is there twice", "row 3"]),
    ("users.csv", b"user_id,name\nu1,Jos\xe9\n", ["name", "not UTF-8", "row 2"]),
    ("ties.csv", "source_id,target_id\nu1,\n", ["target_id is empty", "ties.csv", "row 2"]),
    ("ties.csv", "source_id,target\nu1,u2\n", ["'target_id' (did you mean 'target'?)"]),
    ("ties.csv", "source_id,target_id\nx,y\n", ["no id of the ties table"]),
    ("ties.csv", "source_id,target_id,timestamp\nu1,u2,\n", ["timestamp is empty", "row 2"]),
]


@pytest.mark.parametrize(("name", "content", "words"), PROFILES)
def test_a_bad_items_users_or_ties_file_is_refused(folder, refused, name, content, words):
    message = str(refused(folder({"interactions.csv": GOOD, name: content})))
    for word in words:
        assert word in message


def test_a_tie_with_an_unknown_user_is_refused_where_there_is_a_users_table(folder, refused):
    files = {
        "interactions.csv": GOOD,
        "users.csv": "user_id,age\nu1,3\nu9,3\n",
        "ties.csv": "source_id,target_id\nu1,u2\nu9,u1\nu1,u77\n",
    }
    error = refused(folder(files))
    assert "target_id 'u77' is not a known user" in error.found
    assert "ties.csv, row 4, column target_id" in error.where
    tables = read_source(folder(files), options=DROP)
    assert tables.ties.num_rows == 2
    assert tables.dropped == {"ties: target_id not a known user": 1}


def test_a_tie_may_bring_in_a_user_where_there_is_no_users_table(folder):
    files = {"interactions.csv": GOOD, "ties.csv": "source_id,target_id\nu1,u77\n"}
    assert read_source(folder(files)).ties.num_rows == 1


def test_repeated_profiles_are_dropped_but_the_first(folder):
    files = {"interactions.csv": GOOD, "items.csv": "item_id,title\na,x\nb,y\na,z\n"}
    tables = read_source(folder(files), options=DROP)
    assert tables.items["title"].to_pylist() == ["x", "y"]
    assert tables.dropped == {"items: item_id there twice": 1}


NUMBERS = "item_id,price\na,1.5\nb,\nc,{}\n"


@pytest.mark.parametrize("value", ["dear", "nan", "inf", "1e39", '"1,5"', "1_000", "0x10"])
def test_a_named_number_that_is_none_is_named_with_its_row(folder, refused, value):
    """Catches a forced column of numbers with values that are none, and NaN or infinity in it."""
    path = folder({"interactions.csv": GOOD, "items.csv": NUMBERS.format(value)})
    error = refused(path, options=ReadOptions(item_numbers=("price",)))
    shown = value.strip('"')
    assert error.found == f"items: the price '{shown}' is not a number"
    assert "finite number" in error.expected
    assert error.where.endswith("items.csv, row 4, column price")
    assert "--on-bad-rows drop" in error.mend
    tables = read_source(path, options=ReadOptions("drop", item_numbers=("price",)))
    assert tables.items["price"].to_pylist() == ["1.5", None]
    assert tables.dropped == {"items: price not a number": 1}


def test_the_index_of_a_data_frame_is_no_column(tmp_path):
    """Catches the row numbers that pandas writes beside the columns, taken for a feature."""
    (tmp_path / "interactions.csv").write_text(GOOD)
    items = {"item_id": ["a", "b", "c"], "price": [1.5, 2.5, 3.5], "__index_level_0__": [5, 7, 9]}
    pq.write_table(pa.table(items), tmp_path / "items.parquet")
    assert read_source(tmp_path).items.column_names == ["item_id", "price"]


def test_not_a_number_in_parquet_is_an_absent_value(tmp_path):
    """Catches the text 'nan' for what a data frame lacks."""
    (tmp_path / "interactions.csv").write_text(GOOD)
    items = {"item_id": ["a", "b", "c"], "price": [1.25, np.nan, None], "size": [1, 2, 3]}
    pq.write_table(pa.table(items), tmp_path / "items.parquet")
    tables = read_source(tmp_path)
    assert tables.items["price"].to_pylist() == ["1.25", None, None]
    assert tables.item_numbers == ("price", "size")
