"""The charts: what is drawn is as long, as far and as high as the numbers say."""

import re
from xml.etree import ElementTree

import pytest

from finrec_dgl.benchmarking.charts import COLOURS, WIDTH, Bar, bars, lines, nice_ticks, picture


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0.1737), (0.1315, 0.187), (0, 1), (0, 0), (0.5, 0.5), (0, 317), (-1, 2e6)]
)
def test_ticks_are_even_and_hold_all(low, high):
    """Catches a bar that leaves the chart, or an axis without steps."""
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 9
    steps = {round(after - before, 9) for before, after in zip(ticks, ticks[1:], strict=False)}
    assert len(steps) == 1


def test_bars_are_as_long_as_their_values():
    """Catches an axis that does not begin at 0, which makes small differences look large."""
    text = bars("x", [Bar("a", 0.1, 0.08, 0.12), Bar("b", 0.2, 0.17, 0.23, True)], "axis")
    short, long = (float(one) for one in re.findall(r'<rect[^>]* width="([\d.]+)"', text))
    assert long == pytest.approx(2 * short, abs=0.2)
    ends = [float(one) for one in re.findall(r'whisker" d="M([\d.]+)', text)]
    left = 130
    assert (ends[0] - left) / short == pytest.approx(0.8, abs=0.01)


def test_lines_stay_within_the_chart_and_rise_with_their_values():
    """Catches points outside the picture, or an axis turned upside down."""
    text = lines("x", {"one": [(0, 0.1), (5, 0.3), (9, 0.2)]}, "x", "y")
    points = re.search(r'points="([^"]+)"', text).group(1).split()
    places = [tuple(map(float, point.split(","))) for point in points]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert places[1][1] < places[2][1] < places[0][1]
    assert all(0 <= x <= WIDTH and 0 <= y <= 300 for x, y in places)


def test_a_picture_is_a_whole_file_with_its_charts_below_each_other():
    """Catches a file that no viewer opens, charts over each other, or lines without a colour."""
    series = {f"series <{number}>": [(0, 0.1), (1, 0.2)] for number in range(len(COLOURS))}
    panels = [
        ("first", bars("a & b", [Bar("x" * 40, 0.1, 0.05, 0.15)], "axis"), ()),
        ("second", lines("c", series, "x", "y"), tuple(series)),
    ]
    root = ElementTree.fromstring(picture("both", panels))
    space = "{http://www.w3.org/2000/svg}"
    charts = root.findall(f"{space}svg")
    places = [(float(one.get("y")), float(one.get("height"))) for one in charts]
    assert places[0][0] + places[0][1] < places[1][0]
    assert places[1][0] + places[1][1] < float(root.get("height"))
    style = root.find(f"{space}style").text
    for number, _ in enumerate(series):
        assert f".s{number}{{stroke:" in style
    label = next(one for one in charts[0].iter(f"{space}text") if one.text == "x" * 40)
    assert float(label.get("x")) > 7 * 40
