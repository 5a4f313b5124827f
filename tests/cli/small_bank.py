"""A bank of a few customers as CSV files, small enough to read, to preprocess and to train on."""

from __future__ import annotations

import json
from pathlib import Path

USERS, ITEMS = 24, 10
CUT = "2024-03-01"


def interactions() -> list[tuple[str, str, str]]:
    """Five purchases a customer, a fortnight apart from January to March 2024."""
    days = ("2024-01-05", "2024-01-19", "2024-02-02", "2024-02-16", "2024-03-08")
    return [
        (f"u{user}", f"i{(user + step * step) % ITEMS}", day)
        for step, day in enumerate(days)
        for user in range(USERS)
    ]


def write_tables(folder: Path) -> None:
    """Write interactions, items, users and ties."""
    folder.mkdir(parents=True)
    bought = [",".join(one) for one in interactions()]
    items = [f"i{one},Fund {one},{'bond' if one % 2 else 'share'}" for one in range(ITEMS)]
    users = [f"u{one},{'retail' if one % 3 else 'private'}" for one in range(USERS)]
    ties = [f"u{one},u{(one + 1) % USERS},2024-01-02" for one in range(USERS)]
    for name, header, rows in (
        ("interactions", "user_id,item_id,timestamp", bought),
        ("items", "item_id,title,kind", items),
        ("users", "user_id,segment", users),
        ("ties", "source_id,target_id,timestamp", ties),
    ):
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def write_split(file: Path, **changes: object) -> None:
    """Write a split file that fits the tables; ``changes`` replace or add keys."""
    split = {"time_point": CUT, "test_end": "2024-04-01", "test": {"u0": ["i5"]}, **changes}
    file.write_text(json.dumps(split), encoding="utf-8")
