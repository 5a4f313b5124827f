"""Split files: the form of FAR-Trans's rolling splits, read or refused."""

from __future__ import annotations

import gzip
import json

import pytest

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables import read_split_file

SPLIT = {
    "time_point": "2019-08-01",
    "test_end": "2020-01-14",
    "eligible_assets": ["a", "b"],
    "test": {"u": ["a", "b"], "v": ["a"], "w": []},
}


@pytest.mark.parametrize("name", ["split.json", "split.json.gz"])
def test_a_split_file_is_read(tmp_path, name):
    data = json.dumps(SPLIT).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    given = read_split_file(tmp_path / name)
    assert given.test.to_pydict() == {"user_id": ["u", "u", "v"], "item_id": ["a", "b", "a"]}
    assert given.candidates == ("a", "b")
    assert given.cut == 1564617600
    # the last day belongs to the window, whose end is the first second after it
    assert given.test_end == 1578960000 + 86400


def test_only_the_test_pairs_are_needed(tmp_path):
    (tmp_path / "s.json").write_text('{"test": {"u": ["a"]}, "test_end": "2020-01-14T00:00Z"}')
    given = read_split_file(tmp_path / "s.json")
    assert (given.candidates, given.cut, given.test_end) == (None, None, 1578960000)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"),
        ("[1]", "holds list"),
        ("{}", "there is no key 'test'"),
        ('{"test": {"u": "a"}}', "lists of item ids"),
        ('{"test": {"u": [1]}}', "lists of item ids"),
        ('{"test": {"u": []}}', "no test pairs"),
        ('{"test": {"": ["a"]}}', "empty"),
        ('{"test": {"u": ["a"]}, "time_poin": "2019-08-01"}', "did you mean 'time_point'"),
        ('{"test": {"u": ["a"]}, "time_point": "soon"}', "'time_point': 'soon' is not a date"),
        ('{"test": {"u": ["a"]}, "time_point": 5}', "'time_point': 5 is not a date"),
        ('{"test": {"u": ["a"]}, "eligible_assets": []}', "no item"),
        ('{"test": {"u": ["a"]}, "eligible_assets": "a"}', "'eligible_assets' is not a list"),
        (
            '{"test": {"u": ["a"]}, "time_point": "2019-08-02", "test_end": "2019-08-01"}',
            "ends before it begins",
        ),
    ],
)
def test_a_bad_split_file_is_refused(tmp_path, content, words):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(DataError) as caught:
        read_split_file(tmp_path / "split.json")
    assert words in caught.value.found
    assert "split.json" in caught.value.where


def test_an_absent_or_cut_split_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_split_file(tmp_path / "none.json")
    (tmp_path / "s.json.gz").write_bytes(gzip.compress(json.dumps(SPLIT).encode())[:-9])
    with pytest.raises(DataError, match="cut short"):
        read_split_file(tmp_path / "s.json.gz")
