"""Adapters on tiny models: what is trained, what is kept, what is refused."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import WORDS, save_bert, save_decoder

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.text import EncoderSpec, encode_with
from finrec_dgl.text.adapter import (
    CONFIG,
    WEIGHTS,
    add_lora,
    load_adapter,
    merge_adapter,
    require_peft,
)
from finrec_dgl.text.adapter import save_adapter as save
from finrec_dgl.text.encoder import Encoder, resolve

pytest.importorskip("peft")

TEXTS = [" ".join(WORDS[at : at + 1 + at % 4]) for at in range(len(WORDS))]
KINDS = ("bert", "llama", "gpt2")


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model: an encoder, or a decoder of either kind."""
    place = tmp_path_factory.mktemp(request.param)
    return save_bert(place) if request.param == "bert" else save_decoder(place, request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


def load(folder: Path) -> Encoder:
    return Encoder(resolve(EncoderSpec(name=str(folder), precision="float32", max_length=64)))


def train_a_little(encoder: Encoder, weights: list[torch.nn.Parameter]) -> None:
    """A few steps of anything."""
    optimiser = torch.optim.Adam(weights, lr=0.05)
    tokens = encoder.tokenize(TEXTS)
    for _ in range(3):
        optimiser.zero_grad()
        vectors = encoder.embed(tokens, np.arange(len(TEXTS)))
        (vectors @ vectors.T).square().sum().backward()
        optimiser.step()


@pytest.fixture(scope="module")
def tuned(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Encoder, Path]:
    """An encoder with a trained adapter, and where that is saved."""
    encoder = load(folder)
    train_a_little(encoder, add_lora(encoder, rank=4, alpha=8, seed=0))
    place = tmp_path_factory.mktemp("run") / "adapter"
    save(encoder, place)
    return encoder, place


def test_an_adapter_changes_nothing_before_it_is_trained(folder: Path) -> None:
    """Catches a start at other vectors than the frozen encoder's, and dropout left on."""
    encoder = load(folder)
    frozen = encode_with(encoder, TEXTS)
    assert add_lora(encoder, rank=4, alpha=8, seed=0)
    assert np.array_equal(encode_with(encoder, TEXTS), frozen)


def test_only_the_adapter_is_trained(folder: Path, tuned: tuple[Encoder, Path]) -> None:
    """Catches a base weight that moves, and an adapter that gets no gradient through pooling."""
    encoder, _ = tuned
    base = load(folder).network.state_dict()
    after = encoder.network.get_base_model().state_dict()
    kept = {
        name.replace(".base_layer", ""): one for name, one in after.items() if "lora" not in name
    }
    assert kept.keys() == base.keys()
    assert all(torch.equal(kept[name], base[name]) for name in base)
    moved = {name: one for name, one in after.items() if "lora_B" in name}
    assert moved
    assert all(one.any() for one in moved.values())
    assert not any("pooler" in name for name in moved)
    assert not np.allclose(encode_with(encoder, TEXTS), encode_with(load(folder), TEXTS), atol=1e-3)


def test_a_saved_adapter_gives_the_same_vectors(folder: Path, tuned: tuple[Encoder, Path]) -> None:
    """Catches weights lost on the way, and anything but peft's two files; no pickle, no path."""
    encoder, place = tuned
    assert {one.name for one in place.iterdir()} == {CONFIG, WEIGHTS}
    assert str(folder.parent) not in (place / CONFIG).read_text()
    again = load(folder)
    load_adapter(again, place)
    assert np.array_equal(encode_with(again, TEXTS), encode_with(encoder, TEXTS))
    assert not any(one.requires_grad for one in again.network.parameters())


def test_a_merged_adapter_gives_the_same_vectors(folder: Path, tuned: tuple[Encoder, Path]) -> None:
    """Catches an adapter that is dropped where it should become a part of the weights."""
    encoder, place = tuned
    again = load(folder)
    load_adapter(again, place)
    merge_adapter(again)
    assert not any("lora" in name for name in again.network.state_dict())
    np.testing.assert_allclose(
        encode_with(again, TEXTS), encode_with(encoder, TEXTS), atol=1e-4, rtol=0
    )


def test_the_seed_draws_the_adapter_and_nothing_else(bert: Path) -> None:
    """Catches an adapter that differs from run to run, or that uses up others' randomness."""
    drawn = []
    state = torch.random.get_rng_state()
    for seed in (1, 1, 2):
        weights = add_lora(load(bert), rank=2, alpha=2, seed=seed)
        drawn.append(torch.cat([one.detach().flatten() for one in weights]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.fixture
def adapter(bert: Path, tmp_path: Path) -> Path:
    """The saved adapter of the tiny encoder, to be spoiled."""
    encoder = load(bert)
    add_lora(encoder, rank=2, alpha=2, seed=0)
    save(encoder, tmp_path / "adapter")
    return tmp_path / "adapter"


def pickled(place: Path) -> None:
    (place / WEIGHTS).rename(place / "adapter_model.bin")


def cut_short(place: Path) -> None:
    (place / WEIGHTS).write_bytes((place / WEIGHTS).read_bytes()[:300])


def not_finite(place: Path) -> None:
    weights = load_file(place / WEIGHTS)
    name = sorted(weights)[0]
    save_file({**weights, name: torch.full_like(weights[name], float("nan"))}, place / WEIGHTS)


def one_less(place: Path) -> None:
    weights = load_file(place / WEIGHTS)
    weights.pop(sorted(weights)[0])
    save_file(weights, place / WEIGHTS)


def configured(**changes: object):
    def change(place: Path) -> None:
        config = json.loads((place / CONFIG).read_text())
        (place / CONFIG).write_text(json.dumps({**config, **changes}))

    return change


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (pickled, r"weights in adapter_model\.bin only"),
        (shutil.rmtree, r"has no adapter_model\.safetensors"),
        (cut_short, "not a readable safetensors"),
        (not_finite, "not finite"),
        (one_less, "other weights than its configuration"),
        (configured(r=3), "other weights than its configuration"),
        (configured(peft_type="IA3"), "of the kind 'IA3'"),
        (configured(target_modules=["nowhere"]), "does not fit the text encoder"),
        (configured(revision="0" * 40), "made for another text encoder"),
    ],
)
def test_a_bad_adapter_is_refused(bert: Path, adapter: Path, spoil, told: str) -> None:
    """Catches a pickle that is opened, and weights that are cut, foreign or half there."""
    spoil(adapter)
    with pytest.raises(DataError, match=told):
        load_adapter(load(bert), adapter)


def test_without_peft_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an ImportError as a failure of ours."""
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"pip install finrec-dgl\[finetune\]"):
        require_peft()
