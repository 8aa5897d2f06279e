"""The Jensen-Shannon objective: posteriors given one modality each, and a prior that moves with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from sklearn.base import BaseEstimator

from skmm._blocks.blocks import Blocks
from skmm.networks.vae import Latent
from skmm.training.objectives.contract import (
    Terms,
    checked_n_draws,
    elbo_terms,
    log_likelihood,
    refuse_sequences,
)
from skmm.training.objectives.subsets import each_alone


class MMJSD(BaseEstimator):
    r"""Likelihood given each modality alone, less the Jensen-Shannon divergence of posteriors and prior.

    .. math:: \frac{1}{|O|} \sum_{m \in O} E_{q(z|x_m)} \Big[\sum_l w_l \log p(x_l|z)\Big]
              - \frac{\beta}{|O| + 1} \Big( \sum_{m \in O} KL(q(z|x_m) \| f) + KL(p(z) \| f) \Big), \quad
              f \propto \Big( p(z) \prod_{m \in O} q(z|x_m) \Big)^{1 / (|O| + 1)}

    where a row holds the modalities O. The geometric mean f is called the dynamic prior: it has a closed form
    where posteriors are of an exponential family; Laplace densities are averaged as fusion rules multiply
    them. As the prior moves with the data, this is not a bound. All modalities are decoded from each, and the
    posterior given several is not trained itself: the paper's is the mixture of those given one, as with
    ``fusion="moe"``.

    Parameters
    ----------
    n_draws : int, default=1
        Latent points per row and modality.

    References
    ----------
    .. [1] Sutter, Daunhawer and Vogt (2020), "Multimodal Generative Learning Utilizing Jensen-Shannon-
       Divergence", with the geometric mean as its dynamic prior.
    """

    importance_weighted = False

    def __init__(self, n_draws: int = 1) -> None:
        self.n_draws = n_draws

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        refuse_sequences(self, inputs)
        copies = each_alone(inputs)
        latent = network.infer(copies.inputs, checked_n_draws(self))
        share = copies.share(inputs.n_rows)
        scored = log_likelihood(network, latent, targets.rows(copies.row)).mean(1) @ share  # (M,)

        alone, prior = self._only_part(latent.posterior), network.natural_prior()
        n_copies = torch.bincount(copies.row, minlength=inputs.n_rows)
        weight = 1.0 / (n_copies.to(inputs.joint.dtype) + 1)  # (n,)
        total = prior.expand(inputs.n_rows, -1).index_add(0, copies.row, alone.natural[0])
        mean = network.family.posterior((weight[:, None] * total)[None], None)
        from_mean = replace(latent, posterior=alone, prior=mean.rows(copies.row)).kl @ weight[copies.row]
        start = network.family.posterior(prior.expand_as(total)[None], None)
        of_prior = Latent(start.rsample(self.n_draws), start, mean).kl @ weight
        return elbo_terms(network, scored, (from_mean + of_prior) / inputs.n_rows, beta, bound=False)

    def _only_part(self, posterior: Any) -> Any:
        """The part with a weight of posteriors given one modality; ValueError where several differ."""
        part = posterior.heaviest_part()
        if not torch.allclose(posterior.stddev, part.stddev, rtol=1e-3):
            raise ValueError(
                f"objective={self!r} takes geometric means of posteriors given one modality, which must be "
                "of one part, but these are mixtures; use prior='normal', or another objective."
            )
        return part
