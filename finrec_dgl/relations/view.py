"""The graph as of a time, as tensors on one device, and the users to score in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.base.units import DAY
from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph import Relation
from finrec_dgl.kernels import Compressed, Edges, Layer
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.kernels.slots import SparseRows
from finrec_dgl.sampling import FULL, Fanouts
from finrec_dgl.sampling.draws import draw_neighbours, mix

COVARIATES = ("log interactions", "log idle days", "no interactions")
"""What is known of a user that the weights of channels may depend on."""

_LONGEST = 2_000.0  # days since the last interaction of a user who has none
_IDLE_MIDDLE, _IDLE_BOUND = 4.0, 2.0  # of log(1 + days): 54 days, and 6 days to 400

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Seeds:
    """Users to score, one a row; a row may also describe a user without a part of their history.

    Parameters
    ----------
    user : Tensor
        int64 [B]: their nodes.
    history : Ragged
        The items whose messages reach each seed: all it has interacted with, or those that were
        drawn; ``age`` float32 [entries]: days since the last time.
    text : Tensor
        float32 [B, d], zero for a user without text.
    connected : Ragged
        The users connected to each by a tie of any kind, in either direction.
    seen : tuple of Ragged and Tensor, optional
        All items each has interacted with, and their ages, where ``history`` was drawn.
    altered : bool
        Whether a row describes a user otherwise than the graph does.
    ties : mapping of relation to Ragged, optional
        Who sends to each row by a tie, where that is otherwise than in the graph.
    """

    user: Tensor
    history: Ragged
    age: Tensor
    text: Tensor
    connected: Ragged
    seen: tuple[Ragged, Tensor] | None = None
    altered: bool = False
    ties: Mapping[Relation, Ragged] | None = None

    def __len__(self) -> int:
        return len(self.user)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.user.device

    @cached_property
    def row(self) -> Tensor:
        """int64 [entries]: the row of each entry of ``history``."""
        return self.history.row

    @cached_property
    def item(self) -> Tensor:
        """int64 [entries]: the item of each entry of ``history``."""
        return self.history.values.long()

    @property
    def known(self) -> Ragged:
        """All items each has interacted with."""
        return (self.seen or (self.history, self.age))[0]

    def free(self, n_items: int) -> Tensor:
        """Return bool [B, n_items]: the items that each seed has not interacted with."""
        items = self.known
        free = torch.ones(len(self), n_items, dtype=torch.bool, device=self.device)
        free[items.row, items.values.long()] = False
        return free

    def covariates(self) -> Tensor:
        """Return float32 [B, 3], see ``COVARIATES``; about 0 for a usual user.

        The days without an interaction count between 6 and 400: beyond that few users of any
        training window lie, and a slope learned from them would be extrapolated.
        """
        items, age = self.seen or (self.history, self.age)
        count = items.counts
        none = count == 0
        idle = age.new_full((len(self),), _LONGEST)
        idle = idle.scatter_reduce(0, items.row, age, "amin")
        middle = (torch.log1p(idle) - _IDLE_MIDDLE).clamp(-_IDLE_BOUND, _IDLE_BOUND)
        known = torch.log(count.clamp(min=1).float())
        return torch.stack([known, middle.masked_fill(none, 0.0), none.float()], dim=1)

    def message(self, matrix: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the sum of the rows of ``matrix`` over each history, [B, width].

        ``matrix`` [n_items, width]; ``weight`` float [entries], None: all 1.
        """
        return torch.nn.functional.embedding_bag(
            self.item,
            matrix,
            self.history.indptr[:-1],
            mode="sum",
            per_sample_weights=weight,
        )


class GraphTensors:
    """The graph just before a time: what relations read, and what they share.

    Parameters
    ----------
    snapshot : Snapshot
        The data set as of that time.
    device : str or torch.device
        Where tensors are made.
    fanouts : Fanouts
        How many neighbours a seed sees; all of them by default.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        device: str | torch.device = "cpu",
        fanouts: Fanouts = FULL,
    ) -> None:
        self.snapshot = snapshot
        self.device = torch.device(device)
        self.fanouts = fanouts
        self.n_users, self.n_items = snapshot.n_users, snapshot.n_items
        indptr = torch.from_numpy(snapshot.pairs.indptr(self.n_users))
        # copies: a data set's arrays may be mapped from files that must not change
        self.user_items = Ragged(
            indptr.to(self.device), torch.from_numpy(np.array(snapshot.pairs.item)).to(self.device)
        )
        self.age = torch.from_numpy(ages(snapshot)).to(self.device)
        self.user_count = self.user_items.counts
        self.item_count = torch.bincount(self.user_items.values, minlength=self.n_items).float()
        self._kept: dict[str, Any] = {}
        self._last: dict[str, tuple[Seeds, Any]] = {}

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """Return what ``make`` gives, made once for ``name`` and kept with the view."""
        if name not in self._kept:
            self._kept[name] = make()
        found: T = self._kept[name]
        return found

    def last(self, seeds: Seeds, name: str, make: Callable[[], T]) -> T:
        """Return what ``make`` gives for ``seeds``, kept until other seeds ask for ``name``."""
        if name not in self._last or self._last[name][0] is not seeds:
            self._last[name] = seeds, make()
        found: T = self._last[name][1]
        return found

    def forget(self) -> None:
        """Release what relations keep; it is made again when it is needed."""
        self._kept.clear()
        self._last.clear()

    def release(self) -> None:
        """Release the graph too; what was sampled in it can still be scored at its slots."""
        self.forget()
        none = torch.zeros(0, dtype=torch.int32, device=self.device)
        self.user_items = Ragged(torch.zeros(self.n_users + 1, dtype=torch.long), none)
        self.age, self.item_count, self.user_count = none, none, none
        for name, one in vars(type(self)).items():
            if isinstance(one, cached_property):
                self.__dict__.pop(name, None)
        del self.snapshot

    def seeds(self, users: np.ndarray | Sequence[int] | Tensor) -> Seeds:
        """Return the users ``users`` int [B] with everything known of them at this time."""
        user = torch.as_tensor(np.asarray(users, np.int64)).to(self.device)
        history, places = self.user_items.rows(user)
        age, seen = self.age[places], None
        if self.fanouts.items >= 0:
            seen = history, age
            history = self._drawn_items(user, self.fanouts.items, 1)
            age = self.age[self._places(user[history.row], history.values)]
        connected, _ = self.connections.rows(user)
        return Seeds(user, history, age, self.user_text[user], connected, seen)

    def _places(self, user: Tensor, item: Tensor) -> Tensor:
        """Return where the pairs of ``user`` and ``item`` [n] stand in ``user_items``, int64."""
        keys = self.user_items.row * self.n_items + self.user_items.values
        return torch.searchsorted(keys, user * self.n_items + item)

    def _drawn_items(self, user: Tensor, fanout: int, hop: int) -> Ragged:
        """Return at most ``fanout`` items of each of ``user``, drawn without replacement."""
        nodes = user.to("cpu", torch.int32)
        drawn = draw_neighbours(self.by_user, nodes, fanout, mix(self.fanouts.key + hop), threads=1)
        return Ragged(drawn.indptr.long().to(self.device), drawn.indices.to(self.device))

    @cached_property
    def peer_items(self) -> tuple[Ragged, Tensor]:
        """The items that each user sends as a peer, and their places in ``user_items``."""
        if self.fanouts.peer_items < 0:
            return self.user_items, torch.arange(len(self.age), device=self.device)
        user = torch.arange(self.n_users, device=self.device)
        drawn = self._drawn_items(user, self.fanouts.peer_items, 3)
        return drawn, self._places(drawn.row, drawn.values)

    def sent_items(self, users: Tensor) -> tuple[Ragged, Tensor]:
        """Return what each of ``users`` int64 [n] sends as a peer, and places in ``user_items``."""
        if self.fanouts.peer_items < 0:
            return self.user_items.rows(users)
        drawn = self._drawn_items(users, self.fanouts.peer_items, 3)
        return drawn, self._places(users[drawn.row], drawn.values)

    def drawn_users(self, items: Tensor) -> Ragged:
        """Return users of each of ``items`` int64 [n], as many as the fanouts allow."""
        nodes = items.to("cpu", torch.int32)
        key = mix(self.fanouts.key + 2)
        threads = torch.get_num_threads()
        drawn = draw_neighbours(self.item_users, nodes, self.fanouts.users, key, threads=threads)
        return Ragged(drawn.indptr.long().to(self.device), drawn.indices.to(self.device))

    @cached_property
    def user_idle(self) -> Tensor:
        """float32 [U]: days since each user's last interaction."""
        return torch.segment_reduce(
            self.age, "min", lengths=self.user_count, initial=_LONGEST, unsafe=True
        )

    @cached_property
    def connections(self) -> Ragged:
        """The users tied to each user, by whatever kind and in either direction, each once."""
        none = np.zeros(0, np.int64)
        ends = list(self.snapshot.ties.values())
        source = np.concatenate([none, *(one[0] for one in ends), *(one[1] for one in ends)])
        target = np.concatenate([none, *(one[1] for one in ends), *(one[0] for one in ends)])
        size = max(self.n_users, 1)
        pair = np.unique(source * size + target)
        counts = np.bincount(pair // size, minlength=self.n_users)
        indptr = torch.from_numpy(np.append(0, np.cumsum(counts)).astype(np.int64))
        users = torch.from_numpy((pair % size).astype(np.int32))
        return Ragged(indptr.to(self.device), users.to(self.device))

    @cached_property
    def by_user(self) -> Compressed:
        """The items of each user, compressed, on the CPU, where neighbours are drawn."""
        return Compressed(self.user_items.indptr.int().cpu(), self.user_items.values.cpu())

    @cached_property
    def item_users(self) -> Compressed:
        """The users of each item, compressed, on the CPU."""
        return Edges.compressed(self.n_items, self.n_users, self.by_user).by_sender

    @cached_property
    def user_rows(self) -> SparseRows:
        """The items of each user as rows of ones."""
        return SparseRows(self.user_items.indptr, self.user_items.values, None, self.n_items)

    @cached_property
    def single_items(self) -> SparseRows:
        """A row for each item with a one at the item itself."""
        number = torch.arange(self.n_items + 1, device=self.device)
        return SparseRows(number, number[:-1].int(), None, self.n_items)

    @cached_property
    def layer(self) -> Layer:
        """All edges as one layer of message passing, on the view's device."""
        return self.snapshot.layer().to(self.device)

    @cached_property
    def item_text(self) -> Tensor:
        """float32 [I, d]."""
        return torch.from_numpy(np.array(self.snapshot.item_text)).to(self.device)

    @cached_property
    def user_text(self) -> Tensor:
        """float32 [U, d]."""
        return torch.from_numpy(np.array(self.snapshot.user_text)).to(self.device)

    def tensor(self, values: np.ndarray) -> Tensor:
        """Return ``values`` as a float32 tensor on the view's device."""
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)


def ages(snapshot: Snapshot) -> np.ndarray:
    """Return the days since each pair was last seen, float32 [E]; 0 without timestamps."""
    if snapshot.last is None or snapshot.time is None:
        return np.zeros(len(snapshot.pairs), np.float32)
    found: np.ndarray = ((snapshot.time - snapshot.last) / DAY).astype(np.float32)
    return found
