"""The training configuration refuses what cannot be trained."""

from pathlib import Path

import pytest

from finrec_dgl.base.config import apply_sets, from_mapping, read_toml, to_mapping
from finrec_dgl.base.errors import ConfigError
from finrec_dgl.nn import HybridConfig
from finrec_dgl.training import TrainConfig
from finrec_dgl.training.config import PLAIN, read_settings

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
        ({"fanout": ()}, "fanout is"),
        ({"epochs": 0, "patience": 0}, "epochs is 0.*patience is 0"),
        ({"average": -1}, "average is -1"),
        ({"loss": "bpr"}, "loss is bpr.*backtest.*model.readout to observed"),
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
    mapping["model"]["relations"] = "observed"
    config = from_mapping(TrainConfig, mapping)
    assert (config.lr, config.model.layers, config.loss, config.fanout) == (0.1, 2, "bpr", (5, 5))
    assert from_mapping(TrainConfig, to_mapping(config)) == config
    with pytest.raises(ConfigError, match=r"unknown key 'model\.layer'; did you mean 'layers'"):
        from_mapping(TrainConfig, {"model": {"layer": 2}})
    with pytest.raises(ConfigError, match="model.dim is 'wide', expected int"):
        from_mapping(TrainConfig, {"model": {"dim": "wide"}})


def test_fanouts_for_any_depth():
    """Catches a fanout list that does not fit the model's layers."""
    config = TrainConfig(fanout=(10, 5))
    assert config.fanouts(1) == (10,)
    assert config.fanouts(4) == (10, 5, 5, 5)


def test_the_default_is_the_form_that_wins():
    """Catches a default that must be asked for to rank well."""
    config = TrainConfig()
    assert (config.model.readout, config.loss) == ("derived", "backtest")
    assert read_settings({}) == config
    assert config == from_mapping(TrainConfig, read_toml(EXAMPLES / "derived.toml"))


def test_observed_relations_alone_are_the_plain_form():
    """Catches the steps of back-testing taken with the many weights of the plain form."""
    for config in (TrainConfig.plain(), read_settings({"model": {"readout": "tower"}})):
        assert config.model == HybridConfig(readout="tower")
        assert {name: getattr(config, name) for name in PLAIN} == PLAIN
        assert (config.loss, config.lr, config.epochs, config.average) == ("softmax", 1e-4, 60, 0)
    given = {"lr": 0.5, "loss": "bpr", "model": {"readout": "tower", "layers": 2}}
    config = TrainConfig.plain(model=HybridConfig(layers=2), lr=0.5, loss="bpr")
    assert read_settings(given) == config
    assert (config.lr, config.model.layers, config.average) == (0.5, 2, 0)


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
