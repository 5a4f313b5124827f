"""Recommend the next item of a user's sequence by self-attention: eSASRec."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from finrec_dgl.base.config import refuse
from finrec_dgl.baselines.base import Recommender
from finrec_dgl.baselines.checks import above_zero, one_or_more, require_dates
from finrec_dgl.evaluation import Vectors

if TYPE_CHECKING:
    from finrec_dgl.dataset import Snapshot

_WIDER = 4  # the width of the feed-forward layers over that of the embeddings
_SORTED = 16  # batches whose users are sorted by length together, so that little is padding
_SCORED = 512  # users encoded at a time


class ESASRec(Recommender):
    """Predict each user's next item as eSASRec of Tikhonovich et al., RecSys 2025.

    Parameters
    ----------
    dim
        The width of embeddings and layers, a multiple of ``num_heads``.
    num_layers, num_heads
        The number of LiGR layers, and of attention heads in each.
    epochs
        Passes over all users.
    lr
        The learning rate of Adam.
    dropout
        The share of a layer's output that is dropped in training, from 0 to below 1.
    negatives
        Items drawn uniformly for each batch, shared by all of its targets. Where there are no more
        items than that, the softmax is over all of them.
    max_length
        The latest items of a user that count.
    batch_size
        Users a step.
    seed
        Of the first weights, the order of users, negatives and dropout.

    Raises
    ------
    ConfigError
        For values out of range.

    Notes
    -----
    Implements arXiv 2508.06450: the training task of SASRec (each prefix of a sequence predicts
    the item after it), LiGR layers and a sampled softmax. A LiGR layer is

        x = x + sigmoid(W_1 x + b_1) * dropout(attention(norm(x)))
        x = x + sigmoid(W_2 x + b_2) * dropout(SwiGLU(norm(x)))

    with causal attention. The loss of a target is the cross-entropy of its item among the negatives
    and itself; the score of an item is the inner product of its embedding with the last output.

    A sequence is a user's distinct items in the order in which they were last seen, at the
    snapshot's time; items of one time come in a drawn order. It begins with a start token, so that
    a user without items is scored as well. ``fit`` raises DataError where interactions have no
    timestamps.
    """

    name = "esasrec"

    def __init__(
        self,
        dim: int = 64,
        num_layers: int = 2,
        num_heads: int = 2,
        epochs: int = 20,
        lr: float = 1e-3,
        dropout: float = 0.2,
        negatives: int = 1024,
        max_length: int = 50,
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        problems = one_or_more(
            dim=dim,
            num_layers=num_layers,
            num_heads=num_heads,
            epochs=epochs,
            negatives=negatives,
            max_length=max_length,
            batch_size=batch_size,
        )
        problems += above_zero(lr=lr)
        if not 0 <= dropout < 1:
            problems.append(f"dropout is {dropout}, expected from 0 to below 1")
        if num_heads >= 1 and dim % num_heads:
            problems.append(f"dim is {dim}, expected a multiple of num_heads, {num_heads}")
        refuse(problems)
        self.dim, self.num_layers, self.num_heads = dim, num_layers, num_heads
        self.epochs, self.lr, self.dropout, self.negatives = epochs, lr, dropout, negatives
        self.max_length, self.batch_size, self.seed = max_length, batch_size, seed

    def _fit(self, snapshot: Snapshot) -> None:
        sequences = Sequences(snapshot, self.max_length, self.seed)
        # dropout draws from the global state, which is put back afterwards
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = SequenceEncoder(
                snapshot.n_items,
                self.max_length,
                self.dim,
                self.num_layers,
                self.num_heads,
                self.dropout,
            )
            self._train(model, sequences)
        self._users = _user_vectors(model, sequences)
        self._items = model.items.weight[: snapshot.n_items].detach().numpy().copy()

    def _train(self, model: SequenceEncoder, sequences: Sequences) -> None:
        users = torch.nonzero(sequences.lengths > 0).squeeze(1)
        if not len(users):
            return
        optimizer = torch.optim.Adam(model.parameters(), lr=self.lr)
        model.train()
        for _ in range(self.epochs):
            for batch in _batches(users, sequences.lengths, self.batch_size):
                loss = self._loss(model, *sequences.batch(batch))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    def _loss(self, model: SequenceEncoder, tokens: Tensor, present: Tensor) -> Tensor:
        """Mean loss of all targets of a batch: ``tokens`` [B, length + 1], ``present`` likewise."""
        there = present[:, 1:]
        outputs, targets = model(tokens[:, :-1])[there], tokens[:, 1:][there]
        negatives = torch.randperm(model.n_items)[: self.negatives]
        return sampled_softmax(outputs, targets, negatives, model.items.weight)

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self._users[users] @ self._items.T)

    def _vectors(self) -> Vectors:
        return Vectors(self._users, self._items)


class Sequences:
    """The items of each user in the order of time.

    Parameters
    ----------
    snapshot
        The data to learn from.
    max_length
        The latest items of a user that count.
    seed
        Of the order of items that were last seen at the same time.

    Attributes
    ----------
    lengths : Tensor of int64, shape [n_users]
        The number of items of each user, at most ``max_length``.

    Raises
    ------
    DataError
        Where the interactions have no timestamps.
    """

    def __init__(self, snapshot: Snapshot, max_length: int, seed: int = 0) -> None:
        last, _ = require_dates(snapshot, "a model of sequences")
        drawn = np.random.default_rng(seed).random(len(last))
        order = np.lexsort((drawn, last, snapshot.pairs.user))
        self._items = torch.from_numpy(snapshot.pairs.item[order].astype(np.int64))
        self._ends = torch.from_numpy(snapshot.pairs.indptr(snapshot.n_users)[1:].astype(np.int64))
        counts = np.bincount(snapshot.pairs.user, minlength=snapshot.n_users)
        self.lengths = torch.from_numpy(np.minimum(counts, max_length).astype(np.int64))
        self._start = snapshot.n_items

    def batch(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sequences of some users, padded on the right.

        Parameters
        ----------
        users : Tensor of int64, shape [B]
            User nodes.

        Returns
        -------
        tokens : Tensor of int64, shape [B, longest + 1]
            The start token, which is ``n_items``, and then item nodes.
        present : Tensor of bool, shape [B, longest + 1]
            What is no padding.
        """
        lengths = self.lengths[users][:, None]
        places = torch.arange(int(lengths.max()) + 1)
        present = places <= lengths
        rows = self._ends[users][:, None] - lengths + places - 1
        tokens = torch.full(present.shape, self._start)
        inside = present & (places > 0)
        tokens[inside] = self._items[rows[inside]]
        return tokens, present


class SequenceEncoder(nn.Module):
    """Causal transformer over sequences of items.

    Parameters
    ----------
    n_items
        The number of items; the token ``n_items`` begins a sequence.
    max_length
        The most items of a sequence, not counting the start token.
    dim, num_layers, num_heads, dropout
        As ``ESASRec`` takes them.
    """

    def __init__(
        self,
        n_items: int,
        max_length: int,
        dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_items = n_items
        self.items = nn.Embedding(n_items + 1, dim)
        self.places = nn.Embedding(max_length + 1, dim)
        self.layers = nn.ModuleList(LiGRLayer(dim, num_heads, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        for table in (self.items, self.places):
            nn.init.normal_(table.weight, std=dim**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode each prefix of the sequences.

        Parameters
        ----------
        tokens : Tensor of int64, shape [B, L]
            Padded on the right, where outputs mean nothing.

        Returns
        -------
        Tensor of float32, shape [B, L, dim]
            At each place the encoding of all tokens up to it.
        """
        hidden = self.dropout(self.items(tokens) + self.places.weight[: tokens.shape[1]])
        for layer in self.layers:
            hidden = layer(hidden)
        encoded: Tensor = self.norm(hidden)
        return encoded


class LiGRLayer(nn.Module):
    """Pre-norm transformer layer with learned gates on both of its residual branches.

    Parameters
    ----------
    dim, num_heads, dropout
        As ``ESASRec`` takes them.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.gates = nn.ModuleList([nn.Linear(dim, dim), nn.Linear(dim, dim)])
        self.project = nn.Linear(dim, 3 * dim)
        self.merge = nn.Linear(dim, dim)
        self.widen = nn.Linear(dim, 2 * _WIDER * dim, bias=False)
        self.narrow = nn.Linear(_WIDER * dim, dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Apply causal attention and the feed-forward layer.

        Parameters
        ----------
        hidden : Tensor of float32, shape [B, L, dim]
            What the layers before made.

        Returns
        -------
        Tensor of float32, shape [B, L, dim]
        """
        attended = self.dropout(self._attend(self.norms[0](hidden)))
        hidden = hidden + torch.sigmoid(self.gates[0](hidden)) * attended
        gate, value = self.widen(self.norms[1](hidden)).chunk(2, dim=-1)
        moved = self.dropout(self.narrow(functional.silu(gate) * value))
        return hidden + torch.sigmoid(self.gates[1](hidden)) * moved

    def _attend(self, hidden: Tensor) -> Tensor:
        batch, length, dim = hidden.shape
        heads = self.project(hidden).view(batch, length, 3, self.num_heads, -1).transpose(1, 3)
        query, key, value = heads.unbind(2)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        merged: Tensor = self.merge(attended.transpose(1, 2).reshape(batch, length, dim))
        return merged


def sampled_softmax(
    outputs: Tensor, targets: Tensor, negatives: Tensor, embeddings: Tensor
) -> Tensor:
    """Return the mean cross-entropy of each target among shared negatives and itself.

    Parameters
    ----------
    outputs : Tensor of float32, shape [N, dim]
        Encodings of the sequences before the targets.
    targets : Tensor of int64, shape [N]
        Items that followed.
    negatives : Tensor of int64, shape [M]
        Distinct items; a target among them counts once.
    embeddings : Tensor of float32, shape [at least n_items, dim]
        Item embeddings.

    Returns
    -------
    Tensor of float32, shape []
    """
    own = (outputs * functional.embedding(targets, embeddings)).sum(1, keepdim=True)
    others = outputs @ functional.embedding(negatives, embeddings).T
    others = others.masked_fill(targets[:, None] == negatives, float("-inf"))
    return (torch.logsumexp(torch.cat([own, others], dim=1), dim=1) - own.squeeze(1)).mean()


def _batches(users: Tensor, lengths: Tensor, size: int) -> list[Tensor]:
    """Draw batches of ``users``, those of one batch of similar lengths."""
    parts = []
    for some in users[torch.randperm(len(users))].split(size * _SORTED):
        parts += some[torch.argsort(lengths[some], stable=True)].split(size)
    return [parts[number] for number in torch.randperm(len(parts)).tolist()]


@torch.no_grad()
def _user_vectors(model: SequenceEncoder, sequences: Sequences) -> np.ndarray:
    """The encoding of each user's whole sequence: float32 [n_users, dim]."""
    model.eval()
    vectors = torch.empty(len(sequences.lengths), model.items.weight.shape[1])
    for users in torch.argsort(sequences.lengths, stable=True).split(_SCORED):
        tokens, _ = sequences.batch(users)
        outputs = model(tokens)
        vectors[users] = outputs[torch.arange(len(users)), sequences.lengths[users]]
    return vectors.numpy()
