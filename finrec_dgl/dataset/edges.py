"""The edges of one relation, read from an edge table, and those known at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from finrec_dgl.base.errors import DataError

Relation = tuple[str, str, str]
"""Node type of the sources, name, node type of the targets."""


@dataclass(frozen=True, eq=False)
class ExtraEdges:
    """Edges of one relation, sorted by time.

    Parameters
    ----------
    src, dst : np.ndarray
        Node numbers of the ends, int32 [E]. Two edges may have the same ends.
    time : np.ndarray or None
        Seconds since 1970 UTC, int64 [E]; None where the edges are undated.
    features : np.ndarray
        Float32 [E, F], finite, as in the table.
    feature_names : tuple of str
        The columns of ``features``.

    Raises
    ------
    DataError
        If the arrays do not fit together.
    """

    src: np.ndarray
    dst: np.ndarray
    time: np.ndarray | None
    features: np.ndarray
    feature_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shapes = [self.src.shape, self.dst.shape, (len(self.features),)]
        shapes += [] if self.time is None else [self.time.shape]
        expected = (len(self.src), len(self.feature_names))
        if len(set(shapes)) > 1 or self.features.shape != expected:
            raise DataError(
                f"edges have ends {shapes[0]} and {shapes[1]}, features {self.features.shape}",
                expected=f"one length, and features {expected}",
            )

    def __len__(self) -> int:
        return len(self.src)

    def before(self, time: int | None) -> ExtraEdges:
        """Return the edges dated before ``time`` (seconds since 1970 UTC); undated ones always.

        None returns all of them. The arrays are views.
        """
        if time is None or self.time is None:
            return self
        known = slice(int(np.searchsorted(self.time, time)))
        return replace(
            self,
            src=self.src[known],
            dst=self.dst[known],
            time=self.time[known],
            features=self.features[known],
        )


def stored_edges(
    manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[Relation, ExtraEdges]:
    """Put the stored ``arrays`` of all relations together as ``manifest["edges"]`` names them."""
    found = {}
    for name, record in manifest["edges"].items():
        found[record["src"], name, record["dst"]] = ExtraEdges(
            arrays[f"{name}.src"],
            arrays[f"{name}.dst"],
            arrays.get(f"{name}.time"),
            arrays[f"{name}.features"],
            tuple(record["features"]),
        )
    return found
