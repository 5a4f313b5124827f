"""Users two hops away from a seed, what they share with it, and sums over their items.

Native code on the CPU; the same by PyTorch on any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels.backend import choose
from finrec_dgl.kernels.library import find_library
from finrec_dgl.kernels.ragged import Ragged, place_in_row, row_places

_LEAST = 1e-20
_FEW_USERS = 8_192
_AT_ONCE = 2**22  # numbers of the rows that are gathered at once


@dataclass(frozen=True, eq=False)
class PeerQuery:
    """What a search for near users reads.

    Parameters
    ----------
    seed_items : Ragged
        The items of each of n seeds.
    seeds : Tensor
        int32 [n]: the seeds' own numbers, which are no peers of theirs; -1 for a user who is not in
        the graph.
    drawn : Ragged
        Users drawn for each distinct item of the seeds.
    local : Tensor
        int32 [n_items]: the row of ``drawn`` for an item.
    item_weight : Tensor
        float32 [n_items]: what a shared item adds.
    user_scale, seed_scale : Tensor
        float32 [n_users] and [n]: factors of a weight.
    connected : Ragged
        The users connected to each seed; each adds 1 to the weight.
    known : Tensor
        bool [n_users]: users with an interaction; others are no peers.
    """

    seed_items: Ragged
    seeds: Tensor
    drawn: Ragged
    local: Tensor
    item_weight: Tensor
    user_scale: Tensor
    seed_scale: Tensor
    connected: Ragged
    known: Tensor


def near_users(query: PeerQuery, k: int, kernels: str = "auto") -> Tensor:
    """Return the ``k`` users of the greatest weight for each seed, by rising number.

    weight(v) = user_scale_v seed_scale sum of item_weight over the items at which v was drawn,
    plus 1 for a connection. Of equal weights the smaller number is taken.

    Parameters
    ----------
    query : PeerQuery
        The seeds and where to look.
    k : int
        At most so many users a seed.
    kernels : str
        See ``finrec_dgl.kernels.choose``.

    Returns
    -------
    Tensor
        int32 [n, k], -1 where there are fewer.
    """
    n_users = len(query.known)
    k = min(k, n_users)
    if choose(kernels, query.item_weight) == "native":
        peers = query.seeds.new_empty(len(query.seeds), k)
        find_library().call(
            "finrec_near_users",
            *(torch.get_num_threads(), len(query.seeds), n_users, k),
            *(query.seed_items.indptr, query.seed_items.values, query.seeds, query.local),
            *(query.drawn.indptr.int(), query.drawn.values, query.item_weight),
            *(query.user_scale, query.seed_scale, query.connected.indptr),
            *(query.connected.values, query.known.view(torch.uint8), peers),
        )
        return peers
    return _near_users(query, k)


def _near_users(query: PeerQuery, k: int) -> Tensor:
    """``near_users`` by sorting the pairs (seed, user)."""
    n_users, n = len(query.known), len(query.seeds)
    row = query.seed_items.row
    item = query.seed_items.values.long()
    places, offsets = row_places(query.drawn.indptr, query.local[item].long())
    user = query.drawn.values[places].long()
    each = (query.item_weight[item] * query.seed_scale[row]).clamp(min=_LEAST)
    each = torch.repeat_interleave(each, offsets.diff(), output_size=len(places))
    row = torch.repeat_interleave(row, offsets.diff(), output_size=len(places))
    connected = query.connected.values.long()
    pair = torch.cat([row * n_users + user, query.connected.row * n_users + connected])
    weight = torch.cat([each * query.user_scale[user], each.new_ones(len(connected))])
    pair, at = torch.unique(pair, return_inverse=True)
    weight = weight.new_zeros(len(pair)).index_add_(0, at, weight)
    row, user = pair // max(n_users, 1), pair % max(n_users, 1)
    kept = query.known[user] & (user != query.seeds[row])
    row, user, weight = row[kept], user[kept], weight[kept]
    order = torch.argsort(weight, descending=True, stable=True)
    order = order[torch.argsort(row[order], stable=True)]
    place = place_in_row(row[order], n)
    order, place = order[place < k], place[place < k]
    order = order[torch.argsort(row[order] * max(n_users, 1) + user[order])]
    peers = query.seeds.new_full((n, k), -1)
    peers[row[order], place_in_row(row[order], n)] = user[order].int()
    return peers


def shared_items(
    seed_items: Ragged,
    peers: Tensor,
    user_items: Ragged,
    item_weight: Tensor,
    kernels: str = "auto",
) -> Tensor:
    """Return what each seed shares with each of its peers.

    Parameters
    ----------
    seed_items : Ragged
        The items of each of n seeds.
    peers : Tensor
        int32 [n, k], -1 for none.
    user_items : Ragged
        The items of every user.
    item_weight : Tensor
        float32 [n_items].
    kernels : str
        See ``finrec_dgl.kernels.choose``.

    Returns
    -------
    Tensor
        float32 [n, k, 2]: the sum of ``item_weight`` over shared items, and how many they are.
    """
    n, k = peers.shape
    n_items = len(item_weight)
    if choose(kernels, item_weight) == "native":
        shared = item_weight.new_empty(n, k, 2)
        find_library().call(
            "finrec_shared_items",
            *(torch.get_num_threads(), n, n_items, k, seed_items.indptr, seed_items.values, peers),
            *(user_items.indptr, user_items.values, item_weight, shared),
        )
        return shared
    slot, item, _ = _edges_of(peers, user_items)
    mine = seed_items.row * n_items + seed_items.values
    mine = torch.unique(mine)
    pair = slot // max(k, 1) * n_items + item
    at = torch.searchsorted(mine, pair).clamp(max=max(len(mine) - 1, 0))
    both = (mine[at] == pair) if len(mine) else torch.zeros_like(pair, dtype=torch.bool)
    slot, item = slot[both], item[both]
    shared = item_weight.new_zeros(n * k, 2)
    values = torch.stack([item_weight[item], torch.ones_like(item_weight[item])], dim=1)
    return shared.index_add_(0, slot, values).view(n, k, 2)


def pair_dots(left: Tensor, right: Tensor, peers: Tensor) -> Tensor:
    """Return the inner products of each seed with its peers.

    By PyTorch, where there are few users, all products are made at once, which is quicker than to
    gather rows. Without a gradient.

    Parameters
    ----------
    left : Tensor
        float [n, width], of the seeds.
    right : Tensor
        float [n_users, width].
    peers : Tensor
        int64 [n, k], rows of ``right``.

    Returns
    -------
    Tensor
        float [n, k].
    """
    n, k = peers.shape
    if left.shape != (n, right.shape[1]):
        raise UsageError(
            f"seeds are {list(left.shape)}, peers {n} rows of vectors of {right.shape[1]}",
            expected="a vector for each row of peers, as wide as theirs",
        )
    if choose("auto", left, right) == "native":
        found = left.new_empty(n, k)
        given = (left.contiguous(), right.contiguous(), peers.long().contiguous(), found)
        find_library().compute("finrec_pair_dots", left, n, k, left.shape[1], *given)
        return found
    if len(right) <= _FEW_USERS:
        return (left @ right.T).gather(1, peers)
    step = max(1, _AT_ONCE // max(k * right.shape[1], 1))
    parts = [
        torch.bmm(right[peers[start : start + step]], left[start : start + step].unsqueeze(2))
        for start in range(0, n, step)
    ]
    return torch.cat(parts).squeeze(2) if parts else left.new_zeros(n, k)


def _edges_of(peers: Tensor, user_items: Ragged) -> tuple[Tensor, Tensor, Tensor]:
    """Return slot int64 [m], item int64 [m] and place int64 [m] of all edges of the peers.

    A slot is a row of the flattened ``peers``; places are those in ``user_items``.
    """
    flat = peers.reshape(-1).long()
    there = torch.nonzero(flat >= 0).squeeze(1)
    places, offsets = row_places(user_items.indptr, flat[there])
    slot = torch.repeat_interleave(there, offsets.diff(), output_size=len(places))
    return slot, user_items.values[places].long(), places


def peer_sum(
    share: Tensor,
    peers: Tensor,
    user_items: Ragged,
    fade: Tensor,
    n_items: int,
    kernels: str = "auto",
) -> Tensor:
    """Sum what peers took up.

    out[h, b, i] = sum over peers v_j of seed b of share[h, b, j] fade[h, e], with e the edge of v_j
    and i.

    Parameters
    ----------
    share : Tensor
        float [heads, n, k].
    peers : Tensor
        int32 [n, k], -1 for none.
    user_items : Ragged
        The items of every user.
    fade : Tensor
        float [heads, edges]: by the places of ``user_items``; not differentiated.
    n_items : int
        The number of items.
    kernels : str
        See ``finrec_dgl.kernels.choose``.

    Returns
    -------
    Tensor
        float [heads, n, n_items].
    """
    native = share.dtype == torch.float32 and choose(kernels, share, fade) == "native"
    out: Tensor
    if native:
        out = _NativePeerSum.apply(share, peers, user_items, fade, n_items)
        return out
    slot, item, places = _edges_of(peers, user_items)
    heads, n, k = share.shape
    each = share.reshape(heads, n * k)[:, slot] * fade[:, places]
    out = share.new_zeros(heads, n * n_items)
    out = out.index_add(1, slot // max(k, 1) * n_items + item, each)
    return out.view(heads, n, n_items)


class _NativePeerSum(torch.autograd.Function):
    """``peer_sum`` and its gradient; only edges of peers are read in either."""

    @staticmethod
    def forward(
        ctx: Any, share: Tensor, peers: Tensor, user_items: Ragged, fade: Tensor, n_items: int
    ) -> Tensor:
        heads, n, k = share.shape
        ctx.given = (*(n, n_items, k, heads, fade.shape[1]), peers.contiguous())
        ctx.given += (user_items.indptr, user_items.values.contiguous(), fade.contiguous())
        out = share.new_zeros(heads, n, n_items)
        threads = torch.get_num_threads()
        find_library().call(
            "finrec_peer_sum", threads, *ctx.given, share.detach().contiguous(), out
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        n, _, k, heads = ctx.given[:4]
        to_share = grad.new_empty(heads, n, k)
        threads = torch.get_num_threads()
        find_library().call(
            "finrec_peer_sum_grad", threads, *ctx.given, grad.contiguous(), to_share
        )
        return to_share, None, None, None, None
