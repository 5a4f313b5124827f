"""The best products of one customer, with reasons, or of all customers, as a Parquet file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from finrec_dgl.base.errors import UsageError
from finrec_dgl.base.files import write_atomically
from finrec_dgl.base.progress import SILENT, Progress, Task
from finrec_dgl.dataset import Dataset, Pairs
from finrec_dgl.evaluation.scores import Scoring, columns_of
from finrec_dgl.kernels.ranking import best_columns
from finrec_dgl.recommending.reasons import Reason, explain
from finrec_dgl.training import ModelScorer, Run

MEMORY = 64 * 2**20
"""Bytes that the scores of one chunk of users, and what is made of them, may take."""

_USERS_AT_ONCE = 512
"""Users whose candidates are scored at once."""

ROW_GROUP = 65_536
"""Rows of the Parquet file that are gathered before they are written."""

SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Recommendation:
    """A product for a customer: ``rank`` from 1; ``title`` is the id where there is no title."""

    rank: int
    item_id: str
    title: str
    score: float
    reasons: tuple[Reason, ...] = ()


def recommend(
    run: Run, user_id: str, k: int = 10, known: bool = False, reasons: bool = True
) -> list[Recommendation]:
    """The ``k`` best products for one customer, best first, by the model of ``run``.

    Ranked are the candidates of the data set's test window less the products that the customer
    holds (with ``known``: these too). Equal scores go by the order of products. Fewer than ``k``
    where there are no more. ``reasons``: say why, see ``explain``; it costs a pass over the graph.

    Raises UsageError for ``k`` below 1, DataError for an unknown customer.
    """
    _check_k(k)
    dataset = run.dataset
    user = dataset.user_index(user_id)
    ranker = _Ranker(run.scorer("test"), dataset, known)
    ((_, _, columns, scores),) = ranker.best(np.array([user]), k)
    items = ranker.items[columns]
    why = explain(ranker.scorer, dataset, user, items) if reasons else [()] * len(items)
    return [
        Recommendation(
            rank,
            ranker.ids[item].as_py(),
            ranker.titles[item].as_py(),
            score,
            because,
        )
        for rank, (item, score, because) in enumerate(
            zip(items.tolist(), scores.tolist(), why, strict=True), start=1
        )
    ]


def recommend_all(
    run: Run, out: str | Path, k: int = 10, known: bool = False, progress: Progress = SILENT
) -> dict[str, Any]:
    """Write the ``k`` best products of every customer to the Parquet file ``out``.

    Columns: user_id, item_id, title (string), rank (int32, from 1), score (float32); customers in
    the order of the data set, with their ids as it stores them; ranked as by ``recommend``. Chunks
    of customers keep memory within ``MEMORY`` beside the model's own. The file is complete or
    absent; one that is there is replaced at the end. Returns out, users, rows, k and seconds.

    Raises UsageError for ``k`` below 1 or ``out`` a folder, FinrecError where it cannot be written.
    """
    _check_k(k)
    out = Path(out)
    if out.is_dir():
        raise UsageError(
            "the output is a folder",
            expected="a Parquet file to write",
            where=str(out),
            mend=f"name a file in it, such as {out / 'recommendations.parquet'}",
        )
    began = time.perf_counter()
    rows = 0
    ranker = _Ranker(run.scorer("test"), run.dataset, known)

    def write(target: Path) -> None:
        nonlocal rows
        with (
            progress.task("recommending", total=run.dataset.n_users, unit="users") as task,
            pq.ParquetWriter(target, SCHEMA) as writer,
        ):
            for table in _row_groups(ranker, k, task):
                writer.write_table(table, row_group_size=len(table))
                rows += len(table)

    write_atomically(out, write)
    return {
        "out": str(out),
        "users": run.dataset.n_users,
        "rows": rows,
        "k": k,
        "seconds": time.perf_counter() - began,
    }


def _row_groups(ranker: _Ranker, k: int, task: Task) -> Iterator[pa.Table]:
    pending: list[pa.Table] = []
    for users, row, column, score in ranker.best(np.arange(ranker.dataset.n_users), k):
        pending.append(ranker.table(users, row, column, score))
        task.advance(len(users))
        if sum(map(len, pending)) >= ROW_GROUP:
            yield pa.concat_tables(pending)
            pending = []
    if sum(map(len, pending)):
        yield pa.concat_tables(pending)


class _Ranker:
    """Ranks the candidates for users; ``items`` int64 [C] are the candidates' nodes."""

    def __init__(self, scorer: ModelScorer, dataset: Dataset, known: bool) -> None:
        self.scorer = scorer
        self.dataset = dataset
        self.known = known
        self.ids, self.titles = dataset.item_ids, dataset.item_titles
        candidates = dataset.candidates("test")
        self.items = np.flatnonzero(candidates)
        self._column = np.full(len(candidates), -1)
        self._column[self.items] = np.arange(len(self.items))
        # beside the scores: those of the candidates, and their partition
        self._scoring = Scoring(scorer, self.items, len(candidates), memory=MEMORY, beside=8)

    def best(
        self, users: np.ndarray, k: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Some of ``users`` at a time with their best.

        Rows of those users int64 [n], columns of ``items`` int64 [n], scores [n].
        """
        if not self.known and getattr(self.scorer, "has_candidates", False):
            yield from self._best_candidates(users, k)
            return
        yield from self._best_of_all(users, k)

    def _best_candidates(
        self, users: np.ndarray, k: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """``best`` of what the scorer has as candidates; of all items for who has too few."""
        for start in range(0, len(users), _USERS_AT_ONCE):
            chunk = users[start : start + _USERS_AT_ONCE]
            items, scores = self.scorer.candidates(chunk)
            column = np.where(items < 0, -1, self._column[items])
            found = best_listed(column, scores, k)
            few = np.flatnonzero((column >= 0).sum(axis=1) < min(k, len(self.items)))
            if not len(few):
                yield chunk, *found
                continue
            parts = [tuple(part[~np.isin(found[0], few)] for part in found)]
            for some, row, best, score in self._best_of_all(chunk[few], k):
                parts.append((np.searchsorted(chunk, some[row]), best, score))
            row, best, score = (np.concatenate(part) for part in zip(*parts, strict=True))
            order = np.argsort(row, kind="stable")
            yield chunk, row[order], best[order], score[order]

    def _best_of_all(
        self, users: np.ndarray, k: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """``best`` of all items, each scored."""
        nothing = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))
        pairs = nothing if self.known else self.scorer.snapshot.pairs
        for chunk, scores in self._scoring.chunks(users):
            found = best_columns(scores, columns_of(pairs, chunk, self._column), k)
            if found is None:
                self._scoring.refuse(scores)
            yield chunk, *found

    def table(
        self, users: np.ndarray, row: np.ndarray, column: np.ndarray, score: np.ndarray
    ) -> pa.Table:
        """The rows of the file for what ``best`` gave."""
        items = pa.array(self.items[column])
        first = np.searchsorted(row, row)  # rows ascend: where each user's begin
        return pa.table(
            {
                "user_id": self.dataset.user_ids.take(pa.array(users[row])),
                "item_id": self.ids.take(items),
                "title": self.titles.take(items),
                "rank": pa.array((np.arange(len(row)) - first + 1).astype(np.int32)),
                "score": pa.array(score.astype(np.float32)),
            },
            schema=SCHEMA,
        )


def best_listed(
    column: np.ndarray, scores: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ``k`` best of the columns that each row lists, best first; of equal scores the smaller.

    Parameters
    ----------
    column : ndarray
        int [B, C], -1 for none, else each once in its row.
    scores : ndarray
        float32 [B, C].
    k : int
        At most so many a row.

    Returns
    -------
    row, column, score : ndarray
        int64 [n], int64 [n] and float32 [n], by rising row.
    """
    listed = np.where(column >= 0, scores, -np.inf).astype(np.float32)
    width = listed.shape[1]
    if width > k:
        # what is as good as the k-th: more than k where scores are equal
        least = np.partition(listed, width - k, axis=1)[:, width - k, None]
    else:
        least = np.full((len(listed), 1), -np.inf, np.float32)
    row, place = np.nonzero((listed >= least) & (column >= 0))
    found, score = column[row, place], listed[row, place]
    order = np.lexsort((found, -score, row))
    row, found, score = row[order], found[order], score[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    return row[rank < k], found[rank < k], score[rank < k]


def _check_k(k: int) -> None:
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise UsageError(
            f"k is {k!r}",
            expected="how many products, a whole number of at least 1",
            where="k",
        )
