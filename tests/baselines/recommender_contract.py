"""What every recommender must do, as tests that each one's own test class inherits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from finrec_dgl.base.errors import UsageError
from finrec_dgl.dataset.snapshot import Pairs, Snapshot
from finrec_dgl.evaluation.metrics import ranking_metrics
from finrec_dgl.evaluation.ranking import rank_targets

DAY = 86_400
NOW = 1_000 * DAY
GROUPS = 4


@dataclass(frozen=True)
class GivenTexts:
    """Text vectors as they are; users' come from nowhere but here."""

    user_text: np.ndarray
    item_text: np.ndarray
    item_posts: np.ndarray

    def users(self) -> tuple[np.ndarray, np.ndarray]:
        return self.user_text, self.user_text.any(axis=1).astype(np.int8)

    def items(self) -> np.ndarray:
        return self.item_text

    def posts(self) -> np.ndarray:
        return self.item_posts


def snapshot_of(
    mask: np.ndarray, last=None, item_text=None, user_text=None, item_posts=None
) -> Snapshot:
    """A snapshot that holds the pairs of ``mask`` bool [users, items]; times 0 to 9 days back.

    Without texts given, the items' vectors are random, the users' and those of posts zero.
    """
    n_users, n_items = mask.shape
    pairs = pairs_of(mask)
    if last is None:
        last = NOW - DAY * ((pairs.user + 3 * pairs.item) % 10).astype(np.int64)
    if item_text is None:
        item_text = unit(np.random.default_rng(9).normal(size=(n_items, 8)))
    if user_text is None:
        user_text = np.zeros((n_users, item_text.shape[1]), np.float32)
    if item_posts is None:
        item_posts = np.zeros_like(item_text)
    return Snapshot(
        n_users=n_users,
        n_items=n_items,
        time=NOW,
        pairs=pairs,
        count=np.ones(len(pairs), np.float32),
        last=last,
        ties={},
        item_categories={},
        user_categories={},
        texts=GivenTexts(user_text, item_text, item_posts),
    )


def pairs_of(mask: np.ndarray) -> Pairs:
    """The pairs where ``mask`` bool [users, items] is set."""
    user, item = np.nonzero(mask)
    return Pairs(user.astype(np.int32), item.astype(np.int32))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def planted(seed: int = 0, n_users: int = 240, n_items: int = 80) -> tuple[Snapshot, Pairs]:
    """Users and items of four groups, and a popularity that all share.

    A user holds mostly popular items of its own group; items of a group have texts near each other.
    One fifth of the pairs is kept back as targets.
    """
    rng = np.random.default_rng(seed)
    user_group, item_group = np.arange(n_users) % GROUPS, np.arange(n_items) % GROUPS
    popularity = rng.permutation(1.0 / np.arange(2, n_items + 2))
    affinity = np.where(user_group[:, None] == item_group[None], 1.0, 0.1) * popularity
    mask = rng.random((n_users, n_items)) < np.minimum(0.9, 3.0 * affinity)
    kept_back = mask & (rng.random(mask.shape) < 0.2)
    centres = rng.normal(size=(GROUPS, 8))
    text = unit(centres[item_group] + 0.3 * rng.normal(size=(n_items, 8)))
    return snapshot_of(mask & ~kept_back, item_text=text), pairs_of(kept_back)


def ndcg(recommender: Any, snapshot: Snapshot, targets: Pairs) -> float:
    everything = np.ones(snapshot.n_items, dtype=bool)
    ranking = rank_targets(recommender, targets, snapshot.pairs, everything)
    values = ranking_metrics(ranking.ranks, ranking.owner, len(ranking.users), (10,))
    return float(values["ndcg@10"].mean())


class RandomScores:
    def __init__(self, n_items: int, seed: int) -> None:
        self.rng, self.n_items = np.random.default_rng(seed), n_items

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.rng.random((len(users), self.n_items), dtype=np.float32)


def chance(snapshot: Snapshot, targets: Pairs) -> np.ndarray:
    """NDCG@10 of thirty random rankings."""
    return np.array(
        [ndcg(RandomScores(snapshot.n_items, seed), snapshot, targets) for seed in range(30)]
    )


def arrays(snapshot: Snapshot) -> list[np.ndarray]:
    """All that a recommender may read, the shared matrix included."""
    pairs, matrix = snapshot.pairs, snapshot.matrix()
    texts = [snapshot.user_text, snapshot.item_text, snapshot.item_posts]
    held = [matrix.data, matrix.indices, matrix.indptr]
    return [pairs.user, pairs.item, snapshot.count, snapshot.last, *texts, *held]


class RecommenderContract:
    """Inherit, and say how to make the recommender."""

    def make(self) -> Any:
        raise NotImplementedError

    def test_vectors_are_those_of_the_scores(self):
        """Catches a ranking by vectors that is not the one by scores."""
        with pytest.raises(UsageError, match="not fitted"):
            self.make().vectors()
        snapshot, _ = planted()
        made = self.make().fit(snapshot)
        vectors = made.vectors()
        if vectors is not None:
            scores = made.score(np.arange(snapshot.n_users))
            np.testing.assert_allclose(vectors.user @ vectors.item.T, scores, atol=1e-4)

    def test_scores_are_finite_float32_a_row_a_user_a_column_an_item(self):
        snapshot, _ = planted()
        users = np.array([5, 0, 5, 17])
        scores = self.make().fit(snapshot).score(users)
        assert scores.shape == (4, snapshot.n_items)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert scores[0] == pytest.approx(scores[2], rel=1e-5, abs=1e-6)

    def test_no_users_give_no_rows(self):
        snapshot, _ = planted()
        recommender = self.make().fit(snapshot)
        assert recommender.score(np.array([], dtype=np.int32)).shape == (0, snapshot.n_items)

    def test_the_same_again(self):
        """Two fits, and two calls: would catch an unseeded draw or state that scoring changes."""
        snapshot, _ = planted()
        users = np.arange(snapshot.n_users)
        first = self.make().fit(snapshot)
        once = first.score(users)
        assert np.array_equal(once, first.score(users))
        assert np.array_equal(once, self.make().fit(snapshot).score(users))

    def test_the_company_of_a_user_changes_nothing(self):
        """Would catch scores normalised over the batch."""
        snapshot, _ = planted()
        recommender = self.make().fit(snapshot)
        alone = recommender.score(np.array([7]))[0]
        assert recommender.score(np.arange(30))[7] == pytest.approx(alone, rel=1e-5, abs=1e-5)

    def test_fit_returns_itself_and_can_be_repeated_on_another_snapshot(self):
        """Would catch what was learned from the first snapshot leaking into the second."""
        small, _ = planted(seed=1, n_users=60, n_items=40)
        snapshot, _ = planted()
        recommender = self.make()
        assert recommender.fit(small) is recommender
        again = recommender.fit(snapshot).score(np.arange(9))
        assert np.array_equal(again, self.make().fit(snapshot).score(np.arange(9)))

    def test_the_snapshot_stays_as_it_was(self):
        """Arrays are made read-only first, so that even an undone change is caught."""
        snapshot, _ = planted()
        before = [array.copy() for array in arrays(snapshot)]
        for array in arrays(snapshot):
            array.setflags(write=False)
        scores = self.make().fit(snapshot).score(np.arange(4))
        scores += 1.0  # what is handed out belongs to the caller
        for old, new in zip(before, arrays(snapshot), strict=True):
            assert np.array_equal(old, new)

    def test_changing_the_scores_handed_out_changes_no_later_scores(self):
        snapshot, _ = planted()
        recommender = self.make().fit(snapshot)
        first = recommender.score(np.array([1, 2]))
        kept = first.copy()
        first[:] = -1.0
        assert np.array_equal(recommender.score(np.array([1, 2])), kept)

    def test_users_and_items_without_edges_are_ordinary(self):
        """Would catch a division by zero: a cold user and an item that nobody holds."""
        snapshot, _ = planted()
        mask = snapshot.matrix().toarray() > 0
        mask[3], mask[:, 5] = False, False
        cold = snapshot_of(mask, item_text=snapshot.item_text)
        scores = self.make().fit(cold).score(np.arange(cold.n_users))
        assert np.isfinite(scores).all()

    def test_no_edges_at_all(self):
        """Would catch an empty matrix taken for granted."""
        empty = snapshot_of(np.zeros((4, 6), dtype=bool))
        scores = self.make().fit(empty).score(np.arange(4))
        assert scores.shape == (4, 6)
        assert np.isfinite(scores).all()

    def test_one_user_and_one_item(self):
        lone = snapshot_of(np.ones((1, 1), dtype=bool))
        assert np.isfinite(self.make().fit(lone).score(np.array([0]))).all()

    def test_beats_chance_on_planted_data(self):
        """Would catch scores of the wrong sign, or users or items mixed up."""
        snapshot, targets = planted()
        random = chance(snapshot, targets)
        reached = ndcg(self.make().fit(snapshot), snapshot, targets)
        assert reached > random.mean() + 5 * random.std()

    def test_is_at_chance_on_shuffled_targets(self):
        """Would catch an evaluation or a recommender that knows the targets: with the items of the
        targets drawn anew, uniformly from what a user does not hold, none can be better."""
        snapshot, targets = planted()
        rng = np.random.default_rng(4)
        held = snapshot.matrix().toarray() > 0
        drawn = np.zeros_like(held)
        for user, count in zip(*np.unique(targets.user, return_counts=True), strict=True):
            drawn[user, rng.choice(np.flatnonzero(~held[user]), count, replace=False)] = True
        shuffled = pairs_of(drawn)
        random = chance(snapshot, shuffled)
        reached = ndcg(self.make().fit(snapshot), snapshot, shuffled)
        assert abs(reached - random.mean()) < 5 * random.std()

    def test_renumbered_items_get_the_same_scores(self):
        """Would catch a dependence on item numbers other than by ties."""
        snapshot, _ = planted()
        order = np.random.default_rng(2).permutation(snapshot.n_items)
        mask = snapshot.matrix().toarray() > 0
        dates = np.zeros(mask.shape, np.int64)
        dates[snapshot.pairs.user, snapshot.pairs.item] = snapshot.last
        renumbered = snapshot_of(mask[:, order], item_text=snapshot.item_text[order])
        renumbered = replace(
            renumbered, last=dates[:, order][renumbered.pairs.user, renumbered.pairs.item]
        )
        users = np.arange(20)
        expected = self.make().fit(snapshot).score(users)[:, order]
        assert self.make().fit(renumbered).score(users) == pytest.approx(expected, abs=1e-5)

    def test_has_a_name(self):
        assert self.make().name

    def test_scoring_before_fitting_is_refused(self):
        with pytest.raises(UsageError, match="is not fitted"):
            self.make().score(np.array([0]))

    @pytest.mark.parametrize("users", [[-1], [240], [0.5], [[0]], 3])
    def test_users_that_cannot_be_are_refused(self, users):
        """A negative index would be another user's row."""
        snapshot, _ = planted()
        with pytest.raises(UsageError, match="user"):
            self.make().fit(snapshot).score(np.array(users))


class SeededContract(RecommenderContract):
    """The same of one that draws at random: ``make`` takes a ``seed``."""

    def test_renumbered_items_get_the_same_scores(self):
        """Would catch a dependence on item numbers: draws differ with them, what is found of the
        groups does not."""
        snapshot, targets = planted()
        order = np.random.default_rng(2).permutation(snapshot.n_items)
        mask = snapshot.matrix().toarray() > 0
        kept_back = targets.matrix(*mask.shape).toarray() > 0
        renumbered = snapshot_of(mask[:, order], item_text=snapshot.item_text[order])
        expected = ndcg(self.make().fit(snapshot), snapshot, targets)
        reached = ndcg(self.make().fit(renumbered), renumbered, pairs_of(kept_back[:, order]))
        assert reached == pytest.approx(expected, abs=0.05)

    def test_a_seed_reproduces_and_another_differs(self):
        """Would catch a seed that is not passed on, or draws from a global state."""
        snapshot, _ = planted()
        users = np.arange(snapshot.n_users)
        one, again, other = (self.make(seed=n).fit(snapshot).score(users) for n in (1, 1, 2))
        assert np.array_equal(one, again)
        assert not np.array_equal(one, other)
