"""The mixture of the posteriors as their own prior."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sklearn.base import BaseEstimator

from skmm._blocks.blocks import Blocks
from skmm.training.objectives.contract import (
    Terms,
    checked_choice,
    checked_n_draws,
    elbo_terms,
    log_likelihood,
    refuse_one_part,
    refuse_sequences,
)
from skmm.training.objectives.subsets import each_alone, restricted


class MMVM(BaseEstimator):
    r"""Likelihood given each modality alone, less the divergence from the mixture of all posteriors.

    .. math:: \frac{1}{|O|} \sum_{m \in O} \Big( E_{q(z|x_m)} \Big[\sum_{l \in T_m} w_l \log p(x_l|z)\Big]
              - \beta\, KL\Big(q(z|x_m) \,\Big\|\, \frac{1}{|O|} \sum_{l \in O} q(z|x_l)\Big) \Big)

    where a row holds the modalities O. Posteriors are drawn towards one another and not towards a point:
    each may keep what it knows of its modality, but what they have in common comes to lie in the same place,
    and the others are completed from there. As this prior moves with the data, it is not a bound. The mixture
    is the posterior of ``fusion="moe"``, of which each part is the prior times one expert. The paper has the
    sum, which is :math:`|O|` times as large.

    Parameters
    ----------
    n_draws : int, default=1
        Latent points per row and modality; the divergence is estimated from them.
    targets : {"observed", "own"}, default="observed"
        What is scored given one modality, :math:`T_m`: everything that was observed, so that each is trained
        to complete the others, or the modality itself, as in the paper. The mixture alone brings posteriors
        of the same row together slowly: linear views were not completed after 60 epochs.

    References
    ----------
    .. [1] Sutter et al. (2024), "Unity by Diversity: Improved Representation Learning in Multimodal VAEs".
    """

    importance_weighted = False

    def __init__(self, n_draws: int = 1, *, targets: str = "observed") -> None:
        self.n_draws = n_draws
        self.targets = targets

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        refuse_sequences(self, inputs)
        own = checked_choice(self, "targets", ("own", "observed")) == "own"
        mixture = network.posterior(inputs)
        refuse_one_part(self, network, mixture, "draws posteriors towards their mixture")
        copies = each_alone(inputs)
        latent = network.infer(copies.inputs, checked_n_draws(self))
        scored = targets.rows(copies.row)
        if own:
            # of rows with nothing to see, all that there is: it is the prior that learns from them
            scored = restricted(scored, copies.members | ~copies.members.any(0))
        share = copies.share(inputs.n_rows)
        reconstruction = log_likelihood(network, latent, scored).mean(1) @ share  # (M,)
        divergence = replace(latent, prior=mixture.rows(copies.row)).kl @ share
        return elbo_terms(network, reconstruction, divergence, beta, bound=False)
