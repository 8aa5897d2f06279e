"""Bounds of the likelihood from one posterior of each row, or from each of its parts."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm.training.objectives.contract import (
    Terms,
    checked_choice,
    checked_gradient,
    checked_n_draws,
    divergence,
    elbo_terms,
    log_likelihood,
    log_mean_exp,
    log_ratio,
    refuse_one_part,
    refuse_sequences,
    reweight_points,
)


class ELBO(BaseEstimator):
    r"""Evidence lower bound.

    .. math:: E_{q(z|x)} \Big[\sum_m w_m \log p(x_m|z)\Big] - \beta\, KL(q(z|x) \| p(z))

    A bound of the log-likelihood where :math:`\beta = 1`, and equal to it for the exact posterior.

    Parameters
    ----------
    n_draws : int, default=1
        Latent points per row.
    gradient : {"plain", "stl"}, default="plain"
        "stl" (sticking the landing) leaves out of the gradient a part that is zero on average: near the
        exact posterior the gradient no longer depends on the draws. It gives up the divergence's closed form
        for that, which makes it noisier far from the exact posterior.

    References
    ----------
    .. [1] Kingma and Welling (2014), "Auto-Encoding Variational Bayes", eq. 3.
    .. [2] Higgins et al. (2017), "beta-VAE", eq. 4.
    .. [3] Roeder, Wu and Duvenaud (2017), "Sticking the Landing: Simple, Lower-Variance Gradient Estimators
       for Variational Inference".
    """

    importance_weighted = False

    def __init__(self, n_draws: int = 1, *, gradient: str = "plain") -> None:
        self.n_draws = n_draws
        self.gradient = gradient

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        gradient = checked_gradient(self, weighted=False, inputs=inputs)
        latent = network.infer(inputs, checked_n_draws(self))
        reconstruction = log_likelihood(network, latent, targets).mean((1, 2))
        return elbo_terms(network, reconstruction, divergence(latent, gradient).mean(), beta)


class IWAE(BaseEstimator):
    r"""Importance-weighted evidence lower bound, tighter with every draw.

    It forgives a posterior that covers more than it should, such as several explanations of the same row;
    completions and draws of a model trained with it weight the points of the posterior in turn.

    .. math:: \log \frac1K \sum_k \exp\Big(\sum_m w_m \log p(x_m|z_k)
              + \beta\,(\log p(z_k) - \log q(z_k|x))\Big)

    A bound of the log-likelihood where :math:`\beta = 1`, and equal to it for the exact posterior.

    Parameters
    ----------
    n_draws : int, default=10
        Latent points per row, K.
    gradient : {"plain", "stl", "dreg"}, default="plain"
        "dreg" (doubly reparameterised) has the expectation of "plain", and less noise the more draws there
        are; "stl" leaves a part out whose expectation is zero for a single draw only. Both statements are
        about posteriors of one part: of a mixture, "dreg" neglects how the parts move one another's weights.

    References
    ----------
    .. [1] Burda, Grosse and Salakhutdinov (2016), "Importance Weighted Autoencoders", eq. 8.
    .. [2] Mattei and Frellsen (2019), "MIWAE", eq. 4, for incomplete data.
    .. [3] Tucker et al. (2019), "Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives",
       whose squared weight is :math:`(1 - \beta) \tilde w_k + \beta \tilde w_k^2` where the divergence
       is weighted.
    """

    importance_weighted = True

    def __init__(self, n_draws: int = 10, *, gradient: str = "plain") -> None:
        self.n_draws = n_draws
        self.gradient = gradient

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        gradient = checked_gradient(self, weighted=True, inputs=inputs)
        latent = network.infer(inputs, checked_n_draws(self))
        reconstruction = log_likelihood(network, latent, targets)  # (M, K, n)
        ratio = log_ratio(latent, gradient)
        weighted = torch.tensordot(network.modality_weights, reconstruction, dims=1) + beta * ratio
        if gradient == "dreg":
            reweight_points(latent.z, weighted.softmax(0), beta)
        return Terms(
            loss=-log_mean_exp(weighted).mean(),
            reconstruction=reconstruction.detach().mean((1, 2)),
            kl=-ratio.detach().mean()[None],
            bound=log_mean_exp(reconstruction.sum(0) + ratio).mean().detach(),
        )


class MMVAE(BaseEstimator):
    r"""Bound of a mixture posterior, with as many points drawn of each of its parts.

    Drawing parts at random leaves most experts out of a step. Here every expert draws K points and decodes
    all modalities, so that each learns to complete the others. With the weights
    :math:`w_{mk} = p(x|z_{mk})\, p(z_{mk}) / \sum_{m'} \pi_{m'} q_{m'}(z_{mk}|x)` of the k-th point of the
    m-th part,

    .. math:: \sum_m \pi_m \log \frac1K \sum_k w_{mk} \;\text{(looser)}, \quad
              \log \frac1K \sum_m \pi_m \sum_k w_{mk} \;\text{(tighter)}, \quad
              \sum_m \pi_m \frac1K \sum_k \log w_{mk} \;\text{(elbo)}

    All three are bounds of the log-likelihood where :math:`\beta = 1`, "elbo" the loosest, "tighter" the
    tightest. A row's strata are the modalities that it has. With ``fusion="mopoe"``, they are their subsets.

    Under "tighter", a part may leave to others what it does not cover, and completions and draws weight the
    points of the posterior, as after :class:`skmm.IWAE`. Under the other two every part answers for itself,
    and its points are decoded as they are, as in the paper; on digits in three modalities, weights made
    completions worse.

    Parameters
    ----------
    n_draws : int, default=10
        Latent points per row and part, K.
    bound : {"looser", "tighter", "elbo"}, default="looser"
        "looser" is the paper's: it lets no expert stand aside, since each has a logarithm of its own.
    gradient : {"plain", "stl", "dreg"}, default="plain"
        As of :class:`skmm.IWAE`. "dreg" is the paper's choice, exact in rows that have a single modality.
        "stl" is exact under ``bound="elbo"``.

    References
    ----------
    .. [1] Shi et al. (2019), "Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative
       Models", eq. 3.
    """

    def __init__(self, n_draws: int = 10, *, bound: str = "looser", gradient: str = "plain") -> None:
        self.n_draws = n_draws
        self.bound = bound
        self.gradient = gradient

    @property
    def importance_weighted(self) -> bool:
        """Whether points have to be weighted afterwards."""
        return self.bound == "tighter"

    def __call__(self, network: Any, inputs: Blocks, targets: Blocks, beta: float) -> Terms:
        """Evaluate on a batch."""
        refuse_sequences(self, inputs)
        bound = checked_choice(self, "bound", ("looser", "tighter", "elbo"))
        gradient = checked_gradient(self, weighted=bound != "elbo", inputs=inputs)
        n_draws = checked_n_draws(self)
        posterior = network.posterior(inputs)
        refuse_one_part(self, network, posterior, "draws from every part of a mixture")
        part, row = posterior.log_weights.isfinite().nonzero(as_tuple=True)  # those that count, P of them
        strata = _Strata(part, row, posterior.log_weights)
        latent = network.infer_parts(posterior, part, row, n_draws)
        reconstruction = log_likelihood(network, latent, targets.rows(row))  # (M, K, P)
        ratio = log_ratio(latent, gradient)
        weighted = torch.tensordot(network.modality_weights, reconstruction, dims=1) + beta * ratio
        if gradient == "dreg":
            reweight_points(latent.z, strata.importance(weighted, bound), beta)
        share = strata.log_weight.exp() / targets.n_rows
        return Terms(
            loss=-strata.combined(weighted, bound).mean(),
            reconstruction=(reconstruction.mean(1) @ share).detach(),
            kl=-(ratio.mean(0) @ share).detach()[None],
            bound=strata.combined(reconstruction.sum(0) + ratio, bound).mean().detach(),
        )


class _Strata:
    """Parts of the posteriors of rows, of those alone that have a weight.

    Parameters
    ----------
    part, row : int64 Tensor of shape (n_strata,)
        Which part of which row each is.
    log_weights : Tensor of shape (n_parts, n)
        Logarithm of the weights of all.
    """

    def __init__(self, part: Tensor, row: Tensor, log_weights: Tensor) -> None:
        self.part, self.row = part, row
        self.shape = log_weights.shape
        self.log_weight = log_weights[part, row]

    def combined(self, log_w: Tensor, bound: str) -> Tensor:
        """Combine logarithms of importance weights (n_draws, n_strata) over draws and parts, (n,)."""
        if bound == "tighter":
            return log_mean_exp(self._by_row(log_w).logsumexp(1))
        within = log_mean_exp(log_w) if bound == "looser" else log_w.mean(0)
        return within.new_zeros(self.shape[1]).index_add(0, self.row, self.log_weight.exp() * within)

    def importance(self, log_w: Tensor, bound: str) -> Tensor:
        """Normalised importance weights, (n_draws, n_strata)."""
        if bound == "looser":
            return log_w.softmax(0)
        return self._by_row(log_w).flatten(0, 1).softmax(0).view(-1, *self.shape)[:, self.part, self.row]

    def _by_row(self, log_w: Tensor) -> Tensor:
        """Times their weights, side by side by row, (n_draws, n_parts, n); -inf for parts without weight."""
        spread = log_w.new_full((len(log_w), *self.shape), -torch.inf)
        spread[:, self.part, self.row] = log_w + self.log_weight
        return spread
