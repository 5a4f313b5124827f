"""Texts in, vectors out: order, duplicates, batches, progress."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiny_models import WORDS

from finrec_dgl.base.errors import UsageError
from finrec_dgl.text import EncoderSpec, encode_texts, encoding
from finrec_dgl.text.encoder import Encoder
from finrec_dgl.text.encoding import batches


def spec_of(folder: Path) -> EncoderSpec:
    return EncoderSpec(name=str(folder), precision="float32", max_length=64)


def some_texts(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 20))) for _ in range(count)]


@pytest.fixture
def rows_forwarded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each forward pass took."""
    counts: list[int] = []
    original = Encoder.forward

    def counted(self: Encoder, tokens: object, rows: np.ndarray) -> np.ndarray:
        counts.append(len(rows))
        return original(self, tokens, rows)

    monkeypatch.setattr(Encoder, "forward", counted)
    return counts


def test_batches_hold_each_text_once_within_the_budget() -> None:
    """Would catch a text that is lost, repeated, or batched over the budget."""
    lengths = np.random.default_rng(1).integers(0, 60, 500)
    lengths[7] = 900
    found = list(batches(lengths, 128))
    assert sorted(np.concatenate(found)) == list(range(500))
    for batch in found:
        assert (
            len(batch) == 1
            or len(batch) * lengths[batch].max() <= 128
            or (lengths[batch] == 0).all()
        )
        assert (lengths[batch] == 0).all() or (lengths[batch] > 0).all()
    assert list(batches(np.zeros(0, np.int64), 128)) == []
    assert [list(one) for one in batches(np.zeros(2, np.int64), 128)] == [[0, 1]]


def test_order_is_the_callers_whatever_the_batches(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch rows left in the order of their lengths, or vectors that hang on the batch."""
    texts = some_texts(60)
    whole = encode_texts(texts, spec_of(bert)).vectors
    monkeypatch.setattr(encoding, "_CPU_TOKENS", 1)
    alone = encode_texts(texts, spec_of(bert)).vectors
    np.testing.assert_allclose(whole, alone, atol=1e-5)
    back = encode_texts(texts[::-1], spec_of(bert)).vectors[::-1]
    np.testing.assert_allclose(whole, back, atol=1e-5)


def test_each_distinct_text_is_encoded_once(bert: Path, rows_forwarded: list[int]) -> None:
    """Would catch duplicates that cost time, or that come back with another text's vector."""
    texts = ["bonds", "large banks", "bonds", "", "large banks", "bonds"]
    encoded = encode_texts(texts, spec_of(bert))
    assert sum(rows_forwarded) == encoded.encoded == 2
    assert encoded.cached == 0
    np.testing.assert_array_equal(encoded.vectors[0], encoded.vectors[2])
    np.testing.assert_array_equal(encoded.vectors[1], encoded.vectors[4])
    assert np.abs(encoded.vectors[0] - encoded.vectors[1]).max() > 1e-3


def test_no_text_has_the_zero_vector(bert: Path, rows_forwarded: list[int]) -> None:
    """Would catch a vector for 'nothing said', which would make the silent alike."""
    encoded = encode_texts(["", "bonds", ""], spec_of(bert))
    assert not encoded.vectors[[0, 2]].any()
    assert encoded.vectors[1].any()
    assert encode_texts(["", ""], spec_of(bert)).vectors.shape == (2, 16)
    assert encode_texts([], spec_of(bert)).vectors.shape == (0, 16)
    assert sum(rows_forwarded) == 1


def test_a_text_without_a_token_has_the_zero_vector(
    bert: Path, rows_forwarded: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Would catch a division by zero where a tokenizer without special tokens finds none."""
    original = Encoder.__init__

    def bare(self: Encoder, model: object) -> None:
        original(self, model)
        tokenizer = self.tokenizer
        self.tokenizer = lambda *args, **options: tokenizer(
            *args, **options, add_special_tokens=False
        )

    monkeypatch.setattr(Encoder, "__init__", bare)
    encoded = encode_texts(["   ", "bonds"], spec_of(bert), cache=tmp_path)
    assert not encoded.vectors[0].any()
    assert encoded.vectors[1].any()
    assert encode_texts(["   "], spec_of(bert), cache=tmp_path).cached == 1


def test_the_encoder_none_has_no_columns() -> None:
    """Would catch a model loaded where none was asked for."""
    encoded = encode_texts(["a", ""], EncoderSpec(name="none"))
    assert encoded.vectors.shape == (2, 0)
    assert (encoded.encoded, encoded.cached) == (0, 0)


def test_a_text_that_is_none_is_refused_by_row(bert: Path) -> None:
    """Would catch the word 'None' as a text, or an error that shows other people's texts."""
    with pytest.raises(UsageError, match="row 1") as caught:
        encode_texts(["private words", None], spec_of(bert))  # type: ignore[list-item]
    assert "private" not in str(caught.value)


def test_progress_counts_the_texts_and_their_rate(bert: Path) -> None:
    """Would catch a bar that never ends, or texts that leak into it."""
    seen: list[tuple[int, dict]] = []
    totals: list[object] = []
    notes: list[str] = []

    class Task:
        def advance(self, steps: int = 1, **fields: object) -> None:
            seen.append((steps, fields))

    class Listener:
        @contextmanager
        def task(self, name: str, total: int | None, unit: str = ""):
            totals.append(total)
            yield Task()

        def note(self, text: str) -> None:
            notes.append(text)

    texts = some_texts(40)
    encode_texts(texts, spec_of(bert), progress=Listener())
    assert totals == [len(set(texts))]
    assert sum(steps for steps, _ in seen) == len(set(texts))
    assert all(fields["texts_per_second"] > 0 for _, fields in seen)
    assert not any(text in note for text in texts for note in notes if " " in text)


def test_torchs_threads_and_random_state_are_left_alone(bert: Path) -> None:
    """Would catch an encoder that takes the whole machine or shifts a seeded run."""
    import torch

    torch.manual_seed(3)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    encode_texts(some_texts(5), spec_of(bert))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
