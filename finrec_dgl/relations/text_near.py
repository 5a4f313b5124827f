"""Items near in text to a history and a user, and scores carried over to items with like text."""

from __future__ import annotations

from typing import cast

import numpy as np
import scipy.linalg
import torch
from torch import Tensor
from torch.nn import functional

from finrec_dgl.kernels.peers import pair_dots
from finrec_dgl.kernels.slots import SparseRows, slot_sum
from finrec_dgl.relations.base import TEXT, Relation, register_relation, stacked
from finrec_dgl.relations.batch import SeedBatch, Slots, log_share
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.view import GraphTensors

TEXT_CHANNELS = ("text history", "text profile", "text posts", "text fit")
"""What ``text_messages`` returns, in its order."""

NEAR_TEXTS, MOST_KNOWN = 50, 5_000
"""Where there are many items: from how many others one takes scores over, and among how many."""

_TEXTS_AT_ONCE = 4096


def one_hot(codes: np.ndarray) -> np.ndarray:
    """Return float32 [n, largest code + 1] with a one at each row's code, none where it is -1."""
    rows = np.zeros((len(codes), int(codes.max(initial=-1)) + 1), np.float32)
    known = codes >= 0
    rows[known, codes[known]] = 1.0
    return rows


def description(view: GraphTensors, config: PairConfig) -> Tensor:
    """Return what describes each item, float32 [I, 2 d + classes + numbers] at length 1, or 0.

    d_i ~ [e_i || p_i || c k_i || n z_i]: the text vector, the one of what was posted about i, the
    categories one-hot, and the standardised numbers; the categories together at length 1 and
    weighted by c = ``text_categories``, the numbers likewise by n = ``text_numbers``. An encoder
    blurs a category that a text names; as a column of its own it stays sharp.
    """

    def make() -> Tensor:
        snapshot = view.snapshot
        none = np.zeros((view.n_items, 0), np.float32)
        codes = [one_hot(one) for one in snapshot.item_categories.values()]
        parts = list(item_texts(view))
        for weight, rows in (
            (config.text_categories, np.concatenate([none, *codes], axis=1)),
            (config.text_numbers, snapshot.item_numbers if snapshot.item_values else none),
        ):
            parts.append(weight * functional.normalize(view.tensor(rows)))
        return functional.normalize(torch.cat(parts, dim=1))

    return view.kept("description", make)


def described(view: GraphTensors, config: PairConfig) -> Tensor:
    """Return bool [I]: the items with a text, a category or, where they count, a number."""
    return view.kept("described", lambda: description(view, config).any(dim=1))


def item_texts(view: GraphTensors) -> tuple[Tensor, Tensor]:
    """Return the vectors of the items' texts and of the posts about them, float32 [I, d] each."""
    posts = view.kept("item posts", lambda: view.tensor(view.snapshot.item_posts))
    return view.item_text, posts


def text_messages(batch: SeedBatch, config: PairConfig) -> Tensor:
    """Return what texts say of each item, float32 [B, n_items, 4], in the order of TEXT_CHANNELS.

    How near an item is to a history; its text, and its posts, to the user's text:
    exp(sharpness * cosine), the first summed over the history. And what users who write alike
    take up: a ridge regression of interactions on the users' texts. Where either side has no text
    a channel is 0, an even share.
    """
    view, seeds = batch.view, batch.seeds
    sharp, writes = config.text_sharpness, seeds.text.any(dim=1, keepdim=True)
    known = described(view, config)
    near = view.kept("text near", lambda: _near(view, config))
    told = [(seeds.message(near), (seeds.history.counts > 0).unsqueeze(1) & known)]
    for text in item_texts(view):
        likeness = torch.exp(sharp * (seeds.text @ text.T - 1))
        told.append((likeness, writes & text.any(dim=1)))
    fit = view.kept("text fit", lambda: _text_fit(view, config))
    told.append((seeds.text @ fit, writes & (view.item_count > 0)))
    return stacked([_where_known(message, there, batch.free) for message, there in told])


def _where_known(message: Tensor, there: Tensor, free: Tensor) -> Tensor:
    share = log_share(message * there, free & there)
    return torch.where(there, share, torch.zeros_like(share))


def _near(view: GraphTensors, config: PairConfig) -> Tensor:
    """float32 [I, I]: exp(sharpness * cosine) of descriptions, 0 for an item and itself."""
    known = described(view, config)
    near = torch.exp(config.text_sharpness * (_cosines(view, config) - 1))
    return near.mul_(known).mul_(known.unsqueeze(1)).fill_diagonal_(0.0)


def _cosines(view: GraphTensors, config: PairConfig) -> Tensor:
    """float32 [I, I]: inner products of descriptions."""
    rows = description(view, config)
    return view.kept("text cosines", lambda: rows @ rows.T)


def _text_fit(view: GraphTensors, config: PairConfig) -> Tensor:
    """float32 [d, I]: (T^T T + penalty * U / d I)^-1 T^T X, users' texts T to interactions X."""
    text = view.snapshot.user_text
    gram = (view.user_text.T @ view.user_text).cpu().numpy()
    scale = max(float(np.trace(gram)) / max(len(gram), 1), 1e-9)
    gram[np.diag_indices_from(gram)] += np.float32(config.text_penalty * scale)
    known = (view.snapshot.matrix().T @ text).T.astype(np.float32)
    return view.tensor(scipy.linalg.solve(gram, known, assume_a="pos"))


@register_relation
class TextNear(Relation):
    """What texts say of items that have interactions too; see ``text_messages``."""

    name, part = "text_near", TEXT

    def channel_names(self) -> tuple[str, ...]:
        used = self.config.text_channels and self.shape.text_dim and not self.many_items
        return TEXT_CHANNELS if used else ()

    def sample(self, batch: SeedBatch) -> Tensor:
        return text_messages(batch, self.config)


def slot_text_messages(batch: SeedBatch, maps: SparseTextMaps, config: PairConfig) -> Tensor:
    """Return ``text_messages`` at the slots of ``batch``, float32 [B, C, 4].

    Shares are among the candidates. How near an item is to a history is known of the items that
    ``maps`` takes scores over to.
    """
    view, seeds, slots = batch.view, batch.seeds, cast(Slots, batch.slots)
    ones = torch.ones(1, len(seeds.item), device=view.device)
    near, _ = slot_sum(seeds.history, ones, maps.likeness, slots.item, seeds.known)
    writes = seeds.text.any(dim=1, keepdim=True) & slots.there
    told = [(near[:, 0], near[:, 0] > 0)]
    for text in item_texts(view):
        likeness = torch.exp(config.text_sharpness * (pair_dots(seeds.text, text, slots.at) - 1))
        told.append((likeness, writes & text.any(dim=1)[slots.at]))
    fit = view.kept("text fit", lambda: _text_fit(view, config))
    told.append((pair_dots(seeds.text, fit.T, slots.at), writes & (view.item_count > 0)[slots.at]))
    return stacked([_where_known(message, there, slots.candidates) for message, there in told])


class SparseTextMaps:
    """Takes scores over to the items ``columns`` from the nearest items in text, as sparse rows.

    Parameters
    ----------
    view : GraphTensors
        The graph as of a time.
    columns : Tensor
        int64 [C].
    config : PairConfig
        The sharpness of likeness.

    Attributes
    ----------
    kernel, likeness : SparseRows
        From each item to those of ``columns`` that have it among their ``NEAR_TEXTS`` nearest, of
        the ``MOST_KNOWN`` items of the most interactions: softmax(sharpness * cosine) over an
        item's nearest ones, and exp(sharpness * (cosine - 1)).
    """

    def __init__(self, view: GraphTensors, columns: Tensor, config: PairConfig) -> None:
        text = description(view, config)
        known = ((view.item_count > 0) & text.any(dim=1)).nonzero().squeeze(1)
        if len(known) > MOST_KNOWN:
            known = known[torch.topk(view.item_count[known], MOST_KNOWN).indices].sort().values
        count = min(NEAR_TEXTS, len(known))
        parts = [
            torch.topk(self._logits(text, part, known, config), count, dim=1)
            for part in columns.split(_TEXTS_AT_ONCE)
        ]
        none = text.new_zeros(0, count)
        logit = torch.cat([none, *(one.values for one in parts)])
        source = known[torch.cat([none.long(), *(one.indices for one in parts)])]
        target = columns.unsqueeze(1).expand_as(source)
        there = (logit > -1e8).reshape(-1)
        source, target = source.reshape(-1)[there], target.reshape(-1)[there]
        order = torch.argsort(source, stable=True)
        counts = torch.bincount(source, minlength=view.n_items)
        indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])

        def rows(values: Tensor) -> SparseRows:
            kept = values.reshape(-1)[there][order].contiguous()
            return SparseRows(indptr, target[order].int(), kept, view.n_items)

        self.kernel = rows(torch.softmax(logit, dim=1))
        self.likeness = rows(torch.exp(logit - config.text_sharpness))

    @staticmethod
    def _logits(text: Tensor, part: Tensor, known: Tensor, config: PairConfig) -> Tensor:
        """Return sharpness * cosine of the items ``part`` with ``known``, hardly any for itself."""
        logit = config.text_sharpness * (text[part] @ text[known].T)
        return logit.masked_fill(part.unsqueeze(1) == known, -1e9)


class TextMaps:
    """Takes scores of items with interactions over to the items ``columns`` int64 [C] by text.

    Parameters
    ----------
    view : GraphTensors
        The graph as of a time.
    columns : Tensor
        int64 [C].
    config : PairConfig
        The sharpness of likeness, the penalty of the regression.

    Attributes
    ----------
    kernel : Tensor
        [I, C]: the column of item i holds softmax_j(sharpness * cosine(i, j)) over other items j
        with interactions.
    smoother : Tensor
        [I, C]: a ridge regression on descriptions, fitted to items with interactions and a text;
        their mean score is what it is centred at. An item's own score has no part in its fitted
        one but by that mean (leave-one-out).
    """

    def __init__(self, view: GraphTensors, columns: Tensor, config: PairConfig) -> None:
        cosine, there = _cosines(view, config), described(view, config)
        known = (view.item_count > 0) & there
        logit = config.text_sharpness * cosine[:, columns]
        logit = logit.masked_fill(~known.unsqueeze(1), -1e9)
        logit[columns, torch.arange(len(columns), device=view.device)] = -1e9
        self.kernel = torch.softmax(logit, dim=0)
        centred = _centred(cosine, known) * there * there.unsqueeze(1)
        products, rows, into = (one.cpu().numpy() for one in (centred, known, columns))
        fitted = view.tensor(_ridge(products, rows, into, config.text_penalty))
        # mean + (scores - mean) @ fitted, as one product
        mean = known / known.sum().clamp(min=1)
        self.smoother = fitted + mean.unsqueeze(1) * (1 - fitted.sum(dim=0))

    def __call__(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores [B, C] by the kernel, and by the regression, of ``scores`` [B, I]."""
        return scores @ self.kernel, scores @ self.smoother


def _centred(products: Tensor, known: Tensor) -> Tensor:
    """Return inner products [I, I] of vectors, less the mean of the ``known`` ones: bool [I]."""
    mean = products[:, known].mean(dim=1) if known.any() else products[:, 0] * 0
    middle = mean[known].mean() if known.any() else mean.sum()
    return products - mean - mean.unsqueeze(1) + middle


def _ridge(
    products: np.ndarray, known: np.ndarray, columns: np.ndarray, penalty: float
) -> np.ndarray:
    """Return the leave-one-out smoother of a ridge regression on centred text, float32 [I, C].

    The column of item i holds what each known item's (centred) score adds to the fitted one of i.
    With the inner products K of centred descriptions, float32 [I, I], and H = K (K + penalty I)^-1:
    (H - diag H) / (1 - diag H) for known items.
    """
    smoother = np.zeros((len(products), len(columns)), np.float32)
    rows = np.flatnonzero(known)
    if len(rows) < 2:
        return smoother
    penalised = products[np.ix_(rows, rows)] + penalty * np.eye(len(rows), dtype=np.float32)
    fitted = scipy.linalg.solve(penalised, products[np.ix_(rows, columns)], assume_a="pos")
    at = np.flatnonzero(known[columns])
    among = np.searchsorted(rows, columns[at])
    own = fitted[among, at]
    fitted[among, at] = 0.0
    fitted[:, at] /= np.maximum(1 - own, 1e-3)
    smoother[rows] = fitted
    return smoother
