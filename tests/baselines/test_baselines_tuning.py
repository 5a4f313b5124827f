"""How many trials a model has, and that none is made twice."""

import pytest

from finrec_dgl.base.errors import ConfigError
from finrec_dgl.base.progress import SILENT
from finrec_dgl.baselines import BASELINES
from finrec_dgl.baselines.tuning import best_of, default_options, try_options, within_budget

GRID = [{"a": a, "b": b} for a in range(5) for b in range(4)]


@pytest.mark.parametrize("budget", [1, 2, 7, 19, 20, 50])
def test_the_budget_is_kept_and_holds_the_defaults(budget):
    """Catches a model that gets more trials than another, or loses its defaults to the draw."""
    default = {"a": 3, "b": 1}
    drawn = within_budget(GRID, budget, default, seed=1)
    assert len(drawn) == min(budget, len(GRID))
    assert default in drawn
    assert drawn == [one for one in GRID if one in drawn]
    assert drawn == within_budget(GRID, budget, default, seed=1)


def test_a_draw_without_defaults_is_full_too():
    """Catches one trial too few where the defaults are not in the grid."""
    assert len(within_budget(GRID, 3, {"a": 99})) == 3
    assert within_budget(GRID, None, {}) == GRID
    with pytest.raises(ConfigError, match="budget is 0"):
        within_budget(GRID, 0, {})


@pytest.mark.parametrize("name", BASELINES)
def test_the_defaults_are_one_of_the_combinations(name):
    """Catches a default that is no combination of the grid, so that the draw drops it."""
    assert default_options(BASELINES[name]) in BASELINES[name].options()


def test_what_is_known_is_not_tried_again():
    """Catches tuning that begins anew after a cut."""
    known, asked = {}, []

    def measure(options):
        asked.append(options["a"])
        return -abs(options["a"] - 2)

    options = [{"a": one} for one in range(4)]
    with SILENT.task("", None) as task:
        try_options(options[:2], measure, task, known)
        trials = try_options(options, measure, task, known)
    assert asked == [0, 1, 2, 3]
    assert best_of(trials).options == {"a": 2}
