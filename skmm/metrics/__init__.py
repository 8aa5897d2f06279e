"""Measures of completions, of new rows and of latent variables."""

from skmm.metrics.coherence import cross_coherence, joint_coherence
from skmm.metrics.completion import completion_error
from skmm.metrics.concordance import concordance_correlation
from skmm.metrics.conditional import conditional_log_likelihood
from skmm.metrics.frechet import frechet_distance, sample_distance
from skmm.metrics.latent import clustering_accuracy, latent_clustering_accuracy, linear_probe
from skmm.metrics.scoring_rules import category_score, crps
from skmm.metrics.uncertainty import completion_crps, interval_coverage

__all__ = [
    "category_score",
    "clustering_accuracy",
    "completion_crps",
    "completion_error",
    "concordance_correlation",
    "conditional_log_likelihood",
    "cross_coherence",
    "crps",
    "frechet_distance",
    "interval_coverage",
    "joint_coherence",
    "latent_clustering_accuracy",
    "linear_probe",
    "sample_distance",
]
