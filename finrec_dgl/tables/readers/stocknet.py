"""StockNet (Xu and Cohen, ACL 2018), pseudonymised: who posted about which ticker, and ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.errors import DataError
from finrec_dgl.tables.choices import Suggested, choose_columns
from finrec_dgl.tables.columns import Field, load_table
from finrec_dgl.tables.contract import Tables, tie_end_faults
from finrec_dgl.tables.faults import Fault, mask, sift
from finrec_dgl.tables.options import ReadOptions
from finrec_dgl.tables.sheets import find_file, need_file

LOOKED_FOR = "interactions.csv, posts.csv and social.csv (with items.csv, users.csv)"
_ENDINGS = (".csv", ".csv.gz", ".csv.zst")


def fits(folder: Path) -> bool:
    """Whether there are interactions, posts and social ties."""
    return all(
        find_file(folder, stem, _ENDINGS) is not None
        for stem in ("interactions", "posts", "social")
    )


def read(folder: Path, options: ReadOptions) -> Tables:
    """Read the pseudonymised files. Raises DataError.

    - An interaction is a post that names a ticker, dated by created_at; its text is the post's.
    - Retweets are left out and counted, unless ``options.keep_retweets``: a retweet is a tie too,
      so that a tie would tell of an interaction.
    - Ties are dated by first_at; their kinds are retweet, reply, quote and mention.
    - A product without a company has its ticker in its place: most have no other text.
    - users.csv holds counts as of when it was gathered; only ``verified`` is a category, none text.
    """
    dropped: dict[str, int] = {}
    interactions = _interactions(folder, options, dropped)
    items = _named(_profiles(folder, "items", "item_id", ("company", "sector"), options, dropped))
    users = _profiles(folder, "users", "user_id", ("verified",), options, dropped)
    return Tables(
        interactions,
        items,
        users,
        _ties(folder, interactions, users, options, dropped),
        item_title=None if items is None else "company",
        format="stocknet",
        dropped=dropped,
        **choose_columns(
            options,
            items,
            users,
            item=Suggested(("company", "sector"), ("sector",)),
            user=Suggested(categories=("verified",)),
        ),
    )


def _named(items: pa.Table | None) -> pa.Table | None:
    if items is None:
        return None
    named = pc.coalesce(items["company"], items["item_id"])
    return items.set_column(items.column_names.index("company"), "company", named)


def _interactions(folder: Path, options: ReadOptions, dropped: dict[str, int]) -> pa.Table:
    path = need_file(folder, "interactions", _ENDINGS)
    loaded = load_table(
        path,
        "interactions",
        [
            Field("user_id", "id", required=True),
            Field("item_id", "id", required=True),
            Field("timestamp", "time", "created_at", required=True),
            Field("post_id", "id", required=True),
            Field("is_retweet", required=True),
        ],
        options,
        dropped,
    )
    posts = load_table(
        need_file(folder, "posts", _ENDINGS),
        "posts",
        [Field("post_id", "id", required=True), Field("text", required=True)],
        options,
        dropped,
    ).table
    table = loaded.table
    place = pc.index_in(table["post_id"], value_set=posts["post_id"].combine_chunks())
    table = table.append_column("text", posts["text"].combine_chunks().take(place))
    table = sift(
        table,
        _faults(table, place),
        loaded,
        name="interactions",
        on_bad_rows=options.on_bad_rows,
        dropped=dropped,
    )
    if not options.keep_retweets:
        own = table.filter(pc.equal(table["is_retweet"], "0"))
        if not own.num_rows:
            raise DataError(
                "all interactions are retweets", where=str(path), mend="pass --keep-retweets"
            )
        if own.num_rows < table.num_rows:
            dropped["retweets"] = table.num_rows - own.num_rows
        table = own
    return table.drop_columns(["post_id", "is_retweet"])


def _faults(table: pa.Table, place: pa.ChunkedArray) -> list[Fault]:
    flags = mask(pc.is_in(table["is_retweet"], value_set=pa.array(["0", "1"])))
    faults = [
        Fault(mask(pc.is_null(place)), "post_id", "not in the posts", "a post_id of posts.csv"),
        Fault(np.logical_not(flags), "is_retweet", "neither 0 nor 1", "0 or 1"),
    ]
    return [fault for fault in faults if fault.rows.any()]


def _profiles(
    folder: Path,
    name: str,
    id_column: str,
    columns: tuple[str, ...],
    options: ReadOptions,
    dropped: dict[str, int],
) -> pa.Table | None:
    path = find_file(folder, name, _ENDINGS)
    if path is None:
        return None
    fields = [
        Field(id_column, "id", required=True),
        *(Field(one, required=True) for one in columns),
    ]
    return load_table(path, name, fields, options, dropped).table


def _ties(
    folder: Path,
    interactions: pa.Table,
    users: pa.Table | None,
    options: ReadOptions,
    dropped: dict[str, int],
) -> pa.Table:
    loaded = load_table(
        need_file(folder, "social", _ENDINGS),
        "ties",
        [
            Field("source_id", "id", "src", required=True),
            Field("target_id", "id", "dst", required=True),
            Field("kind", required=True),
            Field("timestamp", "time", "first_at", required=True),
        ],
        options,
        dropped,
    )
    found = tie_end_faults(loaded.table, interactions, users)
    return sift(
        loaded.table, found, loaded, name="ties", on_bad_rows=options.on_bad_rows, dropped=dropped
    )
