"""The table: what people read of the figures."""

import pytest

from finrec_dgl.benchmarking import Row, Skipped, Table
from finrec_dgl.benchmarking.demo import verdict
from finrec_dgl.evaluation import Comparison


def make_row(model, ndcg, p_value=None):
    names = ("ndcg@10", "hit@10", "precision@10", "recall@10", "mrr")
    comparison = None
    if p_value is not None:
        comparison = Comparison(
            "ndcg@10", 9, ndcg, 0.2, ndcg - 0.2, (ndcg - 0.25, ndcg - 0.15), p_value, 99
        )
    metrics = dict.fromkeys(names, ndcg)
    intervals = dict.fromkeys(names, (ndcg - 0.05, ndcg + 0.05))
    return Row(model, metrics, intervals, (ndcg,), ({},), (), 1.0, comparison, p_value)


def make_table(*rows, skipped=()):
    return Table("bank", "0" * 64, 9, 20, rows, skipped)


def test_cells_fit_their_headers():
    """Catches a figure in the column of another, or a p of 0."""
    first, second = make_row("popularity", 0.1, 0.0001), make_row("hybrid", 0.2)
    cells = dict(zip(make_table(first).headers, first.cells(), strict=True))
    assert cells["NDCG@10"] == "0.1000"
    assert cells["95% interval"] == "0.0500 to 0.1500"
    assert cells["difference to hybrid"] == "-0.1000 (-0.1500 to -0.0500)"
    assert cells["p (Holm)"] == "< 0.001"
    assert second.cells()[-2:] == ("", "")


def test_markdown_survives_any_text():
    """Catches a name that opens another column or a tag."""
    table = make_table(make_row("hybrid", 0.2), skipped=(Skipped("text", "no | text\n<b>"),))
    assert "no \\| text &lt;b>" in table.to_markdown()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [("popularity", 0.1, 0.001), ("hybrid", 0.2, None)],
            ["hybrid ranks best", "100.0% above"],
        ),
        ([("itemknn", 0.19, 0.4), ("hybrid", 0.2, None)], ["may be chance"]),
        ([("itemknn", 0.3, 0.01), ("hybrid", 0.2, None)], ["Here itemknn ranks best", "0.2000"]),
    ],
)
def test_the_verdict_is_that_of_the_figures(rows, words):
    """Catches a demonstration that praises the hybrid whatever came out."""
    told = verdict(make_table(*(make_row(*row) for row in rows)))
    for word in words:
        assert word in told
    if rows[0][1] > 0.2:
        assert "hybrid ranks best" not in told
