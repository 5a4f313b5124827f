"""Past tasks of a data set: worlds as of earlier dates, or with pairs hidden, and what to find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.base.units import DAY
from finrec_dgl.dataset.kcore import k_core
from finrec_dgl.dataset.snapshot import Pairs, Snapshot, without_nodes, without_pairs
from finrec_dgl.dataset.splits import share_of_each
from finrec_dgl.dataset.store import Dataset

GROUPS = ("all", "warm", "cold")
"""Whom an evaluation is about, where nodes are held out."""

FEWEST_USERS = 10
"""A window with fewer users who take something up says too little."""


@dataclass(frozen=True, eq=False)
class Window:
    """One period [``start``, ``end``), in seconds since 1970 UTC (None: not by date).

    ``snapshot``: the world as of ``start``; ``targets``: the candidates that users took up in the
    period and did not hold before; ``candidates`` bool [I]: what may be recommended.
    """

    start: int | None
    end: int | None
    snapshot: Snapshot
    targets: Pairs
    candidates: np.ndarray


def horizon(dataset: Dataset) -> int:
    """Seconds that the task looks ahead: the test's length, else the validation's.

    Raises DataError where the split is not by date.
    """
    if dataset.cut is None or dataset.valid_cut is None:
        raise DataError(
            "earlier windows need a split by date, and this one is "
            f"{dataset.manifest['split']['kind']}",
            expected="timestamps, and a split that is temporal or given with its date",
            where=str(dataset.path),
        )
    if dataset.test_end is not None:
        return dataset.test_end - dataset.cut
    return dataset.cut - dataset.valid_cut


def starts(
    dataset: Dataset, end: int, count: int, step: float = 0.0, warm_up: float = 0.0
) -> list[int]:
    """At most ``count`` starts of windows before ``end``, latest first, in seconds since 1970 UTC.

    They lie ``step`` days apart, and at least ``warm_up`` days after the first interaction; a step
    of 0 is the larger of a sixth of the horizon and what spreads ``count`` windows over the time
    there is. Each is moved on to the next day on which something happened, so that where times are
    known only to a period, a window begins with one. Raises ConfigError for values out of range.
    """
    problems = [] if count >= 1 else [f"count is {count}, expected at least 1"]
    for name, value in (("step", step), ("warm_up", warm_up)):
        problems += [] if value >= 0 else [f"{name} is {value}, expected at least 0"]
    refuse(problems, where="windows")
    length = horizon(dataset)
    days = _days(_times(dataset)) * DAY
    first = int(days[0] + warm_up * DAY) if len(days) else end
    apart = step * DAY or max(length / 6, (end - first) / (count + 1))
    found: list[int] = []
    for number in range(1, count + 1):
        place = int(np.searchsorted(days, end - number * apart))
        start = int(days[place]) if place < len(days) else end
        if first <= start < (found[-1] if found else end):
            found.append(start)
    return found


def window(dataset: Dataset, start: int, end: int, candidates: np.ndarray) -> Window:
    """The window [``start``, ``end``) with the targets that the test would have there.

    Where the data set is of a k-core or a given split, the test asks for users who held something
    and for items that somebody held, so the window does; of a k-core, these are also all that may
    be recommended. Else any user and candidate counts. What is held out has no past, and as nobody
    is asked for it, it is no candidate: for validation before it begins, for the test at all times.
    Raises DataError where the window reaches over the cut.
    """
    snapshot = dataset.as_of(start)
    new = dataset.window(start, end)
    side = dataset.cold_side
    if side is not None:
        early = dataset.valid_cut is not None and end <= dataset.valid_cut
        hidden = dataset.cold("valid" if early else "test")
        snapshot = without_nodes(snapshot, side, hidden)
    if side == "item":
        candidates = candidates & ~hidden
    if side == "user":
        new = new.where(~hidden[new.user])
    return Window(start, end, snapshot, *_asked(dataset, snapshot, new, candidates))


def _asked(
    dataset: Dataset, snapshot: Snapshot, new: Pairs, candidates: np.ndarray
) -> tuple[Pairs, np.ndarray]:
    """The targets among ``new`` that the test would have in the world ``snapshot``, and the
    candidates there."""
    core, given = _kind(dataset)
    sold = np.bincount(snapshot.pairs.item, minlength=dataset.n_items) > 0
    if core:
        candidates = candidates & sold
    kept = candidates[new.item]
    if core or given:
        kept &= sold[new.item]
        kept &= np.bincount(snapshot.pairs.user, minlength=dataset.n_users)[new.user] > 0
    return new.where(kept), candidates


def windows(
    dataset: Dataset, end: int, count: int, step: float = 0.0, warm_up: float = 0.0
) -> list[Window]:
    """The windows of ``starts``, each as long as the horizon but never over ``end``.

    Those with fewer than ``FEWEST_USERS`` users to predict are left out. Nothing that is dated from
    ``end`` on is in any of them. Raises DataError where the split is not by date, or ``end`` is
    after the cut.
    """
    return list(each_window(dataset, end, count, step, warm_up))


def each_window(
    dataset: Dataset, end: int, count: int, step: float = 0.0, warm_up: float = 0.0
) -> Iterator[Window]:
    """The same as ``windows``, one at a time: of a large graph not all fit into memory."""
    length = horizon(dataset)
    early = dataset.valid_cut is not None and end <= dataset.valid_cut
    candidates = dataset.candidates("valid" if early else "test")
    for start in starts(dataset, end, count, step, warm_up):
        one = window(dataset, start, min(start + length, end), candidates)
        if _count(one.targets.user) >= FEWEST_USERS:
            yield one
        del one  # its graph must not be held while the next one is made


def hidden_windows(
    dataset: Dataset, snapshot: Snapshot, count: int, seed: int, core: int = 0
) -> list[Window]:
    """``count`` worlds that are ``snapshot`` with pairs hidden, which are the targets.

    For what is not split by date, and for dated histories too short for ``windows``. Hidden is what
    the split would hide of what may be learned from:
    - of a random split each user's ``test_share`` of the pairs, of a given one without dates the
      ``valid_share`` (the test's share is nothing to learn from), drawn anew for each window;
    - else the product last taken up, as ``last-out`` does; in window number n that which is n
      products before it (who has fewer begins again at the last), and all of the user's that
      follows. Without times, one at random.
    With ``core`` nothing is hidden or a candidate but what is in the ``core``-core of ``snapshot``:
    where a k-core of all pairs was published, the test's among them, a product of few pairs is one
    that the test asks for, and so it is here.
    A user keeps one pair at least. Candidates and targets are as ``window`` has them; validation's
    but for the snapshot "fit". Windows with fewer than ``FEWEST_USERS`` users are left out. All in
    them is of ``snapshot``: nothing that it does not know is hidden, asked for or left.
    """
    split = "test" if snapshot is dataset.snapshot("fit") else "valid"
    candidates = dataset.candidates(split)
    if dataset.cold_side == "item":
        candidates = candidates & ~dataset.cold(split)
    inside = np.ones(len(snapshot.pairs), bool)
    if core:
        inside = k_core(snapshot.pairs.user, snapshot.pairs.item, core)
        sold = np.bincount(snapshot.pairs.item[inside], minlength=dataset.n_items) > 0
        candidates = candidates & sold
    found = []
    for number in range(count):
        rng = np.random.default_rng((seed, number, 1))
        gone, asked = (one & inside for one in _hidden(dataset, snapshot, number, rng))
        world = without_pairs(snapshot, gone)
        targets, allowed = _asked(dataset, world, snapshot.pairs.where(asked), candidates)
        found.append(Window(None, None, world, targets, allowed))
    return [one for one in found if _count(one.targets.user) >= FEWEST_USERS]


def _hidden(
    dataset: Dataset, snapshot: Snapshot, number: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """bool [E] each: the pairs that leave the world, and those of them that are asked for."""
    owner, options = snapshot.pairs.user, dataset.manifest["options"]["split"]
    kind = dataset.manifest["split"]["kind"]
    if kind in ("random", "given") and dataset.cut is None:
        share = options["test_share"] if kind == "random" else 0.0
        drawn = share_of_each(owner, share or options["valid_share"], rng)
        return drawn, drawn
    when = np.zeros(len(owner), np.int64) if snapshot.last is None else snapshot.last
    # of equal times the order is drawn: that of the numbers would favour some products
    order = np.lexsort((rng.random(len(owner)), when, owner))
    count = np.bincount(owner)
    after = np.empty(len(owner), np.int64)
    after[order] = np.cumsum(count)[owner] - 1 - np.arange(len(owner))
    back = number if snapshot.last is not None else 0
    place = (back % np.maximum(count - 1, 1))[owner]
    several = count[owner] > 1
    return several & (after <= place), several & (after == place)


def validation_windows(dataset: Dataset, count: int = 1, group: str = "all") -> list[Window]:
    """What models are tuned on: the validation part, and at most ``count`` - 1 windows before it.

    The earlier ones begin half a horizon before each other, and end where validation begins. Where
    the split is not by date there is the validation part alone. ``group``: as ``group_targets``
    takes it, of the validation part alone. Raises DataError where there is nothing to tune on.
    """
    candidates, asked = group_targets(dataset, "valid", group)
    targets = dataset.targets("valid")
    if not asked.any():
        raise DataError(
            "validation has no targets: there is nothing to tune on",
            expected="at least one user with a new interaction in it",
            mend="choose another cut when the dataset is made",
        )
    targets = targets.where(asked)
    train = dataset.snapshot("train")
    valid = Window(dataset.valid_cut, dataset.cut, train, targets, candidates)
    if count <= 1 or dataset.valid_cut is None or group != "all":
        return [valid]
    step = horizon(dataset) / DAY / 2
    return [valid, *windows(dataset, dataset.valid_cut, count - 1, step)]


def group_targets(dataset: Dataset, split: str, group: str) -> tuple[np.ndarray, np.ndarray]:
    """The candidates of ``group`` in ``split``, bool [I], and which targets are its, bool [T].

    ``all``; or ``warm`` or ``cold`` where nodes are held out: candidates and targets are then the
    items of the group alone, or, where users are held out, its users' targets. Raises UsageError
    for another group, DataError where no nodes are held out.
    """
    candidates, targets = dataset.candidates(split), dataset.targets(split)
    if group == "all":
        return candidates, np.ones(len(targets), bool)
    problems = choice("group", group, GROUPS)
    if problems:
        raise UsageError(problems[0])
    inside = dataset.cold(split) == (group == "cold")
    if dataset.cold_side == "user":
        return candidates, inside[targets.user]
    return candidates & inside, inside[targets.item]


def _days(times: np.ndarray) -> np.ndarray:
    """The days on which something happened, rising; by counting, since there are few of them."""
    day = times // DAY
    first = int(day.min()) if len(day) else 0
    return np.flatnonzero(np.bincount(day - first)) + first


def _count(nodes: np.ndarray) -> int:
    """How many different nodes there are."""
    return int(np.count_nonzero(np.bincount(nodes)))


def _kind(dataset: Dataset) -> tuple[bool, bool]:
    """Whether the data set is a k-core, and whether its split was given."""
    core = dataset.manifest["options"].get("k_core", 0) > 0
    return core, dataset.manifest["split"]["kind"] == "given"


def _times(dataset: Dataset) -> np.ndarray:
    times = dataset.interactions.time
    return np.zeros(0, np.int64) if times is None else times
