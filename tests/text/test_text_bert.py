"""BERT's own forward pass against transformers', and where it must not be taken."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import WORDS, save_bert, save_decoder

from finrec_dgl.kernels.bert import has_bfloat16
from finrec_dgl.kernels.int8 import Bfloat16Linear, Int8Linear, has_int8
from finrec_dgl.text import EncoderSpec, bert, encode_with
from finrec_dgl.text.encoder import Encoder, resolve

pytestmark = pytest.mark.skipif(not has_int8(), reason="no native code for texts here")


def load(folder: Path, **options: object) -> Encoder:
    spec = {"name": str(folder), "precision": "float32", "max_length": 64, **options}
    return Encoder(resolve(EncoderSpec(**spec)))


def some_texts(count: int, most: int) -> list[str]:
    rng = np.random.default_rng(count)
    return [" ".join(rng.choice(WORDS, rng.integers(1, most))) for _ in range(count)]


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize(("width", "heads"), [(64, 4), (64, 2), (144, 3), (128, 2)])
def test_it_gives_what_transformers_gives(
    width: int, heads: int, pooling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a text that sees its neighbour, or a step that transformers takes and we do not."""
    encoder = load(save_bert(tmp_path, width=width, heads=heads), pooling=pooling)
    with torch.no_grad():
        for weight in encoder.network.parameters():
            weight += 0.2 * torch.randn_like(weight)
    assert bert.is_bert(encoder.network)
    texts = some_texts(37, 62)
    found = encode_with(encoder, texts)
    monkeypatch.setattr(bert, "is_bert", lambda _: False)
    np.testing.assert_allclose(found, encode_with(encoder, texts), atol=1e-5)


def test_the_whole_length_is_attended_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches scores beyond the room for them, and texts of one token or one more than a vector."""
    encoder = load(save_bert(tmp_path, width=64), max_length=64)
    texts = [" ".join(WORDS[:1] * length) for length in (1, 13, 14, 15, 30, 31, 61, 62, 90)]
    found = encode_with(encoder, texts)
    monkeypatch.setattr(bert, "is_bert", lambda _: False)
    np.testing.assert_allclose(found, encode_with(encoder, texts), atol=1e-5)


@pytest.mark.skipif(not has_bfloat16(), reason="no native bfloat16 here")
def test_bfloat16_is_near_float32(tmp_path: Path) -> None:
    """Catches weights or inputs of half the width read as what they are not."""
    folder = save_bert(tmp_path, width=144, heads=3)
    brief = load(folder, precision="bfloat16")
    assert bert.is_bert(brief.network)
    texts = some_texts(37, 62)
    np.testing.assert_allclose(
        encode_with(brief, texts), encode_with(load(folder), texts), atol=0.01
    )


@pytest.mark.skipif(not has_bfloat16(), reason="no native bfloat16 here")
def test_int8_leaves_some_layers_to_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches layers left in 8 bits, vectors of both kinds in one cache, and rows mixed up."""
    from finrec_dgl.kernels import bert as native

    folder, texts = save_bert(tmp_path, width=144, heads=3), some_texts(37, 62)
    exact, mixed = encode_with(load(folder), texts), load(folder, precision="int8")
    layer = mixed.network.encoder.layer[0]
    assert type(layer.attention.self.value) is type(layer.intermediate.dense) is Bfloat16Linear
    assert type(layer.attention.self.key) is type(layer.output.dense) is Int8Linear
    found, told = encode_with(mixed, texts), mixed.model.ingredients()
    with monkeypatch.context() as patched:
        patched.setattr(bert, "is_bert", lambda _: False)
        np.testing.assert_allclose(found, encode_with(mixed, texts), atol=2e-3)
    monkeypatch.setattr(native, "has_bfloat16", lambda: False)
    whole = load(folder, precision="int8")
    assert type(whole.network.encoder.layer[0].attention.self.value) is Int8Linear
    assert bert.is_bert(whole.network)
    assert whole.model.ingredients() != told
    assert ((found - exact) ** 2).sum() < ((encode_with(whole, texts) - exact) ** 2).sum()


def test_threads_and_neighbours_change_nothing(tmp_path: Path) -> None:
    """Catches sums that depend on how texts are dealt out or batched."""
    encoder = load(save_bert(tmp_path, width=64), precision="int8")
    texts = some_texts(50, 40)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(encode_with(encoder, texts))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)
    alone = np.concatenate([encode_with(encoder, [text]) for text in texts])
    np.testing.assert_array_equal(found[0], alone)


def test_others_go_by_transformers(tmp_path: Path) -> None:
    """Catches a model, a head or a precision that the pass does not know taken for one it does."""
    other = save_decoder(tmp_path / "llama")
    narrow = save_bert(tmp_path / "narrow")
    right = save_bert(tmp_path / "right", width=64)
    assert not bert.is_bert(load(other).network)
    assert not bert.is_bert(load(narrow).network)
    network = load(right).network
    network.encoder.layer[1].output.dense.double()
    assert not bert.is_bert(network)
    network = load(right).network
    network.config.hidden_act = "relu"
    assert not bert.is_bert(network)
