"""Deep generative models of multimodal data with missing modalities, for people who think in scikit-learn."""

from skmm._blocks.conversions import resample_steps, to_long, to_ragged, to_windows
from skmm._blocks.corruption import hide, keep
from skmm._blocks.stacking import stack_modalities
from skmm.impute import MultimodalImputer
from skmm.multiple_imputation.estimator import PooledEstimator
from skmm.recipes import recipe
from skmm.scorers import CompletionScorer, completion_scorer
from skmm.supervised.classifier import MultimodalVAEClassifier
from skmm.supervised.regressor import MultimodalVAERegressor
from skmm.training.objectives.bounds import ELBO, IWAE, MMVAE
from skmm.training.objectives.coordinated import CRMVAE, JMVAE, MVTCAE, TELBO, VAEVAE
from skmm.training.objectives.mmjsd import MMJSD
from skmm.training.objectives.mmvm import MMVM
from skmm.training.objectives.subsets import MVAE, PowersetELBO, UnimodalELBO
from skmm.training.schedules import ConstantSchedule, CyclicalSchedule, LinearSchedule, SigmoidSchedule
from skmm.vae import MultimodalVAE
from skmm.vrnn import MultimodalVRNN

__version__ = "0.1.0"

__all__ = [
    "CRMVAE",
    "ELBO",
    "IWAE",
    "JMVAE",
    "MMJSD",
    "MMVAE",
    "MMVM",
    "MVAE",
    "MVTCAE",
    "TELBO",
    "VAEVAE",
    "CompletionScorer",
    "ConstantSchedule",
    "CyclicalSchedule",
    "LinearSchedule",
    "MultimodalImputer",
    "MultimodalVAE",
    "MultimodalVAEClassifier",
    "MultimodalVAERegressor",
    "MultimodalVRNN",
    "PooledEstimator",
    "PowersetELBO",
    "SigmoidSchedule",
    "UnimodalELBO",
    "completion_scorer",
    "hide",
    "keep",
    "recipe",
    "resample_steps",
    "stack_modalities",
    "to_long",
    "to_ragged",
    "to_windows",
]
