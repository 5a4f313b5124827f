"""A polynomial filter between items over the whole spectrum of the interactions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_views import CONFIG, NOBODY, batch_of, make_view, relation_of

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.baselines import ChebyCF
from finrec_dgl.graph.chebyshev import plateau_coefficients
from finrec_dgl.graph.filters import normalised
from finrec_dgl.relations import Chebyshev, PairConfig, log_share

ON = replace(CONFIG, chebyshev=6, chebyshev_flatness=2.0, chebyshev_degree=0.3)


def test_messages_are_the_polynomial_of_the_laplacian():
    """Catches a filter on the wrong side, of another polynomial, or without its degrees."""
    view = make_view(3)
    held = view.snapshot.matrix().toarray()
    rooted = normalised(view.snapshot.matrix()).toarray()
    values, vectors = np.linalg.eigh(np.eye(view.n_items) - 2 * rooted.T @ rooted)
    passed = np.polynomial.chebyshev.chebval(values, plateau_coefficients(6, 2.0))
    degree = np.maximum(held.sum(axis=0), 1) ** 0.3
    message = (held / degree) @ (vectors * passed) @ vectors.T * degree
    batch = batch_of(view)
    found = relation_of(Chebyshev, view, ON).sample(batch)
    expected = log_share(torch.from_numpy(message).float(), batch.free)
    torch.testing.assert_close(found[..., 0], expected, rtol=1e-3, atol=1e-3)
    assert found.shape == (view.n_users, view.n_items, 1)


def test_messages_are_those_of_the_baseline():
    """Catches two filters of one name that differ."""
    view = make_view(5)
    baseline = ChebyCF(order=6, flatness=2.0, ideal_weight=0.0, degree_power=0.3)
    baseline.fit(view.snapshot)
    message = torch.from_numpy(baseline.score(np.arange(view.n_users))).float()
    batch = batch_of(view)
    found = relation_of(Chebyshev, view, ON).sample(batch)[..., 0]
    torch.testing.assert_close(found, log_share(message, batch.free), rtol=1e-3, atol=1e-3)


def test_without_history_there_is_no_message():
    """Catches a filter that sends something from nothing."""
    view = make_view(3)
    batch = batch_of(view)
    found = relation_of(Chebyshev, view, ON).sample(batch)[NOBODY]
    assert (found == found[0]).all()


def test_off_by_default_and_refused_out_of_range():
    """Catches a channel that nobody asked for, and a polynomial without a degree."""
    view = make_view(3)
    assert relation_of(Chebyshev, view).channel_names() == ()
    for wrong in ({"chebyshev": -1}, {"chebyshev_flatness": 0.0}, {"chebyshev_degree": -0.1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PairConfig(**wrong)
