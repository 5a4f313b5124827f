"""Small made-up banks whose texts have vectors without an encoder."""

import dataclasses

import numpy as np


def with_vectors(dataset, dim=6):
    """``dataset`` with a text for every item and user, without an encoder."""
    rng = np.random.default_rng(0)
    nodes = {"item": dataset.n_items, "user": dataset.n_users}
    vectors = rng.normal(size=(sum(nodes.values()), dim)).astype(np.float32)
    parts, first = {}, 0
    for name, count in nodes.items():
        profiles = getattr(dataset, f"{name}_profiles")
        parts[f"{name}_profiles"] = dataclasses.replace(
            profiles, text=(first + profiles.node).astype(np.int32)
        )
        first += count
    return dataclasses.replace(dataset, vectors=vectors, **parts)
