"""The tower readout, the paper's plain form: fused vectors of nodes, then a head that scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from finrec_dgl.evaluation import Vectors
from finrec_dgl.graph import INTERACTED_BY, INTERACTS, NODE_TYPES, Relation, tie_relations
from finrec_dgl.kernels import Edges, Layer
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.nn.config import HybridConfig
from finrec_dgl.nn.features import NodeFeatures, features_of
from finrec_dgl.nn.fusion import linear_map
from finrec_dgl.nn.heads import DotHead, MLPHead
from finrec_dgl.nn.hybrid import HISTORY, TIES, USER_TEXT, Asked, HybridRecommender
from finrec_dgl.nn.start import start_of
from finrec_dgl.nn.streams import StreamOne, StreamTwo
from finrec_dgl.relations import GraphTensors, ModelShape, PseudoLabels, Seeds
from finrec_dgl.sampling import Blocks, NeighborSampler, whole_graph

MOST_BYTES = 4 * 2**30
"""Bytes of the states of all nodes at once up to which all are encoded; beyond, nodes are drawn."""
_STATES = 6
_NODES_AT_ONCE = 8192


@dataclass(frozen=True)
class Encoded:
    """Fused vectors [n, width] of the blocks' output nodes, and what else is known of these.

    ``pseudo``: pseudo-label logits [n, C], None without pseudo-labels. ``ids``: the learned vectors
    z [n, dim_two] of the node types that have any.
    """

    fused: Mapping[str, Tensor]
    pseudo: Mapping[str, Tensor] | None
    ids: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class TowerEvidence:
    """What the graph says of seeds before any weight is applied.

    ``blocks``: the messages that reach the seeds and all items; ``features``: of the blocks' input
    nodes; ``row`` int64 [B]: where the seeds stand among the users that come out.
    """

    blocks: Blocks
    features: NodeFeatures
    row: Tensor


class TowerRecommender(HybridRecommender):
    """The tower readout: formulas (1) to (6).

    e_i                         text vector of node i, given (formula 1)
    y_i = sigmoid(W_y e_i)      pseudo-labels (2)
    x_i = W_x [e_i || y_i]      first features, to width ``dim`` (3)
    h_i^(0) = x_i + W_z z_i     z_i: learned vector of the node (``ids``)
    s_i = StreamOne(x, h^(0))   graph attention, fusion in its messages (4, 5)
    p_i = StreamTwo(W_p [e_i || y_i], z)   direct fusion after graph convolution (6)
    score(u, i) = head([s_u || p_u], [s_i || p_i]) + b_i

    Switched-off parts are absent, not zeroed: see ``HybridConfig``. Shapes: ``encode`` returns
    fused vectors of width ``dim`` (Stream One) plus ``dim_two`` (Stream Two).
    """

    def __init__(self, config: HybridConfig, shape: ModelShape) -> None:
        super().__init__(config, shape)
        dim = config.dim
        has_text = config.text and shape.text_dim > 0
        self.pseudo = (
            PseudoLabels(shape.text_dim, shape.pseudo_classes)
            if has_text and config.uses_pseudo and shape.pseudo_classes
            else None
        )
        text_width = shape.text_dim + (shape.pseudo_classes if self.pseudo is not None else 0)
        attends = config.stream_one and config.graph
        self.text_one = _text_maps(text_width, dim) if has_text and attends else None
        # without the graph, Stream Two is text alone, and all that is left
        fuses = config.stream_two or not config.graph
        self.text_two = _text_maps(text_width, config.dim_two) if has_text and fuses else None
        if self.text_two is not None and config.uses_ids:
            # text joins the graph's score as it learns to help it; alone it could not leave zero
            for weight in self.text_two.parameters():
                nn.init.zeros_(weight)
        self.ids = (
            nn.ParameterDict(
                {
                    name: nn.Parameter(torch.randn(size, config.dim_two) * config.init_scale)
                    for name, size in (("user", shape.n_users), ("item", shape.n_items))
                    if name == "item" or config.ids == "both"
                }
            )
            if config.uses_ids
            else None
        )
        # Stream One is narrower than the learned vectors
        self.ids_one = nn.ModuleDict(
            {name: linear_map(config.dim_two, dim) for name in self.ids or {} if attends}
        )
        for name, vectors in (self.ids or {}).items():
            # where the vectors started; not part of the weights
            self.register_buffer(f"anchor_{name}", torch.zeros_like(vectors), persistent=False)
        fusion = config.fusion if has_text else "graph"
        fusion_two = config.fusion_two if has_text else "graph"
        if not config.graph:
            fusion_two = "text"
        self.stream_one = (
            StreamOne(
                self.relations(),
                dim=dim,
                layers=config.layers,
                heads=config.heads,
                fusion=fusion,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                kernels=config.kernels,
            )
            if attends
            else None
        )
        self.stream_two = (
            StreamTwo(
                dim=config.dim_two,
                layers=config.linear_layers if config.graph else 0,
                fusion=fusion_two,
                kernels=config.kernels,
            )
            if fuses
            else None
        )
        width_one = dim if attends else 0
        width_two = config.dim_two if fuses else 0
        quiet = width_one if fuses else 0
        width = width_one + width_two
        self.head = DotHead(width, quiet) if config.head == "dot" else MLPHead(width)
        self.item_bias = nn.Parameter(torch.zeros(shape.n_items))
        self.row_gradients = False
        """Whether gradients of learned vectors and biases hold only what a step used (sparse)."""

    def pseudo_labels(self) -> nn.Module | None:
        """Return the map from text to the logits of pseudo-labels; None without."""
        return self.pseudo

    @torch.no_grad()
    def start_from(self, view: GraphTensors, seed: int = 0) -> None:
        """Set biases and learned vectors to what ``view`` says before any step."""
        start = start_of(self.config, view.snapshot, seed)
        self.item_bias.copy_(start.item_bias)
        if self.ids is not None:
            for name, vectors in start.ids.items():
                if name in self.ids:
                    self.ids[name].copy_(vectors)
                    self.get_buffer(f"anchor_{name}").copy_(vectors)

    @torch.no_grad()
    def temper(self, factor: float) -> None:
        """Scale learned vectors, and where they started, so that scores grow by ``factor``."""
        for name, vectors in (self.ids or {}).items():
            # a score has a product's vector at both ends: its own, and in the user's holdings
            vectors.mul_(factor**0.5)
            self.get_buffer(f"anchor_{name}").mul_(factor**0.5)

    def evidence(
        self,
        view: GraphTensors,
        seeds: Seeds,
        asked: Asked | None = None,  # noqa: ARG002
    ) -> TowerEvidence:
        """Return the blocks that end at ``seeds`` and all items, and the features of their nodes.

        With the fanouts of ``view``. Rows that are described otherwise than in the graph are nodes
        of their own, which receive what is said of them and send nothing.
        """
        features, depth = self._features(view), self.config.depth
        if seeds.altered:
            return _copies(view, seeds, features, depth)
        if view.fanouts.whole or not depth:
            return TowerEvidence(whole_graph(view.layer, depth), features, seeds.user)
        users, row = torch.unique(seeds.user, return_inverse=True)
        ends = {"user": users.cpu(), "item": torch.arange(view.n_items)}
        blocks = self._sampler(view).sample(ends, seed=view.fanouts.key).to(view.device)
        return TowerEvidence(blocks, features.gather(blocks), row)

    def forward(self, evidence: TowerEvidence, *, text_only: bool = False) -> Tensor:  # noqa: ARG002
        """Return the scores float [B, I] of the seeds of ``evidence``."""
        fused = self.encode(evidence.blocks, evidence.features, gathered=True).fused
        return self.score(fused["user"][evidence.row], fused["item"])

    def score_seeds(self, view: GraphTensors, seeds: Seeds) -> Tensor:
        """Return the scores float [B, I] of ``seeds``; items are encoded once for each view.

        Users too, where the states of all nodes fit into ``MOST_BYTES``; else each user is encoded
        from neighbours that are drawn, the same each time.
        """
        if seeds.altered:
            return super().score_seeds(view, seeds)
        if self._all_at_once(view):
            user, item = self._towers(view)
            user = user[seeds.user]
        else:
            item = view.kept(
                "item towers", lambda: self._drawn(view, "item", torch.arange(view.n_items))
            )
            distinct, row = torch.unique(seeds.user, return_inverse=True)
            user = self._drawn(view, "user", distinct.cpu())[row]
        if self.config.head == "dot":
            return torch.addmm(self.item_bias, user, item.T)
        return self.score(user, item)

    def vectors(self, view: GraphTensors) -> Vectors | None:
        """Return the vectors whose inner products are the scores; None with another head."""
        if self.config.head != "dot" or not self._all_at_once(view):
            return None
        parts = (*self._towers(view), self.item_bias.detach())
        return Vectors(*(one.float().cpu().numpy() for one in parts))

    def numbers_a_seed(self) -> int:
        """Return how many numbers the scores of a seed take."""
        return self.shape.n_items

    def reads(self) -> frozenset[str]:
        """Return what the model reads of a seed."""
        ties = self.stream_one is not None and self.config.social
        text = self.text_one is not None or self.text_two is not None
        parts = {HISTORY: self.config.graph, TIES: ties, USER_TEXT: text}
        return frozenset(name for name, there in parts.items() if there)

    def item_terms(self, view: GraphTensors, seeds: Seeds) -> Tensor:
        """Return the biases of the items, float [B, I]; popularity also shapes their vectors."""
        return self.item_bias.to(view.device).expand(len(seeds), -1)

    def penalties(self) -> Mapping[str, Tensor]:
        """Return the squares of dense weights, and how far learned vectors have moved."""
        vectors = dict(self.ids or {})
        everyone = {
            name: torch.arange(len(one), device=one.device) for name, one in vectors.items()
        }
        moved = self.squared_ids(vectors, everyone)
        return {"lambda_reg": self.squared_weights(), "lambda_ids": moved}

    def _features(self, view: GraphTensors) -> NodeFeatures:
        """The features of all nodes of ``view``."""

        def make() -> NodeFeatures:
            return features_of(view.snapshot, self.config.half_life).to(view.device)

        return view.kept("node features", make)

    def _sampler(self, view: GraphTensors) -> NeighborSampler:
        """Draws as many neighbours a layer as the fanouts of ``view`` say."""

        def make() -> NeighborSampler:
            numbers = view.fanouts.layers(self.config.depth)
            silent = silent_relations(self.config, self.shape.text_dim)
            return NeighborSampler(view.snapshot.layer(), numbers, silent=silent)

        return view.kept("neighbor sampler", make)

    def _all_at_once(self, view: GraphTensors) -> bool:
        """Whether all nodes are encoded at once on the whole graph, though training draws."""
        states = (view.n_users + view.n_items) * (self.config.dim + self.config.dim_two)
        return not self.config.depth or view.fanouts.whole or 4 * _STATES * states <= MOST_BYTES

    def _towers(self, view: GraphTensors) -> tuple[Tensor, Tensor]:
        """What the head compares of all users and items: the towers' vectors, or fused ones."""

        def make() -> tuple[Tensor, Tensor]:
            blocks = whole_graph(view.layer, self.config.depth)
            fused = self.encode(blocks, self._features(view), gathered=True).fused
            if self.config.head != "dot":
                return fused["user"], fused["item"]
            return self.head.towers(fused["user"], fused["item"])

        return view.kept("towers", make)

    def _drawn(self, view: GraphTensors, name: str, nodes: Tensor) -> Tensor:
        """What the head compares of ``nodes`` int64 [n] of one type, from drawn neighbours."""
        found = []
        for chunk in nodes.split(_NODES_AT_ONCE):
            none = chunk.new_zeros(0)
            seeds = {one: chunk if one == name else none for one in NODE_TYPES}
            blocks = self._sampler(view).sample(seeds).to(view.device)
            fused = self.encode(blocks, self._features(view)).fused[name]
            dot = self.config.head == "dot"
            found.append(self.head.get_submodule(name)(fused) if dot else fused)
        return torch.cat(found)

    def relations(self) -> tuple[Relation, ...]:
        """The relations that carry messages in Stream One."""
        kinds = self.shape.tie_kinds if self.config.social else ()
        ties = [relation for kind in kinds for relation in tie_relations(kind)]
        return (INTERACTS, INTERACTED_BY, *ties)

    def encode(
        self,
        blocks: Blocks,
        features: NodeFeatures,
        hidden: Mapping[str, Tensor] | None = None,
        *,
        gathered: bool = False,
    ) -> Encoded:
        """Fused vectors of the output nodes of ``blocks``.

        ``features``: of all nodes, or, if ``gathered``, of the input nodes. ``hidden`` (bool [n] a
        type): nodes whose text is to be treated as absent.
        """
        given = features if gathered else features.gather(blocks)
        has_text = dict(given.has_text)
        if hidden is not None:
            for name in NODE_TYPES:
                ids = blocks.inputs[name]
                has_text[name] &= ~(hidden[name] if ids is None else hidden[name][ids])
        sizes = {name: len(given.degree[name]) for name in NODE_TYPES}
        logits, first = self._first_features(given)
        states = self._id_states(blocks, sizes)
        outputs = []
        if self.stream_one is not None:
            text = self._project(self.text_one, first, has_text, sizes, self.config.dim)
            start = {
                name: text[name] + self.ids_one[name](states[name])
                if name in self.ids_one
                else text[name]
                for name in NODE_TYPES
            }
            silent = set() if self.text_one is not None else set(NODE_TYPES) - set(self.ids_one)
            outputs.append(self.stream_one(blocks.layers, text, has_text, start, silent))
        if self.stream_two is not None:
            text = self._project(self.text_two, first, has_text, sizes, self.config.dim_two)
            start = states if self.ids is not None else text
            silent = set() if self.ids is None else set(NODE_TYPES) - set(self.ids)
            outputs.append(
                self.stream_two(
                    blocks.layers, text, has_text, start, given.degree, given.activity, silent
                )
            )
        fused = {
            name: torch.cat([output[name] for output in outputs], dim=1) for name in NODE_TYPES
        }
        if logits is not None:
            logits = {name: logits[name][: len(fused[name])] for name in NODE_TYPES}
        vectors = {name: states[name][: len(fused[name])] for name in self.ids or {}}
        return Encoded(fused, logits, vectors)

    def score(self, user: Tensor, item: Tensor, item_ids: Tensor | None = None) -> Tensor:
        """Scores [B, C] of fused users [B, width] and products [C, width].

        ``item_ids`` [C]: the products' node numbers (None: all in order), for their bias.
        """
        bias = self.item_bias if item_ids is None else self.item_bias[item_ids]
        return self.head(user, item, bias)

    def biases(self, items: Tensor) -> Tensor:
        """b_i of products by their node numbers [C]."""
        if not self.row_gradients:
            return self.item_bias[items]
        return self.item_bias.gather(0, items, sparse_grad=True)

    def score_batch(
        self,
        user: Tensor,
        item: Tensor,
        bias: Tensor,
        positives: tuple[Tensor, Tensor],
        negatives: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Scores [B] of positives, and those [n, K] of the users with the negatives.

        Of fused users [n, width], products [C, width] and what is added to each product's scores,
        ``bias`` [C]. ``positives``: of both ends the rows [B]; ``negatives`` [K]: rows of products.
        """
        rows, columns = positives
        left, right = self.head.sides(user, item)
        # the gradient of index_select adds up faster than that of right[...]
        ends = left.index_select(0, rows), right.index_select(0, columns)
        scores = self.head.each(*ends, bias.index_select(0, columns))
        right, bias = right.index_select(0, negatives), bias.index_select(0, negatives)
        return scores, self.head.crossed(left, right, bias)

    def squared_weights(self) -> Tensor:
        """The part of ||Theta||^2 (formula 7) that is dense weights, a scalar."""
        parts = [
            parameter.square().sum()
            for name, parameter in self.named_parameters()
            if not name.startswith(("ids.", "item_bias"))
        ]
        return torch.stack(parts).sum() if parts else self.item_bias.new_zeros(())

    def squared_ids(self, vectors: Mapping[str, Tensor], seeds: Mapping[str, Tensor]) -> Tensor:
        """The part of ||Theta||^2 that is learned vectors: mean over seeds of ||z_i - z_i(0)||^2.

        ``vectors``: z [n, dim_two] of the ``seeds`` [n] of each node type that has any. A vector is
        pulled to where it started: the spectral start, or zero for a random one. Only the seeds'
        vectors, so that its cost and its size do not grow with the graph.
        """
        if not vectors:
            return self.item_bias.new_zeros(())
        moved = [
            one - self.get_buffer(f"anchor_{name}")[seeds[name]] for name, one in vectors.items()
        ]
        return torch.cat([one.square().sum(1) for one in moved]).mean()

    def _first_features(
        self, given: NodeFeatures
    ) -> tuple[dict[str, Tensor] | None, dict[str, Tensor]]:
        """Pseudo-label logits and [e || y] per node type."""
        if self.text_one is None and self.text_two is None:
            return None, {}
        if self.pseudo is None:
            return None, dict(given.text)
        logits = {name: self.pseudo(given.text[name]) for name in NODE_TYPES}
        first = {
            name: torch.cat([given.text[name], torch.sigmoid(logits[name])], dim=1)
            for name in NODE_TYPES
        }
        return logits, first

    def _project(
        self,
        maps: nn.ModuleDict | None,
        first: Mapping[str, Tensor],
        has_text: Mapping[str, Tensor],
        sizes: Mapping[str, int],
        width: int,
    ) -> dict[str, Tensor]:
        """x_i = W [e_i || y_i], and zero for a node without text: [n, width] per node type."""
        if maps is None:
            return {name: self._zeros(sizes[name], width) for name in NODE_TYPES}
        return {name: maps[name](first[name]) * has_text[name].unsqueeze(1) for name in NODE_TYPES}

    def _id_states(self, blocks: Blocks, sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """z_i of the input nodes, zero for node types without learned vectors."""
        states = {}
        for name, ids in blocks.inputs.items():
            if self.ids is None or name not in self.ids:
                states[name] = self._zeros(sizes[name], self.config.dim_two)
            elif ids is None:
                states[name] = self.ids[name]
            else:
                states[name] = functional.embedding(ids, self.ids[name], sparse=self.row_gradients)
        return states

    def _zeros(self, size: int, width: int) -> Tensor:
        """[size, width] that take no memory."""
        return self.item_bias.new_zeros(()).expand(size, width)


def _copies(view: GraphTensors, seeds: Seeds, features: NodeFeatures, depth: int) -> TowerEvidence:
    """Evidence of the whole graph and a node more for each of ``seeds``, as they are described."""
    row = view.n_users + torch.arange(len(seeds), device=view.device)
    nodes = torch.cat([torch.arange(view.n_users, device=view.device), seeds.user])
    degree = torch.cat([features.degree["user"], seeds.history.counts.float()])
    text = torch.cat([features.text["user"], seeds.text])
    given = NodeFeatures(
        {**features.text, "user": text},
        {**features.has_text, "user": text.ne(0).any(dim=1)},
        {**features.degree, "user": degree},
        {**features.activity, "user": degree},
    )
    inputs = {"user": nodes, "item": None}
    return TowerEvidence(Blocks((_with_rows(view, seeds),) * depth, inputs, inputs), given, row)


def _with_rows(view: GraphTensors, seeds: Seeds) -> Layer:
    """The layer of ``view`` with a user more for each of ``seeds``, who receives alone."""
    layer, n_users = view.layer, view.n_users
    sizes = {"user": n_users + len(seeds), "item": view.n_items}
    edges = {}
    for relation, one in layer.edges.items():
        source, target = one.source, one.target
        if relation[2] == "user":
            senders = _senders(view, seeds, relation)
            source = torch.cat([source, senders.values.int()])
            target = torch.cat([target, (n_users + senders.row).int()])
        edges[relation] = Edges(sizes[relation[0]], sizes[relation[2]], source, target)
    return Layer(sizes, sizes, edges)


def _senders(view: GraphTensors, seeds: Seeds, relation: Relation) -> Ragged:
    """Who sends to each of ``seeds`` in ``relation``."""
    if relation == INTERACTED_BY:
        return seeds.history
    if seeds.ties is not None and relation in seeds.ties:
        return seeds.ties[relation]
    rows = view.layer.edges[relation].by_receiver
    return Ragged(rows.indptr.long(), rows.indices).rows(seeds.user)[0]


def silent_relations(config: HybridConfig, text_dim: int) -> tuple[Relation, ...]:
    """The relations whose only senders have nothing to send in the outermost layer.

    Users have neither text nor vectors there, and to products nobody else sends. What users send to
    each other then is zero too, but counts as something brought.
    """
    return (INTERACTS,) if config.ids == "items" and not (config.text and text_dim) else ()


def _text_maps(width: int, dim: int) -> nn.ModuleDict:
    return nn.ModuleDict({name: linear_map(width, dim) for name in NODE_TYPES})
