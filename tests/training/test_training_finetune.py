"""Fine-tuning as a part of a run: what it leaves, resuming, refusing, leaking."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import typer
from safetensors.numpy import save_file
from text_bank import write_bank
from tiny_models import save_bert, save_decoder

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.dataset import PreprocessOptions, SplitOptions, preprocess
from finrec_dgl.dataset.preprocessing import read_texts
from finrec_dgl.evaluation import evaluate
from finrec_dgl.nn import HybridConfig
from finrec_dgl.text import EncoderSpec, encode_with
from finrec_dgl.text.adapter import load_adapter
from finrec_dgl.text.encoder import Encoder
from finrec_dgl.training import FinetuneConfig, TextSource, TrainConfig, finetune, load_run, train
from finrec_dgl.training.contrastive import METHODS
from finrec_dgl.training.finetune import open_texts, tune_encoder

pytest.importorskip("peft")

MODEL = HybridConfig(readout="tower", dim=8, dim_two=8, heads=2, layers=1)
TUNING = FinetuneConfig(method="lora", rank=2, steps=5, batch_size=8, lr=0.01)
CONFIG = TrainConfig.plain(model=MODEL, finetune=TUNING, epochs=1, patience=1)
SPLIT = SplitOptions(kind="temporal", cut="2024-03-01", valid_cut="2024-02-10")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with tables, tiny models, and a data set made of them."""
    place = tmp_path_factory.mktemp("bank")
    write_bank(place / "tables")
    save_bert(place / "bert")
    save_bert(place / "other", seed=5)
    save_decoder(place / "llama")
    return place


def made(place, name, model="bert", **options):
    encoder = EncoderSpec(name=str(place / model), precision="float32", max_length=64)
    options = PreprocessOptions(split=SPLIT, encoder=encoder, **options)
    return preprocess(place / "tables", place / name, options)


@pytest.fixture(scope="module")
def dataset(place):
    return made(place, "data")


@pytest.fixture(scope="module")
def source(place):
    return TextSource(place / "tables", encoder=place / "bert")


@pytest.fixture(scope="module")
def run(dataset, source, tmp_path_factory):
    return train(dataset, tmp_path_factory.mktemp("runs") / "run", CONFIG, texts=source)


def test_what_a_tuned_run_holds(run, dataset, source):
    """Catches an adapter or vectors that are not there, and texts that are."""
    files = {str(one.relative_to(run.path)) for one in run.path.rglob("*") if one.is_file()}
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= files
    assert "text_vectors.safetensors" in files
    texts = read_texts(dataset, source.tables)
    assert len(texts) > 100
    for name in files:
        content = (run.path / name).read_bytes()
        assert not any(text.encode() in content for text in texts), name
    assert str(source.tables).encode() not in b"".join(
        one.read_bytes() for one in (run.path / "adapter").iterdir()
    )


def test_the_cost_is_told_beside_the_frozen_encoders(run, dataset):
    """Catches a report without time or memory, or of fewer texts than were encoded."""
    report = json.loads((run.path / "run.json").read_text())["finetune"]
    for part in ("frozen", "tuning", "encoding"):
        assert report[part]["seconds"] > 0, part
        assert report[part]["peak_mib"] > 10, part
    for part in ("frozen", "encoding"):
        assert report[part]["texts"] == len(dataset.vectors)
        assert report[part]["seconds_per_text"] > 0
    assert report["steps"] == 5
    assert {"frozen", "tuned"} <= set(report["held_out"])
    assert run.info["state"] == "finished"


def test_a_run_is_used_without_the_tables(run, dataset, place):
    """Catches scores by the frozen vectors after the training was by others."""
    again = load_run(run.path, place / "data")
    assert not np.array_equal(again.dataset.vectors, dataset.vectors)
    assert again.dataset.vectors.dtype == dataset.vectors.dtype
    valid = evaluate(again.scorer("valid"), again.dataset, "valid")
    assert valid.metrics["ndcg@10"] == pytest.approx(run.info["valid_ndcg@10"], abs=1e-9)


def test_the_adapter_gives_the_vectors_of_the_run(run, dataset, source):
    """Catches an adapter saved before or after the one that encoded."""
    texts, encoder = open_texts(dataset, source)
    load_adapter(encoder, run.path / "adapter")
    np.testing.assert_allclose(encode_with(encoder, texts), run.dataset.vectors, atol=1e-3)


def test_a_decoder_works_the_same_way(place, tmp_path):
    """Catches what holds of encoders with mean pooling only."""
    dataset = made(place, "data-llama", "llama")
    assert dataset.manifest["text"]["encoder"]["pooling"] == "last"
    source = TextSource(place / "tables", encoder=place / "llama")
    run = train(dataset, tmp_path / "run", CONFIG, texts=source)
    assert not np.allclose(run.dataset.vectors, dataset.vectors, atol=1e-3)


@pytest.mark.parametrize("step", ["tune", "encode_anew", "with_tuned_vectors"])
def test_a_resumed_run_ends_as_an_uncut_one(run, dataset, source, tmp_path, monkeypatch, step):
    """Catches a run cut off while it fine-tunes or encodes that cannot go on, or goes on else."""
    original = getattr(finetune, step)

    def cut(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(finetune, step, cut)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path / "run", CONFIG, texts=source)
    monkeypatch.setattr(finetune, step, original)
    needed = source
    if step != "tune":
        monkeypatch.setattr(finetune, "tune", cut)  # is not done again
    if step == "with_tuned_vectors":
        needed = None  # all is encoded already
    else:
        with pytest.raises(UsageError, match="fine-tuning needs the texts"):
            train(dataset, tmp_path / "run", CONFIG, resume=True)
    resumed = train(dataset, tmp_path / "run", CONFIG, texts=needed, resume=True)
    assert np.array_equal(resumed.dataset.vectors, run.dataset.vectors)
    assert resumed.info["valid_ndcg@10"] == run.info["valid_ndcg@10"]
    assert set(resumed.info["finetune"]) == set(run.info["finetune"])


def test_only_profiles_are_encoded_where_only_items_are_asked_for(dataset, source, tmp_path):
    """Catches posts that are encoded all the same, or profiles that are not."""
    config = dataclasses.replace(CONFIG, finetune=dataclasses.replace(TUNING, reencode="items"))
    run = train(dataset, tmp_path / "run", config, texts=source)
    same = (run.dataset.vectors == dataset.vectors).all(axis=1)
    items = np.unique(dataset.item_profiles.text)
    assert set(np.flatnonzero(~same)) == set(items)
    assert run.info["finetune"]["encoding"]["texts"] == len(items)


def test_nothing_of_the_validation_part_is_learnt(dataset, source, monkeypatch):
    """Leakage: the adapter is the same whatever happens after the validation cut."""
    late = dataset.interactions.time >= dataset.valid_cut
    changed = np.where(late, 0, dataset.interactions.item).astype(np.int32)
    assert late.sum() > 30
    assert not np.array_equal(changed, dataset.interactions.item)
    other = dataclasses.replace(
        dataset, interactions=dataclasses.replace(dataset.interactions, item=changed)
    )
    shown = []
    tokenize = Encoder.tokenize

    def spy(self, given):
        shown.append(set(given))
        return tokenize(self, given)

    texts, _ = open_texts(dataset, source)
    vectors = []
    for one in (dataset, other):
        _, encoder = open_texts(one, source)
        with monkeypatch.context() as patch:
            patch.setattr(Encoder, "tokenize", spy)
            tune_encoder(one, texts, encoder, TUNING, MODEL, 0)
        vectors.append(encode_with(encoder, texts))
    assert np.array_equal(*vectors)
    codes = dataset.interactions.text
    only_late = set(codes[late]) - set(codes[~late]) - set(dataset.item_profiles.text)
    assert len(only_late) > 20
    assert shown[0]
    assert not {texts[row] for row in only_late} & (shown[0] | shown[1])


def test_texts_that_do_not_fit_are_refused(dataset, place, tmp_path):
    """Catches vectors of other texts than the graph was made from: exit code 2."""
    tables = write_bank(tmp_path / "tables", last_word="low")
    source = TextSource(tables, encoder=place / "bert")
    with pytest.raises(DataError, match=r"other vectors(.|\n)*name the right tables") as caught:
        train(dataset, tmp_path / "run", CONFIG, texts=source)
    assert caught.value.exit_code == 2
    lines = (tables / "interactions.csv").read_text().splitlines()
    (tables / "interactions.csv").write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    with pytest.raises(DataError, match="give other texts than the data set holds") as caught:
        train(dataset, tmp_path / "run", CONFIG, texts=source, overwrite=True)
    assert caught.value.exit_code == 2


def test_another_encoder_is_refused(dataset, place, tmp_path, monkeypatch):
    """Catches an adapter on an encoder that did not make the data set, by its files or vectors."""
    source = TextSource(place / "tables", encoder=place / "other")
    with pytest.raises(DataError, match="not the one that the data set was made by"):
        train(dataset, tmp_path / "run", CONFIG, texts=source)
    turned = dataclasses.replace(dataset, vectors=np.roll(dataset.vectors, 1, axis=1))
    texts, encoder = open_texts(dataset, TextSource(place / "tables", encoder=place / "bert"))
    with pytest.raises(DataError, match=r"other vectors(.|\n)*cosine above 0\.99"):
        finetune.check_texts(turned, texts, encoder, 0)


def test_what_cannot_be_done_is_refused_before_anything_is_written(
    dataset, source, place, tmp_path, monkeypatch
):
    """Catches a folder left behind by a run that could never have begun."""
    out = tmp_path / "run"
    with pytest.raises(UsageError, match=r"needs the texts(.|\n)*--tables"):
        train(dataset, out, CONFIG)
    with pytest.raises(UsageError, match="none is asked for"):
        train(dataset, out, TrainConfig.plain(model=MODEL), texts=source)
    silent = preprocess(
        place / "tables",
        tmp_path / "silent",
        PreprocessOptions(split=SPLIT, encoder=EncoderSpec(name="none")),
    )
    with pytest.raises(UsageError, match="no text encoder to fine-tune"):
        train(silent, out, CONFIG, texts=source)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"pip install finrec-dgl\[finetune\]"):
        train(dataset, out, CONFIG, texts=source)
    assert not out.exists()


def test_broken_vectors_of_a_run_are_refused(run, dataset, tmp_path):
    """Catches vectors that are cut, of another data set, or not numbers."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    path = copy / "text_vectors.safetensors"
    good = run.dataset.vectors
    for vectors in (good[:-1], good.astype(np.float64), np.full_like(good, np.nan)):
        save_file({"vectors": np.ascontiguousarray(vectors)}, path)
        with pytest.raises(DataError, match="do not fit the data set"):
            load_run(copy, dataset)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="not a readable safetensors"):
        load_run(copy, dataset)


def test_a_run_that_replaces_a_tuned_one_holds_nothing_of_it(dataset, source, tmp_path):
    """Catches an adapter left beside a run that was trained on frozen vectors."""
    train(dataset, tmp_path / "run", CONFIG, texts=source)
    frozen = dataclasses.replace(CONFIG, finetune=FinetuneConfig())
    run = train(dataset, tmp_path / "run", frozen, overwrite=True)
    assert not (run.path / "adapter").exists()
    assert not (run.path / "text_vectors.safetensors").exists()
    assert "finetune" not in run.info
    assert run.dataset is dataset


def test_the_methods_in_the_help_are_the_librarys_own():
    """Catches a method that the command's help does not name."""
    from finrec_dgl.cli.app import app

    command = typer.main.get_command(app).commands["train"]
    option = next(one for one in command.params if one.name == "finetune")
    assert option.metavar == "|".join(METHODS)
