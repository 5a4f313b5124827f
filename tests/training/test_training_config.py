"""The training configuration refuses what cannot be trained."""

import pytest

from finrec_dgl.base.config import apply_sets, from_mapping, to_mapping
from finrec_dgl.base.errors import ConfigError
from finrec_dgl.nn import HybridConfig
from finrec_dgl.training import TrainConfig


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sampler": "neighbour"}, "did you mean 'neighbor'"),
        ({"loss": "brp"}, "did you mean 'bpr'"),
        ({"negatives": "unifrom"}, "did you mean 'uniform'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lambda_pseudo": -1.0}, "lambda_pseudo is -1.0"),
        ({"lambda_ids": float("nan")}, "lambda_ids is nan"),
        ({"fanout": (5, 0)}, "fanout is"),
        ({"fanout": ()}, "fanout is"),
        ({"epochs": 0, "patience": 0}, "epochs is 0.*patience is 0"),
        ({"average": 6, "epochs": 5}, r"average is 6, expected from 0 to epochs \(5\)"),
        ({"average": -1}, "average is -1"),
        ({"model": HybridConfig(relations="derived"), "loss": "bpr"}, "loss is bpr.*backtest"),
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
