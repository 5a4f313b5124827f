"""The world as of one moment: everything that a model may see, and nothing later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse as sp

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.units import UNDATED as UNDATED
from finrec_dgl.dataset.edges import ExtraEdges, Relation
from finrec_dgl.dataset.numbers import standardised

if TYPE_CHECKING:
    from finrec_dgl.kernels import Layer

FROM_NONE, FROM_POSTS, FROM_PROFILE = 0, 1, 2
"""Where a user's text vector comes from."""

_TEXTS_AT_ONCE = 32_768
_NO_CODE = np.int32(-1)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Distinct pairs: ``user`` and ``item`` int32 [n], sorted by user, then item.

    Raises DataError where they are not.
    """

    user: np.ndarray
    item: np.ndarray

    def __post_init__(self) -> None:
        if self.user.shape != self.item.shape or self.user.ndim != 1:
            raise DataError(
                f"pairs have users {self.user.shape} and items {self.item.shape}",
                expected="two arrays of one length",
            )
        step = np.diff(self.user)
        if np.any(step < 0) or np.any((step == 0) & (np.diff(self.item) <= 0)):
            raise DataError("pairs are not distinct and sorted by user, then item")

    def __len__(self) -> int:
        return len(self.user)

    def where(self, kept: np.ndarray) -> Pairs:
        """The pairs that ``kept`` (bool [n]) says."""
        return Pairs(self.user[kept], self.item[kept])

    def indptr(self, n_users: int) -> np.ndarray:
        """int64 [n_users + 1]: the items of user u are ``item[indptr[u]:indptr[u + 1]]``."""
        return np.append(0, np.cumsum(np.bincount(self.user, minlength=n_users)))

    def matrix(self, n_users: int, n_items: int) -> Any:
        """scipy.sparse.csr_array float32 [n_users, n_items] of ones."""
        ones = np.ones(len(self), np.float32)
        # copies: SciPy sorts and sums in place
        return sp.csr_array(
            (ones, self.item.copy(), self.indptr(n_users).astype(np.int32)),
            shape=(n_users, n_items),
        )


def pair_keys(user: np.ndarray, item: np.ndarray, n_items: int) -> np.ndarray:
    """int64 [n]: one number a pair, in the order of (user, item)."""
    return user.astype(np.int64) * n_items + item


def pairs_of_keys(keys: np.ndarray, n_items: int) -> Pairs:
    """The pairs of sorted distinct ``keys``."""
    return Pairs(
        (keys // max(n_items, 1)).astype(np.int32), (keys % max(n_items, 1)).astype(np.int32)
    )


@dataclass(frozen=True, eq=False)
class SortedPairs:
    """Pairs by user, then item, equal ones in the order they came in; ``order``: where they were.

    ``user``, ``item`` int32 [n], ``order`` int64 [n].
    """

    user: np.ndarray
    item: np.ndarray
    order: np.ndarray

    def where(self, kept: np.ndarray) -> SortedPairs:
        """Those that ``kept`` (bool [n]) says."""
        return SortedPairs(self.user[kept], self.item[kept], self.order[kept])

    @property
    def begins(self) -> np.ndarray:
        """int64 [distinct]: where the first of each pair stands."""
        return np.append(0, self.ends[:-1] + 1)[: len(self.ends)]

    @property
    def ends(self) -> np.ndarray:
        """int64 [distinct]: where the last of each pair stands."""
        differs = (self.user[1:] != self.user[:-1]) | (self.item[1:] != self.item[:-1])
        return np.flatnonzero(np.append(differs, True)[: len(self.user)])


def sort_pairs(user: np.ndarray, item: np.ndarray, n_users: int, n_items: int) -> SortedPairs:
    """Sort pairs in linear time: by counting, first by item, then by user.

    To transpose a sparse matrix is to sort by counting, and it takes its values along: what comes
    after is in the order of memory.
    """
    items, where, users = _counted(item, user, n_items)
    items = np.repeat(np.arange(n_items), np.diff(items))
    ends, _, packed = _counted(users, where.astype(np.int64) << 32 | items, n_users)
    item = (packed & 0xFFFFFFFF).astype(np.int32)
    user = np.repeat(np.arange(n_users, dtype=np.int32), np.diff(ends))
    return SortedPairs(user, item, packed >> 32)


def _counted(
    key: np.ndarray, values: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort by ``key``, from 0 to ``size`` - 1: the end of each key, places and ``values``."""
    n = len(key)
    index = np.int32 if n < 2**31 else np.int64
    rows = np.arange(n + 1, dtype=index)
    cells = (values, key.astype(index, copy=False), rows)
    made = sp.csr_array(cells, shape=(n, size), copy=False).tocsc()
    return made.indptr, made.indices, made.data


class NodeTexts(Protocol):
    """Reads the text vectors of a snapshot when they are first asked for."""

    def users(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors float32 [U, d] and where they come from, int8 [U]."""

    def items(self) -> np.ndarray:
        """Vectors float32 [I, d]."""

    def posts(self) -> np.ndarray:
        """Vectors float32 [I, d] of what was written about items."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything a model may see at one moment.

    - ``time``: seconds since 1970 UTC; all within is dated before it. For a split that is not by
      date: just after the last interaction, or None without timestamps.
    - ``pairs``: the distinct pairs held; ``count`` float32 [E]: times seen; ``last`` int64 [E]: the
      time last seen, None without timestamps.
    - ``ties``: kind -> distinct (source, target), int32 each; no user is tied to themselves.
    - ``item_categories``, ``user_categories``: column -> codes int32 [nodes], -1 unknown.
    - ``texts``: what ``user_text``, ``user_text_from``, ``item_text`` and ``item_posts`` are read
      from.
    - ``item_values``, ``user_values``: column -> float32 [nodes], numbers as in the tables, NaN
      missing; ``item_numbers`` and ``user_numbers`` are made of them.
    - ``edges``: relation -> the edges of that edge table; not in ``graph`` nor ``layer``.
    """

    n_users: int
    n_items: int
    time: int | None
    pairs: Pairs
    count: np.ndarray
    last: np.ndarray | None
    ties: Mapping[str, tuple[np.ndarray, np.ndarray]]
    item_categories: Mapping[str, np.ndarray]
    user_categories: Mapping[str, np.ndarray]
    texts: NodeTexts
    item_values: Mapping[str, np.ndarray] = field(default_factory=dict)
    user_values: Mapping[str, np.ndarray] = field(default_factory=dict)
    edges: Mapping[Relation, ExtraEdges] = field(default_factory=dict)

    @cached_property
    def item_numbers(self) -> np.ndarray:
        """float32 [I, F]: the columns of ``item_values``, standardised; missing values are 0.

        Their mean is 0 and their standard deviation 1 over the items with an interaction here;
        a heavy tail is taken as log(1 + x) (see ``numbers.scale_of``).
        """
        return standardised(self.item_values, _present(self.pairs.item, self.n_items))

    @cached_property
    def user_numbers(self) -> np.ndarray:
        """float32 [U, F]: the columns of ``user_values``, as ``item_numbers``."""
        return standardised(self.user_values, _present(self.pairs.user, self.n_users))

    @property
    def user_text(self) -> np.ndarray:
        """float32 [U, d], rows of length 1, or 0 where there is no text.

        The mean of the vectors of a user's distinct posts; without posts, their profile's vector.
        """
        return self._users[0]

    @property
    def user_text_from(self) -> np.ndarray:
        """int8 [U]: 0 no text, 1 the user's own posts, 2 their profile."""
        return self._users[1]

    @cached_property
    def item_text(self) -> np.ndarray:
        """float32 [I, d], rows of length 1, or 0 where there is no text."""
        return self.texts.items()

    @cached_property
    def item_posts(self) -> np.ndarray:
        """float32 [I, d], rows of length 1, or 0 where nothing was written about the item.

        The mean of the vectors of the distinct texts about an item, whoever wrote them.
        """
        return self.texts.posts()

    @cached_property
    def _users(self) -> tuple[np.ndarray, np.ndarray]:
        return self.texts.users()

    @cached_property
    def _matrix(self) -> Any:
        return self.pairs.matrix(self.n_users, self.n_items)

    @cached_property
    def _graph(self) -> Any:
        from finrec_dgl.graph import build_graph

        return build_graph(self.n_users, self.n_items, self.pairs.user, self.pairs.item, self.ties)

    @cached_property
    def _layer(self) -> Layer:
        from finrec_dgl.graph import relation_ends
        from finrec_dgl.kernels import Edges, Layer

        sizes = {"user": self.n_users, "item": self.n_items}
        pairs = (self.pairs.user, self.pairs.item)
        ends = relation_ends(self.n_users, self.n_items, *pairs, self.ties)
        edges = {
            relation: Edges(sizes[relation[0]], sizes[relation[2]], *both)
            for relation, both in ends.items()
        }
        return Layer(sizes, sizes, edges)

    def matrix(self) -> Any:
        """scipy.sparse.csr_array float32 [U, I] of ones; made once, so leave it as it is."""
        return self._matrix

    def graph(self) -> Any:
        """The DGL heterograph of pairs and ties, made once; edge e of "interacts" is pair e."""
        return self._graph

    def layer(self) -> Layer:
        """The same edges as one layer of message passing, made once and without DGL."""
        return self._layer


def _present(nodes: np.ndarray, size: int) -> np.ndarray:
    """bool [size]: which node numbers are among ``nodes``."""
    present = np.zeros(size, bool)
    present[nodes] = True
    return present


def without_nodes(snapshot: Snapshot, side: str, hidden: np.ndarray) -> Snapshot:
    """``snapshot`` in which the nodes ``hidden`` (bool [nodes of ``side``]) have no past.

    Their interactions are gone, and what was written with them is gone from the users' texts. What
    was written about a hidden item goes on describing it; of a hidden user nothing is left.
    """
    texts = snapshot.texts
    if isinstance(texts, StoredTexts):
        texts = texts.without_nodes(side, hidden)
    return _with_pairs(snapshot, ~hidden[getattr(snapshot.pairs, side)], texts)


def without_pairs(snapshot: Snapshot, hidden: np.ndarray) -> Snapshot:
    """``snapshot`` as if its pairs ``hidden`` (bool [E]) had never been.

    What users wrote about them is gone with them, from their own texts and from the items'.
    """
    texts = snapshot.texts
    if isinstance(texts, StoredTexts):
        gone = snapshot.pairs.where(hidden)
        texts = texts.without_pairs(gone)
    return _with_pairs(snapshot, ~hidden, texts)


def _with_pairs(snapshot: Snapshot, kept: np.ndarray, texts: NodeTexts) -> Snapshot:
    """``snapshot`` with the pairs ``kept`` (bool [E]) alone, and with ``texts``."""
    return replace(
        snapshot,
        pairs=snapshot.pairs.where(kept),
        count=snapshot.count[kept],
        last=None if snapshot.last is None else snapshot.last[kept],
        texts=texts,
    )


@dataclass(frozen=True, eq=False)
class Profiles:
    """Versions of nodes' profiles, sorted by node, then time.

    ``node`` int32 [V], ``time`` int64 [V] (UNDATED where it has none), ``text`` int32 [V] (row of
    the vectors, -1 none), ``categories``: column -> codes int32 [V], -1 none; ``numbers``: column
    -> float32 [V], NaN missing.
    """

    node: np.ndarray
    time: np.ndarray
    text: np.ndarray
    categories: Mapping[str, np.ndarray]
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)

    def latest(self, n_nodes: int, time: int | None) -> np.ndarray:
        """int64 [n_nodes]: the row of each node's last version before ``time``, -1 none."""
        rows = np.arange(len(self.node)) if time is None else np.flatnonzero(self.time < time)
        latest = np.full(n_nodes, -1, np.int64)
        if len(rows):
            ends = np.flatnonzero(np.append(np.diff(self.node[rows]) != 0, True))
            latest[self.node[rows[ends]]] = rows[ends]
        return latest

    def categories_at(self, latest: np.ndarray) -> dict[str, np.ndarray]:
        """column -> codes int32 [n_nodes] of the versions ``latest``."""
        return {name: _pick(codes, latest) for name, codes in self.categories.items()}

    def numbers_at(self, latest: np.ndarray) -> dict[str, np.ndarray]:
        """column -> float32 [n_nodes] of the versions ``latest``, NaN missing."""
        return {
            name: _pick(values, latest, np.float32(np.nan)) for name, values in self.numbers.items()
        }

    def text_at(self, latest: np.ndarray) -> np.ndarray:
        """int32 [n_nodes]: rows of the vectors of the versions ``latest``."""
        return _pick(self.text, latest)


def _pick(values: np.ndarray, rows: np.ndarray, absent: np.generic = _NO_CODE) -> np.ndarray:
    if len(values) == 0:
        return np.full(len(rows), absent)
    return np.where(rows >= 0, values[rows], absent)


@dataclass(frozen=True, eq=False)
class StoredTexts:
    """``NodeTexts`` from the vectors of a data set.

    ``vectors`` float16 or float32 [texts, d]; ``post_user``, ``post_item``, ``post_text`` int32
    [posts]: who wrote on what which text before the moment (repeats count once, -1 is no text);
    ``user_profile`` int32 [U] and ``item_profile`` int32 [I]: rows of the vectors, -1 none.
    ``about_item``, ``about_text`` int32 [n]: texts about items that are nobody's here, for the
    interactions they came with are hidden.
    """

    vectors: np.ndarray
    post_user: np.ndarray
    post_item: np.ndarray
    post_text: np.ndarray
    user_profile: np.ndarray
    item_profile: np.ndarray
    about_item: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    about_text: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))

    def items(self) -> np.ndarray:
        """Vectors of the items' profiles."""
        return gather(self.vectors, self.item_profile)

    def users(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of each user's posts, else their profile's vector."""
        vectors = self._mean(self.post_user, self.post_text, len(self.user_profile))
        source = np.where(vectors.any(axis=1), FROM_POSTS, FROM_NONE).astype(np.int8)
        silent = np.flatnonzero(source == FROM_NONE)
        vectors[silent] = gather(self.vectors, self.user_profile[silent])
        source[silent[vectors[silent].any(axis=1)]] = FROM_PROFILE
        return vectors, source

    def without_nodes(self, side: str, hidden: np.ndarray) -> StoredTexts:
        """The same without what was written by, or about, the nodes ``hidden`` of ``side``.

        A text about a hidden item is nobody's, wherever else its writer posted it, and goes on
        describing the items. A hidden user wrote nothing.
        """
        if side == "user":
            return replace(
                self, post_text=np.where(hidden[self.post_user], np.int32(-1), self.post_text)
            )
        gone = self._wherever_posted(hidden[self.post_item])
        return replace(
            self,
            post_text=np.where(gone, np.int32(-1), self.post_text),
            about_item=np.concatenate([self.about_item, self.post_item[gone]]),
            about_text=np.concatenate([self.about_text, self.post_text[gone]]),
        )

    def without_pairs(self, hidden: Pairs) -> StoredTexts:
        """The same without what was written about the pairs ``hidden`` by their users.

        Such a text is gone wherever else its writer posted it: it tells of the pair there too.
        """
        n_items = len(self.item_profile)
        about = pair_keys(self.post_user, self.post_item, n_items)
        of_hidden = np.isin(about, pair_keys(hidden.user, hidden.item, n_items))
        gone = self._wherever_posted(of_hidden)
        return replace(self, post_text=np.where(gone, np.int32(-1), self.post_text))

    def _wherever_posted(self, chosen: np.ndarray) -> np.ndarray:
        """bool [posts]: the ``chosen`` posts, and others of the same text by the same user."""
        keys = pair_keys(self.post_user, self.post_text, len(self.vectors))
        told = self.post_text >= 0
        found: np.ndarray = told & np.isin(keys, keys[told & chosen])
        return found

    def posts(self) -> np.ndarray:
        """The mean of the posts about each item."""
        item = np.concatenate([self.post_item, self.about_item])
        text = np.concatenate([self.post_text, self.about_text])
        return self._mean(item, text, len(self.item_profile))

    def _mean(self, node: np.ndarray, post: np.ndarray, n_nodes: int) -> np.ndarray:
        """float32 [n_nodes, d]: for each node the mean of its distinct posts, at length 1."""
        n_texts, dim = self.vectors.shape
        total = np.zeros((n_nodes, dim), np.float32)
        written = post >= 0
        if not written.any():
            return total
        # by text, so that a block of rows of the vectors is one block of columns here
        keys = np.unique(post[written].astype(np.int64) * n_nodes + node[written])
        text, node = keys // n_nodes, keys % n_nodes
        for start in range(0, n_texts, _TEXTS_AT_ONCE):
            stop = min(start + _TEXTS_AT_ONCE, n_texts)
            low, high = np.searchsorted(text, (start, stop))
            if low == high:
                continue
            wrote = sp.csr_array(
                (np.ones(high - low, np.float32), (node[low:high], text[low:high] - start)),
                shape=(n_nodes, stop - start),
            )
            total += wrote @ _unit(self.vectors[start:stop])
        return _unit(total)


def gather(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """float32 [rows, d]: the unit vectors of ``rows``, zero where a row is -1."""
    found = np.zeros((len(rows), vectors.shape[1]), np.float32)
    there = np.flatnonzero(rows >= 0)
    # many nodes have the same text: it is brought to its length once
    used, place = np.unique(rows[there], return_inverse=True)
    found[there] = _unit(vectors[used])[place]
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    # sums of opposite vectors leave rounding errors, which say nothing
    length[~(length > 1e-6)] = np.inf
    wide /= length[:, None]
    return wide
