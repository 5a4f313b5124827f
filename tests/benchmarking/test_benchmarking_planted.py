"""How near the hybrid comes to the generator's own optimum, and what each of its parts is for."""

import functools

import pytest
from benchmarking_worlds import SILENT_WORLD, expected_random_ndcg, make_dataset, word_vectors

from finrec_dgl.dataset import texts
from finrec_dgl.evaluation import compare, evaluate
from finrec_dgl.nn import DerivedConfig, HybridConfig
from finrec_dgl.tables.generate import World, oracle
from finrec_dgl.training import TrainConfig
from finrec_dgl.training.learner import fit

METRIC = "ndcg@10"
SIZE = {
    **{"users": 1500, "items": 80, "interactions_per_user": 10.0, "ties_per_user": 3.0},
    **{"cold_share": 0.0, "arriving_share": 0.0, "seed": 3},
}
WORLDS = {
    "silent": {},
    "text": {"text_strength": 6.0},
    "graph": {"graph_strength": 2.5},
    "ties": {"tie_strength": 8.0},
    "all": {"text_strength": 6.0, "graph_strength": 1.0, "tie_strength": 8.0},
}


@functools.cache
def config_of(off):
    """The hybrid without the part ``off``; no more filters than a world without trends needs."""
    derived = DerivedConfig(
        peer_half_lives=(365.0,),
        peers=128,
        ease=(100.0, 300.0),
        holding_half_lives=(0.0,),
        rank=16,
        trend_half_lives=(365.0,),
        text_channels=True,
    )
    parts = {} if off == "nothing" else {off: False}
    model = HybridConfig(relations="derived", pseudo_classes=12, derived=derived, **parts)
    return TrainConfig(model=model, loss="backtest", windows=6, lr=0.05, epochs=12, average=4)


class Planted:
    """Data sets of ``WORLDS`` and what models find in them, each made once."""

    def __init__(self, folder):
        self.folder = folder
        self.dataset = functools.cache(self._dataset)
        self.best = functools.cache(self._best)
        self.found = functools.cache(self._found)

    def _dataset(self, name):
        with pytest.MonkeyPatch.context() as patch:
            return make_dataset(self.folder / name, patch, **self._world(name))

    def _world(self, name):
        return {**SILENT_WORLD, **SIZE, **WORLDS[name]}

    def _best(self, name):
        """The evaluation of the scores by which the customers chose."""
        dataset = self.dataset(name)
        known = oracle(World(**self._world(name)), dataset.cut)
        known = known.aligned(dataset.user_ids.to_pylist(), dataset.item_ids.to_pylist())
        return evaluate(known, dataset, "test")

    def _found(self, name, off="nothing"):
        """The evaluation of the hybrid without the part ``off``."""
        dataset = self.dataset(name)
        return evaluate(fit(dataset, dataset.snapshot("fit"), config_of(off)), dataset, "test")

    def cost(self, name, off):
        """The paired difference between the whole hybrid and that without the part ``off``."""
        return compare(self.found(name), self.found(name, off), METRIC)

    def share(self, name):
        """How much of the way from chance to the best the hybrid goes."""
        chance = expected_random_ndcg(self.dataset(name)).mean()
        best = self.best(name).metrics[METRIC]
        return (self.found(name).metrics[METRIC] - chance) / (best - chance)
