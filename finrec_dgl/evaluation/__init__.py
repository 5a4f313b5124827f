"""How good a ranking is: metrics over every candidate, with intervals and paired tests."""

from finrec_dgl.evaluation.evaluate import Evaluation, evaluate, evaluate_groups, window_ndcg
from finrec_dgl.evaluation.metrics import METRICS, ranking_metrics
from finrec_dgl.evaluation.ranking import UNRANKED, Ranking, rank_targets
from finrec_dgl.evaluation.scores import Scorer, Vectors
from finrec_dgl.evaluation.significance import Comparison, compare, holm

__all__ = [
    "METRICS",
    "UNRANKED",
    "Comparison",
    "Evaluation",
    "Ranking",
    "Scorer",
    "Vectors",
    "compare",
    "evaluate",
    "evaluate_groups",
    "holm",
    "rank_targets",
    "ranking_metrics",
    "window_ndcg",
]
