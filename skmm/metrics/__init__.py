"""Measures of completions and predictions: hide what is known and complete it, or compare sequences."""

from skmm.metrics.completion import completion_error
from skmm.metrics.concordance import concordance_correlation
from skmm.metrics.scoring_rules import category_score, crps
from skmm.metrics.uncertainty import completion_crps, interval_coverage

__all__ = [
    "category_score",
    "completion_crps",
    "completion_error",
    "concordance_correlation",
    "crps",
    "interval_coverage",
]
