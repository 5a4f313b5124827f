"""What the hybrid finds in worlds of one known signal, and that it finds nothing where none is."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarking_worlds import (
    SILENT_WORLD,
    SMALL,
    expected_random_ndcg,
    make_dataset,
    without_dates,
    word_vectors,
)

from finrec_dgl.benchmarking import compare_models
from finrec_dgl.dataset import PreprocessOptions, SplitOptions, build_dataset, texts
from finrec_dgl.evaluation import evaluate
from finrec_dgl.nn import HybridConfig
from finrec_dgl.relations import PairConfig
from finrec_dgl.tables.generate import World, generate
from finrec_dgl.training import TrainConfig, load_run
from finrec_dgl.training.learner import fit

SIZE = {"users": 500, "items": 60, "interactions_per_user": 10.0, "cold_share": 0.0}
WORLD = {**SILENT_WORLD, **SIZE, "ties_per_user": 2.0, "seed": 3}
PAIR = TrainConfig(
    model=HybridConfig(readout="pair", pseudo_classes=12, pair=PairConfig(ranks=(16,))),
    loss="backtest",
    windows=6,
    lr=0.05,
    epochs=12,
    average=4,
)
FORMS = {"tower": SMALL, "pair": PAIR}


@pytest.mark.parametrize("form", FORMS)
def test_where_purchases_are_random_the_hybrid_is_no_better_than_chance(
    tmp_path, monkeypatch, form
):
    """Catches a leak of the test into graph, text, ties or tuning: there is no other signal."""
    dataset = make_dataset(tmp_path / "data", monkeypatch, **{**WORLD, "users": 800})
    config = replace(FORMS[form], epochs=5)
    table = compare_models(dataset, tmp_path / "out", ["hybrid"], 1, config)
    run = load_run(tmp_path / "out" / table.row("hybrid").runs[0], dataset)
    found = evaluate(run.scorer("test"), dataset, "test").per_user["ndcg@10"]
    above = found - expected_random_ndcg(dataset)
    error = above.std(ddof=1) / np.sqrt(len(above))
    assert error < 0.01
    assert abs(above.mean()) < 3 * error


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("signal", "strength"), [("text", 8.0), ("graph", 2.5)])
def test_a_planted_signal_is_found(tmp_path, monkeypatch, signal, strength, form):
    """Catches a model that learns no more than popularity, which knows nothing here."""
    world = {**WORLD, f"{signal}_strength": strength}
    dataset = make_dataset(tmp_path / "data", monkeypatch, **world)
    config = replace(FORMS[form], epochs=4)
    table = compare_models(dataset, tmp_path / "out", ["popularity", "hybrid"], 1, config)
    popularity = table.row("popularity")
    assert popularity.comparison.difference < -0.05, table.to_markdown()
    assert popularity.p_value < 0.01


def test_taste_is_read_from_texts_alone(tmp_path, monkeypatch):
    """Catches texts that do not reach the score: holdings betray taste too, but not here."""
    dataset = make_dataset(tmp_path / "data", monkeypatch, **{**WORLD, "text_strength": 8.0})
    config = replace(SMALL, epochs=30, lr=1e-2, batch_size=512)
    table = compare_models(dataset, tmp_path / "out", ["popularity", "hybrid-text"], 1, config)
    ahead = table.row("hybrid-text").metrics["ndcg@10"] - table.row("popularity").metrics["ndcg@10"]
    assert ahead > 0.04, table.to_markdown()


def test_new_products_are_found_by_their_text(tmp_path, monkeypatch):
    """Catches a model that has no use for a product that nobody holds."""
    monkeypatch.setattr(texts, "encode_texts", word_vectors)
    tables = generate(World(**{**WORLD, "users": 400, "text_strength": 8.0}))
    split = SplitOptions(kind="cold-items")
    dataset = build_dataset(tables, tmp_path / "data", PreprocessOptions(split=split))
    scorer = fit(dataset, dataset.snapshot("fit"), replace(PAIR, epochs=8))
    cold = dataset.cold("test")
    found = evaluate(scorer, dataset, "test", group="cold").per_user["ndcg@10"]
    above = found - expected_random_ndcg(dataset, cold)
    assert above.mean() > 0.1


@pytest.mark.parametrize("signals", [{}, {"graph_strength": 2.5}], ids=["none", "graph"])
def test_where_pairs_are_hidden_chance_stays_chance_and_a_signal_is_found(
    tmp_path, monkeypatch, signals
):
    """Catches hidden pairs that their episode knows: the weights would be learned for a task that
    has the answer in it, and what is known of nobody's taste would rank above or below chance."""
    monkeypatch.setattr(texts, "encode_texts", word_vectors)
    tables = without_dates(World(**{**WORLD, **signals}))
    dataset = build_dataset(tables, tmp_path / "data", PreprocessOptions())
    scorer = fit(dataset, dataset.snapshot("fit"), replace(PAIR, epochs=5))
    found = evaluate(scorer, dataset, "test").per_user["ndcg@10"]
    above = found - expected_random_ndcg(dataset)
    error = above.std(ddof=1) / np.sqrt(len(above))
    if signals:
        assert above.mean() > 0.1
    else:
        assert error < 0.015
        assert abs(above.mean()) < 3 * error
