"""The hybrid over derived relations: attention between users, filters between products, text.

The frame of arXiv 2506.05873 with other relations than the observed ones, few parameters, and time
in the messages: see docs/model.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from finrec_dgl.nn.config import HybridConfig
from finrec_dgl.nn.hybrid import ModelShape
from finrec_dgl.nn.pseudo import PseudoLabels
from finrec_dgl.nn.world import (
    COVARIATES,
    PEER_FEATURES,
    Receivers,
    World,
    free_items,
    log_share,
)

TEXT_CHANNELS = ("text held", "text profile", "text posts", "text fit")
"""What ``World.told`` says, in its order."""

_SLOPE_PULL = 5.0
"""How much harder the weights' dependence on the user is pulled to its start, none."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a world says of some users before anything is learned.

    ``fixed`` [B, I, C]: logarithms of shares, one channel a relation between products, then trends;
    ``text`` [B, I, T]: the same of the relations through text, None without; ``peers``: features
    [B, K, F], absent bool [B, K], nodes int64 [B, K] or None (all); None without Stream One.
    ``ties`` [B, I]: how many of the user's ties hold each product; None without ties.
    ``covariates`` [B, V]; ``free`` bool [B, I]: not held; ``held`` [B, I]: 1 / number of holdings
    where held.
    """

    fixed: Tensor
    text: Tensor | None
    peers: tuple[Tensor, Tensor, Tensor | None] | None
    ties: Tensor | None
    covariates: Tensor
    free: Tensor
    held: Tensor


class DerivedRecommender(nn.Module):
    """score(u, i) = (1 - g_i) s_graph(u, i) + g_i s_text(u, i), with g_i = k / (k + n_i).

    s_graph(u, i) = sum over channels c of w_c(u) z_c(u, i),  w_c(u) = w_c + a_c . x_u

    Each z_c is log_share of a message (``world.log_share``):
    - Stream One, graph attention between users (formulas 4 and 5 over a derived relation), per head
      sum over v of softmax_v(q . f_uv) kappa(age_vi), where f_uv (``PEER_FEATURES``) holds how
      alike u and v are in what they hold, in text and by ties, and kappa fades with the age of the
      interaction;
    - ties, likewise in Stream One: how many of those u is tied to hold i, above a learned floor. A
      channel of its own, since who is tied need not be alike;
    - Stream Two, graph convolution: linear filters between products of what u holds, faded by age;
    - popularity and how it moved;
    - with ``text_channels``, what texts say of any product: ``TEXT_CHANNELS``;
    - pseudo-labels: sum over classes of y_i and the mean y of what u holds, y = sigmoid(W e).
    x_u are ``COVARIATES``. n_i is how many hold i and k is ``text_holders``: a product that few
    hold is known by its text. s_text takes s_graph's row of the user over to products with like
    text, by kernel smoothing and by ridge regression (``World.text_maps``), each with a learned
    weight, and adds ``TEXT_CHANNELS`` and an offset. Without text g_i = 0, without the graph 1.
    """

    def __init__(self, config: HybridConfig, shape: ModelShape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape
        derived = config.derived
        self.has_text = config.text and shape.text_dim > 0
        self.heads = len(derived.peer_half_lives) if config.graph and config.stream_one else 0
        self.pseudo = (
            PseudoLabels(shape.text_dim, shape.pseudo_classes)
            if self.has_text and config.uses_pseudo and shape.pseudo_classes
            else None
        )
        ties = config.social and bool(shape.tie_kinds)
        self.tied = ties and config.graph and config.stream_one
        self.channels = self._channels()
        count = len(self.channels)
        self.weight = nn.Parameter(torch.zeros(count))
        self.slope = nn.Parameter(torch.zeros(len(COVARIATES), count))
        if self.heads:
            self.query = nn.Parameter(torch.zeros(self.heads, len(PEER_FEATURES)))
            self.floor = nn.Parameter(torch.full((self.heads,), -3.0))
        if self.tied:
            self.tie_floor = nn.Parameter(torch.zeros(()))
        self.vectors: Tensor | None
        learned = "vectors" in self.channels
        self.register_buffer(
            "vectors", torch.zeros(shape.n_items, derived.vectors) if learned else None
        )
        if self.has_text:
            self.carry = nn.Parameter(torch.tensor([0.5, 0.5]))
            self.offset = nn.Parameter(torch.zeros(()))
            self.told = nn.Parameter(torch.zeros(len(TEXT_CHANNELS)))
        self._start()
        self._anchors = {
            name: parameter.detach().clone()
            for name, parameter in self.named_parameters()
            if not name.startswith("pseudo.")
        }

    def _channels(self) -> tuple[str, ...]:
        """Names in the order of the weights: fixed ones, pseudo-labels, ties, then heads."""
        derived, names = self.config.derived, []
        if self.config.graph and self.config.stream_two:
            names += [f"ease {one:g}" for one in derived.ease]
            names += [f"cosine {one:g}" for one in derived.holding_half_lives]
            names += ["vectors"] if derived.vectors else []
            names += [f"spectral {one}" for one in derived.ranks]
        names += ["popularity", *(f"trend {one:g}" for one in derived.trend_half_lives)]
        names += ["steady"] if derived.steady_half_life else []
        names += TEXT_CHANNELS if self.has_text and derived.text_channels else ()
        names += ["pseudo"] if self.pseudo is not None else []
        names += ["ties"] if self.tied else []
        return (*names, *(f"peers {head}" for head in range(self.heads)))

    @torch.no_grad()
    def _start(self) -> None:
        """A sensible model before any step: one filter, even attention to those alike."""
        linear = [name for name in self.channels if name.startswith(("ease", "cosine"))]
        parts = linear[-1:]
        parts += [name for name in self.channels if name.startswith("peers")][:1]
        for name in parts or ["popularity"]:
            self.weight[self.channels.index(name)] = 1.0 / max(len(parts), 1)
        for head in range(self.heads):
            self.weight[self.channels.index(f"peers {head}")] = (1 / len(parts)) / self.heads
            start = {"log idf cosine": 1.0, "log cosine": 0.5, "nothing shared": -1.0}
            for name, value in start.items():
                self.query[head, PEER_FEATURES.index(name)] = value
        if not linear and not self.heads and self.has_text:
            self.told[TEXT_CHANNELS.index("text held")] = 0.5

    def evidence(self, world: World, rows: Receivers) -> Evidence:
        """What ``world`` says of the users ``rows``; ``forward`` scores it any number of times."""
        free = free_items(rows)
        every = (len(rows), world.n_items)
        parts: list[Tensor] = []
        if self.config.graph and self.config.stream_two:
            parts += [log_share(torch.from_numpy(one), free) for one in world.filtered(rows)]
        parts += [torch.from_numpy(one).expand(every) for one in world.trends.values()]
        told = [_where_told(*one, free) for one in world.told(rows)] if self.has_text else []
        parts += told if self.config.derived.text_channels else []
        held = torch.from_numpy(rows.held.toarray())
        return Evidence(
            torch.stack(parts, dim=-1),
            torch.stack(told, dim=-1) if told else None,
            world.peers(rows, text=self.has_text, ties=self.config.social) if self.heads else None,
            torch.from_numpy(world.tied(rows)) if self.tied else None,
            torch.from_numpy(world.covariates(rows)),
            free,
            held / held.sum(1, keepdim=True).clamp(min=1),
        )

    def forward(self, world: World, evidence: Evidence) -> Tensor:
        """Scores [B, I]."""
        weight = self.weight + evidence.covariates @ self.slope  # [B, C]
        learned: list[Tensor] = []
        if self.pseudo is not None:
            learned.append(self._pseudo_channel(world, evidence))
        if evidence.ties is not None:
            learned.append(self._tie_channel(evidence.ties, evidence.free))
        if evidence.peers is not None:
            learned += self._peer_channels(world, evidence)
        fixed = evidence.fixed.shape[-1]
        graph = torch.einsum("bic,bc->bi", evidence.fixed, weight[:, :fixed])
        for number, channel in enumerate(learned, start=fixed):
            graph = graph + channel * weight[:, number : number + 1]
        if evidence.text is None:
            return graph
        return self._with_text(world, evidence.text, graph)

    def _with_text(self, world: World, told: Tensor, graph: Tensor) -> Tensor:
        """(1 - g) s_graph + g s_text; only products with a share of text cost anything."""
        gate = self.gate(world)
        columns = gate.nonzero().squeeze(1)
        if not len(columns):
            return graph
        kernel, (known, smoother) = world.text_maps(columns.numpy())
        mean = (graph * known).sum(1, keepdim=True) / known.sum().clamp(min=1)
        regressed = mean + ((graph - mean) * known) @ smoother
        text = self.carry[0] * (graph @ kernel) + self.carry[1] * regressed
        text = text + told[:, columns] @ self.told + self.offset
        mixed = torch.lerp(graph[:, columns], text, gate[columns].expand_as(text))
        return graph.index_copy(1, columns, mixed)

    def gate(self, world: World) -> Tensor:
        """g_i [I]: the share of text, 0 for a product without one; without the graph always 1."""
        k = self.config.derived.text_holders
        sold = torch.from_numpy(world.sold)
        share = k / (k + sold).clamp(min=1e-9)
        share = torch.where(sold == 0, torch.ones_like(share), share)
        if not self.config.graph:
            share = torch.ones_like(share)
        return torch.where(world.described, share, torch.zeros_like(sold))

    def _pseudo_channel(self, world: World, evidence: Evidence) -> Tensor:
        if self.pseudo is None:
            return torch.zeros_like(evidence.held)
        label = torch.sigmoid(self.pseudo(world.item_text)) * world.described.unsqueeze(1)
        label = label / label.sum(1, keepdim=True).clamp(min=1e-9)
        return log_share((evidence.held @ label) @ label.T, evidence.free)

    def pseudo_logits(self, world: World) -> dict[str, Tensor]:
        """Logits of y (formula 2) of all products and users, [n, classes] each."""
        if self.pseudo is None:
            return {}
        return {"item": self.pseudo(world.item_text), "user": self.pseudo(world.user_text)}

    def _tie_channel(self, message: Tensor, free: Tensor) -> Tensor:
        """log_share above its floor [B, I]: 0 where nobody tied to the user holds the product."""
        return log_share(message, free, self.tie_floor.exp()) - self.tie_floor

    def _peer_channels(self, world: World, evidence: Evidence) -> list[Tensor]:
        """[B, I] a head: attention over peers, then their messages."""
        features, absent, nodes = evidence.peers or (torch.zeros(0),) * 3
        found = []
        for head, kernel in enumerate(world.kernels):
            logit = (features @ self.query[head]).masked_fill(absent, -1e9)
            # where nobody is present, the softmax is even over the absent
            share = torch.softmax(logit, dim=1).masked_fill(absent, 0.0)
            message = _PeerSum.apply(share, nodes, kernel)
            found.append(log_share(message, evidence.free, self.floor[head].exp()))
        return found

    def squared_distance(self) -> Tensor:
        """||Theta - Theta_0||^2: how far the weights are from where they started, a scalar."""
        total = self.weight.new_zeros(())
        for name, parameter in self.named_parameters():
            if name in self._anchors:
                part = (parameter - self._anchors[name]).square().sum()
                total = total + (_SLOPE_PULL * part if name == "slope" else part)
        return total

    def weights_by_channel(self) -> dict[str, float]:
        """name -> its weight for a user whose covariates are 0."""
        return dict(zip(self.channels, self.weight.detach().tolist(), strict=True))


class _PeerSum(torch.autograd.Function):
    """message[b, i] = sum over k of share[b, k] x[v_k, i], of peers v_k = ``nodes[b, k]``.

    Shapes: share [B, K], nodes int64 [B, K] or None for all users in order, x SciPy sparse [U, I];
    returns [B, I]. Only what the peers hold is touched, in the gradient too:
    d share[b, k] = sum over i of x[v_k, i] d message[b, i].
    """

    @staticmethod
    def forward(ctx: Any, share: Tensor, nodes: Tensor | None, kernel: Any) -> Tensor:
        ctx.nodes, ctx.kernel = nodes, kernel
        mixed = share.detach().numpy()
        if nodes is None:
            return torch.from_numpy(np.ascontiguousarray((kernel.T @ mixed.T).T))
        rows, peers = mixed.shape
        ends = np.arange(0, rows * peers + 1, peers)
        given = (mixed.ravel(), nodes.numpy().ravel(), ends)
        chosen = sp.csr_array(given, shape=(rows, kernel.shape[0]))
        return torch.from_numpy((chosen @ kernel).toarray())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given = gradient.numpy()
        if ctx.nodes is None:
            return torch.from_numpy(np.ascontiguousarray((ctx.kernel @ given.T).T)), None, None
        rows, peers = ctx.nodes.shape
        held = ctx.kernel[ctx.nodes.numpy().ravel()]
        pair = np.repeat(np.arange(rows * peers), np.diff(held.indptr))
        each = held.data * given[pair // peers, held.indices]
        total = np.bincount(pair, each, rows * peers).astype(given.dtype)
        return torch.from_numpy(total.reshape(rows, peers)), None, None


def _where_told(message: np.ndarray, there: np.ndarray, free: Tensor) -> Tensor:
    """log_share where texts say something, and 0, an even share, where they say nothing."""
    said = torch.from_numpy(there)
    share = log_share(torch.from_numpy(message) * said, free & said)
    return torch.where(said, share, torch.zeros_like(share))
