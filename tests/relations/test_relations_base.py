"""What a relation is: shares of messages, the registry, and a relation of one's own."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from graph_views import NOBODY, batch_of, make_view
from hypothesis import given, settings
from hypothesis import strategies as st
from pair_models import CONFIG, PAIR, make_pair, shape_of
from snapshots import make_dated_snapshot
from torch import nn

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.dataset import PreprocessOptions, build_dataset
from finrec_dgl.nn import HybridConfig
from finrec_dgl.relations import (
    Ease,
    PairConfig,
    Relation,
    base,
    known_relations,
    log_share,
    register_relation,
    relations_of,
)
from finrec_dgl.relations.config import BUILT_IN
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training import TrainConfig
from finrec_dgl.training.learner import Learner

# ---- shares


@settings(max_examples=80)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 4), items=st.integers(1, 6))
def test_log_share_by_row(seed, rows, items):
    """Catches a share over what is held too, a negative message, and rows without any."""
    rng = np.random.default_rng(seed)
    message = rng.normal(size=(rows, items)).astype(np.float32) * (rng.random((rows, 1)) < 0.8)
    free = rng.random((rows, items)) < rng.choice([0.0, 0.5, 1.0])
    found = log_share(torch.from_numpy(message.astype(np.float32)), torch.from_numpy(free), 0.1)
    for row in range(rows):
        total = sum(max(message[row, i], 0.0) for i in range(items) if free[row, i])
        for i in range(items):
            if total:
                even = max(message[row, i], 0.0) / total * free[row].sum()
                assert found[row, i] == pytest.approx(math.log(even + 0.1), rel=1e-4, abs=1e-5)
            elif free[row, i] or not free[row].any():
                assert found[row, i] == pytest.approx(math.log(0.1), rel=1e-5)
            assert torch.isfinite(found[row, i])


def test_an_even_message_has_the_logarithm_of_one():
    """Catches shares in other units than an even split."""
    free = torch.tensor([[True, True, False, True]])
    found = log_share(torch.full((1, 4), 7.0), free, 0.0)
    np.testing.assert_allclose(found[free], 0.0, atol=1e-6)


# ---- the registry


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """The relations of the package alone, before and after."""
    monkeypatch.setattr(base, "_RELATIONS", dict(known_relations()))


def test_every_built_in_relation_is_registered_by_its_name():
    """Catches a relation that a configuration lists and nobody knows, and one that none lists."""
    assert set(known_relations()) == set(BUILT_IN)
    for name, one in known_relations().items():
        assert one.name == name
        assert one.__doc__
    made = relations_of(PairConfig(), shape_of(make_dated_snapshot(0)))
    assert tuple(one.name for one in made) == BUILT_IN


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (("ease", "cosin"), "relation is 'cosin'.*did you mean 'cosine'"),
        (("ease", "cosine", "ease"), "'ease' is listed twice"),
        (("ease", "peer", "peer"), "'peer'.*did you mean 'peers'.*listed twice"),
    ],
)
def test_lists_that_make_no_model_are_refused(listed, words):
    """Catches a relation that is quietly left out, or that has two channels of one name."""
    with pytest.raises(ConfigError, match=words):
        relations_of(PairConfig(relations=listed), shape_of(make_dated_snapshot(0)))


def test_a_name_of_another_class_is_refused():
    """Catches a relation that takes another's place without a word."""

    class Mine(Relation):
        name = "ease"

    with pytest.raises(ConfigError, match="'ease' exists already"):
        register_relation(Mine)
    assert known_relations()["ease"] is Ease


def test_a_class_may_be_defined_anew():
    """Catches a notebook whose cell cannot be run twice."""

    def define():
        class Mine(Relation):
            name = "mine"

        return register_relation(Mine)

    define()
    again = define()
    assert known_relations()["mine"] is again


def test_what_is_known_cannot_be_changed_from_outside():
    """Catches a registry that is handed out itself."""
    known_relations().clear()
    assert set(known_relations()) == set(BUILT_IN)


@pytest.mark.parametrize("listed", [("popularity", "ease"), ("ease", "popularity"), ()], ids=str)
def test_channels_are_those_listed_in_their_order(listed):
    """Catches relations that are made though nobody lists them, or in an order of their own."""
    snapshot = make_dated_snapshot(0)
    model = make_pair(snapshot, pair=dataclasses.replace(PAIR, relations=listed))
    names = {"ease": ["ease 20", "ease 200"], "popularity": ["popularity"]}
    assert list(model.channels) == [name for one in listed for name in names[one]]
    assert list(model.relations) == list(listed)


def test_relations_that_are_not_defined_say_so():
    """Catches a relation without messages that adds nothing, in silence."""
    batch = batch_of(make_view(0))
    one = Relation(PAIR, shape_of(batch.view.snapshot))
    for call in (one.channel_names, lambda: one.sample(batch), lambda: one(batch, ())):
        with pytest.raises(NotImplementedError):
            call()


# ---- a relation of one's own


class Category(Relation):
    """How many of the history's items share the item's category, by a learned power."""

    name, learned = "category", True

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.power = nn.Parameter(torch.ones(()))

    def channel_names(self):
        return ("category",)

    def sample(self, batch):
        view = batch.view
        codes = torch.from_numpy(next(iter(view.snapshot.item_categories.values())))
        codes = codes.to(view.device)
        same = (codes.unsqueeze(0) == codes.unsqueeze(1)) & (codes >= 0)
        return batch.seeds.message(same.float())

    def forward(self, batch, sampled):
        return log_share((sampled + 1) ** self.power, batch.free).unsqueeze(-1)


def test_a_relation_of_one_s_own_has_a_channel():
    """Catches a registered relation that reaches no score, or another's weight."""
    register_relation(Category)
    snapshot = make_dated_snapshot(1)
    listed = dataclasses.replace(PAIR, relations=("popularity", "category", "peers"))
    model = make_pair(snapshot, pair=listed, text=False)
    assert model.channels == ("popularity", "category", "peers 0", "peers 1")
    view, place = make_view(1), model.channels.index("category")
    evidence = model.evidence(view, view.seeds(np.arange(30)))
    with torch.no_grad():
        model.slope[:, place] = 0.0
        model.weight[place] = 0.0
        without = model(evidence)
        model.weight[place] = 2.0
        found = ((model(evidence) - without) / 2).numpy()
    power = model.relations["category"].power.item()
    codes, held = snapshot.item_categories["kind"], snapshot.matrix().toarray()
    for user in (0, 4, NOBODY):
        count = [held[user, codes == one].sum() if one >= 0 else 0 for one in codes]
        message, free = (np.array(count) + 1) ** power, held[user] == 0
        expected = np.log(message / message[free].sum() * free.sum() + base.FLOOR)
        np.testing.assert_allclose(found[user], expected, atol=1e-4)


def test_a_relation_of_one_s_own_is_trained(tmp_path):
    """Catches weights of a relation that no optimiser moves, or that nothing pulls to their
    start."""
    register_relation(Category)
    world = World(users=150, items=30, interactions_per_user=10.0, texts=False, graph_strength=4.0)
    options = PreprocessOptions(encoder=EncoderSpec(name="none"))
    dataset = build_dataset(generate(world), tmp_path / "data", options)
    pair = PairConfig(relations=("popularity", "category"))
    config = TrainConfig(model=HybridConfig(pair=pair), windows=3, warm_up=60.0, epochs=2)
    learner = Learner(dataset, dataset.snapshot("train"), config)
    before = {name: one.clone() for name, one in learner.model.named_parameters()}
    assert "relations.category.power" in before
    for epoch in (1, 2):
        learner.epoch(epoch)
    for name, one in learner.model.named_parameters():
        assert not torch.equal(one, before[name]), name
    power = learner.model.relations["category"].power
    with_it = learner.model.squared_distance()
    with torch.no_grad():
        power.copy_(before["relations.category.power"])
    assert learner.model.squared_distance() < with_it


def test_the_model_s_parts_are_those_of_its_relations():
    """Catches a relation that stays when its part of the model is switched off."""
    snapshot = make_dated_snapshot(2)
    whole = make_pair(snapshot)
    for switch, part in (("stream_one", "stream_one"), ("stream_two", "stream_two")):
        model = make_pair(snapshot, **{switch: False})
        gone = set(whole.relations) - set(model.relations)
        assert gone == {one.name for one in whole.listed() if one.part == part}
        assert gone
    assert CONFIG.stream_one
    assert CONFIG.stream_two
