"""Seeds with the graph and the items that they are scored in, and messages as shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from finrec_dgl.kernels.peers import pair_dots
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.kernels.shares import LEAST, log_shares
from finrec_dgl.kernels.slots import SparseRows, slot_sum
from finrec_dgl.relations.view import GraphTensors, Seeds

FLOOR = 0.05
"""An item without a message has this share of an even split."""


@dataclass(frozen=True, eq=False)
class Slots:
    """The items that are scored for each seed, where they are not all.

    Parameters
    ----------
    item : Tensor
        int32 [B, C], each item of a row once, -1 for none.
    reached : int
        How many columns, from the first, are of candidates. The others are asked for in training,
        or drawn.
    stands_for : Tensor
        float32 [B, C]: how many items a slot stands for in a sum over all of them: 1, and more for
        a drawn one.
    """

    item: Tensor
    reached: int
    stands_for: Tensor

    @cached_property
    def there(self) -> Tensor:
        """bool [B, C]: the slots that have an item."""
        return self.item >= 0

    @cached_property
    def at(self) -> Tensor:
        """int64 [B, C]: the items, 0 where there is none."""
        return self.item.clamp(min=0).long()

    @cached_property
    def candidates(self) -> Tensor:
        """bool [B, C]: the slots that are of candidates."""
        first = torch.arange(self.item.shape[1], device=self.item.device) < self.reached
        return self.there & first


@dataclass(frozen=True, eq=False)
class SeedBatch:
    """Seeds and the graph that they are scored in: what a relation is given.

    Parameters
    ----------
    view : GraphTensors
        The graph just before the time of the seeds: nothing later is in it.
    seeds : Seeds
        B users.
    slots : Slots or None
        The C items that each seed is scored with; None: all n_items in order, so that C is their
        number.
    """

    view: GraphTensors
    seeds: Seeds
    slots: Slots | None = None

    @cached_property
    def free(self) -> Tensor:
        """bool [B, n_items]: the items that are not in a seed's history."""
        return self.seeds.free(self.view.n_items)

    @property
    def width(self) -> int:
        """C, the columns of the scores."""
        return self.view.n_items if self.slots is None else self.slots.item.shape[1]

    def sums(
        self, rows: Ragged, weight: Tensor, matrix: SparseRows
    ) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return messages at the slots and their totals over free items, for each row of weights.

        Parameters
        ----------
        rows : Ragged
            B rows of entries, each a row of ``matrix``.
        weight : Tensor
            float32 [L, entries].
        matrix : SparseRows
            Rows of items; its values by item or by row of weights.

        Returns
        -------
        tuple of L pairs
            The messages float32 [B, C] and their sum float32 [B] over the items that the seed has
            not interacted with, candidates or not.
        """
        if self.slots is None:
            raise ValueError("the batch has no slots: all items are scored")
        found, total = slot_sum(rows, weight, matrix, self.slots.item, self.seeds.known)
        return tuple((found[:, one], total[:, one]) for one in range(len(weight)))

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """Return inner products of seeds and the items of their columns, float [B, C].

        ``left`` float [B, width], ``right`` float [n_items, width].
        """
        if self.slots is None:
            return left @ right.T
        return pair_dots(left, right, self.slots.at)

    def log_share(
        self, message: Tensor, total: Tensor | None = None, floor: Tensor | float = FLOOR
    ) -> Tensor:
        """Return messages as logarithms of shares among free items, see ``log_share``.

        Parameters
        ----------
        message : Tensor
            float [B, C]; without slots also [heads, B, C], with a ``floor`` [heads].
        total : Tensor, optional
            float [B]: the sum of the messages over all free items. Without it, where there are
            slots, shares are among the candidates.
        floor : Tensor or float
            The share of an item without a message.

        Returns
        -------
        Tensor
            In the shape of ``message``.
        """
        if self.slots is None:
            return log_share(message, self.free, floor)
        if total is None:
            return log_share(message, self.slots.candidates, floor)
        count = self.view.n_items - self.seeds.known.counts
        return share_of(message, total.unsqueeze(1), count.unsqueeze(1), floor)


def log_share(message: Tensor, free: Tensor, floor: Tensor | float = FLOOR) -> Tensor:
    """Return messages as logarithms of shares among free items, in units of an even split.

    log( x / sum of x over free items * number of free items + floor ), x = max(message, 0).

    The logarithm keeps heavy tails from dominating the likelihood.

    Parameters
    ----------
    message : Tensor
        float [B, n_items], or [heads, B, n_items].
    free : Tensor
        bool [B, n_items].
    floor : Tensor or float
        The share of an item without a message; of heads float [heads].

    Returns
    -------
    Tensor
        In the shape of ``message``.
    """
    return log_shares(message, free, floor)


def share_of(message: Tensor, total: Tensor, count: Tensor, floor: Tensor | float) -> Tensor:
    """Return log( x / total * count + floor ), x = max(message, 0); all float [B, C] or [B, 1]."""
    return torch.log(message.clamp(min=0) * (count / total.clamp(min=LEAST)) + floor)
