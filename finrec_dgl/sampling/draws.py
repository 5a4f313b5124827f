"""Draws in-neighbours without replacement and numbers nodes: by native code, or NumPy alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.kernels import Compressed, Edges
from finrec_dgl.kernels.library import find_library

_FEW = 64  # above, native code marks what it has drawn in bits
_GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


@dataclass(frozen=True)
class Gone:
    """Edges that must not be drawn: where they stand, int32 [k], distinct and rising.

    ``marked`` int64 [rows / 64, rounded up], a bit for each row that has such an edge, and
    ``first`` int32 [rows], where its first stands in ``places``, are for native code alone.
    """

    places: Tensor
    marked: Tensor | None = None
    first: Tensor | None = None


class Marks:
    """Room to mark edges of one relation, over ``size`` receivers, and to take the marks back."""

    def __init__(self, size: int) -> None:
        self.marked = torch.zeros(size // 64 + 1, dtype=torch.int64)
        self.first = torch.empty(size, dtype=torch.int32)
        self.given: tuple[Tensor, Tensor] | None = None

    def mark(self, edges: Edges, ids: Tensor) -> Gone:
        """The edges ``ids`` int64 [k], which may repeat. Not twice without ``forget``."""
        place, target = edges.places[0], edges.target
        if find_library().handle is None:
            return Gone(torch.unique(place[ids]))
        places, count = place.new_empty(len(ids)), ids.new_empty(1)
        # noted before: marks are taken back whatever happens
        self.given = ids, target
        given = (ids, place, target, torch.empty_like(ids), places, self.marked, self.first, count)
        find_library().call("finrec_mark_gone", len(ids), *given)
        return Gone(places[: int(count)], self.marked, self.first)

    def forget(self) -> None:
        """Take the marks back."""
        if self.given is not None:
            find_library().call("finrec_unmark_gone", len(self.given[0]), *self.given, self.marked)
            self.given = None


def draw_neighbours(
    rows: Compressed,
    nodes: Tensor,
    fanout: int,
    key: int,
    gone: Gone | None = None,
    threads: int = 1,
) -> Compressed:
    """Up to ``fanout`` distinct edges (-1: all) of each of the rows ``nodes``, int32 [n].

    Of a row's edges without ``gone`` each set of that size is as likely as any other, and follows
    from (key, node) alone. Returns [n] rows; columns keep their numbers.
    """
    if find_library().handle is None:
        return _draw_plainly(rows, nodes, fanout, key, gone)
    given: tuple[int | Tensor | None, ...] = (0, None, None, None)
    if gone is not None:
        given = (len(gone.places), gone.places, gone.marked, gone.first)
    indptr = nodes.new_empty(len(nodes) + 1)
    call = find_library().call
    call("finrec_count_neighbours", len(nodes), fanout, nodes, rows.indptr, *given, indptr)
    indices = nodes.new_empty(int(indptr[-1]))
    words, bits = 0, None
    if fanout > _FEW:
        words = int(rows.indptr.diff().max()) // 64 + 1 if len(rows.indptr) > 1 else 1
        bits = torch.zeros(threads * words, dtype=torch.int64)
    call(
        "finrec_draw_neighbours",
        *(threads, len(nodes), fanout, key, nodes, rows.indptr, rows.indices, *given),
        *(words, bits, indptr, indices),
    )
    return Compressed(indptr, indices)


class Numbers:
    """Numbers of nodes of one type within a block, in the order in which they come up."""

    def __init__(self, size: int) -> None:
        self.table = torch.full((size,), -1, dtype=torch.int32)
        self.nodes = torch.empty(size, dtype=torch.int32)
        self.count = torch.zeros(1, dtype=torch.int64)

    def seen(self) -> Tensor:
        """The nodes that have a number, in its order, int32 [n]."""
        return self.nodes[: int(self.count)]

    def give(self, nodes: Tensor) -> None:
        """Put numbers in place of ``nodes``, int32 [n], new ones for those not seen before."""
        if find_library().handle is None:
            self._give_plainly(nodes.numpy())
            return
        find_library().call(
            "finrec_number_nodes", len(nodes), nodes, self.table, self.nodes, self.count
        )

    def forget(self) -> None:
        """Take all numbers back."""
        self.table[self.seen().long()] = -1
        self.count.zero_()

    def _give_plainly(self, nodes: np.ndarray) -> None:
        table, begin = self.table.numpy(), int(self.count)
        new, first = np.unique(nodes[table[nodes] < 0], return_index=True)
        new = new[np.argsort(first)]
        table[new] = np.arange(begin, begin + len(new))
        self.nodes.numpy()[begin : begin + len(new)] = new
        self.count += len(new)
        nodes[:] = table[nodes]


def mix(word: int) -> int:
    """The finaliser of SplitMix64 on 64 bits."""
    word &= _WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _WORD
    return word ^ word >> 31


def mix_all(words: np.ndarray) -> np.ndarray:
    """``mix`` of each, uint64 [n]."""
    words = (words ^ words >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ words >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return words ^ words >> np.uint64(31)


def _draw_plainly(
    rows: Compressed, nodes: Tensor, fanout: int, key: int, gone: Gone | None
) -> Compressed:
    """``draw_neighbours`` by NumPy, the same to the last edge."""
    indptr, node = rows.indptr.numpy().astype(np.int64), nodes.numpy().astype(np.int64)
    places = np.zeros(0, np.int64) if gone is None else gone.places.numpy().astype(np.int64)
    out, place = draw_places(indptr[node], indptr[node + 1], fanout, row_keys(key, node), places)
    return Compressed(torch.from_numpy(out.astype(np.int32)), rows.indices[torch.from_numpy(place)])


def row_keys(key: int, node: np.ndarray) -> np.ndarray:
    """uint64 [rows]: what the draws of each row follow from."""
    return mix_all(np.uint64(key & _WORD) + np.uint64(_GOLDEN) * (node + 1).astype(np.uint64))


def draw_places(
    begin: np.ndarray,
    end: np.ndarray,
    fanout: int,
    keys: np.ndarray,
    gone: np.ndarray,
    last: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw up to ``fanout`` distinct places of each range, by NumPy.

    Parameters
    ----------
    begin, end
        int64 [rows]: the range of each row.
    fanout
        How many at most; -1: all.
    keys
        uint64 [rows]: what each row's draws follow from.
    gone
        int64 [k], distinct and ascending: places that must not be drawn.
    last
        Take the last ones of each range instead of a random set.

    Returns
    -------
    tuple of numpy.ndarray
        ``indptr`` int64 [rows + 1] and the places, int64 [drawn].
    """
    skipped = np.searchsorted(gone, begin)
    left = end - begin - (np.searchsorted(gone, end) - skipped)
    count = left if fanout < 0 else np.minimum(left, fanout)
    out = np.concatenate([[0], np.cumsum(count)])
    rank = np.arange(out[-1]) - np.repeat(out[:-1], count)
    if last:
        rank += np.repeat(left - count, count)
    else:
        chosen = np.flatnonzero(count < left)
        drawn = _ranks(keys[chosen], left[chosen], fanout)
        rank[(out[chosen][:, None] + np.arange(drawn.shape[1])).ravel()] = drawn.ravel()
    # the place of a rank: as many places further on as places left out stand before it
    free = gone - np.arange(len(gone))
    place = rank + np.repeat(begin - skipped, count)
    place += np.searchsorted(free, place, side="right")
    return out, place


def _ranks(keys: np.ndarray, left: np.ndarray, fanout: int) -> np.ndarray:
    """Floyd's samples of 0 .. left - 1, int64 [n, fanout], by row."""
    found = np.zeros((len(keys), max(fanout, 0) if len(keys) else 0), np.int64)
    for number in range(found.shape[1]):
        most = left - fanout + number
        step = np.uint64(_GOLDEN * (number + 1) & _WORD)
        bits = mix_all(keys + step) >> np.uint64(12)
        one = (bits.astype(np.float64) * 2.0**-52 * (most + 1)).astype(np.int64)
        again = (found[:, :number] == one[:, None]).any(axis=1)
        found[:, number] = np.where(again, most, one)
    return found
