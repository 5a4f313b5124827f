"""FAR-Trans (doi:10.5525/gla.researchdata.1658): a European bank's retail investors, 2018-2022."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables.choices import Suggested, choose_columns
from finrec_dgl.tables.columns import Field, load_table
from finrec_dgl.tables.contract import Tables
from finrec_dgl.tables.faults import merge_profiles
from finrec_dgl.tables.options import ReadOptions
from finrec_dgl.tables.sheets import find_file, need_file

LOOKED_FOR = "transactions.csv (with asset_information.csv, customer_information.csv, markets.csv)"
_ENDINGS = (".csv", ".csv.gz", ".csv.zst")
# the short name is a code, and the market says little of the asset: both blur its text
_ASSET_TEXT = ("assetName", "assetCategory", "assetSubCategory", "sector", "industry")
_ASSET_CATEGORIES = ("assetCategory", "assetSubCategory", "sector", "marketID")
_CUSTOMER = ("customerType", "riskLevel", "investmentCapacity")


def fits(folder: Path) -> bool:
    """Whether there are transactions."""
    return find_file(folder, "transactions", _ENDINGS) is not None


def read(folder: Path, options: ReadOptions) -> Tables:
    """Read the official files; only transactions.csv must be there. Raises DataError.

    - Interactions are the rows whose transactionType is Buy; the others are counted in ``dropped``.
    - Profiles carry their own timestamp. Three assets come twice with one date, as a stock and
      as a fund: such rows are merged (the last value that is not empty holds) and counted.
    - ``market`` is the market's name from markets.csv; where several rows of one marketID
      disagree on it, none.
    - lastQuestionnaireDate is not read: it is later than the row's own timestamp in places, and so
      tells of the future. limit_prices.csv and close_prices.csv hold later prices: never read.
    """
    dropped: dict[str, int] = {}
    interactions = _interactions(folder, options, dropped)
    items = _assets(folder, options, dropped)
    users = _customers(folder, options, dropped)
    return Tables(
        interactions,
        items,
        users,
        format="fartrans",
        item_title=None if items is None else "assetName",
        dropped=dropped,
        **choose_columns(
            options,
            items,
            users,
            item=Suggested(_ASSET_TEXT, _ASSET_CATEGORIES),
            user=Suggested(_CUSTOMER, _CUSTOMER),
        ),
    )


def _interactions(folder: Path, options: ReadOptions, dropped: dict[str, int]) -> pa.Table:
    path = need_file(folder, "transactions", _ENDINGS)
    table = load_table(
        path,
        "interactions",
        [
            Field("user_id", "id", "customerID", required=True),
            Field("item_id", "id", "ISIN", required=True),
            Field("timestamp", "time", required=True),
            Field("type", "text", "transactionType", required=True),
        ],
        options,
        dropped,
    ).table
    buys = table.filter(pc.fill_null(pc.equal(table["type"], "Buy"), False))
    if not buys.num_rows:
        raise DataError(
            "no transaction is a buy", expected="rows whose transactionType is Buy", where=str(path)
        )
    if buys.num_rows < table.num_rows:
        dropped["not a buy"] = table.num_rows - buys.num_rows
    return buys.drop_columns(["type"])


def _assets(folder: Path, options: ReadOptions, dropped: dict[str, int]) -> pa.Table | None:
    path = find_file(folder, "asset_information", _ENDINGS)
    if path is None:
        return None
    columns = [*_ASSET_TEXT, "assetShortName", "marketID"]
    assets = load_table(
        path,
        "items",
        [
            Field("item_id", "id", "ISIN", required=True),
            Field("timestamp", "time", required=True),
            *(Field(one, required=True) for one in columns),
        ],
        options,
        dropped,
        unique=False,
    ).table
    merged = merge_profiles(assets, "item_id")
    if merged.num_rows < assets.num_rows:
        dropped["asset told twice on one date (merged)"] = assets.num_rows - merged.num_rows
    return _with_market(folder, merged, options, dropped)


def _with_market(
    folder: Path, assets: pa.Table, options: ReadOptions, dropped: dict[str, int]
) -> pa.Table:
    path = find_file(folder, "markets", _ENDINGS)
    if path is None:
        return assets
    fields = [Field("marketID", "id", required=True), Field("name", required=True)]
    markets = load_table(path, "markets", fields, options, dropped).table
    names = markets.group_by(["marketID", "name"], use_threads=False).aggregate([])
    counts = names.group_by("marketID", use_threads=False).aggregate([("name", "count_distinct")])
    sure = counts.filter(pc.equal(counts["name_count_distinct"], 1))["marketID"]
    names = names.filter(
        pc.and_(
            pc.is_in(names["marketID"], value_set=sure.combine_chunks()), pc.is_valid(names["name"])
        )
    )
    place = pc.index_in(assets["marketID"], value_set=names["marketID"].combine_chunks())
    return assets.append_column("market", names["name"].combine_chunks().take(place))


def _customers(folder: Path, options: ReadOptions, dropped: dict[str, int]) -> pa.Table | None:
    path = find_file(folder, "customer_information", _ENDINGS)
    if path is None:
        return None
    customers = load_table(
        path,
        "users",
        [
            Field("user_id", "id", "customerID", required=True),
            Field("timestamp", "time", required=True),
            *(Field(one, required=True) for one in _CUSTOMER),
        ],
        options,
        dropped,
        unique=False,
    ).table
    merged = merge_profiles(customers, "user_id")
    if merged.num_rows < customers.num_rows:
        dropped["customer told twice on one date (merged)"] = customers.num_rows - merged.num_rows
    return merged
