"""Popularity of all time and of recent days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recommender_contract import DAY, NOW, RecommenderContract, snapshot_of

from finrec_dgl.base.errors import ConfigError, DataError, UsageError
from finrec_dgl.baselines import Popularity


class TestPopularity(RecommenderContract):
    def make(self):
        return Popularity()


class TestPopularityRecent(RecommenderContract):
    def make(self):
        return Popularity(days=6)


MASK = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=bool)


def test_counts_distinct_users():
    assert Popularity().fit(snapshot_of(MASK)).score(np.array([2, 0])).tolist() == [[3, 1, 1]] * 2


def test_recent_days_count_back_from_the_snapshot_by_the_latest_sight():
    """Pairs in order (0,0) (0,1) (1,0) (1,2) (2,0), the window's first second inclusive."""
    last = NOW - np.array([0, 30 * DAY, 30 * DAY + 1, 2 * DAY, 31 * DAY])
    recent = Popularity(days=30).fit(snapshot_of(MASK, last=last))
    assert recent.score(np.array([0]))[0].tolist() == [1, 1, 1]
    assert recent.name == "popularity-recent"


def test_undated_pairs_have_no_recent_days():
    undated = replace(snapshot_of(MASK), last=None, time=None)
    assert Popularity().fit(undated).score(np.array([0])).shape == (1, 3)
    with pytest.raises(DataError, match="dated interactions"):
        Popularity(days=30).fit(undated)


def test_a_failed_fit_leaves_nothing_to_score_with():
    """Would catch the scores of an earlier snapshot given for a later one."""
    recommender = Popularity(days=30).fit(snapshot_of(MASK))
    with pytest.raises(DataError):
        recommender.fit(replace(snapshot_of(MASK), last=None))
    with pytest.raises(UsageError, match="not fitted"):
        recommender.score(np.array([0]))


@pytest.mark.parametrize("days", [0, -1, float("nan")])
def test_days_must_be_above_zero(days):
    with pytest.raises(ConfigError, match="days is"):
        Popularity(days=days)
