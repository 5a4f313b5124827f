"""The paired test is honest under the null, sees a shift, and is corrected for many looks."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from scipy import stats

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.evaluation import Evaluation, compare, holm
from finrec_dgl.evaluation.significance import sign_flip_p_value


def evaluation(values: np.ndarray, split: str = "test", first: int = 0) -> Evaluation:
    users = np.arange(first, first + len(values), dtype=np.int32)
    return Evaluation(split, (10,), users, {"ndcg@10": values}, targets=len(values))


def test_p_is_uniform_under_the_null():
    """Would catch a one-sided count or a p that is too small: Kolmogorov-Smirnov over 400 draws of
    skewed but symmetric differences."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(400):
        difference = rng.exponential(size=60) * rng.choice([-1, 1], size=60)
        p_values.append(sign_flip_p_value(difference, flips=999, seed=int(rng.integers(2**31))))
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_equals_all_flips_written_out():
    """Eight differences have 256 sign vectors; would catch a biased draw of signs."""
    difference = np.array([0.3, -0.1, 0.25, 0.4, -0.05, 0.2, 0.1, -0.15])
    sums = [abs(np.dot(signs, difference)) for signs in itertools.product((-1, 1), repeat=8)]
    exact = np.mean(np.array(sums) >= abs(difference.sum()) - 1e-12)
    assert sign_flip_p_value(difference, flips=100_000) == pytest.approx(exact, abs=0.005)


def test_agrees_with_scipy():
    difference = np.random.default_rng(3).normal(0.1, 1, size=50)
    theirs = stats.permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    ).pvalue
    assert sign_flip_p_value(difference) == pytest.approx(theirs, abs=0.02)


def test_a_known_shift_is_found_with_its_size():
    rng = np.random.default_rng(1)
    base = rng.random(800) * 0.5
    other = base + 0.03 + rng.normal(0, 0.1, 800)
    found = compare(evaluation(other), evaluation(base))
    assert found.p_value < 0.001
    assert found.interval[0] < 0.03 < found.interval[1]
    assert found.difference == pytest.approx(found.mean_a - found.mean_b)
    back = compare(evaluation(base), evaluation(other))
    assert back.difference == -found.difference
    assert back.p_value == pytest.approx(found.p_value, abs=0.001)


def test_equal_scorers_differ_by_nothing():
    same = evaluation(np.linspace(0, 1, 20))
    found = compare(same, same)
    assert (found.difference, found.p_value, found.interval) == (0.0, 1.0, (0.0, 0.0))


def test_the_seed_decides_the_p_value():
    difference = np.random.default_rng(2).normal(0.05, 1, 100)
    assert sign_flip_p_value(difference, seed=5) == sign_flip_p_value(difference, seed=5)
    assert sign_flip_p_value(difference, seed=5) != sign_flip_p_value(difference, seed=6)


def test_flips_in_many_chunks_equal_their_number(monkeypatch):
    """Would catch flips lost or doubled at the border of a chunk: with one difference every flip
    reaches the total, so p is (1 + flips) / (1 + flips)."""
    monkeypatch.setattr("finrec_dgl.evaluation.significance._CHUNK", 7)
    assert sign_flip_p_value(np.ones(1), flips=1000) == 1.0


def test_a_comparison_is_json_even_of_one_user():
    one = compare(evaluation(np.array([0.2])), evaluation(np.array([0.1])))
    mapping = json.loads(json.dumps(one.to_mapping(), allow_nan=False))
    assert mapping["interval"] == [-1.0, 1.0]


def test_only_paired_comparisons_are_made():
    a = evaluation(np.zeros(5))
    with pytest.raises(DataError, match="different users"):
        compare(a, evaluation(np.zeros(5), first=1))
    with pytest.raises(DataError, match="different users"):
        compare(a, evaluation(np.zeros(5), split="valid"))
    with pytest.raises(UsageError, match="no metric 'ndcg@5'"):
        compare(a, a, "ndcg@5")
    with pytest.raises(UsageError, match="flips is 0"):
        compare(a, a, flips=0)


def test_holm_on_a_worked_example_and_in_the_order_given():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


def test_holm_keeps_false_alarms_at_the_level():
    """All of ten nulls true: some adjusted p below .05 in at most about one family of twenty."""
    rng = np.random.default_rng(0)
    families = [holm(rng.random(10)).min() < 0.05 for _ in range(4000)]
    assert np.mean(families) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("p_values", [[0.1, np.nan], [-0.1], [1.1], [[0.1]]])
def test_holm_refuses_what_is_no_p_value(p_values):
    with pytest.raises(UsageError, match="p-values"):
        holm(p_values)
