"""The model's configuration refuses what makes no model."""

import dataclasses

import pytest

from finrec_dgl.base.config import from_mapping, to_mapping
from finrec_dgl.base.errors import ConfigError
from finrec_dgl.nn import HybridConfig
from finrec_dgl.relations import PairConfig


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
        ({"readout": "pairs"}, "did you mean 'pair'"),
    ],
)
def test_what_makes_no_model_is_refused(fields, words):
    """Catches a setting that would fail late or, worse, train something else."""
    with pytest.raises(ConfigError, match=words):
        HybridConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"peer_half_lives": (30.0, -1.0)}, "peer_half_lives is"),
        ({"holding_half_lives": (float("nan"),)}, "holding_half_lives is"),
        ({"holding_half_lives": (15.0, 15.0)}, "expected each once"),
        ({"ease": (0.0,)}, "ease is"),
        ({"ease": (100.0, 100.0)}, "expected each once"),
        ({"trend_half_lives": (30.0, 90.0)}, "expected falling"),
        ({"trend_half_lives": (0.0,)}, "trend_half_lives is"),
        ({"peers": -1}, "peers is -1"),
        ({"peers": 0}, "peers is 0, expected at least 1"),
        ({"vector_epochs": 0, "vectors": -1}, "vectors is -1.*vector_epochs is 0"),
        ({"vector_temperature": 0.0}, "vector_temperature is 0.0"),
        ({"cosine_alpha": 1.5}, "cosine_alpha is 1.5"),
        ({"ease_near": -1}, "ease_near is -1"),
        ({"ranks": (0,)}, r"ranks is \[0\]"),
        ({"ranks": (8, 4)}, "expected rising"),
        ({"trend_prior": -1.0, "short_half_life": -1.0}, "trend_prior is.*short_half_life is"),
        ({"text_sharpness": 0.0}, "text_sharpness is 0.0"),
        ({"text_penalty": float("nan")}, "text_penalty is nan"),
        ({"text_categories": -0.5}, "text_categories is -0.5"),
        ({"text_numbers": -0.5}, "text_numbers is -0.5"),
        ({"cold_share": 1.0}, "cold_share is 1.0"),
    ],
)
def test_what_makes_no_relation_is_refused(fields, words):
    """Catches a filter, kernel or share that would fail late, or twice the same channel."""
    with pytest.raises(ConfigError, match=words):
        PairConfig(**fields)


def test_relations_may_be_few():
    """Catches a list of filters that must not be empty."""
    none = PairConfig(
        ease=(), holding_half_lives=(), trend_half_lives=(), ranks=(), peer_half_lives=()
    )
    config = HybridConfig(readout="pair", pair=none)
    assert from_mapping(HybridConfig, to_mapping(config)) == config


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
