"""Every kind of bad input that was thought of: one message, exit code 2, nothing left behind."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_bank import CUT, USERS, write_split, write_tables

from finrec_dgl.base import files

PREPROCESS = "preprocess source out --encoder none --quiet"
TRAIN = "train data out --epochs 1 --set windows=2 --quiet"


@dataclass(frozen=True)
class Bad:
    """One row of the catalogue.

    ``spoil`` changes the folder that holds ``source/`` (tables), ``data/`` (a data set) and
    ``run/`` (a trained model); then ``command`` runs there and must fail with ``words``.
    """

    what: str
    command: str
    words: tuple[str, ...]
    spoil: Callable[[Path], object] = lambda _: None
    code: int = 2


def text(file: str, old: str, new: str) -> Callable[[Path], object]:
    """Replace the first ``old`` in a file by ``new``."""

    def spoil(place: Path) -> None:
        path = place / file
        before = path.read_text(encoding="utf-8")
        assert old in before
        path.write_text(before.replace(old, new, 1), encoding="utf-8")

    return spoil


def append(file: str, line: str) -> Callable[[Path], object]:
    """Add a line to a file."""

    def spoil(place: Path) -> None:
        with open(place / file, "a", encoding="utf-8") as out:
            out.write(line + "\n")

    return spoil


def write(file: str, content: str | bytes) -> Callable[[Path], object]:
    """Write a file, with its folder."""

    def spoil(place: Path) -> None:
        (place / file).parent.mkdir(exist_ok=True)
        (place / file).write_bytes(content.encode() if isinstance(content, str) else content)

    return spoil


def remove(name: str) -> Callable[[Path], object]:
    """Remove a file or a folder."""

    def spoil(place: Path) -> None:
        path = place / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def cut_short(file: str) -> Callable[[Path], object]:
    """Keep the first half of a file."""

    def spoil(place: Path) -> None:
        content = (place / file).read_bytes()
        (place / file).write_bytes(content[: len(content) // 2])

    return spoil


def flip(file: str) -> Callable[[Path], object]:
    """Change the last byte of a file."""

    def spoil(place: Path) -> None:
        content = bytearray((place / file).read_bytes())
        content[-1] ^= 0xFF
        (place / file).write_bytes(bytes(content))

    return spoil


def empty_source(place: Path) -> None:
    """A source folder with nothing in it."""
    shutil.rmtree(place / "source")
    (place / "source").mkdir()


def parquet_interactions(place: Path) -> None:
    """The same interactions as Parquet, beside the CSV."""
    pq.write_table(
        pa.table({"user_id": ["u0"], "item_id": ["i0"]}), place / "source/interactions.parquet"
    )


def truncated_parquet(place: Path) -> None:
    """Interactions in a Parquet file of which only half is there."""
    parquet_interactions(place)
    (place / "source/interactions.csv").unlink()
    cut_short("source/interactions.parquet")(place)


def nested_parquet(place: Path) -> None:
    """Interactions in Parquet whose ids are lists."""
    (place / "source/interactions.csv").unlink()
    pq.write_table(
        pa.table({"user_id": [["u0"]], "item_id": ["i0"]}), place / "source/interactions.parquet"
    )


def truncated_gzip(place: Path) -> None:
    """Interactions in a gzip file of which only half is there."""
    path = place / "source/interactions.csv"
    (place / "source/interactions.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    cut_short("source/interactions.csv.gz")(place)


def without_times(place: Path) -> None:
    """Interactions of users and items alone."""
    path = place / "source/interactions.csv"
    rows = [line.rpartition(",")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def weights(value: str) -> Callable[[Path], object]:
    """A column of weights, the first of which is ``value``."""

    def spoil(place: Path) -> None:
        path = place / "source/interactions.csv"
        header, first, *rest = path.read_text(encoding="utf-8").splitlines()
        rows = [f"{header},weight", f"{first},{value}", *(f"{row},1" for row in rest)]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")

    return spoil


def split(**changes: object) -> Callable[[Path], object]:
    """A split file with some keys changed."""
    return lambda place: write_split(place / "split.json", **changes)


def manifest(**changes: object) -> Callable[[Path], object]:
    """The data set's manifest with some keys changed."""

    def spoil(place: Path) -> None:
        path = place / "data/manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}), encoding="utf-8")

    return spoil


def another_data_set(place: Path) -> None:
    """A data set of other interactions where the run's was."""
    from finrec_dgl.cli import main

    shutil.rmtree(place / "data")
    append("source/interactions.csv", "u0,i6,2024-01-06")(place)
    assert main([*PREPROCESS.replace(" out ", " data ").split()]) == 0


CATALOGUE = (
    # the command line
    Bad("unknown command", "preproces source out", ("preprocess",)),
    Bad("unknown option", "preprocess source out --encodr none", ("--encoder",)),
    Bad("missing argument", "preprocess source", ("out",)),
    Bad("argument too many", "inspect data more", ("more",)),
    Bad("option that is no number", "preprocess source out --k-core some", ("--k-core",)),
    # where the tables are
    Bad("no source", PREPROCESS, ("does not exist", "source"), remove("source")),
    Bad(
        "source is a file",
        "preprocess source/items.csv out --encoder none --quiet",
        ("is a file, not a folder",),
    ),
    Bad("empty source", PREPROCESS, ("the folder is empty", "interactions"), empty_source),
    Bad("nothing known", PREPROCESS, ("fartrans", "lightgcn"), remove("source/interactions.csv")),
    Bad("unknown format", f"{PREPROCESS} --format fartrains", ("did you mean 'fartrans'",)),
    Bad("another format", f"{PREPROCESS} --format fartrans", ("transactions",)),
    Bad("table of two files", PREPROCESS, ("interactions.parquet",), parquet_interactions),
    Bad(
        "table of a near name",
        PREPROCESS,
        ("user.csv", "rename it to users.csv"),
        lambda place: (place / "source/users.csv").rename(place / "source/user.csv"),
    ),
    # what is in the tables
    Bad("empty file", PREPROCESS, ("empty",), write("source/interactions.csv", "")),
    Bad(
        "header alone",
        PREPROCESS,
        ("no ",),
        write("source/interactions.csv", "user_id,item_id,timestamp\n"),
    ),
    Bad(
        "missing column",
        PREPROCESS,
        ("item_id", "did you mean 'itemid'"),
        text("source/interactions.csv", "item_id", "itemid"),
    ),
    Bad(
        "column twice",
        PREPROCESS,
        ("two columns named user_id",),
        text("source/interactions.csv", "item_id", "user_id"),
    ),
    Bad(
        "time by another name",
        PREPROCESS,
        ("'date'", "timestamp", "rename the column"),
        text("source/interactions.csv", "timestamp", "date"),
    ),
    Bad(
        "not a date",
        PREPROCESS,
        ("'yesterday'", "row 2", "column timestamp", "--on-bad-rows drop"),
        text("source/interactions.csv", "2024-01-05", "yesterday"),
    ),
    Bad(
        "a day that there is not",
        PREPROCESS,
        ("2024-02-30", "row 2"),
        text("source/interactions.csv", "2024-01-05", "2024-02-30"),
    ),
    Bad(
        "a date out of range",
        PREPROCESS,
        ("9999-12-31", "1900 to 2199"),
        text("source/interactions.csv", "2024-01-05", "9999-12-31"),
    ),
    Bad(
        "empty id",
        PREPROCESS,
        ("user_id", "empty", "row 2"),
        text("source/interactions.csv", "u0,", ","),
    ),
    Bad(
        "row too short",
        PREPROCESS,
        ("row 2", "fields"),
        text("source/interactions.csv", "u0,i0,2024-01-05", "u0,i0"),
    ),
    Bad("weight of words", PREPROCESS, ("weight", "'heavy'", "row 2"), weights("heavy")),
    Bad("weight NaN", PREPROCESS, ("weight", "not finite", "row 2"), weights("nan")),
    Bad("weight negative", PREPROCESS, ("weight", "negative", "row 2"), weights("-1")),
    Bad(
        "not UTF-8",
        PREPROCESS,
        ("UTF-8", "items.csv"),
        write("source/items.csv", "item_id,title\ni0,Börse\n".encode("latin-1")),
    ),
    Bad(
        "item twice",
        PREPROCESS,
        ("items", "twice", "row 12"),
        append("source/items.csv", "i0,Fund again,bond"),
    ),
    Bad(
        "tie to nobody",
        PREPROCESS,
        ("'stranger'", "not a known user", "row 26"),
        append("source/ties.csv", "u0,stranger,2024-01-02"),
    ),
    Bad("gzip cut short", PREPROCESS, ("cut short",), truncated_gzip),
    Bad("Parquet cut short", PREPROCESS, ("interactions.parquet",), truncated_parquet),
    Bad("Parquet of lists", PREPROCESS, ("user_id", "list"), nested_parquet),
    # options of preprocess
    Bad("unknown column", f"{PREPROCESS} --item-text titel", ("titel", "title")),
    Bad("retweets of no tweets", f"{PREPROCESS} --keep-retweets", ("stocknet",)),
    Bad("bad rows how", f"{PREPROCESS} --on-bad-rows dropp", ("did you mean 'drop'",)),
    Bad("cut not a date", f"{PREPROCESS} --cut March", ("'March' is not a date",)),
    Bad("cut outside the data", f"{PREPROCESS} --cut 2030-01-01", ("2024-01-05", "2024-03-08")),
    Bad(
        "dates out of order",
        f"{PREPROCESS} --cut {CUT} --valid-cut 2024-03-02",
        ("valid_cut 2024-03-02 is not before cut 2024-03-01",),
    ),
    Bad(
        "test ends before it begins",
        f"{PREPROCESS} --cut {CUT} --test-end 2024-02-01",
        ("cut 2024-03-01 is not before test_end 2024-02-01",),
    ),
    Bad("unknown split", f"{PREPROCESS} --split temporary", ("did you mean 'temporal'",)),
    Bad("cut of a random split", f"{PREPROCESS} --split random --cut {CUT}", ("does not go with",)),
    Bad("date split without dates", f"{PREPROCESS} --cut {CUT}", ("timestamp",), without_times),
    Bad(
        "share too large", f"{PREPROCESS} --split random --valid-share 1.5", ("valid_share is 1.5",)
    ),
    Bad(
        "cold share too large",
        f"{PREPROCESS} --split cold-items --cold-share 1.5",
        ("cold_share is 1.5",),
    ),
    Bad(
        "cold share too small",
        f"{PREPROCESS} --split cold-users --cold-share 0.001",
        ("24 users", "too few to hold out a share of 0.001"),
    ),
    Bad("core empties all", f"{PREPROCESS} --k-core 1000", ("core",)),
    Bad("core negative", f"{PREPROCESS} --k-core -1", ("k_core",)),
    Bad("user ids how", f"{PREPROCESS} --user-ids hash", ("did you mean 'hashed'",)),
    Bad("hashed without key", f"{PREPROCESS} --user-ids hashed", ("FINREC_DGL_ID_KEY",)),
    # the split file
    Bad("no split file", f"{PREPROCESS} --split-file split.json", ("split.json", "does not exist")),
    Bad(
        "split file not JSON",
        f"{PREPROCESS} --split-file split.json",
        ("not JSON",),
        write("split.json", "{"),
    ),
    Bad(
        "split file of another form",
        f"{PREPROCESS} --split-file split.json",
        ("unknown key 'tset'; did you mean 'test'?",),
        split(tset={}),
    ),
    Bad(
        "split file of another time",
        f"{PREPROCESS} --split-file split.json",
        ("2001-01-01",),
        split(time_point="2001-01-01", test_end="2001-07-01"),
    ),
    # the encoder
    Bad(
        "encoder not there",
        "preprocess source out --quiet --encoder ./bert",
        ("./bert", "does not exist"),
    ),
    Bad("unknown pooling", f"{PREPROCESS} --pooling men", ("did you mean 'mean'",)),
    Bad("no tokens", f"{PREPROCESS} --max-length 0", ("max_length is 0",)),
    Bad("unknown precision", f"{PREPROCESS} --precision float16", ("precision is 'float16'",)),
    # what is in the way
    Bad("output is a file", PREPROCESS, ("is a file",), write("out", "mine")),
    Bad("output holds other files", PREPROCESS, ("holds other files",), write("out/mine", "mine")),
    Bad("output there", "preprocess source data --encoder none", ("--overwrite",)),
    Bad(
        "no overwriting of others",
        f"{PREPROCESS} --overwrite",
        ("holds other files",),
        write("out/mine", "mine"),
    ),
    # the data set
    Bad("no data set", "inspect nothing", ("nothing",)),
    Bad("not a data set", "inspect source", ("source", "manifest.json")),
    Bad("manifest broken", "inspect data", ("not valid JSON",), cut_short("data/manifest.json")),
    Bad("manifest of the future", "inspect data", ("schema", "99"), manifest(schema_version=99)),
    Bad(
        "data set changed",
        "inspect data",
        ("interactions.safetensors",),
        flip("data/interactions.safetensors"),
    ),
    Bad(
        "data set in parts",
        "inspect data",
        ("ids/users.parquet",),
        remove("data/ids/users.parquet"),
    ),
    # the configuration
    Bad("unknown sampler", f"{TRAIN} --sampler neighbour", ("did you mean 'neighbor'",)),
    Bad("fanout of words", f"{TRAIN} --fanout ten", ("--fanout", "whole numbers")),
    Bad("no epochs", "train data out --epochs 0", ("epochs is 0",)),
    Bad("set without value", f"{TRAIN} --set lr", ("key=value",)),
    Bad("set of an unknown key", f"{TRAIN} --set model.layer=2", ("did you mean 'layers'",)),
    Bad("set of a wrong type", f"{TRAIN} --set lr=fast", ("lr is 'fast'", "float")),
    Bad(
        "heads that do not divide",
        f"{TRAIN} --set model.readout=tower --set model.dim=8 --set model.heads=3",
        ("does not divide dim",),
    ),
    Bad("no configuration", f"{TRAIN} --config c.toml", ("c.toml", "cannot be read")),
    Bad(
        "configuration not TOML",
        f"{TRAIN} --config c.toml",
        ("c.toml", "not TOML"),
        write("c.toml", "lr = = 1"),
    ),
    Bad(
        "configuration of unknown keys",
        f"{TRAIN} --config c.toml",
        ("unknown key 'epoch'", "unknown key 'model.lairs'"),
        write("c.toml", "epoch = 1\n[model]\nlairs = 2\n"),
    ),
    # the run
    Bad("run there", "train data run --epochs 1", ("--overwrite",)),
    Bad(
        "resumed otherwise",
        "train data run --resume --epochs 7",
        ("another configuration", "epochs"),
    ),
    Bad("no run", "evaluate nothing", ("no run here",)),
    Bad("not a run", "evaluate data", ("no run here",)),
    Bad("run broken", "evaluate run", ("run.json",), cut_short("run/run.json")),
    Bad(
        "run not finished",
        "evaluate run",
        ("--resume",),
        text("run/run.json", "finished", "training"),
    ),
    Bad("weights broken", "evaluate run", ("safetensors",), cut_short("run/model.safetensors")),
    Bad("weights gone", "evaluate run", ("model.safetensors",), remove("run/model.safetensors")),
    Bad(
        "weights of another model",
        "evaluate run",
        ("do not fit",),
        text("run/config.json", '"ease": [', '"ease": [7,'),
    ),
    Bad("data set gone", "evaluate run --dataset nothing", ("nothing",)),
    Bad(
        "data set of another run", "evaluate run --dataset data", ("not the one",), another_data_set
    ),
    Bad("unknown part", "evaluate run --split tset", ("'tset'", "test")),
    Bad("k of none", "evaluate run --k 0", ("0",)),
    Bad("k of words", "evaluate run --k ten", ("--k", "whole numbers")),
    # recommendations
    Bad("unknown user", "recommend run --user stranger", ("unknown user", "stranger")),
    Bad("for whom", "recommend run", ("--user", "--all-users")),
    Bad("for one and all", "recommend run --user u0 --all-users", ("--user", "--all-users")),
    Bad("for all to nowhere", "recommend run --all-users", ("--out",)),
    Bad("none of them", "recommend run --user u0 --k 0", ("0",)),
    Bad("into a folder", "recommend run --all-users --out data", ("data",)),
    # made-up data
    Bad("no users", "generate out --users 0", ("users is 0",)),
    Bad("days out of order", "generate out --start 2024-01-01 --end 2023-01-01", ("start to end",)),
    Bad("strength not a number", "generate out --text-strength nan", ("text_strength is nan",)),
    Bad("unknown file format", "generate out --format xml", ("xml", "csv")),
    Bad("generate in the way", "generate data", ("data",)),
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which nothing is wrong: tables, a data set and a run."""
    from finrec_dgl.cli import main

    place = tmp_path_factory.mktemp("good")
    write_tables(place / "source")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(PREPROCESS.replace(" out ", " data ").split()) == 0
        assert main(TRAIN.replace(" out ", " run ").split()) == 0
    return place


@pytest.fixture
def place(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``good`` to spoil, and the folder to be in."""
    copied = tmp_path / "place"
    shutil.copytree(good, copied)
    info = json.loads((copied / "run/run.json").read_text())
    info["dataset"]["path"] = str(copied / "data")
    (copied / "run/run.json").write_text(json.dumps(info))
    monkeypatch.chdir(copied)
    monkeypatch.delenv("FINREC_DGL_ID_KEY", raising=False)
    return copied


def contents(place: Path) -> dict[str, bytes | None]:
    """Every file under ``place`` with what it holds."""
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None
        for path in sorted(place.rglob("*"))
    }


def test_there_are_enough_rows_with_names_of_their_own():
    """Catches a row that hides another."""
    names = [bad.what for bad in CATALOGUE]
    assert len(set(names)) == len(names) >= 40


@pytest.mark.parametrize("bad", CATALOGUE, ids=lambda bad: bad.what)
def test_bad_input_is_explained_and_changes_nothing(place, finrec, bad):
    """Catches a traceback, a wrong exit code, a message without the place, files left behind."""
    bad.spoil(place)
    before = contents(place)
    said = finrec(*bad.command.split())
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    assert [word for word in bad.words if word not in said.err] == [], said.err
    assert said.code == bad.code
    assert said.out == ""
    assert contents(place) == before


@pytest.mark.parametrize("bad", CATALOGUE[::7], ids=lambda bad: bad.what)
def test_bad_input_is_one_document_with_json(place, finrec, bad):
    """Catches an error that a script cannot read."""
    bad.spoil(place)
    said = finrec(*bad.command.split(), "--json")
    assert said.code == bad.code
    assert said.document["error"]["found"]


@pytest.mark.parametrize(
    "command",
    [PREPROCESS, TRAIN, "recommend run --all-users --out all.parquet", "generate out --users 20"],
    ids=lambda command: command.split()[0],
)
def test_a_full_disk_is_explained_and_leaves_nothing(place, finrec, monkeypatch, command):
    """Catches half an output, or a traceback, where the disk is full: a failure, so exit code 1."""

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_fsync", full)
    before = contents(place)
    said = finrec(*command.split())
    assert said.code == 1
    assert "No space left on device" in said.err
    assert "Traceback" not in said.err
    left = {name for name in set(contents(place)) - set(before) if not name.startswith("out")}
    assert left == set()


def test_the_good_folder_is_good(place, finrec):
    """Catches a catalogue that passes because nothing works."""
    assert finrec(*PREPROCESS.split()).code == 0
    assert finrec("inspect", "data", "--json").document
    said = finrec("recommend", "run", "--user", f"u{USERS - 1}", "--json")
    assert said.code == 0, said.err
