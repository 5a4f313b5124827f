"""The configuration of the hybrid model: every part that an ablation switches is a field of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.kernels import KERNELS
from finrec_dgl.relations import PairConfig
from finrec_dgl.relations.base import relation_problems

READOUTS = ("pair", "tower")
FUSIONS = ("gate", "concat", "sum", "text", "graph")
HEADS = ("dot", "mlp")
IDS = ("items", "both", "none")
IDS_STARTS = ("auto", "spectral", "random")
PSEUDO_TARGETS = ("prototypes", "columns", "file")


@dataclass(frozen=True)
class HybridConfig:
    """What the model is made of. Raises ConfigError, naming every field out of range.

    ``readout``       ``pair``: scores from the messages that reach a pair, see the field ``pair``;
                      ``tower``: fused vectors of nodes, the paper's plain form
    ``text``          use the text vectors e_i and with them the pseudo-labels
    ``graph``         use message passing and, with it, learned node vectors
    ``pseudo``        predict pseudo-labels y_i and feed them in beside e_i (formulas 2 and 3)
    ``social``        use ties between users
    ``stream_one``    graph attention with the fusion inside (formulas 4 and 5)
    ``stream_two``    direct fusion of text and graph-convolutional features (formula 6)
    ``ids``           learned vectors of ``items``, of ``both`` users and items, or ``none``: users
                      without one are known by what they hold, their ties and their text
    ``ids_start``     where learned vectors start: ``spectral`` or ``random``; ``auto``: the first,
                      unless the graph is too large for it (``finrec_dgl.nn.start``)
    ``spectral_power`` how fast the start's filter falls with the eigenvalue: 0 keeps all alike, 1
                      is two steps of a random walk
    ``spectral_users`` how much an active user's holdings count less in it: 0 all alike, 1 by 1 / d
    ``dim``           width of Stream One's hidden vectors
    ``dim_two``       width of Stream Two and of learned vectors; the rank of the spectral start
    ``layers``        graph attention layers of Stream One
    ``linear_layers`` graph convolutions of Stream Two
    ``heads``         attention heads; divides ``dim``
    ``fusion``        operator in the messages of Stream One
    ``fusion_two``    operator of Stream Two
    ``head``          ``dot`` (towers and an inner product) or ``mlp`` (the paper's)
    ``half_life``     days after which an interaction counts half in a product's weight at the end
                      of Stream Two; 0: all count alike
    ``item_bias``     each product's bias starts at this times the logarithm of its popularity
    ``dropout``       on the inputs of each attention layer
    ``attention_dropout`` on the attention coefficients
    ``text_dropout``  share of nodes whose text is hidden in a training step
    ``init_scale``    standard deviation of learned vectors at a random start
    ``pseudo_target`` ``prototypes``, ``columns`` (product categories) or ``file``
    ``pseudo_classes`` number of prototypes
    ``pseudo_sharpness`` of the soft assignment to prototypes: softmax(sharpness * cosine)
    ``pseudo_columns`` categories used by ``columns``; empty: all
    ``pseudo_file``   labels used by ``file``: CSV or Parquet
    ``pseudo_noise``  share of the nodes that get the target of another one, to see what that costs
    ``kernels``       who does the arithmetic over edges: ``native`` code, plain ``torch`` or
                      ``dgl``; ``auto``: the first of them that can
    """

    readout: str = "pair"
    text: bool = True
    graph: bool = True
    pseudo: bool = True
    social: bool = True
    stream_one: bool = True
    stream_two: bool = True
    ids: str = "items"
    ids_start: str = "auto"
    spectral_power: float = 0.5
    spectral_users: float = 0.5
    dim: int = 64
    dim_two: int = 128
    layers: int = 3
    linear_layers: int = 1
    heads: int = 4
    fusion: str = "gate"
    fusion_two: str = "gate"
    head: str = "dot"
    half_life: float = 0.0
    item_bias: float = 0.0
    dropout: float = 0.1
    attention_dropout: float = 0.1
    text_dropout: float = 0.0
    init_scale: float = 0.1
    pseudo_target: str = "prototypes"
    pseudo_classes: int = 32
    pseudo_sharpness: float = 10.0
    pseudo_columns: tuple[str, ...] = ()
    pseudo_file: str | None = None
    pseudo_noise: float = 0.0
    kernels: str = "auto"
    pair: PairConfig = field(default_factory=PairConfig)

    def __post_init__(self) -> None:
        problems = [
            *choice("readout", self.readout, READOUTS),
            *choice("fusion", self.fusion, FUSIONS),
            *choice("fusion_two", self.fusion_two, FUSIONS),
            *choice("head", self.head, HEADS),
            *choice("ids", self.ids, IDS),
            *choice("ids_start", self.ids_start, IDS_STARTS),
            *choice("pseudo_target", self.pseudo_target, PSEUDO_TARGETS),
            *choice("kernels", self.kernels, KERNELS),
            *(f"pair.relations: {one}" for one in relation_problems(self.pair.relations)),
        ]
        for name in ("dim", "dim_two", "layers", "linear_layers", "heads", "pseudo_classes"):
            if getattr(self, name) < 1:
                problems.append(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("dropout", "attention_dropout", "text_dropout"):
            if not 0 <= getattr(self, name) < 1:
                problems.append(f"{name} is {getattr(self, name)}, expected from 0 to below 1")
        for name in ("half_life", "item_bias", "spectral_power", "spectral_users"):
            if not getattr(self, name) >= 0:
                problems.append(f"{name} is {getattr(self, name)}, expected at least 0")
        for name in ("init_scale", "pseudo_sharpness"):
            if getattr(self, name) <= 0:
                problems.append(f"{name} is {getattr(self, name)}, expected above 0")
        if not 0 <= self.pseudo_noise <= 1:
            problems.append(f"pseudo_noise is {self.pseudo_noise}, expected from 0 to 1")
        if self.heads > 0 and self.dim % self.heads:
            problems.append(f"heads ({self.heads}) does not divide dim ({self.dim})")
        if not (self.stream_one or self.stream_two):
            problems.append("stream_one and stream_two are both off: nothing is left of the model")
        if not (self.text or self.graph):
            problems.append("text and graph are both off: nothing is left of the model")
        if not self.text and self.ids == "none":
            problems.append("text and ids are both off: the model cannot tell nodes apart")
        if self.pseudo_target == "file" and not self.pseudo_file:
            problems.append("pseudo_target is 'file' but pseudo_file names none")
        refuse(problems, where="model")

    @property
    def uses_pseudo(self) -> bool:
        """Whether pseudo-labels take part: they are made of text, so never without it."""
        return self.pseudo and self.text

    @property
    def hidden_share(self) -> float:
        """The share of items that windows hide to teach weights of text alone: pair readout."""
        return self.pair.cold_share if self.readout == "pair" else 0.0

    @property
    def uses_ids(self) -> bool:
        """Whether nodes have learned vectors: never without the graph, which spreads them."""
        return self.ids != "none" and self.graph

    @property
    def depth(self) -> int:
        """Layers of message passing that the model needs: 0 without a graph."""
        if not self.graph:
            return 0
        one = self.layers if self.stream_one else 0
        two = self.linear_layers if self.stream_two else 0
        return max(one, two)
