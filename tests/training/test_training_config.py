"""The training configuration refuses what cannot be trained."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from snapshots import make_snapshot

from finrec_dgl.base.config import apply_sets, from_mapping, read_toml, to_mapping
from finrec_dgl.base.errors import ConfigError, UsageError
from finrec_dgl.nn import HybridConfig
from finrec_dgl.sampling import FULL
from finrec_dgl.training import TrainConfig
from finrec_dgl.training.config import PLAIN, read_settings, two_hops

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sampler": "neighbour"}, "did you mean 'neighbor'"),
        ({"loss": "brp"}, "did you mean 'bpr'"),
        ({"negatives": "unifrom"}, "did you mean 'uniform'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seeds_per_user": -1}, "seeds_per_user is -1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lambda_pseudo": -1.0}, "lambda_pseudo is -1.0"),
        ({"lambda_ids": float("nan")}, "lambda_ids is nan"),
        ({"fanout": (5, 0)}, "fanout is"),
        ({"fanout": (-2,)}, "fanout is"),
        ({"fanout": (1, 2, 3, 4)}, "at most 3 numbers: items of a seed"),
        ({"lr_schedule": "cosin"}, "did you mean 'cosine'"),
        ({"device": "cdua"}, "did you mean 'cuda'"),
        ({"device": "cuda:x"}, "device is 'cuda:x'"),
        ({"precision": "bf16", "device": "cpu"}, "expected float32 on the cpu"),
        ({"precision": "fp16"}, "precision is"),
        ({"seeds": "interactions"}, "filters between items know them"),
        (
            {"model": HybridConfig(readout="tower"), "seeds": "interactions"},
            "seeds=windows",
        ),
        ({"epochs": 0, "patience": 0}, "epochs is 0.*patience is 0"),
        ({"average": -1}, "average is -1"),
        ({"windows": 0, "window_users": 0}, "windows is 0.*window_users is 0"),
        ({"window_step": -1.0, "warm_up": float("nan")}, "window_step is.*warm_up is"),
        ({"lambda_start": -1.0}, "lambda_start is"),
    ],
)
def test_out_of_range_is_refused(fields, words):
    """Catches a setting that would fail late or, worse, train something else."""
    with pytest.raises(ConfigError, match=words):
        TrainConfig(**fields)


def test_round_trip_with_sets():
    """Catches keys lost between the command line, the file and the run."""
    mapping = apply_sets({"lr": 0.1}, ["model.layers=2", "loss=bpr", "fanout=[5, 5]"])
    mapping["model"]["readout"] = "tower"
    config = from_mapping(TrainConfig, mapping)
    assert (config.lr, config.model.layers, config.loss, config.fanout) == (0.1, 2, "bpr", (5, 5))
    assert from_mapping(TrainConfig, to_mapping(config)) == config
    with pytest.raises(ConfigError, match=r"unknown key 'model\.layer'; did you mean 'layers'"):
        from_mapping(TrainConfig, {"model": {"layer": 2}})
    with pytest.raises(ConfigError, match="model.dim is 'wide', expected int"):
        from_mapping(TrainConfig, {"model": {"dim": "wide"}})


def test_fanouts_for_any_depth():
    """Catches a fanout list that does not fit the model's layers."""
    snapshot = make_snapshot(0)
    config = TrainConfig.plain(sampler="neighbor")
    assert config.fanouts(snapshot, 0).layers(2) == (10, 10)
    drawn = dataclasses.replace(config, fanout=(10, 5)).fanouts(snapshot, 0)
    assert drawn.layers(1) == (10,)
    assert drawn.layers(4) == (10, 5, 5, 5)
    assert FULL.layers(2) == (-1, -1)
    assert FULL.whole
    assert not drawn.whole


def test_the_default_is_the_form_that_wins():
    """Catches a default that must be asked for to rank well."""
    config = TrainConfig()
    assert (config.model.readout, config.loss) == ("pair", "backtest")
    assert read_settings({}) == config
    assert config == from_mapping(TrainConfig, read_toml(EXAMPLES / "default.toml"))


def test_the_tower_readout_is_the_plain_form():
    """Catches the steps of back-testing taken with the many weights of the plain form."""
    for config in (TrainConfig.plain(), read_settings({"model": {"readout": "tower"}})):
        assert config.model == HybridConfig(readout="tower")
        assert {name: getattr(config, name) for name in PLAIN} == PLAIN
        assert (config.loss, config.lr, config.epochs, config.average) == ("softmax", 1e-4, 60, 0)
    given = {"lr": 0.5, "loss": "bpr", "model": {"readout": "tower", "layers": 2}}
    config = TrainConfig.plain(model=HybridConfig(layers=2), lr=0.5, loss="bpr")
    assert read_settings(given) == config
    assert (config.lr, config.model.layers, config.average) == (0.5, 2, 0)


def test_the_pair_readout_draws_where_there_are_many_users_two_hops_away(monkeypatch):
    """Catches a small graph that is drawn from, a large one that is not, and fanouts that are not
    the ones asked for."""
    snapshot = make_snapshot(0)
    pairs = list(zip(snapshot.pairs.user.tolist(), snapshot.pairs.item.tolist(), strict=True))
    hops = sum(item == other for _, item in pairs for _, other in pairs)
    average = hops / len({user for user, _ in pairs})
    assert two_hops(snapshot) == pytest.approx(average)
    assert TrainConfig().fanouts(snapshot, 3) == FULL
    assert TrainConfig(sampler="full", fanout=(4,)).fanouts(snapshot, 3) == FULL
    monkeypatch.setattr("finrec_dgl.training.config.MOST_NEIGHBOURS", average - 1)
    found = TrainConfig().fanouts(snapshot, 3)
    assert (found.items, found.users, found.peer_items) == (-1, 200, -1)
    drawn = TrainConfig(sampler="neighbor", fanout=(4, 9)).fanouts(snapshot, 3)
    assert (drawn.items, drawn.users, drawn.peer_items) == (4, 9, -1)
    assert TrainConfig(sampler="full").fanouts(snapshot, 3) == FULL


def test_each_window_and_seed_has_a_draw_of_its_own():
    """Catches the same neighbours in every window, for every seed, or others for the same one."""
    snapshot = make_snapshot(0)
    keys = [
        TrainConfig(sampler="neighbor", seed=seed).fanouts(snapshot, number).key
        for seed in (0, 1)
        for number in (-1, 0, 1)
    ]
    assert len(set(keys)) == len(keys)
    assert all(key >= 0 for key in keys)
    again = TrainConfig(sampler="neighbor", seed=1).fanouts(snapshot, 1)
    assert again.key == keys[-1]


def test_steps_fall_to_nothing_by_a_cosine():
    """Catches a schedule that begins or ends elsewhere, or that the other name has too."""
    config = TrainConfig(epochs=4)
    found = [config.lr_share(epoch) for epoch in range(1, 5)]
    expected = [0.5 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
    assert found == pytest.approx(expected)
    assert found[0] == 1
    assert 0 < found[-1] < 0.2
    constant = TrainConfig(epochs=4, lr_schedule="constant")
    assert [constant.lr_share(epoch) for epoch in range(1, 5)] == [1.0] * 4


def test_devices_by_name():
    """Catches a GPU that is asked for and silently replaced, and a tower that leaves the CPU."""
    assert TrainConfig(device="cpu").torch_device() == torch.device("cpu")
    count = torch.cuda.device_count()
    expected = torch.device("cuda" if count else "cpu")
    assert TrainConfig().torch_device() == expected
    with pytest.raises(UsageError, match=f"no device cuda:{count} here"):
        TrainConfig(device=f"cuda:{count}").torch_device()
    if not count:
        with pytest.raises(UsageError, match="precision is bf16 and the device is the cpu"):
            TrainConfig(precision="bf16").torch_device()


# ---- settings without effect

PAIR_ALONE = {
    "model.dim": {"model": {"dim": 8}},
    "model.ids": {"model": {"ids": "both"}},
    "model.kernels": {"model": {"kernels": "torch"}},
    "lambda_reg": {"lambda_reg": 0.1},
    "lambda_ids": {"lambda_ids": 0.1},
    "steps": {"steps": 3},
    "negatives": {"negatives": "all"},
    "n_negatives": {"n_negatives": 5},
    "patience": {"patience": 3},
    "fanout": {"sampler": "full", "fanout": [3]},
    "loss_floor": {"loss": "bpr", "loss_floor": 0.1},
}
TOWER_ALONE = {
    "model.pair": {"model": {"readout": "tower", "pair": {"peers": 3}}},
    "lambda_start": {"model": {"readout": "tower"}, "lambda_start": 0.1},
    "windows": {"model": {"readout": "tower"}, "windows": 3},
    "warm_up": {"model": {"readout": "tower"}, "warm_up": 3.0},
    "loss_floor": {"model": {"readout": "tower"}, "loss_floor": 0.1},
    "negatives": {"model": {"readout": "tower"}, "loss": "backtest", "negatives": "all"},
    "fanout": {"model": {"readout": "tower"}, "fanout": [3]},
}


@pytest.mark.parametrize(
    ("name", "given"),
    [*PAIR_ALONE.items(), *TOWER_ALONE.items()],
    ids=[*(f"pair-{one}" for one in PAIR_ALONE), *(f"tower-{one}" for one in TOWER_ALONE)],
)
def test_a_setting_without_effect_is_refused(name, given):
    """Catches a setting that changes nothing, and nobody is told."""
    with pytest.raises(ConfigError, match=f"{name} has no effect: "):
        read_settings(given)


@pytest.mark.parametrize(
    "given",
    [
        {"model": {"pair": {"peers": 3}}, "windows": 3, "lambda_start": 0.1, "loss_floor": 0.1},
        {"average": 0, "patience": 3},
        {"sampler": "neighbor", "fanout": [3]},
        {"fanout": [3], "workers": 2, "seeds_per_user": 2, "batch_size": 9, "device": "cpu"},
        {"model": {"readout": "tower", "dim": 8}, "negatives": "all", "patience": 3},
        {"model": {"readout": "tower"}, "sampler": "neighbor", "fanout": [3], "workers": 1},
        {"model": {"readout": "tower"}, "loss": "backtest", "windows": 3, "loss_floor": 0.1},
        {"model": {"readout": "tower"}, "seeds": "windows", "windows": 3, "loss": "bpr"},
    ],
    ids=str,
)
def test_a_setting_with_an_effect_is_taken(given):
    """Catches a refusal of what does change something."""
    config = read_settings(given)
    for name, value in given.items():
        if name != "model":
            wanted = tuple(value) if isinstance(value, list) else value
            assert getattr(config, name) == wanted


def test_all_settings_without_effect_are_named_at_once():
    """Catches refusals that come one at a time."""
    with pytest.raises(ConfigError, match=r"lambda_reg has no effect.*model\.dim has no effect"):
        read_settings({"lambda_reg": 0.1, "model": {"dim": 8}})


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_the_examples_hold_no_setting_without_effect(path):
    """Catches an example that says what nothing reads."""
    assert read_settings(read_toml(path), where=path.name)


def test_what_is_drawn_by_itself_follows_from_the_size():
    """Catches a million candidates a row by default, and a draw that nobody asked for."""
    config = TrainConfig()
    assert config.negatives_of(20_000) == "all"
    assert config.negatives_of(20_001) == "in-batch"
    assert TrainConfig(negatives="all").negatives_of(10**6) == "all"


def test_together_by_interactions():
    """Catches small graphs whose interactions are grouped, and a setting that is passed by."""
    assert TrainConfig().together_of(10_000_000) == 1
    assert TrainConfig().together_of(10_000_001) == 4
    assert TrainConfig(seeds_per_user=2).together_of(10**8) == 2
