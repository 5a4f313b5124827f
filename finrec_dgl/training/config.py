"""The configuration of training: sampler, loss, optimiser, stopping; and of the model in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from finrec_dgl.base.config import choice, from_mapping, refuse
from finrec_dgl.base.errors import UsageError
from finrec_dgl.dataset import Snapshot
from finrec_dgl.kernels.device import device_problems, find_device
from finrec_dgl.nn import HybridConfig
from finrec_dgl.sampling import FULL, NEGATIVES, Fanouts
from finrec_dgl.sampling.fanouts import HOPS
from finrec_dgl.training.contrastive import FinetuneConfig

SAMPLERS = ("auto", "full", "neighbor")
LR_SCHEDULES = ("constant", "cosine")
TOWER_FANOUT, PAIR_FANOUT = (10, 10, 10), (-1, 200, -1)
"""Neighbours a hop where the configuration names none; with the pair readout: all items of a seed,
200 of an item's users, all items of these."""
MOST_NEIGHBOURS = 50_000
"""Users two hops from a user on average up to which ``auto`` takes them all."""
LOSSES = ("softmax", "bpr", "bce", "backtest")
SEEDS = ("auto", "windows", "interactions")
PRECISIONS = ("float32", "bf16")
MOST_PRODUCTS = 20_000
"""Products up to which ``auto`` takes all as negatives: 4,096 rows of so many take 330 MB."""
MANY_INTERACTIONS, TOGETHER = 10_000_000, 4
"""Interactions beyond which a user's stand together, and how many, where nobody says: an epoch is
then minutes, and in the same time grouped ones learn more."""

PLAIN: Mapping[str, Any] = {
    "sampler": "full",
    "loss": "softmax",
    "lr_schedule": "constant",
    "windows": 16,
    "lr": 1e-4,
    "epochs": 60,
    "average": 0,
}
"""Defaults of the tower readout, the paper's plain form: small steps, stopping early."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Raises ConfigError, naming every field out of range.

    The defaults are of the pair readout and back-testing; ``plain`` has those of the paper's form.

    ``finetune``      whether and how the text encoder is fine-tuned before
    ``sampler``       ``full``: all neighbours; ``neighbor``: as many as ``fanout`` says are drawn;
                      ``auto``: all, where a user has at most 50,000 others two hops away on average
    ``fanout``        neighbours drawn at each hop, from the seeds outwards (-1: all). Pair readout:
                      items of a seed, users of an item, items of a peer (default -1, 200, -1).
                      Tower: of a node in each relation; the last number holds for deeper layers
                      (default 10, 10, 10)
    ``device``        where tensors are: ``cpu``, ``cuda``, ``cuda:N``; ``auto``: a GPU if there is
    ``precision``     ``float32``, or ``bf16``: products of matrices in bfloat16, on a GPU alone
    ``seeds``         what a step predicts: ``windows``: what users took up in earlier windows, each
                      from the graph before it, or hidden interactions where there is no earlier
                      window; ``interactions``: those of one graph, less the step's own (tower);
                      ``auto``: the second for the tower with another loss than ``backtest``
    ``batch_size``    interactions a step; of ``windows`` the seeds of one window a step
    ``seeds_per_user`` at most so many positives of a user stand together in a step, drawn anew each
                      epoch and never all that there are, and share neighbours and scores; 0: one,
                      and four where there are more than 10,000,000 interactions
    ``workers``       processes that sample blocks, or threads that make windows; 0: neither
    ``prefetch``      batches that a thread makes ahead where there are no workers; 0: none
    ``loss``          ``backtest``: list-wise over a window, see ``training.backtest``;
                      ``softmax``, ``bpr`` or ``bce``: each positive against negatives
    ``windows``       at most so many earlier windows
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
                      ``lambda_start`` on the distance of the pair readout's weights to their start
    ``lr``            Adam's step size;  ``clip``: largest norm of the gradient
    ``lr_schedule``   ``constant``, or ``cosine``: ``lr`` falls to 0 over the epochs
    ``steps``         batches an epoch, of those that there are; 0: all, each interaction once
    ``valid_users``   validation judges so many users at most, drawn once; 0: all
    ``epochs``        at most;  ``patience``: epochs without a better validation NDCG@10
    ``average``       the weights are the mean over so many last epochs, or over all of fewer,
                      without early stopping; 0: those of the best epoch
    ``refit``         train once more, as many epochs, on all before the cut (for test and use)
    """

    model: HybridConfig = field(default_factory=HybridConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    sampler: str = "auto"
    fanout: tuple[int, ...] = ()
    device: str = "auto"
    precision: str = "float32"
    seeds: str = "auto"
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
    lr_schedule: str = "cosine"
    clip: float = 1.0
    steps: int = 0
    valid_users: int = 50_000
    epochs: int = 10
    patience: int = 8
    average: int = 5
    refit: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            *choice("sampler", self.sampler, SAMPLERS),
            *choice("loss", self.loss, LOSSES),
            *choice("lr_schedule", self.lr_schedule, LR_SCHEDULES),
            *device_problems(self.device),
            *choice("precision", self.precision, PRECISIONS),
            *choice("seeds", self.seeds, SEEDS),
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
        if any(one == 0 or one < -1 for one in self.fanout):
            problems.append(f"fanout is {list(self.fanout)}, expected positive numbers, or -1: all")
        if self.seeds == "interactions" and self.model.readout == "pair":
            problems.append(
                "seeds is interactions, but the pair readout's filters between items know them: "
                "expected seeds=windows, or model.readout=tower"
            )
        if self.seeds == "interactions" and self.loss == "backtest":
            problems.append("loss is backtest, which ranks what a window asks for: seeds=windows")
        if self.precision == "bf16" and self.device == "cpu":
            problems.append("precision is bf16, expected float32 on the cpu")
        if self.model.readout == "pair" and len(self.fanout) > len(HOPS):
            problems.append(
                f"fanout is {list(self.fanout)}, expected at most {len(HOPS)} numbers: "
                + ", ".join(HOPS)
            )
        refuse(problems, where="training")

    @classmethod
    def plain(cls, **fields: Any) -> TrainConfig:
        """The paper's form, the tower readout: ``PLAIN`` where ``fields`` do not say else."""
        model = replace(fields.pop("model", HybridConfig()), readout="tower")
        return cls(model=model, **{**PLAIN, **fields})

    @property
    def windowed(self) -> bool:
        """Whether a step predicts what users took up in a window."""
        if self.seeds == "auto":
            return self.model.readout == "pair" or self.loss == "backtest"
        return self.seeds == "windows"

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

    def samples(self, snapshot: Snapshot) -> bool:
        """Whether neighbours are drawn in the graph of ``snapshot``."""
        if self.sampler != "auto":
            return self.sampler == "neighbor"
        return two_hops(snapshot) > MOST_NEIGHBOURS

    def fanouts(self, snapshot: Snapshot, number: int) -> Fanouts:
        """How many neighbours are drawn in ``snapshot``; ``number``: which draw of the seed."""
        if not self.samples(snapshot):
            return FULL
        default = PAIR_FANOUT if self.model.readout == "pair" else TOWER_FANOUT
        return Fanouts(self.fanout or default, hash((self.seed, number)) % 2**63)

    def lr_share(self, epoch: int) -> float:
        """The share of ``lr`` in ``epoch``, from 1: with ``cosine`` it falls from 1 towards 0."""
        if self.lr_schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (epoch - 1) / self.epochs))

    def torch_device(self) -> torch.device:
        """The device that ``device`` names.

        Raises UsageError where there is none such, or where it has not the ``precision``.
        """
        device = find_device(self.device)
        if self.precision == "bf16" and device.type == "cpu":
            raise UsageError(
                "the precision is bf16 and the device is the cpu",
                expected="float32 on the cpu, or a GPU",
                where="--precision",
                mend="leave --precision out, or name a GPU with --device",
            )
        return device

    def autocast(self) -> torch.autocast:
        """The context in which a model's forward pass has the ``precision``."""
        there = self.precision == "bf16"
        return torch.autocast(self.torch_device().type, torch.bfloat16, enabled=there)


def two_hops(snapshot: Snapshot) -> float:
    """Users two hops from a user, a mean over users with an interaction; repeats count."""
    holders = np.bincount(snapshot.pairs.item, minlength=1).astype(np.float64)
    active = np.count_nonzero(np.diff(snapshot.pairs.indptr(snapshot.n_users)))
    return float((holders**2).sum() / max(active, 1))


def read_settings(mapping: Mapping[str, Any], *, where: str = "configuration") -> TrainConfig:
    """The configuration of a nested mapping, as ``from_mapping`` makes it.

    Where it names the tower readout, absent keys have the defaults of ``PLAIN``. Raises ConfigError
    for a key that has no effect beside the others.
    """
    model = mapping.get("model")
    tower = isinstance(model, Mapping) and model.get("readout") == "tower"
    config = from_mapping(TrainConfig, {**(PLAIN if tower else {}), **mapping}, where=where)
    refuse(without_effect(config, mapping), where=where)
    return config


_BATCHED = ("prefetch", "negatives", "n_negatives", "reject_held", "steps", "model.text_dropout")
_WINDOWS = ("windows", "window_step", "warm_up", "window_users", "hidden_core")
_TOWER_MODEL = (
    *("ids", "ids_start", "spectral_power", "spectral_users", "dim", "dim_two", "layers"),
    *("linear_layers", "heads", "fusion", "fusion_two", "head", "half_life", "item_bias"),
    *("dropout", "attention_dropout", "text_dropout", "init_scale", "kernels"),
)


def without_effect(config: TrainConfig, given: Mapping[str, Any]) -> list[str]:
    """The keys of the nested mapping ``given`` that change nothing, with the reason."""
    model = given.get("model")
    named = {f"model.{key}" for key in model} if isinstance(model, Mapping) else set()
    named |= {key for key in given if key != "model"}
    pair = config.model.readout == "pair"
    dead: dict[str, str] = {}
    if pair:
        reason = "only the tower readout reads it: set model.readout=tower"
        dead |= dict.fromkeys((f"model.{key}" for key in _TOWER_MODEL), reason)
        dead |= dict.fromkeys(("lambda_reg", "lambda_ids"), reason)
    else:
        reason = "only the pair readout reads it: set model.readout=pair"
        dead |= dict.fromkeys(("model.pair", "lambda_start"), reason)
    if config.windowed:
        dead |= dict.fromkeys(_BATCHED, "only seeds=interactions reads it (tower readout)")
    else:
        dead |= dict.fromkeys(_WINDOWS, "only seeds=windows reads it")
    if config.loss != "backtest":
        dead["loss_floor"] = "only loss=backtest reads it"
    if config.average:
        dead["patience"] = "weights are averaged, so nothing stops early: set average=0"
    if config.sampler == "full":
        dead["fanout"] = "sampler=full takes every neighbour"
    return [f"{key} has no effect: {dead[key]}" for key in sorted(named & dead.keys())]
