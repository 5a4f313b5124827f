"""Tells what a data set holds: nodes, edges, dates, text, splits, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from finrec_dgl.dataset.numbers import scale_of
from finrec_dgl.dataset.snapshot import FROM_NONE, FROM_POSTS, FROM_PROFILE, Snapshot
from finrec_dgl.dataset.splits import iso
from finrec_dgl.dataset.store import Dataset

_QUANTILES = {"min": 0.0, "25%": 0.25, "median": 0.5, "75%": 0.75, "99%": 0.99, "max": 1.0}


def describe(dataset: Dataset) -> dict[str, Any]:
    """A nested mapping of plain values, as JSON can hold; nothing in it is about a single user.

    Edges, degrees, popularity and text are those of all before the cut. ``popularity``: the share
    of all pairs that the most held items have. ``cold``: users or items of targets that have no
    edge in the snapshot to learn from. ``held out``: the nodes taken out of it, where the split
    takes some. Shares are from 0 to 1. ``numbers``: for each numeric column the nodes whose value
    is known, and how it is scaled: mean and sd over nodes with edges, of the logarithm if told.
    """
    fit = dataset.snapshot("fit")
    manifest = dataset.manifest
    time = dataset.interactions.time
    user_degrees = np.bincount(fit.pairs.user, minlength=fit.n_users)
    item_degrees = np.bincount(fit.pairs.item, minlength=fit.n_items)
    cells = fit.n_users * fit.n_items
    return {
        "path": str(dataset.path),
        "hash": dataset.hash,
        "created": manifest["created"],
        "format": manifest["source"]["format"],
        "source": manifest["source"]["name"],
        "nodes": {"user": fit.n_users, "item": fit.n_items},
        "edges": {
            "interacts": len(fit.pairs),
            **{kind: len(source) for kind, (source, _) in fit.ties.items()},
            **{name: len(edges) for (_, name, _), edges in fit.edges.items()},
        },
        **({} if not fit.edges else {"edge tables": _edge_tables(fit)}),
        "interactions": {
            "events": len(dataset.interactions),
            "first": None if time is None or not len(time) else iso(time[0]),
            "last": None if time is None or not len(time) else iso(time[-1]),
            "density": len(fit.pairs) / cells if cells else 0.0,
        },
        "degrees": {"user": _quantiles(user_degrees), "item": _quantiles(item_degrees)},
        "popularity": _popularity(item_degrees),
        "text": _text(dataset, fit),
        "categories": {
            "item": {name: len(names) for name, names in dataset.item_category_names.items()},
            "user": {name: len(names) for name, names in dataset.user_category_names.items()},
        },
        "numbers": {
            "item": _numbers(fit.item_values, item_degrees > 0),
            "user": _numbers(fit.user_values, user_degrees > 0),
        },
        "split": {
            name: manifest["split"][name] for name in ("kind", "valid_cut", "cut", "test_end")
        },
        **({} if dataset.cold_side is None else {"held out": _held_out(dataset)}),
        "valid": _targets(dataset, "valid", dataset.snapshot("train")),
        "test": _targets(dataset, "test", fit),
        "user ids": manifest["user_ids"]["stored"],
        "dropped": dict(manifest["dropped"]),
    }


def _edge_tables(fit: Snapshot) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "from": src,
            "to": dst,
            "edges": len(edges),
            "dated": edges.time is not None,
            "features": list(edges.feature_names),
        }
        for (src, name, dst), edges in fit.edges.items()
    }


def _held_out(dataset: Dataset) -> dict[str, Any]:
    return {
        "side": dataset.cold_side,
        "as validation begins": int(dataset.cold("valid").sum()),
        "as the test begins": int(dataset.cold("test").sum()),
    }


def _quantiles(degrees: np.ndarray) -> dict[str, float]:
    if not len(degrees):
        return {}
    values = np.quantile(degrees, list(_QUANTILES.values())).tolist()
    found = dict(zip(_QUANTILES, values, strict=True))
    return {**found, "mean": float(degrees.mean()), "without edges": int((degrees == 0).sum())}


def _popularity(degrees: np.ndarray) -> dict[str, float]:
    total = max(int(degrees.sum()), 1)
    ordered = np.sort(degrees)[::-1]
    percent = int(np.ceil(len(degrees) / 100))
    return {
        "top item": float(ordered[:1].sum() / total),
        "top 10 items": float(ordered[:10].sum() / total),
        "top 1% of items": float(ordered[:percent].sum() / total),
    }


def _text(dataset: Dataset, fit: Snapshot) -> dict[str, Any]:
    source = fit.user_text_from
    has_text = fit.item_text.any(axis=1)
    return {
        "encoder": dataset.manifest["options"]["encoder"]["name"],
        "dim": dataset.vectors.shape[1],
        "distinct texts": len(dataset.vectors),
        "user": {
            "from posts": int((source == FROM_POSTS).sum()),
            "from profile": int((source == FROM_PROFILE).sum()),
            "none": int((source == FROM_NONE).sum()),
        },
        "item": {"text": int(has_text.sum()), "none": int((~has_text).sum())},
    }


def _numbers(columns: Mapping[str, np.ndarray], seen: np.ndarray) -> dict[str, dict[str, Any]]:
    """For each column how it is scaled; no smallest or largest, which would be a single node's."""
    found = {}
    for name, values in columns.items():
        scale = scale_of(values, seen)
        found[name] = {
            "known": int(np.isfinite(values).sum()),
            "scaled over": scale.known,
            "scale": "log(1 + x)" if scale.log else "as it is",
            "mean": scale.mean,
            "sd": scale.sd,
        }
    return found


def _targets(dataset: Dataset, split: str, base: Snapshot) -> dict[str, int]:
    targets = dataset.targets(split)
    asked, held = (
        (
            np.bincount(pairs.user, minlength=base.n_users) > 0,
            np.bincount(pairs.item, minlength=base.n_items) > 0,
        )
        for pairs in (targets, base.pairs)
    )
    return {
        "users": int(asked[0].sum()),
        "targets": len(targets),
        "candidates": int(dataset.candidates(split).sum()),
        "cold users": int((asked[0] & ~held[0]).sum()),
        "cold items": int((asked[1] & ~held[1]).sum()),
        "targets of cold items": int((~held[1][targets.item]).sum()),
    }
