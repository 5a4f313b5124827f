"""The cache of vectors: hits, keys, damage, company."""

import dataclasses
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from tiny_models import WORDS, save_bert

from finrec_dgl.base.progress import SILENT, Silent
from finrec_dgl.text import EncoderSpec, default_cache, encode_texts, encoding
from finrec_dgl.text.cache import VectorCache, text_keys
from finrec_dgl.text.encoder import Encoder, resolve

TEXTS = [" ".join(WORDS[start : start + 3]) for start in range(len(WORDS) - 3)]


class Notes(Silent):
    """A Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def spec_of(folder: Path, **options: object) -> EncoderSpec:
    return EncoderSpec(**{"name": str(folder), "precision": "float32", "max_length": 64, **options})


def shards(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.safetensors"))


def test_a_second_run_encodes_nothing_and_loads_no_model(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a cache that is written and not read."""
    first = encode_texts(TEXTS, spec_of(bert), cache=tmp_path)
    assert (first.encoded, first.cached) == (len(TEXTS), 0)

    def never(*_: object) -> None:
        raise RuntimeError("the model was loaded")

    monkeypatch.setattr(Encoder, "__init__", never)
    second = encode_texts([*TEXTS[::-1], ""], spec_of(bert), cache=tmp_path)
    assert (second.encoded, second.cached) == (0, len(TEXTS))
    np.testing.assert_array_equal(second.vectors[:-1], first.vectors[::-1])
    assert second.ingredients == first.ingredients


def test_only_what_is_new_is_encoded(bert: Path, tmp_path: Path) -> None:
    """Would catch a run that starts over for one more text."""
    encode_texts(TEXTS[:5], spec_of(bert), cache=tmp_path)
    again = encode_texts(TEXTS, spec_of(bert), cache=tmp_path)
    assert (again.encoded, again.cached) == (len(TEXTS) - 5, 5)
    fresh = encode_texts(TEXTS, spec_of(bert)).vectors
    np.testing.assert_allclose(again.vectors, fresh, atol=1e-5)


def test_every_ingredient_has_a_key_of_its_own(bert: Path, tmp_path: Path) -> None:
    """Would catch vectors of one setting served for another."""
    model = resolve(spec_of(bert))
    other = resolve(spec_of(save_bert(tmp_path / "other", seed=5)))
    variants = [
        model,
        other,
        dataclasses.replace(model, pooling="cls"),
        dataclasses.replace(model, precision="bfloat16"),
        dataclasses.replace(model, precision="int8"),
        *(
            dataclasses.replace(model, spec=dataclasses.replace(model.spec, **change))
            for change in (
                {"max_length": 63},
                {"prefix": "q: "},
                {"normalize": False},
                {"trust_remote_code": True},
            )
        ),
    ]
    folders = {VectorCache(tmp_path, one.ingredients(), SILENT).folder for one in variants}
    assert len(folders) == len(variants)


def test_auto_and_its_outcome_share_a_key(bert: Path, tmp_path: Path) -> None:
    """Would catch a second encoding only because a choice was spelled out."""
    encode_texts(TEXTS, spec_of(bert, pooling="auto"), cache=tmp_path)
    assert encode_texts(TEXTS, spec_of(bert, pooling="mean"), cache=tmp_path).encoded == 0


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_a_broken_shard_is_passed_over_and_written_anew(
    damage: str, bert: Path, tmp_path: Path
) -> None:
    """Would catch a crash, or wrong vectors served, after a disk's or a copy's mistake."""
    good = encode_texts(TEXTS, spec_of(bert), cache=tmp_path).vectors
    (shard,) = shards(tmp_path)
    content = bytearray(shard.read_bytes())
    if damage == "cut":
        shard.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[-5] ^= 0x40
        shard.write_bytes(content)
    elif damage == "empty":
        shard.write_bytes(b"")
    else:
        from safetensors.numpy import save_file

        save_file({"weights": np.zeros(3, np.float32)}, shard)
    listener = Notes()
    again = encode_texts(TEXTS, spec_of(bert), cache=tmp_path, progress=listener)
    assert again.encoded == len(TEXTS)
    np.testing.assert_allclose(again.vectors, good, atol=1e-6)
    assert any("damaged" in note for note in listener.notes)
    assert encode_texts(TEXTS, spec_of(bert), cache=tmp_path).encoded == 0


def test_the_files_hold_no_text(bert: Path, tmp_path: Path) -> None:
    """Would catch customers' words at rest in a folder that nobody thinks of as personal."""
    encode_texts(TEXTS, spec_of(bert), cache=tmp_path)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(text.encode() in content for text in TEXTS), file.name


def test_work_that_is_interrupted_keeps_what_it_did(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch an hour's encoding lost to one Ctrl-C."""
    monkeypatch.setattr(encoding, "_CPU_TOKENS", 16)
    original, calls = Encoder.forward, []

    def stops(self: Encoder, tokens: object, rows: np.ndarray) -> np.ndarray:
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, tokens, rows)

    monkeypatch.setattr(Encoder, "forward", stops)
    with pytest.raises(KeyboardInterrupt):
        encode_texts(TEXTS, spec_of(bert), cache=tmp_path)
    monkeypatch.setattr(Encoder, "forward", original)
    assert encode_texts(TEXTS, spec_of(bert), cache=tmp_path).cached == sum(calls[:2]) > 0


def test_a_cache_that_cannot_be_written_is_a_note(bert: Path, tmp_path: Path) -> None:
    """Would catch a full or read-only disk that throws away the vectors."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    listener = Notes()
    encoded = encode_texts(TEXTS, spec_of(bert), cache=blocked, progress=listener)
    assert encoded.encoded == len(TEXTS)
    assert sum("not cached" in note for note in listener.notes) == 1


def _fill(root: str, first: int, rounds: int) -> None:
    for number in range(first, first + rounds):
        keys = text_keys([f"{number} {row}" for row in range(20)])
        vectors = np.full((20, 4), number, dtype=np.float32)
        VectorCache(Path(root), {"model": "x"}, SILENT).write(keys, vectors)


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    """Would catch one writer that overwrites or cuts short another's rows."""
    context = multiprocessing.get_context("spawn")
    # Half of the rounds are the same rows, so that both write the same names too.
    writers = [context.Process(target=_fill, args=(str(tmp_path), n, 20)) for n in (0, 10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    listener = Notes()
    store = VectorCache(tmp_path, {"model": "x"}, listener)
    keys = text_keys([f"{number} {row}" for number in range(30) for row in range(20)])
    found, vectors = store.read(keys)
    assert found.all()
    assert vectors is not None
    np.testing.assert_array_equal(vectors[:, 0], np.repeat(np.arange(30), 20))
    assert listener.notes == []
    assert not list(tmp_path.rglob(".*"))


def test_keys_that_end_in_zero_bytes_are_told_apart() -> None:
    """Would catch keys compared as C strings, which end at a zero byte."""
    keys = np.frombuffer(b"a" * 31 + b"\0" + b"a" * 30 + b"\0\0" + b"\0" * 32, dtype="S32")
    assert len(np.unique(keys)) == 3


def test_a_key_with_zero_bytes_is_found_again(tmp_path: Path) -> None:
    """Would catch a row that is never found because its hash ends in zeros."""
    keys = np.frombuffer(b"b" * 31 + b"\0" + b"\0" * 31 + b"c", dtype="S32")
    store = VectorCache(tmp_path, {"model": "x"}, SILENT)
    store.write(keys, np.array([[1.0], [2.0]], dtype=np.float32))
    found, vectors = store.read(keys[::-1])
    assert found.all()
    assert vectors is not None
    assert vectors[:, 0].tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"FINREC_DGL_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/finrec-dgl/vectors"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/finrec-dgl/vectors"),
        ({"HOME": "/home/me"}, "/home/me/.cache/finrec-dgl/vectors"),
    ],
)
def test_where_the_cache_is(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a cache beside the data, or one that ignores the user's choice."""
    for name in ("FINREC_DGL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_cache() == Path(expected)
