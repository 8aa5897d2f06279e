"""Log-likelihood of the observed entries of sequences, by a particle filter."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm.inference.importance import WIDENING, shares
from skmm.inference.nodes import PathNodes, folded, row_shift, shifted
from skmm.inference.points import sequence_passes


@torch.no_grad()
def particle_bound(network: Any, blocks: SequenceBlocks, device: torch.device, *, n_draws: int) -> Tensor:
    r"""Lower bound of the log-likelihood of each sequence's observed entries, in standardised units, (n,).

    .. math:: \sum_t \log \frac1K \sum_k \frac{p(x_t|z_t^k, h_t^k)\,p(z_t^k|h_t^k)}{r(z_t^k|h_t^k, x_t)}

    where, after each step, particles are drawn anew in proportion to their weights (systematically). The
    estimate of the likelihood is unbiased, so that its logarithm is a lower bound on average. As for tables,
    particles are proposed by the filtering posterior, widened, and in part by the prior; the points are
    fixed, and each sequence has its own. Steps with nothing observed change nothing but the particles.

    References
    ----------
    .. [1] Maddison et al. (2017), "Filtering Variational Objectives", eq. 5.
    .. [2] Owen and Zhou (2000), "Safe and Effective Importance Sampling", sec. 3.
    """
    found = torch.zeros(blocks.n_rows)
    for rows, index, _ in sequence_passes(network, blocks.trimmed(), n_draws, device, min_steps=1):
        found[index] = _filter(network, rows, n_draws).float().cpu()
    return found


def _filter(network: Any, rows: Blocks, n_draws: int) -> Tensor:
    """Bound of each sequence of a pass, (n,)."""
    n, device = rows.n_rows, rows.joint.device
    n_posterior, n_prior = shares(n_draws)
    n_draws = n_posterior + n_prior
    nodes = PathNodes(n_draws, network.n_components, balanced=False)
    shift = row_shift(rows, network.n_components + 1)
    state = network.transition.initial(n_draws * n)
    total = torch.zeros(n, dtype=torch.float64, device=device)
    for t, said in enumerate(network.evidence(rows, smooth=False).unbind()):
        now = rows.steps(slice(t, t + 1))
        noise, part, _ = (node[:, :, 0].to(device) for node in nodes.take(1))
        level = folded(part[0] + shift[:, -1])  # (n,)
        noise = shifted(noise, shift[:, :-1])[None]  # (1, K, n, k)
        part = part.expand(-1, n)[None]
        h, prior, posterior = network.densities(state, said, n_draws)
        proposal = posterior.widened(WIDENING)
        z = torch.cat(
            [proposal.at(noise, part)[0, :n_posterior], prior.at(noise, part)[0, n_posterior:]]
        )  # (K, n, k)
        state = network.advance(state, z, h, now.joint[:, 0], now.joint_observed[:, 0])
        told = now.present[:, :, 0].any(0)  # (n,)
        if not told.any():
            continue
        log_p, log_q = prior.log_prob(z[None])[0], proposal.log_prob(z[None])[0]
        log_r = torch.logaddexp(log_q + math.log(n_posterior / n_draws), log_p + math.log(n_prior / n_draws))
        distributions = network.decode(torch.cat([z, h], dim=-1)[:, :, None])
        log_weights = network.log_likelihood(distributions, now).sum(0) + log_p - log_r  # (K, n)
        log_weights = log_weights.double()
        total += torch.where(told, torch.logsumexp(log_weights, 0) - math.log(n_draws), 0.0)
        chosen = _systematic(log_weights.softmax(0), level)
        chosen = torch.where(told, chosen, torch.arange(n_draws, device=device)[:, None])
        state = tuple(_take(part, chosen) for part in state)
    return total


def _systematic(weights: Tensor, level: Tensor) -> Tensor:
    """Index (K, n) in which each particle stands as often as its weight (K, n) says, but for rounding.

    Parameters
    ----------
    level : Tensor of shape (n,)
        Uniform on (0, 1): shifts the points at which the weights are looked up.
    """
    n_draws = len(weights)
    points = (torch.arange(n_draws, device=weights.device)[:, None] + level) / n_draws
    upper = weights.cumsum(0).T.contiguous()
    return torch.searchsorted(upper, points.T.contiguous()).clamp_max(n_draws - 1).T


def _take(state: Tensor, chosen: Tensor) -> Tensor:
    """Choose among the particles' states (n_draws * n, n_hidden)."""
    stacked = state.unflatten(0, chosen.shape)
    return stacked.gather(0, chosen[..., None].expand(-1, -1, stacked.shape[-1])).flatten(0, 1)
