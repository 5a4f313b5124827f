"""The derived relations of one snapshot: between users who share products, and between products.

Nothing here is learned from what is to be predicted: it is what the model's message functions
read. A ``World`` is made once a snapshot; ``Receivers`` are the users whose products are to be
scored in it, as rows, so that a row can also stand for a user of whom something was taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import torch
from torch import Tensor

from finrec_dgl.base.units import DAY
from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph.ease import ease_filters, near_ease_filters
from finrec_dgl.graph.filters import (
    CosineFilter,
    normalised,
    singular_vectors,
    time_kernel,
    unit_rows,
)
from finrec_dgl.nn.config import DerivedConfig
from finrec_dgl.nn.targets import one_hot
from finrec_dgl.nn.vectors import VectorFilter

PEER_FEATURES = (
    *("log idf cosine", "log cosine", "text", "tie", "spectral"),
    *("log activity", "log idle days", "nothing shared"),
)
"""What the attention between users reads of a pair (u, v), in the order of the last axis."""

COVARIATES = ("log holdings", "log idle days", "no holdings")
"""What is known of a user that the weights of the evidence may depend on."""

_FLOOR = 0.05
"""A product without evidence has this share of what an even split would give it."""

_PEER_RANK = 16
_LONGEST = 2_000.0  # days; whoever was never seen was last seen so long ago


@dataclass(frozen=True, eq=False)
class Receivers:
    """Users to score, as rows.

    ``user`` int64 [B]: their nodes, no peers of themselves; ``held`` sparse [B, I] of ones and
    ``age`` float32 [nnz]: days since each of its entries was last seen, in its order; ``text``
    float32 [B, d]; ``ties`` sparse [B, U] of ones.
    """

    user: np.ndarray
    held: Any
    age: np.ndarray
    text: np.ndarray
    ties: Any

    def __len__(self) -> int:
        return len(self.user)

    def aged(self, half_life: float) -> Any:
        """``held`` with 2^(-age / half_life) in place of ones."""
        weight = time_kernel(self.age, half_life)
        return sp.csr_array((weight, self.held.indices, self.held.indptr), shape=self.held.shape)

    @cached_property
    def count(self) -> np.ndarray:
        """int64 [B]: how many products each holds."""
        return np.diff(self.held.indptr)


TextMaps = tuple[Tensor, tuple[Tensor, Tensor]]
"""Of ``World.text_maps``: by a kernel [I, C]; by ridge regression, bool [I] and [I, C]."""


class World:
    """Derived relations as of ``snapshot``: see ``DerivedConfig`` for what they are made with.

    ``vectors`` float32 [I, width]: of products, as ``learn_vectors`` made them of this snapshot,
    where the configuration has such.
    """

    def __init__(
        self, snapshot: Snapshot, config: DerivedConfig, vectors: np.ndarray | None = None
    ) -> None:
        self.snapshot = snapshot
        self.config = config
        self.vectors = vectors
        self.n_users, self.n_items = snapshot.n_users, snapshot.n_items
        self.held = sp.csr_array(snapshot.matrix())
        self.age = _ages(snapshot)
        self.sold = np.asarray(self.held.sum(axis=0)).ravel()
        self.activity = np.diff(self.held.indptr)
        self.idle = _idle(self.held, self.age)
        self.ties = _ties(snapshot)
        self._text_maps: tuple[np.ndarray, TextMaps] | None = None

    def receivers(self, users: np.ndarray) -> Receivers:
        """The users ``users`` int [B] as they are."""
        users = np.asarray(users, np.int64)
        held = self.held[users]
        order = sp.csr_array(
            (np.arange(len(self.age)), self.held.indices, self.held.indptr), shape=self.held.shape
        )
        return Receivers(
            users,
            held,
            self.age[order[users].data],
            self.snapshot.user_text[users],
            self.ties[users],
        )

    def forget_filters(self) -> None:
        """Drop the dense filters between products, [I, I] each; asked for, they are made anew."""
        for name in ("ease", "cosine", "_near"):
            self.__dict__.pop(name, None)

    # ---- relations between products

    @cached_property
    def ease(self) -> dict[float, Any]:
        """penalty -> filter [I, I], dense; sparse with ``ease_near``."""
        penalties, near, users = self.config.ease, self.config.ease_near, self.config.ease_users
        if near:
            found = near_ease_filters(self.held, penalties, near, users)
            return dict(zip(penalties, found, strict=True))
        return dict(zip(penalties, ease_filters(self.held, penalties, users), strict=True))

    @cached_property
    def cosine(self) -> CosineFilter:
        """By ``cosine_alpha``, ``cosine_users`` and ``cosine_shrink``."""
        config = self.config
        by = (config.cosine_alpha, config.cosine_users, config.cosine_shrink)
        return CosineFilter(self.held, *by)

    @cached_property
    def by_vectors(self) -> VectorFilter | None:
        """The filter of the learned vectors, None without."""
        if self.vectors is None:
            return None
        return VectorFilter(self.vectors, self.sold, self.config.vector_temperature)

    @cached_property
    def spectral(self) -> tuple[np.ndarray, np.ndarray]:
        """Into and out of the leading subspace, [I, r] each: a low-pass filter of the graph."""
        right = self._subspace[2][:, : max(self.config.ranks)]
        scale = np.sqrt(np.maximum(self.sold, 1))[:, None]
        return (right / scale).astype(np.float32), (right * scale).astype(np.float32)

    @cached_property
    def _subspace(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return singular_vectors(normalised(self.held), max((*self.config.ranks, _PEER_RANK)))

    @cached_property
    def trends(self) -> dict[str, np.ndarray]:
        """name -> float32 [I]: log popularity, and how it grew from each half-life to the next.

        p_h(i) = sum of 2^(-age / h), shrunk towards the longer half-life's share by
        ``trend_prior`` pseudo-counts; the trend is log p_h - log p_(next longer). Last, ``steady``:
        whether purchases came over many days or at once, as those of an offer that closed do.
        """
        item = self.held.indices
        total = max(float(self.sold.sum()), 1.0)
        share = self.sold / total
        found = {"popularity": np.log(share * self.n_items + _FLOOR)}
        prior = self.config.trend_prior
        for half_life in self.config.trend_half_lives:
            recent = np.bincount(item, time_kernel(self.age, half_life), self.n_items)
            shrunk = (recent + prior * share) / max(recent.sum() + prior, 1e-9)
            found[f"trend {half_life:g}"] = np.log((shrunk + 1e-6) / (share + 1e-6))
            share = shrunk
        if self.config.steady_half_life:
            found["steady"] = self._steadiness()
        return {name: values.astype(np.float32) for name, values in found.items()}

    def _steadiness(self) -> np.ndarray:
        """float [I]: log q - log p, 0 throughout without dates.

        With n_id purchases of i on day d, h = ``steady_half_life`` and each as a share of its sum
        over products, p_i = sum over d of n_id 2^(-age_d / h), and q_i the same of log(1 + n_id);
        both are shrunk towards the share of all time by ``trend_prior`` pseudo-counts.
        """
        if self.snapshot.last is None:
            return np.zeros(self.n_items)
        day = np.floor(self.age).astype(np.int64)
        days = int(day.max(initial=0)) + 1
        keys, count = np.unique(self.held.indices * np.int64(days) + day, return_counts=True)
        item, day = keys // days, keys % days
        fade = time_kernel(day.astype(np.float32), self.config.steady_half_life)
        total, prior = max(float(np.sum(fade * count)), 1e-9), self.config.trend_prior
        share = self.sold / max(float(self.sold.sum()), 1.0)
        logs = []
        for size in (count, np.log1p(count)):
            weight = fade * size
            weight = weight * (total / max(float(weight.sum()), 1e-9))
            recent = np.bincount(item, weight, self.n_items)
            logs.append(np.log((recent + prior * share) / (total + prior) + 1e-6))
        found: np.ndarray = logs[1] - logs[0]
        return found

    def filtered(self, rows: Receivers) -> list[np.ndarray]:
        """Messages of what users hold over each relation between products, float32 [B, I] each.

        By the penalties of ``ease``, then the ``holding_half_lives``, learned vectors if any, then
        the ``ranks``.
        """
        found = [_dense(rows.held @ one) for one in self.ease.values()]
        found += [self.cosine(rows.aged(one)) for one in self.config.holding_half_lives]
        if self.by_vectors is not None:
            found.append(self.by_vectors(rows.held))
        if not self.config.ranks:
            return found
        into, out = self.spectral
        inside = rows.held @ into
        message, start = np.zeros((len(rows), self.n_items), np.float32), 0
        for rank in self.config.ranks:
            # a filter of a higher rank is the one before and some more directions
            message = message + inside[:, start:rank] @ out[:, start:rank].T
            found.append(message)
            start = rank
        return found

    # ---- text

    @cached_property
    def item_text(self) -> Tensor:
        """float32 [I, d]."""
        return torch.from_numpy(self.snapshot.item_text)

    @cached_property
    def user_text(self) -> Tensor:
        """float32 [U, d]."""
        return torch.from_numpy(self.snapshot.user_text)

    @cached_property
    def description(self) -> np.ndarray:
        """float32 [I, 2d + classes + numbers]: what is known of a product, at length 1 or 0.

        d_i ~ [e_i || p_i || c k_i || n z_i]: the text vector, the one of what was posted about i,
        the categories one-hot, and the standardised numbers; the categories together at length 1
        and weighted by c = ``text_categories``, the numbers likewise by n = ``text_numbers``, and
        left out where that is 0. An encoder blurs a category that a text names; as a column of its
        own it stays sharp.
        """
        known = [one_hot(codes) for codes in self.snapshot.item_categories.values()]
        none = np.zeros((self.n_items, 0), np.float32)
        categories = _unit(np.concatenate([none, *known], axis=1))
        parts = [*self._item_texts, np.float32(self.config.text_categories) * categories]
        if self.config.text_numbers:
            parts.append(np.float32(self.config.text_numbers) * _unit(self.snapshot.item_numbers))
        return _unit(np.concatenate(parts, axis=1))

    @cached_property
    def described(self) -> Tensor:
        """bool [I]: products with a text, a category or, where they count, a number."""
        return torch.from_numpy(_there(self.description))

    def told(self, rows: Receivers) -> list[tuple[np.ndarray, np.ndarray]]:
        """What texts say, in the order of ``TEXT_CHANNELS``: messages [B, I], and where they do.

        How near a product is to those a user holds; its profile, and its posts, to the user's text:
        exp(sharpness * cosine), the first summed over what is held. And what users who write alike
        hold: a ridge regression of holdings on the users' texts. The second of each pair, bool
        [B, I]: where both sides have what it takes.
        """
        sharp = self.config.text_sharpness
        writes = _there(rows.text)
        found = [(rows.held @ self._near, np.outer(rows.count > 0, self.described))]
        for text in self._item_texts:
            likeness = np.exp(sharp * (rows.text @ text.T - 1))
            found.append((likeness, np.outer(writes, _there(text))))
        found.append((rows.text @ self.text_fit, np.outer(writes, self.sold > 0)))
        return found

    @cached_property
    def _near(self) -> np.ndarray:
        """float32 [I, I]: exp(sharpness * cosine) of products' descriptions, 0 for itself."""
        near = np.exp(self.config.text_sharpness * (self.description @ self.description.T - 1))
        near *= np.outer(self.described, self.described)
        np.fill_diagonal(near, 0.0)
        return near

    @property
    def _item_texts(self) -> tuple[np.ndarray, np.ndarray]:
        return self.snapshot.item_text, self.snapshot.item_posts

    @cached_property
    def text_fit(self) -> np.ndarray:
        """float32 [d, I]: (T^T T + penalty * U / d I)^-1 T^T X, users' texts T to holdings X."""
        text = self.snapshot.user_text
        gram = (text.T @ text).astype(np.float64)
        scale = max(float(np.trace(gram)) / max(len(gram), 1), 1e-9)
        gram[np.diag_indices_from(gram)] += self.config.text_penalty * scale
        fitted: np.ndarray = scipy.linalg.solve(gram, (self.held.T @ text).T, assume_a="pos")
        return fitted.astype(np.float32)

    def text_maps(self, columns: np.ndarray) -> TextMaps:
        """Takes scores of products that somebody holds over to the products ``columns`` int [C].

        The first [I, C]: the column of product i holds the weights
        softmax_j(sharpness * cosine(i, j)) over held products j other than i. The second: bool [I],
        which products are held and have a text, and the smoother [I, C] of a ridge regression on
        the descriptions fitted to them; a product's own score has no part in its fitted one
        (leave-one-out). Kept for the last ``columns``: a model asks for the same ones each time.
        """
        if self._text_maps is None or not np.array_equal(self._text_maps[0], columns):
            self._text_maps = columns, self._text_maps_of(columns)
        return self._text_maps[1]

    def _text_maps_of(self, columns: np.ndarray) -> TextMaps:
        text = self.description
        known = (self.sold > 0) & _there(text)
        near = text @ text[columns].T
        logit = np.where(known[:, None], self.config.text_sharpness * near, -1e9)
        logit[columns, np.arange(len(columns))] = -1e9
        kernel = torch.softmax(torch.from_numpy(logit.astype(np.float32)), dim=0)
        smoother = torch.from_numpy(_ridge(text, known, columns, self.config))
        return kernel, (torch.from_numpy(known), smoother)

    # ---- relations between users

    @cached_property
    def kernels(self) -> list[Any]:
        """For each head the messages of all users, sparse [U, I]: a kernel of their age.

        kappa_h(age) = 3/4 2^(-age / H_h) + 1/4 mean over the other half-lives, and no decay.
        """
        found = []
        lives = self.config.peer_half_lives
        for head, own in enumerate(lives):
            others = [*lives[:head], *lives[head + 1 :], self.config.short_half_life, 0.0]
            rest = np.mean([time_kernel(self.age, one) for one in others], axis=0)
            weight = 0.75 * time_kernel(self.age, own) + 0.25 * rest
            kernel = sp.csr_array(self.held, copy=True)
            kernel.data = weight.astype(np.float32)
            found.append(kernel)
        return found

    def tied(self, rows: Receivers) -> np.ndarray:
        """float32 [B, I]: how many of those a user is tied to hold each product."""
        found: np.ndarray = (rows.ties @ self.held).toarray()
        return found

    @cached_property
    def _similar(self) -> tuple[Any, Any, np.ndarray]:
        """Users at length 1: products weighted by idf [I, U], products [I, U], and spectral vectors
        [U, r]."""
        spectral = _unit(self.held @ self._to_peer_space)
        by_idf, by_count = unit_rows(self.held @ self._idf), unit_rows(self.held)
        return by_idf.T.tocsr(), by_count.T.tocsr(), spectral

    @cached_property
    def _idf(self) -> Any:
        """Diagonal [I, I]: log((U + 1) / (holders + 1))."""
        return sp.diags_array(np.log((self.n_users + 1) / (self.sold + 1)).astype(np.float32))

    def peers(
        self, rows: Receivers, *, text: bool, ties: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """What attention reads of each row's peers.

        Returns features float32 [B, K, F] (``PEER_FEATURES``), absent bool [B, K] (the user itself,
        and users without interactions), and the peers' nodes int64 [B, K], None where they are all
        users in order. With ``config.peers`` they are those of the largest idf-weighted cosine,
        ties first. Without ``text`` or ``ties`` their features are 0.
        """
        by_idf, by_count, vectors = self._similar
        rare = (unit_rows(rows.held @ self._idf) @ by_idf).toarray()
        same = (unit_rows(rows.held) @ by_count).toarray()
        tie = rows.ties.toarray() if ties else np.zeros_like(same)
        told = rows.text @ self.snapshot.user_text.T if text else np.zeros_like(same)
        spectral = _unit(rows.held @ self._to_peer_space) @ vectors.T
        absent = np.tile(self.activity == 0, (len(rows), 1))
        known = rows.user >= 0
        absent[np.flatnonzero(known), rows.user[known]] = True
        every = (len(rows), self.n_users)
        found = [rare, same, told, tie, spectral, absent]
        found += [np.broadcast_to(one, every) for one in (self.activity, self.idle)]
        index = None
        if 0 < self.config.peers < self.n_users:
            order = rare + tie - 10.0 * absent
            index = np.argpartition(-order, self.config.peers - 1, axis=1)[:, : self.config.peers]
            index.sort(axis=1)
            found = [np.take_along_axis(one, index, axis=1) for one in found]
        rare, same, told, tie, spectral, absent, activity, idle = found
        parts = [np.log(rare + 0.01), np.log(same + 0.01), told, tie, spectral]
        parts += [np.log(np.maximum(activity, 1)), np.log1p(idle), same == 0]
        features = np.stack([part.astype(np.float32) for part in parts], axis=-1)
        nodes = None if index is None else torch.from_numpy(index)
        return torch.from_numpy(features), torch.from_numpy(absent), nodes

    @cached_property
    def _to_peer_space(self) -> np.ndarray:
        """[I, r]: takes what a user holds to U S of the leading subspace, up to its length."""
        right = self._subspace[2][:, :_PEER_RANK]
        return (right / np.sqrt(np.maximum(self.sold, 1))[:, None]).astype(np.float32)

    def covariates(self, rows: Receivers) -> np.ndarray:
        """float32 [B, 3], see ``COVARIATES``; about 0 in the middle, so that weights stay plain."""
        idle = _idle(rows.held, rows.age)
        none = rows.count == 0
        values = [np.log(np.maximum(rows.count, 1)), np.where(none, 0, np.log1p(idle) - 4), none]
        return np.stack(values, axis=1).astype(np.float32)


def log_share(message: Tensor, free: Tensor, floor: Tensor | float = _FLOOR) -> Tensor:
    """log( x / sum of x over what is free * how many are free + floor ), x = max(message, 0).

    A user's scores as shares among the products not held (``free`` bool [B, I]), in units of an
    even split. The logarithm keeps heavy tails from taking over the likelihood. Float [B, I].
    """
    positive = message.clamp(min=0)
    total = (positive * free).sum(1, keepdim=True).clamp(min=1e-9)
    return torch.log(positive * (free.sum(1, keepdim=True) / total) + floor)


def free_items(rows: Receivers) -> Tensor:
    """bool [B, I]: the products that each row does not hold."""
    return torch.from_numpy(~_mask(rows.held))


def _mask(held: Any) -> np.ndarray:
    mask: np.ndarray = held.toarray() > 0
    return mask


def _ages(snapshot: Snapshot) -> np.ndarray:
    if snapshot.last is None or snapshot.time is None:
        return np.zeros(len(snapshot.pairs), np.float32)
    ages: np.ndarray = ((snapshot.time - snapshot.last) / DAY).astype(np.float32)
    return ages


def _idle(held: Any, age: np.ndarray) -> np.ndarray:
    """float32 [n]: days since each row's last interaction, ``_LONGEST`` where there is none."""
    idle = np.full(held.shape[0], _LONGEST, np.float32)
    rows = np.repeat(np.arange(held.shape[0]), np.diff(held.indptr))
    np.minimum.at(idle, rows, age)
    return idle


def _ties(snapshot: Snapshot) -> Any:
    """Sparse [U, U] of ones: tied by whatever kind, in either direction."""
    ends: Sequence[tuple[np.ndarray, np.ndarray]] = list(snapshot.ties.values())
    source = np.concatenate([np.zeros(0, np.int32), *(one[0] for one in ends)])
    target = np.concatenate([np.zeros(0, np.int32), *(one[1] for one in ends)])
    both = np.concatenate([source, target]), np.concatenate([target, source])
    ones = np.ones(2 * len(source), np.float32)
    size = (snapshot.n_users, snapshot.n_users)
    ties = sp.coo_array((ones, both), shape=size).tocsr()
    ties.data[:] = 1.0
    return ties


def _ridge(
    text: np.ndarray, known: np.ndarray, columns: np.ndarray, config: DerivedConfig
) -> np.ndarray:
    """Leave-one-out smoother of a ridge regression on centred text, float32 [I, C].

    The column of product i: what each known product's (centred) score adds to the fitted one of i.
    With K = T T^T, H = K (K + penalty I)^-1: (H - diag H) / (1 - diag H) for known products.
    """
    smoother = np.zeros((len(text), len(columns)), np.float32)
    rows = np.flatnonzero(known)
    if len(rows) < 2:
        return smoother
    centred = (text - text[rows].mean(axis=0)) * _there(text)[:, None]
    gram = centred[rows] @ centred[rows].T
    penalised = gram + config.text_penalty * np.eye(len(rows), dtype=np.float32)
    fitted = scipy.linalg.solve(penalised, centred[rows] @ centred[columns].T, assume_a="pos")
    at = np.flatnonzero(known[columns])
    among = np.searchsorted(rows, columns[at])
    own = fitted[among, at]
    fitted[among, at] = 0.0
    fitted[:, at] /= np.maximum(1 - own, 1e-3)
    smoother[rows] = fitted
    return smoother


def _there(text: np.ndarray) -> np.ndarray:
    """bool [n]: rows that are not zero throughout."""
    there: np.ndarray = np.any(text, axis=1)
    return there


def _dense(message: Any) -> np.ndarray:
    found: np.ndarray = message.toarray() if sp.issparse(message) else message
    return found


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = (rows / np.maximum(length, 1e-9)).astype(np.float32)
    return unit
