"""Operators that fuse the text vector of a node with its graph vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.nn.config import FUSIONS


class Fusion(nn.Module):
    """Fuses text t [n, dim] with graph h [n, dim] to [n, dim] by one of five operators.

    ``gate``    g * W_text t + (1 - g) * W_graph h, with g = sigmoid(V [t || h] + c + prior) per
                channel, and g = 0 for a node without text
    ``concat``  W [t || h]
    ``sum``     W_text t + W_graph h
    ``text``    W_text t;  ``graph``: W_graph h

    Source: formula (6) of arXiv 2506.05873, which leaves the operator open ("learnable").
    ``project``: whether W_text and W_graph are learned or the identity. ``start``: the share of
    text g at the beginning. Raises ConfigError for an unknown operator.
    """

    def __init__(
        self, operator: str, dim: int, *, project: bool = True, start: float = 0.5
    ) -> None:
        super().__init__()
        refuse(choice("fusion", operator, FUSIONS))
        self.operator = operator
        self.text: nn.Module = nn.Identity()
        self.graph: nn.Module = nn.Identity()
        if project and operator in ("gate", "sum", "text"):
            self.text = linear_map(dim, dim)
        if project and operator in ("gate", "sum", "graph"):
            self.graph = linear_map(dim, dim)
        if operator == "concat":
            self.joint = linear_map(2 * dim, dim)
        if operator == "gate":
            self.gate_weight = nn.Linear(2 * dim, dim)
            nn.init.xavier_uniform_(self.gate_weight.weight, gain=0.1)
            nn.init.constant_(self.gate_weight.bias, float(torch.logit(torch.tensor(start))))

    def gate(
        self, text: Tensor, graph: Tensor, has_text: Tensor, prior: Tensor | None = None
    ) -> Tensor:
        """The share of text g per node and channel, [n, dim]; only for the operator ``gate``."""
        logit = gate_logit(text, graph, self.gate_weight.weight, self.gate_weight.bias)
        if prior is not None:
            logit = logit + prior.unsqueeze(1)
        return torch.sigmoid(logit) * has_text.unsqueeze(1)

    def forward(
        self, text: Tensor, graph: Tensor, has_text: Tensor, prior: Tensor | None = None
    ) -> Tensor:
        """[n, dim], [n, dim], bool [n] -> [n, dim]. ``prior`` [n]: what the gate leans to."""
        if self.operator == "concat":
            return self.joint(torch.cat([text, graph], dim=1))
        if self.operator == "text":
            return self.text(text)
        if self.operator == "graph":
            return self.graph(graph)
        if self.operator == "sum":
            return self.text(text) + self.graph(graph)
        share = self.gate(text, graph, has_text, prior)
        graph = self.graph(graph)
        # with mixed precision some of the three are in bfloat16
        return torch.lerp(graph, self.text(text).to(graph.dtype), share.to(graph.dtype))


def gate_logit(text: Tensor, graph: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """V [t || h] + c for each node, [n, dim], with V [dim, text + graph] and c [dim]."""
    return functional.linear(torch.cat([text, graph], dim=1), weight, bias)


def linear_map(width_in: int, width_out: int) -> nn.Linear:
    """A linear map without bias, with Glorot's uniform start."""
    linear = nn.Linear(width_in, width_out, bias=False)
    nn.init.xavier_uniform_(linear.weight)
    return linear
