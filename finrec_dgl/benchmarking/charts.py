"""Small charts as SVG from plain numbers: inline for a page, which styles them, or as a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 720
"""Units of every chart across; it is scaled to the page."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 28, 42
_HEIGHT = 300
_LETTER = 7.2
"""Units that a letter of a label takes, about."""

COLOURS = ("1763b6", "b4540a", "3d7a2a", "8a3ab9", "c2263f", "0f7f83", "6b6b00", "5b6570")
"""Of the series of a chart in a file, which may have as many."""

_STYLE = (
    "svg{background:#fff}text{font:13px system-ui,Arial,sans-serif;fill:#1b1f24}"
    ".tick,.axis{fill:#5b6570;font-size:12px}.strong{font-weight:700}.grid{stroke:#d9dfe5}"
    ".bar{fill:#a9b4c0}.bar.strong{fill:#1763b6}.whisker{stroke:#1b1f24;stroke-width:1.5;fill:none}"
    ".line{fill:none;stroke-width:2.5;stroke-linejoin:round}.title{font-size:15px;font-weight:700}"
    + "".join(
        f".s{n}{{stroke:#{one};stroke-dasharray:{('none', '7 4', '2 4', '9 3 2 3')[n % 4]}}}"
        for n, one in enumerate(COLOURS)
    )
)


@dataclass(frozen=True)
class Bar:
    """One bar: ``value`` with its interval ``low`` to ``high``; ``strong``: the one to look at."""

    label: str
    value: float
    low: float
    high: float
    strong: bool = False


def bars(title: str, rows: Sequence[Bar], axis: str) -> str:
    """Horizontal bars from 0 with whiskers, the value in figures beside each."""
    longest = max((len(row.label) for row in rows), default=0)
    left, right, top, step = max(130, round(_LETTER * longest) + 16), 70, 6, 38
    ticks = nice_ticks(0.0, max((row.high for row in rows), default=1.0))
    bottom = top + step * len(rows)
    across = WIDTH - left - right

    def x(value: float) -> float:
        return left + across * value / ticks[-1]

    parts = [_grid_line(x(tick), top, x(tick), bottom) for tick in ticks]
    parts += [_text(x(tick), bottom + 18, _figure(tick), "middle", "tick") for tick in ticks]
    parts.append(_text(left + across / 2, bottom + 38, axis, "middle", "axis"))
    for number, row in enumerate(rows):
        middle = top + step * (number + 0.5)
        kind = "bar strong" if row.strong else "bar"
        parts.append(
            f'<rect class="{kind}" x="{left}" y="{middle - 11:.1f}" rx="2" '
            f'width="{max(0.0, x(row.value) - left):.1f}" height="22"/>'
        )
        ends = (x(row.low), x(row.high))
        whisker = f"M{ends[0]:.1f} {middle:.1f}H{ends[1]:.1f}" + "".join(
            f"M{end:.1f} {middle - 5:.1f}v10" for end in ends
        )
        parts.append(f'<path class="whisker" d="{whisker}"/>')
        strong = " strong" if row.strong else ""
        parts.append(_text(left - 10, middle + 4.5, row.label, "end", f"label{strong}"))
        parts.append(_text(WIDTH - 4, middle + 4.5, f"{row.value:.4f}", "end", f"figure{strong}"))
    return _svg(title, bottom + 46, parts)


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_axis: str,
    y_axis: str,
    from_zero: bool = False,
) -> str:
    """Lines through the points (x, y) of each series.

    The n-th series has the class ``s<n>``; a legend beside the chart names them (``legend``).
    """
    points = [point for one in series.values() for point in one] or [(0.0, 0.0)]
    highest_x = max(max(x for x, _ in points), 1.0)
    lowest = 0.0 if from_zero else min(y for _, y in points)
    y_ticks = nice_ticks(lowest, max(y for _, y in points))
    x_ticks = [tick for tick in nice_ticks(0.0, highest_x) if tick <= highest_x]
    bottom, across = _HEIGHT - _BOTTOM, WIDTH - _LEFT - _RIGHT

    def place(point: tuple[float, float]) -> tuple[float, float]:
        share = (point[1] - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _LEFT + across * point[0] / highest_x, bottom - (bottom - _TOP) * share

    parts = []
    for tick in y_ticks:
        _, y = place((0.0, tick))
        parts.append(_grid_line(_LEFT, y, WIDTH - _RIGHT, y))
        parts.append(_text(_LEFT - 8, y + 4, _figure(tick), "end", "tick"))
    for tick in x_ticks:
        parts.append(_text(place((tick, 0.0))[0], bottom + 18, _figure(tick), "middle", "tick"))
    parts.append(_text(_LEFT + across / 2, bottom + 37, x_axis, "middle", "axis"))
    parts.append(_text(4, 14, y_axis, "start", "axis"))
    for number, one in enumerate(series.values()):
        path = " ".join("{:.1f},{:.1f}".format(*place(point)) for point in one)
        parts.append(f'<polyline class="line s{number}" points="{path}"/>')
    return _svg(title, _HEIGHT, parts)


def legend(names: Sequence[str]) -> str:
    """The names of the series of ``lines``, each beside a piece of its line."""
    entries = "".join(
        '<li><svg class="key" viewBox="0 0 28 8" aria-hidden="true">'
        f'<path class="line s{number}" d="M0 4h28"/></svg>{escape(name)}</li>'
        for number, name in enumerate(names)
    )
    return f'<ul class="legend">{entries}</ul>'


def picture(title: str, panels: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """Charts below each other as one SVG file: (heading, chart, names of its series, if any)."""
    parts, y = [_text(8, 24, title, "start", "title")], 44.0
    for heading, chart, names in panels:
        parts.append(_text(8, y + 12, heading, "start", "strong"))
        y += 24
        for number, name in enumerate(names):
            parts.append(f'<path class="line s{number}" d="M8 {y + 6:.0f}h28"/>')
            parts.append(_text(44, y + 10, name, "start", "label"))
            y += 18
        height = float(chart.partition(f'viewBox="0 0 {WIDTH} ')[2].partition('"')[0])
        place = f'<svg y="{y + 4:.0f}" width="{WIDTH}" height="{height:.0f}" '
        parts.append(place + chart.removeprefix("<svg "))
        y += height + 24
    name = escape(title, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" width="{WIDTH}" '
        f'height="{y:.0f}" role="img" aria-label="{name}"><style>{_STYLE}</style>'
        f"{''.join(parts)}</svg>\n"
    )


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers in even steps from at or below ``low`` to at or above ``high``."""
    span = high - low if high > low else max(abs(high), 1.0)
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return [round(number * step, 10) for number in range(first, last + 1)]


def _figure(value: float) -> str:
    return f"{value:,.4f}".rstrip("0").rstrip(".")


def _grid_line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="grid" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    name = escape(title, quote=True)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{name}">'
        f"<title>{name}</title>{''.join(parts)}</svg>"
    )
