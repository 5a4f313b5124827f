"""Channels of the item alone: popularity, how it moved, and whether it came in bursts."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_views import CONFIG, batch_of, edges, faded, make_view, relation_of
from snapshots import DAY, make_dated_snapshot, with_pairs

from finrec_dgl.relations import Burstiness, GraphTensors, Popularity, Trends
from finrec_dgl.relations.base import FLOOR


def values_of(kind, view, config=CONFIG):
    """The channels [items, channels]."""
    relation = relation_of(kind, view, config)
    found = relation.sample(batch_of(view))
    assert found.shape == (view.n_items, len(relation.channel_names()))
    assert relation.per_item
    return found


def test_popularity_by_item():
    """Catches a share in other units than an even split."""
    view = make_view(4)
    (found,) = values_of(Popularity, view).T
    total = len(view.snapshot.pairs)
    for item in range(view.n_items):
        count = (view.snapshot.pairs.item == item).sum()
        expected = math.log(count / total * view.n_items + FLOOR)
        assert found[item] == pytest.approx(expected, abs=1e-5)


def test_trends_by_item():
    """Catches a trend against the wrong half-life, or a prior on the wrong side."""
    config = replace(CONFIG, trend_half_lives=(90.0, 15.0), trend_prior=5.0)
    view = make_view(4)
    found = values_of(Trends, view, config)
    assert relation_of(Trends, view, config).channel_names() == ("trend 90", "trend 15")
    counts = {life: faded(view.snapshot, life).sum(axis=0) for life in (0.0, 90.0, 15.0)}
    shares = {0.0: counts[0.0] / counts[0.0].sum()}
    for number, (half_life, longer) in enumerate(((90.0, 0.0), (15.0, 90.0))):
        own = counts[half_life] + 5.0 * shares[longer]
        shares[half_life] = own / (counts[half_life].sum() + 5.0)
        expected = np.log((shares[half_life] + 1e-6) / (shares[longer] + 1e-6))
        np.testing.assert_allclose(found[:, number], expected, atol=1e-3)


@pytest.mark.parametrize("prior", [0.0, 2.0])
def test_burstiness_tells_one_day_from_many(prior):
    """Catches days that are not told apart, a wrong share, and what is missing without dates."""
    config = replace(CONFIG, steady_half_life=40.0, trend_prior=prior)
    dated = make_dated_snapshot(5)
    snapshot = replace(dated, last=dated.last // (30 * DAY) * (30 * DAY))
    view = GraphTensors(snapshot)
    per_day = {}
    for items in edges(snapshot).values():
        for item, age in items.items():
            key = (item, math.floor(age))
            per_day[key] = per_day.get(key, 0) + 1
    sums = np.zeros((2, view.n_items))
    for (item, day), count in per_day.items():
        sums[:, item] += 2 ** (-day / 40) * np.array([count, math.log1p(count)])
    count = np.bincount(snapshot.pairs.item, minlength=view.n_items)
    total, share = sums[0].sum(), count / count.sum()
    p, q = ((one * total / one.sum() + prior * share) / (total + prior) + 1e-6 for one in sums)
    (found,) = values_of(Burstiness, view, config).T
    np.testing.assert_allclose(found, np.log(q / p), atol=1e-5)
    assert found.std() > 0.01


def test_a_burst_is_lower_than_as_many_over_days():
    """Catches a sign the wrong way round."""
    dated = make_dated_snapshot(5)
    item = int(np.bincount(dated.pairs.item).argmax())
    last, mine = dated.last.copy(), dated.pairs.item == item
    found = {}
    for name, days in (("burst", np.full(mine.sum(), 9)), ("steady", np.arange(mine.sum()) * 3)):
        last[mine] = dated.time - (days + 1) * DAY
        config = replace(CONFIG, steady_half_life=1e6, trend_prior=0.0)
        found[name] = values_of(Burstiness, GraphTensors(replace(dated, last=last)), config)[item]
    assert found["burst"] < found["steady"] - 0.1


def test_without_a_half_life_there_is_no_burstiness():
    """Catches a switch that only empties its channel."""
    view = make_view(0)
    off = relation_of(Burstiness, view, replace(CONFIG, steady_half_life=0.0))
    assert off.channel_names() == ()
    assert relation_of(Burstiness, view).channel_names() == ("burstiness",)


def test_undated_interactions_have_no_trend():
    """Catches a movement where nothing is known of times."""
    view = GraphTensors(replace(make_dated_snapshot(1), last=None))
    assert not values_of(Burstiness, view).any()
    np.testing.assert_allclose(values_of(Trends, view), 0.0, atol=1e-3)


@pytest.mark.parametrize("kind", [Popularity, Trends, Burstiness])
def test_without_interactions_nothing_is_told(kind):
    """Catches a division by nothing."""
    view = GraphTensors(with_pairs(make_dated_snapshot(1), []))
    found = values_of(kind, view)
    assert torch.isfinite(found).all()
    assert (found == found[0]).all()
