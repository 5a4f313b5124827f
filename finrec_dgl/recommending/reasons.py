"""Why a product is recommended: how far its score falls when one piece of evidence is taken away.

The effect of evidence j on product i for user u is

    effect(j, i) = score(u, i) - score(u without j, i)

by the model's own score, all else equal. The user is scored as they are and once without each piece
of evidence, as seeds that receive what is said of them and send nothing: what the user's own
evidence adds to other nodes, and from there comes back to the user, stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.dataset import Dataset, Snapshot
from finrec_dgl.dataset.snapshot import FROM_POSTS
from finrec_dgl.graph import Relation, tie_relations
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.nn import HybridRecommender
from finrec_dgl.nn.hybrid import HISTORY, TIES, USER_TEXT
from finrec_dgl.recommending.evidence import Evidence, holdings, tied
from finrec_dgl.relations import Seeds
from finrec_dgl.training import ModelScorer

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


def evidence_of(model: HybridRecommender, snapshot: Snapshot, user: int) -> list[Evidence]:
    """What is known of ``user`` that ``model`` reads: items of the history, kinds of ties, text.

    Of the items only the ``MOST_HOLDINGS`` last taken up (without timestamps: the first in the
    order of items).
    """
    reads, found = model.reads(), list[Evidence]()
    if HISTORY in reads:
        found += [Evidence("held", item=int(item)) for item in holdings(snapshot, user)]
    if TIES in reads:
        kinds = model.shape.tie_kinds
        found += [Evidence("ties", tie=kind) for kind in kinds if len(tied(snapshot, kind, user))]
    if USER_TEXT in reads and snapshot.user_text[user].any():
        found.append(Evidence("text"))
    return found


def effects_of(
    scorer: ModelScorer, user: int, evidence: Sequence[Evidence], items: np.ndarray
) -> np.ndarray:
    """float32 [len(evidence), len(items)]: by how much each evidence raises each item's score.

    A row without an item of the history also counts one interaction less; a row without text is a
    user without text. All other users stay as they are.
    """
    if not evidence or not len(items):
        return np.zeros((len(evidence), len(items)), np.float32)
    scores = scorer.score_rows(_rows(scorer, user, evidence))[:, items]
    effects: np.ndarray = scores[0] - scores[1:]
    return effects


def _rows(scorer: ModelScorer, user: int, evidence: Sequence[Evidence]) -> Seeds:
    """The user as they are, then a row without each evidence."""
    view = scorer.view
    one = view.seeds([user])
    pieces = (None, *evidence)
    kept = [
        torch.ones_like(one.item, dtype=torch.bool)
        if piece is None or piece.kind != "held"
        else one.history.values != piece.item
        for piece in pieces
    ]
    gone = ["" if piece is None else piece.tie for piece in pieces]
    without_text = torch.tensor([piece is not None and piece.kind == "text" for piece in pieces])
    text = one.text.expand(len(pieces), -1).clone()
    text[without_text.to(text.device)] = 0.0
    return Seeds(
        one.user.expand(len(pieces)),
        _ragged([one.history.values[rows] for rows in kept]),
        torch.cat([one.age[rows] for rows in kept]),
        text,
        _ragged([_connected(scorer, user, one, kind) for kind in gone]),
        altered=True,
        ties=_senders(scorer, user, gone),
    )


def _ragged(rows: Sequence[Tensor]) -> Ragged:
    counts = torch.tensor([0, *map(len, rows)], device=rows[0].device)
    return Ragged(counts.cumsum(0), torch.cat(list(rows)))


def _connected(scorer: ModelScorer, user: int, seeds: Seeds, gone: str) -> Tensor:
    """int32: whom ``user`` is tied to by another kind than ``gone``."""
    if not gone:
        return seeds.connected.values
    snapshot = scorer.snapshot
    others = [tied(snapshot, kind, user) for kind in snapshot.ties if kind != gone]
    found = np.unique(np.concatenate([np.zeros(0, np.int32), *others])).astype(np.int32)
    return torch.from_numpy(found).to(scorer.view.device)


def _senders(scorer: ModelScorer, user: int, gone: Sequence[str]) -> dict[Relation, Ragged]:
    """Who sends to ``user`` by each kind of ties, in rows that have not the kinds ``gone``."""
    found, layer = {}, scorer.view.layer
    for kind in scorer.snapshot.ties:
        for relation in tie_relations(kind):
            edges = layer.edges[relation]
            senders = edges.source[edges.target == user]
            found[relation] = _ragged([senders[:0] if one == kind else senders for one in gone])
    return found


def popularity_of(scorer: ModelScorer, user: int, items: np.ndarray) -> np.ndarray:
    """float [len(items)]: what the item alone adds for ``user`` beyond the mean item.

    0 for an item that no more users than the mean have.
    """
    view = scorer.view
    with torch.no_grad():
        added = scorer.model.item_terms(view, view.seeds([user]))[0]
        popular = view.item_count > view.item_count.mean()
        above = torch.where(popular, added - added.mean(), added.new_zeros(()))
    found: np.ndarray = above.float().cpu().numpy()[items]
    return found


def explain(
    scorer: ModelScorer,
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
    evidence = evidence_of(scorer.model, snapshot, user)
    effects = effects_of(scorer, user, evidence, items)
    popularity = popularity_of(scorer, user, items)
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
