"""The configuration of the hybrid model: every part that an ablation switches is a field of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.kernels import KERNELS

RELATIONS = ("derived", "observed")
FUSIONS = ("gate", "concat", "sum", "text", "graph")
HEADS = ("dot", "mlp")
IDS = ("items", "both", "none")
IDS_STARTS = ("auto", "spectral", "random")
PSEUDO_TARGETS = ("prototypes", "columns", "file")


@dataclass(frozen=True)
class DerivedConfig:
    """The relations derived from interactions. Raises ConfigError, naming every field out of range.

    Half-lives are in days after which an interaction counts half; 0: it never fades.

    ``peer_half_lives``    one head of attention between users each: how its messages fade
    ``short_half_life``    a faster fading that every head's kernel has a small part of
    ``peers``              users that a user attends to, the most similar ones; 0: all
    ``ease``               penalties of linear filters between products (EASE)
    ``ease_near``          products by which each one's filter goes, the nearest ones by cosine; 0:
                           all others, in dense matrices, of at most 20,000 products
    ``ease_users``         how much an active user's holdings count less in it: 0 all alike, 1 by
                           1 / d
    ``holding_half_lives`` one filter by cosine each: how a user's holdings fade in it
    ``cosine_alpha``       0.5: the cosine; towards 1: the share of a product's holders who hold the
                           other too, which favours popular products
    ``cosine_users``       how much an active user's holdings count less in it: 0 all alike, 1 by
                           1 / d, as in random walks
    ``cosine_shrink``      pseudo-counts that hold back what few users tell in it
    ``ranks``              rising: of the low-pass spectral filters, one each
    ``vectors``            width of products' learned vectors, a filter of their own
                           (``finrec_dgl.nn.vectors``), learned anew in each world; 0: none
    ``vector_spread``      how much those of products held together count beside a product's own
    ``vector_temperature`` of the softmax over cosines of such vectors
    ``vector_epochs``      passes over all users to learn them
    ``trend_half_lives``   falling: each adds how popularity grew from the one before to this one
    ``trend_prior``        pseudo-counts that hold a trend back
    ``steady_half_life``   of the purchases in a product's steadiness: whether they came over many
                           days or at once, as of an offer that closed; 0: that is not looked at
    ``text_channels``      whether what texts say counts for products that somebody holds too
    ``text_holders``       k of the share of text in a product's score, k / (k + holders); 0: only
                           of what nobody holds
    ``text_sharpness``     of the similarity of texts: exp(sharpness * cosine)
    ``text_penalty``       of the ridge regression from products' text to scores
    ``text_categories``    weight of a product's categories beside its texts; 0: texts alone
    ``text_numbers``       weight of a product's standardised numbers beside its texts; 0: none
    ``cold_share``         share of products that each of the training's worlds knows by text only
    """

    peer_half_lives: tuple[float, ...] = (30.0, 90.0)
    short_half_life: float = 7.0
    peers: int = 256
    ease: tuple[float, ...] = (100.0, 300.0, 1000.0, 3000.0)
    ease_near: int = 0
    ease_users: float = 0.0
    holding_half_lives: tuple[float, ...] = (15.0, 60.0, 200.0, 0.0)
    cosine_alpha: float = 0.7
    cosine_users: float = 0.0
    cosine_shrink: float = 10.0
    ranks: tuple[int, ...] = (32,)
    vectors: int = 0
    vector_spread: float = 100.0
    vector_temperature: float = 0.05
    vector_epochs: int = 5
    trend_half_lives: tuple[float, ...] = (365.0, 90.0, 30.0, 15.0)
    trend_prior: float = 300.0
    steady_half_life: float = 365.0
    text_channels: bool = False
    text_holders: float = 0.0
    text_sharpness: float = 25.0
    text_penalty: float = 1.0
    text_categories: float = 1.0
    text_numbers: float = 0.0
    cold_share: float = 0.2

    def __post_init__(self) -> None:
        problems = []
        for name in ("peer_half_lives", "holding_half_lives"):
            if any(not one >= 0 for one in getattr(self, name)):
                problems.append(f"{name} is {list(getattr(self, name))}, expected at least 0 each")
        for name in ("ease", "trend_half_lives"):
            if any(not one > 0 for one in getattr(self, name)):
                problems.append(f"{name} is {list(getattr(self, name))}, expected above 0 each")
        for name in ("ease", "holding_half_lives", "trend_half_lives"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                problems.append(f"{name} is {list(getattr(self, name))}, expected each once")
        if list(self.ranks) != sorted(set(self.ranks)) or any(one < 1 for one in self.ranks):
            problems.append(f"ranks is {list(self.ranks)}, expected rising, at least 1 each")
        if list(self.trend_half_lives) != sorted(self.trend_half_lives, reverse=True):
            problems.append(f"trend_half_lives is {list(self.trend_half_lives)}, expected falling")
        counted = ("peers", "trend_prior", "steady_half_life", "short_half_life", "vectors")
        users = ("ease_near", "ease_users", "cosine_users", "cosine_shrink")
        text = ("text_holders", "text_categories", "text_numbers")
        for name in (*counted, *users, *text, "vector_spread"):
            if not getattr(self, name) >= 0:
                problems.append(f"{name} is {getattr(self, name)}, expected at least 0")
        if self.vector_epochs < 1:
            problems.append(f"vector_epochs is {self.vector_epochs}, expected at least 1")
        for name in ("text_sharpness", "text_penalty", "vector_temperature"):
            if not getattr(self, name) > 0:
                problems.append(f"{name} is {getattr(self, name)}, expected above 0")
        if not 0 <= self.cosine_alpha <= 1:
            problems.append(f"cosine_alpha is {self.cosine_alpha}, expected from 0 to 1")
        if not 0 <= self.cold_share < 1:
            problems.append(f"cold_share is {self.cold_share}, expected from 0 to below 1")
        refuse(problems, where="model.derived")


@dataclass(frozen=True)
class HybridConfig:
    """What the model is made of. Raises ConfigError, naming every field out of range.

    ``relations``     ``derived``: attention and convolution over relations made of interactions,
                      texts and ties, between users alike and between products, see ``derived``;
                      ``observed``: over interactions and ties themselves, the paper's plain form
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

    relations: str = "derived"
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
    derived: DerivedConfig = field(default_factory=DerivedConfig)

    def __post_init__(self) -> None:
        problems = [
            *choice("relations", self.relations, RELATIONS),
            *choice("fusion", self.fusion, FUSIONS),
            *choice("fusion_two", self.fusion_two, FUSIONS),
            *choice("head", self.head, HEADS),
            *choice("ids", self.ids, IDS),
            *choice("ids_start", self.ids_start, IDS_STARTS),
            *choice("pseudo_target", self.pseudo_target, PSEUDO_TARGETS),
            *choice("kernels", self.kernels, KERNELS),
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
