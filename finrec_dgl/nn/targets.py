"""Targets of the pseudo-labels: prototypes of text, product categories, or a file of labels.

Nothing that is dated after the snapshot has a say in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.dataset import Dataset, Snapshot
from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.nn.config import HybridConfig
from finrec_dgl.relations.text_near import one_hot
from finrec_dgl.tables.columns import Field, load_table
from finrec_dgl.tables.options import ReadOptions


@dataclass(frozen=True)
class PseudoTargets:
    """Per node type: target float [n, C] in [0, 1] and confidence float [n] (0: no target)."""

    target: Mapping[str, Tensor]
    confidence: Mapping[str, Tensor]
    classes: tuple[str, ...]

    def to(self, device: torch.device) -> PseudoTargets:
        """The same on ``device``."""
        target, confidence = (
            {name: one.to(device) for name, one in part.items()}
            for part in (self.target, self.confidence)
        )
        return PseudoTargets(target, confidence, self.classes)


class PseudoLabeler:
    """Gives the nodes of any snapshot their pseudo-label targets, of classes fixed once.

    ``prototypes``: softmax(sharpness * cosine of e_i to k-means centres of training nodes' text)
    ``columns``: one-hot categories of items; a user's is the mean over the items of their history
    ``file``: see ``read_pseudo_file``.

    Parameters
    ----------
    config : HybridConfig
        Names the kind of targets in ``pseudo_target``. A share ``pseudo_noise`` of the nodes that
        have a target is given that of another one.
    dataset : Dataset
        Where ids and categories are.
    snapshot : Snapshot
        What the classes are made of: nothing else has a say in them.
    seed : int
        Of k-means, and of what is exchanged.

    Raises
    ------
    ConfigError
        If the data set lacks what is asked for.
    """

    def __init__(
        self, config: HybridConfig, dataset: Dataset, snapshot: Snapshot, seed: int = 0
    ) -> None:
        self.config, self.seed = config, seed
        self._file: PseudoTargets | None = None
        self._centres = np.zeros((0, 0), np.float32)
        if config.pseudo_target == "prototypes":
            self._centres = _centres(config, snapshot, seed)
        elif config.pseudo_target == "file":
            self._file = read_pseudo_file(Path(config.pseudo_file or ""), dataset)
        self.classes = self.targets(snapshot).classes

    def targets(self, snapshot: Snapshot) -> PseudoTargets:
        """Return the targets of all nodes, from nothing but ``snapshot`` and the classes."""
        if self._file is not None:
            found = self._file
        elif self.config.pseudo_target == "columns":
            found = _columns(self.config, snapshot)
        else:
            found = _prototypes(self.config, snapshot, self._centres)
        return _exchanged(found, self.config.pseudo_noise, self.seed)


def _exchanged(targets: PseudoTargets, share: float, seed: int) -> PseudoTargets:
    """``targets`` in which a drawn ``share`` of the nodes of a type pass theirs on in a circle."""
    if not share:
        return targets
    rng = np.random.default_rng(seed)
    target, confidence = dict(targets.target), dict(targets.confidence)
    for name in NODE_TYPES:
        known = np.flatnonzero(confidence[name].numpy() > 0)
        drawn = rng.permutation(known)[: round(share * len(known))]
        rows, others = torch.from_numpy(drawn), torch.from_numpy(np.roll(drawn, 1))
        target[name] = target[name].index_copy(0, rows, target[name][others])
        confidence[name] = confidence[name].index_copy(0, rows, confidence[name][others])
    return PseudoTargets(target, confidence, targets.classes)


def _text_of(snapshot: Snapshot) -> dict[str, np.ndarray]:
    return {"user": snapshot.user_text, "item": snapshot.item_text}


def _centres(config: HybridConfig, snapshot: Snapshot, seed: int) -> np.ndarray:
    """K-means centres at length 1 of the texts of nodes with an interaction, float32 [C, d]."""
    from scipy.cluster.vq import kmeans2

    text = _text_of(snapshot)
    known = {name: np.abs(vectors).sum(axis=1) > 0 for name, vectors in text.items()}
    trained = {
        "user": np.bincount(snapshot.pairs.user, minlength=snapshot.n_users) > 0,
        "item": np.bincount(snapshot.pairs.item, minlength=snapshot.n_items) > 0,
    }
    rng = np.random.default_rng(seed)
    sample = [_some(text[name][known[name] & trained[name]], 8192, rng) for name in NODE_TYPES]
    points = np.concatenate(sample).astype(np.float32)
    classes = min(config.pseudo_classes, len(np.unique(points, axis=0)))
    if classes == 0:
        return np.zeros((0, points.shape[1]), np.float32)
    centres, _ = kmeans2(points, classes, iter=20, minit="++", seed=seed, missing="raise")
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return np.asarray(centres, np.float32)


def _prototypes(config: HybridConfig, snapshot: Snapshot, centres: np.ndarray) -> PseudoTargets:
    text, target, confidence = _text_of(snapshot), {}, {}
    for name in NODE_TYPES:
        known = np.any(text[name], axis=1) & (len(centres) > 0)
        cosine = text[name] @ centres.T if len(centres) else np.zeros((len(known), 1), np.float32)
        sharp = config.pseudo_sharpness * torch.from_numpy(np.asarray(cosine, np.float32))
        target[name] = torch.softmax(sharp, dim=1) if len(centres) else sharp
        confidence[name] = torch.from_numpy(known.astype(np.float32))
    names = tuple(f"prototype {k}" for k in range(len(centres))) or ("none",)
    return PseudoTargets(target, confidence, names)


def _some(rows: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    if len(rows) <= limit:
        return rows
    return rows[np.sort(rng.choice(len(rows), limit, replace=False))]


def _columns(config: HybridConfig, snapshot: Snapshot) -> PseudoTargets:
    columns = config.pseudo_columns or tuple(snapshot.item_categories)
    unknown = [column for column in columns if column not in snapshot.item_categories]
    if unknown or not columns:
        raise ConfigError(
            f"the data set has no product categories {unknown or ''}".rstrip(),
            expected=f"some of {sorted(snapshot.item_categories)}",
            where="model.pseudo_columns",
        )
    parts = {column: one_hot(snapshot.item_categories[column]) for column in columns}
    names = [f"{column} {code}" for column, part in parts.items() for code in range(part.shape[1])]
    item = np.concatenate(list(parts.values()), axis=1)
    held = snapshot.matrix()
    count = np.asarray(held.sum(axis=1)).reshape(-1)
    user = np.asarray(held @ item) / np.maximum(count, 1)[:, None]
    return PseudoTargets(
        {"user": torch.from_numpy(user.astype(np.float32)), "item": torch.from_numpy(item)},
        {
            "user": torch.from_numpy((count > 0).astype(np.float32)),
            "item": torch.from_numpy((item.sum(axis=1) > 0).astype(np.float32)),
        },
        tuple(names),
    )


def read_pseudo_file(path: Path, dataset: Dataset) -> PseudoTargets:
    """Labels that a larger model, or a person, wrote: CSV or Parquet, one row a node.

    Columns: ``node`` (``user`` or ``item``), ``id``, optionally ``confidence`` in [0, 1] (else 1),
    and one column for each class with a number in [0, 1]. A node without a row has no target.
    Raises DataError for what cannot be used; labels must rest on nothing dated after the cut.
    """
    fields = (Field("node", required=True), Field("id", kind="id", required=True))
    table = load_table(path, "pseudo-labels", fields, ReadOptions(), {}, rest=True).table
    classes = [name for name in table.column_names if name not in ("node", "id", "confidence")]
    if not classes:
        raise DataError(
            "the file of pseudo-labels has no class columns",
            expected="node, id, then one column for each class",
            where=str(path),
        )
    sizes = {"user": dataset.n_users, "item": dataset.n_items}
    target = {name: torch.zeros(size, len(classes)) for name, size in sizes.items()}
    confidence = {name: torch.zeros(size) for name, size in sizes.items()}
    values = np.stack([_share(table, name, path) for name in classes], axis=1)
    sure = _share(table, "confidence", path) if "confidence" in table.column_names else None
    kinds = table.column("node").to_pylist()
    wrong = [row for row, kind in enumerate(kinds) if kind not in sizes]
    if wrong:
        raise DataError(
            f"node is {kinds[wrong[0]]!r}",
            expected="'user' or 'item'",
            where=f"{path}, row {wrong[0] + 2}, column node",
        )
    for name, index_of in (("user", dataset.user_indices), ("item", dataset.item_indices)):
        rows = np.array([row for row, kind in enumerate(kinds) if kind == name], dtype=np.int64)
        if not len(rows):
            continue
        index = index_of(table.column("id").take(rows))
        rows, index = rows[index >= 0], index[index >= 0]
        target[name][index] = torch.from_numpy(values[rows])
        confidence[name][index] = 1.0 if sure is None else torch.from_numpy(sure[rows])
    return PseudoTargets(target, confidence, tuple(classes))


def _share(table: pa.Table, name: str, path: Path) -> np.ndarray:
    texts = table.column(name).to_pylist()
    numbers = np.zeros(len(texts), dtype=np.float32)
    for row, text in enumerate(texts):
        try:
            numbers[row] = float(text)
        except (TypeError, ValueError):
            numbers[row] = np.nan
        if not 0 <= numbers[row] <= 1:
            raise DataError(
                f"the value is {text!r}",
                expected="a number from 0 to 1",
                where=f"{path}, row {row + 2}, column {name}",
            )
    return numbers
