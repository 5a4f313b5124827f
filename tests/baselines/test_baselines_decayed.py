"""Popularity that decays, alone and behind what a user took up before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recommender_contract import DAY, NOW, RecommenderContract, planted, snapshot_of

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.baselines import DecayedPopularity, Frequency, Popularity
from finrec_dgl.evaluation.ranking import rank_targets


class TestDecayedPopularity(RecommenderContract):
    def make(self):
        return DecayedPopularity(half_life=6)


class TestFrequency(RecommenderContract):
    def make(self):
        return Frequency(half_life=6)


BOTH = pytest.mark.parametrize("make", [DecayedPopularity, Frequency])
MASK = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]], dtype=bool)
LAST = NOW - DAY * np.array([10, 20, 30, 5, 40])
"""Of the pairs (0, 0), (0, 1), (1, 0), (1, 2), (2, 0)."""


def test_a_user_counts_half_after_a_half_life():
    scores = DecayedPopularity(10).fit(snapshot_of(MASK, last=LAST)).score(np.array([2, 0]))
    expected = [2**-1 + 2**-3 + 2**-4, 2**-2, 2**-0.5, 0]
    assert scores == pytest.approx(np.array([expected] * 2))


def test_a_long_half_life_is_popularity():
    snapshot = snapshot_of(MASK, last=LAST)
    users = np.arange(3)
    expected = Popularity().fit(snapshot).score(users)
    assert DecayedPopularity(1e9).fit(snapshot).score(users) == pytest.approx(expected)


def test_own_items_come_first_by_count_and_age():
    """User 0: item 0 once 10 days ago (1/2), item 1 three times 20 days ago (3/4)."""
    snapshot = replace(snapshot_of(MASK, last=LAST), count=np.array([1, 3, 1, 1, 1], np.float32))
    scores = Frequency(10).fit(snapshot).score(np.arange(3))
    assert np.argsort(-scores[0]).tolist() == [1, 0, 2, 3]
    assert np.argsort(-scores[1]).tolist() == [2, 0, 1, 3]
    assert np.argsort(-scores[2]).tolist() == [0, 2, 1, 3]


def test_old_items_of_ones_own_still_come_before_all_others():
    """Catches a count that vanishes in float32 after thousands of half-lives."""
    last = np.array([NOW - 9_000 * DAY, NOW - 8_000 * DAY, *LAST[2:]])
    scores = Frequency(1.0).fit(snapshot_of(MASK, last=last)).score(np.array([0]))[0]
    assert scores[1] > scores[0] > scores[2] > scores[3]


def test_with_seen_items_left_out_frequency_ranks_as_decayed_popularity():
    """Catches rounding or scaling that changes the order of the other items."""
    snapshot, targets = planted()
    ranks = [
        rank_targets(
            made.fit(snapshot), targets, snapshot.pairs, np.ones(snapshot.n_items, bool)
        ).ranks
        for made in (DecayedPopularity(6), Frequency(6))
    ]
    assert np.array_equal(*ranks)


@BOTH
def test_needs_dates(make):
    undated = replace(snapshot_of(MASK), last=None, time=None)
    with pytest.raises(DataError, match="dated interactions"):
        make().fit(undated)


@BOTH
@pytest.mark.parametrize("half_life", [0, -1, float("nan"), float("inf")])
def test_the_half_life_must_be_above_zero(make, half_life):
    with pytest.raises(ConfigError, match="half_life is"):
        make(half_life)
