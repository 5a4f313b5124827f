"""The hybrid model: seeds, the graph just before their time, and a readout that scores items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.evaluation import Vectors
from finrec_dgl.nn.config import HybridConfig
from finrec_dgl.relations import GraphTensors, ModelShape, Seeds, Slots

HISTORY, TIES, USER_TEXT = "history", "ties", "text"
"""What a readout may read of a seed user."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Which seeds are asked for which items: ``row`` and ``item`` int64 [T]; ``key``: a draw."""

    row: Tensor
    item: Tensor
    key: int = 0


class HybridRecommender(nn.Module):
    """Scores of seeds: a seed is a user and a graph that holds nothing at or after their time.

    After "Research on Personalized Financial Product Recommendation by Integrating Large Language
    Models and Graph Neural Networks", arXiv 2506.05873. The two readouts are subclasses
    (``PairRecommender``, ``TowerRecommender``) of the same graph, seeds, samplers, objective and
    scorer; ``model.readout`` names one. Training and scoring know this class alone.

    Parameters
    ----------
    config : HybridConfig
        Which parts there are.
    shape : ModelShape
        The sizes of the data set.
    """

    def __init__(self, config: HybridConfig, shape: ModelShape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape

    def pseudo_labels(self) -> nn.Module | None:
        """Return the map from text to the logits of pseudo-labels; None without."""
        raise NotImplementedError

    def start_from(self, view: GraphTensors, seed: int = 0) -> None:
        """Set the weights to what ``view`` says before any step; by default they stay."""

    def prepare(
        self, view: GraphTensors, seed: int = 0, progress: Progress = SILENT, name: str = "all"
    ) -> None:
        """Learn in ``view`` what is needed there beside the weights; by default nothing."""

    def settle(self, view: GraphTensors) -> None:
        """Keep with the weights what was learned in ``view``, to score in it later."""

    def evidence(self, view: GraphTensors, seeds: Seeds, asked: Asked | None = None) -> Any:
        """Return what ``view`` says of ``seeds``; ``forward`` scores it any number of times.

        ``asked``: the targets of the seeds, which are scored too where not every item is.
        """
        raise NotImplementedError

    def slots(self, evidence: Any) -> Slots | None:  # noqa: ARG002
        """Return the items of the columns of the scores; None: all items in order."""
        return None

    def forward(self, evidence: Any, *, text_only: bool = False) -> Tensor:
        """Return the scores float [B, C] of the seeds of ``evidence``.

        ``text_only``: with a gradient for the weights of text alone, where the graph was altered.
        """
        raise NotImplementedError

    def score_seeds(self, view: GraphTensors, seeds: Seeds) -> Tensor:
        """Return the scores float [B, I] of ``seeds`` by weights that no longer change."""
        scores: Tensor = self(self.evidence(view, seeds))
        return scores

    def scores_candidates(self, view: GraphTensors) -> bool:  # noqa: ARG002
        """Return whether a seed is scored with some items of ``view`` alone."""
        return False

    def candidates(self, view: GraphTensors, seeds: Seeds) -> tuple[Tensor, Tensor]:
        """Return the items that can rank first and their scores, int32 and float [B, C].

        -1 for none. Only where ``scores_candidates``.
        """
        raise NotImplementedError

    def vectors(self, view: GraphTensors) -> Vectors | None:  # noqa: ARG002
        """Return vectors whose inner products are the scores in ``view``; None without such."""
        return None

    def numbers_a_seed(self) -> int:
        """Return how many numbers the evidence and the scores of a seed take in all."""
        raise NotImplementedError

    def reads(self) -> frozenset[str]:
        """Return what the model reads of a seed: of ``HISTORY``, ``TIES`` and ``USER_TEXT``."""
        raise NotImplementedError

    def item_terms(self, view: GraphTensors, seeds: Seeds) -> Tensor:
        """Return the part of the scores that comes of the item alone, float [B, I]."""
        raise NotImplementedError

    def penalties(self) -> Mapping[str, Tensor]:
        """Return the terms of ||Theta||^2 (formula 7), each by the name of its weight."""
        raise NotImplementedError

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return what an optimiser is to move, with its step sizes."""
        del lr
        return [{"params": list(self.parameters())}]
