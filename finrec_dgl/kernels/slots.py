"""Messages of sparse rows at some items of each seed, and the items of the largest messages.

Native code on the CPU; the same by PyTorch on any device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finrec_dgl.kernels.backend import choose
from finrec_dgl.kernels.library import find_library, native_for
from finrec_dgl.kernels.ragged import Ragged, row_places


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A sparse matrix of items: row r has ``values`` at the columns ``indices``.

    Parameters
    ----------
    indptr : Tensor
        int64 [rows + 1]: the entries of row r are ``indptr[r] : indptr[r + 1]``.
    indices : Tensor
        int32 [entries]: items.
    values : Tensor or None
        float32 [entries], or [L, entries] with a row for each row of weights; None: all 1.
    width : int
        The number of items.
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor | None
    width: int

    @property
    def stride(self) -> int:
        """How far the values of one row of weights stand from those of the next; 0: shared."""
        return 0 if self.values is None or self.values.dim() == 1 else self.values.shape[1]


def slot_sum(
    rows: Ragged,
    weight: Tensor,
    matrix: SparseRows,
    slots: Tensor,
    seen: Ragged,
    kernels: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Return the messages at the slots of each seed, and their totals over unseen items.

    message(b, l, i) = sum over the entries e of row b of weight[l, e] M[r_e, i]

    Parameters
    ----------
    rows : Ragged
        B rows of entries r_e, each a row of ``matrix``; -1 for none.
    weight : Tensor
        float32 [L, entries].
    matrix : SparseRows
        M.
    slots : Tensor
        int32 [B, C]: items, -1 for none.
    seen : Ragged
        B rows of items that the totals leave out.
    kernels : str
        See ``finrec_dgl.kernels.choose``.

    Returns
    -------
    messages, total : Tensor
        float32 [B, L, C], 0 where a slot is -1, and [B, L]. Both are differentiable in ``weight``.
    """
    found: tuple[Tensor, Tensor]
    if choose(kernels, weight) == "native":
        found = _NativeSlotSum.apply(weight, rows, matrix, slots, seen)
        return found
    return _slot_sum(rows, weight, matrix, slots, seen)


def _messages(rows: Ragged, weight: Tensor, matrix: SparseRows) -> tuple[Tensor, Tensor]:
    """Return pairs of seed and item as seed * width + item, int64 [m], rising and distinct.

    And the message to each, float [L, m].
    """
    entry = torch.nonzero(rows.values >= 0).squeeze(1)
    places, offsets = row_places(matrix.indptr, rows.values[entry].long())
    entry = torch.repeat_interleave(entry, offsets.diff(), output_size=len(places))
    each = weight[:, entry]
    if matrix.values is not None:
        each = each * (matrix.values if matrix.stride else matrix.values.unsqueeze(0))[:, places]
    pair, at = torch.unique(
        rows.row[entry] * matrix.width + matrix.indices[places], return_inverse=True
    )
    return pair, weight.new_zeros(len(weight), len(pair)).index_add(1, at, each)


def _slot_sum(
    rows: Ragged, weight: Tensor, matrix: SparseRows, slots: Tensor, seen: Ragged
) -> tuple[Tensor, Tensor]:
    """``slot_sum`` by sorting the pairs of seed and item."""
    pair, message = _messages(rows, weight, matrix)
    heads, n = len(weight), len(slots)
    unseen = ~torch.isin(pair, seen.row * matrix.width + seen.values)
    total = weight.new_zeros(heads, n)
    total = total.index_add(1, pair // matrix.width, message * unseen)
    if not len(pair):
        return weight.new_zeros(n, heads, slots.shape[1]), total.T
    row = torch.arange(n, device=slots.device).unsqueeze(1)
    asked = row * matrix.width + slots
    at = torch.searchsorted(pair, asked).clamp(max=len(pair) - 1)
    there = (pair[at] == asked) & (slots >= 0)
    return (message[:, at] * there).transpose(0, 1), total.T


class _NativeSlotSum(torch.autograd.Function):
    """``slot_sum`` and its gradient with room for the items of one row a thread."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, rows: Ragged, matrix: SparseRows, slots: Tensor, seen: Ragged
    ) -> tuple[Tensor, Tensor]:
        weight, slots = weight.detach().contiguous(), slots.contiguous()
        n, heads = len(slots), len(weight)
        ctx.sizes = (n, matrix.width, heads, slots.shape[1], weight.shape[1])
        ctx.rows = (rows.indptr, rows.values)
        ctx.matrix = (matrix.indptr, matrix.indices, matrix.values, matrix.stride)
        ctx.items = (slots, seen.indptr, seen.values)
        out, total = weight.new_empty(n, heads, slots.shape[1]), weight.new_empty(n, heads)
        given = (*ctx.rows, weight, *ctx.matrix, *ctx.items, out, total)
        find_library().call("finrec_slot_sum", torch.get_num_threads(), *ctx.sizes, *given)
        return out, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, grad_total: Tensor) -> tuple[Tensor | None, ...]:
        to_weight = grad.new_zeros(ctx.sizes[2], ctx.sizes[4])
        given = (*ctx.rows, *ctx.matrix, *ctx.items, grad.contiguous(), grad_total.contiguous())
        threads = torch.get_num_threads()
        find_library().call("finrec_slot_sum_grad", threads, *ctx.sizes, *given, to_weight)
        return to_weight, None, None, None, None


def slot_top(
    rows: Ragged,
    weight: Tensor,
    matrix: SparseRows,
    seen: Ragged,
    k: int,
    kernels: str = "auto",
) -> Tensor:
    """Return the ``k`` items of the largest messages above 0, by falling message.

    Parameters
    ----------
    rows, matrix : Ragged, SparseRows
        See ``slot_sum``; ``matrix`` has one value for each entry, or none.
    weight : Tensor
        float32 [entries], at least 0.
    seen : Ragged
        B rows of items that are left out.
    k : int
        At most so many items a row.
    kernels : str
        See ``finrec_dgl.kernels.choose``.

    Returns
    -------
    Tensor
        int32 [B, k], -1 where there are fewer. Of equal messages the smaller number comes first.
    """
    if choose(kernels, weight) == "native":
        best = torch.empty(len(rows), k, dtype=torch.int32)
        sizes = (len(rows), matrix.width, k)
        find_library().call(
            "finrec_slot_top",
            *(torch.get_num_threads(), *sizes, rows.indptr, rows.values, weight.contiguous()),
            *(matrix.indptr, matrix.indices, matrix.values, seen.indptr, seen.values, best),
        )
        return best
    pair, message = _messages(rows, weight.unsqueeze(0), matrix)
    kept = (message[0] > 0) & ~torch.isin(pair, seen.row * matrix.width + seen.values)
    pair, value = pair[kept], message[0][kept]
    order = torch.argsort(value, descending=True, stable=True)  # pairs rise
    row, item = pair[order] // matrix.width, pair[order] % matrix.width
    by_row = torch.argsort(row, stable=True)
    row, item = row[by_row], item[by_row]
    counts = torch.bincount(row, minlength=len(rows))
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    best = torch.full((len(rows), k), -1, dtype=torch.int32, device=row.device)
    first = place < k
    best[row[first], place[first]] = item[first].int()
    return best


def distinct_slots(parts: Sequence[Tensor], seen: Ragged, width: int) -> Tensor:
    """Return lists of items side by side, each item once, -1 in the places of the others.

    Parameters
    ----------
    parts : sequence of Tensor
        int32 [B, K] each, -1 for none. Where an item stands several times, the first place is kept.
    seen : Ragged
        B rows of items that are left out.
    width : int
        The number of items.

    Returns
    -------
    Tensor
        int32 [B, sum of all K].
    """
    slots = torch.cat(list(parts), dim=1).contiguous()
    n, count = slots.shape
    if native_for(slots):
        sizes = (torch.get_num_threads(), n, width, count)
        find_library().call("finrec_distinct", *sizes, seen.indptr, seen.values, slots)
        return slots
    row = torch.arange(n, device=slots.device).unsqueeze(1)
    gone = torch.isin(row * width + slots, seen.row * width + seen.values)
    slots = slots.masked_fill(gone, -1)
    order = torch.argsort(slots, dim=1, stable=True)
    found = slots.gather(1, order)
    again = torch.zeros_like(found, dtype=torch.bool)
    again[:, 1:] = found[:, 1:] == found[:, :-1]
    return slots.scatter(1, order, found.masked_fill(again, -1))
