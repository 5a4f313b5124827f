"""Effects of evidence where relations are derived: a user's row is scored with and without it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch

from finrec_dgl.nn import Receivers
from finrec_dgl.recommending.evidence import Evidence, holdings, tied
from finrec_dgl.training import DerivedScorer


def derived_evidence(scorer: DerivedScorer, user: int) -> list[Evidence]:
    """What the model reads of ``user``, as ``reasons.evidence_of`` does for observed relations."""
    model, snapshot = scorer.model, scorer.snapshot
    found = [Evidence("held", item=int(item)) for item in holdings(snapshot, user)]
    if model.tied:
        kinds = snapshot.ties
        found += [Evidence("ties", tie=kind) for kind in kinds if len(tied(snapshot, kind, user))]
    if model.has_text and snapshot.user_text[user].any():
        found.append(Evidence("text"))
    return found


def derived_effects(
    scorer: DerivedScorer, user: int, evidence: Sequence[Evidence], items: np.ndarray
) -> np.ndarray:
    """float32 [len(evidence), len(items)]: by how much each evidence raises each item's score.

    A row without a product also counts one product less; all other users stay as they are.
    """
    if not evidence or not len(items):
        return np.zeros((len(evidence), len(items)), np.float32)
    scores = scorer.score_rows(_rows(scorer, user, evidence))[:, items]
    effects: np.ndarray = scores[0] - scores[1:]
    return effects


def derived_popularity(scorer: DerivedScorer, user: int, items: np.ndarray) -> np.ndarray:
    """float [len(items)]: what popularity and its trends add for ``user`` beyond the mean product.

    0 for a product that no more than usually is held.
    """
    model, world = scorer.model, scorer.world
    with torch.inference_mode():
        covariates = torch.from_numpy(world.covariates(world.receivers(np.array([user]))))
        weight = (model.weight + covariates @ model.slope)[0].numpy()
    added = np.zeros(world.n_items, np.float32)
    for name, values in world.trends.items():
        added += weight[model.channels.index(name)] * values
    above: np.ndarray = np.where(world.sold > world.sold.mean(), added - added.mean(), 0.0)[items]
    return above


def _rows(scorer: DerivedScorer, user: int, evidence: Sequence[Evidence]) -> Receivers:
    """The user as they are, then a row without each evidence."""
    world = scorer.world
    one = world.receivers(np.array([user]))
    held, age, ties, text = [one.held], [one.age], [one.ties], [one.text]
    for piece in evidence:
        kept = one.held.indices != piece.item
        index = one.held.indices[kept]
        ones = np.ones(len(index), np.float32)
        held.append(sp.csr_array((ones, index, [0, len(index)]), shape=one.held.shape))
        age.append(one.age[kept])
        ties.append(_ties_without(scorer, user, piece.tie) if piece.kind == "ties" else one.ties)
        text.append(np.zeros_like(one.text) if piece.kind == "text" else one.text)
    return Receivers(
        np.full(len(held), user, np.int64),
        sp.vstack(held, format="csr"),
        np.concatenate(age),
        np.concatenate(text),
        sp.vstack(ties, format="csr"),
    )


def _ties_without(scorer: DerivedScorer, user: int, kind: str) -> sp.csr_array:
    """Sparse [1, U]: whom ``user`` is tied to by any other kind."""
    snapshot = scorer.snapshot
    others = [tied(snapshot, one, user) for one in snapshot.ties if one != kind]
    index = np.unique(np.concatenate([np.zeros(0, np.int32), *others]))
    ones = np.ones(len(index), np.float32)
    return sp.csr_array((ones, index, [0, len(index)]), shape=(1, snapshot.n_users))
