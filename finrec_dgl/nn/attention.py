"""Message functions of one relation: text and graph fused at the sender, then attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from finrec_dgl.kernels import Edges, GateWeights, Sent, attend, by_node, gates
from finrec_dgl.nn.fusion import Fusion, gate_logit

# below one edge in this many nodes, a relation is reduced to the nodes that take part in it
_SPARSE = 2


class RelationAttention(nn.Module):
    """The message function of relation r and its attention.

    g_j     = sigmoid(V^r [t_j || h_j])                              the fusion gate of the sender
    v_j     = g_j * W_text^r t_j + (1 - g_j) * W_graph^r h_j         the message, in ``heads`` parts
    s_ij    = LeakyReLU(a_src . v_j + a_dst . W_dst^r h_i)           per head
    out_i   = sum over j of softmax_j(s_ij) v_j

    The gate depends on the sender and the relation, not on the edge: it costs nodes, not edges.
    Other operators than the gate: see ``finrec_dgl.nn.fusion``; with ``graph`` this is a GATConv
    with separate weights for both ends and without bias. ``kernels``: who does the arithmetic over
    edges, see ``finrec_dgl.kernels.choose``.
    Shapes: text [n_src, dim], h_src [n_src, dim], h_dst [n_dst, dim]; returns [n_dst, dim].
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        fusion: str,
        attention_dropout: float = 0.0,
        kernels: str = "auto",
    ) -> None:
        super().__init__()
        self.heads = heads
        self.kernels = kernels
        self.attention_dropout = attention_dropout
        self.fusion = Fusion(fusion, dim)
        self.receiver = nn.Linear(dim, dim, bias=False)
        self.attend_src = nn.Parameter(torch.empty(heads, dim // heads))
        self.attend_dst = nn.Parameter(torch.empty(heads, dim // heads))
        for weight in (self.receiver.weight, self.attend_src, self.attend_dst):
            nn.init.xavier_uniform_(weight)

    def forward(
        self, edges: Edges, text: Tensor, has_text: Tensor, h_src: Tensor, h_dst: Tensor
    ) -> Tensor:
        """Messages of all senders, weighed by each receiver."""
        if not len(edges):
            return torch.zeros_like(h_dst)
        if not takes_few(edges, h_src, h_dst):
            return self.attend(edges, self._send(text, has_text, h_src), h_dst @ self.to_score.T)
        # few nodes take part, such as those with ties: only they cost anything
        small, senders, receivers = edges.compact
        sent = self._send(text[senders], has_text[senders], h_src[senders])
        out = self.attend(small, sent, h_dst[receivers] @ self.to_score.T)
        return h_dst.new_zeros(h_dst.shape).index_copy(0, receivers, out)

    def attend(self, edges: Edges, sent: Sent, score_dst: Tensor) -> Tensor:
        """What is sent, [n_src, dim], weighed by receivers with scores [n_dst, heads]."""
        out = attend(
            edges,
            sent.score,
            score_dst,
            sent.value.unflatten(1, (self.heads, -1)),
            dropout=self.attention_dropout if self.training else 0.0,
            kernels=self.kernels,
        )
        return out.flatten(1)

    @property
    def to_score(self) -> Tensor:
        """a_dst . W_dst, [heads, dim]."""
        return score_map(self.receiver.weight, self.attend_dst)

    @property
    def gate_weights(self) -> GateWeights | None:
        """The gate's weights; None with another operator."""
        if self.fusion.operator != "gate":
            return None
        maps: tuple[Any, Any] = self.fusion.text.weight, self.fusion.graph.weight
        parts = self.fusion.gate_weight
        return GateWeights(parts.weight, parts.bias, *maps, self.attend_src)

    def _send(self, text: Tensor, has_text: Tensor, h_src: Tensor) -> Sent:
        weights = self.gate_weights
        if weights is not None:
            return gated(weights, text, h_src, has_text, self.kernels)
        return scored(self.fusion(text, h_src, has_text), self.attend_src)


def gated(
    weights: GateWeights, text: Tensor, state: Tensor, has_text: Tensor, kernels: str
) -> Sent:
    """The messages and scores of nodes whose text and state are fused by the gate.

    g_j = sigmoid(V [t_j || h_j] + c), and 0 for a node without text
    v_j = g_j * W_text t_j + (1 - g_j) * W_graph h_j;  s_j = a . v_j by head

    Shapes: text [n, text], state [n, state], has_text bool [n]; weights of any width, of which
    native code takes those that are all alike.
    """
    square = len({*text.shape[1:], *state.shape[1:], *weights.text_map.shape}) == 1
    if square and by_node(kernels, text, state):
        return gates(text, state, has_text, [weights])[0][0]
    from_text, from_graph, logit = gate_parts(weights, text, state, has_text)
    return scored(torch.lerp(from_graph, from_text, torch.sigmoid(logit)), weights.attend_src)


def gate_parts(
    weights: GateWeights, text: Tensor, state: Tensor, has_text: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """W_text t, W_graph h and the logit of the gate, [n, dim] each; -inf for a node without text.

    Shapes: as ``gated``; ``has_text`` None: all nodes have text.
    """
    logit = gate_logit(text, state, weights.weight, weights.bias)
    if has_text is not None:
        logit = logit.masked_fill(~has_text.unsqueeze(1), float("-inf"))
    from_text = functional.linear(text, weights.text_map)
    return from_text, functional.linear(state, weights.graph_map), logit


def scored(value: Tensor, attend_src: Tensor) -> Sent:
    """Messages [n, heads * width] and their scores by a [heads, width]."""
    # a_src . v_j by one product with a block a head: half a pass over the values each way
    return Sent(value, value @ torch.block_diag(*attend_src.unsqueeze(-1)))


def score_map(weight: Tensor, attend_dst: Tensor) -> Tensor:
    """a_dst . W_dst, [heads, dim], a row a head: the weights multiplied before any node.

    Shapes: weight [heads * width, dim], attend_dst [heads, width].
    """
    by_head = weight.unflatten(0, attend_dst.shape)
    return (by_head * attend_dst.unsqueeze(-1)).sum(1)


def takes_few(edges: Edges, h_src: Tensor, h_dst: Tensor) -> bool:
    """Whether so few nodes take part in a relation that it is reduced to them."""
    return len(edges) * _SPARSE < max(len(h_src), len(h_dst))
