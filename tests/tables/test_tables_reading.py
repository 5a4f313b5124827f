"""Recognising a source, and reading it by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.tables import FORMATS, ReadOptions, read_source, recognise

REVIEW = '{"reviewerID": "u", "asin": "a", "unixReviewTime": 5, "overall": 1.0}\n'


@pytest.mark.parametrize(
    ("names", "format"),
    [
        (["interactions.csv"], "tables"),
        (["interactions.tsv.zst", "posts.csv"], "tables"),
        (["transactions.csv"], "fartrans"),
        (["transactions.csv.gz", "README.txt"], "fartrans"),
        (["interactions.csv.gz", "posts.csv.gz", "social.csv"], "stocknet"),
        (["test.txt", "train.txt"], "lightgcn"),
        (["test.txt", "s_adj_mat.npz"], "lightgcn"),
        (["Reviews.json", "meta_Reviews.json.gz"], "amazon"),
    ],
)
def test_a_source_is_known_by_its_files(folder, names, format):
    assert recognise(folder(dict.fromkeys(names, REVIEW))) == format


def test_what_no_format_fits_is_refused_with_what_was_looked_for(folder):
    with pytest.raises(DataError) as caught:
        recognise(folder({"notes.txt": "", "package.json": "{}"}))
    message = str(caught.value)
    assert "notes.txt" in message
    for words in (*FORMATS, "interactions.csv", "transactions.csv", "test.txt", "reviewerID"):
        assert words in message


def test_an_empty_folder_a_file_and_nothing_at_all_are_refused(folder, tmp_path):
    with pytest.raises(DataError, match="the folder is empty"):
        recognise(tmp_path)
    path = folder({"interactions.csv": "user_id,item_id\nu,a\n"}) / "interactions.csv"
    with pytest.raises(DataError, match=r"is a file, not a folder"):
        read_source(path)
    with pytest.raises(DataError, match="does not exist"):
        read_source(tmp_path / "none")


def test_two_formats_at_once_must_be_told_apart(folder):
    files = {"interactions.csv": "user_id,item_id\nu,a\n", "transactions.csv": ""}
    with pytest.raises(DataError) as caught:
        recognise(folder(files))
    assert "--format" in caught.value.mend
    assert read_source(folder(files), format="tables").interactions.num_rows == 1


def test_an_unknown_format_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'fartrans'"):
        read_source(tmp_path, format="fartran")


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_whose_files_are_not_there_is_refused(tmp_path, format):
    with pytest.raises(DataError):
        read_source(tmp_path, format=format)


def test_an_option_of_another_format_is_a_usage_error(folder):
    path = folder({"interactions.csv": "user_id,item_id\nu,a\n"})
    with pytest.raises(UsageError, match="keep_retweets"):
        read_source(path, options=ReadOptions(keep_retweets=True))


def test_naming_the_formats_loads_nothing_heavy():
    code = "import sys, finrec_dgl.tables as t; t.FORMATS; print(sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "'pyarrow'" not in loaded
    assert "'torch'" not in loaded
