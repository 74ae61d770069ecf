"""How good a segmentation is: scores of each case, and of many cases together with bootstrap intervals."""

from medtap.metrics.cases import CASE_SCORES, TOLERANCE_MM, TOLERANCE_PX, CaseScores, score_case
from medtap.metrics.pooling import COMPARED, Pooled, bootstrap_weights
from medtap.metrics.summary import summarise

__all__ = [
    "CASE_SCORES",
    "COMPARED",
    "TOLERANCE_MM",
    "TOLERANCE_PX",
    "CaseScores",
    "Pooled",
    "bootstrap_weights",
    "score_case",
    "summarise",
]
