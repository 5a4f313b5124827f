"""The model's configuration refuses what makes no model."""

import dataclasses

import pytest

from finrec_dgl.base.config import from_mapping, to_mapping
from finrec_dgl.base.errors import ConfigError
from finrec_dgl.nn import HybridConfig


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fusion": "gates"}, "did you mean 'gate'"),
        ({"head": "mpl"}, "did you mean 'mlp'"),
        ({"dim": 0}, "dim is 0"),
        ({"heads": 3}, "does not divide"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"stream_one": False, "stream_two": False}, "both off"),
        ({"text": False, "graph": False}, "both off"),
        ({"text": False, "ids": "none"}, "cannot tell nodes apart"),
        ({"pseudo_target": "file"}, "pseudo_file"),
        ({"ids_start": "spectrum"}, "did you mean 'spectral'"),
    ],
)
def test_what_makes_no_model_is_refused(fields, words):
    """Catches a setting that would fail late or, worse, train something else."""
    with pytest.raises(ConfigError, match=words):
        HybridConfig(**fields)


def test_all_problems_are_named_at_once():
    """Catches errors that come one at a time."""
    with pytest.raises(ConfigError, match="dim is 0.*heads is 0"):
        HybridConfig(dim=0, heads=0)


def test_round_trip_and_unknown_keys():
    """Catches a field lost on the way to the run's folder, and a key quietly ignored."""
    config = HybridConfig(layers=2, pseudo_columns=("kind",))
    assert from_mapping(HybridConfig, to_mapping(config)) == config
    with pytest.raises(ConfigError, match="unknown key 'layer'; did you mean 'layers'"):
        from_mapping(HybridConfig, {"layer": 2})


def test_frozen():
    """Catches a configuration that changes under a model."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        HybridConfig().dim = 3
