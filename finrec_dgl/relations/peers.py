"""Attention between a seed and the users two hops away, over the age of what they took up."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finrec_dgl.kernels.channels import weighted_sum
from finrec_dgl.kernels.peers import PeerQuery, near_users, pair_dots, peer_sum, shared_items
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.kernels.slots import SparseRows, slot_top
from finrec_dgl.kernels.softmax import softmax_of
from finrec_dgl.relations.base import (
    GRAPH_ATTENTION,
    ModelShape,
    Relation,
    register_relation,
    stacked,
)
from finrec_dgl.relations.batch import SeedBatch
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.cosine import fade
from finrec_dgl.relations.spectral import PEER_RANK, item_directions
from finrec_dgl.relations.view import GraphTensors, Seeds

PEER_FEATURES = (
    *("log idf cosine", "log cosine", "text", "connected", "spectral"),
    *("log interactions", "log idle days", "nothing shared"),
)
"""What the attention reads of a seed and a peer, in the order of the last axis."""

_MANY_USERS, _MANY_PAIRS = 1_000_000, 2_000_000
"""Above, what is known of users and what they send is made of the peers of a batch alone."""

_START = {"log idf cosine": 1.0, "log cosine": 0.5, "nothing shared": -1.0}


@register_relation
class Peers(Relation):
    """Graph attention over two hops, seed -> items -> users, then over the peers' items.

    For each head h, with f_uv the ``PEER_FEATURES`` of a seed u and a peer v,

        alpha_uv      = softmax over v of q_h . f_uv                        (formula 4)
        message(u, i) = sum over v of alpha_uv kappa_h(age of v's interaction with i)
        kappa_h(a)    = 3/4 2^(-a / H_h) + 1/4 mean over the other half-lives and 1

    The peers are the ``peers`` users of the largest idf-weighted cosine among those reached, the
    seed's connections first. After graph attention, arXiv 2506.05873, formulas 4 and 5.
    """

    name, part, learned, slotted = "peers", GRAPH_ATTENTION, True, True

    def __init__(self, config: PairConfig, shape: ModelShape) -> None:
        super().__init__(config, shape)
        heads = len(config.peer_half_lives)
        query = torch.zeros(heads, len(PEER_FEATURES))
        for name, value in _START.items():
            query[:, PEER_FEATURES.index(name)] = value
        self.query = nn.Parameter(query)
        self.floor = nn.Parameter(torch.full((heads,), -3.0))

    def channel_names(self) -> tuple[str, ...]:
        return tuple(f"peers {head}" for head in range(len(self.config.peer_half_lives)))

    def start(self) -> Tensor:
        heads = len(self.config.peer_half_lives)
        return torch.full((heads,), 1.0 / max(heads, 1))

    def propose(self, batch: SeedBatch, count: int) -> Tensor:
        peers, features, *rows = self.sample(batch)
        with torch.no_grad():
            share = self._attention(peers, features).mean(dim=0)
        matrix = SparseRows(rows[0], rows[1], rows[2].mean(dim=0), batch.view.n_items)
        return slot_top(_flat(peers, rows[3]), share.reshape(-1), matrix, batch.seeds.known, count)

    def at_floor(self) -> Tensor:
        return self.floor

    def sample(self, batch: SeedBatch) -> tuple[Tensor, ...]:
        """Return the peers of each seed [B, k] and what attention reads of them [B, k, F].

        Where there are many items, also the items that these peers send: offsets, items and
        kernels of the rows, and the row of each peer [B, k].
        """
        view = batch.view
        return view.last(batch.seeds, "peers", lambda: self._sampled(view, batch.seeds))

    def _sampled(self, view: GraphTensors, seeds: Seeds) -> tuple[Tensor, ...]:
        peers = self._peers(view, seeds)
        found = peers, self._features(view, seeds, peers)
        return (*found, *self._sent(view, peers)) if self.many_items else found

    def _sent(self, view: GraphTensors, peers: Tensor) -> tuple[Tensor, ...]:
        """Return the rows of what ``peers`` send, or all rows where they are few."""
        if len(view.age) <= _MANY_PAIRS:
            items, _ = view.peer_items
            kernel = view.kept("peer kernels", lambda: self._kernels(view))
            return items.indptr, items.values, kernel, peers
        distinct, row = torch.unique(peers.clamp(min=0), return_inverse=True)
        items, places = view.sent_items(distinct.long())
        kernel = self._kernel(view.age[places])
        stands_for = view.user_count[distinct.long()] / items.counts.clamp(min=1)
        kernel = kernel * torch.repeat_interleave(stands_for, items.counts, output_size=len(places))
        return items.indptr, items.values, kernel, row.int().masked_fill(peers < 0, -1)

    def _peers(self, view: GraphTensors, seeds: Seeds) -> Tensor:
        """Return the peers of each seed, int32 [B, k], -1 where there are fewer."""
        items, local = torch.unique(seeds.item, return_inverse=True)
        place = torch.zeros(view.n_items, dtype=torch.int32, device=view.device)
        place[seeds.item] = local.int()
        connected = seeds.connected
        if not self.shape.tie_kinds:
            connected = Ragged(torch.zeros_like(connected.indptr), connected.values[:0])
        scale = 1 / _idf_length(view, seeds.history).clamp(min=1e-9)
        query = PeerQuery(
            seed_items=seeds.history,
            seeds=seeds.user.int(),
            drawn=view.drawn_users(items),
            local=place,
            item_weight=_idf(view).square(),
            user_scale=view.kept("user scale", lambda: _user_scale(view)),
            seed_scale=scale,
            connected=connected,
            known=view.user_count > 0,
        )
        return near_users(query, self.config.peers)

    def _features(self, view: GraphTensors, seeds: Seeds, peers: Tensor) -> Tensor:
        """Return f_uv, float32 [B, k, F]; rows of absent peers are of user 0 and masked later."""
        at = peers.clamp(min=0).long()
        shared = shared_items(seeds.history, peers, view.user_items, _idf(view).square())
        own = _idf_length(view, seeds.history).unsqueeze(1)
        scale = view.kept("user scale", lambda: _user_scale(view))
        rare = shared[..., 0] * scale[at] / own.clamp(min=1e-9)
        both = seeds.history.counts.unsqueeze(1) * view.user_count[at]
        same = shared[..., 1] / both.clamp(min=1).sqrt()
        text = torch.zeros_like(same)
        if self.shape.text_dim:
            text = pair_dots(seeds.text, view.user_text, at)
        connected = _is_connected(seeds, peers, view.n_users) if self.shape.tie_kinds else None
        inside, users, place = self._places(view, seeds, at)
        parts = [
            torch.log(rare + 0.01),
            torch.log(same + 0.01),
            text,
            torch.zeros_like(same) if connected is None else connected,
            pair_dots(inside, users, place),
            torch.log(view.user_count[at].clamp(min=1).float()),
            torch.log1p(view.user_idle[at]),
            (shared[..., 1] == 0).float(),
        ]
        return stacked(parts)

    def _places(
        self, view: GraphTensors, seeds: Seeds, at: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return where seeds and users are in the leading subspace, at length 1, [n, r] each.

        The third says in which row of the second each peer ``at`` [B, k] is: its own number, or
        that among the distinct peers where there are many items.
        """
        directions = _directions(view, self.config)
        inside = functional.normalize(seeds.message(directions))
        if view.n_users <= _MANY_USERS:
            return inside, view.kept("spectral users", lambda: _along(view, directions)), at
        distinct, place = torch.unique(at, return_inverse=True)
        return inside, _along(view, directions, distinct), place

    def forward(self, batch: SeedBatch, sampled: Tensor | tuple[Tensor, ...]) -> Tensor:
        peers, features, *rows = sampled
        share = self._attention(peers, features)
        floor = self.floor.exp()
        if batch.slots is None:
            message = self._messages(batch.view, share, peers)
            return batch.log_share(message, floor=floor).movedim(0, -1)
        matrix = SparseRows(rows[0], rows[1], rows[2], batch.view.n_items)
        found = batch.sums(_flat(peers, rows[3]), share.reshape(len(share), -1), matrix)
        each = zip(found, floor, strict=True)
        return stacked([batch.log_share(*sums, floor=one) for sums, one in each])

    def _attention(self, peers: Tensor, features: Tensor) -> Tensor:
        """Return alpha_uv of each head, float [heads, B, k], 0 for absent peers."""
        # a sum for each seed, and not one product for all: the same on any number of threads
        queries = (one.expand(len(peers), -1) for one in self.query)
        logit = torch.stack([weighted_sum(features, one) for one in queries])
        return softmax_of(logit, peers >= 0)

    def _messages(self, view: GraphTensors, share: Tensor, peers: Tensor) -> Tensor:
        """Return the messages to all items, float [heads, B, n_items]."""
        user_items, _ = view.peer_items
        kernel = view.kept("peer kernels", lambda: self._kernels(view))
        return peer_sum(share, peers, user_items, kernel, view.n_items)

    def _kernels(self, view: GraphTensors) -> Tensor:
        """Return kappa_h of the age of each edge, float32 [heads, edges of ``peer_items``].

        Where items are drawn, each stands for as many as were left out.
        """
        items, places = view.peer_items
        stands_for = view.user_count / items.counts.clamp(min=1)
        return self._kernel(view.age[places]) * stands_for[items.row]

    def _kernel(self, age: Tensor) -> Tensor:
        """Return kappa_h of ages [n] in days, float32 [heads, n]."""
        lives, found = self.config.peer_half_lives, []
        for head, own in enumerate(lives):
            others = [*lives[:head], *lives[head + 1 :], self.config.short_half_life, 0.0]
            rest = torch.stack([fade(age, one) for one in others]).mean(dim=0)
            found.append(0.75 * fade(age, own) + 0.25 * rest)
        return torch.stack(found)


def _flat(peers: Tensor, row: Tensor) -> Ragged:
    """Return the ``row`` int32 [B, k] of each peer as rows of entries, -1 for none."""
    n, k = peers.shape
    offsets = torch.arange(0, n * k + 1, max(k, 1), device=peers.device)
    return Ragged(offsets if k else offsets.new_zeros(n + 1), row.reshape(-1))


def _idf(view: GraphTensors) -> Tensor:
    """Return log((U + 1) / (users of the item + 1)), float32 [I]."""
    return torch.log((view.n_users + 1) / (view.item_count + 1))


def _idf_length(view: GraphTensors, items: Ragged) -> Tensor:
    """Return the length of each row of items weighted by idf, float32 [rows]."""
    square = _idf(view).square().index_select(0, items.values)
    return torch.segment_reduce(square, "sum", lengths=items.counts, unsafe=True).sqrt()


def _user_scale(view: GraphTensors) -> Tensor:
    """Return 1 / the idf-weighted length of each user's items, float32 [U]."""
    return 1 / _idf_length(view, view.user_items).clamp(min=1e-9)


def _directions(view: GraphTensors, config: PairConfig) -> Tensor:
    """Return what leads into the leading subspace, float32 [I, r]: summed over a user's items."""
    right = item_directions(view, config.ranks)[:, :PEER_RANK]
    return right / view.item_count.clamp(min=1).sqrt().unsqueeze(1)


def _along(view: GraphTensors, directions: Tensor, users: Tensor | None = None) -> Tensor:
    """Return the place of each of ``users`` int64 [n], or of all, at length 1: float32 [n, r]."""
    items = view.user_items if users is None else view.user_items.rows(users)[0]
    found = functional.embedding_bag(items.values.long(), directions, items.indptr[:-1], mode="sum")
    return functional.normalize(found)


def _is_connected(seeds: Seeds, peers: Tensor, n_users: int) -> Tensor:
    """Return 1.0 where a peer is connected to its seed, float32 [B, k]."""
    pair = seeds.connected.row * n_users + seeds.connected.values
    row = torch.arange(len(seeds), device=seeds.device).unsqueeze(1)
    return torch.isin(row * n_users + peers, pair).float()
