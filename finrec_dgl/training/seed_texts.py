"""What users wrote, less what they wrote about the very interactions that a batch predicts."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from finrec_dgl.dataset import Snapshot
from finrec_dgl.dataset.snapshot import StoredTexts, gather, pair_keys


class SeedTexts:
    """User text without the texts of seed interactions.

    A user's text is the mean of their posts, and a post tells the product that it is about: a
    model that may read the post of a purchase learns to copy the answer, and nothing that holds of
    the next purchase. So the texts of seed edges leave the user's mean, as the seed edges
    themselves leave the graph. A post about several products goes if one of them is a seed.
    """

    def __init__(self, snapshot: Snapshot, texts: StoredTexts) -> None:
        self.texts = texts
        written = np.flatnonzero(texts.post_text >= 0)
        user, text = texts.post_user[written], texts.post_text[written].astype(np.int64)
        keys = pair_keys(user, texts.post_item[written], snapshot.n_items)
        held = pair_keys(snapshot.pairs.user, snapshot.pairs.item, snapshot.n_items)
        edge = np.searchsorted(held, keys)
        n_texts = len(texts.vectors)
        distinct = np.unique(edge * n_texts + text)
        self.edge_text = distinct % n_texts
        self.start = np.searchsorted(distinct // n_texts, np.arange(len(held) + 1))
        owned = np.unique(user.astype(np.int64) * n_texts + text)
        self.count = np.bincount(owned // n_texts, minlength=snapshot.n_users)
        self.total = _sum(owned // n_texts, owned % n_texts, texts.vectors, snapshot.n_users)

    def without(self, edges: np.ndarray, users: np.ndarray, user_row: np.ndarray) -> np.ndarray:
        """float32 [n, d]: unit vectors of ``users`` [n] without the texts of ``edges`` [B].

        ``user_row`` [B]: where each edge's user stands in ``users``. A user of whom no post is left
        has their profile's vector, or zero.
        """
        n_texts = len(self.texts.vectors)
        start, stop = self.start[edges], self.start[edges + 1]
        lengths = stop - start
        offsets = np.repeat(start - np.cumsum(lengths) + lengths, lengths)
        text = self.edge_text[np.arange(lengths.sum()) + offsets]
        gone = np.unique(np.repeat(user_row, lengths) * n_texts + text)
        row, text = gone // n_texts, gone % n_texts
        rest = self.total[users] - _sum(row, text, self.texts.vectors, len(users))
        left = self.count[users] - np.bincount(row, minlength=len(users))
        length = np.linalg.norm(rest, axis=1, keepdims=True)
        vectors = np.where(left[:, None] > 0, rest / np.maximum(length, 1e-6), 0.0)
        silent = np.flatnonzero(left == 0)
        vectors[silent] = gather(self.texts.vectors, self.texts.user_profile[users[silent]])
        return vectors.astype(np.float32)


def _sum(row: np.ndarray, text: np.ndarray, vectors: np.ndarray, rows: int) -> np.ndarray:
    """float32 [rows, d]: for each row the sum of the unit vectors of its texts."""
    used, column = np.unique(text, return_inverse=True)
    ones = np.ones(len(row), np.float32)
    picked = scipy.sparse.csr_array((ones, (row, column)), shape=(rows, len(used)))
    total: np.ndarray = picked @ gather(vectors, used)
    return total


def seed_texts(snapshot: Snapshot) -> SeedTexts | None:
    """For a snapshot in which users wrote something; None where none did."""
    texts = snapshot.texts
    if not isinstance(texts, StoredTexts) or not (texts.post_text >= 0).any():
        return None
    return SeedTexts(snapshot, texts)
