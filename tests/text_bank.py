"""A bank of CSV files whose items and posts have texts in the words of the tiny models."""

from pathlib import Path

import numpy as np
from tiny_models import WORDS

USERS, ITEMS = 40, 12
DATES = ("2024-01-05", "2024-01-19", "2024-02-02", "2024-02-16", "2024-03-08", "2024-03-22")


def write_bank(folder: Path, *, last_word: str = "risk", dated: bool = True) -> Path:
    """Write ``interactions.csv`` and ``items.csv``; users of one taste hold like items.

    ``last_word``: what the last post ends in, to make tables that differ in one word.
    """
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    events = []
    for step, date in enumerate(DATES):
        for user in range(USERS):
            item = 6 * (user % 2) + (user // 2 + step) % 6
            words = [WORDS[item], *rng.choice(WORDS[ITEMS:], 4)]
            events.append([f"u{user}", f"i{item}", date, " ".join(words)])
    learnt = [row for row in events if row[2] < DATES[4]]
    learnt[-1][3] += f" {last_word}"
    header = ["user_id", "item_id", "timestamp", "text"]
    rows = [header, *events]
    lines = [",".join(row if dated else [row[0], row[1], row[3]]) for row in rows]
    (folder / "interactions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    items = [f"i{item},the {WORDS[item]} fund of {WORDS[-1 - item]}" for item in range(ITEMS)]
    (folder / "items.csv").write_text("\n".join(["item_id,name", *items]) + "\n", encoding="utf-8")
    return folder
