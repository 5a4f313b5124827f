"""A text encoder that needs no model."""

import numpy as np
import pytest
from dataset_worlds import DIM, vector_of

from finrec_dgl.dataset import texts
from finrec_dgl.text import Encoded


class FakeEncoder:
    """Stands in for ``encode_texts``; remembers every text it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.scale = 1.0

    def __call__(self, given, spec, *, cache=None, progress=None):
        self.seen += given
        rows = [vector_of(text) for text in given]
        vectors = np.stack(rows) if rows else np.zeros((0, DIM), np.float32)
        return Encoded(vectors * np.float32(self.scale), len(rows), 0, 0.0, {"model": "fake"})


@pytest.fixture(autouse=True)
def encoder(monkeypatch) -> FakeEncoder:
    fake = FakeEncoder()
    monkeypatch.setattr(texts, "encode_texts", fake)
    return fake
