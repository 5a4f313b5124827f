"""Messages of seeds to a few candidate items each, where no array of all items may be made.

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
from finrec_dgl.kernels.library import find_library
from finrec_dgl.kernels.ragged import Ragged, place_in_row, row_places


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A sparse matrix by rows.

    Row r has the values ``values[indptr[r] : indptr[r + 1]]`` in the columns ``indices`` there.

    Parameters
    ----------
    indptr : Tensor
        int64 [rows + 1], starts with 0 and never falls.
    indices : Tensor
        int32 [entries], below ``width``.
    values : Tensor or None
        float32 [entries], or [heads, entries] where each head has values of its own; None for ones.
    width : int
        The number of columns.
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor | None
    width: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def device(self) -> torch.device:
        """Where the matrix is."""
        return self.indptr.device


def slot_sum(
    rows: Ragged,
    weight: Tensor,
    matrix: SparseRows,
    slots: Tensor,
    seen: Ragged,
    kernels: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Return the messages at the slots of each seed, and their sum over unseen items.

    The message of head l to item i is the sum over the entries e of a seed of weight[l, e] times
    the value of item i in row ``rows.values[e]`` of the matrix. Only ``weight`` is differentiated.

    Parameters
    ----------
    rows : Ragged
        Rows of the matrix for each of n seeds; an entry of -1 sends nothing.
    weight : Tensor
        float [heads, entries].
    matrix : SparseRows
        What each row sends to which items.
    slots : Tensor
        int32 [n, slots]: items, -1 for none. An item may stand in several slots.
    seen : Ragged
        The items that the total of each seed leaves out. They may stand in slots.
    kernels : str
        See ``finrec_dgl.kernels.choose``.

    Returns
    -------
    out : Tensor
        float [n, heads, slots]: the messages; 0 in a slot of -1.
    total : Tensor
        float [n, heads]: the sum of the messages over all items that are not seen.
    """
    out: Tensor
    total: Tensor
    native = weight.dtype == torch.float32 and choose(kernels, *_floats(weight, matrix)) == "native"
    if native:
        out, total = _NativeSlotSum.apply(weight, rows, matrix, slots, seen)
        return out, total
    heads, (n, columns) = len(weight), slots.shape
    key, sums = _messages(rows, weight, matrix)
    # one place more, of no message, for items that none reaches
    sums = torch.cat([sums, sums.new_zeros(heads, 1)], dim=1)
    number = torch.arange(n, device=slots.device).unsqueeze(1)
    at = _find(key, number * matrix.width + slots).masked_fill_(slots < 0, len(key))
    out = sums[:, at.reshape(-1)].view(heads, n, columns).transpose(0, 1)
    unseen = ~_marked(key, seen, matrix.width)
    key, sums = key[unseen], sums[:, :-1][:, unseen]
    total = sums.new_zeros(heads, n).index_add(1, key // max(matrix.width, 1), sums)
    return out, total.T


def _floats(weight: Tensor, matrix: SparseRows) -> list[Tensor]:
    return [weight] if matrix.values is None else [weight, matrix.values]


def _given(rows: Ragged, matrix: SparseRows, seen: Ragged) -> tuple[Tensor | int | None, ...]:
    """Return what native code reads of the seeds and the matrix."""
    values = None if matrix.values is None else matrix.values.contiguous()
    # one row of values is that of every head
    stride = values.shape[1] if values is not None and values.dim() == 2 and len(values) > 1 else 0
    return (
        *(rows.indptr, rows.values, seen.indptr, seen.values),
        *(matrix.indptr, matrix.indices, values, stride),
    )


class _NativeSlotSum(torch.autograd.Function):
    """``slot_sum`` and its gradient; only rows that seeds point to are read in either."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, rows: Ragged, matrix: SparseRows, slots: Tensor, seen: Ragged
    ) -> tuple[Tensor, Tensor]:
        heads, entries = weight.shape
        n, columns = slots.shape
        ctx.sizes = (n, matrix.width, heads, entries, columns)
        ctx.given = (*_given(rows, matrix, seen), slots.contiguous())
        out, total = weight.new_empty(n, heads, columns), weight.new_empty(n, heads)
        arrays = (weight.detach().contiguous(), out, total)
        threads = torch.get_num_threads()
        find_library().call("finrec_slot_sum", threads, *ctx.sizes, *ctx.given, *arrays)
        return out, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_out: Tensor, to_total: Tensor) -> tuple[Tensor | None, ...]:
        to_weight = to_out.new_zeros(ctx.sizes[2], ctx.sizes[3])
        arrays = (to_out.contiguous(), to_total.contiguous(), to_weight)
        threads = torch.get_num_threads()
        find_library().call("finrec_slot_sum_grad", threads, *ctx.sizes, *ctx.given, *arrays)
        return to_weight, None, None, None, None


def _messages(rows: Ragged, weight: Tensor, matrix: SparseRows) -> tuple[Tensor, Tensor]:
    """Return the pairs (seed, item) with a message, and the messages.

    A pair is seed * width + item, int64 [pairs], rising; messages are float [heads, pairs].
    """
    entry = torch.nonzero(rows.values >= 0).squeeze(1)
    places, offsets = row_places(matrix.indptr, rows.values[entry].long())
    entry = torch.repeat_interleave(entry, offsets.diff(), output_size=len(places))
    each = weight[:, entry]
    if matrix.values is not None:
        each = each * matrix.values[..., places]
    key = rows.row[entry] * matrix.width + matrix.indices[places]
    key, at = torch.unique(key, return_inverse=True)
    return key, each.new_zeros(len(weight), len(key)).index_add(1, at, each)


def _find(key: Tensor, wanted: Tensor) -> Tensor:
    """Return where ``wanted`` stands in the rising ``key`` [n], n where it does not."""
    if not len(key):
        return torch.zeros_like(wanted)
    at = torch.searchsorted(key, wanted)
    there = key[at.clamp(max=len(key) - 1)] == wanted
    return at.masked_fill_(~there, len(key))


def _marked(key: Tensor, seen: Ragged, width: int) -> Tensor:
    """Return which pairs are of a seen item, bool [pairs]."""
    marked = torch.zeros(len(key) + 1, dtype=torch.bool, device=key.device)
    marked[_find(key, seen.row * width + seen.values)] = True
    return marked[:-1]


def slot_top(
    rows: Ragged, weight: Tensor, matrix: SparseRows, seen: Ragged, k: int, kernels: str = "auto"
) -> Tensor:
    """Return the ``k`` unseen items of the greatest message for each seed.

    Only messages above 0 count. Of equal ones the smaller item comes first. Nothing is
    differentiated.

    Parameters
    ----------
    rows : Ragged
        Rows of the matrix for each of n seeds; an entry of -1 sends nothing.
    weight : Tensor
        float [entries].
    matrix : SparseRows
        What each row sends to which items; its values have one dimension, or are None.
    seen : Ragged
        The items of each seed that are left out.
    k : int
        How many items a seed.
    kernels : str
        See ``finrec_dgl.kernels.choose``.

    Returns
    -------
    Tensor
        int32 [n, k], best first, -1 where there are fewer.
    """
    n, weight = len(rows), weight.detach()
    native = weight.dtype == torch.float32 and choose(kernels, *_floats(weight, matrix)) == "native"
    if native:
        top = rows.values.new_empty(n, k)
        given = (*_given(rows, matrix, seen)[:-1], weight.contiguous(), top)
        threads = torch.get_num_threads()
        find_library().call("finrec_slot_top", threads, n, matrix.width, k, *given)
        return top
    key, (message,) = _messages(rows, weight.unsqueeze(0), matrix)
    kept = (message > 0) & ~_marked(key, seen, matrix.width)
    key, message = key[kept], message[kept]
    key = key[torch.argsort(message, descending=True, stable=True)]
    row = key // max(matrix.width, 1)
    order = torch.argsort(row, stable=True)
    key, row = key[order], row[order]
    place = place_in_row(row, n)
    key, row, place = key[place < k], row[place < k], place[place < k]
    top = rows.values.new_full((n, k), -1)
    top[row, place] = (key % max(matrix.width, 1)).int()
    return top


def distinct_slots(parts: Sequence[Tensor], kernels: str = "auto") -> Tensor:
    """Return lists of candidates side by side, each item of a row once.

    Parameters
    ----------
    parts : sequence of Tensor
        int32 [n, width] each, -1 for none, or [width], which is the same for every row. At least
        one has rows.
    kernels : str
        See ``finrec_dgl.kernels.choose``.

    Returns
    -------
    Tensor
        int32 [n, sum of widths]: -1 where an item stands further left in its row.
    """
    (n,) = {len(one) for one in parts if one.dim() == 2}
    slots = torch.cat([one if one.dim() == 2 else one.expand(n, -1) for one in parts], dim=1)
    # integers have no kernels of their own: asked for numbers of the same device
    if choose(kernels, slots.new_empty(0, dtype=torch.float32)) == "native":
        threads = torch.get_num_threads()
        find_library().call("finrec_distinct_slots", threads, *slots.shape, slots)
        return slots
    value, order = torch.sort(slots, dim=1, stable=True)
    again = torch.zeros_like(value, dtype=torch.bool)
    again[:, 1:] = value[:, 1:] == value[:, :-1]
    return slots.masked_fill_(torch.zeros_like(again).scatter_(1, order, again), -1)
