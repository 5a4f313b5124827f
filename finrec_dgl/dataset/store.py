"""A data set on disk, opened and checked: snapshots of any moment before the cut, and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from finrec_dgl.base.config import choice
from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.files import map_arrays, read_json, sha256
from finrec_dgl.dataset import ids as id_tools
from finrec_dgl.dataset import layout
from finrec_dgl.dataset.edges import ExtraEdges, Relation, stored_edges
from finrec_dgl.dataset.snapshot import (
    Pairs,
    Profiles,
    Snapshot,
    SortedPairs,
    StoredTexts,
    sort_pairs,
    without_nodes,
)
from finrec_dgl.dataset.splits import iso
from finrec_dgl.tables.dates import parse_date

if TYPE_CHECKING:
    from finrec_dgl.graph import TemporalGraph

_REMAKE = "make the data set again with preprocess"


@dataclass(frozen=True, eq=False)
class Interactions:
    """The events before the cut, sorted by time; all arrays [n].

    ``user``, ``item`` int32; ``time`` int64 (seconds since 1970 UTC) and ``weight`` float32, or
    None; ``text`` int32: a row of the vectors, -1 none; ``valid`` bool: of the validation part.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray | None
    weight: np.ndarray | None
    text: np.ndarray
    valid: np.ndarray

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True, eq=False)
class ItemPosts:
    """Distinct texts about items, without who wrote them, for the interactions are held out.

    All arrays [n]: ``item`` int32; ``text`` int32: a row of the vectors; ``time`` int64: when first
    written, None undated; ``valid`` bool: not before validation.
    """

    item: np.ndarray
    text: np.ndarray
    time: np.ndarray | None
    valid: np.ndarray


@dataclass(frozen=True, eq=False)
class Ties:
    """Distinct ties before the cut: ``kinds`` are the names of the codes ``kind`` int16 [n].

    ``source``, ``target`` int32; ``time`` int64: when the tie was first seen, None undated.
    """

    kinds: tuple[str, ...]
    source: np.ndarray
    target: np.ndarray
    kind: np.ndarray
    time: np.ndarray | None

    def before(self, time: int | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """kind -> (source, target) of the ties seen before ``time``; undated ones always."""
        early = np.ones(len(self.kind), bool)
        if time is not None and self.time is not None:
            early = self.time < time
        found = {}
        for code, name in enumerate(self.kinds):
            rows = np.flatnonzero(early & (self.kind == code))
            found[name] = (self.source[rows], self.target[rows])
        return found


@dataclass(frozen=True, eq=False)
class Dataset:
    """What ``preprocess`` made. Nothing in it is dated at or after the cut but the test targets.

    ``manifest``: how it was made; ``user_ids``: ids as stored, by node number; ``items``: columns
    id, title, category.*; ``vectors`` float16 or float32 [texts, d]; ``item_profiles`` and
    ``user_profiles``: the versions of profiles; ``cold_posts``: what was written in
    interactions with held-out items, which are not stored; ``extra_edges``: relation -> the edges
    of an edge table.
    """

    path: Path
    manifest: Mapping[str, Any]
    user_ids: pa.Array
    items: pa.Table
    interactions: Interactions
    cold_posts: ItemPosts
    ties: Ties
    item_profiles: Profiles
    user_profiles: Profiles
    vectors: np.ndarray
    splits: Mapping[str, np.ndarray]
    extra_edges: Mapping[Relation, ExtraEdges]

    @property
    def n_users(self) -> int:
        """Users, with edges or without."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Items, with edges or without."""
        return len(self.items)

    @property
    def hash(self) -> str:
        """SHA-256 of contents and options; two data sets that share it are the same."""
        return str(self.manifest["hash"])

    @property
    def cut(self) -> int | None:
        """Seconds since 1970 UTC where the test begins; None where the split is not by date."""
        return self._date("cut")

    @property
    def valid_cut(self) -> int | None:
        """Seconds since 1970 UTC where validation begins; None where the split is not by date."""
        return self._date("valid_cut")

    @property
    def test_end(self) -> int | None:
        """Seconds since 1970 UTC where the test ends; None where it has no end."""
        return self._date("test_end")

    def _date(self, name: str) -> int | None:
        text = self.manifest["split"][name]
        return None if text is None else parse_date(text)

    @property
    def cold_side(self) -> str | None:
        """``item`` or ``user``: of which some are held out; None where none are."""
        side = self.manifest["split"].get("cold_side")
        return None if side is None else str(side)

    def cold(self, split: str) -> np.ndarray:
        """bool [nodes of ``cold_side``]: those held out as ``valid`` or ``test`` begins.

        None of them has an interaction in the snapshot to learn from: those of ``valid`` (which
        are the test's and some more) in "train", those of ``test`` in "fit". Raises UsageError for
        another split, DataError where none are held out.
        """
        self._check_split(split)
        if self.cold_side is None:
            raise DataError(
                "no items or users are held out in this data set",
                expected="a data set made with --split cold-items or cold-users",
                where=str(self.path),
            )
        return self.splits[f"{split}_cold"]

    @property
    def item_ids(self) -> pa.Array:
        """string [I], by node number."""
        return self.items["id"].combine_chunks()

    @cached_property
    def item_titles(self) -> pa.Array:
        """string [I]: what people call the item; its id where it has no title."""
        ids = self.item_ids
        if "title" not in self.items.column_names:
            return ids
        return pc.coalesce(self.items["title"].combine_chunks(), ids)

    @property
    def item_category_names(self) -> dict[str, tuple[str, ...]]:
        """column -> the names of its codes."""
        return {name: tuple(one) for name, one in self.manifest["categories"]["item"].items()}

    @property
    def user_category_names(self) -> dict[str, tuple[str, ...]]:
        """column -> the names of its codes."""
        return {name: tuple(one) for name, one in self.manifest["categories"]["user"].items()}

    @property
    def item_number_names(self) -> tuple[str, ...]:
        """The columns of ``Snapshot.item_numbers``."""
        return tuple(self.manifest["numbers"]["item"])

    @property
    def user_number_names(self) -> tuple[str, ...]:
        """The columns of ``Snapshot.user_numbers``."""
        return tuple(self.manifest["numbers"]["user"])

    def snapshot(self, stage: str) -> Snapshot:
        """What may be learnt from: ``train``: without the validation part; ``fit``: all.

        Interactions of nodes held out for validation are in ``fit`` alone. Made once. Raises
        UsageError for another stage.
        """
        if stage == "train":
            return self._train
        if stage == "fit":
            return self._fit
        raise UsageError(choice("stage", stage, ("train", "fit"))[0])

    @cached_property
    def _sorted(self) -> SortedPairs:
        """All events by user, then item, then time."""
        events = self.interactions
        return sort_pairs(events.user, events.item, self.n_users, self.n_items)

    def keep_sorted(self, events: SortedPairs) -> None:
        """Take the interactions by user, item and time from who has sorted them already."""
        self.__dict__["_sorted"] = events

    def graph(self) -> TemporalGraph:
        """The temporal graph of everything before the cut: users, items, interactions and ties.

        Made once. ``graph().as_of(time)`` is the graph as of any earlier time, without a rebuild.
        Interactions of the validation part are in it from their time on.
        """
        return self._graph

    @cached_property
    def _graph(self) -> TemporalGraph:
        from finrec_dgl.dataset.graph import temporal_graph

        return temporal_graph(self, self._sorted)

    def forget(self, stage: str) -> None:
        """Let go of the snapshot of ``stage``, its graph with it; it is made anew when asked for.

        Of a hundred million interactions they are gigabytes.
        """
        self.__dict__.pop(f"_{stage}", None)

    @cached_property
    def _train(self) -> Snapshot:
        about = self._about(~self.cold_posts.valid)
        learnt = ~self.interactions.valid
        every = self._snapshot(learnt, self.valid_cut, about, self.interactions.text)
        if self.cold_side is None:
            return every
        return without_nodes(every, self.cold_side, self.cold("valid"))

    @cached_property
    def _fit(self) -> Snapshot:
        everything = np.ones(len(self.interactions), bool)
        return self._snapshot(
            everything, self.cut, self._about(slice(None)), self.interactions.text
        )

    def _about(self, rows: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.cold_posts.item[rows], self.cold_posts.text[rows]

    def as_of(self, time: int) -> Snapshot:
        """The world just before ``time`` (seconds since 1970 UTC), made anew at each call.

        Nodes held out for the test have no interactions in it; those held out for validation do.
        Raises DataError where the split is not by date, or ``time`` is after the cut.
        """
        times = self._times("as_of")
        self._refuse_late(time)
        about = self._about_before(time)
        return self._snapshot(times < time, time, about, self.interactions.text)

    def _about_before(self, time: int | None) -> tuple[np.ndarray, np.ndarray]:
        posts = self.cold_posts
        if time is None or posts.time is None:
            return self._about(slice(None))
        return self._about(posts.time < time)

    def texts_as_of(self, time: int | None) -> StoredTexts:
        """What the text vectors of nodes are read from just before ``time``.

        ``time``: seconds since 1970 UTC; None: everything before the cut.
        """
        times, events = self.interactions.time, self.interactions.text
        stop = len(events)
        if time is not None and times is not None:
            stop = int(np.searchsorted(times, time))
        told = np.flatnonzero(events[:stop] >= 0)
        return self._texts(
            told, self.cut if time is None else time, self._about_before(time), events
        )

    def window(self, start: int, end: int) -> Pairs:
        """The pairs first seen in [start, end), in seconds since 1970 UTC: not held before.

        Raises DataError where the split is not by date, or the window reaches over the cut.
        """
        times = self._times("window")
        if start >= end:
            raise UsageError(f"the window from {iso(start)} to {iso(end)} is empty")
        self._refuse_late(end)
        first, stop = np.searchsorted(times, (start, end))
        by_pair = self._sorted
        begins = by_pair.begins
        seen_first = by_pair.order[begins]
        new = begins[(seen_first >= first) & (seen_first < stop)]
        return Pairs(by_pair.user[new], by_pair.item[new])

    def _times(self, what: str) -> np.ndarray:
        if self.interactions.time is None or self.cut is None:
            raise DataError(
                f"{what} needs a split by date, and this one is {self.manifest['split']['kind']}",
                expected="timestamps, and a split that is temporal or given with its date",
                where=str(self.path),
            )
        return self.interactions.time

    def _refuse_late(self, time: int) -> None:
        if self.cut is not None and time > self.cut:
            raise DataError(
                f"{iso(time)} is after the cut: what follows it is the test's",
                expected=f"a time not after {iso(self.cut)}",
                where=str(self.path),
            )

    def _snapshot(
        self,
        rows: np.ndarray,
        time: int | None,
        about: tuple[np.ndarray, np.ndarray],
        text: np.ndarray,
    ) -> Snapshot:
        """Of the interactions ``rows`` (bool [n]), their ``text``, and texts ``about`` items."""
        events = self.interactions
        by_pair, count = self._sorted, int(np.count_nonzero(rows))
        if count < len(rows):
            # the earliest ones are known by their numbers, without looking each up
            early = rows[:count].all()
            by_pair = by_pair.where(by_pair.order < count if early else rows[by_pair.order])
        ends = by_pair.ends
        times = events.time
        seen_until = time
        if time is None and times is not None and rows.any():
            seen_until = int(times[len(rows) - 1 - int(rows[::-1].argmax())]) + 1
        told = np.flatnonzero(rows & (text >= 0))
        items = self.item_profiles.latest(self.n_items, time)
        users = self.user_profiles.latest(self.n_users, time)
        return Snapshot(
            n_users=self.n_users,
            n_items=self.n_items,
            time=seen_until,
            pairs=Pairs(by_pair.user[ends], by_pair.item[ends]),
            count=np.diff(ends, prepend=-1).astype(np.float32),
            last=None if times is None else times[by_pair.order[ends]],
            ties=self.ties.before(time),
            item_categories=self.item_profiles.categories_at(items),
            user_categories=self.user_profiles.categories_at(users),
            texts=self._texts(told, time, about, text),
            item_values=self.item_profiles.numbers_at(items),
            user_values=self.user_profiles.numbers_at(users),
            edges={relation: one.before(time) for relation, one in self.extra_edges.items()},
        )

    def _texts(
        self,
        told: np.ndarray,
        time: int | None,
        about: tuple[np.ndarray, np.ndarray],
        text: np.ndarray,
    ) -> StoredTexts:
        """Of the interactions ``told`` (their numbers), with profiles before ``time``."""
        events = self.interactions
        items = self.item_profiles.latest(self.n_items, time)
        users = self.user_profiles.latest(self.n_users, time)
        return StoredTexts(
            self.vectors,
            events.user[told],
            events.item[told],
            text[told],
            self.user_profiles.text_at(users),
            self.item_profiles.text_at(items),
            *about,
        )

    def targets(self, split: str) -> Pairs:
        """The pairs to be found in ``valid`` or ``test``: none is in the snapshot to learn from."""
        self._check_split(split)
        return Pairs(self.splits[f"{split}_user"], self.splits[f"{split}_item"])

    def candidates(self, split: str) -> np.ndarray:
        """bool [I]: the items that may be recommended in ``valid`` or ``test``."""
        self._check_split(split)
        return self.splits[f"{split}_candidates"]

    def _check_split(self, split: str) -> None:
        problems = choice("split", split, ("valid", "test"))
        if problems:
            raise UsageError(problems[0])

    def user_index(self, id: str) -> int:
        """The node number of the user ``id``, given as in the tables (or as stored, if hashed).

        Raises DataError for an unknown user, UsageError where ids are hashed and the key is absent.
        """
        index = int(self.user_indices([id])[0])
        if index >= 0:
            return index
        stored = self.manifest["user_ids"]["stored"]
        hint = {
            "none": "ids are not stored in this data set: give a node number",
            "hashed": "ids are hashed in this data set: give the id as it was in the tables",
        }.get(stored, "ids are the tables' own: mind capitals, spaces and leading zeros")
        raise DataError(
            f"unknown user {id!r}",
            expected=f"one of the {self.n_users:,} users known before the cut",
            where=str(self.path),
            mend=hint,
        )

    def item_index(self, id: str) -> int:
        """The node number of the item ``id``. Raises DataError for an unknown item."""
        index = int(self.item_indices([id])[0])
        if index >= 0:
            return index
        raise DataError(
            f"unknown item {id!r}",
            expected=f"one of the {self.n_items:,} items known before the cut",
            where=str(self.path),
            mend="ids are the tables' own: mind capitals, spaces and leading zeros",
        )

    def user_indices(self, ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> np.ndarray:
        """int32 [ids]: node numbers, -1 for unknown users."""
        values = _strings(ids)
        index = _positions(values, self.user_ids)
        if self.manifest["user_ids"]["stored"] == "hashed" and np.any(index < 0):
            key = id_tools.id_key()
            if id_tools.key_check(key) != self.manifest["user_ids"]["key_check"]:
                raise UsageError(
                    f"{id_tools.KEY_VARIABLE} is not the key this data set was made with",
                    where=str(self.path),
                    mend="set it to the value it had then",
                )
            rows = np.flatnonzero(index < 0)
            hashed = id_tools.hash_ids(values.take(pa.array(rows)), key)
            index[rows] = id_tools.node_of(hashed, self.user_ids)
        return index

    def item_indices(self, ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> np.ndarray:
        """int32 [ids]: node numbers, -1 for unknown items."""
        return _positions(_strings(ids), self.item_ids)


def _strings(ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> pa.Array | pa.ChunkedArray:
    if isinstance(ids, (pa.Array, pa.ChunkedArray)):
        return ids.cast(pa.string())
    if not all(isinstance(one, str) for one in ids):
        raise UsageError("an id is not a string", expected="ids as in the tables")
    # pa.array would import pandas, which takes a third of a second
    texts = [one.encode() for one in ids]
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    return pa.StringArray.from_buffers(
        len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))
    )


def _positions(values: pa.Array | pa.ChunkedArray, ids: pa.Array) -> np.ndarray:
    if len(values) == 1:  # a look through the ids is cheaper than hashing them all
        return np.array([pc.index(ids, values[0]).as_py()], np.int32)
    return id_tools.node_of(values, ids)


def load_dataset(path: str | Path, verify: bool = True) -> Dataset:
    """Open the data set in the folder ``path``.

    ``verify``: compare every file with its hash in the manifest; what the arrays hold is checked
    always. Raises DataError where it is no data set, of a newer schema, changed or incomplete.
    """
    path = Path(path)
    manifest = _manifest(path)
    if verify:
        _verify(path, manifest)
    counts = manifest["counts"]
    user_ids = _read_table(path, layout.USER_IDS)["id"].combine_chunks()
    items = _read_table(path, layout.ITEMS)
    for what, found in (("users", user_ids), ("items", items)):
        if len(found) != counts[what]:
            raise _unlike(path, f"there are {len(found)} {what}, the manifest says {counts[what]}")
    groups = {
        name: map_arrays(path / name, what="data set's file")
        for name in (
            layout.INTERACTIONS,
            layout.TIES,
            layout.EDGES,
            layout.PROFILES,
            layout.VECTORS,
            layout.SPLITS,
        )
    }
    _check_arrays(path, manifest, groups)
    events, ties, profiles = (
        groups[name] for name in (layout.INTERACTIONS, layout.TIES, layout.PROFILES)
    )
    return Dataset(
        path=path,
        manifest=manifest,
        user_ids=user_ids,
        items=items,
        interactions=Interactions(
            events["user"],
            events["item"],
            events.get("time"),
            events.get("weight"),
            events["text"],
            events["valid"],
        ),
        cold_posts=ItemPosts(
            events.get("post_item", np.zeros(0, np.int32)),
            events.get("post_text", np.zeros(0, np.int32)),
            events.get("post_time"),
            events.get("post_valid", np.zeros(0, bool)),
        ),
        ties=Ties(
            tuple(manifest["ties"]),
            ties["source"],
            ties["target"],
            ties["kind"],
            ties.get("time"),
        ),
        item_profiles=_profiles(profiles, "item", manifest["numbers"]["item"]),
        user_profiles=_profiles(profiles, "user", manifest["numbers"]["user"]),
        vectors=groups[layout.VECTORS]["vectors"],
        splits=groups[layout.SPLITS],
        extra_edges=stored_edges(manifest, groups[layout.EDGES]),
    )


def _profiles(arrays: Mapping[str, np.ndarray], side: str, numbers: Sequence[str]) -> Profiles:
    prefix = f"{side}_category."
    categories = {
        name.removeprefix(prefix): codes
        for name, codes in sorted(arrays.items())
        if name.startswith(prefix)
    }
    return Profiles(
        arrays[f"{side}_node"],
        arrays[f"{side}_time"],
        arrays[f"{side}_text"],
        categories,
        {name: arrays[f"{side}_number.{name}"] for name in numbers},
    )


def _manifest(path: Path) -> dict[str, Any]:
    if not (path / layout.MANIFEST).is_file():
        absent = "holds no data set" if path.is_dir() else "does not exist"
        raise DataError(
            f"the folder {absent}",
            expected=f"a folder with a {layout.MANIFEST}, made by preprocess",
            where=str(path),
        )
    manifest = read_json(path / layout.MANIFEST, what="data set's manifest")
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int):
        raise _unlike(path, f"{layout.MANIFEST} is not the manifest of a data set")
    if version > layout.SCHEMA_VERSION:
        raise DataError(
            f"the data set is of schema {version}, made by a newer finrec-dgl",
            expected=f"schema {layout.SCHEMA_VERSION} or older",
            where=str(path),
            mend="upgrade finrec-dgl, or make the data set again with this one",
        )
    if version < layout.SCHEMA_VERSION:
        raise DataError(
            f"the data set is of schema {version}, which is no longer read",
            expected=f"schema {layout.SCHEMA_VERSION}",
            where=str(path),
            mend=_REMAKE,
        )
    keys = (
        "hash",
        "source",
        "options",
        "split",
        "counts",
        "dropped",
        "ties",
        "categories",
        "numbers",
    )
    absent_keys = [
        key for key in (*keys, "text", "user_ids", "ids", "files") if key not in manifest
    ]
    if absent_keys:
        raise _unlike(path, f"the manifest lacks {', '.join(absent_keys)}")
    return dict(manifest)


def _verify(path: Path, manifest: Mapping[str, Any]) -> None:
    if set(manifest["files"]) != set(layout.FILES):
        raise _unlike(path, "the manifest does not list the files of a data set")
    for name in layout.FILES:
        expected = manifest["files"][name]
        file = path / name
        if not file.is_file():
            raise _unlike(path, f"the file {name} is missing")
        if sha256(file) != expected:
            raise _unlike(path, f"the file {name} was changed since it was written")
    if layout.dataset_hash(manifest) != manifest["hash"]:
        raise _unlike(path, "the manifest was changed since it was written")


def _read_table(path: Path, name: str) -> pa.Table:
    try:
        return pq.ParquetFile(path / name).read()
    except FileNotFoundError as error:
        raise _unlike(path, f"the file {name} is missing") from error
    except (pa.ArrowException, OSError) as error:
        raise _unlike(path, f"the file {name} cannot be read as Parquet") from error


def _unlike(path: Path, found: str) -> DataError:
    return DataError(f"the data set is not as it was made: {found}", where=str(path), mend=_REMAKE)


def _check_arrays(
    path: Path, manifest: Mapping[str, Any], groups: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
    """Names, types, lengths and ranges of all arrays; raises DataError with the first problems."""
    users, items = manifest["counts"]["users"], manifest["counts"]["items"]
    vectors = groups[layout.VECTORS].get("vectors", np.zeros(0))
    texts = len(vectors)
    check = _Checks()
    shape = (manifest["counts"]["texts"], manifest["text"]["dim"])
    if vectors.shape != shape or vectors.dtype not in (np.float16, np.float32):
        check.problems.append(f"vectors are {vectors.dtype} {vectors.shape}, expected {shape}")
    elif not all(np.isfinite(vectors[row : row + 65_536]).all() for row in range(0, texts, 65_536)):
        check.problems.append("vectors hold numbers that are not finite")

    events = groups[layout.INTERACTIONS]
    n_events = manifest["counts"]["interactions"]
    check.index(events, "user", np.int32, n_events, 0, users)
    check.index(events, "item", np.int32, n_events, 0, items)
    check.index(events, "text", np.int32, n_events, -1, texts)
    check.shape(events, "valid", np.bool_, n_events)
    if manifest["split"]["cut"] is not None or "time" in events:
        check.ascending(events, "time", n_events, manifest["split"]["cut"])
    if "weight" in events:
        check.shape(events, "weight", np.float32, n_events)

    cold_side = manifest["split"].get("cold_side")
    if cold_side == "item":
        n_posts = len(events.get("post_item", ()))
        check.index(events, "post_item", np.int32, n_posts, 0, items)
        check.index(events, "post_text", np.int32, n_posts, 0, texts)
        check.shape(events, "post_valid", np.bool_, n_posts)
        if manifest["split"]["cut"] is not None or "post_time" in events:
            check.ascending(events, "post_time", n_posts, manifest["split"]["cut"])

    ties = groups[layout.TIES]
    n_ties = sum(manifest["counts"]["ties"].values())
    check.index(ties, "source", np.int32, n_ties, 0, users)
    check.index(ties, "target", np.int32, n_ties, 0, users)
    check.index(ties, "kind", np.int16, n_ties, 0, len(manifest["ties"]))
    if "time" in ties:
        check.shape(ties, "time", np.int64, n_ties)

    _check_edges(check, manifest, groups[layout.EDGES])

    profiles = groups[layout.PROFILES]
    for side, nodes in (("item", items), ("user", users)):
        rows = len(profiles.get(f"{side}_node", ()))
        check.index(profiles, f"{side}_node", np.int32, rows, 0, nodes)
        check.shape(profiles, f"{side}_time", np.int64, rows)
        check.index(profiles, f"{side}_text", np.int32, rows, -1, texts)
        for column, names in manifest["categories"][side].items():
            check.index(profiles, f"{side}_category.{column}", np.int32, rows, -1, len(names))
        for column in manifest["numbers"][side]:
            values = check.shape(profiles, f"{side}_number.{column}", np.float32, rows)
            if values is not None and np.any(np.isinf(values)):
                check.problems.append(f"{side}_number.{column} is infinite in places")
        node = profiles.get(f"{side}_node", np.zeros(0))
        if np.any(np.diff(node) < 0):
            check.problems.append(f"{side}_node is not sorted")

    targets = groups[layout.SPLITS]
    for split in ("valid", "test"):
        pairs = manifest["counts"][f"{split}_targets"]
        check.index(targets, f"{split}_user", np.int32, pairs, 0, users)
        check.index(targets, f"{split}_item", np.int32, pairs, 0, items)
        check.shape(targets, f"{split}_candidates", np.bool_, items)
        if cold_side is not None:
            nodes = items if cold_side == "item" else users
            check.shape(targets, f"{split}_cold", np.bool_, nodes)
    if check.problems:
        raise _unlike(path, "; ".join(check.problems[:5]))


def _check_edges(
    check: _Checks, manifest: Mapping[str, Any], edges: Mapping[str, np.ndarray]
) -> None:
    sizes = {"user": manifest["counts"]["users"], "item": manifest["counts"]["items"]}
    for name, record in manifest["edges"].items():
        count = manifest["counts"]["edges"][name]
        for end in ("src", "dst"):
            check.index(edges, f"{name}.{end}", np.int32, count, 0, sizes[record[end]])
        if record["dated"]:
            check.ascending(edges, f"{name}.time", count, manifest["split"]["cut"])
        shape = (count, len(record["features"]))
        features = check.shape(edges, f"{name}.features", np.float32, *shape)
        if features is not None and not np.isfinite(features).all():
            check.problems.append(f"{name}.features hold numbers that are not finite")


class _Checks:
    """Gathers what is wrong with arrays."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def shape(
        self, group: Mapping[str, np.ndarray], name: str, dtype: Any, *shape: int
    ) -> np.ndarray | None:
        array = group.get(name)
        if array is None:
            self.problems.append(f"there is no array {name}")
        elif array.dtype != dtype or array.shape != shape:
            self.problems.append(
                f"{name} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}"
            )
        else:
            return array
        return None

    def index(
        self,
        group: Mapping[str, np.ndarray],
        name: str,
        dtype: Any,
        length: int,
        low: int,
        high: int,
    ) -> None:
        """Numbers from ``low`` to ``high`` - 1."""
        array = self.shape(group, name, dtype, length)
        if array is not None and length and (array.min() < low or array.max() >= high):
            self.problems.append(f"{name} goes out of the range from {low} to {high - 1}")

    def ascending(
        self, group: Mapping[str, np.ndarray], name: str, length: int, cut: str | None
    ) -> None:
        """Times that never go back, all before the cut."""
        array = self.shape(group, name, np.int64, length)
        if array is None or not length:
            return
        if np.any(array[1:] < array[:-1]):
            self.problems.append(f"{name} is not sorted")
        if cut is not None and array[-1] >= parse_date(cut):
            self.problems.append(f"{name} reaches over the cut")
