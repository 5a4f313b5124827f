"""One self-contained HTML page about a comparison, from plain data: no scripts, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from finrec_dgl.benchmarking.charts import Bar, bars, legend, lines

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --paper: #fff; --card: #f5f7f9;
  --rule: #d9dfe5; --accent: #1763b6; --bar: #a9b4c0; --s0: #1763b6; --s1: #b4540a; --s2: #3d7a2a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #9ba7b3; --paper: #14181d;
  --card: #1d232a; --rule: #333c46; --accent: #6fb1ff; --bar: #566270; --s0: #6fb1ff;
  --s1: #f0a05a; --s2: #8fd07a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2.5rem 1.25rem 4rem; color: var(--ink);
  background: var(--paper); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0 0 .4rem; font-size: 1.9rem; line-height: 1.2; }
h2 { margin: 3rem 0 .5rem; font-size: 1.3rem; }
h3 { margin: 1.5rem 0 .4rem; font-size: 1rem; }
p { margin: .4rem 0 1rem; max-width: 46rem; }
.lead { font-size: 1.1rem; } .soft, figcaption { color: var(--soft); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr));
  gap: .75rem; margin: 1rem 0; padding: 0; }
.facts div { padding: .7rem .9rem; background: var(--card); border-radius: .5rem; }
.facts dt { color: var(--soft); font-size: .85rem; }
.facts dd { margin: 0; font-size: 1.2rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin-bottom: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .45rem .7rem; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.compared td, .compared tbody th, .id { white-space: nowrap; }
.compared th, .compared td { padding: .4rem .5rem; }
tr.strong td, tr.strong th { font-weight: 700; }
td ul { margin: 0; padding-left: 1.1rem; } .id { color: var(--soft); font-size: .85em; }
ul.plain { columns: 18rem; margin: .3rem 0 1rem; padding-left: 1.2rem; }
figure { margin: 1rem 0 1.5rem; max-width: 52rem; }
figcaption { font-size: .9rem; max-width: 46rem; }
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--ink); font-size: 13px; }
.chart .tick, .chart .axis { fill: var(--soft); font-size: 12px; }
.chart .strong { font-weight: 700; } .chart .figure { font-variant-numeric: tabular-nums; }
.grid { stroke: var(--rule); } .bar { fill: var(--bar); } .bar.strong { fill: var(--accent); }
.whisker { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.line { fill: none; stroke-width: 2.5; stroke: var(--s0); stroke-linejoin: round; }
.line.s1 { stroke: var(--s1); stroke-dasharray: 7 4; }
.line.s2 { stroke: var(--s2); stroke-dasharray: 2 4; stroke-linecap: round; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: .5rem 0; padding: 0;
  list-style: none; font-size: .92rem; } .key { width: 28px; height: 8px; margin-right: .5rem; }
pre { overflow-x: auto; padding: .8rem 1rem; background: var(--card); border-radius: .5rem;
  font-size: .88rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .88rem; }
"""


@dataclass(frozen=True)
class Suggestion:
    """One recommended product, with its reasons as sentences."""

    rank: int
    title: str
    item_id: str
    score: float
    reasons: Sequence[str]


@dataclass(frozen=True)
class Customer:
    """One customer: what is known of them, and what is recommended to them."""

    user_id: str
    holdings: Sequence[str]
    known: Sequence[str]
    suggestions: Sequence[Suggestion]


@dataclass(frozen=True)
class Page:
    """What the page tells.

    ``lead``: the outcome in a sentence or two; ``facts``: label and value of what the data looks
    like; ``popularity``: the share of all holdings that the n most held products have, for n from
    1; ``headers`` and ``rows``: the comparison as a table, ``strong`` its row to look at; ``bars``:
    the same as a chart; ``notes``: below it; ``curves``: model -> (epoch, loss of the
    training); ``commands``: what to try next.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    popularity: Sequence[float]
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: str
    bars: Sequence[Bar]
    notes: Sequence[str]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    customer: Customer
    commands: Sequence[str]
    footer: str


def render(page: Page) -> str:
    """The page as an HTML document; every text of ``page`` is escaped."""
    sections = (
        _comparison(page),
        _customer(page.customer),
        _training(page),
        _data(page),
        _section("Go on", f"<pre>{escape(chr(10).join(page.commands))}</pre>"),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{escape(page.title)}</h1>\n<p class="lead">{escape(page.lead)}</p>\n'
        f"{''.join(sections)}<footer>{escape(page.footer)}</footer>\n</body>\n</html>\n"
    )


def _section(heading: str, body: str) -> str:
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>\n"


def _comparison(page: Page) -> str:
    chart = bars("NDCG@10 on test with 95% intervals", page.bars, "NDCG@10 on test")
    body = (
        f"<figure>{chart}<figcaption>Bars: mean over customers; lines: its 95% interval. "
        "Every candidate product is ranked, less what the customer holds.</figcaption></figure>"
    )
    rows = []
    for cells in page.rows:
        kind = ' class="strong"' if cells[0] == page.strong else ""
        figures = "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells[1:])
        rows.append(f'<tr{kind}><th scope="row">{escape(cells[0])}</th>{figures}</tr>')
    first, *others = page.headers
    head = f'<th scope="col">{escape(first)}</th>' + "".join(
        f'<th scope="col" class="number">{escape(one)}</th>' for one in others
    )
    body += (
        f'<div class="scroll"><table class="compared"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    return _section("How well each model ranks", body + _notes(page.notes))


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="soft">{escape(note)}</p>' for note in notes)


def _customer(customer: Customer) -> str:
    rows = "".join(
        f'<tr><td class="number">{one.rank}</td><td>{escape(one.title)} '
        f'<span class="id">{escape(one.item_id)}</span></td>'
        f'<td class="number">{one.score:.3f}</td><td>{_list(one.reasons)}</td></tr>'
        for one in customer.suggestions
    )
    known = "".join(f"<p>{escape(one)}</p>" for one in customer.known)
    body = (
        f"<h3>What is known</h3>{known}{_list(customer.holdings, 'plain')}"
        "<h3>What the hybrid recommends</h3>"
        '<div class="scroll"><table><thead><tr><th scope="col" class="number">rank</th>'
        '<th scope="col">product</th><th scope="col" class="number">score</th>'
        f'<th scope="col">because</th></tr></thead><tbody>{rows}</tbody></table></div>'
        '<p class="soft">The number after a reason is how far the score falls when that piece of '
        "evidence is taken away.</p>"
    )
    return _section(f"One customer: {customer.user_id}", body)


def _list(texts: Sequence[str], kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<ul{attribute}>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def _training(page: Page) -> str:
    chart = lines("Loss by epoch", page.curves, "epoch", "loss")
    body = (
        f"{legend(list(page.curves))}<figure>{chart}<figcaption>How well the new purchases of "
        "earlier windows were foretold from what was known before each: the logarithm of the "
        "likelihood, negated, in the training on everything before the test. The weights are the "
        "mean over the last epochs.</figcaption></figure>"
    )
    return _section("Training", body)


def _data(page: Page) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in page.facts
    )
    curve = [(0.0, 0.0), *((float(n), share) for n, share in enumerate(page.popularity, 1))]
    even = [(0.0, 0.0), (float(max(len(page.popularity), 1)), 1.0)]
    series = {"most held first": curve, "if all were held alike": even}
    chart = lines(
        "Share of holdings by product", series, "products", "share of holdings", from_zero=True
    )
    body = (
        f'<dl class="facts">{facts}</dl>{legend(list(series))}<figure>{chart}<figcaption>How '
        "far holdings gather on few products: the further above the straight line, the stronger "
        "popularity is as a recommender.</figcaption></figure>"
    )
    return _section("What the data looks like", body)
