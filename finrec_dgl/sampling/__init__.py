"""Orders what is predicted, and samples a batch's negatives and neighbours, without seed edges."""

from __future__ import annotations

from typing import Any

from finrec_dgl.sampling.fanouts import FULL, Fanouts, pair_fanouts
from finrec_dgl.sampling.layers import Blocks, whole_graph
from finrec_dgl.sampling.negatives import NEGATIVES, NegativeSampler
from finrec_dgl.sampling.neighbours import NeighborSampler
from finrec_dgl.sampling.order import SeedGroups

__all__ = [
    "FULL",
    "NEGATIVES",
    "Blocks",
    "Fanouts",
    "NegativeSampler",
    "NeighborSampler",
    "SeedGroups",
    "TemporalNeighborSampler",
    "pair_fanouts",
    "whole_graph",
]


def __getattr__(name: str) -> Any:
    # its base class is DGL's, which may not be installed and takes a second to import
    if name == "TemporalNeighborSampler":
        from finrec_dgl.sampling.dgl_sampler import TemporalNeighborSampler

        return TemporalNeighborSampler
    raise AttributeError(f"module 'finrec_dgl.sampling' has no attribute '{name}'")
