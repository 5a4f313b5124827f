"""A page whose every text is known, for tests of how it is drawn."""

from finrec_dgl.benchmarking.charts import Bar
from finrec_dgl.benchmarking.page import Customer, Page, Suggestion


def make_page(say=lambda text: text):
    """A whole page; ``say`` turns each text into the one that is put in."""
    suggestions = [
        Suggestion(1, say("Bond fund"), say("P1"), 3.25, [say("held alike"), say("tied to you")]),
        Suggestion(2, say("Cash account"), say("P2"), 1.5, []),
    ]
    return Page(
        title=say("A title"),
        lead=say("What came out."),
        facts=[(say("customers"), say("4,321"))],
        popularity=[0.5, 0.8, 1.0],
        headers=[say("model"), say("NDCG")],
        rows=[[say("popularity"), say("0.1111")], [say("hybrid"), say("0.2222")]],
        strong=say("hybrid"),
        bars=[
            Bar(say("popularity"), 0.1111, 0.09, 0.13),
            Bar(say("hybrid"), 0.2222, 0.2, 0.24, strong=True),
        ],
        notes=[say("A note.")],
        curves={say("the hybrid"): [(0.0, 0.1), (1.0, 0.3), (2.0, 0.2)]},
        customer=Customer(say("C7"), [say("Gold fund")], [say("What is known of C7")], suggestions),
        commands=[say("finrec-dgl inspect it")],
        footer=say("The end"),
    )
