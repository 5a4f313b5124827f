"""FAR-Trans in small: what is an interaction, whose profile holds, what must never be read."""

from __future__ import annotations

import gzip

import pytest

from finrec_dgl.tables import read_source

TRANSACTIONS = (
    "customerID,ISIN,transactionID,transactionType,timestamp,totalValue,units,channel,marketID\n"
    "c1,A,0,Buy,2018-01-02,,,,\nc1,B,1,Sell,2018-01-03,,,,\nc2,B,2,Buy,2018-01-04,,,,\n"
)
ASSETS = (
    "ISIN,assetName,assetShortName,assetCategory,assetSubCategory,marketID,sector,industry,"
    "timestamp\n"
    "A,Alpha,AL,Stock,,M1,Tech,Chips,2018-01-02\n"
    "A,Alpha,AL,MTF,Bond,M1,,,2018-01-02\n"
    "A,Alpha 2,AL,Stock,,M1,Tech,Chips,2019-01-02\n"
    "B,Beta,BE,Bond,Gov,M2,,,2018-01-02\n"
)
CUSTOMERS = (
    "customerID,customerType,riskLevel,investmentCapacity,lastQuestionnaireDate,timestamp\n"
    "c1,Mass,Predicted_Income,CAP_LT30K,2021-01-01,2018-01-02\n"
    "c1,Premium,Income,CAP_LT30K,2021-01-01,2019-01-02\n"
)
MARKETS = (
    "exchangeID,marketID,name,description,country,tradingDays,tradingHours,marketClass\n"
    'X,M1,Athens,,Greece,"Mon,Tue",,\nX,M1,Athens,,Greece,,,\nX,M2,One,,,,,\nY,M2,Two,,,,,\n'
)
FILES = {
    "transactions.csv.gz": gzip.compress(TRANSACTIONS.encode()),
    "asset_information.csv": ASSETS,
    "customer_information.csv": CUSTOMERS,
    "markets.csv": MARKETS,
    "limit_prices.csv": b"\xff not even text",
}


def test_the_official_files_are_read(folder):
    tables = read_source(folder(FILES))
    assert tables.format == "fartrans"
    assert tables.interactions.to_pydict() == {
        "user_id": ["c1", "c2"],
        "item_id": ["A", "B"],
        "timestamp": [1514851200, 1515024000],
    }
    assert tables.dropped == {"not a buy": 1, "asset told twice on one date (merged)": 1}
    assert tables.users["riskLevel"].to_pylist() == ["Predicted_Income", "Income"]
    assert "lastQuestionnaireDate" not in tables.users.column_names
    assert tables.user_text == tables.user_categories
    assert tables.item_text[::4] == ("assetName", "industry")
    assert {"assetShortName", "market"} <= {*tables.items.column_names} - {*tables.item_text}
    assert tables.item_categories == ("assetCategory", "assetSubCategory", "sector", "marketID")
    assert tables.item_title == "assetName"


def test_rows_of_one_asset_and_day_are_merged_the_later_first(folder):
    items = read_source(folder(FILES)).items
    assert items["item_id"].to_pylist() == ["A", "A", "B"]
    assert items["assetCategory"].to_pylist() == ["MTF", "Stock", "Bond"]
    assert items["sector"].to_pylist() == ["Tech", "Tech", None]


def test_a_market_whose_name_is_not_sure_has_none(folder):
    assert read_source(folder(FILES)).items["market"].to_pylist() == ["Athens", "Athens", None]


def test_only_the_transactions_are_needed(folder):
    tables = read_source(folder({"transactions.csv": TRANSACTIONS}))
    assert (tables.items, tables.users, tables.item_text) == (None, None, ())
    tables = read_source(folder({"asset_information.csv": ASSETS}))
    assert "market" not in tables.items.column_names


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("transactions.csv.gz", TRANSACTIONS.replace("2018-01-04", "?"), "row 4, column timestamp"),
        ("transactions.csv.gz", TRANSACTIONS.replace("\nc2,", "\n,"), "row 4, column customerID"),
        ("transactions.csv.gz", TRANSACTIONS.replace("Buy", "Sell"), "no transaction is a buy"),
        ("transactions.csv.gz", TRANSACTIONS.replace("ISIN", "isin"), "did you mean 'isin'"),
        ("asset_information.csv", ASSETS.replace("sector", "sektor"), "no column 'sector'"),
        ("markets.csv", MARKETS.replace("X,M1", "X,"), "row 2, column marketID"),
    ],
)
def test_bad_files_are_refused_by_their_own_names(folder, refused, name, content, words):
    data = gzip.compress(content.encode()) if name.endswith(".gz") else content
    message = str(refused(folder(FILES | {name: data})))
    assert name in message
    assert words in message
