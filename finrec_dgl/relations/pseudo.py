"""The pseudo-label branch: what text alone says of a node, and the loss that holds it to targets.

Formulas (2) and (3) of arXiv 2506.05873: y_i = sigmoid(W e_i + b); first features [e_i || y_i].
We read y_i as a vector over C classes (C = 1 is the paper's).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finrec_dgl.relations.base import (
    PSEUDO,
    ModelShape,
    Relation,
    register_relation,
    stacked,
)
from finrec_dgl.relations.batch import SeedBatch
from finrec_dgl.relations.config import PairConfig
from finrec_dgl.relations.text_near import described


class PseudoLabels(nn.Module):
    """y = sigmoid(W e + b): e [n, d] -> logits [n, C]; the sigmoid is the caller's."""

    def __init__(self, text_dim: int, classes: int) -> None:
        super().__init__()
        self.project = nn.Linear(text_dim, classes)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, text: Tensor) -> Tensor:
        """Logits; ``torch.sigmoid`` of them is y."""
        return self.project(text)


def pseudo_loss(logits: Tensor, target: Tensor, confidence: Tensor) -> Tensor:
    """Binary cross-entropy of y against the target, mean over classes, weighed by confidence.

    L = sum_i c_i BCE(y_i, target_i) / sum_i c_i; zero where no node has a target.
    """
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(1)
    return (each * confidence).sum() / confidence.sum().clamp(min=1e-12)


@register_relation
class Pseudo(Relation):
    """Sum over classes of y_i and of the mean y of a history, y = sigmoid(W e) at sum 1."""

    name, part, learned, slotted = "pseudo", PSEUDO, True, True

    def __init__(self, config: PairConfig, shape: ModelShape) -> None:
        super().__init__(config, shape)
        self.labels: PseudoLabels | None = None
        if shape.text_dim and shape.pseudo_classes:
            self.labels = PseudoLabels(shape.text_dim, shape.pseudo_classes)

    def channel_names(self) -> tuple[str, ...]:
        return ("pseudo",) if self.labels is not None else ()

    def sample(self, batch: SeedBatch) -> tuple[Tensor, ...]:
        view, seeds = batch.view, batch.seeds
        weight = 1 / seeds.history.counts.clamp(min=1).float()
        return view.item_text, described(view, self.config), weight[seeds.row]

    def forward(self, batch: SeedBatch, sampled: Tensor | tuple[Tensor, ...]) -> Tensor:
        text, known, weight = sampled
        label = torch.sigmoid(self.labels(text)) * known.unsqueeze(1)  # type: ignore[misc]
        label = label / label.sum(1, keepdim=True).clamp(min=1e-9)
        seed = batch.seeds.message(label, weight)
        if batch.slots is None:
            return stacked([batch.log_share(seed @ label.T)])
        return stacked([batch.log_share(torch.einsum("bd,bcd->bc", seed, label[batch.slots.at]))])
