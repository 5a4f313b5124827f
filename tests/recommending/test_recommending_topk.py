"""Top-k: as a full sort has it, candidates and holdings respected, the file complete or absent."""

import dataclasses
import errno
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recommending_worlds import BASE, TableScorer, WorldDataset, WorldRun, make_run, table_run
from snapshots import make_snapshot

from finrec_dgl.base.errors import DataError, FinrecError, TrainingError, UsageError
from finrec_dgl.graph import backend
from finrec_dgl.kernels.library import find_library
from finrec_dgl.nn import features_of
from finrec_dgl.recommending import recommend, recommend_all, topk
from finrec_dgl.sampling import whole_graph


def scores_with_ties(users=30, items=20):
    return np.random.default_rng(0).integers(0, 4, (users, items)).astype(np.float32)


@pytest.mark.parametrize("known", [False, True])
def test_recommend_ranks_candidates_less_what_is_held(known):
    """Catches a product that is held or no candidate, and a wrong order."""
    scores = scores_with_ties()
    allowed = np.arange(20) % 3 != 0
    run = table_run(scores, allowed)
    held = run.dataset.world.matrix().toarray() > 0
    for user in range(30):
        free = [item for item in range(20) if allowed[item] and (known or not held[user, item])]
        expected = sorted(free, key=lambda item: (-scores[user, item], item))[:7]
        found = recommend(run, f"customer-{user:03d}", k=7, known=known, reasons=False)
        assert [one.item_id for one in found] == [f"P{item}" for item in expected]
        assert [one.title for one in found] == [f"Fund {item}" for item in expected]
        assert [one.score for one in found] == [scores[user, item] for item in expected]
        assert [one.rank for one in found] == list(range(1, len(expected) + 1))
        assert all(one.reasons == () for one in found)
    assert set(run.splits) == {"test"}


def test_reasons_do_not_change_the_ranking():
    """Catches two ways of scoring that differ."""
    run = make_run()
    with_reasons = recommend(run, "customer-003")
    without = recommend(run, "customer-003", reasons=False)
    assert any(one.reasons for one in with_reasons)
    assert [(one.item_id, one.score) for one in with_reasons] == [
        (one.item_id, one.score) for one in without
    ]


@pytest.mark.skipif(find_library().handle is None, reason=find_library().told)
def test_one_customer_is_answered_without_dgl(monkeypatch):
    """Catches an import that takes a second of the three until the answer."""

    def refused():
        raise FinrecError("DGL was asked for")

    monkeypatch.setattr(backend, "_import_dgl", refused)
    assert recommend(make_run(), "customer-003")


def test_fewer_than_k_where_there_are_no_more():
    """Catches rows of -inf that fill up to k."""
    run = table_run(scores_with_ties())
    held = run.dataset.world.matrix().toarray()[0].sum()
    assert len(recommend(run, "customer-000", k=100, reasons=False)) == 20 - held
    assert len(recommend(run, "customer-000", k=100, known=True, reasons=False)) == 20


@pytest.mark.parametrize("k", [0, -3, 2.5, True])
def test_k_out_of_range(k, tmp_path):
    """Catches a k that comes out as an empty or a wrong list."""
    run = table_run(scores_with_ties())
    with pytest.raises(UsageError, match="k is"):
        recommend(run, "customer-000", k=k)
    with pytest.raises(UsageError, match="k is"):
        recommend_all(run, tmp_path / "all.parquet", k=k)


def test_an_unknown_user_and_scores_that_are_not_finite():
    """Catches recommendations for somebody else, and a model that diverged taken at its word."""
    scores = scores_with_ties()
    scores[2, 5] = np.nan
    run = table_run(scores)
    with pytest.raises(DataError, match="unknown user"):
        recommend(run, "nobody")
    with pytest.raises(TrainingError, match="not finite"):
        recommend(run, "customer-002", reasons=False)


class Counted:
    """A progress that counts."""

    def __init__(self):
        self.done, self.total, self.unit = 0, None, None

    def task(self, name, total, unit=""):
        self.total, self.unit = total, unit
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    def advance(self, steps=1, **fields):
        self.done += steps

    def note(self, text):
        pass


@pytest.mark.parametrize("known", [False, True])
def test_the_file_holds_what_recommend_gives(tmp_path, monkeypatch, known):
    """Catches rows lost or mixed up between chunks and row groups, and another order of columns."""
    run = table_run(scores_with_ties(), np.arange(20) % 5 != 0)
    monkeypatch.setattr(topk, "MEMORY", 4 * (4 * 20 + 8 * 16))
    monkeypatch.setattr(topk, "ROW_GROUP", 50)
    progress = Counted()
    out = tmp_path / "deep" / "all.parquet"
    summary = recommend_all(run, out, k=6, known=known, progress=progress)
    assert run.made.asked == [4] * 7 + [2]
    assert run.splits == ["test"]
    assert (progress.done, progress.total, progress.unit) == (30, 30, "users")
    table = pq.read_table(out)
    assert table.schema.equals(topk.SCHEMA)
    expected = [
        {
            "user_id": name,
            "item_id": one.item_id,
            "title": one.title,
            "rank": one.rank,
            "score": one.score,
        }
        for name in run.dataset.user_ids.to_pylist()
        for one in recommend(run, name, k=6, known=known, reasons=False)
    ]
    assert table.to_pylist() == expected
    assert 1 < pq.ParquetFile(out).num_row_groups < 8
    assert summary["rows"] == len(expected)
    assert (summary["users"], summary["k"], summary["out"]) == (30, 6, str(out))
    assert [one.name for one in out.parent.iterdir()] == [out.name]


def test_nobody_has_anything_left(tmp_path):
    """Catches a file that is no Parquet where there is not one row."""
    run = table_run(scores_with_ties(), np.zeros(20, bool))
    assert recommend_all(run, tmp_path / "all.parquet")["rows"] == 0
    assert pq.read_table(tmp_path / "all.parquet").schema.equals(topk.SCHEMA)
    assert recommend(run, "customer-001", reasons=False) == []
    assert recommend(make_run(allowed=np.zeros(20, bool)), "customer-001") == []


def test_a_full_disk_leaves_the_former_file(tmp_path, monkeypatch):
    """Catches half a file, or the good one of the night before lost."""
    run = table_run(scores_with_ties())
    out = tmp_path / "all.parquet"
    out.write_text("the night before")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(FinrecError, match="could not write all.parquet: No space left"):
        recommend_all(run, out)
    assert out.read_text() == "the night before"
    assert [one.name for one in tmp_path.iterdir()] == [out.name]


def test_a_failure_on_the_way_leaves_no_file(tmp_path):
    """Catches a file of the users before the one at which the model failed."""
    scores = scores_with_ties()
    scores[29, 1] = np.inf
    with pytest.raises(TrainingError):
        recommend_all(table_run(scores), tmp_path / "all.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_output(tmp_path):
    """Catches an hour of work before it is found that the file cannot stand there."""
    run = table_run(scores_with_ties())
    with pytest.raises(UsageError, match="folder"):
        recommend_all(run, tmp_path)
    assert run.splits == []


@pytest.mark.parametrize("head", ["dot", "mlp"])
def test_the_best_by_vectors_are_the_best_by_scores(head):
    """Catches towers or a bias left out where no scores are asked for."""
    run = make_run(dataclasses.replace(BASE, head=head))
    assert (run.made.vectors() is None) == (head == "mlp")
    held = run.dataset.world.matrix().toarray() > 0
    for user in range(0, run.dataset.n_users, 7):
        scores = run.made.score(np.array([user]))[0]
        assert scores == pytest.approx(whole_scores(run)[user], abs=1e-4)
        scores[held[user]] = -np.inf
        found = recommend(run, f"customer-{user:03d}", k=5, reasons=False)
        assert [one.score for one in found] == pytest.approx(np.sort(scores)[::-1][:5], abs=1e-4)
        assert [one.score for one in found] == pytest.approx(
            [scores[int(one.item_id[1:])] for one in found], abs=1e-4
        )


def whole_scores(run):
    """All scores as the model itself gives them, [users, items]."""
    scorer = run.made
    with torch.inference_mode():
        blocks = whole_graph(scorer.snapshot.graph(), scorer.model.config.depth)
        fused = scorer.model.encode(blocks, features_of(scorer.snapshot)).fused
        return scorer.model.score(fused["user"], fused["item"]).numpy()


class Formula:
    """Scores made on demand, so that no table of all of them is ever there."""

    def __init__(self, snapshot):
        self.snapshot, self.asked = snapshot, []

    def score(self, users):
        self.asked.append(len(users))
        items = np.arange(self.snapshot.n_items, dtype=np.float32)
        return (users.astype(np.float32)[:, None] * np.float32(7.0)) % (items + np.float32(1))


def test_memory_does_not_grow_with_the_users(tmp_path):
    """Catches all scores of 20,000 users and 3,000 products (240 MB) held at once."""
    snapshot = make_snapshot(users=20_000, items=3_000, edges=30_000, text_dim=1)
    run = WorldRun(WorldDataset(snapshot), Formula(snapshot))
    tracemalloc.start()
    try:
        summary = recommend_all(run, tmp_path / "all.parquet")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert summary["rows"] == 200_000
    assert max(run.made.asked) * (4 + 8) * 3_000 <= topk.MEMORY
    assert peak < 1.25 * topk.MEMORY


# ---- candidates


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 9_999), width=st.integers(0, 12), k=st.integers(1, 14))
def test_the_best_of_lists_by_sorting(seed, width, k):
    """Catches an absent item that ranks, equal scores in another order, a list that is too long."""
    rng = np.random.default_rng(seed)
    column = np.stack([rng.permutation(30)[:width] for _ in range(4)]).reshape(4, width)
    column[rng.random((4, width)) < 0.3] = -1
    scores = rng.choice([0.5, 1.0, 2.0], (4, width)).astype(np.float32)
    row, found, score = topk.best_listed(column, scores, k)
    for one in range(4):
        there = column[one] >= 0
        ranked = sorted(zip(-scores[one][there], column[one][there], strict=True))[:k]
        assert found[row == one].tolist() == [item for _, item in ranked]
        assert score[row == one].tolist() == [-value for value, _ in ranked]
    assert np.all(np.diff(row) >= 0)


class ListScorer(TableScorer):
    """Candidates from a table: the items above 0 that the user does not hold."""

    has_candidates = True

    def candidates(self, users):
        held = self.snapshot.matrix().toarray()[users] > 0
        items = np.broadcast_to(np.arange(20, dtype=np.int32), (len(users), 20))
        return np.where((self.scores[users] > 0) & ~held, items, -1), self.scores[users]


@pytest.mark.parametrize("most", [3, 1000])
def test_users_of_few_candidates_are_ranked_among_all_items(monkeypatch, tmp_path, most):
    """Catches a short list where more may be recommended, rows of another user, or a held item."""
    monkeypatch.setattr(topk, "_USERS_AT_ONCE", most)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(30, 20)).astype(np.float32)
    scores[::4] -= 10  # nobody's candidate is above 0 there
    allowed = np.arange(20) % 5 != 0
    whole = table_run(scores, allowed)
    listed = WorldRun(whole.dataset, ListScorer(scores, whole.dataset.world))
    expected = recommend_all(whole, tmp_path / "whole.parquet", k=4)
    found = recommend_all(listed, tmp_path / "listed.parquet", k=4)
    assert found["rows"] == expected["rows"]
    one, other = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("whole", "listed"))
    assert one.equals(other)
    known = recommend_all(listed, tmp_path / "known.parquet", k=4, known=True)
    assert known["rows"] == 30 * 4
