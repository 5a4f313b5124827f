"""Message functions of one relation: text and graph fused at the sender, then attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from finrec_dgl.graph.backend import dgl
from finrec_dgl.nn.fusion import Fusion

# below one edge in this many nodes, a relation is reduced to the nodes that take part in it
_SPARSE = 2


def attend(
    edges: Any,
    score_src: Tensor,
    score_dst: Tensor,
    value: Tensor,
    *,
    slope: float = 0.2,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of every destination node over its in-neighbours in one relation.

    alpha_ij = softmax over j in N(i) of LeakyReLU(score_src_j + score_dst_i)
    out_i    = sum over j in N(i) of alpha_ij value_j, and zero where N(i) is empty

    Formulas (4) and (5) of arXiv 2506.05873, after Velickovic et al., 2018. This is the one place
    where the arithmetic of attention is done. ``edges``: a graph or block of one relation.
    Shapes: score_src [n_src, heads], score_dst [n_dst, heads], value [n_src, heads, width];
    returns [n_dst, heads, width]. ``dropout`` falls on the coefficients.
    """
    logits = functional.leaky_relu(dgl.ops.u_add_v(edges, score_src, score_dst), slope)
    alpha = dgl.ops.edge_softmax(edges, logits)  # [edges, heads]
    if dropout:
        alpha = functional.dropout(alpha, dropout)
    return dgl.ops.u_mul_e_sum(edges, value, alpha.unsqueeze(-1))


def compact(edges: Any) -> tuple[Any, Tensor, Tensor]:
    """One relation as a block of just the nodes that have an edge, and their numbers.

    Returns the block, the senders int64 [s] and the receivers int64 [r], both sorted.
    """
    source, target = edges.edges()
    senders, source = torch.unique(source, return_inverse=True)
    receivers, target = torch.unique(target, return_inverse=True)
    block = dgl.create_block(
        (source, target), num_src_nodes=len(senders), num_dst_nodes=len(receivers)
    )
    return block, senders.long(), receivers.long()


class RelationAttention(nn.Module):
    """The message function of relation r and its attention.

    g_j     = sigmoid(V^r [t_j || h_j])                              the fusion gate of the sender
    v_j     = g_j * W_text^r t_j + (1 - g_j) * W_graph^r h_j         the message, in ``heads`` parts
    s_ij    = LeakyReLU(a_src . v_j + a_dst . W_dst^r h_i)           per head
    out_i   = sum over j of softmax_j(s_ij) v_j

    The gate depends on the sender and the relation, not on the edge: it costs nodes, not edges.
    Other operators than the gate: see ``finrec_dgl.nn.fusion``; with ``graph`` this is a GATConv
    with separate weights for both ends and without bias.
    Shapes: text [n_src, dim], h_src [n_src, dim], h_dst [n_dst, dim]; returns [n_dst, dim].
    """

    def __init__(self, dim: int, heads: int, fusion: str, attention_dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.attention_dropout = attention_dropout
        self.fusion = Fusion(fusion, dim)
        self.receiver = nn.Linear(dim, dim, bias=False)
        self.attend_src = nn.Parameter(torch.empty(heads, dim // heads))
        self.attend_dst = nn.Parameter(torch.empty(heads, dim // heads))
        for weight in (self.receiver.weight, self.attend_src, self.attend_dst):
            nn.init.xavier_uniform_(weight)

    def forward(
        self, edges: Any, text: Tensor, has_text: Tensor, h_src: Tensor, h_dst: Tensor
    ) -> Tensor:
        """Messages of all senders, weighed by each receiver."""
        if not edges.num_edges():
            return torch.zeros_like(h_dst)
        if edges.num_edges() * _SPARSE >= max(len(h_src), len(h_dst)):
            return self._attend(edges, text, has_text, h_src, h_dst)
        # few nodes take part, such as those with ties: only they cost anything
        small, senders, receivers = compact(edges)
        out = self._attend(
            small, text[senders], has_text[senders], h_src[senders], h_dst[receivers]
        )
        return h_dst.new_zeros(h_dst.shape).index_copy(0, receivers, out)

    def _attend(
        self, edges: Any, text: Tensor, has_text: Tensor, h_src: Tensor, h_dst: Tensor
    ) -> Tensor:
        value = self.fusion(text, h_src, has_text).unflatten(1, (self.heads, -1))
        receiver = self.receiver(h_dst).unflatten(1, (self.heads, -1))
        out = attend(
            edges,
            (value * self.attend_src).sum(-1),
            (receiver * self.attend_dst).sum(-1),
            value,
            dropout=self.attention_dropout if self.training else 0.0,
        )
        return out.flatten(1)
