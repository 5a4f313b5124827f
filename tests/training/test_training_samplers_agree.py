"""With full fanout, both samplers give the same loss and the same gradients."""

import dataclasses

import numpy as np
import pytest
import torch
from snapshots import make_snapshot

from finrec_dgl.nn import (
    HybridConfig,
    HybridRecommender,
    ModelShape,
    features_of,
    pseudo_targets,
    start_of,
)
from finrec_dgl.training import Batches, TrainConfig, joint_loss

MODEL = HybridConfig(
    relations="observed",
    dim=8,
    dim_two=12,
    heads=2,
    layers=3,
    linear_layers=2,
    pseudo_classes=4,
    dropout=0.0,
    attention_dropout=0.0,
)


@pytest.mark.parametrize("loss", ["softmax", "bpr", "bce"])
@pytest.mark.parametrize("ids", ["items", "both"])
@pytest.mark.parametrize("negatives", ["all", "uniform"])
def test_same_batch_same_loss_and_gradients(loss, ids, negatives):
    """Catches any part of the loss that depends on which nodes happen to be in the blocks."""
    snapshot = make_snapshot(7, users=40, items=25, edges=260)
    model_config = dataclasses.replace(MODEL, ids=ids)
    base = TrainConfig.plain(
        model=model_config,
        loss=loss,
        negatives=negatives,
        n_negatives=9,
        batch_size=50,
        fanout=(-1,),
        lambda_reg=1e-3,
        lambda_ids=1e-2,
        lambda_pseudo=0.3,
    )
    targets = pseudo_targets(model_config, None, snapshot)
    torch.manual_seed(0)
    model = HybridRecommender(model_config, ModelShape(40, 25, 8, ("family",), 4))
    model.start_from(start_of(model_config, snapshot))
    with torch.no_grad():
        model.head.item.gain.add_(torch.randn_like(model.head.item.gain) * 0.1)
    features = features_of(snapshot)
    edges = np.random.default_rng(0).choice(len(snapshot.pairs.user), 50, replace=False)
    found = {}
    for sampler in ("full", "neighbor"):
        config = dataclasses.replace(base, sampler=sampler)
        batch = Batches(snapshot, config).batch(1, 0, edges)
        model.zero_grad()
        terms = joint_loss(model, config, batch, features, targets)
        terms.total.backward()
        grads = {name: p.grad.clone() for name, p in model.named_parameters()}
        found[sampler] = (terms, grads)
    (full, full_grads), (sampled, sampled_grads) = found["full"], found["neighbor"]
    for name in ("total", "rec", "pseudo", "reg"):
        torch.testing.assert_close(
            getattr(full, name), getattr(sampled, name), rtol=1e-5, atol=1e-6
        )
    assert float(full.pseudo) > 0
    for name, grad in full_grads.items():
        torch.testing.assert_close(grad, sampled_grads[name], rtol=1e-5, atol=1e-5)
