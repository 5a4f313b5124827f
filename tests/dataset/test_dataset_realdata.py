"""The public data sets come out as others count them."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_worlds import NO_TEXT, named_pairs

from finrec_dgl.dataset import PreprocessOptions, SplitOptions, describe, preprocess

pytestmark = pytest.mark.realdata


def folder(real_data, name):
    place = real_data / name
    if not place.is_dir():
        pytest.skip(f"no {name} in {real_data}")
    return place


def test_stocknet_five_core(tmp_path, real_data):
    """Catches retweets among interactions, a core that looks ahead, days that are cut off."""
    dataset = preprocess(
        folder(real_data, "stocknet"),
        tmp_path / "out",
        PreprocessOptions(
            split=SplitOptions(cut="2015-06-01", valid_cut="2015-04-15"), k_core=5, encoder=NO_TEXT
        ),
    )
    found = describe(dataset)
    assert found["nodes"] == {"user": 3_462, "item": 1_623}
    assert found["edges"]["interacts"] == 52_558
    assert (found["test"]["users"], found["test"]["targets"]) == (474, 7_334)
    assert found["valid"]["cold users"] == found["test"]["cold users"] == 0


def test_fartrans_split_020(tmp_path, real_data):
    """Catches a protocol that is not the published one."""
    source = folder(real_data, "fartrans")
    dataset = preprocess(
        source,
        tmp_path / "out",
        PreprocessOptions(
            split=SplitOptions(split_file=str(source / "splits" / "020.json.gz")), encoder=NO_TEXT
        ),
    )
    found = describe(dataset)
    assert found["test"]["users"] == 1_680
    assert found["test"]["candidates"] == 538
    assert found["test"]["cold users"] == 0
    assert found["split"]["cut"] == "2020-04-10"
    held = named_pairs(dataset, dataset.snapshot("fit").pairs)
    assert not held & named_pairs(dataset, dataset.targets("test"))


def test_fartrans_split_040_of_new_products(tmp_path, real_data):
    """Catches held-out products with a past, and a given test that is not asked whole."""
    source = folder(real_data, "fartrans")
    split = SplitOptions(
        kind="cold-items", split_file=str(source / "splits" / "040.json.gz"), cold_share=0.2
    )
    dataset = preprocess(source, tmp_path / "out", PreprocessOptions(split=split, encoder=NO_TEXT))
    found = describe(dataset)
    assert found["held out"] == {
        "side": "item",
        "as validation begins": 99,
        "as the test begins": 56,
    }
    assert found["dropped"]["interactions: of held-out items"] == 12_266
    assert (found["test"]["users"], found["test"]["targets"]) == (2_294, 5_395)
    cold = dataset.cold("test")
    assert cold[dataset.targets("test").item].sum() == 731
    assert not cold[dataset.interactions.item].any()


def test_gowalla_keeps_its_split(tmp_path, real_data):
    """Catches training pairs lost or test pairs learnt from in the split of the literature."""
    dataset = preprocess(
        folder(real_data, "gowalla"), tmp_path / "out", PreprocessOptions(encoder=NO_TEXT)
    )
    assert (dataset.n_users, dataset.n_items) == (29_858, 40_981)
    assert len(dataset.snapshot("fit").pairs) == 810_128
    assert len(dataset.targets("test")) == 217_242
    assert len(dataset.targets("valid")) == pytest.approx(81_013, rel=0.01)
    assert dataset.user_ids.to_pylist()[:3] == ["0", "1", "2"]
    assert len(np.unique(dataset.snapshot("train").pairs.user)) == 29_858
