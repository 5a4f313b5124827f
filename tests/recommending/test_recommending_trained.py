"""A trained run on disk, from tables to recommendations: nothing faked."""

import dataclasses

import pyarrow.parquet as pq
import pytest
from recommending_worlds import BASE, small_tables

from finrec_dgl.base.errors import DataError
from finrec_dgl.dataset import PreprocessOptions, build_dataset
from finrec_dgl.recommending import recommend, recommend_all
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training import TrainConfig, load_run, train

CONFIG = TrainConfig.plain(model=dataclasses.replace(BASE, text=False), epochs=2, patience=2)


def make(folder, monkeypatch, user_ids="keep"):
    monkeypatch.setenv("FINREC_DGL_ID_KEY", "a secret of the tests")
    options = PreprocessOptions(encoder=EncoderSpec(name="none"), user_ids=user_ids)
    dataset = build_dataset(small_tables(), folder / "dataset", options)
    train(dataset, folder / "run", CONFIG)
    return load_run(folder / "run")


def test_from_tables_to_reasons_and_file(tmp_path, monkeypatch):
    """Catches an interface of data set or run that is not what recommending takes it for."""
    run = make(tmp_path, monkeypatch)
    holds = set(
        run.dataset.item_ids.take(
            run.dataset.snapshot("fit").pairs.item[run.dataset.snapshot("fit").pairs.user == 3]
        ).to_pylist()
    )
    found = recommend(run, "customer-003", k=5)
    assert not holds & {one.item_id for one in found}
    assert {why.kind for one in found for why in one.reasons} & {"held", "ties"}
    assert all(one.title == f"Fund {int(one.item_id[1:])}" for one in found)
    newcomer = recommend(run, "customer-040", k=3)
    assert [one.reasons[0].kind for one in newcomer] == ["new"] * 3
    with pytest.raises(DataError, match="unknown user 'customer-999'") as caught:
        recommend(run, "customer-999")
    assert "customer-003" not in str(caught.value)

    recommend_all(run, tmp_path / "all.parquet", k=5)
    rows = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert {row["user_id"] for row in rows} == {f"customer-{one:03d}" for one in range(41)}
    mine = [row for row in rows if row["user_id"] == "customer-003"]
    assert [(row["rank"], row["item_id"]) for row in mine] == [
        (one.rank, one.item_id) for one in found
    ]


@pytest.mark.parametrize("user_ids", ["hashed", "none"])
def test_the_file_holds_the_ids_that_the_data_set_stores(tmp_path, monkeypatch, user_ids):
    """Catches customers' own ids in a file, where the data set was made without them."""
    run = make(tmp_path, monkeypatch, user_ids)
    recommend_all(run, tmp_path / "all.parquet", k=2)
    ids = set(pq.read_table(tmp_path / "all.parquet")["user_id"].to_pylist())
    assert ids == set(run.dataset.user_ids.to_pylist())
    assert not any("customer" in one for one in ids)
    asked = "customer-003" if user_ids == "hashed" else "3"
    assert len(recommend(run, asked, k=2)) == 2
