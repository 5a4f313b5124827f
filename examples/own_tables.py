"""What your own tables must look like: three small CSV files, read and checked.

    python examples/own_tables.py

Only interactions are needed, and of these only user_id and item_id. Times, texts, categories and
ties between customers are used where they are there.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from finrec_dgl import PreprocessOptions, preprocess
from finrec_dgl.base.errors import DataError
from finrec_dgl.dataset import SplitOptions
from finrec_dgl.tables import read_source
from finrec_dgl.text import EncoderSpec

INTERACTIONS = """user_id,item_id,timestamp
ana,gold-etf,2024-01-05
ana,green-bond,2024-02-11
ben,green-bond,2024-01-20
ben,home-loan,2024-03-02
cleo,gold-etf,2024-02-01
cleo,home-loan,2024-03-20
ana,home-loan,2024-04-02
ben,gold-etf,2024-04-09
cleo,green-bond,2024-04-15
"""
ITEMS = """item_id,title,description,kind
gold-etf,Gold ETF,"Physical gold, held in a vault",fund
green-bond,Green bond 2031,Lends to wind farms,bond
home-loan,Home loan,Fixed for ten years,loan
"""
TIES = """source_id,target_id,kind
ana,ben,family
"""


def main(place: Path) -> None:
    tables = place / "tables"
    tables.mkdir()
    (tables / "interactions.csv").write_text(INTERACTIONS)
    (tables / "items.csv").write_text(ITEMS)
    (tables / "ties.csv").write_text(TIES)

    # which columns are text and which are categories is found by a rule, or told by ReadOptions
    read = read_source(tables)
    print("text of products:", ", ".join(read.item_text))
    print("categories of products:", ", ".join(read.item_categories))

    options = PreprocessOptions(
        split=SplitOptions(valid_cut="2024-03-01", cut="2024-04-01"),
        encoder=EncoderSpec(name="none"),  # leave this line out to encode the texts
    )
    dataset = preprocess(tables, place / "dataset", options)
    for split in ("valid", "test"):
        pairs = dataset.targets(split)
        users, items = dataset.user_ids.take(pairs.user), dataset.item_ids.take(pairs.item)
        told = zip(users.to_pylist(), items.to_pylist(), strict=True)
        print(f"{split}:", ", ".join(f"{user} buys {item}" for user, item in told))

    # a bad row is named with its file, its line and how to mend it
    with open(tables / "interactions.csv", "a") as file:
        file.write("dan,gold-etf,yesterday\n")
    try:
        read_source(tables)
    except DataError as error:
        print(f"\nwith a bad row:\n{error}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
