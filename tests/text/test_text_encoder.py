"""Encoders: what is found, how it pools, and what is refused."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import WORDS, save_bert, save_decoder, save_pooling

from finrec_dgl.base.errors import ConfigError, DataError, UsageError
from finrec_dgl.kernels.int8 import has_int8
from finrec_dgl.text import EncoderSpec, encode_texts, hub
from finrec_dgl.text import encoder as module
from finrec_dgl.text.encoder import Encoder, pool, resolve

TEXTS = [" ".join(WORDS[:n]) for n in (1, 12, 3, 7, 2, 16, 5)]


def plain(folder: Path, text: str, pooling: str) -> np.ndarray:
    """One text by itself, without padding, pooled as the formula says."""
    from transformers import AutoModel, AutoTokenizer

    with hub.quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        network = AutoModel.from_pretrained(folder).float().eval()
    with torch.inference_mode():
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        hidden = network(input_ids=ids).last_hidden_state[0].numpy()
    vector = {"mean": hidden.mean(axis=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    return vector / np.linalg.norm(vector)


def encode(folder: Path, texts: list[str], **options: object) -> np.ndarray:
    """Vectors in float32, without a cache."""
    spec = EncoderSpec(name=str(folder), **{"precision": "float32", "max_length": 64, **options})
    return encode_texts(texts, spec, cache=None).vectors


def test_a_spec_names_every_problem_at_once() -> None:
    """Would catch a spec that is accepted and fails an hour later."""
    with pytest.raises(ConfigError) as caught:
        EncoderSpec(name=" ", pooling="men", precision="float16", max_length=1)
    for part in ("name is empty", "did you mean 'mean'", "float16", "max_length is 1"):
        assert part in str(caught.value)


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Would catch a device that is ignored, or missed only when texts were already read."""
    with pytest.raises(ConfigError, match="did you mean 'cuda'"):
        EncoderSpec(device="cdua")
    with pytest.raises(ConfigError, match="int8, which the cpu alone has"):
        EncoderSpec(device="cuda", precision="int8")
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(UsageError, match=f"no device {missing} here"):
        encode(save_bert(tmp_path), ["a text"], device=missing)
    assert encode(save_bert(tmp_path), ["a text"], device="cpu").any()


def test_minilm_cannot_be_unpinned() -> None:
    """Would catch another revision under the name whose hash is verified."""
    with pytest.raises(ConfigError, match="pinned"):
        EncoderSpec(revision="main")


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])
def test_a_batch_gives_what_each_text_gives_alone(kind: str, pooling: str, tmp_path: Path) -> None:
    """Would catch padding that leaks into a vector, or the last token taken from the padding."""
    folder = save_bert(tmp_path) if kind == "bert" else save_decoder(tmp_path, kind)
    expected = np.stack([plain(folder, text, pooling) for text in TEXTS])
    np.testing.assert_allclose(encode(folder, TEXTS, pooling=pooling), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_tokenizers_padding_side_changes_nothing(kind: str, tmp_path: Path) -> None:
    """Would catch last-token pooling that holds for one padding side only."""
    left = encode(save_decoder(tmp_path / "left", kind, side="left"), TEXTS)
    right = encode(save_decoder(tmp_path / "right", kind, side="right"), TEXTS)
    np.testing.assert_allclose(left, right, atol=1e-6)


def test_pooling_formulas() -> None:
    """Would catch padding in the mean (even where it is not finite) or an index off by one."""
    hidden = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    hidden[1, 2] = float("nan")
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    mean = pool(hidden, mask, "mean")
    torch.testing.assert_close(mean[0], hidden[0].mean(dim=0))
    torch.testing.assert_close(mean[1], hidden[1, :2].mean(dim=0))
    torch.testing.assert_close(pool(hidden, mask, "cls"), hidden[:, 0])
    torch.testing.assert_close(
        pool(hidden, mask, "last"), torch.stack([hidden[0, 2], hidden[1, 1]])
    )


def test_pooling_follows_the_models_kind(bert: Path, llama: Path) -> None:
    """Would catch mean pooling of a decoder, whose early tokens have seen nothing."""
    assert resolve(EncoderSpec(name=str(bert), precision="float32")).pooling == "mean"
    assert resolve(EncoderSpec(name=str(llama), precision="float32")).pooling == "last"


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": ["lasttoken"]}, "last"),
    ],
)
def test_pooling_is_read_beside_the_model(config: dict, pooling: str, tmp_path: Path) -> None:
    """Would catch BGE-like models, which pool by their first token, pooled by the mean."""
    folder = save_bert(tmp_path)
    save_pooling(folder, config)
    assert resolve(EncoderSpec(name=str(folder), precision="float32")).pooling == pooling


def test_a_pooling_or_module_that_is_not_supported_is_refused(tmp_path: Path) -> None:
    """Would catch a max pooling or a dense layer dropped in silence."""
    folder = save_bert(tmp_path)
    spec = EncoderSpec(name=str(folder), precision="float32")
    save_pooling(folder, {"pooling_mode_max_tokens": True})
    with pytest.raises(DataError, match="pools by max"):
        resolve(spec)
    save_pooling(folder, {"pooling_mode_mean_tokens": True}, extra="Dense")
    with pytest.raises(DataError, match="'Dense'"):
        resolve(spec)
    chosen = EncoderSpec(name=str(folder), precision="float32", pooling="cls")
    assert resolve(chosen).pooling == "cls"


def test_prefix_length_and_norm_take_effect(bert: Path) -> None:
    """Would catch an option that is accepted and ignored."""
    base = encode(bert, TEXTS)
    np.testing.assert_allclose(np.linalg.norm(base, axis=1), 1.0, atol=1e-5)
    prefixed = encode(bert, ["bonds"], prefix="large ")
    np.testing.assert_allclose(prefixed, encode(bert, ["large bonds"]), atol=1e-6)
    # [CLS] and [SEP] count, so that five tokens keep three words.
    cut = encode(bert, [" ".join(WORDS[:9])], max_length=5)
    np.testing.assert_allclose(cut, encode(bert, [" ".join(WORDS[:3])]), atol=1e-6)
    raw = encode(bert, TEXTS, normalize=False)
    np.testing.assert_allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), base, atol=1e-5)
    assert abs(np.linalg.norm(raw[0]) - 1) > 0.1


def test_bfloat16_is_near_float32_and_comes_back_as_float32(bert: Path) -> None:
    """Would catch pooling in bfloat16, or a precision that is not applied."""
    rough, fine = encode(bert, TEXTS, precision="bfloat16"), encode(bert, TEXTS)
    assert rough.dtype == np.float32
    assert (rough * fine).sum(axis=1).min() > 0.99
    assert np.abs(rough - fine).max() > 1e-6


def test_auto_precision_is_the_measured_one(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch bfloat16 on processors that only emulate it."""
    assert module.fastest_precision() in ("float32", "bfloat16")
    assert (module.fastest_precision(int8=True) == "int8") == has_int8()
    monkeypatch.setattr(module, "fastest_precision", lambda int8, device: "bfloat16")
    assert resolve(EncoderSpec(name=str(bert))).precision == "bfloat16"
    assert resolve(EncoderSpec(name=str(bert), precision="float32")).precision == "float32"


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_int8_is_near_float32(kind: str, tmp_path: Path) -> None:
    """Would catch a layer that is rounded wrongly, or none at all."""
    folder = save_bert(tmp_path) if kind == "bert" else save_decoder(tmp_path, kind)
    rough, fine = encode(folder, TEXTS, precision="int8"), encode(folder, TEXTS)
    assert (rough * fine).sum(axis=1).min() > 0.999
    assert np.abs(rough - fine).max() > 1e-6


def test_int8_of_a_model_without_linear_layers_is_refused(tmp_path: Path) -> None:
    """Would catch 8 bits that are asked for, told of, and not computed in."""
    with pytest.raises(ConfigError, match="no linear layers"):
        encode(save_decoder(tmp_path, "gpt2"), TEXTS, precision="int8")


def test_int8_is_chosen_for_the_measured_encoder_only(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch 8 bits for a model that nobody measured in them, or where training is to come."""
    from finrec_dgl.text import minilm

    monkeypatch.setattr(
        module, "fastest_precision", lambda int8, device: "int8" if int8 else "float32"
    )
    assert resolve(EncoderSpec(name=str(bert))).precision == "float32"
    monkeypatch.setattr(minilm, "find", lambda: bert)
    assert resolve(EncoderSpec()).precision == "int8"
    assert resolve(EncoderSpec(), trained=True).precision == "float32"
    assert resolve(EncoderSpec(precision="int8"), trained=True).precision == "float32"


def test_limits_of_the_model_are_not_passed_over(bert: Path) -> None:
    """Would catch an index error deep in the model, or a prefix that leaves no room for text."""
    with pytest.raises(ConfigError, match="takes 64 tokens at most"):
        encode(bert, ["bonds"], max_length=65)
    with pytest.raises(ConfigError, match="leaves no room"):
        encode(bert, ["bonds"], max_length=4, prefix="the fund invests in ")


def test_weights_that_lack_a_layer_are_refused(tmp_path: Path) -> None:
    """Would catch random numbers where the weights of a layer are absent."""
    folder = save_bert(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(DataError, match="lack 16 tensors"):
        encode(folder, ["bonds"])


def test_only_safetensors_are_loaded(tmp_path: Path) -> None:
    """Would catch a pickle of weights that is loaded where safetensors are absent."""
    folder = save_bert(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="safetensors"):
        encode(folder, ["bonds"])


def test_a_broken_model_is_a_data_error(tmp_path: Path) -> None:
    """Would catch a traceback of the library's on a file cut short."""
    folder = save_bert(tmp_path)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(DataError, match="cannot be loaded"):
        encode(folder, ["bonds"])


def test_code_of_a_model_is_not_run_unasked(tmp_path: Path) -> None:
    """Would catch a model whose own Python file runs by default."""
    folder = save_bert(tmp_path)
    (folder / "mine.py").write_text("raise RuntimeError('the code of the model ran')")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "mine"
    config["auto_map"] = {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError) as caught:
        encode(folder, ["bonds"])
    assert "the code of the model ran" not in str(caught.value)
    assert "trust_remote_code" in str(caught.value)


def test_values_that_are_not_finite_are_an_error(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch NaN that enters a data set as vectors."""
    monkeypatch.setattr(module, "pool", lambda hidden, *_: hidden[:, 0] * float("nan"))
    monkeypatch.setattr(module.bert, "is_bert", lambda _: False)
    with pytest.raises(DataError, match="not finite"):
        encode(bert, ["bonds"])


def test_wrong_names_are_data_errors_and_need_no_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bert: Path
) -> None:
    """Would catch a traceback, or a call to the hub that the environment forbids."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="switched off"):
        resolve(EncoderSpec(name="nobody/nothing"))
    with pytest.raises(DataError, match="does not exist"):
        resolve(EncoderSpec(name=str(tmp_path / "absent")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="does not hold a text encoder"):
        resolve(EncoderSpec(name=str(tmp_path / "empty")))
    with pytest.raises(ConfigError, match="which has none"):
        resolve(EncoderSpec(name=str(bert), revision="main"))


def test_what_the_hub_says_becomes_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch an exception of the hub's client that reaches the user as a traceback."""
    import huggingface_hub

    def refuse(*_: object, **options: object) -> str:
        raise RuntimeError("no route to the hub\nand many more lines")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(DataError, match="no route to the hub") as caught:
        resolve(EncoderSpec(name="somebody/something"))
    assert "many more lines" not in str(caught.value)


def test_a_snapshot_in_the_hubs_cache_is_used_offline(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a cached model that is not found, or named by anything but its commit."""
    from huggingface_hub import constants

    commit = "0123456789" * 4
    repository = tmp_path / "models--some--bert"
    shutil.copytree(bert, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for revision in (None, "main", commit):
        model = resolve(EncoderSpec(name="some/bert", revision=revision, precision="float32"))
        assert model.identity == commit
    (repository / "snapshots" / commit / "model.safetensors").unlink()
    with pytest.raises(DataError):
        resolve(EncoderSpec(name="some/bert", precision="float32"))


def test_transformers_own_noise_is_hushed_and_put_back(
    bert: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Would catch a second progress bar on the terminal, or a logger left changed."""
    from transformers.utils import logging as theirs

    before = (theirs.get_verbosity(), theirs.is_progress_bar_enabled(), logging.root.level)
    encode(bert, TEXTS)
    after = (theirs.get_verbosity(), theirs.is_progress_bar_enabled(), logging.root.level)
    assert after == before
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_the_same_files_elsewhere_are_the_same_model(bert: Path, tmp_path: Path) -> None:
    """Would catch an identity by path: a copy encodes anew, or a changed file does not."""
    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    spec, other = (EncoderSpec(name=str(one), precision="float32") for one in (bert, copy))
    assert resolve(spec).identity == resolve(other).identity
    save_bert(copy, seed=9)
    assert resolve(spec).identity != resolve(other).identity


def test_encoder_decoder_models_use_their_encoder(tmp_path: Path) -> None:
    """Would catch a T5 that fails for want of input to its decoder."""
    from tiny_models import save_tokenizer
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=4 + len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    )
    with hub.quiet():
        T5EncoderModel(config).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    vectors = encode(tmp_path, TEXTS)
    alone = np.concatenate([encode(tmp_path, [text]) for text in TEXTS])
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    assert vectors.shape == (len(TEXTS), 16)


def test_the_encoder_pads_with_a_token_of_its_own(llama: Path) -> None:
    """Would catch an id out of the vocabulary where a tokenizer has no padding token."""
    loaded = Encoder(resolve(EncoderSpec(name=str(llama), precision="float32", max_length=64)))
    loaded._pad = 5
    tokens = loaded.tokenize(TEXTS)
    vectors = loaded.forward(tokens, np.arange(len(TEXTS)))
    np.testing.assert_allclose(vectors, encode(llama, TEXTS), atol=1e-6)
