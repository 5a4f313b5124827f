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

from finrec_dgl.base.errors import TrainingError, UsageError
from finrec_dgl.base.files import write_atomically
from finrec_dgl.base.progress import SILENT, Progress, Task
from finrec_dgl.dataset import Dataset
from finrec_dgl.recommending.reasons import Reason, explain
from finrec_dgl.training import DerivedScorer, ModelScorer, Run, SampledScorer

MEMORY = 64 * 2**20
"""Bytes that the scores of one chunk of users, and what is made of them, may take."""

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
    _, columns, scores = ranker.best(np.array([user]), k)
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
    n_users = ranker.dataset.n_users
    for start in range(0, n_users, ranker.chunk):
        users = np.arange(start, min(start + ranker.chunk, n_users))
        pending.append(ranker.table(users, k))
        task.advance(len(users))
        if sum(map(len, pending)) >= ROW_GROUP:
            yield pa.concat_tables(pending)
            pending = []
    if sum(map(len, pending)):
        yield pa.concat_tables(pending)


def top_items(scores: np.ndarray, k: int) -> np.ndarray:
    """int64 [B, min(k, C)]: the columns of the ``k`` greatest of ``scores`` [B, C], best first.

    Equal scores go by column, at the border of the ``k`` too, so the answer does not depend on how
    the sort is done. Scores of -inf come last.
    """
    n_rows, n_columns = scores.shape
    k = min(k, n_columns)
    if not k or not n_rows:
        return np.zeros((n_rows, k), np.int64)
    # a copy, so that the partition of all scores is let go
    border = np.partition(scores, n_columns - k, axis=1)[:, n_columns - k, None].copy()
    chosen = scores >= border
    for row in np.flatnonzero(np.count_nonzero(chosen, axis=1) > k).tolist():
        among = np.flatnonzero(chosen[row])
        chosen[row] = False
        chosen[row, among[np.argsort(-scores[row, among], kind="stable")[:k]]] = True
    columns = np.flatnonzero(chosen).reshape(n_rows, k) % n_columns
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    best: np.ndarray = np.take_along_axis(columns, order, axis=1)
    return best


class _Ranker:
    """Ranks the candidates for users; ``items`` int64 [C] are the candidates' nodes."""

    def __init__(
        self, scorer: ModelScorer | SampledScorer | DerivedScorer, dataset: Dataset, known: bool
    ) -> None:
        self.scorer = scorer
        self.dataset = dataset
        self.known = known
        self.ids, self.titles = dataset.item_ids, dataset.item_titles
        candidates = dataset.candidates("test")
        self.items = np.flatnonzero(candidates)
        self._column = np.full(len(candidates), -1)
        self._column[self.items] = np.arange(len(self.items))
        self._pairs = scorer.snapshot.pairs
        self._indptr = self._pairs.indptr(dataset.n_users)
        # of each user: the scores of all items, those of the candidates, and their partition
        self.chunk = max(1, MEMORY // max(1, 4 * len(candidates) + 8 * len(self.items)))

    def best(self, users: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of ``users`` int64 [n], columns of ``items`` int64 [n], scores float32 [n]."""
        scores = self.scorer.score(users)[:, self.items]
        if not np.isfinite(scores).all():
            raise TrainingError(
                "the model gave scores that are not finite",
                expected="a finite number for every candidate",
                mend="train again with a lower learning rate or clip",
            )
        if not self.known:
            row, column = self._held(users)
            scores[row, column] = -np.inf
        columns = top_items(scores, k)
        best = np.take_along_axis(scores, columns, axis=1)
        row, place = np.nonzero(np.isfinite(best))
        return row, columns[row, place], best[row, place]

    def _held(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of every candidate that one of ``users`` holds."""
        slices = [slice(self._indptr[user], self._indptr[user + 1]) for user in users.tolist()]
        held = [self._column[self._pairs.item[one]] for one in slices]
        row = np.repeat(np.arange(len(users)), [len(one) for one in held])
        column = np.concatenate(held) if held else np.zeros(0, np.int64)
        return row[column >= 0], column[column >= 0]

    def table(self, users: np.ndarray, k: int) -> pa.Table:
        """The rows of the file for ``users``."""
        row, column, score = self.best(users, k)
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


def _check_k(k: int) -> None:
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise UsageError(
            f"k is {k!r}",
            expected="how many products, a whole number of at least 1",
            where="k",
        )
