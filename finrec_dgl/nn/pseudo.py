"""The pseudo-label branch: what text alone says of a node, and the loss that holds it to targets.

Formulas (2) and (3) of arXiv 2506.05873: y_i = sigmoid(W e_i + b); first features [e_i || y_i].
We read y_i as a vector over C classes (C = 1 is the paper's).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


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
