"""Files of every kind give the same table, and no id is changed on the way."""

from __future__ import annotations

import csv
import gzip
import io
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables import ReadOptions, read_source

ROWS = [("u1", "a", "2015-06-01", "1.5", "one\ntwo"), ("NA", "0x1", "2015-06-02", "0", 'say "hi"')]
NAMES = ("user_id", "item_id", "timestamp", "weight", "text")
EXPECTED = {
    "user_id": ["u1", "NA"],
    "item_id": ["a", "0x1"],
    "timestamp": [1433116800, 1433203200],
    "weight": [1.5, 0.0],
    "text": ["one\ntwo", 'say "hi"'],
}


def written(rows: list[tuple[str, ...]], delimiter: str = ",", names=NAMES) -> bytes:
    """The rows as the standard library writes them."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerows([names, *rows])
    return buffer.getvalue().encode()


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_every_kind_and_compression_reads_alike(tmp_path, kind, packed):
    if kind == ".parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in ROWS]), sink
        )
        data = sink.getvalue().to_pybytes()
    else:
        data = written(ROWS, "," if kind == ".csv" else "\t")
    pack = {"": bytes, ".gz": gzip.compress, ".zst": lambda b: pa.compress(b, "zstd", asbytes=True)}
    (tmp_path / f"interactions{kind}{packed}").write_bytes(pack[packed](data))
    assert read_source(tmp_path).interactions.to_pydict() == EXPECTED


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.rstrip(b"\r\n"),
        lambda data: data + b"\r\n\r\n",
        lambda data: b"\r\n" + data,
    ],
    ids=["byte order mark", "no last newline", "blank lines after", "blank line before"],
)
def test_harmless_differences_in_writing_change_nothing(tmp_path, change):
    (tmp_path / "interactions.csv").write_bytes(change(written(ROWS)))
    assert read_source(tmp_path).interactions.to_pydict() == EXPECTED


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_newline_ends_a_row(tmp_path, newline):
    (tmp_path / "interactions.csv").write_bytes(
        newline.join(["user_id,item_id", "u,a", "v,b", ""]).encode()
    )
    assert read_source(tmp_path).interactions["user_id"].to_pylist() == ["u", "v"]


def test_several_gzip_members_are_one_file(tmp_path):
    parts = gzip.compress(b"user_id,item_id\nu,a\n") + gzip.compress(b"v,b\n")
    (tmp_path / "interactions.csv.gz").write_bytes(parts)
    assert read_source(tmp_path).interactions.num_rows == 2


def test_parquet_integers_and_dictionaries_become_the_ids_they_spell(tmp_path):
    table = pa.table(
        {
            "user_id": pa.array([7, 8], pa.uint16()),
            "item_id": pa.array(["a", "b"]).dictionary_encode(),
            "weight": pa.array([1, 2], pa.int8()),
            "text": pa.array(["x", None], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "interactions.parquet")
    assert read_source(tmp_path).interactions.to_pydict() == {
        "user_id": ["7", "8"],
        "item_id": ["a", "b"],
        "weight": [1.0, 2.0],
        "text": ["x", None],
    }


def test_parquet_profiles_keep_every_other_column_as_text(tmp_path):
    pq.write_table(
        pa.table({"user_id": ["u"], "item_id": ["a"]}), tmp_path / "interactions.parquet"
    )
    items = pa.table({"item_id": ["a"], "price": [1.5], "sold": [True], "units": [None]})
    pq.write_table(items, tmp_path / "items.parquet")
    assert read_source(tmp_path).items.to_pylist() == [
        {"item_id": "a", "price": "1.5", "sold": "true", "units": None}
    ]


# lone surrogates are no text; the standard library's reader stumbles over NUL, ours must not
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=8))
def test_ids_come_back_as_they_were_whatever_they_hold(tmp_path, pairs):
    # catches stripping, unquoting, guessing of numbers and nulls, and rows cut at new lines
    lines = [
        ",".join('"' + value.replace('"', '""') + '"' for value in pair)
        for pair in [("user_id", "item_id"), *pairs]
    ]
    (tmp_path / "interactions.csv").write_bytes(("\n".join(lines) + "\n").encode())
    table = read_source(tmp_path, format="tables").interactions
    assert list(zip(*table.to_pydict().values(), strict=True)) == pairs
    (tmp_path / "interactions.csv").unlink()
    pq.write_table(table, tmp_path / "interactions.parquet")
    assert read_source(tmp_path, format="tables").interactions.equals(table)
    (tmp_path / "interactions.parquet").unlink()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_but_never_break(tmp_path, data):
    for name in ("interactions.csv", "interactions.csv.gz", "interactions.parquet"):
        for head in (b"", b"user_id,item_id\n"):
            (tmp_path / name).write_bytes(head + data)
            for on_bad_rows in ("error", "drop"):
                with suppress(DataError):
                    read_source(tmp_path, options=ReadOptions(on_bad_rows=on_bad_rows))
            (tmp_path / name).unlink()


def test_uneven_rows_are_dropped_and_the_others_keep_every_byte(tmp_path):
    # catches rows lost, or letters changed, on the way around the parser's handling of such rows
    head = "user_id,item_id,ключ\nu1,é€😀,x\n\n".encode()
    bad = b"bad\xff\n\xb3,\n1,2,3,4\n"
    tail = 'u2,"a\nb",\nu3,"q""q",ы\n'.encode()
    (tmp_path / "interactions.csv").write_bytes(head + bad + tail)
    tables = read_source(tmp_path, options=ReadOptions(on_bad_rows="drop"))
    assert tables.interactions["user_id"].to_pylist() == ["u1", "u2", "u3"]
    assert tables.interactions["item_id"].to_pylist() == ["é€😀", "a\nb", 'q"q']
    assert tables.dropped == {"interactions: wrong number of fields": 3}
