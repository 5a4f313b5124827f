"""Training by back-testing: every earlier date is an episode, with the task as it was then.

Where the split is not by date, an episode is the world with some of its pairs hidden.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.memory import reused_memory
from finrec_dgl.base.progress import SILENT, Progress
from finrec_dgl.dataset import Dataset, Snapshot
from finrec_dgl.dataset.snapshot import pair_keys, without_nodes, without_pairs
from finrec_dgl.dataset.windows import FEWEST_USERS, Window, each_window, hidden_windows
from finrec_dgl.kernels import log_sums
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.nn import Asked, HybridRecommender, PseudoLabeler, PseudoTargets
from finrec_dgl.relations import GraphTensors, Slots, pseudo_loss
from finrec_dgl.training.config import TrainConfig
from finrec_dgl.training.losses import recommendation_loss
from finrec_dgl.training.step import JointLoss

_COLD_USERS = 0.25
"""The share of a window's users that text's own weights learn from: there are few of them."""


@dataclass(frozen=True, eq=False)
class Episode:
    """The task as of one earlier date, or with some pairs hidden.

    ``users`` int64 [B]: those to predict; ``row`` and ``item`` int64 [T]: their targets; ``weight``
    [T]: adds up to 1 over all, and to the same for every user; ``candidates`` bool [I]: what may be
    recommended; ``history``: the items that each user had. ``snapshot``: what is known, without any
    of the targets. ``cold``: a share of the items is known by text alone, and text's own weights
    alone learn from it.
    """

    snapshot: Snapshot | None
    users: np.ndarray
    row: Tensor
    item: Tensor
    weight: Tensor
    candidates: Tensor
    history: Ragged
    cold: bool = False

    @cached_property
    def allowed(self) -> Tensor:
        """bool [B, I]: candidates that the user did not have."""
        allowed = self.candidates.repeat(len(self.users), 1)
        allowed[self.history.row, self.history.values.long()] = False
        return allowed

    def part(self, start: int, stop: int) -> Episode:
        """The users from ``start`` up to ``stop``; the weights of the part add up to 1."""
        inside = (self.row >= start) & (self.row < stop)
        weight = self.weight[inside]
        rows = torch.arange(start, min(stop, len(self.users)))
        return replace(
            self,
            users=self.users[start:stop],
            row=self.row[inside] - start,
            item=self.item[inside],
            weight=weight / weight.sum(),
            history=self.history.rows(rows)[0],
        )

    def to(self, device: torch.device) -> Episode:
        """The same with its tensors on ``device``."""
        moved = {name: getattr(self, name).to(device) for name in _TENSORS}
        history = Ragged(self.history.indptr.to(device), self.history.values.to(device))
        return replace(self, **moved, history=history)


_TENSORS = ("row", "item", "weight", "candidates")


@dataclass(frozen=True, eq=False)
class Columns:
    """What the columns of a batch's scores are to its targets.

    ``target`` int64 [T]: the column of each; ``allowed`` bool [B, C]: the columns that may stand
    beside one; ``offset`` float [B, C]: the logarithm of how many items a column stands for in a
    sum over all, None where each is one.
    """

    target: Tensor
    allowed: Tensor
    offset: Tensor | None = None


def columns_of(episode: Episode, slots: Slots | None) -> Columns:
    """The columns of the scores of ``episode`` at ``slots``; None: all items in order."""
    if slots is None:
        return Columns(episode.item, episode.allowed)
    n_items = len(episode.candidates)
    row = torch.arange(len(slots.item), device=slots.item.device).unsqueeze(1)
    had = episode.history.row * n_items + episode.history.values
    allowed = slots.there & episode.candidates[slots.at]
    allowed &= ~torch.isin(row * n_items + slots.item, had)
    there = slots.item[episode.row] == episode.item.unsqueeze(1)  # [T, C]
    return Columns(there.int().argmax(dim=1), allowed, slots.stands_for.log())


def episode_of(window: Window, snapshot: Snapshot, most_users: int, seed: int) -> Episode:
    """The episode of ``window`` seen from ``snapshot``, of at most ``most_users`` drawn users."""
    asked = np.zeros(window.snapshot.n_users, bool)
    asked[window.targets.user] = True
    users = np.flatnonzero(asked)
    if len(users) > most_users:
        drawn = np.random.default_rng(seed).choice(len(users), most_users, replace=False)
        users = users[np.sort(drawn)]
        asked[:] = False
        asked[users] = True
    chosen = asked[window.targets.user]
    row = np.searchsorted(users, window.targets.user[chosen])
    weight = 1.0 / np.bincount(row, minlength=len(users))[row] / len(users)
    # what a user holds is no wrong answer, though its past may be hidden in ``snapshot``
    pairs = window.snapshot.pairs
    places, counts = _places(pairs.indptr(window.snapshot.n_users), users)
    history = Ragged(torch.from_numpy(counts), torch.from_numpy(pairs.item[places]))
    return Episode(
        snapshot,
        users,
        torch.from_numpy(row),
        torch.from_numpy(window.targets.item[chosen].astype(np.int64)),
        torch.from_numpy(weight.astype(np.float32)),
        torch.from_numpy(window.candidates),
        history,
    )


def _places(indptr: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of the users' entries in rows at ``indptr``, and offsets for them."""
    counts = indptr[users + 1] - indptr[users]
    offsets = np.append(0, np.cumsum(counts))
    return np.repeat(indptr[users] - offsets[:-1], counts) + np.arange(offsets[-1]), offsets


def past_tasks(dataset: Dataset, snapshot: Snapshot, config: TrainConfig) -> Iterator[Window]:
    """The earlier ``windows`` before the time of ``snapshot``, latest first; where the split is not
    by date, or there is not one such window, ``hidden_windows`` of it."""
    several = False
    if dataset.valid_cut is not None and snapshot.time is not None:
        how = (config.windows, config.window_step, config.warm_up)
        for one in each_window(dataset, snapshot.time, *how):
            several = True
            yield one
            del one  # as in ``each_window``
    if not several:
        how = (config.windows, config.seed, config.hidden_core)
        yield from hidden_windows(dataset, snapshot, *how)


def episodes(dataset: Dataset, snapshot: Snapshot, config: TrainConfig) -> list[Episode]:
    """The episodes that what is known in ``snapshot`` makes: see ``each_episode``."""
    return list(each_episode(dataset, snapshot, config))


def each_episode(dataset: Dataset, snapshot: Snapshot, config: TrainConfig) -> Iterator[Episode]:
    """The episodes that what is known in ``snapshot`` makes, one at a time: see ``past_tasks``.

    Where the readout has weights of text alone each window comes once more, with a share of the
    items (``cold_share``, drawn for each) known by text alone, so that the model learns where new
    ones stand among the others. Raises DataError where there is not one with enough to predict.
    """
    seen = np.zeros(dataset.n_users, np.int64)
    share = config.model.hidden_share
    text = config.model.text and dataset.vectors.shape[1] > 0
    none = True
    for number, one in enumerate(past_tasks(dataset, snapshot, config)):
        if config.seeds_per_user:
            one = _of_users(one, seen < config.seeds_per_user)
        if not len(one.targets):
            continue
        whole = episode_of(one, one.snapshot, config.window_users, config.seed + number)
        seen[whole.users] += 1
        none = False
        yield whole
        if share and text:
            rng = np.random.default_rng((config.seed, number))
            hidden = rng.random(dataset.n_items) < share
            cold = without_nodes(one.snapshot, "item", hidden)
            few = max(1, int(_COLD_USERS * config.window_users))
            again = episode_of(one, cold, few, config.seed + number)
            yield replace(again, cold=True)
            del cold, again
        del one, whole
    if none:
        raise DataError(
            "there is nothing to back-test on: no earlier window, and too few users to hide "
            "interactions of",
            expected=f"{FEWEST_USERS} users with two products or more before validation",
            where=str(dataset.path),
            mend="train with model.readout=tower, seeds=interactions and loss=softmax",
        )


def _of_users(window: Window, kept: np.ndarray) -> Window:
    """``window`` with the targets of the users ``kept`` (bool [U]) alone."""
    return replace(window, targets=window.targets.where(kept[window.targets.user]))


def known_in_all(windows: Iterable[Episode], snapshot: Snapshot) -> Snapshot:
    """``snapshot`` without the pairs that a window does not know.

    What training starts from is made of it: else a start would hold the targets it is to find.
    """
    keys = pair_keys(snapshot.pairs.user, snapshot.pairs.item, snapshot.n_items)
    inside = np.ones(len(keys), bool)
    for snapshot_of in (one.snapshot for one in windows if not one.cold):
        pairs = cast(Snapshot, snapshot_of).pairs
        inside &= np.isin(keys, pair_keys(pairs.user, pairs.item, snapshot.n_items))
    return without_pairs(snapshot, ~inside)


def listwise_loss(
    scores: Tensor, episode: Episode, floor: float = 0.0, columns: Columns | None = None
) -> Tensor:
    """Return -sum of weight * log(p + floor), p the softmax over the allowed items: a scalar.

    The mean over users. A target far below ``floor``, which no first page would show, has hardly a
    gradient; with 0 it is such targets that the likelihood is mostly about. Where a column stands
    for several items, its part of the sum over all is theirs.
    """
    columns = columns or columns_of(episode, None)
    offset = scores if columns.offset is None else scores + columns.offset
    total = log_sums(offset, columns.allowed)
    each = scores[episode.row, columns.target] - total[episode.row]
    if floor:
        each = torch.logaddexp(each, torch.full_like(each, math.log(floor)))
    return -(each * episode.weight).sum()


def episode_loss(scores: Tensor, episode: Episode, config: TrainConfig, columns: Columns) -> Tensor:
    """Return the loss that ``config`` names, of the seeds' scores [B, C]: a scalar."""
    if config.loss == "backtest":
        return listwise_loss(scores, episode, config.loss_floor, columns)
    positive = scores[episode.row, columns.target]
    # a target is no negative of another one of the same seed
    allowed = columns.allowed.clone()
    allowed[episode.row, columns.target] = False
    if columns.offset is not None and config.loss == "softmax":
        scores = scores + columns.offset
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
        windows: Iterable[Episode],
        config: TrainConfig,
        labeler: PseudoLabeler | None,
        progress: Progress = SILENT,
    ) -> None:
        self.model = model
        self.config = config
        self.labels = model.pseudo_labels()
        self.labeler = labeler if self.labels is not None else None
        again = 2 if config.model.hidden_share and self.labels is not None else 1
        total = len(windows) if isinstance(windows, Sequence) else again * config.windows
        with progress.task("windows", total, "windows") as task:

            def make(given: tuple[int, Episode]) -> list[_Batch]:
                number, episode = given
                name = f"window {number + 1} of {total}"
                made = self._window(episode, number, progress, name)
                task.advance(1)
                return made

            if config.workers:
                with ThreadPoolExecutor(config.workers) as pool:
                    found = list(pool.map(make, enumerate(windows)))
            else:
                found, each = [], iter(windows)
                for number in itertools.count():
                    given = next(each, None)
                    if given is None:
                        break
                    found.append(make((number, given)))
                    del given
        self.batches: list[_Batch] = [one for some in found for one in some]

    def epoch(self, epoch: int) -> Iterator[tuple[JointLoss, int]]:
        """The joint loss of each batch and how many targets it has."""
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.batches))
        with reused_memory():
            for number in order.tolist():
                yield self._loss(self.batches[number]), len(self.batches[number].episode.row)

    def _window(self, episode: Episode, number: int, progress: Progress, name: str) -> list[_Batch]:
        """The batches of one window; what its relations learn, they learn of its own past."""
        model, config = self.model, self.config
        parts = _split(episode, config.batch_size)
        snapshot = cast(Snapshot, episode.snapshot)
        targets = self.labeler.targets(snapshot) if self.labeler is not None else None
        fanouts = config.fanouts(snapshot, number)
        view = GraphTensors(snapshot, config.torch_device(), fanouts)
        model.prepare(view, config.seed, progress, name)
        key = hash((config.seed, number)) % 2**63  # the same draw with either sampler
        found = [_Batch(model, view, one, targets, key) for one in parts]
        # there is a view for each window, and all are kept
        if all(model.slots(one.evidence) is not None for one in found):
            view.release()
            return [one.released() for one in found]
        view.forget()
        return found

    def _loss(self, batch: _Batch) -> JointLoss:
        """Formula (7)."""
        config = self.config
        with config.autocast():
            scores = self.model(batch.evidence, text_only=batch.episode.cold).float()
        rec = episode_loss(scores, batch.episode, config, batch.columns)
        pseudo, reg = rec.new_zeros(()), rec.new_zeros(())
        if self.labels is not None and batch.labels is not None:
            text, target, confidence = batch.labels
            pseudo = pseudo_loss(self.labels(text), target, confidence)
        for name, penalty in self.model.penalties().items():
            reg = reg + getattr(config, name) * penalty
        total = config.lambda_rec * rec + config.lambda_pseudo * pseudo + reg
        return JointLoss(total, rec.detach(), pseudo.detach(), reg.detach())


def _split(episode: Episode, size: int) -> list[Episode]:
    """The episode in parts of at most ``size`` users."""
    if len(episode.users) <= size:
        return [episode]
    return [episode.part(one, one + size) for one in range(0, len(episode.users), size)]


def _labels(
    episode: Episode, snapshot: Snapshot, targets: PseudoTargets | None, device: torch.device
) -> tuple[Tensor, ...] | None:
    """Texts [n, d], targets [n, C] and confidences [n] of the seeds and all items that have any."""
    if targets is None:
        return None
    users = episode.users
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
        key: int,
    ) -> None:
        self.labels = _labels(episode, view.snapshot, targets, view.device)
        self.episode = episode.to(view.device)
        asked = Asked(self.episode.row, self.episode.item, key)
        self.evidence = model.evidence(view, view.seeds(episode.users), asked)
        self.columns = columns_of(self.episode, model.slots(self.evidence))

    def released(self) -> _Batch:
        """The same without the snapshot that its evidence was made in."""
        self.episode = replace(self.episode, snapshot=None)
        return self
