"""The public data sets give the numbers that their papers give."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest

from finrec_dgl.tables import Tables, read_source, read_split_file

pytestmark = pytest.mark.realdata


def source(real_data: Path, name: str) -> Path:
    """The folder of one data set; skips where it is absent."""
    if not (real_data / name).is_dir():
        pytest.skip(f"no {name} in {real_data}")
    return real_data / name


def counts(tables: Tables) -> tuple[int, int, int]:
    """Interactions, users and items."""
    table = tables.interactions
    users, items = (pc.count_distinct(table[name]).as_py() for name in ("user_id", "item_id"))
    return table.num_rows, users, items


def test_fartrans(real_data):
    folder = source(real_data, "fartrans")
    tables = read_source(folder)
    assert counts(tables) == (68631, 25131, 288)
    assert (tables.items.num_rows, tables.users.num_rows) == (833, 25194)
    assert tables.dropped == {"asset told twice on one date (merged)": 3}
    assert tables.items["market"].null_count == 0


def test_fartrans_splits_end_with_their_last_day(real_data):
    folder = source(real_data, "fartrans")
    buys = read_source(folder).interactions
    given = read_split_file(folder / "splits" / "010.json.gz")
    assert (given.test.num_rows, len(given.candidates)) == (6510, 537)
    inside = pc.and_(
        pc.greater_equal(buys["timestamp"], given.cut), pc.less(buys["timestamp"], given.test_end)
    )
    window = buys.filter(inside)
    bought = set(zip(*window.select(["user_id", "item_id"]).to_pydict().values(), strict=True))
    assert set(zip(*given.test.to_pydict().values(), strict=True)) <= bought


def test_stocknet(real_data):
    tables = read_source(source(real_data, "stocknet"))
    assert counts(tables) == (154567, 14745, 6250)
    assert tables.dropped == {"retweets": 53454}
    assert (tables.users.num_rows, tables.ties.num_rows) == (38257, 24215)
    assert tables.interactions["text"].null_count == 0


def test_gowalla(real_data):
    tables = read_source(source(real_data, "gowalla"))
    assert counts(tables) == (810128, 29858, 40981)
    assert tables.given.test.num_rows == 217242


def test_amazon_gift_cards(real_data):
    tables = read_source(source(real_data, "amazon_gift_cards"))
    assert counts(tables) == (2972, 458, 148)
    assert tables.items.num_rows == 1547
    assert not pc.any(pc.match_substring(tables.items["feature"], "<span")).as_py()
