"""Pictures of fitted estimators and their completions, in the manner of scikit-learn's displays."""

from skmm.plotting.calibration import CalibrationDisplay
from skmm.plotting.completion import CompletionErrorDisplay
from skmm.plotting.distributions import CompletionDistributionDisplay
from skmm.plotting.information import ModalityInformationDisplay
from skmm.plotting.latent_map import LatentMapDisplay
from skmm.plotting.training import TrainingDisplay
from skmm.plotting.traversal import LatentTraversalDisplay

__all__ = [
    "CalibrationDisplay",
    "CompletionDistributionDisplay",
    "CompletionErrorDisplay",
    "LatentMapDisplay",
    "LatentTraversalDisplay",
    "ModalityInformationDisplay",
    "TrainingDisplay",
]
