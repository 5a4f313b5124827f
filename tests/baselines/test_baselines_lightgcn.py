"""LightGCN: its propagation and loss against dense matrices, its negatives, its seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recommender_contract import SeededContract, chance, ndcg, pairs_of, snapshot_of

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.baselines import LightGCN
from finrec_dgl.baselines import lightgcn as module


class TestLightGCN(SeededContract):
    def make(self, seed=0):
        return LightGCN(dim=16, epochs=20, batch=512, seed=seed)


def dense(mask: np.ndarray) -> np.ndarray:
    """D^-1/2 A D^-1/2 by the book."""
    n_users, n_items = mask.shape
    whole = np.zeros((n_users + n_items,) * 2)
    whole[:n_users, n_users:], whole[n_users:, :n_users] = mask, mask.T
    scale = 1 / np.sqrt(np.maximum(whole.sum(axis=1), 1))
    return whole * scale[:, None] * scale[None]


def random_mask():
    mask = np.random.default_rng(0).random((7, 5)) < 0.5
    mask[2], mask[:, 3] = False, False
    return mask


@pytest.mark.parametrize("layers", [1, 3])
def test_propagation_and_its_gradient_are_those_of_dense_matrices(layers):
    """Catches a norm of the wrong end, layers summed instead of averaged, or a wrong gradient."""
    mask = random_mask()
    first = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    matrix = torch.from_numpy(dense(mask)).float()
    powers = [torch.linalg.matrix_power(matrix, n) @ first for n in range(layers + 1)]
    expected = torch.stack(powers).mean(0)
    found = module.propagate(module._normalised(snapshot_of(mask)), first, layers)
    assert torch.allclose(found, expected, atol=1e-6)
    towards = torch.randn(12, 4, generator=torch.Generator().manual_seed(1))
    (ours,) = torch.autograd.grad((found * towards).sum(), first)
    (theirs,) = torch.autograd.grad((expected * towards).sum(), first)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_the_loss_is_the_docstrings(monkeypatch):
    """Catches a positive and a negative swapped, or a penalty on the smoothed embeddings."""
    mask = random_mask()
    snapshot = snapshot_of(mask)
    pairs = module._Pairs(snapshot)
    rows = torch.arange(len(pairs.user))
    other = torch.from_numpy(np.array([np.flatnonzero(~mask[u])[0] for u in pairs.user]))
    monkeypatch.setattr(pairs, "negatives", lambda user, draws: other)
    first = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    model = LightGCN(dim=4, layers=2, l2=0.3)
    loss = model._loss(first, module._normalised(snapshot), pairs, rows, torch.Generator())
    matrix, start = dense(mask), first.numpy().astype(np.float64)
    smooth = (start + matrix @ start + matrix @ matrix @ start) / 3
    each = []
    for u, i, j in zip(pairs.user.tolist(), pairs.item.tolist(), other.tolist(), strict=True):
        margin = smooth[u] @ smooth[7 + i] - smooth[u] @ smooth[7 + j]
        squares = sum((start[node] ** 2).sum() for node in (u, 7 + i, 7 + j))
        each.append(np.log1p(np.exp(-margin)) + 0.15 * squares)
    assert float(loss) == pytest.approx(np.mean(each), rel=1e-5)


def test_negatives_are_uniform_over_what_is_not_held():
    """Catches held items drawn as negatives, or items that are never drawn."""
    mask = random_mask()
    mask[4] = [True, True, False, True, True]
    pairs = module._Pairs(snapshot_of(mask))
    draws = torch.Generator().manual_seed(0)
    counts = np.zeros(mask.shape)
    for user in (0, 4):
        drawn = pairs.negatives(torch.full((20_000,), user), draws)
        counts[user] = np.bincount(drawn.numpy(), minlength=5)
    assert counts[0][mask[0]].sum() < 20  # 20,000 * 0.4^11 = 0.8
    free = counts[0][~mask[0]] / 20_000
    assert free == pytest.approx(np.full(len(free), 1 / len(free)), abs=0.02)
    assert counts[4, 2] > 0.85 * 20_000  # 1 - 0.8^11 = 0.914: a draw gives up in the end


def test_a_user_with_everything_ends():
    """Catches a search for negatives that never comes back."""
    full = snapshot_of(np.ones((3, 4), bool))
    assert np.isfinite(LightGCN(dim=4, epochs=2).fit(full).score(np.arange(3))).all()


def test_trained_on_shuffled_holdings_it_knows_nothing():
    """Catches a leak from targets to scores: with users and items matched at random, what is kept
    back cannot be told from what is not."""
    rng = np.random.default_rng(3)
    mask = rng.random((240, 80)) < 0.15
    kept_back = mask & (rng.random(mask.shape) < 0.2)
    snapshot, targets = snapshot_of(mask & ~kept_back), pairs_of(kept_back)
    random = chance(snapshot, targets)
    reached = ndcg(LightGCN(dim=16, epochs=20, batch=512).fit(snapshot), snapshot, targets)
    assert abs(reached - random.mean()) < 5 * random.std()


def test_every_option_out_of_range_is_named_at_once():
    """Catches a bad option that ends in an error of PyTorch, or in a loop without end."""
    with pytest.raises(ConfigError, match=r"dim.*layers.*epochs.*batch.*rate.*l2"):
        LightGCN(dim=0, layers=0, epochs=0, batch=0, rate=0, l2=-1)
