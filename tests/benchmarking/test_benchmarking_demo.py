"""The demonstration's choice of a customer: by what is known, the same each time."""

from dataclasses import replace

import numpy as np
from snapshots import make_snapshot

from finrec_dgl.benchmarking.demo import FEW_HOLDINGS, typical_user


def test_the_customer_has_a_handful_of_holdings_text_and_the_most_ties():
    """Catches reasons shown for a customer who holds nothing, or hundreds of products."""
    snapshot = make_snapshot(users=60, items=25, edges=300)
    user = typical_user(snapshot)
    assert typical_user(snapshot) == user
    holdings = np.bincount(snapshot.pairs.user, minlength=60)
    ties = np.bincount(snapshot.ties["family"][0], minlength=60)
    fits = (holdings >= FEW_HOLDINGS[0]) & (holdings < FEW_HOLDINGS[1])
    fits &= snapshot.user_text_from > 0
    assert fits[user]
    assert ties[user] == ties[fits].max()


def test_there_is_a_customer_in_any_world():
    """Catches a demonstration that cannot end because nobody fits."""
    tiny = make_snapshot(users=3, items=2, edges=2)
    assert np.isin(typical_user(tiny), tiny.pairs.user)
    assert typical_user(replace(tiny, ties={})) >= 0
