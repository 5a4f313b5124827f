"""Assigns interactions to training, validation and test: by date, by user, at random, as given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

import numpy as np

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.tables.dates import parse_date

COLD_SIDES = {"cold-items": "item", "cold-users": "user"}
"""Kinds of split that hold out nodes of a side altogether."""
KINDS = ("auto", "temporal", "last-out", "random", "given", *COLD_SIDES)
QUANTILE = 0.85
"""Share of the events (or of those before the cut) that come before the default cut."""

TRAIN, VALID, TEST, LEFT_OUT = np.int8(0), np.int8(1), np.int8(2), np.int8(3)
"""Stages of an event. LEFT_OUT: neither learnt from nor asked for."""


@dataclass(frozen=True)
class SplitOptions:
    """How interactions are split; dates are ISO 8601 and mean their first second, UTC.

    - ``kind``: ``temporal``: training before ``cut``, test from it on (and before ``test_end``);
      ``last-out``: the last product each user took up is the test, the one before the validation;
      ``random``: by distinct pair of user and product; ``given``: by ``split_file`` or the split
      that came with the data; ``auto`` (default): given where there is one, else temporal where
      there are timestamps, else random. A ``cut`` makes it temporal. ``cold-items`` and
      ``cold-users``: as ``auto``, and ``cold_share`` of the items or users are held out
      (``finrec_dgl.dataset.cold``): none of their interactions before the cut is learnt from.
    - ``cut``: default: the 0.85 quantile of the interactions' times. ``valid_cut``: validation is
      [valid_cut, cut); default: the 0.85 quantile of the times before the cut. ``test_end``: the
      test is [cut, test_end); default: no end.
    - ``valid_share``, ``test_share``: shares of the distinct pairs, for ``random`` (and
      ``valid_share`` of each user's training pairs for a given split without dates). A
      ``test_share`` of 0 keeps everything to learn from.
    - ``cold_share``: of the items or users to hold out, for ``cold-items`` and ``cold-users``.
    - ``seed``: of random choices.

    Raises ConfigError that names every problem.
    """

    kind: str = "auto"
    cut: str | None = None
    valid_cut: str | None = None
    test_end: str | None = None
    split_file: str | None = None
    valid_share: float = 0.1
    test_share: float = 0.2
    cold_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        problems = choice("kind", self.kind, KINDS)
        times: dict[str, int] = {}
        for name in ("cut", "valid_cut", "test_end"):
            if getattr(self, name) is None:
                continue
            try:
                times[name] = parse_date(getattr(self, name))
            except UsageError as error:
                problems.append(f"{name}: {error.found}")
        for early, late in (("valid_cut", "cut"), ("cut", "test_end"), ("valid_cut", "test_end")):
            if early in times and late in times and times[early] >= times[late]:
                problems.append(
                    f"{early} {getattr(self, early)} is not before {late} {getattr(self, late)}"
                )
        problems += self._unfit_options()
        if not 0 < self.valid_share < 1:
            problems.append(f"valid_share is {self.valid_share}, expected more than 0, less than 1")
        if not 0 <= self.test_share < 1:
            problems.append(f"test_share is {self.test_share}, expected 0 or more, less than 1")
        elif 0 < self.valid_share < 1 and self.valid_share + self.test_share >= 1:
            problems.append("valid_share and test_share leave nothing to train on")
        if not 0 < self.cold_share < 1:
            problems.append(f"cold_share is {self.cold_share}, expected more than 0, less than 1")
        if self.seed < 0:
            problems.append(f"seed is {self.seed}, expected 0 or more")
        refuse(problems, where="split")

    def _unfit_options(self) -> list[str]:
        fits = {
            "cut": ("auto", "temporal", *COLD_SIDES),
            "test_end": ("auto", "temporal", *COLD_SIDES),
            "valid_cut": ("auto", "temporal", "given", *COLD_SIDES),
            "split_file": ("auto", "given", *COLD_SIDES),
        }
        problems = [
            f"{name} does not go with kind {self.kind}"
            for name, kinds in fits.items()
            if getattr(self, name) is not None and self.kind in KINDS and self.kind not in kinds
        ]
        if self.split_file is not None:
            problems += [
                f"{name} does not go with split_file, which has its own"
                for name in ("cut", "test_end")
                if getattr(self, name) is not None
            ]
        return problems

    def time(self, name: str) -> int | None:
        """The date option ``name`` in seconds since 1970 UTC."""
        text = getattr(self, name)
        return None if text is None else parse_date(text)

    @property
    def cold_side(self) -> str | None:
        """``item`` or ``user``: of which some are held out; None where none are."""
        return COLD_SIDES.get(self.kind)

    def resolve(self, *, given: bool, dated: bool) -> str:
        """The kind that ``auto`` stands for, given whether there is a split and whether dates.

        Splits that hold out nodes assign interactions as ``auto`` does.
        """
        if self.kind != "auto" and self.cold_side is None:
            return self.kind
        if self.cut is not None or self.test_end is not None:
            return "temporal"
        if given:
            return "given"
        return "temporal" if dated or self.valid_cut is not None else "random"


@dataclass(frozen=True)
class Assignment:
    """The stage int8 [events] of each event, and the dates (seconds since 1970 UTC) that made it.

    ``cut`` None: the split is not by date. ``left_out``: reason -> events that are LEFT_OUT.
    """

    kind: str
    stage: np.ndarray
    cut: int | None = None
    valid_cut: int | None = None
    test_end: int | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def fit(self) -> np.ndarray:
        """bool [events]: those to learn from in the end, training and validation."""
        return self.stage <= VALID


def temporal(
    time: np.ndarray | None,
    cut: int | None = None,
    valid_cut: int | None = None,
    test_end: int | None = None,
) -> Assignment:
    """Training before ``valid_cut``, validation [valid_cut, cut), test [cut, test_end).

    ``time`` int64 [events]. Raises DataError without times, UsageError where a part has no events.
    """
    time = _dated(time)
    if cut is None:
        cut = _quantile(time)
    span = f"the interactions are dated from {iso(time.min())} to {iso(time.max())}"
    if not time.min() < cut <= time.max():
        side = "before" if cut <= time.min() else "at or after"
        raise UsageError(
            f"there are no interactions {side} the cut {iso(cut)}", expected=span, where="cut"
        )
    if test_end is not None and test_end <= cut:
        raise UsageError(f"test_end {iso(test_end)} is not after the cut {iso(cut)}", expected=span)
    if test_end is not None and not np.any((time >= cut) & (time < test_end)):
        raise UsageError(
            f"there are no interactions from the cut {iso(cut)} to test_end {iso(test_end)}",
            expected=span,
        )
    stage, valid_cut = _before(time, cut, valid_cut)
    late = np.zeros(len(time), bool) if test_end is None else time >= test_end
    stage[(time >= cut) & ~late] = TEST
    left_out = {"interactions: after the test window": int(late.sum())}
    return Assignment("temporal", stage, cut, valid_cut, test_end, left_out)


def last_out(user: np.ndarray, item: np.ndarray, time: np.ndarray | None) -> Assignment:
    """Per user, the product taken up last is the test, and the one before it the validation.

    Products count from their first interaction; equal times, and all events without times, go by
    row. For a user with 3 products or more: training is all before the first interaction with the
    one before the last, validation from there to the first interaction with the last, which is the
    test; what follows that is left out. Other users' events are training. So no user's own future
    is learnt from; that of other users is, which only a temporal split forbids.

    ``user``, ``item`` int [events]. Raises DataError where no user has 3 products.
    """
    rows = np.arange(len(user))
    order = np.lexsort((rows, rows if time is None else time, user))
    ordered_user = user[order]
    key = ordered_user.astype(np.int64) * (int(item.max()) + 1) + item[order]
    first = np.zeros(len(user), bool)
    first[np.unique(key, return_index=True)[1]] = True
    total = np.bincount(ordered_user, weights=first, minlength=int(user.max()) + 1).astype(np.int64)
    if total.max() < 3:
        raise DataError(
            "no user has 3 products, so none can be left out",
            expected="users with 3 distinct products or more",
            mend="split by date or at random",
        )
    start = np.concatenate([[0], np.cumsum(total)[:-1]])
    place = np.cumsum(first) - start[ordered_user]  # how many products the user had taken up
    left = total[ordered_user] - place
    split = total[ordered_user] >= 3
    stage = np.full(len(user), TRAIN)
    stage[split & (left == 1)] = VALID
    stage[split & (left == 0) & first] = TEST
    stage[split & (left == 0) & ~first] = LEFT_OUT
    assigned = np.empty_like(stage)
    assigned[order] = stage
    left_out = {"interactions: after the user's test item": int((stage == LEFT_OUT).sum())}
    return Assignment("last-out", assigned, left_out=left_out)


def at_random(
    user: np.ndarray, item: np.ndarray, valid_share: float, test_share: float, seed: int
) -> Assignment:
    """Shares of the distinct pairs, rounded; all events of a pair go together.

    Raises DataError where a share comes to nothing.
    """
    pairs, pair_of = np.unique(_keys(user, item), return_inverse=True)
    n_test, n_valid = round(test_share * len(pairs)), round(valid_share * len(pairs))
    if n_valid == 0 or (n_test == 0 and test_share > 0) or n_valid + n_test >= len(pairs):
        raise DataError(
            f"{len(pairs)} distinct pairs are too few to split",
            expected=f"enough for shares of {valid_share} and {test_share}",
        )
    stage = np.full(len(pairs), TRAIN)
    order = np.random.default_rng(seed).permutation(len(pairs))
    stage[order[:n_test]] = TEST
    stage[order[n_test : n_test + n_valid]] = VALID
    return Assignment("random", stage[pair_of])


def given_dated(time: np.ndarray | None, cut: int, valid_cut: int | None) -> Assignment:
    """Training and validation before ``cut``; what follows is left out: the test is given.

    Raises DataError without times or without events before the cut, UsageError for ``valid_cut``.
    """
    time = _dated(time)
    if time.min() >= cut:
        raise DataError(
            f"there are no interactions before the given split's date {iso(cut)}",
            expected="interactions to learn from",
            where=f"the interactions are dated from {iso(time.min())} to {iso(time.max())}",
        )
    stage, valid_cut = _before(time, cut, valid_cut)
    late = {"interactions: from the cut on": int((stage == LEFT_OUT).sum())}
    return Assignment("given", stage, cut, valid_cut, left_out=late)


def given_undated(
    user: np.ndarray, item: np.ndarray, is_test: np.ndarray, valid_share: float, seed: int
) -> Assignment:
    """Events of the given test pairs (``is_test`` bool [events]) are left out of training.

    Validation is a random ``valid_share`` of each user's distinct training pairs, as
    ``share_of_each`` draws it. Raises DataError where none is left.
    """
    stage = np.full(len(user), LEFT_OUT)
    rest = np.flatnonzero(~is_test)
    if len(rest) == 0:
        raise DataError(
            "every interaction is a test pair of the given split",
            expected="interactions to learn from",
        )
    _, first, pair_of = np.unique(
        _keys(user[rest], item[rest]), return_index=True, return_inverse=True
    )
    owner = user[rest][first]  # sorted, for keys sort by user first
    drawn = share_of_each(owner, valid_share, np.random.default_rng(seed))
    pair_stage = np.where(drawn, VALID, TRAIN)
    if not np.any(pair_stage == VALID):
        raise DataError(
            f"{len(owner)} training pairs are too few to validate on a share of {valid_share}",
            mend="raise valid_share",
        )
    stage[rest] = pair_stage[pair_of]
    left_out = {"interactions: pairs of the given test": int(is_test.sum())}
    return Assignment("given", stage, left_out=left_out)


def share_of_each(owner: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """bool [pairs]: a random ``share`` of the pairs of each user; ``owner`` int [pairs], sorted.

    Of n pairs floor(n * share + u) with u uniform in [0, 1), so the share is right in the mean for
    users of few pairs too; a user keeps one pair at least.
    """
    order = np.lexsort((rng.random(len(owner)), owner))
    count = np.bincount(owner)
    wanted = np.floor(count * share + rng.random(len(count))).astype(np.int64)
    wanted = np.minimum(wanted, np.maximum(count - 1, 0))
    start = np.cumsum(count) - count
    drawn = np.zeros(len(owner), bool)
    drawn[order] = np.arange(len(owner)) - start[owner] < wanted[owner]
    return drawn


def iso(seconds: int) -> str:
    """``2015-06-01`` or ``2015-06-01T12:30:00Z`` of seconds since 1970 UTC."""
    text = datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return text.removesuffix("T00:00:00Z")


def _dated(time: np.ndarray | None) -> np.ndarray:
    if time is None:
        raise DataError(
            "the interactions have no timestamps, so they cannot be split by date",
            expected="a column timestamp",
            mend="use --split random, or --split last-out where rows are in order of time",
        )
    return time


def _quantile(time: np.ndarray) -> int:
    # "higher": a time that occurs, so that no part is empty unless all its times are equal
    if np.all(time[1:] >= time[:-1]):
        return int(time[int(np.ceil(QUANTILE * (len(time) - 1)))])
    return int(np.quantile(time, QUANTILE, method="higher"))


def _before(time: np.ndarray, cut: int, valid_cut: int | None) -> tuple[np.ndarray, int]:
    """Stages with training and validation before ``cut`` and the rest LEFT_OUT."""
    before = time[time < cut]
    if valid_cut is None:
        valid_cut = _quantile(before)
    if valid_cut >= cut:
        raise UsageError(
            f"valid_cut {iso(valid_cut)} is not before the cut {iso(cut)}", where="valid_cut"
        )
    if not before.min() < valid_cut <= before.max():
        part = "train on" if valid_cut <= before.min() else "validate on"
        raise UsageError(
            f"valid_cut {iso(valid_cut)} leaves no interactions to {part}",
            expected=f"a date after {iso(before.min())} and not after {iso(before.max())}",
            where="valid_cut",
            mend="set valid_cut, or another cut",
        )
    stage = np.full(len(time), LEFT_OUT)
    stage[time < cut] = VALID
    stage[time < valid_cut] = TRAIN
    return stage, valid_cut


def _keys(user: np.ndarray, item: np.ndarray) -> np.ndarray:
    return user.astype(np.int64) * (int(item.max()) + 1) + item
