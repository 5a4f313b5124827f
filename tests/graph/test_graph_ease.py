"""EASE and its form for many products solve their ridge regressions, column by column in loops."""

import numpy as np
import pytest
import scipy.sparse as sp
from graph_matrices import held, matrices
from hypothesis import given, settings
from hypothesis import strategies as st

from finrec_dgl.graph import ease as module
from finrec_dgl.graph.ease import ease_filters, near_ease_filters


def weighted_gram(held, users):
    """float64 [m, m]: users who hold both products, each at d^-users."""
    dense = held.toarray().astype(np.float64)
    weight = np.maximum(dense.sum(axis=1), 1) ** -users
    return dense.T @ (weight[:, None] * dense)


def regressed(gram, product, others, penalty):
    normal = gram[np.ix_(others, others)] + penalty * np.eye(len(others))
    return np.linalg.solve(normal, gram[others, product])


def nearest(gram, product, near):
    """The others that share a user with ``product``, those of the largest cosine first."""
    found = [one for one in range(len(gram)) if one != product and gram[one, product] > 0]
    cosine = [
        gram[one, product] / np.sqrt(gram[one, one] * gram[product, product]) for one in found
    ]
    return [found[one] for one in np.argsort(-np.array(cosine), kind="stable")][:near], cosine


@settings(max_examples=60)
@given(
    held=matrices(),
    penalty=st.sampled_from([0.5, 10.0, 1000.0]),
    users=st.sampled_from([0.0, 0.7]),
)
def test_ease_is_a_ridge_regression_of_each_product_on_the_others(held, penalty, users):
    """Catches a wrong penalty or weight, a transposed filter, a product that predicts itself."""
    _, found = ease_filters(held, [1.0, penalty], users)
    gram = weighted_gram(held, users)
    expected = np.zeros(gram.shape)
    for product in range(len(gram)):
        others = np.delete(np.arange(len(gram)), product)
        expected[others, product] = regressed(gram, product, others, penalty)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.diag(found).any()


def test_a_larger_penalty_gives_smaller_weights():
    """Catches a penalty that is not read."""
    sizes = [np.square(one).sum() for one in ease_filters(held(), (1.0, 10.0, 100.0))]
    assert sizes[0] > 2 * sizes[1] > 4 * sizes[2] > 0


def test_no_penalty_asks_nothing_of_many_products():
    """Catches a catalogue that is refused although EASE was left out."""
    assert ease_filters(sp.csr_array((2, 20_001), dtype=np.float32), ()) == []


@settings(max_examples=100)
@given(
    held=matrices(),
    near=st.sampled_from([1, 3, 20]),
    users=st.sampled_from([0.0, 0.3, 1.0]),
    at_once=st.sampled_from([1, 2, 256]),
)
def test_near_ease_regresses_each_product_on_its_nearest(held, near, users, at_once):
    """Catches wrong neighbours, products whose matrices run into each other, a wrong column."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_AT_ONCE", at_once)
        found = near_ease_filters(held, (0.5, 10.0), near, users)
    gram = weighted_gram(held, users)
    for penalty, one in zip((0.5, 10.0), found, strict=True):
        assert one.dtype == np.float32
        assert one.shape == gram.shape
        columns = sp.csc_array(one)
        for product in range(len(gram)):
            entries = slice(*columns.indptr[product : product + 2])
            others, weights = columns.indices[entries], columns.data[entries]
            wanted, cosine = nearest(gram, product, near)
            assert product not in others
            # a tie in the cosine may go either way, so the fit is compared for those it took
            kept = sorted(cosine, reverse=True)[: len(wanted)]
            length = np.sqrt(np.diag(gram)[others] * gram[product, product])
            ours = sorted(gram[others, product] / length, reverse=True)
            assert len(others) == len(wanted)
            np.testing.assert_allclose(ours, kept, rtol=1e-5)
            expected = regressed(gram, product, others, penalty)
            np.testing.assert_allclose(weights, expected, atol=1e-5)


def test_with_all_products_near_it_is_ease():
    """Catches two filters of one name that differ in more than whom they look at."""
    (dense,) = ease_filters(held(users=400), (20.0,), 0.5)
    (near,) = near_ease_filters(held(users=400), (20.0,), 6, 0.5)
    np.testing.assert_allclose(near.toarray(), dense, atol=1e-6)


def test_users_in_narrow_columns_change_nothing(monkeypatch):
    """Catches products that are fitted in one block only because the users are few."""
    whole = near_ease_filters(held(), (5.0,), 3)[0].toarray()
    monkeypatch.setattr(module, "_COLUMNS", 40)
    np.testing.assert_array_equal(near_ease_filters(held(), (5.0,), 3)[0].toarray(), whole)
