"""Multiple imputation: a model fitted on several completions of a table, and pooled by Rubin's rules."""

from skmm.multiple_imputation.estimator import PooledEstimator
from skmm.multiple_imputation.rubin import PooledResult, pool

__all__ = ["PooledEstimator", "PooledResult", "pool"]
