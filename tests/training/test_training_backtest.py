"""Training by back-testing: episodes without their own future, phases, resuming, chance."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch
from snapshots import without_text
from training_banks import with_vectors

from finrec_dgl.base.errors import DataError
from finrec_dgl.base.progress import Silent
from finrec_dgl.base.units import DAY
from finrec_dgl.baselines.chance import Chance
from finrec_dgl.baselines.popularity import Popularity
from finrec_dgl.dataset import PreprocessOptions, SplitOptions, build_dataset
from finrec_dgl.dataset.windows import windows
from finrec_dgl.evaluation import evaluate
from finrec_dgl.kernels.ragged import Ragged
from finrec_dgl.nn import HybridConfig, PseudoLabeler
from finrec_dgl.relations import GraphTensors, PairConfig, SeedBatch, Slots, learn_vectors
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training import TrainConfig, load_run, loop, train
from finrec_dgl.training.backtest import (
    Episode,
    columns_of,
    episode_of,
    episodes,
    known_in_all,
    listwise_loss,
)
from finrec_dgl.training.learner import Learner, fit
from finrec_dgl.training.scoring import ModelScorer

PAIR = PairConfig(
    ease=(50.0,), holding_half_lives=(30.0, 0.0), ranks=(4,), trend_half_lives=(60.0,)
)
CONFIG = TrainConfig(
    model=HybridConfig(readout="pair", pseudo_classes=4, pair=PAIR),
    loss="backtest",
    windows=4,
    warm_up=60.0,
    lr=0.05,
    epochs=4,
    average=2,
)
PLAIN = dataclasses.replace(
    CONFIG,
    model=HybridConfig(readout="tower", dim=8, dim_two=8, heads=2, layers=1),
    lr=0.01,
    average=0,
)
HIDING = dataclasses.replace(CONFIG, warm_up=10_000.0)
NO_TEXT = EncoderSpec(name="none")


def bank(folder, seed=0, split=None, tables=None, **fields):
    fields = {"users": 150, "items": 30, "interactions_per_user": 10.0, "texts": False, **fields}
    tables = tables or generate(World(seed=seed, **fields))
    options = PreprocessOptions(encoder=NO_TEXT, split=split or SplitOptions())
    return build_dataset(tables, folder, options)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return bank(tmp_path_factory.mktemp("bank") / "data", graph_strength=4.0)


@pytest.fixture(scope="module")
def told(dataset):
    return with_vectors(dataset)


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    split = SplitOptions(kind="cold-items")
    return with_vectors(bank(tmp_path_factory.mktemp("cold") / "data", split=split))


@pytest.fixture(scope="module")
def undated_told(tmp_path_factory):
    split = SplitOptions(kind="random")
    return with_vectors(bank(tmp_path_factory.mktemp("random") / "data", split=split))


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    return train(dataset, tmp_path_factory.mktemp("runs") / "run", CONFIG)


def weights(run, split="test"):
    return dict(run.model(split).state_dict())


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def pairs_of(users, items):
    """The pairs of two arrays or tensors, as a set."""
    return set(zip(users.tolist(), items.tolist(), strict=True))


def windows_of(learner):
    """The window of each batch."""
    return [batch.episode for batch in learner.objective.batches]


# ---- episodes


def test_an_episode_asks_for_the_window_s_targets(dataset):
    """Catches targets of another user, users that count by how much they took up, and products
    they hold among those to choose from."""
    (one, *_) = windows(dataset, dataset.cut, 4)
    episode = episode_of(one, one.snapshot, 10_000, 0)
    targets = set(zip(one.targets.user.tolist(), one.targets.item.tolist(), strict=True))
    found = set(zip(episode.users[episode.row].tolist(), episode.item.tolist(), strict=True))
    assert found == targets
    assert np.array_equal(episode.users, np.unique(one.targets.user))
    by_user = np.bincount(episode.row, episode.weight)
    np.testing.assert_allclose(by_user, 1 / len(episode.users), rtol=1e-5)
    held = set(zip(one.snapshot.pairs.user.tolist(), one.snapshot.pairs.item.tolist(), strict=True))
    for row, user in enumerate(episode.users.tolist()):
        expected = [
            bool(one.candidates[item]) and (user, item) not in held
            for item in range(dataset.n_items)
        ]
        assert episode.allowed[row].tolist() == expected
    assert episode.allowed[episode.row, episode.item].all()


def test_of_many_users_some_are_drawn(dataset):
    """Catches a draw that is not the seed's, or of users without their targets."""
    (one, *_) = windows(dataset, dataset.cut, 4)
    some, again, other = (episode_of(one, one.snapshot, 12, seed) for seed in (0, 0, 1))
    assert len(some.users) == 12
    assert np.array_equal(some.users, again.users)
    assert not np.array_equal(some.users, other.users)
    assert np.array_equal(np.unique(some.row), np.arange(12))
    assert float(some.weight.sum()) == pytest.approx(1)


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_the_listwise_loss_by_target(floor):
    """Catches a softmax over products that may not be recommended, or weights that are lost."""
    scores = torch.randn(3, 5, dtype=torch.float64)
    # item 3 may not be recommended; who had which items
    candidates = torch.tensor([1, 1, 1, 0, 1]).bool()
    had = Ragged(torch.tensor([0, 1, 1, 2]), torch.tensor([2, 0], dtype=torch.int32))
    allowed = torch.tensor([[1, 1, 0, 0, 1], [1, 1, 1, 0, 1], [0, 1, 1, 0, 1]]).bool()
    row, item = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 4, 2, 4])
    weight = torch.tensor([1 / 6, 1 / 6, 1 / 3, 1 / 3], dtype=torch.float64)
    episode = Episode(None, np.arange(3), row, item, weight, candidates, had)
    assert torch.equal(episode.allowed, allowed)
    expected = 0.0
    for r, i, w in zip(row, item, weight, strict=True):
        share = torch.softmax(scores[r][allowed[r]], 0)[int(allowed[r, :i].sum())]
        expected -= w * torch.log(share + floor)
    assert listwise_loss(scores, episode, floor) == pytest.approx(float(expected))


@pytest.mark.parametrize(("stage", "end"), [("train", "valid_cut"), ("fit", "cut")])
def test_no_target_of_an_episode_is_known_in_it(dataset, stage, end):
    """Catches an episode that knows its answers: as pairs, in counts, popularity or text."""
    found = episodes(dataset, dataset.snapshot(stage), CONFIG)
    assert len(found) > 1
    events = dataset.interactions
    for one in found:
        held = set(
            zip(one.snapshot.pairs.user.tolist(), one.snapshot.pairs.item.tolist(), strict=True)
        )
        asked = set(zip(one.users[one.row].tolist(), one.item.tolist(), strict=True))
        assert asked
        assert not asked & held
        earlier = events.time < one.snapshot.time
        assert one.snapshot.time < getattr(dataset, end)
        assert one.snapshot.count.sum() == earlier.sum()
        assert one.snapshot.last.max() < one.snapshot.time
        for source, target in one.snapshot.ties.values():
            assert len(source) == len(target)
        told = earlier & (events.text >= 0)
        assert len(one.snapshot.texts.post_user) == told.sum()


def test_each_window_comes_once_more_with_other_items_known_by_text_alone(told, dataset):
    """Catches cold items that keep a trace, are no targets, are the same throughout, or come where
    there is no text, and a window that comes with cold items only."""
    config = dataclasses.replace(
        CONFIG,
        model=dataclasses.replace(CONFIG.model, pair=dataclasses.replace(PAIR, cold_share=0.5)),
    )
    every = episodes(told, told.snapshot("fit"), config)
    plain = windows(told, told.cut, config.windows, config.window_step, config.warm_up)
    for one, whole in zip(every[::2], plain, strict=True):
        assert not one.cold
        assert len(one.snapshot.pairs) == len(whole.snapshot.pairs)
    found, draws = every[1::2], set()
    assert all(one.cold for one in found)
    for one, whole in zip(found, plain, strict=True):
        sold = np.bincount(one.snapshot.pairs.item, minlength=told.n_items)
        before = np.bincount(whole.snapshot.pairs.item, minlength=told.n_items)
        hidden = (before > 0) & (sold == 0)
        assert np.array_equal(sold[~hidden], before[~hidden])
        asked = np.bincount(one.item.numpy(), minlength=told.n_items)
        assert asked[hidden].any()
        # what they hold of hidden products is still nothing to recommend them
        held = whole.snapshot.matrix()[one.users].toarray() > 0
        assert not (one.allowed.numpy() & held).any()
        draws.add(hidden.tobytes())
    assert len(draws) == len(found)
    off = dataclasses.replace(config, model=dataclasses.replace(config.model, text=False))
    for data, settings in ((told, off), (dataset, config)):
        for one, whole in zip(episodes(data, data.snapshot("fit"), settings), plain, strict=True):
            assert len(one.snapshot.pairs) == len(whole.snapshot.pairs)


def test_windows_of_text_alone_ask_for_a_quarter_of_the_users(told):
    """Catches a window that trains few weights on as many users as the others."""
    config = dataclasses.replace(
        CONFIG,
        window_users=40,
        model=dataclasses.replace(CONFIG.model, pair=dataclasses.replace(PAIR, cold_share=0.5)),
    )
    every = episodes(told, told.snapshot("fit"), config)
    assert {len(one.users) for one in every[::2]} == {40}
    assert {len(one.users) for one in every[1::2]} == {10}


def test_what_is_held_out_for_validation_is_in_no_episode_before_it(cold):
    """Catches held-out products with a past in training, or as targets of it."""
    hidden = cold.cold("valid")
    for one in episodes(cold, cold.snapshot("train"), CONFIG):
        assert not hidden[one.snapshot.pairs.item].any()
        assert not hidden[one.item.numpy()].any()


# ---- leakage


def permuted(dataset, since):
    """``dataset`` with other items in all its events from ``since`` on."""
    events = dataset.interactions
    rows = np.flatnonzero(events.time >= since)
    item = events.item.copy()
    item[rows] = np.random.default_rng(0).permutation(item[rows])
    assert (item != events.item).sum() > 20
    return dataclasses.replace(dataset, interactions=dataclasses.replace(events, item=item))


def test_validation_never_reaches_the_weights_that_it_judges(told):
    """Catches validation events in episodes, targets of pseudo-labels or the model's start."""
    config = dataclasses.replace(CONFIG, epochs=2)
    found = []
    for one in (told, permuted(told, told.valid_cut)):
        learner = Learner(one, one.snapshot("train"), config)
        terms = [learner.epoch(epoch)["loss"] for epoch in (1, 2)]
        found.append((terms, dict(learner.model.state_dict())))
    assert found[0][0] == found[1][0]
    assert same(found[0][1], found[1][1])
    start = Learner(told, told.snapshot("train"), config).model.state_dict()
    assert not same(found[0][1], start)


def test_the_refit_sees_the_validation_part(told):
    """Catches a refit on the same episodes as before."""
    ends = []
    for one in (told, permuted(told, told.valid_cut)):
        learner = Learner(one, one.snapshot("fit"), CONFIG)
        learner.epoch(1)
        ends.append(dict(learner.model.state_dict()))
        asked = {
            (user, item)
            for episode in windows_of(learner)
            for user, item in zip(
                episode.users[episode.row].tolist(), episode.item.tolist(), strict=True
            )
        }
        valid = one.interactions.valid
        events = one.interactions
        pairs = set(zip(events.user[valid].tolist(), events.item[valid].tolist(), strict=True))
        assert asked & pairs
    assert not same(*ends)


def test_the_test_never_reaches_training(dataset, run, tmp_path):
    """Catches test targets in weights or in the validation score."""
    keep = np.arange(len(dataset.splits["test_user"])) % 2 == 0
    fewer = {
        name: array[keep] if name in ("test_user", "test_item") else array
        for name, array in dataset.splits.items()
    }
    other = train(dataclasses.replace(dataset, splits=fewer), tmp_path / "run", CONFIG)
    assert same(weights(run), weights(other))
    assert run.info["valid_ndcg@10"] == other.info["valid_ndcg@10"]


# ---- leakage: every edge that a seed can see


SAMPLERS = {
    "full": {"sampler": "full"},
    "neighbor": {"sampler": "neighbor", "fanout": (8, 100, 12)},
}


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A bank with ties, of whom each has many neighbours."""
    fields = {"users": 900, "items": 40, "interactions_per_user": 15.0, "graph_strength": 3.0}
    return bank(tmp_path_factory.mktemp("busy") / "data", ties_per_user=4.0, **fields)


def seen_by_seeds(batch):
    """kind -> the ends (one, other) of all edges of that kind that the seeds of a batch can see."""
    view, seeds = batch.evidence.batch.view, batch.evidence.batch.seeds
    user, row, item = seeds.user, seeds.row, seeds.item
    drawn, _ = view.drawn_users(torch.arange(view.n_items)).rows(item)
    peers, _ = batch.evidence.sampled["peers"]
    some, _ = view.peer_items
    peer = peers[peers >= 0].long()
    sent, _ = some.rows(peer)
    everyone = torch.arange(view.n_users)
    return {
        "history": (user[row], item),
        "users of items": (drawn.values, item[drawn.row]),
        "items of peers": (peer[sent.row], sent.values),
        "ties": (user[seeds.connected.row], seeds.connected.values),
        "all": (everyone[view.user_items.row], view.user_items.values),
    }


def first_times(one, other, time, shape):
    """int64 of ``shape``: when each pair was first seen, the largest number where it never was."""
    found = np.full(shape, np.iinfo(np.int64).max)
    np.minimum.at(found, (one, other), time)
    return found


def times_of(dataset, learner, stage):
    """The time of each batch's seeds: when the period begins in which they took up the targets."""
    end = dataset.valid_cut if stage == "train" else dataset.cut
    config, events = learner.config, dataset.interactions
    how = (config.windows, config.window_step, config.warm_up)
    starts = [one.start for one in windows(dataset, end, *how)]
    shape = (dataset.n_users, dataset.n_items)
    held = first_times(events.user, events.item, events.time, shape)
    for start, one in zip(starts, windows_of(learner), strict=True):
        asked = held[one.users[one.row], one.item]
        assert (start <= asked).all()
        assert (asked < end).all()
    return starts


def late(dataset, batches, times, seen=None):
    """(edges dated from the times of their seeds on, all edges that the seeds can see)."""
    events, ties = dataset.interactions, dataset.ties
    shape = (dataset.n_users, dataset.n_items)
    held = first_times(events.user, events.item, events.time, shape)
    tied = first_times(ties.source, ties.target, ties.time, (dataset.n_users, dataset.n_users))
    tied = np.minimum(tied, tied.T)
    after, count = 0, 0
    for batch, time in zip(batches, times, strict=True):
        for kind, (one, other) in (seen or seen_by_seeds)(batch).items():
            when = (tied if kind == "ties" else held)[one.numpy(), other.numpy()]
            assert len(when), kind
            after += int((when >= time).sum())
            count += len(when)
    return after, count


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("stage", ["train", "fit"])
def test_no_edge_that_a_seed_can_see_is_of_its_own_time_or_later(busy, sampler, stage):
    """Catches a target among more than a million edges: of a seed's history, of users of its items,
    of its peers, of its ties, or of the whole graph that filters are made of."""
    config = dataclasses.replace(CONFIG, **SAMPLERS[sampler])
    learner = Learner(busy, busy.snapshot(stage), config)
    batches, times = learner.objective.batches, times_of(busy, learner, stage)
    assert len(set(times)) == CONFIG.windows
    after, count = late(busy, batches, times)
    assert count > 1_000_000
    assert after == 0
    # the same count finds what is seen too late, and it is no small part
    assert late(busy, batches, [one - 30 * DAY for one in times])[0] > count // 100


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_ages_are_of_the_last_time_before_the_window(busy, sampler):
    """Catches an age that tells of a later interaction with the same item."""
    config = dataclasses.replace(CONFIG, **SAMPLERS[sampler])
    events, learner = busy.interactions, Learner(busy, busy.snapshot("fit"), config)
    times = times_of(busy, learner, "fit")
    for batch, time in zip(learner.objective.batches, times, strict=True):
        seeds = batch.evidence.batch.seeds
        early = events.time < time
        last = np.full((busy.n_users, busy.n_items), -1)
        np.maximum.at(last, (events.user[early], events.item[early]), events.time[early])
        at = (seeds.user[seeds.row].numpy(), seeds.item.numpy())
        assert (last[at] >= 0).all()
        np.testing.assert_allclose(seeds.age, (time - last[at]) / DAY, rtol=1e-5)
        assert (seeds.age > 0).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", ["random", "last-out"])
def test_no_hidden_pair_is_an_edge_that_a_seed_can_see(tmp_path, kind, sampler):
    """Catches a hidden pair on any way to a seed, its own or another's, where nothing is dated."""
    fields = {"users": 600, "items": 40, "interactions_per_user": 12.0, "graph_strength": 3.0}
    data = bank(tmp_path / "data", split=SplitOptions(kind=kind), **fields)
    snapshot = data.snapshot("train")
    config = dataclasses.replace(HIDING, **SAMPLERS[sampler])
    count = 0
    for batch in Learner(data, snapshot, config).objective.batches:
        episode = batch.episode
        hidden = snapshot.matrix().toarray() - episode.snapshot.matrix().toarray()
        assert hidden.sum() >= len(episode.row)
        assert hidden[episode.users[episode.row], episode.item].all()
        seen = seen_by_seeds(batch)
        del seen["ties"]
        for one, other in seen.values():
            assert not hidden[one.numpy(), other.numpy()].any()
            count += len(one)
    assert count > 1_000_000


def with_items_at_random(tables, seed=0):
    """``tables`` in which everyone took up items drawn at random, at the times they did."""
    rng = np.random.default_rng(seed)
    ids = tables.items["item_id"].to_pylist()
    drawn = [ids[one] for one in rng.integers(0, len(ids), len(tables.interactions))]
    place = tables.interactions.column_names.index("item_id")
    events = tables.interactions.set_column(place, "item_id", pa.array(drawn))
    return dataclasses.replace(tables, interactions=events)


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory):
    """A bank whose users take up items drawn at random: nothing tells who takes up what."""
    fields = {"users": 600, "items": 40, "interactions_per_user": 10.0, "texts": False}
    tables = with_items_at_random(generate(World(ties_per_user=4.0, **fields)))
    return bank(tmp_path_factory.mktemp("shuffled") / "data", tables=tables)


def chance_loss(windows):
    """The mean loss of even scores over the targets of ``windows``."""
    total, count = 0.0, 0
    for one in windows:
        even = one.allowed.sum(1).double().log()[one.row]
        total += float((even * one.weight).sum()) * len(one.row)
        count += len(one.row)
    return total / count


def seen_by_towers(batch):
    """kind -> the ends (one, other) of the edges that the blocks of a batch have."""
    found = {}
    nodes = batch.evidence.blocks.inputs
    for layer in batch.evidence.blocks.layers:
        for relation, edges in layer.edges.items():
            ends = [(relation[0], edges.source), (relation[2], edges.target)]
            # a user comes first in a pair, whichever way the message goes
            numbers = [
                index.long() if nodes[name] is None else nodes[name][index.long()]
                for name, index in (ends if ends[0][0] == "user" else ends[::-1])
            ]
            kind = "ties" if {relation[0], relation[2]} == {"user"} else "all"
            found.setdefault(kind, []).append(numbers)
    return {
        kind: tuple(torch.cat(side) for side in zip(*ends, strict=True))
        for kind, ends in found.items()
    }


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_edge_in_the_towers_blocks_is_of_its_seeds_time_or_later(busy, sampler):
    """Catches a target in the blocks that the paper's form passes messages over in a window."""
    config = dataclasses.replace(PLAIN, windows=3, **SAMPLERS[sampler])
    learner = Learner(busy, busy.snapshot("fit"), config)
    found = late(busy, learner.objective.batches, times_of(busy, learner, "fit"), seen_by_towers)
    assert found[0] == 0
    assert found[1] > 5_000


@pytest.mark.parametrize("form", ["pair", "candidates"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_shuffled_targets_are_found_by_chance_alone(shuffled, busy, sampler, form):
    """Catches an answer in what the model reads: with items drawn at random no score is better
    than an even one, in training as in the test; where there is something to learn, it is."""
    config = dataclasses.replace(CONFIG, epochs=10, **SAMPLERS[sampler])
    if form == "candidates":
        pair = dataclasses.replace(CONFIG.model.pair, all_items=5, candidates=30, near=20)
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, pair=pair))
    below = {}
    for name, data in (("shuffled", shuffled), ("busy", busy)):
        learner = Learner(data, data.snapshot("fit"), config)
        loss = [learner.epoch(epoch)["rec"] for epoch in range(1, 11)][-1]
        below[name] = chance_loss(windows_of(learner)) - loss
    assert below["shuffled"] < 0.05
    assert below["busy"] > 0.1
    scorer = fit(shuffled, shuffled.snapshot("fit"), config)
    chance = [Chance(seed).fit(shuffled.snapshot("fit")) for seed in range(20)]
    found, *even = (evaluate(one, shuffled).metrics["ndcg@10"] for one in (scorer, *chance))
    assert len(shuffled.targets("test")) > 300
    assert found == pytest.approx(np.mean(even), abs=4 * np.std(even))


# ---- training


@pytest.mark.parametrize("config", [CONFIG, PLAIN], ids=["pair", "tower"])
def test_the_loss_falls(dataset, config):
    """Catches a training that does not train, with the paper's plain form as well."""
    learner = Learner(dataset, dataset.snapshot("train"), dataclasses.replace(config, epochs=6))
    losses = [learner.epoch(epoch)["rec"] for epoch in range(1, 7)]
    assert losses[-1] < losses[0] - 0.01


def test_the_tower_can_be_trained_by_back_testing(dataset, tmp_path):
    """Catches a loss that only one readout can be trained with, up to the scores."""
    run = train(dataset, tmp_path / "run", dataclasses.replace(PLAIN, epochs=2))
    assert np.isfinite(evaluate(run.scorer(), dataset).metrics["ndcg@10"])
    assert {one["phase"] for one in run.metrics} >= {"select"}


def test_what_a_run_of_average_weights_tells(run, dataset):
    """Catches a validation score of other weights than those that are kept."""
    told = [(one["phase"], one["epoch"]) for one in run.metrics if "rec" in one]
    assert told == [(phase, epoch) for phase in ("select", "refit") for epoch in range(1, 5)]
    assert run.info["best_epoch"] == CONFIG.epochs
    valid = evaluate(run.scorer("valid"), dataset, "valid").metrics["ndcg@10"]
    assert valid == pytest.approx(run.info["valid_ndcg@10"], abs=1e-9)
    assert not same(weights(run), weights(run, "valid"))


def test_without_a_judgement_the_weights_are_the_same(run, dataset, tmp_path):
    """Catches a refit that depends on what validation came before, or is left out by mistake."""
    quick = train(dataset, tmp_path / "quick", CONFIG, judge=False)
    assert same(weights(quick), weights(run))
    assert {one["phase"] for one in quick.metrics} == {"refit"}
    assert (quick.info["best_epoch"], quick.info["valid_ndcg@10"]) == (CONFIG.epochs, None)
    chosen = dataclasses.replace(PLAIN, epochs=1)
    stopped = train(dataset, tmp_path / "stopped", chosen, judge=False)
    assert stopped.info["valid_ndcg@10"] is not None


def test_average_is_the_mean_of_the_last_epochs_weights(run, dataset):
    """Catches a mean over other epochs, or over none; on disk and in memory alike."""
    learner = Learner(dataset, dataset.snapshot("train"), CONFIG)
    states = []
    for epoch in range(1, CONFIG.epochs + 1):
        learner.epoch(epoch)
        states.append({name: one.clone() for name, one in learner.model.state_dict().items()})
    scorer = fit(dataset, dataset.snapshot("train"), CONFIG)
    for name, found in weights(run, "valid").items():
        mean = (states[-1][name].double() + states[-2][name].double()) / 2
        np.testing.assert_allclose(found, mean, atol=1e-6)
        np.testing.assert_allclose(scorer.model.state_dict()[name], mean, atol=1e-6)
    assert not same(states[-1], weights(run, "valid"))
    last = fit(dataset, dataset.snapshot("train"), dataclasses.replace(CONFIG, average=0))
    assert same(states[-1], dict(last.model.state_dict()))


def test_the_mean_over_more_epochs_than_there_are_is_over_all(dataset):
    """Catches few epochs that are refused, or a mean divided by what was not counted."""
    snapshot = dataset.snapshot("train")
    ends = [
        dict(
            fit(
                dataset, snapshot, dataclasses.replace(CONFIG, epochs=2, average=average)
            ).model.state_dict()
        )
        for average in (2, 7)
    ]
    assert same(*ends)


def test_the_seed_decides(run, dataset, tmp_path):
    """Catches randomness that does not come from the seed, and a seed that does nothing."""
    again = train(dataset, tmp_path / "again", CONFIG)
    other = train(dataset, tmp_path / "other", dataclasses.replace(CONFIG, seed=1))
    for split in ("valid", "test"):
        assert same(weights(run, split), weights(again, split))
        assert not same(weights(run, split), weights(other, split))


@pytest.mark.parametrize(
    "cut_after", [("select", 1), ("select", 3), ("select", 4), ("refit", 1), ("refit", 4)]
)
def test_a_resumed_run_of_average_weights_ends_as_an_uncut_one(
    run, dataset, tmp_path, monkeypatch, cut_after
):
    """Catches a mean that a checkpoint forgets, or that counts an epoch twice."""
    checkpoint = loop._Phase.checkpoint

    def cut(self, epoch, best):
        checkpoint(self, epoch, best)
        if (self.name, epoch) == cut_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop._Phase, "checkpoint", cut)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path / "cut", CONFIG)
    monkeypatch.setattr(loop._Phase, "checkpoint", checkpoint)
    resumed = train(dataset, tmp_path / "cut", CONFIG, resume=True)
    for split in ("valid", "test"):
        assert same(weights(run, split), weights(resumed, split))
    assert run.info["valid_ndcg@10"] == resumed.info["valid_ndcg@10"]

    def record(run):
        return [
            {key: value for key, value in one.items() if key != "interactions_per_second"}
            for one in run.metrics
        ]

    assert record(run) == record(resumed)


def test_a_run_is_the_same_when_it_is_opened_again(run, dataset):
    """Catches weights that do not come back, or a configuration that loses a setting."""
    again = load_run(run.path, dataset)
    assert again.config == CONFIG
    assert np.array_equal(again.scorer().score(np.arange(9)), run.scorer().score(np.arange(9)))


def test_scores_do_not_depend_on_the_chunks_they_are_made_in(run):
    """Catches a chunk that is lost, doubled or mixed up."""
    scorer = run.scorer()
    assert isinstance(scorer, ModelScorer)
    users = np.array([5, 3, 77, 3, 0], np.int32)
    whole = scorer.score(users)
    scorer.chunk = 2
    np.testing.assert_allclose(scorer.score(users), whole, atol=1e-4)
    assert whole.dtype == np.float32
    assert scorer.score(users[:0]).shape == (0, scorer.snapshot.n_items)


LEARNED = dataclasses.replace(
    CONFIG,
    model=dataclasses.replace(
        CONFIG.model, pair=dataclasses.replace(PAIR, vectors=4, vector_epochs=2)
    ),
)


def test_vectors_are_learned_of_what_each_window_knows(dataset):
    """Catches a window whose vectors were taught by its targets, and a model judged with those of
    another time; and a wait of which nobody hears."""
    told = []

    class Told(Silent):
        def task(self, name, total, unit=""):
            told.append((name, total))
            return super().task(name, total, unit)

    snapshot = dataset.snapshot("train")
    learner = Learner(dataset, snapshot, LEARNED, Told())
    relation = learner.model.relations["vectors"]
    place = learner.model.channels.index("vectors")
    for batch in learner.objective.batches:
        view = GraphTensors(batch.episode.snapshot)
        vectors = learn_vectors(view.snapshot.matrix(), LEARNED.model.pair, LEARNED.seed)
        view.kept("vectors", lambda vectors=vectors: torch.from_numpy(vectors))
        expected = relation.sample(SeedBatch(view, view.seeds(batch.episode.users)))
        assert torch.equal(batch.evidence.pairs[..., place], expected[..., 0])
    expected = learn_vectors(snapshot.matrix(), LEARNED.model.pair, LEARNED.seed)
    np.testing.assert_array_equal(relation.table, expected)
    count = len(learner.objective.batches)
    names = [f"vectors, window {number} of {count}" for number in range(1, count + 1)]
    assert [name for name, _ in told] == ["windows", *names, "vectors, all that is known"]
    assert all(total > 0 for _, total in told)


def test_a_run_keeps_the_vectors_of_its_graphs(dataset, tmp_path):
    """Catches vectors that are learned anew, or lost, when a run is opened; and those of the
    selection in the place of the refit's."""
    made = train(dataset, tmp_path / "run", LEARNED)
    for split, stage in (("valid", "train"), ("test", "fit")):
        scorer = load_run(made.path, dataset).scorer(split)
        matrix = dataset.snapshot(stage).matrix()
        expected = learn_vectors(matrix, LEARNED.model.pair, LEARNED.seed)
        found = scorer.model.relations["vectors"].table
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert np.isfinite(scorer.score(np.arange(5))).all()


def test_pseudo_labels_of_a_window_are_of_its_own_time(told):
    """Catches targets of a later time, of other users than the seeds', and classes that differ
    from window to window."""
    learner = Learner(told, told.snapshot("train"), CONFIG)
    origin = known_in_all(windows_of(learner), told.snapshot("train"))
    labeler = PseudoLabeler(CONFIG.model, told, origin, CONFIG.seed)
    assert len(learner.objective.batches) > 1
    for batch in learner.objective.batches:
        text, target, confidence = batch.labels
        snapshot, users = batch.episode.snapshot, batch.episode.users
        expected = labeler.targets(snapshot)
        parts = (expected.confidence, expected.target)
        sure, wanted = (torch.cat([one["user"][users], one["item"]]) for one in parts)
        nodes = np.concatenate([snapshot.user_text[users], snapshot.item_text])
        torch.testing.assert_close(target, wanted[sure > 0])
        assert np.array_equal(text, nodes[sure.numpy() > 0])
        assert (confidence > 0).all()
        assert target.shape[1] == CONFIG.model.pseudo_classes


def test_pseudo_labels_are_learned(told):
    """Catches labels that no gradient reaches."""
    learner = Learner(told, told.snapshot("train"), CONFIG)
    losses = [learner.epoch(epoch)["pseudo"] for epoch in range(1, 6)]
    assert 0 < losses[-1] < losses[0]


def test_a_start_knows_no_target_of_any_window(told, undated_told):
    """Catches classes of pseudo-labels, or learned vectors, made of what windows ask for."""
    for data, config in ((told, CONFIG), (undated_told, HIDING)):
        snapshot = data.snapshot("train")
        every = episodes(data, snapshot, config)
        origin = known_in_all(every, snapshot)
        found = [one for one in every if not one.cold]
        known = pairs_of(origin.pairs.user, origin.pairs.item)
        assert known
        for one in found:
            assert known <= pairs_of(one.snapshot.pairs.user, one.snapshot.pairs.item)
            assert not known & pairs_of(one.users[one.row], one.item)
        kept = [pairs_of(one.snapshot.pairs.user, one.snapshot.pairs.item) for one in found]
        assert known == set.intersection(*kept)


def test_batches_of_a_window_are_its_seeds_in_parts(dataset):
    """Catches a seed that is lost or doubled, targets of another seed, and weights that no longer
    add up to 1."""
    whole = episodes(dataset, dataset.snapshot("train"), CONFIG)
    config = dataclasses.replace(CONFIG, batch_size=7)
    parts = windows_of(Learner(dataset, dataset.snapshot("train"), config))
    assert all(len(one.users) <= 7 for one in parts)
    for one in whole:
        mine = [part for part in parts if part.snapshot.time == one.snapshot.time]
        assert np.concatenate([part.users for part in mine]).tolist() == one.users.tolist()
        asked = [pairs_of(part.users[part.row], part.item) for part in mine]
        assert set.union(*asked) == pairs_of(one.users[one.row], one.item)
        assert sum(map(len, asked)) == len(one.row)
        assert torch.equal(torch.cat([part.allowed for part in mine]), one.allowed)
        for part in mine:
            assert float(part.weight.sum()) == pytest.approx(1)


@pytest.mark.parametrize("workers", [0, 3])
def test_threads_that_make_windows_change_nothing(run, dataset, tmp_path, workers):
    """Catches windows in another order, or made of what another thread left."""
    again = train(dataset, tmp_path / "run", dataclasses.replace(CONFIG, workers=workers))
    for split in ("valid", "test"):
        assert same(weights(run, split), weights(again, split))


def test_a_seed_stands_in_few_windows_where_that_is_asked_for(dataset):
    """Catches a bound that counts other users, and one without effect."""
    count = {}
    for bound in (0, 1, 2):
        config = dataclasses.replace(CONFIG, seeds_per_user=bound)
        found = episodes(dataset, dataset.snapshot("train"), config)
        users = np.concatenate([one.users for one in found])
        count[bound] = np.bincount(users).max()
        for one in found:
            assert np.array_equal(np.unique(one.row), np.arange(len(one.users)))
    assert count[1] == 1
    assert count[2] == 2
    assert count[0] > 2


@pytest.mark.parametrize("loss", ["softmax", "bpr", "bce"])
def test_the_pair_readout_can_be_trained_by_other_losses(dataset, loss):
    """Catches a loss over other windows, or one that nothing moves."""
    config = dataclasses.replace(CONFIG, loss=loss, epochs=6)
    learner = Learner(dataset, dataset.snapshot("train"), config)
    losses = [learner.epoch(epoch)["rec"] for epoch in range(1, 7)]
    assert losses[-1] < losses[0]


# ---- where there are no earlier windows: pairs are hidden


@pytest.fixture(scope="module", params=["random", "last-out", "too short"])
def undated(request, tmp_path_factory):
    """Data sets without an earlier window; the last one's warm-up is longer than its history."""
    kind = "temporal" if request.param == "too short" else request.param
    place = tmp_path_factory.mktemp("undated") / "data"
    return with_vectors(bank(place, split=SplitOptions(kind=kind), graph_strength=4.0))


@pytest.mark.parametrize("stage", ["train", "fit"])
def test_no_hidden_pair_is_known_in_its_episode(undated, stage):
    """Catches an answer among what is known, and pairs of validation or test in an episode."""
    snapshot = undated.snapshot(stage)
    known = pairs_of(snapshot.pairs.user, snapshot.pairs.item)
    found = episodes(undated, snapshot, HIDING)
    assert len([one for one in found if not one.cold]) == HIDING.windows
    for one in found:
        held = pairs_of(one.snapshot.pairs.user, one.snapshot.pairs.item)
        asked = pairs_of(one.users[one.row], one.item)
        assert asked
        assert asked <= known - held
        assert held < known
        assert one.allowed[one.row, one.item].all()


def test_a_training_on_hidden_pairs_does_not_see_what_it_is_judged_by(undated):
    """Catches the validation part in episodes, pseudo-labels or the start."""
    config = dataclasses.replace(HIDING, epochs=2)
    events = undated.interactions
    item = events.item.copy()
    item[events.valid] = np.random.default_rng(0).permutation(item[events.valid])
    assert (item != events.item).sum() > 20
    other = dataclasses.replace(undated, interactions=dataclasses.replace(events, item=item))
    ends = [
        dict(fit(one, one.snapshot(stage), config).model.state_dict())
        for stage in ("train", "fit")
        for one in (undated, other)
    ]
    assert same(ends[0], ends[1])
    assert not same(ends[2], ends[3])


def test_the_pair_readout_beats_popularity_on_a_random_split(tmp_path):
    """Catches a training on hidden pairs that learns nothing of the graph."""
    data = bank(tmp_path / "data", users=300, split=SplitOptions(kind="random"), graph_strength=6.0)
    run = train(data, tmp_path / "run", HIDING)
    popularity = Popularity().fit(data.snapshot("fit"))
    found = [evaluate(one, data).metrics["ndcg@10"] for one in (run.scorer(), popularity)]
    assert found[0] > found[1] + 0.03


# ---- what cannot be trained


@pytest.mark.parametrize("kind", ["temporal", "random"])
def test_too_few_to_hide_anything_of_is_refused(tmp_path, kind):
    """Catches a training without an episode, dated or not."""
    data = bank(tmp_path / "data", users=8, split=SplitOptions(kind=kind))
    with pytest.raises(DataError, match=r"nothing to back-test on(.|\n)*readout=tower"):
        train(data, tmp_path / "run", HIDING)


def test_a_bank_without_any_text(dataset):
    """Catches a text that is asked for where there is none."""
    scorer = fit(dataset, dataset.snapshot("train"), dataclasses.replace(CONFIG, epochs=2))
    assert not scorer.model.has_text
    assert np.isfinite(scorer.score(np.arange(dataset.n_users))).all()
    bare = without_text(dataset.snapshot("train"))
    again = ModelScorer(scorer.model, bare, CONFIG)
    assert np.array_equal(scorer.score(np.arange(5)), again.score(np.arange(5)))


# ---- candidates


def test_a_draw_stands_for_all_that_are_no_candidates():
    """Catches a loss at the slots that is not that over all items, and a target that is lost."""
    torch.manual_seed(0)
    scores = torch.randn(2, 50, dtype=torch.float64)
    row, item = torch.tensor([0, 1, 1]), torch.tensor([7, 3, 49])
    weight = torch.tensor([1 / 2, 1 / 4, 1 / 4], dtype=torch.float64)
    had = Ragged(torch.tensor([0, 2, 3]), torch.tensor([0, 9, 4], dtype=torch.int32))
    episode = Episode(None, np.arange(2), row, item, weight, torch.arange(50) != 5, had)
    order = torch.stack([torch.randperm(50), torch.randperm(50)]).int()
    slots = Slots(torch.cat([order, torch.full((2, 3), -1).int()], 1), 40, torch.ones(2, 53))
    columns = columns_of(episode, slots)
    listed = torch.cat([scores.gather(1, order.long()), torch.zeros(2, 3).double()], 1)
    expected = listwise_loss(scores, episode)
    torch.testing.assert_close(listwise_loss(listed, episode, 0.0, columns), expected)
    assert int(columns.allowed.sum()) == int(episode.allowed.sum())
    # one of two alike stands for both
    scores[:, 21] = scores[:, 20]
    gone = torch.where(order == 21, -1, order)
    stands = torch.where(order == 20, 2.0, 1.0)
    columns = columns_of(episode, Slots(gone, 40, stands))
    listed = scores.gather(1, order.long())
    found = listwise_loss(listed, episode, 0.0, columns)
    torch.testing.assert_close(found, listwise_loss(scores, episode))


def test_windows_of_a_large_graph_are_made_one_at_a_time(dataset, monkeypatch):
    """Catches other windows, or other weights, where not all fit into memory at once."""
    pair = dataclasses.replace(CONFIG.model.pair, all_items=5, candidates=12)
    config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, pair=pair))
    config = dataclasses.replace(config, epochs=2)

    def trained():
        learner = Learner(dataset, dataset.snapshot("train"), config)
        assert all(batch.episode.snapshot is None for batch in learner.objective.batches)
        learner.epoch(1)
        return learner.model.state_dict()

    expected = trained()
    monkeypatch.setattr("finrec_dgl.training.learner.MOST_PAIRS", 0)
    assert same(trained(), expected)
