"""Training by back-testing: every earlier date is an episode, with the task as it was then.

Where the split is not by date, an episode is the world with some of its pairs hidden.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset import Dataset, Snapshot
from finrec_dgl.dataset.snapshot import pair_keys, without_nodes, without_pairs
from finrec_dgl.dataset.windows import FEWEST_USERS, Window, hidden_windows, windows
from finrec_dgl.nn import HybridRecommender, PseudoLabeler, PseudoTargets
from finrec_dgl.relations import GraphTensors, pseudo_loss
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.losses import recommendation_loss
from finrec_dgl.training.step import JointLoss


@dataclass(frozen=True, eq=False)
class Episode:
    """The task as of one earlier date, or with some pairs hidden.

    ``users`` int64 [B]: those to predict; ``row`` and ``item`` int64 [T]: their targets; ``weight``
    [T]: adds up to 1 over all, and to the same for every user; ``allowed`` bool [B, I]: candidates
    the user did not have. ``snapshot``: what is known, without any of the targets. ``cold``: a
    share of the items is known by text alone, and text's own weights alone learn from it.
    """

    snapshot: Snapshot
    users: np.ndarray
    row: Tensor
    item: Tensor
    weight: Tensor
    allowed: Tensor
    cold: bool = False


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

    Where the readout has weights of text alone each window comes once more, with a share of the
    items (``cold_share``, drawn for each) known by text alone, so that the model learns where new
    ones stand among the others. Raises DataError where there is not one with enough to predict.
    """
    found: list[Episode] = []
    seen = np.zeros(dataset.n_users, np.int64)
    share = config.model.hidden_share
    text = config.model.text and dataset.vectors.shape[1] > 0
    for number, one in enumerate(past_tasks(dataset, snapshot, config)):
        if config.seeds_per_user:
            one = _of_users(one, seen < config.seeds_per_user)
        if not len(one.targets):
            continue
        whole = episode_of(one, one.snapshot, config.window_users, config.seed + number)
        seen[whole.users] += 1
        found.append(whole)
        if share and text:
            rng = np.random.default_rng((config.seed, number))
            hidden = rng.random(dataset.n_items) < share
            cold = without_nodes(one.snapshot, "item", hidden)
            found.append(replace(whole, snapshot=cold, cold=True))
    if not found:
        raise DataError(
            "there is nothing to back-test on: no earlier window, and too few users to hide "
            "interactions of",
            expected=f"{FEWEST_USERS} users with two products or more before validation",
            where=str(dataset.path),
            mend="train with model.readout=tower, seeds=interactions and loss=softmax",
        )
    return found


def _of_users(window: Window, kept: np.ndarray) -> Window:
    """``window`` with the targets of the users ``kept`` (bool [U]) alone."""
    return replace(window, targets=window.targets.where(kept[window.targets.user]))


def known_in_all(windows: Sequence[Episode], snapshot: Snapshot) -> Snapshot:
    """``snapshot`` without the pairs that a window does not know.

    What training starts from is made of it: else a start would hold the targets it is to find.
    """
    keys = pair_keys(snapshot.pairs.user, snapshot.pairs.item, snapshot.n_items)
    inside = np.ones(len(keys), bool)
    for one in (one for one in windows if not one.cold):
        pairs = one.snapshot.pairs
        inside &= np.isin(keys, pair_keys(pairs.user, pairs.item, snapshot.n_items))
    return without_pairs(snapshot, ~inside)


def listwise_loss(scores: Tensor, episode: Episode, floor: float = 0.0) -> Tensor:
    """Return -sum of weight * log(p + floor), p the softmax over the allowed items: a scalar.

    The mean over users. A target far below ``floor``, which no first page would show, has hardly a
    gradient; with 0 it is such targets that the likelihood is mostly about.
    """
    masked = scores.masked_fill(~episode.allowed, -1e9)
    each = functional.log_softmax(masked, dim=1)[episode.row, episode.item]
    if floor:
        each = torch.logaddexp(each, torch.full_like(each, math.log(floor)))
    return -(each * episode.weight).sum()


def episode_loss(scores: Tensor, episode: Episode, config: TrainConfig) -> Tensor:
    """Return the loss that ``config`` names, of the seeds' scores [B, I]: a scalar."""
    if config.loss == "backtest":
        return listwise_loss(scores, episode, config.loss_floor)
    positive = scores[episode.row, episode.item]
    # a target is no negative of another one of the same seed
    allowed = episode.allowed.clone()
    allowed[episode.row, episode.item] = False
    return recommendation_loss(config.loss, positive, scores, allowed, episode.row)


class Backtest:
    """The steps of an epoch: a batch of the seeds of one window each, in an order of its own.

    Parameters
    ----------
    model : HybridRecommender
        What is trained.
    windows : sequence of Episode
        See ``episodes``.
    config : TrainConfig
        The loss, the sizes, the fanouts.
    labeler : PseudoLabeler or None
        Gives each window's nodes their pseudo-label targets, as of that window.
    progress : Progress
        Hears of every window that is made.
    """

    def __init__(
        self,
        model: HybridRecommender,
        windows: Sequence[Episode],
        config: TrainConfig,
        labeler: PseudoLabeler | None,
        progress: Progress = SILENT,
    ) -> None:
        self.model = model
        self.config = config
        self.labels = model.pseudo_labels()
        self.labeler = labeler if self.labels is not None else None
        with progress.task("windows", len(windows), "windows") as task:

            def make(number: int) -> list[_Batch]:
                name = f"window {number + 1} of {len(windows)}"
                made = self._window(windows[number], number, progress, name)
                task.advance(1)
                return made

            numbers = range(len(windows))
            if config.workers:
                with ThreadPoolExecutor(config.workers) as pool:
                    found = list(pool.map(make, numbers))
            else:
                found = [make(number) for number in numbers]
        self.batches: list[_Batch] = [one for some in found for one in some]

    def epoch(self, epoch: int) -> Iterator[tuple[JointLoss, int]]:
        """The joint loss of each batch and how many targets it has."""
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.batches))
        for number in order.tolist():
            yield self._loss(self.batches[number]), len(self.batches[number].episode.row)

    def _window(self, episode: Episode, number: int, progress: Progress, name: str) -> list[_Batch]:
        """The batches of one window; what its relations learn, they learn of its own past."""
        model, config = self.model, self.config
        parts = _split(episode, config.batch_size)
        targets = self.labeler.targets(episode.snapshot) if self.labeler is not None else None
        fanouts = config.fanouts(episode.snapshot, number)
        view = GraphTensors(episode.snapshot, config.torch_device(), fanouts)
        model.prepare(view, config.seed, progress, name)
        found = [_Batch(model, view, one, targets) for one in parts]
        view.forget()  # there is a view for each window, and all are kept
        return found

    def _loss(self, batch: _Batch) -> JointLoss:
        """Formula (7)."""
        config = self.config
        with config.autocast():
            scores = self.model(batch.evidence, text_only=batch.episode.cold).float()
        rec = episode_loss(scores, batch.episode, config)
        pseudo, reg = rec.new_zeros(()), rec.new_zeros(())
        if self.labels is not None and batch.labels is not None:
            text, target, confidence = batch.labels
            pseudo = pseudo_loss(self.labels(text), target, confidence)
        for name, penalty in self.model.penalties().items():
            reg = reg + getattr(config, name) * penalty
        total = config.lambda_rec * rec + config.lambda_pseudo * pseudo + reg
        return JointLoss(total, rec.detach(), pseudo.detach(), reg.detach())


def _split(episode: Episode, size: int) -> list[Episode]:
    """The episode in parts of at most ``size`` users; the weights of each part add up to 1."""
    if len(episode.users) <= size:
        return [episode]
    found = []
    for start in range(0, len(episode.users), size):
        inside = (episode.row >= start) & (episode.row < start + size)
        weight = episode.weight[inside]
        found.append(
            Episode(
                episode.snapshot,
                episode.users[start : start + size],
                episode.row[inside] - start,
                episode.item[inside],
                weight / weight.sum(),
                episode.allowed[start : start + size],
                episode.cold,
            )
        )
    return found


def _labels(
    episode: Episode, targets: PseudoTargets | None, device: torch.device
) -> tuple[Tensor, ...] | None:
    """Texts [n, d], targets [n, C] and confidences [n] of the seeds and all items that have any."""
    if targets is None:
        return None
    users, snapshot = episode.users, episode.snapshot
    text = torch.from_numpy(np.concatenate([snapshot.user_text[users], snapshot.item_text]))
    target = torch.cat([targets.target["user"][users], targets.target["item"]])
    confidence = torch.cat([targets.confidence["user"][users], targets.confidence["item"]])
    sure = confidence > 0
    return tuple(one[sure].to(device) for one in (text, target, confidence))


class _Batch:
    """Some seeds of a window, and what its graph says of them, made once."""

    def __init__(
        self,
        model: HybridRecommender,
        view: GraphTensors,
        episode: Episode,
        targets: PseudoTargets | None,
    ) -> None:
        self.labels = _labels(episode, targets, view.device)
        self.episode = _moved(episode, view.device)
        self.evidence = model.evidence(view, view.seeds(episode.users))


def _moved(episode: Episode, device: torch.device) -> Episode:
    names = ("row", "item", "weight", "allowed")
    return replace(episode, **{name: getattr(episode, name).to(device) for name in names})
