"""Makes the tables of a made-up bank whose every cause of a purchase is known.

``World`` says how large it is and how strong each signal is, and documents the model;
``generate`` makes it in memory, ``write_world`` straight into files of any size, and ``oracle``
gives the scores by which its customers chose.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finrec_dgl.base.config import choice, to_mapping
from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.files import folder_atomically, write_json
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.tables.choices import suggest_columns, suggest_title
from finrec_dgl.tables.contract import Tables
from finrec_dgl.tables.world import prose
from finrec_dgl.tables.world.config import World
from finrec_dgl.tables.world.ids import item_id_array, user_id_array
from finrec_dgl.tables.world.oracle import NOT_ON_SALE, Oracle, oracle
from finrec_dgl.tables.world.population import TIE_KINDS, Population, populate
from finrec_dgl.tables.world.simulate import Simulation

__all__ = [
    "FILE_FORMATS",
    "MARKER",
    "NOT_ON_SALE",
    "Oracle",
    "World",
    "generate",
    "oracle",
    "write_tables",
    "write_world",
]

FILE_FORMATS = ("csv", "parquet")
_DISTINCT = ("user_id", "source_id", "target_id", "timestamp")
MARKER = "world.json"
"""The file that tells a folder of ours; it holds the World, for whoever makes it again."""


def generate(world: World, progress: Progress = SILENT) -> Tables:
    """The tables of ``world``, in memory.

    Interactions (user_id, item_id, timestamp, and text where the customer wrote something) are
    sorted by time; items carry the time of their launch, users that of joining, ties that of
    their beginning. Without ``texts`` there are ids, times and a few categories only.
    Raises DataError where the world is so small that nobody buys anything.
    """
    population = populate(world)
    items = _items(population)
    interactions = pa.Table.from_batches(
        list(_interactions(population, items, progress)), _interaction_schema(world)
    )
    users = _users(population)
    # the reader's own rule, so that a world read back from files is the same
    item, user = suggest_columns(items, "item_id"), suggest_columns(users, "user_id")
    return Tables(
        interactions=interactions,
        items=items,
        users=users,
        ties=_ties(population),
        item_text=item.text,
        item_categories=item.categories,
        item_numbers=item.numbers,
        user_text=user.text,
        user_categories=user.categories,
        user_numbers=user.numbers,
        item_title=suggest_title(items.column_names),
        format="generated",
        dropped={},
    )


def write_world(
    world: World,
    out: Path,
    file_format: str = "csv",
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> dict[str, int]:
    """Generate ``world`` straight into the folder ``out``; returns the rows of each table.

    The same rows as ``write_tables(generate(world), ...)``, but the interactions go to disk
    fortnight by fortnight, so that memory holds 4 bytes of each, not the table. The folder
    is complete or absent. Raises UsageError where ``out`` must not be replaced, DataError where
    the world is so small that nobody buys anything.
    """
    _check_format(file_format)
    with folder_atomically(Path(out), marker=MARKER, overwrite=overwrite) as folder:
        population = populate(world)
        items = _items(population)
        rows = {
            "interactions": _write(
                folder,
                "interactions",
                _interaction_schema(world),
                _interactions(population, items, progress),
                file_format,
            )
        }
        if not rows["interactions"]:
            raise DataError(
                "nobody bought anything in so small a world",
                mend="ask for more users or interactions_per_user",
            )
        others = {"items": items, "users": _users(population), "ties": _ties(population)}
        rows |= _write_others(folder, others, file_format)
        write_json(folder / MARKER, _manifest(world, rows))
    return rows


def write_tables(
    tables: Tables,
    out: Path,
    file_format: str = "csv",
    *,
    world: World | None = None,
    overwrite: bool = False,
) -> None:
    """Write ``tables`` into the folder ``out``, one file a table, as the ``tables`` reader reads.

    ``csv`` spells times in ISO 8601, ``parquet`` keeps seconds since 1970. ``world`` is noted in
    the marker file. The folder is complete or absent. Raises UsageError where ``out`` must not
    be replaced or the format is unknown.
    """
    _check_format(file_format)
    with folder_atomically(Path(out), marker=MARKER, overwrite=overwrite) as folder:
        others = {
            "interactions": tables.interactions,
            "items": tables.items,
            "users": tables.users,
            "ties": tables.ties,
        }
        rows = _write_others(folder, others, file_format)
        write_json(folder / MARKER, _manifest(world, rows))


def _check_format(file_format: str) -> None:
    problems = choice("file_format", file_format, FILE_FORMATS)
    if problems:
        raise UsageError("; ".join(problems), where="file_format")


def _manifest(world: World | None, rows: dict[str, int]) -> dict[str, Any]:
    return {"world": None if world is None else to_mapping(world), "rows": rows}


def _write_others(
    folder: Path, tables: dict[str, pa.Table | None], file_format: str
) -> dict[str, int]:
    return {
        name: _write(folder, name, table.schema, table.to_batches(), file_format)
        for name, table in tables.items()
        if table is not None
    }


def _write(folder: Path, name: str, schema: pa.Schema, batches: Any, file_format: str) -> int:
    """Write one table piece by piece; returns its rows."""
    path = folder / f"{name}.{file_format}"
    rows = 0
    with _writer(path, schema, file_format) as writer, ThreadPoolExecutor(1) as pool:
        written: Future[None] | None = None
        for batch in batches:
            if written is not None:
                written.result()
            # while the next batch is made
            spelt = _spell_times(batch) if file_format == "csv" else batch
            written = pool.submit(writer.write_batch, spelt)
            rows += batch.num_rows
        if written is not None:
            written.result()
    return rows


def _writer(path: Path, schema: pa.Schema, file_format: str) -> Any:
    # imported here: each takes a while and only one of them is needed
    if file_format == "parquet":
        from pyarrow import parquet

        # of values that hardly repeat within a fortnight a dictionary costs more than it saves
        repeated = [one for one in schema.names if one not in _DISTINCT]
        return parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeated)
    from pyarrow import csv

    if "timestamp" in schema.names:
        at = schema.get_field_index("timestamp")
        schema = schema.set(at, pa.field("timestamp", pa.string()))
    return csv.CSVWriter(path, schema, write_options=csv.WriteOptions(quoting_style="needed"))


def _spell_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    if "timestamp" not in batch.schema.names:
        return batch
    at = batch.schema.get_field_index("timestamp")
    times = batch.column(at).cast(pa.timestamp("s"))
    spelt = pc.strftime(times, format="%Y-%m-%dT%H:%M:%SZ")
    return batch.set_column(at, pa.field("timestamp", pa.string()), spelt)


def _interaction_schema(world: World) -> pa.Schema:
    columns = [("user_id", pa.string()), ("item_id", pa.string()), ("timestamp", pa.int64())]
    return pa.schema([*columns, ("text", pa.string())] if world.texts else columns)


def _interactions(
    population: Population, items: pa.Table, progress: Progress
) -> Iterator[pa.RecordBatch]:
    world = population.world
    ids = items["item_id"].combine_chunks()
    names = items["name"].to_pylist() if world.texts else []
    for number, batch in enumerate(Simulation(population).batches(progress)):
        columns = [
            user_id_array(batch.user, world.users),
            ids.take(pa.array(batch.item)),
            pa.array(batch.time),
        ]
        if world.texts:
            columns.append(pa.array(prose.reviews(population, batch, number, names), pa.string()))
        yield pa.RecordBatch.from_arrays(columns, schema=_interaction_schema(world))


def _items(population: Population) -> pa.Table:
    facts = prose.facts(population)
    columns = {"item_id": item_id_array(population), "timestamp": pa.array(population.launched)}
    if not population.world.texts:
        return pa.table({**columns, **facts})
    currencies = facts["currency"].to_pylist()
    texts = {
        name: pa.array(values, pa.string())
        for name, values in prose.product_texts(population, currencies).items()
    }
    return pa.table({**columns, "name": texts.pop("name"), **facts, **texts})


def _users(population: Population) -> pa.Table:
    world = population.world
    told = prose.profiles(population) if world.texts else prose.plain_profiles(population)
    columns = {name: pa.array(values, pa.string()) for name, values in told.items()}
    ids = user_id_array(np.arange(world.users), world.users)
    return pa.table({"user_id": ids, "timestamp": pa.array(population.joined), **columns})


def _ties(population: Population) -> pa.Table | None:
    ties, users = population.ties, population.world.users
    if not len(ties.source):
        return None
    return pa.table(
        {
            "source_id": user_id_array(ties.source, users),
            "target_id": user_id_array(ties.target, users),
            "kind": pa.array(TIE_KINDS).take(pa.array(ties.kind)),
            "timestamp": pa.array(ties.time),
        }
    )
