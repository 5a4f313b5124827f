"""Attention between a seed and the users two hops away, over the age of what they took up."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finrec_dgl.kernels.peers import PeerQuery, near_users, pair_dots, peer_sum, shared_items
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.relations.base import (
    GRAPH_ATTENTION,
    ModelShape,
    Relation,
    log_share,
    register_relation,
    stacked,
)
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.cosine import fade
from finrec_dgl.relations.spectral import PEER_RANK, item_directions
from finrec_dgl.relations.view import GraphTensors, SeedBatch, Seeds

PEER_FEATURES = (
    *("log idf cosine", "log cosine", "text", "connected", "spectral"),
    *("log interactions", "log idle days", "nothing shared"),
)
"""What the attention reads of a seed and a peer, in the order of the last axis."""

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

    name, part, learned = "peers", GRAPH_ATTENTION, True

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

    def sample(self, batch: SeedBatch) -> tuple[Tensor, ...]:
        peers = self._peers(batch.view, batch.seeds)
        return peers, self._features(batch.view, batch.seeds, peers)

    def _peers(self, view: GraphTensors, seeds: Seeds) -> Tensor:
        """Return the peers of each seed, int32 [B, k], -1 where there are fewer."""
        items, local = torch.unique(seeds.item, return_inverse=True)
        place = torch.zeros(view.n_items, dtype=torch.int32, device=view.device)
        place[seeds.item] = local.int()
        connected = seeds.connected
        if not self.shape.tie_kinds:
            connected = Ragged(torch.zeros_like(connected.indptr), connected.values[:0])
        scale = 1 / _idf_length(view, seeds.history, seeds.row).clamp(min=1e-9)
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
        own = _idf_length(view, seeds.history, seeds.row).unsqueeze(1)
        scale = view.kept("user scale", lambda: _user_scale(view))
        rare = shared[..., 0] * scale[at] / own.clamp(min=1e-9)
        both = seeds.history.counts.unsqueeze(1) * view.user_count[at]
        same = shared[..., 1] / both.clamp(min=1).sqrt()
        text = torch.zeros_like(same)
        if self.shape.text_dim:
            text = pair_dots(seeds.text, view.user_text, at)
        connected = _is_connected(seeds, peers, view.n_users) if self.shape.tie_kinds else None
        users, directions = _spectral_users(view, self.config)
        inside = functional.normalize(seeds.message(directions))
        parts = [
            torch.log(rare + 0.01),
            torch.log(same + 0.01),
            text,
            torch.zeros_like(same) if connected is None else connected,
            pair_dots(inside, users, at),
            torch.log(view.user_count[at].clamp(min=1).float()),
            torch.log1p(view.user_idle[at]),
            (shared[..., 1] == 0).float(),
        ]
        return stacked(parts)

    def forward(self, batch: SeedBatch, sampled: Tensor | tuple[Tensor, ...]) -> Tensor:
        peers, features = sampled
        view = batch.view
        absent = (peers < 0).unsqueeze(-1)
        logit = (features @ self.query.T).masked_fill(absent, -1e9)  # [B, k, heads]
        # where nobody is present, the softmax is even over the absent
        share = torch.softmax(logit, dim=1).masked_fill(absent, 0.0)
        user_items, _ = view.peer_items
        kernel = view.kept("peer kernels", lambda: self._kernels(view))
        message = peer_sum(share, peers, user_items, kernel, view.n_items)
        heads = range(message.shape[1])
        return stacked([log_share(message[:, h], batch.free, self.floor[h].exp()) for h in heads])

    def _kernels(self, view: GraphTensors) -> Tensor:
        """Return kappa_h of the age of each edge, float32 [heads, edges of ``peer_items``].

        Where items are drawn, each stands for as many as were left out.
        """
        items, places = view.peer_items
        age, lives, found = view.age[places], self.config.peer_half_lives, []
        for head, own in enumerate(lives):
            others = [*lives[:head], *lives[head + 1 :], self.config.short_half_life, 0.0]
            rest = torch.stack([fade(age, one) for one in others]).mean(dim=0)
            found.append(0.75 * fade(age, own) + 0.25 * rest)
        stands_for = view.user_count / items.counts.clamp(min=1)
        return torch.stack(found) * stands_for[items.row]


def _idf(view: GraphTensors) -> Tensor:
    """Return log((U + 1) / (users of the item + 1)), float32 [I]."""
    return torch.log((view.n_users + 1) / (view.item_count + 1))


def _idf_length(view: GraphTensors, items: Ragged, row: Tensor) -> Tensor:
    """Return the length of each row of items weighted by idf, float32 [rows]."""
    square = _idf(view).square()[items.values.long()]
    return square.new_zeros(len(items)).index_add_(0, row, square).sqrt()


def _user_scale(view: GraphTensors) -> Tensor:
    """Return 1 / the idf-weighted length of each user's items, float32 [U]."""
    items = view.user_items
    return 1 / _idf_length(view, items, items.row).clamp(min=1e-9)


def _spectral_users(view: GraphTensors, config: PairConfig) -> tuple[Tensor, Tensor]:
    """Return each user's place in the leading subspace [U, r] at length 1, and what leads there.

    The second, float32 [I, r], is summed over a user's items.
    """

    def make() -> tuple[Tensor, Tensor]:
        right = item_directions(view, config.ranks)[:, :PEER_RANK]
        directions = right / view.item_count.clamp(min=1).sqrt().unsqueeze(1)
        items = view.user_items
        users = torch.nn.functional.embedding_bag(
            items.values.long(), directions, items.indptr[:-1], mode="sum"
        )
        return functional.normalize(users), directions

    return view.kept("spectral users", make)


def _is_connected(seeds: Seeds, peers: Tensor, n_users: int) -> Tensor:
    """Return 1.0 where a peer is connected to its seed, float32 [B, k]."""
    pair = seeds.connected.row * n_users + seeds.connected.values
    row = torch.arange(len(seeds), device=seeds.device).unsqueeze(1)
    return torch.isin(row * n_users + peers, pair).float()
