"""How far a wrong text spreads: no further than layers carry it, and as far as by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarking_worlds import TINY, make_dataset
from snapshots import FixedTexts, make_snapshot

from finrec_dgl.base.errors import DataError
from finrec_dgl.benchmarking.spread import spread
from finrec_dgl.benchmarking.tuning import changed
from finrec_dgl.training.model import build_model


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A data set with texts."""
    with pytest.MonkeyPatch.context() as patch:
        return make_dataset(tmp_path_factory.mktemp("spread") / "data", patch)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("social", [True, False])
def test_a_change_reaches_no_further_than_the_layers(dataset, layers, social):
    """Catches hops counted over other edges than messages take, or states of another layer."""
    options = {"model.layers": layers, "model.social": social, "model.linear_layers": 2}
    model = build_model(changed(TINY, options), dataset, 4)
    change, nodes = spread(model, dataset.snapshot("fit"), 6)
    assert nodes == 6
    assert len(change) == layers + 1
    for layer, row in enumerate(change):
        assert len(row) == 4
        for hop, value in enumerate(row):
            if value is not None:
                assert (value > 0) == (hop <= layer), (layer, hop)


def test_the_first_change_is_that_of_the_text_by_hand(dataset):
    """Catches a relative change that is not |h' - h| / |h| of the node that was changed."""
    options = {"model.ids": "none", "model.pseudo": False}
    model = build_model(changed(TINY, options), dataset, 0)
    snapshot = dataset.snapshot("fit")
    change, _ = spread(model, snapshot, 1, seed=5)
    text = {"user": snapshot.user_text, "item": snapshot.item_text}
    possible = []
    for name in ("user", "item"):
        with torch.inference_mode():
            states = model.text_one[name](torch.from_numpy(text[name])).numpy()
        states = states[text[name].any(axis=1)]
        away = np.linalg.norm(states[:, None] - states[None], axis=2)
        possible.append(away / np.linalg.norm(states, axis=1)[:, None])
    nearest = min(np.abs(one - change[0][0]).min() for one in possible)
    assert nearest < 1e-5


def test_where_there_is_no_text_there_is_nothing_to_spread(dataset):
    """Catches a division by nothing."""
    snapshot = make_snapshot()
    none = FixedTexts(snapshot.texts.user * 0, snapshot.texts.item * 0)
    model = build_model(TINY, dataset, 4)
    with pytest.raises(DataError, match="no node has a text"):
        spread(model, replace(snapshot, texts=none))
