"""A graph attention layer for DGL models, with text, edge features and time in its messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import UsageError
from finrec_dgl.kernels import (
    KERNELS,
    EdgeGate,
    Edges,
    GateWeights,
    LastEdges,
    Message,
    Sent,
    attend,
    attend_messages,
)
from finrec_dgl.kernels.library import native_for
from finrec_dgl.nn.attention import gate_parts, gated, score_map, scored

FUSIONS = ("gate", "sum", "graph")

READ_FROM = {
    "text": ("srcdata", "text"),
    "has_text": ("srcdata", "has_text"),
    "edge_feat": ("edata", "feat"),
    "age": ("edata", "age"),
}
"""Where in a graph the features are that are not passed to ``FusionGATConv.forward``."""

Pair: TypeAlias = tuple[Tensor, Tensor]


class _Given(NamedTuple):
    """The features of one call; None where the layer has no use for them."""

    text: Tensor | None
    has_text: Tensor | None
    edge_feat: Tensor | None
    age: Tensor | None


class FusionGATConv(nn.Module):
    r"""``dgl.nn.GATConv`` whose messages fuse text with the graph, edge by edge.

    ::

        m_e   = g_e * W_text t_j + (1 - g_e) * k_e * W h_j        the message of edge e from j to i
        g_e   = sigmoid(V [t_j || h_j] + c + V_r f_e)             the gate, per channel
        k_e   = 2^(-age_e / half_life)                            the time kernel, per head
        s_e   = LeakyReLU(a_l . v_j + a_r . W h_i + a_e . f_e)    per head
        out_i = sum over e of softmax_e(s_e) m_e

    with t_j the text vector of the source node, h_j its features, f_e the features of the edge, and
    v_j the message of the node alone, which is m_e with f_e = 0 and k_e = 1. Without edge features
    the gate depends on the node, V_r and a_e are absent; without a half-life k_e is 1. A node
    without text has g_e = 0.

    With ``fusion="graph"`` and no edge features this is ``dgl.nn.GATConv``: its ``state_dict``
    loads here, and the output is the same.

    Parameters
    ----------
    in_feats : int or pair of int
        Width of the node features h; a pair for source and destination nodes, which then have maps
        of their own (``fc_src``, ``fc_dst``).
    out_feats : int
        Width of each head.
    num_heads : int
        Number of attention heads.
    text_feats : int, optional
        Width of the text vectors t; required unless ``fusion`` is ``"graph"``.
    edge_feats : int
        Width of the edge features f; 0: the layer takes none.
    fusion : str
        ``"gate"`` as above; ``"sum"``: W_text t_j + k_e * W h_j; ``"graph"``: k_e * W h_j, no text.
    feat_drop : float
        Dropout of h and t.
    attn_drop : float
        Dropout of the attention weights.
    negative_slope : float
        Slope of LeakyReLU below 0, above 0 and at most 1.
    residual : bool
        Whether the destination node's own features are added.
    activation : callable, optional
        Applied to the output.
    allow_zero_in_degree : bool
        Whether destination nodes without an edge are allowed. They receive nothing: their output is
        the residual and the bias.
    bias : bool
        Whether a bias is added.
    half_life : float or sequence of float, optional
        Age at which the graph part of a message counts half, in the unit of ``age``; a sequence has
        one for each head. None: messages do not fade.
    kernels : str
        ``"auto"``: native code on the CPU where it applies, else plain PyTorch; see
        ``finrec_dgl.kernels.choose``.

    Raises
    ------
    ConfigError
        An option is out of range, or has no effect together with the others.

    Notes
    -----
    After Velickovic et al., 2018, with the gate of arXiv 2506.05873. Features that are not passed
    to ``forward`` are read from the graph: ``srcdata["text"]`` and ``srcdata["has_text"]``,
    ``edata["feat"]`` and ``edata["age"]``. Inside ``dgl.nn.HeteroGraphConv`` either works; its
    ``mod_kwargs`` passes them by relation.

    Examples
    --------
    >>> import torch
    >>> from finrec_dgl.graph.backend import dgl
    >>> graph = dgl.heterograph({("user", "buys", "item"): ([0, 0, 1], [0, 1, 1])})
    >>> conv = FusionGATConv((8, 6), 4, num_heads=2, text_feats=5, half_life=30.0)
    >>> feat = torch.ones(2, 8), torch.ones(2, 6)
    >>> conv(graph, feat, text=torch.ones(2, 5), age=torch.tensor([0.0, 30.0, 90.0])).shape
    torch.Size([2, 2, 4])
    """

    activation: Callable[[Tensor], Tensor] | None
    half_life: Tensor | None

    def __init__(
        self,
        in_feats: int | tuple[int, int],
        out_feats: int,
        num_heads: int,
        feat_drop: float = 0.0,
        attn_drop: float = 0.0,
        negative_slope: float = 0.2,
        residual: bool = False,
        activation: Callable[[Tensor], Tensor] | None = None,
        allow_zero_in_degree: bool = False,
        bias: bool = True,
        *,
        text_feats: int | None = None,
        edge_feats: int = 0,
        fusion: str = "gate",
        half_life: float | Sequence[float] | None = None,
        kernels: str = "auto",
    ) -> None:
        super().__init__()
        half_lives = _half_lives(half_life, num_heads)
        _check_options(fusion, text_feats, edge_feats, half_lives, num_heads)
        refuse(choice("kernels", kernels, KERNELS), where="FusionGATConv")
        _check_rates(feat_drop, attn_drop, negative_slope)
        in_src, in_dst = in_feats if isinstance(in_feats, tuple) else (in_feats, in_feats)
        width = num_heads * out_feats
        self.num_heads, self.out_feats = num_heads, out_feats
        self.text_feats, self.edge_feats, self.fusion = text_feats, edge_feats, fusion
        self.in_src_feats, self.in_dst_feats = in_src, in_dst
        self.negative_slope, self.kernels = negative_slope, kernels
        self.attn_drop_rate = attn_drop
        self.activation = activation
        self.allow_zero_in_degree = allow_zero_in_degree
        self.feat_drop = nn.Dropout(feat_drop)
        if isinstance(in_feats, tuple):
            self.fc_src = nn.Linear(in_src, width, bias=False)
            self.fc_dst = nn.Linear(in_dst, width, bias=False)
        else:
            self.fc = nn.Linear(in_src, width, bias=False)
        self.attn_l = nn.Parameter(torch.empty(1, num_heads, out_feats))
        self.attn_r = nn.Parameter(torch.empty(1, num_heads, out_feats))
        if text_feats is not None:
            self.fc_text = nn.Linear(text_feats, width, bias=False)
        if fusion == "gate" and text_feats is not None:
            self.gate = nn.Linear(text_feats + in_src, width)
            if edge_feats:
                self.edge_gate = nn.Linear(edge_feats, width, bias=False)
        if edge_feats:
            self.attn_e = nn.Parameter(torch.empty(1, num_heads, edge_feats))
        self.register_buffer(
            "half_life", None if half_lives is None else torch.tensor(half_lives), persistent=False
        )
        self._add_residual(residual, bias, width)
        self._last = LastEdges()
        self.reset_parameters()

    def _add_residual(self, residual: bool, bias: bool, width: int) -> None:
        """As in ``dgl.nn.GATConv``: the map of a residual has the bias, if there is a map."""
        mapped = residual and self.in_dst_feats != width
        self.res_fc: nn.Module | None = nn.Identity() if residual else None
        if mapped:
            self.res_fc = nn.Linear(self.in_dst_feats, width, bias)
        own = bias and not mapped
        self.bias = nn.Parameter(torch.empty(width)) if own else None

    def reset_parameters(self) -> None:
        """Draw the weights as ``dgl.nn.GATConv`` does; the gate starts near one half."""
        gain = nn.init.calculate_gain("relu")
        for name, one in self.named_parameters():
            if one.dim() == 1:
                nn.init.zeros_(one)
            elif name in ("gate.weight", "edge_gate.weight"):
                nn.init.xavier_uniform_(one, gain=0.1)
            else:
                nn.init.xavier_normal_(one, gain=gain)

    def set_allow_zero_in_degree(self, set_value: bool) -> None:
        """Set whether destination nodes without an edge are allowed."""
        self.allow_zero_in_degree = set_value

    def extra_repr(self) -> str:
        """The options, for ``print``."""
        feats = f"in_feats=({self.in_src_feats}, {self.in_dst_feats}), out_feats={self.out_feats}"
        return f"{feats}, num_heads={self.num_heads}, fusion={self.fusion!r}"

    def forward(
        self,
        graph: Any,
        feat: Tensor | Pair,
        text: Tensor | None = None,
        edge_feat: Tensor | None = None,
        age: Tensor | None = None,
        *,
        has_text: Tensor | None = None,
        get_attention: bool = False,
    ) -> Tensor | Pair:
        """Compute the output of every destination node.

        Parameters
        ----------
        graph : DGLGraph or DGL block
            One relation, on the device of the features.
        feat : Tensor or pair of Tensor
            [n, in_feats] of all nodes, of a block's source nodes, or a pair for source and
            destination nodes.
        text : Tensor, optional
            [n_src, text_feats], text vectors of the source nodes; zeros where there is none.
        edge_feat : Tensor, optional
            [edges, edge_feats], in the order of the edge ids.
        age : Tensor, optional
            [edges], in the unit of the half-life, at least 0.
        has_text : Tensor, optional
            bool [n_src]: the nodes that have text; None: all of them.
        get_attention : bool
            Whether to return the attention weights too.

        Returns
        -------
        Tensor
            [n_dst, num_heads, out_feats].
        Tensor, optional
            [edges, num_heads, 1], after dropout; only with ``get_attention``.

        Raises
        ------
        UsageError
            Features are missing, do not fit the graph or are on another device, or a destination
            node has no edge and ``allow_zero_in_degree`` is False.
        """
        edges = self._last.of(graph)
        if not self.allow_zero_in_degree:
            _check_in_degree(edges)
        h_src, h_dst = self._ends(edges, feat)
        given = self._given(graph, edges, _Given(text, has_text, edge_feat, age))
        score_dst = h_dst @ score_map(self._map(False).weight, self.attn_r[0]).T
        attn_drop = self.attn_drop_rate if self.training else 0.0
        by_edge = given.edge_feat is not None or given.age is not None or get_attention
        if by_edge:
            out, alpha = self._by_edge(edges, h_src, given, score_dst, attn_drop)
            if get_attention and native_for(h_src):
                alpha = edges.from_received(alpha)
        else:
            sent = self._send(h_src, given)
            out = attend(
                edges,
                sent.score,
                score_dst,
                self._split(sent.value),
                slope=self.negative_slope,
                dropout=attn_drop,
                kernels=self.kernels,
            )
        out = self._finish(out, h_dst)
        return (out, alpha.unsqueeze(-1)) if get_attention else out

    def _map(self, source: bool) -> nn.Linear:
        """W of the source or the destination nodes."""
        if hasattr(self, "fc"):
            return self.fc
        return self.fc_src if source else self.fc_dst

    def _split(self, value: Tensor) -> Tensor:
        """[n, heads * width] -> [n, heads, width]."""
        return value.unflatten(1, (self.num_heads, self.out_feats))

    def _ends(self, edges: Edges, feat: Tensor | Pair) -> Pair:
        """Features of source and destination nodes, after dropout."""
        if isinstance(feat, tuple):
            found = self.feat_drop(feat[0]), self.feat_drop(feat[1])
        else:
            h_src = self.feat_drop(feat)
            found = h_src, h_src[: edges.n_dst]
        sizes = ((edges.n_src, self.in_src_feats), (edges.n_dst, self.in_dst_feats))
        for name, one, size in zip(("source", "destination"), found, sizes, strict=True):
            _check_shape(f"feat of the {name} nodes", one, size, edges.device)
        return found

    def _given(self, graph: Any, edges: Edges, passed: _Given) -> _Given:
        """What was passed, else what the graph holds, of the features that this layer takes."""
        sizes = {
            "text": (edges.n_src, self.text_feats) if self.text_feats is not None else None,
            "has_text": (edges.n_src,) if self.fusion == "gate" else None,
            "edge_feat": (len(edges), self.edge_feats) if self.edge_feats else None,
            "age": (len(edges),) if self.half_life is not None else None,
        }
        found: dict[str, Tensor | None] = {}
        for name, one in passed._asdict().items():
            size, (place, column) = sizes[name], READ_FROM[name]
            if one is None and size is not None:
                one = getattr(graph, place, {}).get(column)
            _check_given(name, one, size, edges.device)
            found[name] = one
        if found["text"] is not None:
            found["text"] = self.feat_drop(found["text"])
        return _Given(**found)

    def _gate_weights(self) -> GateWeights:
        maps = self.fc_text.weight, self._map(True).weight
        return GateWeights(self.gate.weight, self.gate.bias, *maps, self.attn_l[0])

    def _send(self, h_src: Tensor, given: _Given) -> Sent:
        """Messages of nodes and their scores, where nothing depends on the edge."""
        if self.fusion == "gate" and given.text is not None:
            has_text = given.has_text
            if has_text is None:
                has_text = torch.ones(len(h_src), dtype=torch.bool, device=h_src.device)
            return gated(self._gate_weights(), given.text, h_src, has_text, self.kernels)
        value = self._map(True)(h_src)
        if given.text is not None:
            value = value + self.fc_text(given.text)
        return scored(value, self.attn_l[0])

    def _by_edge(
        self, edges: Edges, h_src: Tensor, given: _Given, score_dst: Tensor, dropout: float
    ) -> Pair:
        """The output and the attention weights, where something depends on the edge.

        On the CPU edges are taken in the order of ``received``, so that memory is read in turn.
        """
        if native_for(h_src):
            edge_feat, age = (
                None if one is None else edges.as_received(one)
                for one in (given.edge_feat, given.age)
            )
            edges, given = edges.received, given._replace(edge_feat=edge_feat, age=age)
        message, value = self._message(h_src, given)
        return attend_messages(
            edges,
            scored(value, self.attn_l[0]).score,
            score_dst,
            message,
            score_edge=None if given.edge_feat is None else given.edge_feat @ self.attn_e[0].T,
            slope=self.negative_slope,
            dropout=dropout,
            kernels=self.kernels,
        )

    def _message(self, h_src: Tensor, given: _Given) -> tuple[Message, Tensor]:
        """The parts of messages, and what nodes send without edge features or time, for scores."""
        fade = None
        if given.age is not None and self.half_life is not None:
            fade = torch.exp2(-given.age.unsqueeze(1) / self.half_life).to(h_src.dtype)
        if given.text is None or self.fusion == "sum":
            graph = self._map(True)(h_src)
            if given.text is None:
                return Message(self._split(graph), fade=fade), graph
            text = self.fc_text(given.text)
            return Message(self._split(graph), self._split(text), fade), graph + text
        text, graph, logit = gate_parts(self._gate_weights(), given.text, h_src, given.has_text)
        share = torch.sigmoid(logit)
        value = torch.lerp(graph, text, share)
        if given.edge_feat is not None:
            gate = EdgeGate(self._split(logit), given.edge_feat, self.edge_gate.weight)
            return Message(self._split(graph), self._split(text), fade, gate), value
        parts = self._split(graph * (1 - share)), self._split(text * share)
        return Message(*parts, fade), value

    def _finish(self, out: Tensor, h_dst: Tensor) -> Tensor:
        """Add the residual and the bias, and apply the activation."""
        if self.res_fc is not None:
            out = out + self._split(self.res_fc(h_dst))
        if self.bias is not None:
            out = out + self.bias.view(self.num_heads, self.out_feats)
        return out if self.activation is None else self.activation(out)


def _half_lives(half_life: float | Sequence[float] | None, num_heads: int) -> list[float] | None:
    """One for each head."""
    if half_life is None:
        return None
    if isinstance(half_life, Sequence):
        return [float(one) for one in half_life]
    return [float(half_life)] * num_heads


def _check_rates(feat_drop: float, attn_drop: float, slope: float) -> None:
    rates = {"feat_drop": feat_drop, "attn_drop": attn_drop}
    problems = [f"{name} is {one}: 0 to below 1" for name, one in rates.items() if not 0 <= one < 1]
    if not 0 < slope <= 1:
        problems.append(f"negative_slope is {slope}: above 0, at most 1")
    refuse(problems, where="FusionGATConv")


def _check_options(
    fusion: str,
    text_feats: int | None,
    edge_feats: int,
    half_lives: Sequence[float] | None,
    num_heads: int,
) -> None:
    problems = choice("fusion", fusion, FUSIONS)
    if fusion in ("gate", "sum") and text_feats is None:
        problems.append(f"fusion {fusion} needs text_feats; without text, set fusion='graph'")
    if fusion == "graph" and text_feats is not None:
        problems.append("text_feats has no effect with fusion graph")
    if edge_feats < 0:
        problems.append(f"edge_feats is {edge_feats}: at least 0")
    if half_lives is not None and len(half_lives) != num_heads:
        problems.append(f"half_life has {len(half_lives)} numbers for {num_heads} heads")
    if half_lives is not None and not all(one > 0 for one in half_lives):
        problems.append("half_life is not above 0")
    refuse(problems, where="FusionGATConv")


def _check_in_degree(edges: Edges) -> None:
    missing = int((edges.in_degree == 0).sum())
    if missing:
        raise UsageError(
            f"{missing} destination nodes have no incoming edge, so they receive no message",
            mend="add self-loops (dgl.add_self_loop), or set allow_zero_in_degree=True",
        )


def _check_given(
    name: str, one: Tensor | None, size: tuple[int, ...] | None, device: torch.device
) -> None:
    """Raise UsageError for a feature that is missing, has no use, or does not fit the graph."""
    if size is None:
        if one is not None:
            raise UsageError(f"{name} has no effect", expected="a layer made to take it")
    elif one is not None:
        _check_shape(name, one, size, device)
    elif name != "has_text":
        place, column = READ_FROM[name]
        raise UsageError(
            f"{name} is missing",
            expected=f"{list(size)}, passed or as graph.{place}['{column}']",
        )


def _check_shape(name: str, one: Tensor, size: tuple[int, ...], device: torch.device) -> None:
    if one.shape != size or one.device != device:
        raise UsageError(
            f"{name} is {list(one.shape)} on {one.device}",
            expected=f"{list(size)} on {device}",
        )
