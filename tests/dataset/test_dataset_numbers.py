"""Numeric columns as features: their scale, and what it must not know."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from dataset_worlds import CUT, NO_TEXT, VALID_CUT, day, interactions, make_tables, options
from hypothesis import given
from hypothesis import strategies as st

from finrec_dgl.dataset import build_dataset, load_dataset
from finrec_dgl.dataset.numbers import scale_of, standardised
from finrec_dgl.dataset.snapshot import without_nodes
from finrec_dgl.tables import Tables

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(st.tuples(finite | st.just(float("nan")), st.booleans()), max_size=30))
def test_features_are_finite_and_standardised_over_seen_nodes(rows):
    """Catches an infinite feature, a missing value that is not 0, and a mean of other nodes."""
    values = np.array([row[0] for row in rows], np.float32)
    seen = np.array([row[1] for row in rows], bool)
    found = standardised({"a": values}, seen)
    assert found.shape == (len(rows), 1)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert not found[np.isnan(values)].any()
    scale = scale_of(values, seen)
    assert scale.known == (seen & ~np.isnan(values)).sum()
    told = found[seen & ~np.isnan(values), 0].astype(np.float64)
    if scale.sd == 0:
        assert not found.any()
    else:
        assert abs(told.mean()) < 1e-3
        assert abs(told.std() - 1) < 1e-3


def test_it_is_the_plain_formula():
    """Catches a standard deviation with n - 1, or one that missing values or new nodes enter."""
    values = np.array([1, 2, 6, np.nan, 100], np.float32)
    seen = np.array([True, True, True, True, False])
    known = np.array([1.0, 2.0, 6.0])
    expected = (np.array([1, 2, 6, 3, 100]) - known.mean()) / known.std()
    expected[3] = 0
    np.testing.assert_allclose(standardised({"a": values}, seen)[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "log"),
    [
        (np.random.default_rng(0).lognormal(10, 2, 500), True),
        (np.random.default_rng(0).normal(10, 1, 500), False),
        (np.random.default_rng(0).lognormal(10, 2, 500) - 1000, False),
        (np.append(np.zeros(99), 1e-9), False),
    ],
)
def test_heavy_tails_are_taken_as_logarithms(values, log):
    """Catches logarithms of even or negative columns, and balances whose largest hides the rest."""
    seen = np.ones(len(values), bool)
    scale = scale_of(values, seen)
    assert scale.log is log
    shown = np.log1p(values) if log else values
    assert scale.mean == pytest.approx(shown.mean())
    assert scale.sd == pytest.approx(shown.std())


def test_a_node_without_interactions_may_be_negative_where_others_are_skewed():
    """Catches the logarithm of a negative number that only a new node has."""
    values = np.append(np.random.default_rng(0).lognormal(10, 2, 500), -3.0)
    seen = np.arange(501) < 500
    assert not scale_of(values, seen).log
    assert np.isfinite(standardised({"a": values}, seen)).all()


def test_constant_and_unknown_columns_say_nothing():
    """Catches a division by zero, or by a rounding error."""
    columns = {"same": np.full(7, 0.1, np.float32), "none": np.full(7, np.nan, np.float32)}
    assert not standardised(columns, np.ones(7, bool)).any()
    assert not standardised(columns, np.zeros(7, bool)).any()
    assert standardised({}, np.ones(7, bool)).shape == (7, 0)


def later_changed(tables: Tables, time: int) -> Tables:
    """``tables`` with other numbers in all versions dated from ``time`` on."""
    changed = {}
    for name in ("items", "users"):
        table = getattr(tables, name)
        late = [stamp is not None and stamp >= time for stamp in table["timestamp"].to_pylist()]
        assert any(late)
        sizes = [
            "1e9" if then else size
            for then, size in zip(late, table["size"].to_pylist(), strict=True)
        ]
        changed[name] = table.set_column(
            table.column_names.index("size"), "size", pa.array(sizes, pa.string())
        )
    return dataclasses.replace(tables, **changed)


@pytest.mark.parametrize("time", [day(20), VALID_CUT, CUT])
def test_numbers_dated_after_the_time_change_nothing(tmp_path, time):
    """Catches a mean, a skewness or a value that knows of later versions."""
    tables = make_tables(seed=2)
    one = build_dataset(tables, tmp_path / "a", options(encoder=NO_TEXT)).as_of(time)
    changed = later_changed(tables, time)
    two = build_dataset(changed, tmp_path / "b", options(encoder=NO_TEXT)).as_of(time)
    for name in ("item_numbers", "user_numbers"):
        found = getattr(one, name)
        assert found.any()
        assert np.array_equal(found, getattr(two, name))


def test_they_are_named_stored_and_found_again(tmp_path):
    """Catches columns in another order than their names, and values of another version or node."""
    events = interactions([("u1", "b", 1), ("u2", "a", 2), ("u2", "b", 62), ("u1", "a", 80)])
    items = pa.table(
        {
            "item_id": ["a", "a", "b", "c", "a"],
            "timestamp": pa.array([day(1), day(61), None, day(3), day(90)], pa.int64()),
            "price": ["1", "5", " 2.5 ", None, "7000"],
            "fee": ["0", "-1", "1", "", "5"],
        }
    )
    tables = Tables(events, items, item_numbers=("price", "fee"))
    build_dataset(tables, tmp_path / "out", options(encoder=NO_TEXT))
    dataset = load_dataset(tmp_path / "out")
    assert dataset.item_number_names == ("price", "fee")
    assert dataset.user_number_names == ()
    assert dataset.snapshot("fit").user_numbers.shape == (2, 0)
    train, fit = dataset.snapshot("train"), dataset.snapshot("fit")
    np.testing.assert_array_equal(train.item_values["price"], np.float32([1, 2.5, np.nan]))
    np.testing.assert_array_equal(fit.item_values["price"], np.float32([5, 2.5, np.nan]))
    np.testing.assert_allclose(train.item_numbers, [[-1, -1], [1, 1], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(fit.item_numbers, [[1, -1], [-1, 1], [0, 0]], atol=1e-6)


def test_hidden_nodes_have_no_say_in_the_mean(tmp_path):
    """Catches the scale of a snapshot that is kept where some of its interactions are hidden."""
    dataset = build_dataset(make_tables(), tmp_path / "out", options(encoder=NO_TEXT))
    fit = dataset.snapshot("fit")
    assert fit.item_numbers.any()
    hidden = np.isin(np.arange(fit.n_items), np.unique(fit.pairs.item)[:5])
    left = without_nodes(fit, "item", hidden)
    seen = np.isin(np.arange(fit.n_items), left.pairs.item)
    assert np.array_equal(left.item_numbers, standardised(fit.item_values, seen))
    assert not np.array_equal(left.item_numbers, fit.item_numbers)
