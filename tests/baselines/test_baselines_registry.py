"""Tuning looks at validation only, takes the best and refits it."""

from __future__ import annotations

import numpy as np
import pytest
from recommender_contract import RecommenderContract, planted, snapshot_of

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.baselines import BASELINES, Baseline, Popularity, tune
from finrec_dgl.dataset.snapshot import Pairs
from finrec_dgl.evaluation import evaluate


class FakeDataset:
    """A planted world: its targets are the validation set; "fit" holds them too."""

    cut = valid_cut = None

    def __init__(self) -> None:
        self.train, self.valid = planted()
        mask = self.train.matrix().toarray() > 0
        mask[self.valid.user, self.valid.item] = True
        self.fit = snapshot_of(mask, item_text=self.train.item_text)
        self.asked: list[str] = []

    def snapshot(self, stage: str):
        return {"train": self.train, "fit": self.fit}[stage]

    def targets(self, split: str) -> Pairs:
        self.asked.append(split)
        return self.valid

    def candidates(self, split: str) -> np.ndarray:
        return np.ones(self.train.n_items, dtype=bool)


@pytest.mark.parametrize("name", [name for name, one in BASELINES.items() if not one.seeded])
class TestRegistered(RecommenderContract):
    """Every baseline with the first options of its grid keeps the contract."""

    @pytest.fixture(autouse=True)
    def _name(self, name):
        self.name = name

    def make(self):
        baseline = BASELINES[self.name]
        return baseline.make(**baseline.options()[0])


@pytest.mark.parametrize("name", BASELINES)
def test_names_and_options_are_the_recommenders_own(name):
    """Would catch a grid with an option that its factory does not take."""
    for options in BASELINES[name].options():
        assert BASELINES[name].make(**options).name == name


def test_the_grid_is_every_combination_once():
    grid = Baseline("x", Popularity, {"a": (1, 2), "b": (3, 4)}).options()
    assert grid == [{"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]
    assert Baseline("x", Popularity, {}).options() == [{}]


def test_chooses_by_validation_and_refits_on_everything_before_the_cut():
    dataset = FakeDataset()
    tuned = tune("popularity-recent", dataset)
    assert len(tuned.trials) == len(BASELINES["popularity-recent"].options())
    assert tuned.chosen.ndcg == max(trial.ndcg for trial in tuned.trials)
    for trial in tuned.trials:
        scorer = Popularity(**trial.options).fit(dataset.train)
        assert evaluate(scorer, dataset, "valid").metrics["ndcg@10"] == trial.ndcg
    refitted = Popularity(**tuned.chosen.options).fit(dataset.fit)
    users = np.arange(5)
    assert np.array_equal(tuned.recommender.score(users), refitted.score(users))


def test_can_choose_for_held_out_items_alone():
    """Catches a group that does not arrive at the evaluation."""
    dataset = FakeDataset()
    cold = np.arange(dataset.train.n_items) % 3 == 0
    dataset.cold_side, dataset.cold = "item", lambda split: cold
    tuned = tune("popularity-recent", dataset, group="cold")
    scorer = Popularity(**tuned.chosen.options).fit(dataset.train)
    of_cold = evaluate(scorer, dataset, "valid", group="cold").metrics["ndcg@10"]
    assert tuned.chosen.ndcg == of_cold != evaluate(scorer, dataset, "valid").metrics["ndcg@10"]


def test_never_looks_at_the_test_split():
    """Would catch tuning on test."""
    dataset = FakeDataset()
    for name in BASELINES:
        tune(name, dataset)
    assert set(dataset.asked) == {"valid"}


def test_the_first_of_equals_wins():
    """All windows that hold every pair are equal: times reach nine days back."""
    tuned = tune("popularity-recent", FakeDataset())
    by_days = {trial.options["days"]: trial.ndcg for trial in tuned.trials}
    assert by_days[14] == by_days[180]
    assert tuned.chosen.options["days"] in (7, 14)


def test_an_unknown_name_is_answered_with_the_near_one():
    with pytest.raises(ConfigError, match="did you mean 'itemknn'"):
        tune("itemkn", FakeDataset())


def test_what_the_dataset_lacks_is_said():
    dataset = FakeDataset()
    dataset.train = snapshot_of(np.ones((3, 4), bool), item_text=np.zeros((4, 8), np.float32))
    with pytest.raises(DataError, match="no item has a text vector"):
        tune("text", dataset)
