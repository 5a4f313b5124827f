"""Makes a data set on disk from tables: splits, nodes, edges, profiles, text vectors."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from finrec_dgl._version import __version__
from finrec_dgl.base.config import choice, from_mapping, refuse, to_mapping
from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.files import (
    check_writable_folder,
    folder_atomically,
    save_arrays,
    sha256,
    write_json,
)
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset import layout
from finrec_dgl.dataset.coding import Coded, code_tables
from finrec_dgl.dataset.cold import Cold, draw_cold, without_cold
from finrec_dgl.dataset.columns import add_counts
from finrec_dgl.dataset.edge_arrays import edge_arrays
from finrec_dgl.dataset.events import (
    assign_events,
    core_events,
    held_pairs,
    interaction_arrays,
    post_arrays,
    target_arrays,
    where,
)
from finrec_dgl.dataset.ids import USER_IDS, id_key, key_check
from finrec_dgl.dataset.nodes import Nodes, find_nodes
from finrec_dgl.dataset.profiles import Versions, item_table, profile_versions
from finrec_dgl.dataset.splits import Assignment, SplitOptions, iso
from finrec_dgl.dataset.store import Dataset, load_dataset
from finrec_dgl.dataset.texts import Parts, distinct_texts, encode, rendered
from finrec_dgl.dataset.ties import tie_arrays
from finrec_dgl.tables import FORMATS, ReadOptions
from finrec_dgl.tables.contract import Tables
from finrec_dgl.tables.reading import read_source
from finrec_dgl.tables.splits import read_split_file
from finrec_dgl.text import EncoderSpec


@dataclass(frozen=True)
class PreprocessOptions:
    """How a data set is made from tables.

    - ``format`` and ``read``: as ``finrec_dgl.tables.read_source`` takes them.
    - ``split``: which interactions are training, validation and test.
    - ``k_core``: keep users and items with at least so many distinct pairs before the cut, among
      those left (0, the default: keep all). The nodes are then only those of the core.
    - ``encoder``: of texts; the name ``none`` leaves text out. ``cache``: a folder in which vectors
      are kept between runs; None: no cache.
    - ``user_ids``: ``keep`` stores users' ids as they are; ``hashed`` stores their HMAC-SHA256
      under the secret of the environment variable FINREC_DGL_ID_KEY, which is stored nowhere;
      ``none`` stores none, and a user's id is the node number, in the order of the sorted ids.

    Texts are never stored, but their vectors are, and so are the names of categories.

    Raises ConfigError that names every problem.
    """

    format: str = "auto"
    read: ReadOptions = field(default_factory=ReadOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    k_core: int = 0
    encoder: EncoderSpec = field(default_factory=EncoderSpec)
    cache: str | None = None
    user_ids: str = "keep"

    def __post_init__(self) -> None:
        problems = choice("format", self.format, ("auto", *FORMATS))
        problems += choice("user_ids", self.user_ids, USER_IDS)
        if self.k_core < 0:
            problems.append(f"k_core is {self.k_core}, expected 0 or more")
        refuse(problems, where="preprocessing")


def preprocess(
    source: str | Path,
    out: str | Path,
    options: PreprocessOptions | None = None,
    progress: Progress = SILENT,
    overwrite: bool = False,
) -> Dataset:
    """Read the folder ``source`` and write the data set ``out``, which is complete or absent.

    Raises DataError for tables that cannot be used, UsageError for options that do not fit them or
    for an ``out`` that is in the way (an earlier data set is replaced with ``overwrite`` only).
    """
    options = options or PreprocessOptions()
    check_writable_folder(Path(out), marker=layout.MANIFEST, overwrite=overwrite)
    progress.note("reading tables")
    tables = read_source(source, format=options.format, options=options.read)
    return build_dataset(
        tables, out, options, progress, overwrite, source=Path(source).resolve().name
    )


def build_dataset(
    tables: Tables,
    out: str | Path,
    options: PreprocessOptions | None = None,
    progress: Progress = SILENT,
    overwrite: bool = False,
    *,
    source: str | None = None,
) -> Dataset:
    """The same from ``tables`` in memory; ``source`` is their name in the manifest."""
    out, options = Path(out), options or PreprocessOptions()
    check_writable_folder(out, marker=layout.MANIFEST, overwrite=overwrite)
    key = id_key() if options.user_ids == "hashed" else None
    progress.note("splitting")
    dropped: dict[str, int] = dict(tables.dropped)
    known = _known(tables, options, key, dropped)
    assignment, nodes, interactions = known.assignment, known.nodes, known.interactions
    coded, items, users, cold = known.coded, known.items, known.users, known.cold
    held = held_pairs(
        interactions["user"], interactions["item"], len(nodes.users), len(nodes.items)
    )
    targets = target_arrays(coded, interactions, held, nodes, assignment, cold, dropped)
    kinds, ties = tie_arrays(coded, nodes, assignment.cut, dropped)
    relations, edges = edge_arrays(coded, nodes, assignment.cut, dropped)
    vectors, codes, encoder = encode(known.texts, options.encoder, options.cache, progress)
    items.arrays["item_text"], users.arrays["user_text"], interactions["text"], about = codes
    if cold is not None and cold.side == "item":
        interactions.update(post_arrays(known.removed, nodes, about))

    progress.note("writing")
    manifest: dict[str, Any] = {
        "schema_version": layout.SCHEMA_VERSION,
        "finrec_dgl": __version__,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "hash": "",
        "source": _source(tables, source),
        "options": _record(options),
        "split": {
            **_split_record(assignment, options.split.split_file),
            "cold_side": options.split.cold_side,
        },
        "counts": {
            "users": len(nodes.users),
            "items": len(nodes.items),
            "interactions": len(interactions["user"]),
            "ties": {kind: int((ties["kind"] == code).sum()) for code, kind in enumerate(kinds)},
            "edges": {name: len(edges[f"{name}.src"]) for name in relations},
            "texts": len(vectors),
            "valid_targets": len(targets["valid_user"]),
            "test_targets": len(targets["test_user"]),
        },
        "dropped": {reason: count for reason, count in sorted(dropped.items()) if count},
        "ties": kinds,
        "edges": relations,
        "categories": {"item": items.names, "user": users.names},
        "numbers": {"item": list(items.numbers), "user": list(users.numbers)},
        "text": {"dim": vectors.shape[1], "encoder": encoder},
        "user_ids": {
            "stored": options.user_ids,
            "key_check": None if key is None else key_check(key),
        },
    }
    arrays = {
        layout.INTERACTIONS: interactions,
        layout.TIES: ties,
        layout.EDGES: edges,
        layout.PROFILES: {**items.arrays, **users.arrays},
        layout.VECTORS: {"vectors": vectors},
        layout.SPLITS: targets,
    }
    stored_users = nodes.stored_users(options.user_ids)
    named = {
        layout.USER_IDS: pa.table({"id": stored_users}),
        layout.ITEM_IDS: pa.table({"id": nodes.items}),
        layout.ITEMS: item_table(tables, nodes.items, items),
    }
    manifest["ids"] = {
        "users": layout.ids_digest(stored_users),
        "items": layout.ids_digest(nodes.items),
    }
    with folder_atomically(out, marker=layout.MANIFEST, overwrite=overwrite) as folder:
        _write(folder, arrays, named, manifest)
    made = load_dataset(out, verify=False)
    made.keep_sorted(held.events)
    return made


@dataclass(frozen=True, eq=False)
class _Known:
    """What was known before the cut.

    ``removed``: events of held-out items, of which only the texts stay. ``texts``: of items'
    profiles, users' profiles, posts and those, which come last, so that no other text's row depends
    on them.
    """

    coded: Coded
    assignment: Assignment
    nodes: Nodes
    cold: Cold | None
    removed: pa.Table
    interactions: dict[str, Any]
    items: Versions
    users: Versions
    texts: Parts


def _known(
    tables: Tables, options: PreprocessOptions, key: bytes | None, dropped: dict[str, int]
) -> _Known:
    split_file = options.split.split_file
    given = read_split_file(split_file) if split_file else tables.given
    dated = "timestamp" in tables.interactions.column_names
    if options.split.resolve(given=given is not None, dated=dated) != "given":
        given = None
    coded = code_tables(tables, given)
    assignment = assign_events(coded, options.split)
    add_counts(dropped, assignment.left_out)
    events = coded.events.append_column("stage", pa.array(assignment.stage))
    fit = where(events, assignment.fit)
    fit = core_events(coded, fit, options.k_core, dropped)
    cold = draw_cold(coded, fit, options.split)
    nodes = find_nodes(coded, fit, assignment, cold, core=options.k_core > 0, key=key)
    fit, removed = without_cold(fit, cold, dropped)
    interactions = interaction_arrays(fit, nodes)
    items = profile_versions(coded, "item", nodes, assignment.cut, dropped)
    users = profile_versions(coded, "user", nodes, assignment.cut, dropped)
    encoded = options.encoder.name != "none"
    told = (
        rendered(tables, "item", items.rows if encoded else None),
        rendered(tables, "user", users.rows if encoded else None),
        interactions.pop("post"),
        removed["text"] if "text" in removed.column_names else None,
    )
    rows = (items.arrays["item_node"], users.arrays["user_node"], fit, removed)
    texts = [(column, len(of)) for column, of in zip(told, rows, strict=True)]
    return _Known(coded, assignment, nodes, cold, removed, interactions, items, users, texts)


def read_texts(
    dataset: Dataset, tables: Tables | str | Path, split_file: str | Path | None = None
) -> list[str]:
    """The texts of which ``dataset`` keeps the vectors, in their order, from its ``tables`` again.

    ``tables``: the folder it was made from, read as it was then, or tables in memory;
    ``split_file``: the one it was made with, if any. The texts are all from before the cut.

    Raises DataError where the tables are not those that the data set was made from, UsageError
    where the split file is lacking.
    """
    record = dataset.manifest["options"]
    options = from_mapping(PreprocessOptions, record, where=str(dataset.path / layout.MANIFEST))
    options = replace(options, split=_split_again(dataset, options.split, split_file))
    if not isinstance(tables, Tables):
        tables = read_source(
            tables, format=dataset.manifest["source"]["format"], options=options.read
        )
    key = id_key() if options.user_ids == "hashed" else None
    known = _known(tables, options, key, {})
    ids = {
        "users": layout.ids_digest(known.nodes.stored_users(options.user_ids)),
        "items": layout.ids_digest(known.nodes.items),
    }
    texts, codes = distinct_texts(known.texts)
    stored = (dataset.item_profiles.text, dataset.user_profiles.text, dataset.interactions.text)
    # those of held-out items follow in an order of their own; their number is held by the total
    same = [np.array_equal(one, other) for one, other in zip(codes, stored, strict=False)]
    same_ids = ids == dataset.manifest["ids"]
    if not same_ids or not all(same) or len(texts) != len(dataset.vectors):
        raise DataError(
            f"the tables give other {'texts' if same_ids else 'users or items'} than the data set"
            " holds",
            expected="the tables that the data set was made from, unchanged",
            where=str(dataset.path),
            mend="name the right tables, or make the data set again from these",
        )
    return texts


def _split_again(
    dataset: Dataset, options: SplitOptions, split_file: str | Path | None
) -> SplitOptions:
    """The options of the split that ``dataset`` was made with, the split's file at its place."""
    if options.split_file is None:
        return options
    if split_file is None:
        raise UsageError(
            f"the data set was made with the split file {options.split_file}",
            expected="the same split file",
            where=str(dataset.path),
            mend="name it with --split-file",
        )
    read_split_file(split_file)  # says what is wrong with a file that is no split
    if sha256(Path(split_file)) != dataset.manifest["split"]["file_sha256"]:
        raise DataError(
            "the split file is not the one that the data set was made with",
            expected=f"{options.split_file}, unchanged",
            where=str(split_file),
        )
    return replace(options, split_file=str(split_file))


def _source(tables: Tables, name: str | None) -> dict[str, Any]:
    return {
        "format": tables.format,
        "name": name,
        "item_text": list(tables.item_text),
        "item_categories": list(tables.item_categories),
        "item_numbers": list(tables.item_numbers),
        "item_title": tables.item_title,
        "user_text": list(tables.user_text),
        "user_categories": list(tables.user_categories),
        "user_numbers": list(tables.user_numbers),
    }


def _record(options: PreprocessOptions) -> dict[str, Any]:
    """The options as JSON, without what differs from one machine to the next."""
    record = to_mapping(options)
    del record["cache"]
    if record["split"]["split_file"] is not None:
        record["split"]["split_file"] = Path(record["split"]["split_file"]).name
    if Path(record["encoder"]["name"]).is_dir():
        record["encoder"]["name"] = Path(record["encoder"]["name"]).resolve().name
    return record


def _split_record(assignment: Assignment, split_file: str | None) -> dict[str, Any]:
    times = {name: getattr(assignment, name) for name in ("cut", "valid_cut", "test_end")}
    return {
        "kind": assignment.kind,
        **{name: None if time is None else iso(time) for name, time in times.items()},
        "file_sha256": None if split_file is None else sha256(Path(split_file)),
    }


def _write(
    folder: Path,
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    tables: Mapping[str, pa.Table],
    manifest: dict[str, Any],
) -> None:
    (folder / "ids").mkdir()
    for name, table in tables.items():
        pq.write_table(table, folder / name)
    for name, group in arrays.items():
        save_arrays(folder / name, group)
    with ThreadPoolExecutor(2) as pool:
        hashes = pool.map(lambda name: sha256(folder / name), layout.FILES)
        manifest["files"] = dict(zip(layout.FILES, hashes, strict=True))
    manifest["hash"] = layout.dataset_hash(manifest)
    write_json(folder / layout.MANIFEST, manifest)
