"""Training by back-testing: every earlier date is an episode, with the task as it was then.

Where the split is not by date, an episode is the world with some of its pairs hidden.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset import Dataset, Snapshot
from finrec_dgl.dataset.snapshot import without_nodes
from finrec_dgl.dataset.windows import FEWEST_USERS, Window, hidden_windows, windows
from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn import (
    DerivedRecommender,
    Evidence,
    HybridRecommender,
    NodeFeatures,
    PseudoTargets,
    World,
    features_of,
    learn_vectors,
    pseudo_loss,
)
from finrec_dgl.sampling import whole_graph
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.step import JointLoss


@dataclass(frozen=True, eq=False)
class Episode:
    """The task as of one earlier date, or with some pairs hidden.

    ``users`` int64 [B]: those to predict; ``row`` and ``item`` int64 [T]: their targets; ``weight``
    [T]: adds up to 1 over all, and to the same for every user; ``allowed`` bool [B, I]: candidates
    the user did not hold. ``snapshot``: the world that is known, without any of the targets.
    """

    snapshot: Snapshot
    users: np.ndarray
    row: Tensor
    item: Tensor
    weight: Tensor
    allowed: Tensor


def episode_of(window: Window, snapshot: Snapshot, most_users: int, seed: int) -> Episode:
    """The episode of ``window`` seen from ``snapshot``, of at most ``most_users`` drawn users."""
    users = np.unique(window.targets.user).astype(np.int64)
    if len(users) > most_users:
        drawn = np.random.default_rng(seed).choice(len(users), most_users, replace=False)
        users = users[np.sort(drawn)]
    chosen = np.isin(window.targets.user, users)
    row = np.searchsorted(users, window.targets.user[chosen])
    weight = 1.0 / np.bincount(row, minlength=len(users))[row] / len(users)
    # what a user holds is no wrong answer, though its past may be hidden in ``snapshot``
    held = window.snapshot.matrix()[users].toarray() > 0
    return Episode(
        snapshot,
        users,
        torch.from_numpy(row),
        torch.from_numpy(window.targets.item[chosen].astype(np.int64)),
        torch.from_numpy(weight.astype(np.float32)),
        torch.from_numpy(window.candidates & ~held),
    )


def past_tasks(dataset: Dataset, snapshot: Snapshot, config: TrainConfig) -> list[Window]:
    """The earlier ``windows`` before the time of ``snapshot``, latest first; where the split is not
    by date, or there is not one such window, ``hidden_windows`` of it."""
    found: list[Window] = []
    if dataset.valid_cut is not None and snapshot.time is not None:
        how = (config.windows, config.window_step, config.warm_up)
        found = windows(dataset, snapshot.time, *how)
    return found or hidden_windows(
        dataset, snapshot, config.windows, config.seed, config.hidden_core
    )


def episodes(dataset: Dataset, snapshot: Snapshot, config: TrainConfig) -> list[Episode]:
    """The episodes that what is known in ``snapshot`` makes: see ``past_tasks``.

    With derived relations each knows a share of the products (``cold_share``) by their text only,
    another draw in each, so that the model learns where new ones stand among the others. Raises
    DataError where there is not one with enough to predict.
    """
    found = []
    share = config.model.derived.cold_share if config.model.relations == "derived" else 0.0
    text = config.model.text and dataset.vectors.shape[1] > 0
    for number, one in enumerate(past_tasks(dataset, snapshot, config)):
        world = one.snapshot
        if share and text:
            rng = np.random.default_rng((config.seed, number))
            world = without_nodes(world, "item", rng.random(world.n_items) < share)
        found.append(episode_of(one, world, config.window_users, config.seed + number))
    if not found:
        raise DataError(
            "there is nothing to back-test on: no earlier window, and too few users to hide "
            "interactions of",
            expected=f"{FEWEST_USERS} users with two products or more before validation",
            where=str(dataset.path),
            mend="train with model.relations=observed and loss=softmax",
        )
    return found


def listwise_loss(scores: Tensor, episode: Episode, floor: float = 0.0) -> Tensor:
    """-sum of weight * log(p + floor), p the softmax over the allowed products: a scalar.

    The mean over users. A target far below ``floor``, which no first page would hold, has hardly a
    gradient; with 0 it is such targets that the likelihood is mostly about.
    """
    masked = scores.masked_fill(~episode.allowed, -1e9)
    each = functional.log_softmax(masked, dim=1)[episode.row, episode.item]
    if floor:
        each = torch.logaddexp(each, torch.full_like(each, math.log(floor)))
    return -(each * episode.weight).sum()


class Backtest:
    """The steps of an epoch: one episode each, in an order of its own.

    ``snapshot``: the world as of the end of the time to learn from; ``targets``: of the
    pseudo-labels in it, which all episodes share, since classes found anew in each would not be the
    same ones; ``progress`` hears of vectors that are learned for each episode. Raises DataError as
    ``episodes`` does.
    """

    def __init__(
        self,
        model: HybridRecommender | DerivedRecommender,
        dataset: Dataset,
        snapshot: Snapshot,
        config: TrainConfig,
        targets: PseudoTargets | None,
        progress: Progress = SILENT,
    ) -> None:
        self.model = model
        self.config = config
        self.episodes = episodes(dataset, snapshot, config)
        self.scenes = [self._scene(number, progress) for number in range(len(self.episodes))]
        self.labels = _labels(snapshot, targets) if targets else None

    def epoch(self, epoch: int) -> Iterator[tuple[JointLoss, int]]:
        """The joint loss of each episode and how many targets it has."""
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.episodes))
        for number in order.tolist():
            yield self._loss(number), len(self.episodes[number].row)

    def _scene(self, number: int, progress: Progress) -> _Derived | _Observed:
        model, episode = self.model, self.episodes[number]
        if not isinstance(model, DerivedRecommender):
            return _Observed(model, episode)
        vectors = None
        if model.vectors is not None:
            vectors = learn_vectors(
                episode.snapshot.matrix(),
                model.config.derived,
                self.config.seed,
                progress,
                f"vectors, window {number + 1} of {len(self.episodes)}",
            )
        return _Derived(model, episode, vectors)

    def _loss(self, number: int) -> JointLoss:
        """Formula (7), its last term the distance to the start where relations are derived."""
        config, scene = self.config, self.scenes[number]
        rec = listwise_loss(scene.scores(), self.episodes[number], config.loss_floor)
        pseudo = rec.new_zeros(())
        if self.model.pseudo is not None and self.labels is not None:
            text, target, confidence = self.labels
            pseudo = pseudo_loss(self.model.pseudo(text), target, confidence)
        reg = scene.regularisation(config)
        total = config.lambda_rec * rec + config.lambda_pseudo * pseudo + reg
        return JointLoss(total, rec.detach(), pseudo.detach(), reg.detach())


def _labels(snapshot: Snapshot, targets: PseudoTargets) -> tuple[Tensor, Tensor, Tensor]:
    """Texts [n, d], targets [n, C] and confidences [n] of the nodes that have a target."""
    text = torch.from_numpy(np.concatenate([snapshot.user_text, snapshot.item_text]))
    target = torch.cat([targets.target[name] for name in NODE_TYPES])
    confidence = torch.cat([targets.confidence[name] for name in NODE_TYPES])
    sure = confidence > 0
    return text[sure], target[sure], confidence[sure]


class _Derived:
    """An episode's world and what it says of the users, made once."""

    def __init__(
        self, model: DerivedRecommender, episode: Episode, vectors: np.ndarray | None
    ) -> None:
        self.model = model
        self.world = World(episode.snapshot, model.config.derived, vectors)
        self.evidence: Evidence = model.evidence(self.world, self.world.receivers(episode.users))
        self.world.forget_filters()  # there is a world an episode, and all are kept

    def scores(self) -> Tensor:
        return self.model(self.world, self.evidence)

    def regularisation(self, config: TrainConfig) -> Tensor:
        return config.lambda_start * self.model.squared_distance()


class _Observed:
    """An episode's whole graph, for the paper's plain form."""

    def __init__(self, model: HybridRecommender, episode: Episode) -> None:
        self.model = model
        self.users = torch.from_numpy(episode.users)
        self.features: NodeFeatures = features_of(episode.snapshot, model.config.half_life)
        self.blocks = whole_graph(episode.snapshot.layer(), model.config.depth)

    def scores(self) -> Tensor:
        fused = self.model.encode(self.blocks, self.features).fused
        return self.model.score(fused["user"][self.users], fused["item"])

    def regularisation(self, config: TrainConfig) -> Tensor:
        vectors = dict(self.model.ids or {})
        everyone = {name: torch.arange(len(one)) for name, one in vectors.items()}
        ids = self.model.squared_ids(vectors, everyone)
        return config.lambda_reg * self.model.squared_weights() + config.lambda_ids * ids
