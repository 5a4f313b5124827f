"""The two streams: graph attention with the fusion inside, and direct fusion after convolution."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from finrec_dgl.graph import INTERACTED_BY, INTERACTS, NODE_TYPES, Relation
from finrec_dgl.kernels import (
    MOST_RELATIONS,
    Edges,
    Sent,
    by_node,
    dropped,
    gates,
    mix,
    neighbour_sum,
    relation_edges,
)
from finrec_dgl.nn.attention import RelationAttention, takes_few
from finrec_dgl.nn.fusion import Fusion, linear_map

ByType = Mapping[str, Tensor]


def _sources(layer: Any, states: ByType) -> dict[str, Tensor]:
    """The states of the layer's source nodes: they stand first among the wider layer's."""
    return {name: states[name][: layer.num_src_nodes(name)] for name in NODE_TYPES}


def _destinations(layer: Any, states: ByType) -> dict[str, Tensor]:
    return {name: states[name][: layer.num_dst_nodes(name)] for name in NODE_TYPES}


class RelationMixer(nn.Module):
    """Combines what relations bring to a node by a learned attention of the node over relations.

    w_i^r = q . tanh(W o_i^r + b^r);  out_i = sum over r of softmax_r(w_i^r) o_i^r

    The softmax runs over the relations in which node i has a neighbour; none: zero.
    After the semantic attention of HAN (Wang et al., 2019), here for each node by itself.
    """

    def __init__(self, dim: int, relations: int) -> None:
        super().__init__()
        self.relations = relations
        if relations > 1:
            self.transform = nn.Linear(dim, dim, bias=False)
            self.bias = nn.Parameter(torch.zeros(relations, dim))
            self.query = nn.Parameter(torch.empty(dim))
            nn.init.normal_(self.query, std=dim**-0.5)

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """W, b and q; None where there is but one relation."""
        return None if self.relations == 1 else (self.transform.weight, self.bias, self.query)

    def forward(self, outputs: Tensor, present: Tensor) -> Tensor:
        """[relations, n, dim] and bool [relations, n] -> [n, dim]."""
        if self.relations == 1:
            return outputs[0]  # zero already where the node has no neighbour
        hidden = torch.tanh(self.transform(outputs) + self.bias.unsqueeze(1))
        weight = (hidden @ self.query).masked_fill(~present, float("-inf"))
        # a node without any neighbour: a plain softmax over zeros, of outputs that are zero
        weight = weight.masked_fill(~present.any(dim=0), 0.0)
        return (torch.softmax(weight, dim=0).unsqueeze(-1) * outputs).sum(dim=0)


class AttentionLayer(nn.Module):
    """One layer of heterogeneous graph attention.

    h_i^(l+1) = ReLU(mix_r(attention of relation r over N_r(i)) + W_self h_i)     (formulas 4, 5)

    ``last``: without the ReLU, so that an inner product can be negative.
    """

    def __init__(
        self,
        relations: Sequence[Relation],
        dim: int,
        heads: int,
        fusion: str,
        *,
        dropout: float,
        attention_dropout: float,
        last: bool,
        kernels: str = "auto",
    ) -> None:
        super().__init__()
        self.relations = tuple(relations)
        self.dropout = dropout
        self.last = last
        self.kernels = kernels
        self.messages = nn.ModuleDict(
            {
                key(relation): RelationAttention(dim, heads, fusion, attention_dropout, kernels)
                for relation in self.relations
            }
        )
        self.mixers = nn.ModuleDict()
        self.own = nn.ModuleDict()
        for name in NODE_TYPES:
            incoming = [relation for relation in self.relations if relation[2] == name]
            self.mixers[name] = RelationMixer(dim, len(incoming))
            self.own[name] = linear_map(dim, dim)

    def forward(
        self,
        layer: Any,
        text: ByType,
        has_text: ByType,
        states: ByType,
        silent: Collection[str] = (),
    ) -> ByType:
        """States of the layer's source nodes -> states of its destination nodes, [n_dst, dim].

        ``silent``: the types whose nodes have neither text nor states but zeros, which need not be
        sent.
        """
        states = {
            name: state
            if name in silent
            else dropped(state, self.dropout if self.training else 0.0, kernels=self.kernels)
            for name, state in states.items()
        }
        own = _destinations(layer, states)
        edges = {relation: relation_edges(layer, relation) for relation in self.relations}
        speaking = {relation: edges[relation] for relation in edges if relation[0] not in silent}
        sent = self._send(speaking, text, has_text, states, own)
        brought = {}
        # gradients come in the opposite order: first where more is let go, by receiver, than is
        # made, by sender
        for relation in sorted(
            self.relations, key=lambda one: len(own[one[2]]) - len(states[one[0]])
        ):
            sender, _, receiver = relation
            message = self._message(relation)
            if relation not in speaking:
                brought[relation] = torch.zeros_like(own[receiver])
            elif relation in sent:
                brought[relation] = message.attend(edges[relation], *sent[relation])
            else:
                brought[relation] = message(
                    edges[relation], text[sender], has_text[sender], states[sender], own[receiver]
                )
        out = {}
        # gradients come in the opposite order: the largest type's while least else is held
        for name in sorted(NODE_TYPES, key=lambda name: len(own[name])):
            incoming = [relation for relation in self.relations if relation[2] == name]
            present = torch.stack([edges[relation].in_degree > 0 for relation in incoming])
            out[name] = self._mix(name, [brought[one] for one in incoming], present, own[name])
        return out

    def _send(
        self,
        edges: Mapping[Relation, Edges],
        text: ByType,
        has_text: ByType,
        states: ByType,
        own: ByType,
    ) -> dict[Relation, tuple[Sent, Tensor]]:
        """What is sent, and receivers' scores, where native code makes them for a type of nodes.

        Without the relations for which it cannot, and those in which few nodes take part.
        """
        gated = {}
        for relation, one in edges.items():
            sender, _, receiver = relation
            weights = self._message(relation).gate_weights
            few = not len(one) or takes_few(one, states[sender], own[receiver])
            if weights is None or few:
                continue
            if by_node(self.kernels, text[sender], states[sender]):
                gated[relation] = weights
        sent: dict[Relation, Sent] = {}
        score: dict[Relation, Tensor] = {}
        for name in NODE_TYPES:
            sending = [relation for relation in gated if relation[0] == name]
            receiving = [relation for relation in gated if relation[2] == name]
            to_scores = [self._message(relation).to_score for relation in receiving]
            if sending:
                inputs = (text[name], states[name], has_text[name])
                by_relation = [gated[relation] for relation in sending]
                values, scores = gates(*inputs, by_relation, to_scores, len(own[name]))
                sent.update(zip(sending, values, strict=True))
            else:
                scores = [own[name] @ one.T for one in to_scores]
            score.update(zip(receiving, scores, strict=True))
        return {relation: (sent[relation], score[relation]) for relation in gated}

    def _message(self, relation: Relation) -> RelationAttention:
        return cast(RelationAttention, self.messages[key(relation)])

    def _mix(self, name: str, brought: list[Tensor], present: Tensor, own: Tensor) -> Tensor:
        """[n_dst, dim] of what each relation brought, and of the node's own part."""
        mixer: Any = self.mixers[name]
        weight: Any = self.own[name].weight
        if by_node(self.kernels, own, *brought) and len(brought) <= MOST_RELATIONS:
            return mix(brought, present, own, weight, mixer.weights, relu=not self.last)
        state = mixer(torch.stack(brought), present) + self.own[name](own)
        return state if self.last else functional.relu(state)


def key(relation: Relation) -> str:
    """A relation as a name that a module dictionary takes."""
    return "/".join(relation).replace(".", "_")


class StreamOne(nn.Module):
    """L layers of graph attention over all relations; the fusion of text and graph is in them.

    Shapes: text [n_src, dim], states [n_src, dim] of the first layer's sources; returns
    [n_out, dim] for the last layer's destinations.
    """

    def __init__(
        self,
        relations: Sequence[Relation],
        *,
        dim: int,
        layers: int,
        heads: int,
        fusion: str,
        dropout: float,
        attention_dropout: float,
        kernels: str = "auto",
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            AttentionLayer(
                relations,
                dim,
                heads,
                fusion,
                dropout=dropout,
                attention_dropout=attention_dropout,
                last=number == layers - 1,
                kernels=kernels,
            )
            for number in range(layers)
        )

    def forward(
        self,
        blocks: Sequence[Any],
        text: ByType,
        has_text: ByType,
        states: ByType,
        silent: Collection[str] = (),
    ) -> ByType:
        """Run the last ``layers`` of ``blocks``; ``silent`` as in the first of them."""
        for attention, layer in zip(self.layers, blocks[-len(self.layers) :], strict=True):
            given = (_sources(layer, one) for one in (text, has_text, states))
            states = attention(layer, *given, silent)
            silent = ()
        return states


class StreamTwo(nn.Module):
    """Direct fusion of text features with graph-convolutional ones (formula 6).

    z^(l+1)_i = sqrt(d_i) mean over j in N(i) of z^(l)_j / sqrt(d_j)
    h_graph_i = a_i^p sum_l w_l z^(l)_i           p: learned, one for users, one for products
    out       = fuse(h_text, h_graph), the gate with a prior of -log d_i

    With all neighbours at hand the mean is LightGCN's sum over 1 / sqrt(d_i d_j) (He et al.,
    2020); with sampled ones, an unbiased estimate of it. d is the number of the node's
    interactions as of the snapshot, a the same, a product's weighed by their age where there is a
    ``half_life``. The powers start at -1/4 for users (-1/2 would make a user the mean of what they
    hold) and at 1/2 for products, which gives popular ones their weight: with the spectral start
    and one layer the score is a low-pass filter of the product graph, as in GF-CF (Shen et al.,
    2021). The layers' weights w are learned.
    Shapes: [n_src, dim] in, [n_out, dim] out.
    """

    def __init__(self, *, dim: int, layers: int, fusion: str, kernels: str = "auto") -> None:
        super().__init__()
        self.kernels = kernels
        self.layers = 0 if fusion == "text" else layers
        if fusion != "text":
            self.weight = nn.Parameter(torch.ones(layers + 1))
            self.power = nn.ParameterDict(
                {"user": nn.Parameter(torch.tensor(-0.25)), "item": nn.Parameter(torch.tensor(0.5))}
            )
        self.fusion = nn.ModuleDict(
            {name: Fusion(fusion, dim, project=False) for name in NODE_TYPES}
        )

    def forward(
        self,
        blocks: Sequence[Any],
        text: ByType,
        has_text: ByType,
        states: ByType,
        degree: ByType,
        activity: ByType,
        silent: Collection[str] = (),
    ) -> ByType:
        """Run the last ``layers`` of ``blocks``, then fuse with the text of the destinations.

        ``silent``: the types whose ``states`` are zeros.
        """
        out = {}
        for name, graph in self._graph_features(blocks, states, degree, silent).items():
            n_out = len(graph)
            if self.fusion[name].operator != "text":
                scale = activity[name][:n_out].clamp(min=0.5).pow(self.power[name])
                graph = graph * scale.unsqueeze(1)
            # few interactions say little: the gate leans to text as d falls, 1 / (1 + d) at first
            prior = -degree[name][:n_out].clamp(min=1e-3).log()
            out[name] = self.fusion[name](text[name][:n_out], graph, has_text[name][:n_out], prior)
        return out

    def _graph_features(
        self, blocks: Sequence[Any], states: ByType, degree: ByType, silent: Collection[str]
    ) -> ByType:
        """sum_l w_l z^(l) of the destinations of the last block."""
        if self.fusion["user"].operator == "text":
            return _destinations(blocks[-1], states) if blocks else states
        if self.layers:
            states = _sources(blocks[-self.layers], states)
        # no node but the last block's destinations is asked for
        sizes = {name: blocks[-1].num_dst_nodes(name) for name in NODE_TYPES} if blocks else {}
        total = {name: states[name][: sizes.get(name)] * self.weight[0] for name in NODE_TYPES}
        for number, layer in enumerate(blocks[len(blocks) - self.layers :], start=1):
            states = convolve(layer, states, degree, self.kernels, silent)
            silent = ()
            total = {
                name: total[name] + states[name][: len(total[name])] * self.weight[number]
                for name in NODE_TYPES
            }
        return total


def convolve(
    layer: Any,
    states: ByType,
    degree: ByType,
    kernels: str = "auto",
    silent: Collection[str] = (),
) -> dict[str, Tensor]:
    """One graph convolution over interactions, both ways; zero for a node without neighbours.

    ``silent``: the types whose ``states`` are zeros, which need not be summed.
    """
    out = {}
    for sender, receiver, relation in (
        ("user", "item", INTERACTS),
        ("item", "user", INTERACTED_BY),
    ):
        edges = relation_edges(layer, relation)
        n_src, n_dst = layer.num_src_nodes(sender), layer.num_dst_nodes(receiver)
        if sender in silent:
            out[receiver] = states[receiver].new_zeros(n_dst, states[receiver].shape[1])
            continue
        d_src = degree[sender][:n_src].clamp(min=1).unsqueeze(1)
        d_dst = degree[receiver][:n_dst].unsqueeze(1)
        summed = neighbour_sum(edges, states[sender][:n_src] * d_src.rsqrt(), kernels=kernels)
        count = edges.in_degree.to(summed.dtype).clamp(min=1).unsqueeze(1)
        out[receiver] = summed / count * d_dst.sqrt()
    return out
