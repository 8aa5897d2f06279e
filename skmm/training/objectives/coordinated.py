"""Objectives that bring what is inferred from each modality alone close to what is inferred from all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm.training.objectives.contract import (
    Terms,
    checked_n_draws,
    checked_weight,
    elbo_terms,
    log_likelihood,
    refuse_sequences,
)
from skmm.training.objectives.subsets import Copies, all_and_each


@dataclass(frozen=True)
class Inferred:
    """What is inferred from all that a row has, and from each of its modalities alone, in one batch.

    Parameters
    ----------
    joint : Latent
        Of the n rows.
    alone : Latent
        Of ``n_alone`` copies of rows, one for each modality that a row has.
    row, modality : int64 Tensor of shape (n_alone,)
        Which row each copies, and what it holds of it.
    present : bool Tensor of shape (n_modalities, n)
    """

    joint: Any
    alone: Any
    row: Tensor
    modality: Tensor
    present: Tensor

    @classmethod
    def by(cls, objective: Any, network: Any, inputs: Blocks) -> Inferred:
        """Infer, with as many draws as the objective has."""
        refuse_sequences(objective, inputs)
        n, present = inputs.n_rows, inputs.row_present
        members = all_and_each(len(present), present.device)
        copies = Copies.of(inputs, members, torch.cat([torch.ones_like(present[:1]), present]))
        latent = network.infer(copies.inputs, checked_n_draws(objective))
        every, single = slice(0, n), slice(n, None)
        return cls(
            latent.rows(every), latent.rows(single), copies.row[single], copies.subset[single] - 1, present
        )

    @property
    def n_present(self) -> Tensor:
        """Number of modalities of each row, (n,)."""
        return self.present.sum(0).to(self.joint.z.dtype)

    def sums(self, values: Tensor) -> Tensor:
        """Sum numbers (..., n_alone) over the modalities of each row, (..., n)."""
        totals = values.new_zeros(*values.shape[:-1], self.present.shape[1])
        return totals.index_add(-1, self.row, values)

    def from_each(self) -> Tensor:
        """Sum over m of KL(q(z|x_O) || q(z|x_m)), (n,)."""
        towards = replace(self.joint.rows(self.row), prior=self.alone.posterior)
        return self.sums(towards.kl)

    def joint_log_likelihood(self, network: Any, targets: Blocks) -> Tensor:
        """Expected log-likelihood of each modality given all, (n_modalities, n)."""
        return log_likelihood(network, self.joint, targets).mean(1)

    def own_log_likelihood(self, network: Any, targets: Blocks) -> Tensor:
        """Expected log-likelihood of each modality given itself alone, (n_modalities, n); 0 where absent."""
        found = log_likelihood(network, self.alone, targets.rows(self.row)).mean(1)  # (M, n_alone)
        own = self.modality == torch.arange(len(found), device=found.device)[:, None]
        return self.sums(torch.where(own, found, 0.0))


class JMVAE(BaseEstimator):
    r"""Evidence lower bound, less what separates the posterior from those given each modality alone.

    .. math:: E_{q(z|x_O)} \Big[\sum_m w_m \log p(x_m|z)\Big] - \beta\, KL(q(z|x_O) \| p(z))
              - \alpha \sum_{m \in O} KL(q(z|x_O) \| q(z|x_m))

    where a row holds the modalities O (JMVAE-kl in the paper). A bound of the log-likelihood where
    :math:`\beta = 1`; for ``alpha=0``, the ELBO. In the paper, the joint posterior has an encoder of its own,
    as with ``fusion="joint"``.

    Parameters
    ----------
    alpha : float, default=0.1
        Weight of the divergences from the posteriors given one modality.
    n_draws : int, default=1
        Latent points per row.

    References
    ----------
    .. [1] Suzuki, Nakayama and Matsuo (2016), "Joint Multimodal Learning with Deep Generative Models",
       where it is called JMVAE-kl.
    """

    importance_weighted = False

    def __init__(self, alpha: float = 0.1, *, n_draws: int = 1) -> None:
        self.alpha = alpha
        self.n_draws = n_draws

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        alpha = checked_weight(self, "alpha")
        inferred = Inferred.by(self, network, inputs)
        reconstruction = inferred.joint_log_likelihood(network, targets).mean(1)
        terms = elbo_terms(network, reconstruction, inferred.joint.kl.mean(), beta)
        apart = alpha * inferred.from_each().mean()
        assert terms.bound is not None
        return replace(terms, loss=terms.loss + apart, bound=terms.bound - apart.detach())


class TELBO(BaseEstimator):
    r"""Evidence lower bounds of all modalities together and of each by itself, added up.

    .. math:: E_{q(z|x_O)} \Big[\sum_m w_m \log p(x_m|z)\Big] - \beta\, KL(q(z|x_O) \| p(z))
              + \sum_{m \in O} \Big(\gamma\, w_m E_{q(z|x_m)} [\log p(x_m|z)]
              - \beta\, KL(q(z|x_m) \| p(z))\Big)

    where a row holds the modalities O. With two modalities, these are the three bounds of the name. A sum of
    bounds of different things, and so not a bound. The paper's weights :math:`\lambda` of the modalities are
    ``modality_weights``; its joint posterior has an encoder of its own, as with ``fusion="joint"``.

    Parameters
    ----------
    gamma : float, default=1.0
        Weight of the likelihood of a modality given itself.
    n_draws : int, default=1
        Latent points per row and subset.

    References
    ----------
    .. [1] Vedantam et al. (2018), "Generative Models of Visually Grounded Imagination".
    """

    importance_weighted = False

    def __init__(self, gamma: float = 1.0, *, n_draws: int = 1) -> None:
        self.gamma = gamma
        self.n_draws = n_draws

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        gamma = checked_weight(self, "gamma")
        inferred = Inferred.by(self, network, inputs)
        reconstruction = inferred.joint_log_likelihood(network, targets).mean(1)
        joint = elbo_terms(network, reconstruction, inferred.joint.kl.mean(), beta, bound=False)
        own = inferred.own_log_likelihood(network, targets).mean(1)
        each = beta * inferred.sums(inferred.alone.kl).mean() - gamma * network.modality_weights @ own
        return replace(joint, loss=joint.loss + each)


class VAEVAE(BaseEstimator):
    r"""Bounds of each modality by itself, and of the others given it, averaged.

    .. math:: \frac{1}{|O|} \sum_{m \in O} \Big(
              w_m E_{q(z|x_m)} [\log p(x_m|z)] - \beta\, KL(q(z|x_m) \| p(z))
              + E_{q(z|x_O)} \Big[\sum_{l \ne m} w_l \log p(x_l|z)\Big]
              - \beta\, KL(q(z|x_O) \| q(z|x_m)) \Big)

    where a row holds the modalities O. The summand estimates :math:`\log p(x_m) + \log p(x_{O \setminus m} |
    x_m)`, with the posterior given one modality as the prior of the rest. It equals the log-likelihood where
    all posteriors are exact and :math:`\beta = 1`, but is not a bound: a posterior that says too much makes a
    conditional density that is not the model's. With two modalities, the paper's sum is twice this. A row
    that has one of them adds its evidence lower bound, as there.

    Parameters
    ----------
    n_draws : int, default=1
        Latent points per row and subset.

    References
    ----------
    .. [1] Wu and Goodman (2019), "Multimodal Generative Models for Compositional Representation Learning".
    .. [2] Kutuzova et al. (2021), "Multimodal Variational Autoencoders for Semi-Supervised Learning: In
       Defense of Product-of-Experts", where it is called VAEVAE.
    """

    importance_weighted = False

    def __init__(self, n_draws: int = 1) -> None:
        self.n_draws = n_draws

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        inferred = Inferred.by(self, network, inputs)
        present, n_present = inferred.present, inferred.n_present.clamp_min(1)
        joint = inferred.joint_log_likelihood(network, targets)
        own = inferred.own_log_likelihood(network, targets)
        # of each modality, how many others there are to be given; where there is nothing, all are given that
        others = torch.where(present.any(0), inferred.n_present - present.to(joint.dtype), 1.0)
        scored = ((others * joint + own) / n_present).mean(1)
        apart = inferred.from_each() + inferred.sums(inferred.alone.kl)
        return replace(
            elbo_terms(network, joint.mean(1), inferred.joint.kl.mean(), beta, bound=False),
            loss=beta * (apart / n_present).mean() - network.modality_weights @ scored,
        )


class MVTCAE(BaseEstimator):
    r"""Total correlation that the latent variables explain, from below.

    .. math:: \frac{|O| - \alpha}{|O|} E_{q(z|x_O)} \Big[\sum_m w_m \log p(x_m|z)\Big]
              - \beta \Big((1 - \alpha)\, KL(q(z|x_O) \| p(z))
              + \frac{\alpha}{|O|} \sum_{m \in O} KL(q(z|x_O) \| q(z|x_m)) \Big)

    where a row holds the modalities O. The two divergences are those of the variational information
    bottleneck and of the conditional one, which asks that each modality alone should tell what all tell. Not
    a bound of the log-likelihood; for ``alpha=0``, the ELBO. The paper's product of experts leaves the prior
    out; here ``fusion="poe"`` has it in all posteriors.

    Parameters
    ----------
    alpha : float, default=0.1
        Share of the conditional bottleneck, from 0 to 1.
    n_draws : int, default=1
        Latent points per row.

    References
    ----------
    .. [1] Hwang et al. (2021), "Multi-View Representation Learning via Total Correlation Objective".
    """

    importance_weighted = False

    def __init__(self, alpha: float = 0.1, *, n_draws: int = 1) -> None:
        self.alpha = alpha
        self.n_draws = n_draws

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        alpha = checked_weight(self, "alpha", at_most=1.0)
        inferred = Inferred.by(self, network, inputs)
        share = torch.where(inferred.n_present > 0, alpha / inferred.n_present.clamp_min(1), 0.0)  # (n,)
        joint = inferred.joint_log_likelihood(network, targets)
        scored = ((1 - share) * joint).mean(1)
        apart = ((1 - alpha) * inferred.joint.kl + share * inferred.from_each()).mean()
        return replace(
            elbo_terms(network, joint.mean(1), inferred.joint.kl.mean(), beta, bound=False),
            loss=beta * apart - network.modality_weights @ scored,
        )


class CRMVAE(BaseEstimator):
    r"""Divergences from the prior and from every posterior given one modality, with their reconstructions.

    .. math:: \frac{1}{|O| + 1} \Big( E_{q(z|x_O)} \Big[\sum_m w_m \log p(x_m|z)\Big]
              + \sum_{m \in O} w_m E_{q(z|x_m)} [\log p(x_m|z)]
              - \beta \sum_{m \in O} KL(q(z|x_O) \| q(z|x_m)) - \beta\, KL(q(z|x_O) \| p(z)) \Big)

    where a row holds the modalities O. The second term teaches each modality's posterior to be decoded, which
    coordination alone does not. Not a bound. The paper's product of experts leaves the prior out; here
    ``fusion="poe"`` has it in all posteriors.

    Parameters
    ----------
    n_draws : int, default=1
        Latent points per row and subset.

    References
    ----------
    .. [1] Suzuki and Matsuo (2023), "Mitigating the Limitations of Multimodal VAEs with Coordination-Based
       Approach", with :math:`\pi_m = 1 / (|O| + 1)`.
    """

    importance_weighted = False

    def __init__(self, n_draws: int = 1) -> None:
        self.n_draws = n_draws

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        inferred = Inferred.by(self, network, inputs)
        share = 1.0 / (inferred.n_present + 1)  # (n,)
        joint = inferred.joint_log_likelihood(network, targets)
        own = inferred.own_log_likelihood(network, targets)
        scored = (share * (joint + own)).mean(1)
        apart = (share * (inferred.from_each() + inferred.joint.kl)).mean()
        return replace(
            elbo_terms(network, joint.mean(1), inferred.joint.kl.mean(), beta, bound=False),
            loss=beta * apart - network.modality_weights @ scored,
        )
