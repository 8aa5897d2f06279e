"""The names of objectives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skmm.training.objectives.bounds import ELBO, IWAE, MMVAE
from skmm.training.objectives.coordinated import CRMVAE, JMVAE, MVTCAE, TELBO, VAEVAE
from skmm.training.objectives.mmjsd import MMJSD
from skmm.training.objectives.mmvm import MMVM
from skmm.training.objectives.subsets import MVAE, PowersetELBO, UnimodalELBO

OBJECTIVES: dict[str, Callable[[], Any]] = {
    "elbo": ELBO,
    "unimodal_elbo": UnimodalELBO,
    "mvae": MVAE,
    "powerset": PowersetELBO,
    "iwae": IWAE,
    "mmvae": MMVAE,
    "mmjsd": MMJSD,
    "mmvm": MMVM,
    "mvtcae": MVTCAE,
    "crmvae": CRMVAE,
    "jmvae": JMVAE,
    "telbo": TELBO,
    "vaevae": VAEVAE,
}
