"""The default encoder: where it is found, what is refused, and what its vectors mean."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from finrec_dgl.base.errors import DataError
from finrec_dgl.text import EncoderSpec, encode_texts, hub, minilm
from finrec_dgl.text.encoder import resolve

needs_minilm = pytest.mark.skipif(
    minilm.packaged() is None, reason="the extra 'minilm' is not installed"
)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty hub cache, and a failure for whoever asks the hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@needs_minilm
def test_the_package_is_used_without_running_its_code() -> None:
    """Would catch an import of third-party code for the sake of four files."""
    assert minilm.find() == minilm.packaged()
    assert minilm.PACKAGE not in sys.modules


@needs_minilm
def test_the_hubs_cache_comes_first_and_is_verified(tmp_path: Path) -> None:
    """Would catch a snapshot taken on trust."""
    snapshot = (
        tmp_path
        / "hub"
        / f"models--{minilm.REPOSITORY.replace('/', '--')}"
        / "snapshots"
        / minilm.REVISION
    )
    shutil.copytree(minilm.packaged(), snapshot)
    assert minilm.find() == snapshot
    with open(snapshot / "tokenizer.json", "ab") as file:
        file.write(b"\n")
    with pytest.raises(DataError, match=r"tokenizer\.json .* is not the file") as caught:
        minilm.find()
    assert caught.value.expected == minilm.SHA256["tokenizer.json"]


def test_a_wrong_package_is_refused(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch other weights under the name of the default encoder."""
    package = tmp_path / "site" / minilm.PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    shutil.copytree(bert, package / "model")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(DataError, match=r"model\.safetensors .* is not the file"):
        minilm.find()


def test_where_it_is_nowhere_the_mend_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a traceback, or advice that needs the network that is not there."""
    monkeypatch.setattr(minilm, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(DataError) as caught:
        minilm.find()
    assert caught.value.mend == 'pip install "finrec-dgl[minilm]"'


@needs_minilm
def test_the_hash_is_taken_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch 90 MB hashed again on every call."""
    minilm.find()

    def never(path: Path) -> str:
        raise RuntimeError("hashed again")

    monkeypatch.setattr(minilm, "sha256", never)
    minilm.find()


@needs_minilm
def test_a_model_is_known_by_its_pinned_revision() -> None:
    """Would catch vectors encoded twice because the model came from elsewhere."""
    model = resolve(EncoderSpec(precision="float32"))
    assert (model.identity, model.pooling) == (minilm.REVISION, "mean")


@needs_minilm
def test_vectors_are_those_of_the_reference_and_mean_what_they_should() -> None:
    """Would catch a wrong pooling, mask or normalisation of the model that everybody gets."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = [
        "A fund that invests in government bonds.",
        "This bond fund holds sovereign debt.",
        "Shares of a maker of electric cars jumped after earnings, and analysts raised targets.",
        "Recipe for a lemon cake.",
    ]
    vectors = encode_texts(texts, EncoderSpec(precision="float32")).vectors
    assert vectors.shape == (4, 384)
    similar = vectors @ vectors.T
    assert similar[0, 1] > 0.5 > similar[0, 2] > similar[0, 3]

    folder = minilm.find()
    with hub.quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        network = AutoModel.from_pretrained(folder).float().eval()
    for text, vector in zip(texts, vectors, strict=True):
        with torch.inference_mode():
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            hidden = network(input_ids=ids).last_hidden_state[0].numpy()
        reference = hidden.mean(axis=0)
        assert vector @ reference / np.linalg.norm(reference) > 0.9999
    rough = encode_texts(texts, EncoderSpec(precision="bfloat16")).vectors
    assert (rough * vectors).sum(axis=1).min() > 0.999
