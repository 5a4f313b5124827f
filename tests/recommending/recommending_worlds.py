"""Runs that were never trained, over small worlds, for tests of recommending."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch
from snapshots import make_snapshot

from finrec_dgl.base.errors import DataError
from finrec_dgl.nn import HybridConfig, TowerRecommender
from finrec_dgl.relations import GraphTensors, ModelShape
from finrec_dgl.tables import Tables
from finrec_dgl.training import ModelScorer, TrainConfig

BASE = HybridConfig(
    readout="tower",
    dim=8,
    item_bias=0.5,
    heads=2,
    layers=2,
    pseudo_classes=3,
    dropout=0.0,
    attention_dropout=0.0,
)

PLAIN = TrainConfig.plain(device="cpu")


def make_model(snapshot, config=BASE, seed=0):
    """A model away from its quiet start, so that every part has a say in the score."""
    torch.manual_seed(seed)
    shape = ModelShape(
        snapshot.n_users,
        snapshot.n_items,
        snapshot.item_text.shape[1],
        tuple(snapshot.ties),
        config.pseudo_classes if config.uses_pseudo else 0,
    )
    model = TowerRecommender(config, shape)
    model.start_from(GraphTensors(snapshot))
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


@dataclass
class WorldDataset:
    """What recommending asks of a data set; every item a candidate unless told."""

    world: object
    allowed: np.ndarray | None = None

    def __post_init__(self):
        self.n_users, self.n_items = self.world.n_users, self.world.n_items
        self.user_ids = pa.array([f"customer-{one:03d}" for one in range(self.n_users)])
        self.item_ids = pa.array([f"P{one}" for one in range(self.n_items)])
        self.item_titles = pa.array([f"Fund {one}" for one in range(self.n_items)])

    def snapshot(self, stage):
        assert stage == "fit"
        return self.world

    def candidates(self, split):
        assert split == "test"
        return np.ones(self.n_items, bool) if self.allowed is None else self.allowed

    def user_index(self, id):
        ids = self.user_ids.to_pylist()
        if id not in ids:
            raise DataError("unknown user")
        return ids.index(id)


class TableScorer:
    """Scores from a table; records the sizes of the chunks it was asked for."""

    def __init__(self, scores, snapshot):
        self.scores, self.snapshot, self.asked = scores, snapshot, []

    def score(self, users):
        self.asked.append(len(users))
        return self.scores[users]


@dataclass
class WorldRun:
    """A run whose scorer is given."""

    dataset: WorldDataset
    made: object
    splits: list = field(default_factory=list)

    def scorer(self, split="test"):
        self.splits.append(split)
        return self.made


def make_run(config=BASE, seed=0, allowed=None, **world):
    """A run of an untrained model over a random world."""
    snapshot = make_snapshot(seed, **world)
    return WorldRun(
        WorldDataset(snapshot, allowed),
        ModelScorer(make_model(snapshot, config, seed), snapshot, PLAIN),
    )


def table_run(scores, allowed=None, **world):
    """A run whose scores are given, [users, items]."""
    snapshot = make_snapshot(users=scores.shape[0], items=scores.shape[1], **world)
    return WorldRun(WorldDataset(snapshot, allowed), TableScorer(scores, snapshot))


def small_tables():
    """A bank of 40 customers and 12 funds with dates, titles, family ties and a newcomer."""
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((40, 12)) < 0.4)
    day = rng.integers(0, 100, len(user)) * 86_400
    source, target = np.nonzero(rng.random((40, 40)) < 0.1)
    apart = source != target
    names = [f"customer-{one:03d}" for one in range(41)]
    return Tables(
        interactions=pa.table(
            {
                "user_id": [names[one] for one in user],
                "item_id": [f"P{one:02d}" for one in item],
                "timestamp": pa.array(day, pa.int64()),
            }
        ),
        items=pa.table(
            {
                "item_id": [f"P{one:02d}" for one in range(12)],
                "title": [f"Fund {one}" for one in range(12)],
            }
        ),
        users=pa.table({"user_id": names}),
        ties=pa.table(
            {
                "source_id": [names[one] for one in source[apart]],
                "target_id": [names[one] for one in target[apart]],
                "kind": ["family"] * int(apart.sum()),
            }
        ),
        item_title="title",
    )
