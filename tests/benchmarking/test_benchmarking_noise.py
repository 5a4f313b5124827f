"""Noise: what is corrupted and what is not, and that it is measured on the clean question."""

import json

import numpy as np
import pytest
from benchmarking_worlds import PAIR, TINY, make_dataset

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.benchmarking import jobs, measure_noise
from finrec_dgl.benchmarking import noise as noise_module
from finrec_dgl.benchmarking.noise import LEVELS, corrupt
from finrec_dgl.benchmarking.tuning import changed
from finrec_dgl.dataset.snapshot import pair_keys
from finrec_dgl.evaluation import evaluate
from finrec_dgl.nn import PseudoLabeler
from finrec_dgl.training import train

KINDS = [kind for kind in LEVELS if kind != "pseudo"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A data set with texts."""
    with pytest.MonkeyPatch.context() as patch:
        return make_dataset(tmp_path_factory.mktemp("noise") / "data", patch)


def keys_of(dataset):
    events = dataset.interactions
    return pair_keys(events.user, events.item, dataset.n_items)


@pytest.mark.parametrize("kind", KINDS)
def test_a_corrupted_data_set_is_another_with_the_same_question(dataset, kind):
    """Catches results of corrupted data told as clean ones, or noise in what is asked."""
    noisy = corrupt(dataset, kind, 0.5)
    assert len(noisy.hash) == len(dataset.hash)
    others = [corrupt(dataset, kind, 0.5, seed=1), corrupt(dataset, kind, 0.25), dataset]
    assert len({one.hash for one in (noisy, *others)}) == 4
    assert corrupt(dataset, kind, 0.5).hash == noisy.hash
    assert corrupt(dataset, kind, 0) is dataset
    for split in ("valid", "test"):
        assert noisy.targets(split).item.tolist() == dataset.targets(split).item.tolist()
        assert np.array_equal(noisy.candidates(split), dataset.candidates(split))
    assert noisy.interactions.time.max() < dataset.cut
    assert np.all(np.diff(noisy.interactions.time) >= 0)
    early = noisy.interactions.time < dataset.valid_cut
    assert np.array_equal(noisy.interactions.valid, ~early)


def test_masked_nodes_have_no_text(dataset):
    """Catches texts that are left somewhere, so that no text is not no text."""
    gone = corrupt(dataset, "masked", 1.0)
    for stage in ("train", "fit"):
        snapshot = gone.snapshot(stage)
        assert not snapshot.user_text.any()
        assert not snapshot.item_text.any()
        assert not snapshot.item_posts.any()
    half = corrupt(dataset, "masked", 0.5).snapshot("fit")
    whole = dataset.snapshot("fit")
    left = half.user_text.any(axis=1).sum() / whole.user_text.any(axis=1).sum()
    assert 0.3 < left < 0.7
    same = half.item_text.any(axis=1)
    assert np.array_equal(half.item_text[same], whole.item_text[same])


def test_all_text_masked_is_text_switched_off(dataset, tmp_path):
    """Catches text that reaches the scores by another way than the vectors."""
    config = changed(TINY, {"epochs": 4, "lr": 0.02, "model.pseudo": False})
    gone = corrupt(dataset, "masked", 1.0)
    masked = train(gone, tmp_path / "masked", config).scorer("test")
    other = corrupt(corrupt(dataset, "replaced", 1.0), "masked", 1.0)
    again = train(other, tmp_path / "again", config).scorer("test")
    users = np.arange(dataset.n_users)
    assert np.array_equal(masked.score(users), again.score(users))
    assert not masked.view.item_text.any()
    assert not masked.view.user_text.any()


def test_replaced_texts_are_others_and_none_is_from_later(dataset):
    """Catches a text that is kept, or one of the time after the cut brought before it."""
    noisy = corrupt(dataset, "replaced", 1.0)
    before, after = dataset.interactions, noisy.interactions
    told = before.text >= 0
    assert (after.text[told] >= 0).mean() > 0.9
    assert np.array_equal(after.text[~told], before.text[~told])
    first = {}
    for text, time in zip(before.text[told], before.time[told], strict=True):
        first.setdefault(int(text), int(time))
    moved = told & (after.text >= 0)
    for text, time in zip(after.text[moved], after.time[moved], strict=True):
        assert first[int(text)] <= time
    there = dataset.item_profiles.text >= 0
    changed_rows = dataset.item_profiles.text[there] != noisy.item_profiles.text[there]
    assert changed_rows.mean() > 0.9


def test_what_is_drawn_at_one_level_is_drawn_at_a_higher_one(dataset):
    """Catches levels that differ by chance and not by how much is wrong."""
    kept = [set(keys_of(corrupt(dataset, "drop", one)).tolist()) for one in (0.25, 0.5, 0.75)]
    assert kept[0] > kept[1] > kept[2]
    share = len(kept[1]) / len(set(keys_of(dataset).tolist()))
    assert 0.4 < share < 0.6


def test_noise_on_vectors_grows_with_its_level(dataset):
    """Catches noise that is not of the length it is said to be, or vectors no longer of length 1.

    The cosine of v and v + n, with |n| = s and n in a random direction, is about 1 / sqrt(1 + s^2).
    """
    clean = dataset.vectors.astype(np.float32)
    for level in (0.25, 1.0, 2.0):
        noisy = corrupt(dataset, "gaussian", level).vectors.astype(np.float32)
        length = np.linalg.norm(noisy, axis=1)
        assert length == pytest.approx(1, abs=1e-2)
        cosine = ((noisy * clean).sum(axis=1) / length).mean()
        assert cosine == pytest.approx(1 / np.sqrt(1 + level**2), abs=0.03)


def test_added_pairs_are_new_and_of_known_nodes(dataset):
    """Catches added pairs that are there already, or that give a past to who had none."""
    noisy = corrupt(dataset, "add", 0.5)
    before, after = set(keys_of(dataset).tolist()), set(keys_of(noisy).tolist())
    assert before < after
    assert 0.2 < len(after - before) / len(before) <= 0.5
    known = dataset.interactions
    assert set(noisy.interactions.user) == set(known.user)
    assert set(noisy.interactions.item) == set(known.item)
    assert set(noisy.interactions.time) <= set(known.time)


def test_wrong_labels_are_others_of_a_share(dataset):
    """Catches labels that stay, or more of them that are exchanged than was asked."""
    config = TINY.model
    snapshot = dataset.snapshot("train")
    right = PseudoLabeler(config, dataset, snapshot).targets(snapshot)
    for share in (0.5, 1.0):
        noisy = changed(TINY, {"model.pseudo_noise": share}).model
        wrong = PseudoLabeler(noisy, dataset, snapshot).targets(snapshot)
        for name in ("user", "item"):
            known = right.confidence[name] > 0
            same = (right.target[name] == wrong.target[name]).all(dim=1)[known]
            assert 1 - share - 0.02 <= same.float().mean() < 1 - share + 0.2
            assert right.target[name][known].sum(0).tolist() == pytest.approx(
                wrong.target[name][known].sum(0).tolist(), abs=1e-3
            )


def test_it_is_measured_on_the_clean_question_and_once(dataset, tmp_path, monkeypatch):
    """Catches figures of another question, clean ones that differ, or a second training."""
    asked, out = [(dataset, TINY)], tmp_path / "out"
    kinds = ["masked", "drop", "pseudo"]
    (found,) = measure_noise(asked, out, ["paper"], kinds, [0.0, 0.5], 1, nodes=3)
    table = found.tables["paper"]
    assert [row.model for row in table.rows] == ["clean", "masked 0.5", "drop 0.5", "pseudo 0.5"]
    for row, data in (("clean", dataset), ("drop 0.5", corrupt(dataset, "drop", 0.5))):
        run = train(data, tmp_path / row, TINY)
        expected = evaluate(run.scorer("test"), dataset, "test").metrics["ndcg@10"]
        assert table.row(row).metrics["ndcg@10"] == pytest.approx(expected, abs=1e-6)
    assert len(list((out / "data/runs").iterdir())) == 1
    assert json.loads((out / "data/noise-paper.json").read_text()) == table.to_mapping()
    assert (out / "data/noise-paper.svg").read_text().count("<polyline") == 3
    assert found.spread.nodes == 3
    assert (out / "data/spread.md").exists()
    monkeypatch.setattr(noise_module, "train", None)
    monkeypatch.setattr(jobs, "train", None)
    (again,) = measure_noise(asked, out, ["paper"], kinds, [0.0, 0.5], 1, nodes=3)
    assert again.tables["paper"] == table
    assert again.spread == found.spread


def test_what_cannot_be_corrupted_is_refused(dataset, tmp_path):
    """Catches hours of training before a wrong name or level."""
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="did you mean 'masked'"):
        measure_noise([(dataset, PAIR)], out, kinds=["maskd"])
    with pytest.raises(ConfigError, match="level of drop is 1, expected from 0 to 0.99"):
        measure_noise([(dataset, PAIR)], out, kinds=["drop"], levels=[1.0])
    with pytest.raises(ConfigError, match="kind is 'pseudo'"):
        corrupt(dataset, "pseudo", 0.5)
    silent = make_dataset(tmp_path / "silent")
    with pytest.raises(DataError, match="no text that could be corrupted"):
        measure_noise([(silent, TINY)], out, ["paper"], ["masked"])
    assert not out.exists()
