"""Effects of evidence with the pair readout: a user is scored with and without each piece of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.recommending.evidence import Evidence, holdings, tied
from finrec_dgl.relations import SeedBatch, Seeds
from finrec_dgl.training import PairScorer


def pair_evidence(scorer: PairScorer, user: int) -> list[Evidence]:
    """What the model reads of ``user``, as ``reasons.evidence_of`` does with the tower readout."""
    model, snapshot = scorer.model, scorer.snapshot
    found = [Evidence("held", item=int(item)) for item in holdings(snapshot, user)]
    if "ties" in model.relations:
        kinds = snapshot.ties
        found += [Evidence("ties", tie=kind) for kind in kinds if len(tied(snapshot, kind, user))]
    if model.has_text and snapshot.user_text[user].any():
        found.append(Evidence("text"))
    return found


def pair_effects(
    scorer: PairScorer, user: int, evidence: Sequence[Evidence], items: np.ndarray
) -> np.ndarray:
    """float32 [len(evidence), len(items)]: by how much each evidence raises each item's score.

    A row without an item also counts one item less; all other users stay as they are.
    """
    if not evidence or not len(items):
        return np.zeros((len(evidence), len(items)), np.float32)
    scores = scorer.score_rows(_rows(scorer, user, evidence))[:, items]
    effects: np.ndarray = scores[0] - scores[1:]
    return effects


def pair_popularity(scorer: PairScorer, user: int, items: np.ndarray) -> np.ndarray:
    """float [len(items)]: what the channels of the item add for ``user`` beyond the mean item.

    0 for an item that no more users than the mean have.
    """
    model, view = scorer.model, scorer.view
    with torch.inference_mode():
        seeds = view.seeds([user])
        weight = model.weights(seeds.covariates())[0]
        batch = SeedBatch(view, seeds)
        added, start = torch.zeros(view.n_items, device=view.device), 0
        for one in model.listed():
            count = len(one.channel_names())
            if one.per_item:
                values = torch.as_tensor(one.sample(batch))
                added = added + values @ weight[start : start + count]
            start += count
        above = torch.where(
            view.item_count > view.item_count.mean(), added - added.mean(), added.new_zeros(())
        )
    found: np.ndarray = above.cpu().numpy()[items]
    return found


def _rows(scorer: PairScorer, user: int, evidence: Sequence[Evidence]) -> Seeds:
    """The user as they are, then a row without each evidence."""
    view = scorer.view
    one = view.seeds([user])
    items, age, connected, text = (
        [one.history.values],
        [one.age],
        [one.connected.values],
        [one.text],
    )
    for piece in evidence:
        kept = one.history.values != piece.item
        items.append(one.history.values[kept])
        age.append(one.age[kept])
        others = _connected_without(scorer, user, piece.tie) if piece.kind == "ties" else None
        connected.append(one.connected.values if others is None else others)
        text.append(torch.zeros_like(one.text) if piece.kind == "text" else one.text)
    return Seeds(
        one.user.expand(len(items)),
        _ragged(items),
        torch.cat(age),
        torch.cat(text),
        _ragged(connected),
    )


def _ragged(rows: Sequence[Tensor]) -> Ragged:
    counts = torch.tensor([0, *map(len, rows)], device=rows[0].device)
    return Ragged(counts.cumsum(0), torch.cat(list(rows)))


def _connected_without(scorer: PairScorer, user: int, kind: str) -> Tensor:
    """int32: whom ``user`` is tied to by any other kind."""
    snapshot = scorer.snapshot
    others = [tied(snapshot, one, user) for one in snapshot.ties if one != kind]
    found = np.unique(np.concatenate([np.zeros(0, np.int32), *others])).astype(np.int32)
    return torch.from_numpy(found).to(scorer.view.device)
