"""Deep generative models of multimodal data with missing modalities, for people who think in scikit-learn."""

from skmm._blocks.conversions import resample_steps, to_long, to_ragged, to_windows
from skmm._blocks.corruption import hide, keep
from skmm._blocks.stacking import stack_modalities
from skmm.impute import MultimodalImputer
from skmm.multiple_imputation.estimator import PooledEstimator
from skmm.scorers import CompletionScorer, completion_scorer
from skmm.training.objectives import ELBO, IWAE, UnimodalELBO
from skmm.training.schedules import ConstantSchedule, CyclicalSchedule, LinearSchedule, SigmoidSchedule
from skmm.vae import MultimodalVAE
from skmm.vrnn import MultimodalVRNN

__version__ = "0.1.0"

__all__ = [
    "ELBO",
    "IWAE",
    "CompletionScorer",
    "ConstantSchedule",
    "CyclicalSchedule",
    "LinearSchedule",
    "MultimodalImputer",
    "MultimodalVAE",
    "MultimodalVRNN",
    "PooledEstimator",
    "SigmoidSchedule",
    "UnimodalELBO",
    "completion_scorer",
    "hide",
    "keep",
    "resample_steps",
    "stack_modalities",
    "to_long",
    "to_ragged",
    "to_windows",
]
