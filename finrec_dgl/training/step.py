"""One step of training: the joint loss of a batch; and the temperature to start from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import Encoded, NodeFeatures, PseudoTargets, TowerRecommender
from finrec_dgl.relations import pseudo_loss
from finrec_dgl.training.batches import Batch
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.losses import recommendation_loss


@dataclass(frozen=True)
class JointLoss:
    """The terms of formula (7), unweighted, and their weighted sum ``total``."""

    total: Tensor
    rec: Tensor
    pseudo: Tensor
    reg: Tensor


def joint_loss(
    model: TowerRecommender,
    config: TrainConfig,
    batch: Batch,
    features: NodeFeatures,
    targets: PseudoTargets | None,
    hidden: dict[str, Tensor] | None = None,
) -> JointLoss:
    """L = lambda_rec L_rec + lambda_pseudo L_pseudo + lambda_reg ||Theta||^2   (formula 7).

    L_pseudo and the learned vectors in ||Theta||^2 are taken over the batch's seeds, whichever
    the sampler, so that both samplers give the same loss.
    """
    encoded = _encode(model, batch, features, hidden)
    rec = _rec(config, batch, *_scores(model, batch, encoded, _bias(model, batch)))
    pseudo = rec.new_zeros(())
    if encoded.pseudo is not None and targets is not None:
        seeds = batch.seeds
        pseudo = pseudo_loss(
            torch.cat([_of_seeds(encoded.pseudo[name], name, batch) for name in NODE_TYPES]),
            torch.cat([targets.target[name][seeds[name]] for name in NODE_TYPES]).to(rec.dtype),
            torch.cat([targets.confidence[name][seeds[name]] for name in NODE_TYPES]).to(rec.dtype),
        )
    vectors = {name: _of_seeds(one, name, batch) for name, one in encoded.ids.items()}
    moved = model.squared_ids(vectors, batch.seeds)
    reg = config.lambda_reg * model.squared_weights() + config.lambda_ids * moved
    total = config.lambda_rec * rec + config.lambda_pseudo * pseudo + reg
    return JointLoss(total, rec.detach(), pseudo.detach(), reg.detach())


@torch.no_grad()
def calibrate(
    model: TowerRecommender, config: TrainConfig, batch: Batch, features: NodeFeatures
) -> float:
    """Scale the start of learned vectors to the temperature that fits the data best.

    A spectral start has a direction but no unit; from a wrong one, the first steps would go into
    finding it, and bend the directions on the way. Tried on ``batch``, whose own edges are not in
    its messages. Returns the factor by which scores were scaled.
    """
    was_training = model.training
    model.eval()
    bias = _bias(model, batch)
    scores = _scores(model, batch, _encode(model, batch, features), torch.zeros_like(bias))
    model.train(was_training)
    losses = {
        factor: float(
            _rec(
                config,
                batch,
                scores[0] * factor + bias[batch.item_row],
                scores[1] * factor + bias[batch.negatives],
            )
        )
        for factor in 2.0 ** torch.arange(-8, 9).double().numpy()
    }
    best = min(losses, key=lambda factor: losses[factor])
    model.temper(float(best))
    return float(best)


def _encode(
    model: TowerRecommender,
    batch: Batch,
    features: NodeFeatures,
    hidden: dict[str, Tensor] | None = None,
) -> Encoded:
    given = features.gather(batch.blocks)
    if batch.user_text is not None:
        # the seeds stand first in sampled blocks, the whole graph has them at their number
        whole = batch.blocks.inputs["user"] is None
        rows = batch.users if whole else torch.arange(len(batch.users), device=batch.users.device)
        given = given.with_user_text(rows, batch.user_text)
    return model.encode(batch.blocks, given, hidden, gathered=True)


def _bias(model: TowerRecommender, batch: Batch) -> Tensor:
    """[C]: what is added to all scores of a seed item, less the correction for its draw."""
    bias = model.biases(batch.items)
    return bias if batch.correction is None else bias - batch.correction


def _scores(
    model: TowerRecommender, batch: Batch, encoded: Encoded, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores [B] of the batch's positives, and [n, K] of its users with its negatives."""
    user, item = (_of_seeds(encoded.fused[name], name, batch) for name in NODE_TYPES)
    positives = (batch.user_row, batch.item_row)
    return model.score_batch(user, item, bias, positives, batch.negatives)


def _rec(config: TrainConfig, batch: Batch, positive: Tensor, negative: Tensor) -> Tensor:
    """L_rec of the positives' scores [B] and of the users' with the negatives, [n, K]."""
    row = batch.user_row
    if not config.reject_held:
        # what one positive is not compared with, another of the same user is
        negative, row = negative.index_select(0, row), torch.arange(len(row), device=row.device)
    return recommendation_loss(config.loss, positive, negative, batch.allowed, row)


def _of_seeds(rows: Tensor, name: str, batch: Batch) -> Tensor:
    """The seeds' rows: sampled blocks end at the seeds, the whole graph at all nodes."""
    return rows if batch.blocks.outputs[name] is not None else rows[batch.seeds[name]]
