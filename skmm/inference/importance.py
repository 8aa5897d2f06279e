"""Weighted latent points: what the observed entries leave of a proposal."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.nodes import SEED, fixed_nodes, own_noise

WIDENING = 1.3  # a posterior that was trained to be narrow still gives a proposal with tails heavy enough
PRIOR_SHARE = 1 / 8


def fixed_points(
    network: Any, rows: Blocks, posterior: Any, n_draws: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Points and logarithms of their weights, the same in every call: see :func:`_weighted`.

    Each row has nodes of its own: errors of rows then cancel in their mean.
    """
    n_posterior, n_prior = shares(n_draws)
    nodes = fixed_nodes(n_posterior, network.n_components, device, balanced=False)
    with isolated_rng(SEED, device):
        from_prior = network.prior.rsample(n_prior)[:, None]  # (K', 1, k)
    proposal = posterior.widened(WIDENING)
    from_posterior = proposal.at(own_noise(nodes, rows), nodes.part)
    return _weighted(network, rows, proposal, from_posterior, from_prior.expand(-1, rows.n_rows, -1))


def resampled_points(network: Any, rows: Blocks, posterior: Any, n_draws: int, n_candidates: int) -> Tensor:
    """Draw latent points given what is observed, by resampling weighted ones, (n_draws, n, n_components).

    References
    ----------
    .. [1] Mattei and Frellsen (2019), "MIWAE: Deep Generative Modelling and Imputation of Incomplete Data
       Sets", sec. 3.2.
    """
    n_posterior, n_prior = shares(n_candidates)
    proposal = posterior.widened(WIDENING)
    from_prior = network.prior.rsample(n_prior * rows.n_rows).unflatten(0, (n_prior, rows.n_rows))
    z, log_weights = _weighted(network, rows, proposal, proposal.rsample(n_posterior), from_prior)
    chosen = torch.multinomial(log_weights.softmax(0).T, n_draws, replacement=True).T  # (n_draws, n)
    return take(z, chosen)


def take(z: Tensor, index: Tensor) -> Tensor:
    """Choose points (n_points, n, n_components) by an index (n_draws, n)."""
    return z.gather(0, index[..., None].expand(-1, -1, z.shape[-1]))


def shares(n_draws: int) -> tuple[int, int]:
    """Points from the posterior and from the prior."""
    n_prior = math.ceil(n_draws * PRIOR_SHARE)
    return max(1, n_draws - n_prior), n_prior


def _weighted(
    network: Any, rows: Blocks, proposal: Any, from_posterior: Tensor, from_prior: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Points of a mixed proposal, and the logarithms of their importance weights.

    .. math:: w_k = \frac{p(x_{obs}|z_k)\,p(z_k)}{r(z_k)}, \quad
              r = \frac{K_q}{K}\,\tilde q(z|x_{obs}) + \frac{K_p}{K}\,p(z)

    The proposal is the posterior, widened, with a share of the prior that bounds the weights; a fixed part
    of the points comes from each. The mean weight is an unbiased estimate of the density of the observed
    entries.

    Returns
    -------
    z : Tensor of shape (n_draws, n, n_components)
    log_weights : Tensor of shape (n_draws, n)

    References
    ----------
    .. [1] Owen and Zhou (2000), "Safe and Effective Importance Sampling", sec. 3.
    """
    n_posterior, n_prior = len(from_posterior), len(from_prior)
    total = n_posterior + n_prior
    z = torch.cat([from_posterior, from_prior])
    log_p = network.prior.log_prob(z)
    log_q = proposal.log_prob(z)
    log_r = torch.logaddexp(log_q + math.log(n_posterior / total), log_p + math.log(n_prior / total))
    log_likelihood = network.log_likelihood(network.decode(z), rows).sum(0)  # (K, n)
    return z, log_likelihood + log_p - log_r
