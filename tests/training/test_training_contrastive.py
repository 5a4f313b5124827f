"""The contrastive task on made-up texts: it learns what there is to learn, and nothing else."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from snapshots import make_snapshot
from tiny_models import WORDS, save_bert, save_decoder

from finrec_dgl.base.errors import ConfigError, TrainingError, UsageError
from finrec_dgl.dataset.snapshot import Pairs, StoredTexts
from finrec_dgl.nn import HybridConfig
from finrec_dgl.text import EncoderSpec, encode_with
from finrec_dgl.text.encoder import Encoder, resolve
from finrec_dgl.training import FinetuneConfig, contrastive
from finrec_dgl.training.contrastive import Positives, find_positives, info_nce, tune

pytest.importorskip("peft")

ITEMS = 8
CONFIG = FinetuneConfig(method="lora", steps=60, batch_size=32, lr=0.02, temperature=0.1)


def corpus(seed: int = 0, count: int = 300) -> tuple[list[str], Positives]:
    """Texts of common words with one word that tells the item, anywhere in them."""
    rng = np.random.default_rng(seed)
    names, common = WORDS[:ITEMS], WORDS[ITEMS:]
    item = rng.integers(0, ITEMS, count)
    texts = []
    for one in item:
        words = list(rng.choice(common, 5))
        words.insert(int(rng.integers(0, 6)), names[one])
        texts.append(" ".join(words))
    graph = rng.normal(size=(ITEMS, 6))
    graph /= np.linalg.norm(graph, axis=1, keepdims=True)
    return texts, Positives(np.arange(count), item.astype(np.int64), graph.astype(np.float32))


@pytest.fixture(scope="module", params=["bert", "llama"])
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EncoderSpec:
    """A tiny encoder that pools by the mean, and a tiny decoder that pools by the last token."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    (save_bert if request.param == "bert" else save_decoder)(folder)
    return EncoderSpec(name=str(folder), precision="float32", max_length=64)


def tuned(spec, texts, positives, config=CONFIG, seed=0):
    encoder = Encoder(resolve(spec))
    vectors = encode_with(encoder, texts)
    report = tune(encoder, texts, vectors, positives, config, seed)
    return encoder, report["held_out"]


def test_it_finds_the_items_of_texts_that_it_has_not_seen(spec):
    """Catches a loss that trains nothing, for mean and for last-token pooling."""
    _, found = tuned(spec, *corpus(), dataclasses.replace(CONFIG, steps=150))
    assert found["texts"] == 30
    assert found["tuned"]["loss"] < 0.7 * found["frozen"]["loss"]
    assert found["tuned"]["mrr"] > max(0.8, found["frozen"]["mrr"] + 0.2)


def test_shuffled_labels_teach_nothing_that_holds(spec):
    """Catches held-out texts that leak into the training, in which anything can be learnt."""
    texts, positives = corpus()
    shuffled = np.random.default_rng(3).permutation(positives.item)
    _, found = tuned(spec, texts, dataclasses.replace(positives, item=shuffled))
    chance = np.mean(1 / np.arange(1, ITEMS + 1))
    assert found["tuned"]["mrr"] == pytest.approx(chance, abs=0.15)


def test_the_same_seed_gives_the_same_vectors(spec):
    """Catches randomness that does not come from the seed."""
    texts, positives = corpus(count=60)
    config = dataclasses.replace(CONFIG, steps=5)
    vectors = [
        encode_with(tuned(spec, texts, positives, config, seed)[0], texts) for seed in (0, 0, 1)
    ]
    assert np.array_equal(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2], atol=1e-4)


def test_a_loss_that_is_not_finite_stops_it(spec, monkeypatch):
    """Catches an adapter of NaN that is saved and used."""
    monkeypatch.setattr(contrastive, "info_nce", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(TrainingError, match="no longer a finite number in step 1"):
        tuned(spec, *corpus(count=20))


def test_info_nce_is_the_formula():
    """Catches a temperature on the wrong side, and negatives that the text is about."""
    torch.manual_seed(0)
    queries = torch.nn.functional.normalize(torch.randn(2, 4), dim=1)
    graph = torch.nn.functional.normalize(torch.randn(5, 4), dim=1)
    about = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], dtype=torch.bool)
    target = torch.tensor([0, 1])
    expected = 0.0
    for row, candidates in ((0, [0, 1, 2, 4]), (1, [0, 1, 2, 3, 4])):
        exp = {c: torch.exp(queries[row] @ graph[c] / 0.3) for c in candidates}
        expected -= torch.log(exp[int(target[row])] / sum(exp.values())) / 2
    torch.testing.assert_close(info_nce(queries, graph, target, about, 0.3), expected)


def world(**changes):
    """A snapshot with two posts; item 19 and user 29 have no interaction; text 3 has no token."""
    vectors = np.eye(6, dtype=np.float32)
    vectors[3] = 0
    profile = np.full(20, -1, np.int32)
    profile[[0, 1, 19]] = [0, 3, 5]
    held = make_snapshot().pairs
    post_item = held.item[[0, 5, 5]]
    texts = StoredTexts(
        vectors,
        post_user=held.user[[0, 5, 5]],
        post_item=post_item,
        post_text=np.array([1, 2, 2], np.int32),
        user_profile=np.full(30, 4, np.int32),
        item_profile=profile,
    )
    return dataclasses.replace(make_snapshot(), texts=texts, **changes), post_item


def test_positives_are_profiles_and_posts_of_items_in_the_graph():
    """Catches users' profiles, items nobody holds, texts without a token, and repeats."""
    snapshot, post_item = world()
    found = find_positives(snapshot, HybridConfig(dim_two=8), 0)
    placed = np.flatnonzero(np.bincount(snapshot.pairs.item, minlength=20))
    pairs = {
        (int(text), int(placed[item])) for text, item in zip(found.text, found.item, strict=True)
    }
    assert pairs == {(0, 0), (1, int(post_item[0])), (2, int(post_item[1]))}
    assert found.graph.shape == (len(placed), 8)
    np.testing.assert_allclose(np.linalg.norm(found.graph, axis=1), 1, atol=1e-5)
    about = found.of(np.array([2, 1]))
    assert about.sum() == 2
    assert about[0, found.item[found.text == 2]].all()


def test_without_positives_it_says_so():
    """Catches a division by nothing where no item has both a text and an interaction."""
    empty = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))
    snapshot, _ = world(pairs=empty)
    with pytest.raises(UsageError, match="nothing to fine-tune on"):
        find_positives(snapshot, HybridConfig(dim_two=8), 0)


def test_a_wrong_configuration_names_all_that_is_wrong():
    """Catches a field out of range that is found only after the texts are read."""
    with pytest.raises(ConfigError) as caught:
        FinetuneConfig(method="loar", rank=0, steps=0, lr=0.0, temperature=float("nan"))
    for told in (
        "did you mean 'lora'",
        "rank is 0",
        "steps is 0",
        "lr is 0.0",
        "temperature is nan",
    ):
        assert told in str(caught.value)
