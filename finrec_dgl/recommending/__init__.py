"""Recommendations of a trained run: for one customer with reasons, for all into a file."""

from finrec_dgl.recommending.reasons import Reason, explain
from finrec_dgl.recommending.topk import Recommendation, recommend, recommend_all

__all__ = ["Reason", "Recommendation", "explain", "recommend", "recommend_all"]
