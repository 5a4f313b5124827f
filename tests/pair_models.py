"""Models of the pair readout that were never trained, away from their start."""

from dataclasses import replace

import torch

from finrec_dgl.nn import HybridConfig, PairRecommender
from finrec_dgl.relations import ModelShape, PairConfig

PAIR = PairConfig(
    ease=(20.0, 200.0),
    holding_half_lives=(40.0, 0.0),
    ranks=(4,),
    peer_half_lives=(20.0, 100.0),
    trend_half_lives=(90.0, 15.0),
    trend_prior=5.0,
    text_sharpness=3.0,
    text_channels=True,
)
CONFIG = HybridConfig(readout="pair", pseudo_classes=3, pair=PAIR)


def shape_of(snapshot, config=CONFIG):
    """What the model of ``snapshot`` has to fit."""
    return ModelShape(
        snapshot.n_users,
        snapshot.n_items,
        snapshot.item_text.shape[1],
        tuple(snapshot.ties),
        config.pseudo_classes if config.uses_pseudo else 0,
    )


def make_pair(snapshot, seed=0, moved=True, **switches):
    """A model; ``moved``: with random weights, so that every part has a say in the score."""
    config = replace(CONFIG, **switches)
    torch.manual_seed(seed)
    model = PairRecommender(config, shape_of(snapshot, config))
    if moved:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model
