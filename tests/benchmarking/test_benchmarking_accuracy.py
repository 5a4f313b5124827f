"""The comparison: what is done once, what is written, and whether the figures are evaluate's."""

import json
from dataclasses import replace

import numpy as np
import pytest
from benchmarking_worlds import TINY, make_dataset, without_dates

from finrec_dgl.base.errors import ConfigError, DataError, UsageError
from finrec_dgl.baselines import BASELINES, Popularity
from finrec_dgl.benchmarking import MODELS, accuracy, compare_models
from finrec_dgl.dataset import PreprocessOptions, build_dataset
from finrec_dgl.evaluation import Evaluation, compare, evaluate, holm
from finrec_dgl.tables.generate import World
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training import load_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set with texts, and the comparison of every model on it."""
    place = tmp_path_factory.mktemp("accuracy")
    with pytest.MonkeyPatch.context() as patch:
        dataset = make_dataset(place / "data", patch)
    return dataset, place / "out", compare_models(dataset, place / "out", MODELS, 2, TINY)


@pytest.fixture
def counted(monkeypatch):
    """The names of what was tuned and trained, in order."""
    calls = []

    def spy(name):
        real = getattr(accuracy, name)

        def call(*arguments, **options):
            calls.append(arguments[0] if name == "tune" else arguments[1].name.rsplit("-", 1)[0])
            return real(*arguments, **options)

        monkeypatch.setattr(accuracy, name, call)

    spy("tune")
    spy("train")
    return calls


def results(out):
    return [json.loads(path.read_text()) for path in sorted((out / "results").iterdir())]


def test_every_model_has_its_row_and_its_seeds(made):
    """Catches a model that is lost, or a baseline that is needlessly done for each seed."""
    _, out, table = made
    assert [row.model for row in table.rows] == list(MODELS)
    assert not table.skipped
    assert {row.model: len(row.by_seed) for row in table.rows} == {
        name: 2 if name.startswith("hybrid") or BASELINES[name].seeded else 1 for name in MODELS
    }
    seeds = [one["seed"] for one in results(out) if one["model"] == "hybrid"]
    assert seeds == [0, 1]
    drawn = [one for one in results(out) if one["model"] == "bpr"]
    assert [one["seed"] for one in drawn] == [0, 1]
    assert drawn[0]["per_user"] != drawn[1]["per_user"]


def test_nothing_is_done_twice(made, counted):
    """Catches a second training of what is there, or another table of the same results."""
    dataset, out, table = made
    again = compare_models(dataset, out, MODELS, 2, TINY)
    assert counted == []
    assert again.to_mapping() == table.to_mapping()
    compare_models(dataset, out, ["hybrid", "popularity"], 3, TINY)
    assert counted == ["hybrid-2"]


def test_another_configuration_or_data_set_is_another_result(made, counted, tmp_path):
    """Catches figures of one configuration or data set told as those of another."""
    dataset, out, _ = made
    compare_models(dataset, out, ["hybrid"], 1, replace(TINY, lr=0.02))
    assert counted == ["hybrid-0"]
    other = make_dataset(tmp_path / "other", seed=7)
    compare_models(other, out, ["popularity"], 1, TINY)
    assert counted == ["hybrid-0", "popularity"]


def test_a_comparison_cut_off_goes_on(made, counted, tmp_path, monkeypatch):
    """Catches a cut that loses finished models, or a half-trained run taken for a whole one."""
    dataset, _, table = made
    real = accuracy.evaluate

    def cut_off(scorer, *rest, **options):
        if isinstance(scorer, Popularity):
            return real(scorer, *rest, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(accuracy, "evaluate", cut_off)
        with pytest.raises(KeyboardInterrupt):
            compare_models(dataset, tmp_path / "out", ["popularity", "hybrid"], 1, TINY)
    assert not (tmp_path / "out/table.json").exists()
    begun = counted.copy()
    found = compare_models(dataset, tmp_path / "out", ["popularity", "hybrid"], 1, TINY)
    assert counted == [*begun, "hybrid-0"]
    assert found.row("hybrid").by_seed == table.row("hybrid").by_seed[:1]


def test_the_figures_are_those_of_evaluate(made):
    """Catches a table of other numbers than an evaluation of the same run and split gives."""
    dataset, out, table = made
    row = table.row("hybrid")
    evaluations = [
        evaluate(load_run(out / run, dataset).scorer("test"), dataset, "test") for run in row.runs
    ]
    for name in ("ndcg@10", "hit@10", "precision@10", "recall@10", "mrr"):
        expected = np.mean([one.metrics[name] for one in evaluations])
        assert row.metrics[name] == pytest.approx(expected, abs=1e-6)
    popular = evaluate(Popularity().fit(dataset.snapshot("fit")), dataset, "test")
    assert table.row("popularity").metrics == pytest.approx(popular.metrics)
    assert table.row("popularity").intervals == popular.intervals
    per_user = np.mean([one.per_user["ndcg@10"] for one in evaluations], axis=0)
    mean = replace(evaluations[0], per_user={"ndcg@10": per_user})
    compared = compare(popular, mean)
    found = table.row("popularity").comparison
    assert found.difference == pytest.approx(compared.difference, abs=1e-6)
    others = [one for one in table.rows if one.comparison]
    adjusted = holm([one.comparison.p_value for one in others])
    assert [one.p_value for one in others] == pytest.approx(adjusted.tolist())
    assert row.comparison is None
    assert row.p_value is None


def test_a_result_holds_per_user_metrics_without_ids(made):
    """Catches results that cannot be compared later, or that carry customers' ids."""
    dataset, out, _ = made
    ids = set(dataset.user_ids.to_pylist())
    for path in (out / "results").iterdir():
        text = path.read_text()
        one = json.loads(text)
        assert len(one["dataset"]) == 64
        assert len(one["users"]) == len(one["per_user"]["mrr"]) == one["evaluation"]["users"]
        assert one["settings"]
        assert all(isinstance(user, int) for user in one["users"])
        assert not any(f'"{id}"' in text for id in ids)


def test_the_table_is_written_for_people_and_machines(made):
    """Catches a file that differs from what was returned, or a column that is lost."""
    dataset, out, _ = made
    table = compare_models(dataset, out, MODELS, 2, TINY)
    assert json.loads((out / "table.json").read_text()) == table.to_mapping()
    text = (out / "table.md").read_text()
    assert text == table.to_markdown()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(MODELS)
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1
    assert f"{table.row('itemknn').metrics['ndcg@10']:.4f}" in text
    assert "mean of 2 seeds" in text


def test_what_the_data_lack_is_skipped_with_its_reason(tmp_path):
    """Catches a crash, or a model without a word, where there are no dates and no text."""
    tables = without_dates(World(users=120, items=30, interactions_per_user=8.0))
    options = PreprocessOptions(encoder=EncoderSpec(name="none"))
    dataset = build_dataset(tables, tmp_path / "data", options)
    wanted = ["popularity-recent", "text", "hybrid-text", "popularity"]
    table = compare_models(dataset, tmp_path / "out", wanted, 2, TINY)
    assert [row.model for row in table.rows] == ["popularity"]
    assert table.row("popularity").comparison is None
    reasons = {one.model: one.reason for one in table.skipped}
    assert set(reasons) == {"popularity-recent", "text", "hybrid-text"}
    assert "dated" in reasons["popularity-recent"]
    assert "text" in reasons["text"]
    assert all(f"{name} skipped: " in table.to_markdown() for name in reasons)
    assert len(results(tmp_path / "out")) == 1


def test_all_problems_are_named_before_anything_is_done(made, tmp_path):
    """Catches hours of training before a misspelt name is found."""
    dataset, _, _ = made
    with pytest.raises(ConfigError, match="itemknn.*seeds is 0") as caught:
        compare_models(dataset, tmp_path / "out", ["hybrid", "itemnn"], 0, TINY)
    assert "did you mean" in str(caught.value)
    with pytest.raises(ConfigError, match="each once"):
        compare_models(dataset, tmp_path / "out", ["text", "text"], 1, TINY)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(made, tmp_path):
    """Catches results written among another's files."""
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(UsageError, match="other files"):
        compare_models(made[0], tmp_path, ["popularity"], 1, TINY)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_broken_result_is_named(made, tmp_path):
    """Catches a damaged file that ends in a traceback or in wrong figures."""
    dataset, _, _ = made
    compare_models(dataset, tmp_path / "out", ["popularity"], 1, TINY)
    (path,) = (tmp_path / "out/results").iterdir()
    record = json.loads(path.read_text())
    del record["per_user"]
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="broken") as caught:
        compare_models(dataset, tmp_path / "out", ["popularity"], 1, TINY)
    assert path.name in str(caught.value)


def test_seeds_are_averaged_user_by_user():
    """Catches an average over users of each seed where the paired test needs single users."""

    def one(values, users=(3, 5)):
        return Evaluation("test", (10,), np.array(users), {"mrr": np.array(values)}, 2)

    mean = accuracy.mean_evaluation([one([0.0, 1.0]), one([1.0, 0.5])])
    assert mean.per_user["mrr"].tolist() == [0.5, 0.75]
    with pytest.raises(DataError, match="different users"):
        accuracy.mean_evaluation([one([0.0, 1.0]), one([0.0, 1.0], users=(3, 6))])
