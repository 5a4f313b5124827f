"""Amazon reviews in small: JSON lines, their texts without HTML, products told twice."""

from __future__ import annotations

import gzip
import json

import pytest

from finrec_dgl.tables import ReadOptions, read_source
from finrec_dgl.tables.readers.amazon import strip_html

REVIEWS = [
    {
        "overall": 5.0,
        "reviewerID": "u1",
        "asin": "a",
        "summary": "Great",
        "reviewText": "Fun &amp; <b>easy</b>, I <3 it ",
        "unixReviewTime": 1529193600,
        "style": {"Size:": "L"},
        "image": ["x"],
    },
    {"overall": 4, "reviewerID": "u2", "asin": "b", "unixReviewTime": 1529193601, "style": [1]},
]
META = [
    {
        "asin": "a",
        "title": "Card",
        "brand": "",
        "category": ["Gift Cards", "Gift Cards", "Food"],
        "description": ["<p>One</p><p>two</p><script>x()</script>", ""],
        "feature": [],
        "main_cat": "Gift",
        "details": {"a": 1},
    },
    {"asin": "a", "title": "Card", "brand": "Acme"},
    {"asin": "z", "title": "Other", "description": "plain"},
]


def lines(objects: list[dict[str, object]]) -> str:
    """JSON lines."""
    return "".join(json.dumps(one) + "\n" for one in objects)


FILES = {"Cards_5.json": lines(REVIEWS), "meta_Cards.json.gz": gzip.compress(lines(META).encode())}


def test_reviews_and_products_are_read(folder):
    tables = read_source(folder(FILES))
    assert tables.format == "amazon"
    assert tables.interactions.to_pydict() == {
        "user_id": ["u1", "u2"],
        "item_id": ["a", "b"],
        "timestamp": [1529193600, 1529193601],
        "weight": [5.0, 4.0],
        "text": ["Great\nFun & easy, I <3 it", None],
    }
    assert tables.items.to_pylist()[0] == {
        "item_id": "a",
        "title": "Card",
        "brand": "Acme",
        "category": "Gift Cards > Food",
        "description": "One two",
        "feature": None,
        "main_cat": "Gift",
    }
    assert tables.items["description"].to_pylist()[1] == "plain"
    assert tables.dropped == {"product told twice (merged)": 1}
    assert tables.item_text == ("title", "brand", "category", "description", "feature")
    assert tables.item_title == "title"


def test_products_are_not_needed(folder):
    tables = read_source(folder({"Cards_5.json": FILES["Cards_5.json"]}))
    assert (tables.items, tables.item_text) == (None, ())


GOOD = lines(REVIEWS[:1])
BAD = [
    ("{'reviewerID': 'u'}", "line 3 is not JSON"),
    ('{"reviewerID": "u3", "asin": "a"', "line 3 is not JSON"),
    ("[1]", "line 3 is not an object"),
    (lines([REVIEWS[1] | {"asin": 5}]), "asin is not of type string"),
    (lines([REVIEWS[1] | {"unixReviewTime": "05"}]), "unixReviewTime is not of type int64"),
    (lines([REVIEWS[1] | {"overall": "five"}]), "overall is not of type double"),
    (lines([REVIEWS[1] | {"reviewerID": ""}]), "user_id '' is empty"),
    (lines([{"reviewerID": "u", "overall": 1}]), "item_id is empty"),
    (lines([REVIEWS[1] | {"overall": -1}]), "weight '-1.0' is negative"),
    (lines([REVIEWS[1] | {"unixReviewTime": 10**17}]), "out of range"),
]


@pytest.mark.parametrize(("line", "words"), BAD)
def test_a_bad_review_is_refused_by_its_line_or_dropped_and_counted(folder, refused, line, words):
    path = folder({"Cards.json": GOOD + "\n" + line.strip() + "\n" + lines(REVIEWS[1:])})
    error = refused(path)
    assert words in error.found
    assert "line 3" in error.where
    assert "--on-bad-rows drop" in error.mend
    tables = read_source(path, options=ReadOptions(on_bad_rows="drop"))
    assert tables.interactions["user_id"].to_pylist() == ["u1", "u2"]
    assert list(tables.dropped.values()) == [1]


def test_a_review_that_is_not_utf8_is_refused(folder, refused):
    bad = b'{"reviewerID": "u", "asin": "a", "summary": "caf\xe9"}\n'
    assert "line 2 is not UTF-8" in refused(folder({"Cards.json": GOOD.encode() + bad})).found


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"Cards.json": GOOD}, "2 files of reviews: Cards.json, Cards_5.json"),
        ({"meta_B.json": lines(META)}, "2 meta files"),
        ({"meta_Cards.json.gz": gzip.compress(b"{}\n")}, "product without asin"),
        ({"meta_Cards.json.gz": gzip.compress(b"\n")}, "no products"),
        ({"meta_Cards.json.gz": FILES["meta_Cards.json.gz"][:-5]}, "cut short"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(folder, refused, files, words):
    assert words in refused(folder(FILES | files), format="amazon").found


def test_a_cut_or_empty_file_of_reviews_is_refused(folder, refused):
    packed = gzip.compress(lines(REVIEWS * 500).encode())
    assert "cut short" in refused(folder({"C.json.gz": packed[:-9]}), format="amazon").found
    (folder({}) / "C.json.gz").unlink()
    assert "no reviews" in refused(folder({"C.json": ""}), format="amazon").found


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain  text", "plain text"),
        ("a<br/>b", "a b"),
        ("<span class='x'>\n No &nbsp;fees. </span>", "No fees."),
        ("1 < 2 & 3", "1 < 2 & 3"),
        ("<style>p {}</style>seen", "seen"),
        ("<b", "<b"),
    ],
)
def test_html_is_taken_out(html, text):
    assert strip_html(html) == text
