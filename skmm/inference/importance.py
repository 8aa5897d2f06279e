"""Weighted latent points: what the observed entries leave of a proposal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.nodes import SEED, fixed_nodes, own_noise

WIDENING = 1.3  # a posterior that was trained to be narrow still gives a proposal with tails heavy enough
PRIOR_SHARE = 1 / 8
# points that an expectation stands on: given a wide modality, one of 64 would outweigh all others; 16 points
# completed digits in three modalities no better than 8, and a small table a little worse
MIN_EFFECTIVE = 8.0
N_HALVINGS = 30


@dataclass(frozen=True)
class WeightedPoints:
    """Points of a proposal, and the logarithms of their weights.

    Parameters
    ----------
    z : Tensor of shape (n_draws, n, n_components)
    log_weights : Tensor of shape (n_draws, n)
        What makes the points those of the exact posterior.
    log_start : Tensor of shape (n_draws, n)
        What makes them those of the network's posterior.
    """

    z: Tensor
    log_weights: Tensor
    log_start: Tensor

    def shares(self) -> Tensor:
        r"""Normalised weights under which enough points count, (n_draws, n).

        The exact weights, :math:`w`, wherever they leave enough; elsewhere :math:`w_0^{1-t} w^t` on the way
        to them from the weights :math:`w_0` of the network's posterior, with the largest t that does. With
        more and more points they become the exact ones.
        """
        needed = min(MIN_EFFECTIVE, len(self.z) / 4)
        # no infinity: nothing of it is not a number
        start, exact = (log.double().clamp_min(-1e30) for log in (self.log_start, self.log_weights))
        low, high = torch.zeros_like(start[0]), torch.ones_like(start[0])
        low = torch.where(_effective(exact.softmax(0)) >= needed, high, low)
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            enough = _effective(torch.lerp(start, exact, middle).softmax(0)) >= needed
            low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
        return torch.lerp(start, exact, low).softmax(0)


def _effective(weights: Tensor) -> Tensor:
    """Effective number of points of normalised weights (n_draws, n): (n,)."""
    return 1 / weights.square().sum(0)


def fixed_points(
    network: Any, rows: Blocks, posterior: Any, n_draws: int, device: torch.device
) -> WeightedPoints:
    """Points and their weights, the same in every call: see :func:`_weighted`.

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
    points = _weighted(network, rows, proposal, proposal.rsample(n_posterior), from_prior)
    chosen = torch.multinomial(points.shares().T, n_draws, replacement=True).T  # (n_draws, n)
    return take(points.z, chosen)


def take(z: Tensor, index: Tensor) -> Tensor:
    """Choose points (n_points, n, n_components) by an index (n_draws, n)."""
    return z.gather(0, index[..., None].expand(-1, -1, z.shape[-1]))


def shares(n_draws: int) -> tuple[int, int]:
    """Points from the posterior and from the prior."""
    n_prior = math.ceil(n_draws * PRIOR_SHARE)
    return max(1, n_draws - n_prior), n_prior


def _weighted(
    network: Any, rows: Blocks, proposal: Any, from_posterior: Tensor, from_prior: Tensor
) -> WeightedPoints:
    r"""Points of a mixed proposal, and their importance weights.

    .. math:: w_k = \frac{p(x_{obs}|z_k)\,p(z_k)}{r(z_k)}, \quad
              r = \frac{K_q}{K}\,\tilde q(z|x_{obs}) + \frac{K_p}{K}\,p(z)

    The proposal is the posterior, widened, with a share of the prior that bounds the weights; a fixed part
    of the points comes from each. The mean weight is an unbiased estimate of the density of the observed
    entries.

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
    return WeightedPoints(z, log_likelihood + log_p - log_r, log_q - log_r)
