"""Whether one scorer is better than another, user by user, and after many such comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from finrec_dgl.base.errors import DataError, UsageError
from finrec_dgl.evaluation.evaluate import Evaluation, mean_interval

FLIPS = 10_000
_CHUNK = 2**22  # signs drawn at a time: 32 MiB of float64


@dataclass(frozen=True)
class Comparison:
    """The paired difference a - b of one metric over the same users.

    ``difference``: the mean of a - b. ``interval``: its 95% interval by the normal approximation
    over the per-user differences, kept within [-1, 1]. ``p_value``: two-sided,
    by the sign-flip permutation test.
    """

    metric: str
    users: int
    mean_a: float
    mean_b: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    flips: int

    def to_mapping(self) -> dict[str, Any]:
        """The same for machines."""
        return {**asdict(self), "interval": list(self.interval)}


def sign_flip_p_value(differences: np.ndarray, *, flips: int = FLIPS, seed: int = 0) -> float:
    """The two-sided p-value of a mean difference of zero; ``differences`` float64 [n].

    Under the null a difference is as likely to have either sign, so the signs of all are flipped at
    random ``flips`` times: p = (1 + |{flips : |sum s_u d_u| >= |sum d_u|}|) / (1 + flips), which is
    never 0 (Phipson and Smyth, SAGMB 9(1), 2010). Memory stays bounded for any number of users.
    """
    if flips < 1:
        raise UsageError(f"flips is {flips}", expected="a whole number of at least 1")
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]  # no flip changes a zero
    if len(values) == 0:
        return 1.0
    total = float(values.sum())
    # sums of the same numbers in another order differ in their last bits and are still ties
    least = abs(total) - 1e-12 * float(np.abs(values).sum())
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(values))
    width = (len(values) + 7) // 8
    extreme = 0
    for start in range(0, flips, rows):
        count = min(rows, flips - start)
        random = np.frombuffer(generator.bytes(count * width), dtype=np.uint8)
        kept = np.unpackbits(random.reshape(count, width), axis=1, count=len(values))
        sums = 2.0 * (kept.astype(np.float64) @ values) - total
        extreme += int(np.count_nonzero(np.abs(sums) >= least))
    return (1 + extreme) / (1 + flips)


def compare(
    a: Evaluation, b: Evaluation, metric: str = "ndcg@10", *, flips: int = FLIPS, seed: int = 0
) -> Comparison:
    """Compare ``a`` with ``b`` on ``metric`` over the users both were evaluated on.

    Raises UsageError where the metric is in neither, and DataError where the two are of different
    splits or users, since only a paired comparison is made.
    """
    for one in (a, b):
        if metric not in one.per_user:
            raise UsageError(
                f"there is no metric '{metric}' in the evaluation",
                expected=", ".join(one.per_user),
            )
    if a.split != b.split or not np.array_equal(a.users, b.users):
        raise DataError(
            f"the evaluations are of different users ({a.split}: {len(a.users)}, "
            f"{b.split}: {len(b.users)})",
            expected="two scorers evaluated on the same split of the same dataset",
        )
    differences = a.per_user[metric] - b.per_user[metric]
    low, high = mean_interval(differences)
    return Comparison(
        metric=metric,
        users=len(differences),
        mean_a=float(a.per_user[metric].mean()),
        mean_b=float(b.per_user[metric].mean()),
        difference=float(differences.mean()),
        interval=(max(-1.0, low), min(1.0, high)),
        p_value=sign_flip_p_value(differences, flips=flips, seed=seed),
        flips=flips,
    )


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The p-values [m] adjusted for m comparisons, in the order given; float64 [m].

    Holm's step-down procedure (Scandinavian Journal of Statistics 6(2), 1979): sorted ascending,
    adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j)). Raises UsageError for a value that
    is not within [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise UsageError("the p-values cannot be used", expected="a list of numbers from 0 to 1")
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, factors * values[order]))
    return adjusted
