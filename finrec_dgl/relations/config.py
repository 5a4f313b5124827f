"""The settings of the pair readout and its relations."""

from __future__ import annotations

from dataclasses import dataclass

from finrec_dgl.base.config import refuse

BUILT_IN = (
    *("ease", "cosine", "vectors", "spectral", "chebyshev", "popularity", "trends", "burstiness"),
    *("text_near", "pseudo", "own_edges", "ties", "peers"),
)
"""The relations of the package, in the order of their channels."""


@dataclass(frozen=True)
class PairConfig:
    """The settings of the pair readout. Raises ConfigError, naming every field out of range.

    Half-lives are in days after which an interaction counts half; 0: it never fades.

    ``all_items``          items up to which every one is scored for a user; beyond, candidates are
    ``candidates``         items that are scored for a user where there are more than ``all_items``:
                           what peers took up, what is near to the history, what is popular
    ``near``               nearest items that each one has there by the cosine
    ``relations``          the relations that have channels, by name, each once
    ``peer_half_lives``    one head of attention between users each: how its messages fade
    ``short_half_life``    a faster fading that every head's kernel has a small part of
    ``peers``              users that a user attends to, the nearest ones two hops away
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
    ``ranks``              rising: of the low-pass spectral filters, one each; none by default
    ``chebyshev``          degree of the polynomial of a filter over the whole spectrum; 0: none
    ``chebyshev_flatness`` power of its plateau; the larger, the flatter
    ``chebyshev_degree``   power of the item degree by which interactions are divided before it, and
                           scores multiplied after
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
    ``text_numbers``       weight of an item's standardised numbers beside its texts; 0: none
    ``cold_share``         share of items known by text alone in the windows that teach text's
                           weights; 0: no such windows
    """

    all_items: int = 2_000
    candidates: int = 1000
    near: int = 100
    relations: tuple[str, ...] = BUILT_IN
    peer_half_lives: tuple[float, ...] = (30.0, 90.0)
    short_half_life: float = 7.0
    peers: int = 256
    ease: tuple[float, ...] = (300.0,)
    ease_near: int = 0
    ease_users: float = 0.0
    holding_half_lives: tuple[float, ...] = (15.0, 60.0, 200.0, 0.0)
    cosine_alpha: float = 0.7
    cosine_users: float = 0.0
    cosine_shrink: float = 10.0
    ranks: tuple[int, ...] = ()
    chebyshev: int = 0
    chebyshev_flatness: float = 1.5
    chebyshev_degree: float = 0.2
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
    text_numbers: float = 0.5
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
        counted = ("trend_prior", "steady_half_life", "short_half_life", "vectors", "chebyshev")
        users = ("ease_near", "ease_users", "cosine_users", "cosine_shrink")
        text = ("text_holders", "text_categories", "text_numbers")
        for name in (*counted, *users, *text, "vector_spread", "chebyshev_degree"):
            if not getattr(self, name) >= 0:
                problems.append(f"{name} is {getattr(self, name)}, expected at least 0")
        for name in ("vector_epochs", "peers", "all_items", "candidates", "near"):
            if getattr(self, name) < 1:
                problems.append(f"{name} is {getattr(self, name)}, expected at least 1")
        above = ("text_sharpness", "text_penalty", "vector_temperature", "chebyshev_flatness")
        for name in above:
            if not getattr(self, name) > 0:
                problems.append(f"{name} is {getattr(self, name)}, expected above 0")
        if not 0 <= self.cosine_alpha <= 1:
            problems.append(f"cosine_alpha is {self.cosine_alpha}, expected from 0 to 1")
        if not 0 <= self.cold_share < 1:
            problems.append(f"cold_share is {self.cold_share}, expected from 0 to below 1")
        refuse(problems, where="model.pair")

    @property
    def starts_at_cosine(self) -> bool:
        """Whether the score starts at the slowest cosine channel; else at the last of EASE."""
        return "cosine" in self.relations and bool(self.holding_half_lives)
