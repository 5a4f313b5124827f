"""What the model reads of each node: its text vector, its degree and how recent that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.base.units import DAY
from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph import NODE_TYPES
from finrec_dgl.graph.filters import time_kernel
from finrec_dgl.sampling import Blocks


@dataclass(frozen=True)
class NodeFeatures:
    """Per node type, in the order of the nodes: text float [n, d], has_text bool [n], degree [n].

    ``degree`` counts interactions (float); ``activity`` [n] does too, a product's by their age; a
    row of ``text`` is zero where there is no text.
    """

    text: Mapping[str, Tensor]
    has_text: Mapping[str, Tensor]
    degree: Mapping[str, Tensor]
    activity: Mapping[str, Tensor]

    def gather(self, blocks: Blocks) -> NodeFeatures:
        """The features of the blocks' input nodes."""

        def pick(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {
                name: tensors[name] if blocks.inputs[name] is None else tensors[name][ids]
                for name, ids in blocks.inputs.items()
            }

        return NodeFeatures(
            pick(self.text), pick(self.has_text), pick(self.degree), pick(self.activity)
        )

    def to(self, device: torch.device) -> NodeFeatures:
        """The same on ``device``."""
        parts = (self.text, self.has_text, self.degree, self.activity)
        return NodeFeatures(
            *({name: one.to(device) for name, one in part.items()} for part in parts)
        )

    def with_user_text(self, rows: Tensor, vectors: Tensor) -> NodeFeatures:
        """The same with other text [n, d] in the given rows of users; zero: no text."""
        text = self.text["user"].index_copy(0, rows, vectors.to(self.text["user"].dtype))
        has_text = self.has_text["user"].index_copy(0, rows, vectors.ne(0).any(dim=1))
        return replace(
            self,
            text={**self.text, "user": text},
            has_text={**self.has_text, "user": has_text},
        )


def features_of(
    snapshot: Snapshot, half_life: float = 0.0, dtype: torch.dtype = torch.float32
) -> NodeFeatures:
    """The features of all nodes as of ``snapshot``.

    activity_i = sum over interactions of product i of 2^(-age / half_life) + 1/2, the age in days;
    for users, and with ``half_life`` 0 or without timestamps, it is the degree.
    """
    sizes = {"user": snapshot.n_users, "item": snapshot.n_items}
    ends = {"user": snapshot.pairs.user, "item": snapshot.pairs.item}
    vectors = {"user": snapshot.user_text, "item": snapshot.item_text}
    weight = _recency(snapshot, half_life)
    text, has_text, degree, activity = {}, {}, {}, {}
    for name in NODE_TYPES:
        text[name] = torch.from_numpy(np.array(vectors[name])).to(dtype)
        has_text[name] = text[name].ne(0).any(dim=1)
        counts = np.bincount(ends[name], minlength=sizes[name])
        degree[name] = torch.from_numpy(counts).to(dtype)
        activity[name] = degree[name]
        if weight is not None and name == "item":
            recent = np.bincount(ends[name], weights=weight, minlength=sizes[name]) + 0.5
            activity[name] = torch.from_numpy(recent).to(dtype)
    return NodeFeatures(text, has_text, degree, activity)


def _recency(snapshot: Snapshot, half_life: float) -> np.ndarray | None:
    """2^(-age / half_life) of each pair, by when it was last seen; None: all alike."""
    if not half_life or snapshot.last is None or snapshot.time is None:
        return None
    return time_kernel((snapshot.time - snapshot.last) / DAY, half_life)
