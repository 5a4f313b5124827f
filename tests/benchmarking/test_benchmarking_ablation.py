"""Ablations: what each variant changes, its figures against the whole, nothing done twice."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarking_worlds import PAIR, TINY, make_dataset

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.benchmarking import ablate, jobs
from finrec_dgl.benchmarking.ablation import PAPER_VARIANTS, form_of, variants_of
from finrec_dgl.benchmarking.tuning import PARTS, changed
from finrec_dgl.evaluation import evaluate, holm
from finrec_dgl.training import load_run

SOME = ["without-social", "without-text", "without-graph", "without-time", "layers-1", "heads-2"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set with texts, and some variants of both forms on it."""
    place = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        dataset = make_dataset(place / "data", patch)
    asked = [(dataset, PAIR)]
    return asked, place / "out", ablate(asked, place / "out", variants=SOME, seeds=1, epochs=1)


def test_the_figures_are_those_of_the_trained_variants(made):
    """Catches a row of another variant, or a difference that is not to the whole."""
    ((dataset, _),), out, found = made
    for part, outcome in found.items():
        (table,) = outcome.tables
        assert table.reference == part
        reached = {
            row.model: evaluate(
                load_run(out / "data" / row.runs[0], dataset).scorer("test"), dataset, "test"
            ).per_user["ndcg@10"]
            for row in table.rows
        }
        others = [row for row in table.rows if row.model != part]
        assert len(others) >= 3
        for row in others:
            expected = np.mean(reached[row.model] - reached[part])
            assert row.comparison.difference == pytest.approx(expected, abs=1e-6)
        raw = [row.comparison.p_value for row in others]
        assert [row.p_value for row in others] == pytest.approx(holm(raw).tolist())
        for suffix in ("json", "md", "svg"):
            assert (out / f"data/{part}.{suffix}").exists()


def test_a_variant_is_what_its_name_says(made):
    """Catches a variant that leaves its part on, or changes another beside it."""
    ((dataset, _),), out, found = made
    rows = {part: outcome.tables[0] for part, outcome in found.items()}
    timeless = load_run(out / "data" / rows["hybrid"].row("without-time").runs[0], dataset)
    pair = timeless.config.model.pair
    assert set(pair.peer_half_lives) == {0.0}
    assert pair.holding_half_lives == (0.0,)
    assert not pair.trend_half_lives
    assert not pair.short_half_life
    paper = load_run(out / "data" / rows["paper"].row("layers-1").runs[0], dataset).config
    assert paper == replace(
        form_of("paper", PAIR, 1),
        model=replace(form_of("paper", PAIR).model, layers=1),
    )


def test_every_variant_is_one_change_of_a_valid_whole():
    """Catches a variant that no configuration can have, or a part that none switches off."""
    for part in ("hybrid", "paper"):
        full = form_of(part, PAIR)
        for name, options in variants_of(part, full).items():
            assert changed(full, options).model is not None, name
        names = variants_of(part, full)
        assert {f"without-{one.replace('_', '-')}" for one in PARTS} <= set(names)
    same = [name for name, one in PAPER_VARIANTS.items() if changed(full, one) == full]
    assert same == ["loss-softmax", "fusion-gate", "layers-3", "heads-4"]


def test_nothing_is_trained_twice(made, monkeypatch):
    """Catches an ablation that begins anew, and one that cannot be widened."""
    asked, out, found = made
    trained = []
    real = jobs.train
    monkeypatch.setattr(
        jobs,
        "train",
        lambda data, run, *rest, **more: trained.append(run.name) or real(data, run, *rest, **more),
    )
    again = ablate(asked, out, variants=SOME, seeds=1, epochs=1)
    assert trained == []
    assert again["paper"].tables == found["paper"].tables
    ablate(asked, out, ["paper"], [*SOME[:3], "layers-1", "heads-1"], seeds=1, epochs=1)
    assert [name.rsplit("-", 2)[0] for name in trained] == ["heads-1"]


def test_what_cannot_be_taken_apart_is_refused_first(made, tmp_path):
    """Catches hours of training before a wrong name, or a whole that is not the hybrid."""
    ((dataset, _),), _, _ = made
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="did you mean 'without-text'"):
        ablate([(dataset, PAIR)], out, variants=["without-txt"])
    with pytest.raises(ConfigError, match="part is 'papr'.*seeds is 0"):
        ablate([(dataset, PAIR)], out, ["papr"], seeds=0)
    with pytest.raises(ConfigError, match="--part paper"):
        ablate([(dataset, TINY)], out)
    assert not out.exists()
