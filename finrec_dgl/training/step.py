"""One step of training: the joint loss of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import HybridRecommender, NodeFeatures, PseudoTargets, pseudo_loss
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
    model: HybridRecommender,
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
    encoded = model.encode(batch.blocks, features, hidden)
    # blocks of sampled layers end at the seeds; those of the whole graph at all nodes
    whole = batch.blocks.outputs["user"] is None
    at = batch.seeds if whole else dict.fromkeys(NODE_TYPES)
    rows = {name: _rows(encoded.fused[name], at[name]) for name in NODE_TYPES}
    scores = model.score(rows["user"], rows["item"], batch.items)[batch.user_row]
    rec = recommendation_loss(
        config.loss, scores, batch.item_column, batch.allowed, batch.correction
    )
    pseudo = rec.new_zeros(())
    if encoded.pseudo is not None and targets is not None:
        seeds = batch.seeds
        pseudo = pseudo_loss(
            torch.cat([_rows(encoded.pseudo[name], at[name]) for name in NODE_TYPES]),
            torch.cat([targets.target[name][seeds[name]] for name in NODE_TYPES]).to(rec.dtype),
            torch.cat([targets.confidence[name][seeds[name]] for name in NODE_TYPES]).to(rec.dtype),
        )
    reg = config.lambda_reg * model.squared_weights() + config.lambda_ids * model.squared_ids(
        batch.seeds
    )
    total = config.lambda_rec * rec + config.lambda_pseudo * pseudo + reg
    return JointLoss(total, rec.detach(), pseudo.detach(), reg.detach())


def _rows(tensor: Tensor, ids: Tensor | None) -> Tensor:
    return tensor if ids is None else tensor[ids]
