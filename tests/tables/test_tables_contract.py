"""Tables check themselves, however they were made."""

from __future__ import annotations

import pyarrow as pa
import pytest

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.tables import GivenSplit, ReadOptions, Tables

STRING, TIME = pa.string(), pa.int64()


def table(**columns: tuple[pa.DataType, list[object]]) -> pa.Table:
    """A typed table."""
    return pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})


INTERACTIONS = table(user_id=(STRING, ["u", "v"]), item_id=(STRING, ["a", "b"]))
ITEMS = table(item_id=(STRING, ["a", "b"]), title=(STRING, ["x", None]))
USERS = table(user_id=(STRING, ["u", "v"]), timestamp=(TIME, [1, None]))


def test_the_least_there_can_be():
    tables = Tables(INTERACTIONS)
    assert tables.dropped == {}
    assert tables.items is None


def test_all_problems_of_the_columns_are_named_at_once():
    wrong = table(user_id=(TIME, [1]), thing=(STRING, ["a"]))
    with pytest.raises(DataError) as caught:
        Tables(wrong, items=ITEMS.drop_columns(["item_id"]), ties="no table")
    for words in (
        "interactions has no column item_id",
        "interactions.user_id is int64, expected string",
        "unknown column 'thing'",
        "items has no column item_id",
        "ties is str, expected a pyarrow.Table",
    ):
        assert words in caught.value.found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"items": ITEMS, "item_text": ("titel",)}, "did you mean 'title'"),
        ({"items": ITEMS, "item_title": "name"}, "item_title names 'name'"),
        ({"users": USERS, "user_text": ("timestamp",)}, "not a text column"),
        ({"item_text": ("title",)}, "there is no such table"),
        ({"items": ITEMS, "item_numbers": ("pric",)}, "item_numbers names 'pric'"),
        ({"items": ITEMS, "item_numbers": ("title",)}, "items: the title 'x' is not a number"),
        ({"users": USERS, "user_numbers": ("timestamp",)}, "not a text column"),
        ({"items": ITEMS.slice(0, 0)}, "items has no rows"),
        ({"items": pa.concat_tables([ITEMS, ITEMS])}, "item_id 'a' is there twice"),
        ({"items": table(item_id=(STRING, ["c"]))}, "no id of the items table"),
        ({"users": table(user_id=(STRING, ["u"]), age=(TIME, [3]))}, "users.age is int64"),
        (
            {"users": table(user_id=(STRING, ["u", "u"]), timestamp=(TIME, [7, 7]))},
            "same timestamp",
        ),
        ({"users": table(user_id=(STRING, ["u", "u"]), timestamp=(TIME, [None] * 2))}, "twice"),
        ({"users": table(user_id=(STRING, ["u", ""]))}, "user_id '' is empty"),
        (
            {
                "ties": table(
                    source_id=(STRING, ["u"]), target_id=(STRING, ["v"]), kind=(STRING, [None])
                )
            },
            "kind is empty",
        ),
    ],
)
def test_what_is_at_fault_is_named(arguments, words):
    with pytest.raises(DataError) as caught:
        Tables(INTERACTIONS, **arguments)
    assert words in str(caught.value)
    assert "--on-bad-rows" not in str(caught.value)  # no such way out of tables in memory


@pytest.mark.parametrize(
    ("column", "kind", "values", "words"),
    [
        ("timestamp", TIME, [1, 10**12], "out of range"),
        ("timestamp", TIME, [1, None], "timestamp is empty"),
        ("weight", pa.float64(), [1, float("nan")], "not finite"),
        ("weight", pa.float64(), [1, -0.5], "negative"),
        ("weight", pa.float32(), [1, 1], "weight is float, expected double"),
    ],
)
def test_interactions_at_fault_are_named_with_their_index(column, kind, values, words):
    with pytest.raises(DataError) as caught:
        Tables(INTERACTIONS.append_column(column, pa.array(values, kind)))
    assert words in str(caught.value)


def test_customers_ids_are_not_shown_when_tables_do_not_match():
    with pytest.raises(DataError) as caught:
        Tables(INTERACTIONS, users=table(user_id=(STRING, ["secret"])))
    assert "secret" not in str(caught.value)


def test_versions_of_a_profile_may_differ_in_time():
    users = table(user_id=(STRING, ["u"] * 3), timestamp=(TIME, [None, 1, 2]))
    assert Tables(INTERACTIONS, users=users).users.num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"test": INTERACTIONS.slice(0, 0)}, "no test pairs"),
        ({"test": INTERACTIONS, "candidates": ()}, "no item"),
        ({"test": INTERACTIONS, "candidates": ("a", "a")}, "candidate twice"),
        ({"test": INTERACTIONS, "cut": 5, "test_end": 5}, "ends before it begins"),
        ({"test": table(user_id=(STRING, ["u"]))}, "no column item_id"),
        ({"test": table(user_id=(STRING, [None]), item_id=(STRING, ["a"]))}, "empty"),
    ],
)
def test_a_given_split_checks_itself(arguments, words):
    with pytest.raises(DataError) as caught:
        GivenSplit(**arguments)
    assert words in str(caught.value)


def test_read_options_name_all_their_problems():
    with pytest.raises(ConfigError) as caught:
        ReadOptions(on_bad_rows="dorp", item_text=["a"], user_text=("a", "a"), keep_retweets=1)
    for words in ("did you mean 'drop'", "item_text is ['a']", "twice", "keep_retweets is 1"):
        assert words in caught.value.found
