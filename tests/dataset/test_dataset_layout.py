"""The digest of ids against JSON's own writing."""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finrec_dgl.dataset.layout import ids_digest


def plainly(words):
    text = json.dumps(words, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('",\\'))))
def test_ids_are_digested_as_json(words):
    """Catches ids that JSON escapes, and others that come to the same bytes."""
    assert ids_digest(pa.array(words, pa.string())) == plainly(words)


@pytest.mark.parametrize("odd", ["plain", 'a","b'])
def test_many_ids_are_digested_piece_by_piece(odd):
    """Catches a comma too many or too few between the pieces."""
    words = [f"u{number}" for number in range(140_000)]
    words[70_000] = odd
    assert ids_digest(pa.array(words)) == plainly(words)
