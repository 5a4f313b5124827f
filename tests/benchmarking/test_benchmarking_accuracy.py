"""The comparison: what is done once, what is written, and whether the figures are evaluate's."""

import json
from dataclasses import replace

import numpy as np
import pytest
from benchmarking_worlds import TINY, make_dataset, without_dates

from finrec_dgl.base.errors import ConfigError, DataError, UsageError
from finrec_dgl.baselines import BASELINES, Popularity
from finrec_dgl.benchmarking import MODELS, Tuning, compare_everywhere, compare_models, jobs, tuning
from finrec_dgl.dataset import PreprocessOptions, build_dataset
from finrec_dgl.evaluation import Evaluation, compare, evaluate, evaluate_groups, holm
from finrec_dgl.tables.generate import World
from finrec_dgl.text import EncoderSpec
from finrec_dgl.training import load_run

FEW = Tuning(budget=2, windows=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set with texts, and the comparison of every model on it."""
    place = tmp_path_factory.mktemp("accuracy")
    with pytest.MonkeyPatch.context() as patch:
        dataset = make_dataset(place / "data", patch)
    return dataset, place / "out", compare_models(dataset, place / "out", MODELS, 2, TINY, FEW)


@pytest.fixture
def counted(monkeypatch):
    """The names of what was tried, trained and measured, in order."""
    calls = []

    def spy(module, name, told):
        real = getattr(module, name)

        def call(*arguments, **options):
            calls.append(told(*arguments))
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    spy(jobs, "train", lambda dataset, run, *rest: run.name.rsplit("-", 1)[0])
    spy(tuning, "train", lambda dataset, run, *rest: "trial")
    monkeypatch.setattr(
        jobs, "evaluate_groups", lambda *given: calls.append("test") or evaluate_groups(*given)
    )
    return calls


def results(out):
    return [json.loads(path.read_text()) for path in sorted((out / "results").iterdir())]


def test_every_model_has_its_row_and_its_seeds(made):
    """Catches a model that is lost, or a baseline that is needlessly done for each seed."""
    _, out, table = made
    assert [row.model for row in table.rows] == list(MODELS)
    assert not table.skipped
    assert {row.model: len(row.by_seed) for row in table.rows} == {
        name: 2 if name not in BASELINES or BASELINES[name].seeded else 1 for name in MODELS
    }
    seeds = [one["seed"] for one in results(out) if one["model"] == "hybrid"]
    assert seeds == [0, 1]
    drawn = [one for one in results(out) if one["model"] == "bpr"]
    assert [one["seed"] for one in drawn] == [0, 1]
    assert drawn[0]["per_user"] != drawn[1]["per_user"]


def test_nothing_is_done_twice(made, counted):
    """Catches a second training of what is there, or another table of the same results."""
    dataset, out, table = made
    again = compare_models(dataset, out, MODELS, 2, TINY, FEW)
    assert counted == []
    assert again.to_mapping() == table.to_mapping()
    compare_models(dataset, out, ["hybrid", "popularity"], 3, TINY, FEW)
    assert counted == ["hybrid-2", "test"]


def test_another_configuration_or_data_set_is_another_result(made, counted, tmp_path):
    """Catches figures of one configuration or data set told as those of another."""
    dataset, out, _ = made
    compare_models(dataset, out, ["hybrid"], 1, replace(TINY, lr=0.02), FEW)
    assert counted == ["trial", "trial", "hybrid-0", "test"]
    other = make_dataset(tmp_path / "other", seed=7)
    compare_models(other, out, ["popularity"], 1, TINY, FEW)
    assert counted == ["trial", "trial", "hybrid-0", "test", "test"]


def test_a_comparison_cut_off_goes_on(made, counted, tmp_path, monkeypatch):
    """Catches a cut that loses finished models, or a half-trained run taken for a whole one."""
    dataset, _, table = made

    def cut_off(scorer, *rest):
        if isinstance(scorer, Popularity):
            return evaluate_groups(scorer, *rest)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "evaluate_groups", cut_off)
        with pytest.raises(KeyboardInterrupt):
            compare_models(dataset, tmp_path / "out", ["popularity", "hybrid"], 1, TINY, FEW)
    assert not (tmp_path / "out/table.json").exists()
    assert counted == ["trial", "trial", "hybrid-0"]
    found = compare_models(dataset, tmp_path / "out", ["popularity", "hybrid"], 1, TINY, FEW)
    # its training is opened, where it was finished, and only the measurement made
    assert counted[3:] == ["hybrid-0", "test"]
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
    table = compare_models(dataset, out, MODELS, 2, TINY, FEW)
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
    undated = ["popularity-recent", "popularity-decayed", "frequency", "esasrec"]
    textless = ["text", "l3ae", "hybrid-text"]
    wanted = [*undated, *textless, "popularity"]
    table = compare_models(dataset, tmp_path / "out", wanted, 2, TINY, FEW)
    assert [row.model for row in table.rows] == ["popularity"]
    assert table.row("popularity").comparison is None
    reasons = {one.model: one.reason for one in table.skipped}
    assert set(reasons) == {*undated, *textless}
    assert all("dated" in reasons[name] for name in undated)
    assert all("text" in reasons[name] for name in textless)
    assert all(f"{name} skipped: " in table.to_markdown() for name in reasons)
    assert len(results(tmp_path / "out")) == 1


def test_all_problems_are_named_before_anything_is_done(made, tmp_path):
    """Catches hours of training before a misspelt name is found."""
    dataset, _, _ = made
    with pytest.raises(ConfigError, match="itemknn.*seeds is 0") as caught:
        compare_models(dataset, tmp_path / "out", ["hybrid", "itemnn"], 0, TINY, FEW)
    assert "did you mean" in str(caught.value)
    with pytest.raises(ConfigError, match="each once"):
        compare_models(dataset, tmp_path / "out", ["text", "text"], 1, TINY, FEW)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(made, tmp_path):
    """Catches results written among another's files."""
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(UsageError, match="other files"):
        compare_models(made[0], tmp_path, ["popularity"], 1, TINY, FEW)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_broken_result_is_named(made, tmp_path):
    """Catches a damaged file that ends in a traceback or in wrong figures."""
    dataset, _, _ = made
    compare_models(dataset, tmp_path / "out", ["popularity"], 1, TINY, FEW)
    (path,) = (tmp_path / "out/results").iterdir()
    record = json.loads(path.read_text())
    del record["per_user"]
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="broken") as caught:
        compare_models(dataset, tmp_path / "out", ["popularity"], 1, TINY, FEW)
    assert path.name in str(caught.value)


def test_seeds_are_averaged_user_by_user():
    """Catches an average over users of each seed where the paired test needs single users."""

    def one(values, users=(3, 5)):
        return Evaluation("test", (10,), np.array(users), {"mrr": np.array(values)}, 2)

    mean = jobs.mean_evaluation([one([0.0, 1.0]), one([1.0, 0.5])])
    assert mean.per_user["mrr"].tolist() == [0.5, 0.75]
    with pytest.raises(DataError, match="different users"):
        jobs.mean_evaluation([one([0.0, 1.0]), one([0.0, 1.0], users=(3, 6))])


def test_each_model_is_granted_the_same_trials(made):
    """Catches a model tuned more than another, on other windows, or trials that are not told."""
    dataset, out, table = made
    for row in table.rows:
        assert row.tuning["budget"] == 2
        assert row.tuning["tried"] <= 2
        # early stopping is on the validation part alone
        assert row.tuning["windows"] == (1 if row.model not in BASELINES else 2)
        assert row.tuning["group"] == "all"
    assert table.row("itemknn").tuning["tried"] == 2
    assert table.row("gnn").tuning["tried"] == 2
    for path in (out / "tuning").iterdir():
        assert 1 <= len(json.loads(path.read_text())) <= 2
    assert not [one for one in (out / "runs").iterdir() if one.name.startswith("trial")]


def test_the_plain_models_are_what_they_are_called(made):
    """Catches a graph model that reads text, or the paper's form without one of its parts."""
    dataset, out, table = made
    gnn = load_run(out / table.row("gnn").runs[0], dataset).config
    assert (gnn.model.text, gnn.model.stream_two, gnn.model.stream_one) == (False, False, True)
    paper = load_run(out / table.row("paper").runs[0], dataset).config
    assert all(getattr(paper.model, part) for part in tuning.PARTS)
    assert paper.model.readout == gnn.model.readout == "tower"


def test_several_data_sets_side_by_side(made, tmp_path):
    """Catches a mean, a best or a pooled test that is not that of the tables' own users."""
    dataset, _, _ = made
    wanted, out = ["popularity", "itemknn", "hybrid"], tmp_path / "out"
    alone = compare_everywhere([(dataset, TINY)], out, wanted, 1, FEW)
    assert alone.combined is None
    assert not (out / "table.json").exists()
    assert (out / "data/table.json").exists()
    other = make_dataset(tmp_path / "other", seed=7)
    both = [(dataset, TINY), (other, TINY)]
    outcome = compare_everywhere(both, out, wanted, 1, FEW)
    (first, second), combined = outcome.tables, outcome.combined
    assert first == alone.tables[0]
    means = [
        np.mean([one.row(name).metrics["ndcg@10"] for one in (first, second)]) for name in wanted
    ]
    assert [combined.values(name)[-1] for name in wanted] == pytest.approx(means)
    differences = np.concatenate(
        [
            one.evaluations["itemknn"].per_user["ndcg@10"]
            - one.evaluations["hybrid"].per_user["ndcg@10"]
            for one in (first, second)
        ]
    )
    found = combined.pooled["itemknn"].comparison
    assert found.difference == pytest.approx(differences.mean())
    assert found.users == len(differences)
    raw = [combined.pooled[name].comparison.p_value for name in wanted[:2]]
    assert [combined.pooled[name].p_value for name in wanted[:2]] == holm(raw).tolist()
    text = (out / "table.md").read_text()
    assert f"**{max(means):.4f}**" in text
    assert text.count("**") == 2 + 2 * 3  # the title, and a best in each column
    assert json.loads((out / "table.json").read_text()) == combined.to_mapping()
    assert (out / "table.svg").read_text().startswith("<svg xmlns=")
