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
    ("name", "values", "kinds"),
    [
        ("description", ["same"] * N, "text"),
        ("Title", [f"fund {n}" for n in range(N)], "text"),
        ("sector", [f"s{n}" for n in range(N)], "text categories"),
        ("anything", [f"kind {n % 5}" for n in range(N)], "text categories"),
        ("remark", [f"a remark of its own {n}" for n in range(N)], "text"),
        ("risk_score", [str(n % 7) for n in range(N)], "categories"),
        ("risk_score", [str(n % 21) for n in range(N)], "numbers"),
        ("rating", [f"{n % 7}.5" for n in range(N)], "numbers"),
        ("price", [f"{n}.25" for n in range(N)], "numbers"),
        ("price", [None, " ", *(f" {n}.25 " for n in range(N - 2))], "numbers"),
        ("price", [f"{n}.25" for n in range(N - 1)] + ["n/a"], "text"),
        ("change", [f"-{n}e-3" for n in range(N)], "numbers"),
        ("balance", ["1e999", *(f"{n}" for n in range(N - 1))], ""),
        ("delivery_time", [f"{n}" for n in range(N)], "numbers"),
        ("account_id", [f"{n}" for n in range(N)], ""),
        ("Unnamed: 0", [f"{n}" for n in range(N)], ""),
        ("zipCode", [f"{1000 + n}" for n in range(N)], ""),
        ("branch", [f"00{n}" for n in range(N)], ""),
        ("created_at", [f"{1_500_000_000 + n}" for n in range(N)], ""),
        ("opened", [f"201506{1 + n % 30:02d}" for n in range(N)], ""),
        ("founded", [f"20{n:02d}-01-01" for n in range(N)], ""),
        ("nothing", [None] * N, ""),
        ("nothing", [" "] * N, ""),
    ],
)
def test_a_column_is_text_category_or_number_by_the_rule(name, values, kinds):
    """Catches a code, an id or a time that is taken for a quantity, and quantities passed over."""
    chosen = suggest_columns(profiles(**{name: values}), "item_id")
    expected = {kind: (name,) if kind in kinds.split() else () for kind in chosen._fields}
    assert chosen._asdict() == expected


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


def test_a_named_number_is_neither_text_nor_category_by_the_rule(folder):
    """Catches a column of two kinds that the user gave one."""
    items = "item_id,title,stars\n" + "".join(f"a{n},x{n},{n % 3}\n" for n in range(9))
    interactions = FILES["interactions.csv"].replace(",a", ",a1")
    place = folder({**FILES, "interactions.csv": interactions, "items.csv": items})
    by_rule = read_source(place)
    assert (by_rule.item_categories, by_rule.item_numbers) == (("stars",), ())
    named = read_source(place, options=ReadOptions(item_numbers=("stars",)))
    assert (named.item_categories, named.item_numbers) == ((), ("stars",))
    both = ReadOptions(item_numbers=("stars",), item_categories=("stars",))
    assert read_source(place, options=both).item_categories == ("stars",)


def test_a_named_category_is_no_number_by_the_rule(folder):
    """Catches a code that the user called a category and that is measured all the same."""
    items = "item_id,fee\n" + "".join(f"a{n},{n}.5\n" for n in range(9))
    place = folder({"interactions.csv": "user_id,item_id\nu,a1\n", "items.csv": items})
    assert read_source(place).item_numbers == ("fee",)
    named = read_source(place, options=ReadOptions(item_categories=("fee",)))
    assert (named.item_categories, named.item_numbers) == (("fee",), ())


def test_a_chosen_column_that_is_not_there_is_a_usage_error(folder):
    options = ReadOptions(
        item_text=("titel",), user_categories=("region",), user_numbers=("segmnt",)
    )
    with pytest.raises(UsageError) as caught:
        read_source(folder(FILES), options=options)
    assert "item_text names 'titel'" in caught.value.found
    assert "did you mean 'title'" in caught.value.found
    assert "user_categories names 'region'" in caught.value.found
    assert "user_numbers names 'segmnt'" in caught.value.found
