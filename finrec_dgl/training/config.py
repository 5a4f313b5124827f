"""The configuration of training: sampler, loss, optimiser, stopping; and of the model in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from finrec_dgl.base.config import choice, from_mapping, refuse
from finrec_dgl.nn import HybridConfig
from finrec_dgl.sampling import NEGATIVES
from finrec_dgl.training.contrastive import FinetuneConfig

SAMPLERS = ("full", "neighbor")
LOSSES = ("softmax", "bpr", "bce", "backtest")
MOST_PRODUCTS = 20_000
"""Products up to which ``auto`` takes all as negatives: 4,096 rows of so many take 330 MB."""
MANY_INTERACTIONS, TOGETHER = 10_000_000, 4
"""Interactions beyond which a user's stand together, and how many, where nobody says: an epoch is
then minutes, and in the same time grouped ones learn more."""

PLAIN: Mapping[str, Any] = {
    "loss": "softmax",
    "windows": 16,
    "lr": 1e-4,
    "epochs": 60,
    "average": 0,
}
"""Defaults of the paper's plain form: small steps over observed relations, stopping early."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Raises ConfigError, naming every field out of range.

    The defaults are of derived relations and back-testing; ``plain`` has those of the paper's form.

    ``finetune``      whether and how the text encoder is fine-tuned before
    ``sampler``       ``full``: whole-graph propagation; ``neighbor``: sampled blocks (of no effect
                      with ``backtest``, which scores whole episodes)
    ``fanout``        neighbours a node and relation, from the seeds outwards (-1: all); the last
                      one holds for deeper layers
    ``batch_size``    positives a step
    ``seeds_per_user`` at most so many positives of a user stand together in a step, drawn anew each
                      epoch and never all that there are, and share neighbours and scores; 0: one,
                      and four where there are more than 10,000,000 interactions
    ``workers``       processes that sample blocks (``neighbor``); 0: in this one
    ``prefetch``      batches that a thread makes ahead where there are no workers; 0: none
    ``loss``          ``softmax``, ``bpr`` or ``bce`` predict the interactions of one graph;
                      ``backtest`` those of earlier windows, each from the graph before it, or
                      hidden ones where there is no earlier window
    ``windows``       at most so many earlier windows (``backtest``)
    ``window_step``   days between their starts; 0: spread over the time there is
    ``warm_up``       days at the beginning that are only learned from
    ``window_users``  users a window and run, drawn from those with something to predict
    ``hidden_core``   windows without dates hide and ask for what is in this k-core alone, for
                      splits of a core that was taken of all pairs, the test's among them; 0: all
    ``loss_floor``    added to the probability of each target in the loss of ``backtest``, so that
                      those which rank far below it hardly count; 0: all do
    ``negatives``     what positives are compared with: ``all`` products, or a draw shared by the
                      batch: ``uniform``, by ``popularity``, or of the batch's own positives
                      (``in-batch``), which come by popularity too and are computed anyway;
                      ``auto``: all up to 20,000 products, else in-batch
    ``n_negatives``   how many are drawn where not all are taken; a product stands there once
    ``reject_held``   what a user holds is never a negative of theirs, however negatives are drawn;
                      without, only the positive itself is not
    ``lambda_rec``, ``lambda_pseudo``, ``lambda_reg``  weights of the joint loss (formula 7);
                      ``lambda_reg`` is on dense weights, ``lambda_ids`` on learned node vectors,
                      ``lambda_start`` on the distance of derived relations' weights to their start
    ``lr``            Adam's step size;  ``clip``: largest norm of the gradient
    ``steps``         batches an epoch, of those that there are; 0: all, each interaction once
    ``valid_users``   validation judges so many users at most, drawn once; 0: all
    ``epochs``        at most;  ``patience``: epochs without a better validation NDCG@10
    ``average``       the weights are the mean over so many last epochs, or over all of fewer,
                      without early stopping; 0: those of the best epoch
    ``refit``         train once more, as many epochs, on all before the cut (for test and use)
    """

    model: HybridConfig = field(default_factory=HybridConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    sampler: str = "full"
    fanout: tuple[int, ...] = (10, 10, 10)
    batch_size: int = 4096
    seeds_per_user: int = 0
    workers: int = 0
    prefetch: int = 0
    loss: str = "backtest"
    windows: int = 8
    window_step: float = 0.0
    warm_up: float = 90.0
    window_users: int = 512
    hidden_core: int = 0
    loss_floor: float = 0.0
    negatives: str = "auto"
    n_negatives: int = 4096
    reject_held: bool = True
    lambda_rec: float = 1.0
    lambda_pseudo: float = 0.1
    lambda_reg: float = 1e-5
    lambda_ids: float = 1e-3
    lambda_start: float = 1e-3
    lr: float = 0.05
    clip: float = 1.0
    steps: int = 0
    valid_users: int = 50_000
    epochs: int = 15
    patience: int = 8
    average: int = 7
    refit: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            *choice("sampler", self.sampler, SAMPLERS),
            *choice("loss", self.loss, LOSSES),
            *choice("negatives", self.negatives, ("auto", *NEGATIVES)),
        ]
        for name in (
            *("batch_size", "n_negatives", "epochs", "patience"),
            *("windows", "window_users"),
        ):
            if getattr(self, name) < 1:
                problems.append(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in (
            *("workers", "prefetch", "lambda_rec", "lambda_pseudo", "lambda_reg", "lambda_ids"),
            *("lambda_start", "hidden_core", "loss_floor", "window_step", "warm_up", "average"),
            *("seed", "seeds_per_user", "steps", "valid_users"),
        ):
            if not getattr(self, name) >= 0:
                problems.append(f"{name} is {getattr(self, name)}, expected at least 0")
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                problems.append(f"{name} is {getattr(self, name)}, expected above 0")
        if self.model.relations == "derived" and self.loss != "backtest":
            problems.append(
                f"loss is {self.loss}, expected backtest: relations are derived; "
                "with another loss set model.relations to observed"
            )
        if not self.fanout or any(one == 0 or one < -1 for one in self.fanout):
            problems.append(f"fanout is {list(self.fanout)}, expected positive numbers, or -1: all")
        refuse(problems, where="training")

    @classmethod
    def plain(cls, **fields: Any) -> TrainConfig:
        """The paper's form over observed relations: ``PLAIN`` where ``fields`` do not say else."""
        model = replace(fields.pop("model", HybridConfig()), relations="observed")
        return cls(model=model, **{**PLAIN, **fields})

    def negatives_of(self, n_items: int) -> str:
        """Which negatives a batch has where there are ``n_items`` products."""
        if self.negatives != "auto":
            return self.negatives
        return "all" if n_items <= MOST_PRODUCTS else "in-batch"

    def together_of(self, interactions: int) -> int:
        """At most how many positives of a user stand together where there are ``interactions``."""
        if self.seeds_per_user:
            return self.seeds_per_user
        return TOGETHER if interactions > MANY_INTERACTIONS else 1

    def fanouts(self, depth: int) -> tuple[int, ...]:
        """One fanout for each of ``depth`` layers."""
        return (*self.fanout, *[self.fanout[-1]] * depth)[:depth]


def read_settings(mapping: Mapping[str, Any], *, where: str = "configuration") -> TrainConfig:
    """The configuration of a nested mapping, as ``from_mapping`` makes it.

    Where it says that relations are observed, absent keys have the defaults of ``PLAIN``.
    """
    model = mapping.get("model")
    observed = isinstance(model, Mapping) and model.get("relations") == "observed"
    return from_mapping(TrainConfig, {**(PLAIN if observed else {}), **mapping}, where=where)
