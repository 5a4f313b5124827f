"""Why a product is recommended: how far its score falls when one piece of evidence is taken away.

The effect of evidence j on product i for user u is

    effect(j, i) = score(u, i) - score(u without j, i)

by the model's own score, all else equal. All effects come from one pass over the graph, extended by
a copy of the user for each piece of evidence: a copy has the user's vectors and receives every
message that the user receives, but for those of the evidence it lacks, and sends none. So what the
user's own evidence adds to other nodes (and from there comes back to the user) stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from finrec_dgl.dataset import Dataset, Snapshot
from finrec_dgl.dataset.snapshot import FROM_POSTS
from finrec_dgl.kernels import Edges, Layer, relation_edges
from finrec_dgl.nn import HybridRecommender, NodeFeatures
from finrec_dgl.recommending.evidence import Evidence, holdings, tied
from finrec_dgl.recommending.pair import (
    pair_effects,
    pair_evidence,
    pair_popularity,
)
from finrec_dgl.sampling import Blocks
from finrec_dgl.training import ModelScorer, PairScorer, SampledScorer

MOST_REASONS = 3
FEWEST_TO_TELL = 3
"""How many tied customers must hold a product before their number is told.

A smaller number, or all of them, would tell a customer what one certain other customer holds.
"""

_NOISE = 1e-4  # effects below this share of the score are rounding


@dataclass(frozen=True)
class Reason:
    """One reason for one product, as a sentence for people and in parts for machines.

    - ``kind``: ``held`` (a product the user holds), ``ties`` (all ties of a kind), ``text`` (the
      user's posts or profile), ``popularity``, or ``new`` (nothing is known that the user holds).
    - ``subject``: the held product's title, the kind of the ties, "posts" or "profile", else "".
    - ``item_id``: the held product's id, else None.
    - ``effect``: by how much the score falls without it. Of ``popularity``: by how much the
      product's bias is above the mean bias, a part of the score. Of ``new``: 0.
    - ``text``: the sentence. It never names another customer.
    """

    kind: str
    subject: str
    item_id: str | None
    effect: float
    text: str

    def __str__(self) -> str:
        return self.text

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "item_id": self.item_id,
            "effect": self.effect,
            "text": self.text,
        }


class _Given(NodeFeatures):
    """Features that already stand in the order of the blocks' input nodes."""

    def gather(self, blocks: Blocks) -> NodeFeatures:  # noqa: ARG002
        return self


def evidence_of(
    model: HybridRecommender, snapshot: Snapshot, features: NodeFeatures, user: int
) -> list[Evidence]:
    """What is known of ``user`` that ``model`` reads: products held, kinds of ties, own text.

    Of the products only the ``MOST_HOLDINGS`` last taken up (without timestamps: the first in the
    order of products); none without the graph. Ties only where Stream One carries them.
    """
    found: list[Evidence] = []
    if model.config.graph:
        found += [Evidence("held", item=int(item)) for item in holdings(snapshot, user)]
    if model.stream_one is not None and model.config.social:
        found += [
            Evidence("ties", tie=kind)
            for kind in model.shape.tie_kinds
            if len(tied(snapshot, kind, user))
        ]
    reads_text = model.text_one is not None or model.text_two is not None
    if reads_text and features.has_text["user"][user]:
        found.append(Evidence("text"))
    return found


def effects_of(
    model: HybridRecommender,
    graph: Any,
    features: NodeFeatures,
    user: int,
    evidence: Sequence[Evidence],
    items: np.ndarray,
) -> np.ndarray:
    """float32 [len(evidence), len(items)]: by how much each evidence raises each item's score.

    ``graph`` and ``features``: the whole graph, as a layer or of DGL, and the features of all its
    nodes. A copy without a held product also counts one interaction less; a copy without text is a
    node without text.
    """
    copies = len(evidence)
    if not copies or not len(items):
        return np.zeros((copies, len(items)), np.float32)
    n_users = len(features.degree["user"])
    same = torch.full((copies,), user)
    nodes = torch.cat([torch.arange(n_users), same])
    layers = (_with_copies(graph, user, evidence),) * model.config.depth
    inputs = {"user": nodes, "item": None}
    degree, has_text = features.degree["user"][nodes], features.has_text["user"][nodes]
    for number, one in enumerate(evidence, start=n_users):
        if one.kind == "held":
            degree[number] -= 1
        if one.kind == "text":
            has_text[number] = False
    given = _Given(
        {**features.text, "user": features.text["user"][nodes]},
        {**features.has_text, "user": has_text},
        {**features.degree, "user": degree},
        {**features.activity, "user": degree},
    )
    index = torch.from_numpy(np.asarray(items, dtype=np.int64))
    training = model.training
    model.eval()
    with torch.inference_mode():
        fused = model.encode(Blocks(layers, inputs, inputs), given).fused
        rows = torch.cat([fused["user"][user : user + 1], fused["user"][n_users:]])
        scores = model.score(rows, fused["item"][index], index).float()
    model.train(training)
    effects: np.ndarray = (scores[0] - scores[1:]).numpy()
    return effects


def _with_copies(graph: Any, user: int, evidence: Sequence[Evidence]) -> Layer:
    """``graph`` with a node more for each evidence, which receives what ``user`` does less that."""
    n_users = graph.num_nodes("user")
    sizes = {"user": n_users + len(evidence), "item": graph.num_nodes("item")}
    edges = {}
    for relation in graph.canonical_etypes:
        known = relation_edges(graph, relation)
        source, target = known.source, known.target
        sources, targets = [source], [target]
        if relation[2] == "user":
            senders = source[target == user]
            for number, one in enumerate(evidence, start=n_users):
                kept = one.kept(relation, senders)
                sources.append(kept)
                targets.append(torch.full_like(kept, number))
        ends = torch.cat(sources), torch.cat(targets)
        edges[relation] = Edges(sizes[relation[0]], sizes[relation[2]], *ends)
    return Layer(sizes, sizes, edges)


def explain(
    scorer: ModelScorer | SampledScorer | PairScorer,
    dataset: Dataset,
    user: int,
    items: np.ndarray,
) -> list[tuple[Reason, ...]]:
    """For each of ``items`` the reasons why ``scorer`` scores it high for ``user``.

    At most ``MOST_REASONS`` an item, the largest effects first, and only what raises the score; a
    user who holds nothing is told so first. ``popularity`` is told of products that more than the
    mean number of customers hold; it counts the bias alone, though popularity also shapes a
    product's vector.
    """
    snapshot = scorer.snapshot
    if isinstance(scorer, PairScorer):
        evidence = pair_evidence(scorer, user)
        effects = pair_effects(scorer, user, evidence, items)
        popularity = pair_popularity(scorer, user, items)
    else:
        model, features = scorer.model, scorer.features
        evidence = evidence_of(model, snapshot, features, user)
        effects = effects_of(model, snapshot.layer(), features, user, evidence, items)
        popularity = _popularity(model, features, items)
    tell = _Teller(dataset, snapshot, user, items)
    new = tell.new() if not len(holdings(snapshot, user)) else ()
    scores = scorer.score(np.array([user]))[0, items]
    found = []
    for column, score in enumerate(scores.tolist()):
        floor = _NOISE * max(1.0, abs(score))
        raising = [
            tell.evidence(one, column, effect)
            for one, effect in zip(evidence, effects[:, column].tolist(), strict=True)
            if effect > floor
        ]
        if popularity[column] > floor:
            raising.append(tell.popularity(column, float(popularity[column])))
        # stable: equal effects stay in the order of the evidence
        raising.sort(key=lambda reason: -reason.effect)
        found.append((*new, *raising)[:MOST_REASONS])
    return found


def _popularity(model: HybridRecommender, features: NodeFeatures, items: np.ndarray) -> np.ndarray:
    """float [len(items)]: bias above the mean bias; 0 for what no more than usually is held."""
    bias = model.item_bias.detach().float().numpy()
    held = features.degree["item"].numpy()
    above: np.ndarray = np.where(held > held.mean(), bias - bias.mean(), 0.0)[items]
    return above


class _Teller:
    """Puts what was measured for one user into sentences."""

    def __init__(self, dataset: Dataset, snapshot: Snapshot, user: int, items: np.ndarray) -> None:
        self.titles = dataset.item_titles
        self.ids = dataset.item_ids
        self.snapshot = snapshot
        self.user = user
        self.items = items

    def new(self) -> tuple[Reason, ...]:
        return (Reason("new", "", None, 0.0, "We do not know of a product that you hold yet"),)

    def evidence(self, one: Evidence, column: int, effect: float) -> Reason:
        if one.kind == "held":
            title, by = self.titles[one.item].as_py(), _signed(effect)
            text = f"Because you hold {title} ({by})"
            if one.item == self.items[column]:
                text = f"You hold it already ({by})"
            return Reason("held", title, self.ids[one.item].as_py(), effect, text)
        if one.kind == "ties":
            return Reason("ties", one.tie, None, effect, self._ties(one.tie, column, effect))
        posts = self.snapshot.user_text_from[self.user] == FROM_POSTS
        what = "what you wrote" if posts else "your profile"
        text = f"Because of {what} ({_signed(effect)})"
        return Reason("text", "posts" if posts else "profile", None, effect, text)

    def _ties(self, kind: str, column: int, effect: float) -> str:
        others = tied(self.snapshot, kind, self.user)
        holders = int(self.snapshot.matrix()[others][:, [self.items[column]]].sum())
        by = f"({kind}, {_signed(effect)})"
        if FEWEST_TO_TELL <= holders < len(others):
            return f"{holders} customers you are tied to hold it {by}"
        return f"Because of what customers you are tied to hold or write {by}"

    def popularity(self, column: int, effect: float) -> Reason:
        holders = int(np.count_nonzero(self.snapshot.pairs.item == self.items[column]))
        share = holders / self.snapshot.n_users
        amount = f"{share:.0%} of" if share >= 0.01 else f"{holders:,}"
        text = f"Popular: held by {amount} customers"
        return Reason("popularity", "", None, effect, text)


def _signed(effect: float) -> str:
    return f"{effect:+.2f}" if effect >= 0.095 else f"{effect:+.1g}"
