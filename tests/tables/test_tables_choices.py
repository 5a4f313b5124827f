"""Which columns become text and categories, by the written rule and by the user's word."""

from __future__ import annotations

import pyarrow as pa
import pytest

from finrec_dgl.base.errors import UsageError
from finrec_dgl.tables import ReadOptions, read_source
from finrec_dgl.tables.choices import suggest_columns, suggest_title

N = 60


def profiles(**columns: list[str | None]) -> pa.Table:
    """An items table of N rows."""
    table = {"item_id": [f"i{n}" for n in range(N)], **columns}
    return pa.table({name: pa.array(values, pa.string()) for name, values in table.items()})


@pytest.mark.parametrize(
    ("name", "values", "text", "category"),
    [
        ("description", ["same"] * N, True, False),
        ("Title", [f"fund {n}" for n in range(N)], True, False),
        ("sector", [f"s{n}" for n in range(N)], True, True),
        ("anything", [f"kind {n % 5}" for n in range(N)], True, True),
        ("remark", [f"a remark of its own {n}" for n in range(N)], True, False),
        ("risk_score", [str(n % 7) for n in range(N)], False, True),
        ("price", [f"{n}.25" for n in range(N)], False, False),
        ("founded", [f"20{n:02d}-01-01" for n in range(N)], False, False),
        ("nothing", [None] * N, False, False),
    ],
)
def test_a_column_is_text_or_category_by_the_rule(name, values, text, category):
    chosen = suggest_columns(profiles(**{name: values}), "item_id")
    assert chosen == ((name,) if text else (), (name,) if category else ())


def test_the_title_is_the_first_known_name():
    assert suggest_title(["item_id", "Name", "description"]) == "Name"
    assert suggest_title(["item_id", "description"]) is None


FILES = {
    "interactions.csv": "user_id,item_id\nu,a\n",
    "items.csv": "item_id,title,sector\na,x,y\n",
    "users.csv": "user_id,segment\nu,z\n",
}


def test_the_users_choice_goes_before_the_rule(folder):
    options = ReadOptions(item_text=("sector", "title"), item_categories=(), user_text=())
    tables = read_source(folder(FILES), options=options)
    assert tables.item_text == ("sector", "title")
    assert tables.item_categories == ()
    assert tables.user_text == ()
    assert tables.user_categories == ("segment",)
    assert tables.item_title == "title"


def test_a_chosen_column_that_is_not_there_is_a_usage_error(folder):
    options = ReadOptions(item_text=("titel",), user_categories=("region",))
    with pytest.raises(UsageError) as caught:
        read_source(folder(FILES), options=options)
    assert "item_text names 'titel'" in caught.value.found
    assert "did you mean 'title'" in caught.value.found
    assert "user_categories names 'region'" in caught.value.found
