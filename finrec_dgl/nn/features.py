"""What the model reads of each node: its text vector and its degree, gathered for a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from finrec_dgl.dataset import Snapshot
from finrec_dgl.graph import NODE_TYPES, Blocks


@dataclass(frozen=True)
class NodeFeatures:
    """Per node type, in the order of the nodes: text float [n, d], has_text bool [n], degree [n].

    ``degree`` counts interactions (float); a row of ``text`` is zero where there is no text.
    """

    text: Mapping[str, Tensor]
    has_text: Mapping[str, Tensor]
    degree: Mapping[str, Tensor]

    def gather(self, blocks: Blocks) -> NodeFeatures:
        """The features of the blocks' input nodes."""

        def pick(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {
                name: tensors[name] if blocks.inputs[name] is None else tensors[name][ids]
                for name, ids in blocks.inputs.items()
            }

        return NodeFeatures(pick(self.text), pick(self.has_text), pick(self.degree))


def features_of(snapshot: Snapshot, dtype: torch.dtype = torch.float32) -> NodeFeatures:
    """The features of all nodes as of ``snapshot``."""
    sizes = {"user": snapshot.n_users, "item": snapshot.n_items}
    ends = {"user": snapshot.pairs.user, "item": snapshot.pairs.item}
    vectors = {"user": snapshot.user_text, "item": snapshot.item_text}
    text, has_text, degree = {}, {}, {}
    for name in NODE_TYPES:
        text[name] = torch.from_numpy(np.array(vectors[name])).to(dtype)
        has_text[name] = text[name].ne(0).any(dim=1)
        counts = np.bincount(ends[name], minlength=sizes[name])
        degree[name] = torch.from_numpy(counts).to(dtype)
    return NodeFeatures(text, has_text, degree)
