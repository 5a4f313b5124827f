"""eSASRec: the order of sequences, its loss, causality, and what it learns from order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from recommender_contract import DAY, NOW, SeededContract, planted, snapshot_of

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.baselines import ESASRec
from finrec_dgl.baselines.esasrec import SequenceEncoder, Sequences, sampled_softmax


class TestESASRec(SeededContract):
    def make(self, seed=0):
        return ESASRec(dim=16, num_layers=1, epochs=20, lr=0.01, batch_size=64, seed=seed)


def dated(mask, days_ago):
    """A snapshot of ``mask`` whose pairs were last seen ``days_ago`` [users, items]."""
    snapshot = snapshot_of(mask)
    ago = days_ago[snapshot.pairs.user, snapshot.pairs.item].astype(np.int64)
    return replace(snapshot, last=NOW - DAY * ago)


def test_sequences_are_in_the_order_of_time_and_keep_the_latest():
    """Catches the order of item numbers, or the oldest items kept."""
    mask = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]], bool)
    days_ago = np.array([[2, 9, 1, 5], [0, 0, 0, 0], [0, 3, 0, 7]])
    sequences = Sequences(dated(mask, days_ago), max_length=3)
    tokens, present = sequences.batch(torch.tensor([2, 0, 1]))
    assert sequences.lengths.tolist() == [3, 0, 2]
    assert tokens.tolist() == [[4, 3, 1, 4], [4, 3, 0, 2], [4, 4, 4, 4]]
    assert present.sum(1).tolist() == [3, 4, 1]


def test_an_output_depends_on_no_later_item():
    """Catches attention to what is to be predicted."""
    torch.manual_seed(0)
    model = SequenceEncoder(6, 5, 8, 2, 2, 0.0).eval()
    one, other = torch.tensor([[6, 1, 2, 3]]), torch.tensor([[6, 1, 4, 5]])
    found, changed = model(one), model(other)
    assert torch.allclose(found[:, :2], changed[:, :2], atol=1e-6)
    assert not torch.allclose(found[:, 2:], changed[:, 2:], atol=1e-3)
    assert torch.allclose(found[:, :2], model(one[:, :2]), atol=1e-6)  # padding means nothing


def test_the_loss_is_the_cross_entropy_among_negatives_and_the_target():
    """Catches a target that counts twice where it is drawn as a negative."""
    draws = torch.Generator().manual_seed(0)
    outputs, embeddings = torch.randn(2, 3, generator=draws), torch.randn(5, 3, generator=draws)
    targets, negatives = torch.tensor([1, 4]), torch.tensor([4, 0])
    scores = outputs.numpy() @ embeddings.numpy().T
    expected = [
        np.log(np.exp(scores[0, [1, 4, 0]]).sum()) - scores[0, 1],
        np.log(np.exp(scores[1, [4, 0]]).sum()) - scores[1, 4],
    ]
    loss = sampled_softmax(outputs, targets, negatives, embeddings)
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)


def test_learns_which_item_follows_which():
    """Catches a model that knows sets but not their order: item i + 1 follows item i."""
    n_users, n_items, length = 200, 12, 4
    mask = np.zeros((n_users, n_items), bool)
    days_ago = np.zeros((n_users, n_items))
    for user in range(n_users):
        for step in range(length):
            item = (user + step) % n_items
            mask[user, item], days_ago[user, item] = True, length - step
    model = ESASRec(dim=16, num_layers=1, epochs=40, lr=0.01, dropout=0.0, batch_size=32)
    users = np.arange(n_items)
    scores = model.fit(dated(mask, days_ago)).score(users)
    assert np.where(mask[users], -np.inf, scores).argmax(1).tolist() == [
        (user + length) % n_items for user in users
    ]


def test_the_global_random_state_stays_as_it_was():
    """Catches a fit that changes the draws of whatever comes after it."""
    before = torch.random.get_rng_state()
    ESASRec(dim=4, epochs=1).fit(planted()[0])
    assert torch.equal(before, torch.random.get_rng_state())


def test_needs_dates():
    """Without times the order of a user's items means nothing."""
    undated = replace(planted()[0], last=None, time=None)
    with pytest.raises(DataError, match="sequences needs dated interactions"):
        ESASRec().fit(undated)


def test_every_option_out_of_range_is_named_at_once():
    with pytest.raises(
        ConfigError,
        match=r"num_layers.*num_heads is 0.*epochs.*negatives.*max_length.*batch_size.*lr.*dropout",
    ):
        ESASRec(
            num_layers=0,
            num_heads=0,
            epochs=0,
            lr=0,
            dropout=1.0,
            negatives=0,
            max_length=0,
            batch_size=0,
        )
    with pytest.raises(ConfigError, match="dim is 9, expected a multiple of num_heads, 2"):
        ESASRec(dim=9)
