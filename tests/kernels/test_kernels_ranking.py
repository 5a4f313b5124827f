"""Ranks and best columns by native code are those of NumPy, and those of whole rows sorted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_relations import needs_native

from finrec_dgl.kernels import ranking
from finrec_dgl.kernels.library import Library, find_library
from finrec_dgl.kernels.ranking import (
    PANEL,
    Given,
    Lists,
    Packed,
    Products,
    best_columns,
    count_above,
    top_items,
)

ABSENT = Library(None, "not built")
# no row, one, an odd number, more than a task's; no column, a panel's border, more than a segment's
SHAPES = [(0, 5), (1, 1), (3, 0), (5, 47), (7, 48), (9, 49), (13, 960), (101, 1003), (200, 2100)]


def lists_of(mask):
    """The columns where ``mask`` bool [rows, columns] is set."""
    row, column = np.nonzero(mask)
    return Lists(np.searchsorted(row, np.arange(len(mask) + 1)), column.astype(np.int32))


def random_scores(rng, n_rows, n_columns, kind, dtype):
    """Scores with ties, that no order of summing rounds."""
    if kind == "given":
        items = n_columns + 3
        scores = rng.integers(-3, 4, (n_rows, items)).astype(dtype)
        return Given(scores, rng.permutation(items)[:n_columns].astype(np.int32))
    width = int(rng.integers(1, 9))
    left, right = (rng.integers(-2, 3, (n, width)).astype(dtype) for n in (n_rows, n_columns))
    return Products(left, Packed(right, rng.integers(-2, 3, n_columns).astype(dtype)))


def random_case(seed, n_rows, n_columns, kind, dtype):
    """Scores, what is held, targets that are not, parts of the columns and borders in them."""
    rng = np.random.default_rng(seed)
    scores = random_scores(rng, n_rows, n_columns, kind, dtype)
    held = rng.random((n_rows, n_columns)) < 0.1
    wanted = (rng.random((n_rows, n_columns)) < rng.choice([0.002, 0.02])) & ~held
    inner = np.sort(rng.integers(0, n_columns + 1, int(rng.integers(0, 3))))
    first = np.concatenate([[0], inner, [n_columns]]).astype(np.int32)
    targets = lists_of(wanted)
    border = rng.integers(0, n_columns + 1, (len(first) - 1, len(targets.values)))
    own = targets.values[None].astype(np.int64)  # a target's own part ends what ties at itself
    inside = (own >= first[:-1, None]) & (own < first[1:, None])
    border = np.where(inside, own, np.clip(border, first[:-1, None], first[1:, None]))
    return scores, lists_of(held), targets, first, border.astype(np.int32)


def each_level():
    """The library at every instruction set that this processor has."""
    found = find_library()
    return [replace(found, level=level) for level in range(found.level + 1)]


@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["given", "products"])
@pytest.mark.parametrize("shape", SHAPES)
def test_native_code_gives_what_numpy_gives(monkeypatch, shape, kind, dtype):
    """Catches a column left out at the border of a panel, a segment or a part, and ties."""
    for seed in range(4):
        case = random_case(seed, *shape, kind, dtype)
        monkeypatch.setattr(ranking, "find_library", lambda: ABSENT)
        counts, best = count_above(*case), best_columns(*case[:2], 7)
        for one in each_level():
            monkeypatch.setattr(ranking, "find_library", lambda one=one: one)
            assert np.array_equal(count_above(*case), counts)
            for found, expected in zip(best_columns(*case[:2], 7), best, strict=True):
                assert np.array_equal(found, expected)


@pytest.mark.parametrize("native", [pytest.param(True, marks=needs_native), False])
def test_counts_and_best_are_those_of_sorted_rows(monkeypatch, native):
    """Catches both ways being wrong alike."""
    if not native:
        monkeypatch.setattr(ranking, "find_library", lambda: ABSENT)
    scores, held, targets, _, _ = random_case(5, 20, 130, "products", np.float32)
    first, border = np.array([0, 130], np.int32), targets.values[None]
    dense = scores.left @ scores.packed.vectors.T + scores.packed.bias
    dense[held.owner, held.values] = -np.inf
    order = np.argsort(-dense, axis=1, kind="stable")
    place = np.argsort(order, axis=1)
    found = count_above(scores, held, targets, first, border)
    assert found[0].tolist() == place[targets.owner, targets.values].tolist()
    row, column, score = best_columns(scores, held, 5)
    assert column.reshape(20, 5).tolist() == order[:, :5].tolist()
    assert row.tolist() == np.repeat(np.arange(20), 5).tolist()
    assert score.tolist() == dense[row, column].tolist()


@needs_native
def test_a_score_is_the_same_whatever_stands_beside_it():
    """Catches sums in another order in another batch, tile or thread: ranks of one user alone
    would not be those of the same user among all."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1500, 37)).astype(np.float32)
    left = rng.standard_normal((50, 37)).astype(np.float32)
    packed = Packed(vectors, rng.standard_normal(1500).astype(np.float32))
    nobody = Lists(np.zeros(51, np.int64), np.zeros(0, np.int32))
    everything = Lists(np.arange(51) * 1500, np.tile(np.arange(1500, dtype=np.int32), 50))
    row, column, score = best_columns(Products(left, packed), nobody, 1500)
    single = Products(left, packed).picked(everything).reshape(50, 1500)
    assert np.array_equal(single[row, column], score)
    np.testing.assert_allclose(single, Products(left, packed).dense(), atol=1e-4)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for start in range(0, 50, 7):
            some = Products(left[start : start + 7], packed)
            none = Lists(np.zeros(len(some.left) + 1, np.int64), np.zeros(0, np.int32))
            there = slice(start * 1500, (start + 7) * 1500)
            assert np.array_equal(best_columns(some, none, 1500)[2], score[there])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("native", [pytest.param(True, marks=needs_native), False])
@pytest.mark.parametrize("kind", ["given", "products"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_give_nothing(monkeypatch, native, kind, odd):
    """Catches a model that diverged ranked by chance, be the odd score held or not."""
    if not native:
        monkeypatch.setattr(ranking, "find_library", lambda: ABSENT)
    scores, held, targets, first, border = random_case(1, 9, 49, kind, np.float32)
    column = int(held.values[0])
    if kind == "given":
        scores.scores[int(held.owner[0]), scores.columns[column]] = odd
    else:
        scores.packed.vectors[column, 0] = odd
    assert count_above(scores, held, targets, first, border) is None
    assert best_columns(scores, held, 3) is None


def test_what_is_no_column_may_be_anything():
    """Catches an error about items that are no candidates."""
    scores = np.array([[np.nan, 1.0, 2.0]], np.float32)
    nobody = Lists(np.zeros(2, np.int64), np.zeros(0, np.int32))
    _, column, score = best_columns(Given(scores, np.array([1, 2], np.int32)), nobody, 3)
    assert (column.tolist(), score.tolist()) == ([1, 0], [2.0, 1.0])


def test_vectors_too_large_for_their_products_are_not_sure_to_be_finite():
    """Catches a sum that overflows where every vector is finite."""
    packed = Packed(np.full((1, 4), 1e20, np.float32), np.zeros(1, np.float32))
    assert not Products(np.full((2, 4), 1e19, np.float32), packed).finite()
    assert Products(np.full((2, 4), 1e9, np.float32), packed).finite()


def test_panels_hold_every_vector():
    """Catches columns out of order, or what is over in the last panel not zero."""
    vectors = np.arange(3 * 50, dtype=np.float32).reshape(50, 3) + 1
    panels = Packed(vectors, np.ones(50, np.float32)).panels
    assert panels.shape == (2, 3, PANEL)
    flat = panels.transpose(0, 2, 1).reshape(-1, 3)
    assert np.array_equal(flat[:50], vectors)
    assert not flat[50:].any()


def brute(row, k):
    """Best first, equal scores by column."""
    return sorted(range(len(row)), key=lambda column: (-row[column], column))[:k]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_top_items_equal_a_full_sort(seed, columns, k):
    """Catches ties settled by chance, above all at the border, and -inf before a number."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-2, 2, (4, columns)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    assert top_items(scores, k).tolist() == [brute(row, k) for row in scores.tolist()]


def test_top_items_of_nothing():
    """Catches a crash where there are no candidates or no users."""
    assert top_items(np.zeros((3, 0), np.float32), 5).shape == (3, 0)
    assert top_items(np.zeros((0, 4), np.float32), 2).shape == (0, 2)
