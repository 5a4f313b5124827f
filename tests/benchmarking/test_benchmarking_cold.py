"""The comparison on held-out nodes: groups, what each is compared with, and a floor that is one."""

import numpy as np
import pytest
from benchmarking_worlds import TINY, make_dataset, word_vectors

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.baselines import Popularity, tune
from finrec_dgl.baselines.chance import Chance
from finrec_dgl.benchmarking import Tuning, compare_cold, jobs
from finrec_dgl.dataset import PreprocessOptions, SplitOptions, build_dataset, texts
from finrec_dgl.evaluation import evaluate
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec

MODELS = ["random", "popularity", "content", "hybrid"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set that holds items out, and the comparison of some models on it."""
    place = tmp_path_factory.mktemp("cold")
    world = World(users=150, items=40, interactions_per_user=8.0)
    options = PreprocessOptions(
        encoder=EncoderSpec(name="minilm"), split=SplitOptions(kind="cold-items")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "encode_texts", word_vectors)
        dataset = build_dataset(generate(world), place / "data", options)
    tuning = Tuning(budget=8, windows=1, grid={})
    asked = [(dataset, TINY)]
    return dataset, place / "out", compare_cold(asked, place / "out", MODELS, 2, tuning)


def test_each_group_is_evaluate_s_and_has_its_reference(made):
    """Catches figures of another group, or cold ones compared with a model tuned for others."""
    dataset, out, found = made
    popular = Popularity().fit(dataset.snapshot("fit"))
    warm = found["warm"].tables[0]
    best = max(warm.rows, key=lambda row: row.metrics["ndcg@10"]).model
    for group, outcome in found.items():
        (table,) = outcome.tables
        assert table.group == group
        assert [row.model for row in table.rows] == MODELS
        expected = evaluate(popular, dataset, "test", group=group)
        assert table.row("popularity").metrics == pytest.approx(expected.metrics)
        assert table.reference == ("content" if group == "cold" else best)
        assert table.row(table.reference).comparison is None
        assert (out / f"data/{group}.md").exists()
    assert list(found) == ["all", "warm", "cold"]


def test_content_is_tuned_for_what_was_held_out(made):
    """Catches a baseline on new products tuned for known ones, and made to lose."""
    dataset, _, found = made
    row = found["cold"].tables[0].row("content")
    tuned = tune("content", dataset, group="cold")
    assert row.tuning["group"] == "cold"
    assert row.tuning["options"] == tuned.chosen.options
    expected = evaluate(tuned.recommender, dataset, "test", group="cold")
    assert row.metrics == pytest.approx(expected.metrics)
    assert found["cold"].tables[0].row("popularity").tuning["group"] == "all"


def test_the_floor_is_drawn_by_seed_and_user():
    """Catches a floor that is an order of ids, or that changes from call to call."""
    from snapshots import make_snapshot

    snapshot = make_snapshot()
    floor = Chance(3).fit(snapshot)
    users = np.array([5, 2])
    assert np.array_equal(floor.score(users), floor.score(users[::-1])[::-1])
    assert not np.array_equal(floor.score(users)[0], floor.score(users)[1])
    assert not np.array_equal(floor.score(users), Chance(4).fit(snapshot).score(users))
    assert floor.score(users).shape == (2, snapshot.n_items)


def test_it_is_measured_once(made, monkeypatch):
    """Catches a comparison that begins anew."""
    dataset, out, found = made
    monkeypatch.setattr(jobs, "train", None)
    monkeypatch.setattr(jobs, "evaluate_groups", None)
    tuning = Tuning(budget=8, windows=1, grid={})
    again = compare_cold([(dataset, TINY)], out, MODELS, 2, tuning)
    assert {group: one.tables for group, one in again.items()} == {
        group: one.tables for group, one in found.items()
    }


def test_data_without_held_out_nodes_are_refused(tmp_path):
    """Catches a comparison on new products where there are none."""
    dataset = make_dataset(tmp_path / "data")
    with pytest.raises(DataError, match="no items or users are held out"):
        compare_cold([(dataset, TINY)], tmp_path / "out", ["popularity"])
    with pytest.raises(ConfigError, match="did you mean 'content'"):
        compare_cold([(dataset, TINY)], tmp_path / "out", ["contents"])
    assert not (tmp_path / "out").exists()
