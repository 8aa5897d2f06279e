"""Log-likelihood of the observed entries, by importance sampling."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.expectations import checked_posterior, passes
from skmm.inference.nodes import SEED, fixed_nodes, own_noise

WIDENING = (
    1.3  # encoders that were trained to be narrow still give a proposal with heavier tails than the target
)
PRIOR_SHARE = 1 / 8


@torch.no_grad()
def importance_sampled_bound(network: Any, blocks: Blocks, device: torch.device, *, n_draws: int) -> Tensor:
    r"""Lower bound of the log-likelihood of each row's observed entries, in standardised units, (n,).

    .. math:: \log \frac1K \sum_k \frac{p(x_{obs}|z_k)\,p(z_k)}{r(z_k)}, \quad
              r = \tfrac78\,\tilde q(z|x_{obs}) + \tfrac18\,p(z)

    The proposal is the posterior, widened, with a share of the prior that bounds the weights; a fixed part
    of the points comes from each. The points are fixed, but each row has its own: errors of rows then
    cancel in their mean, which is a lower bound too, up to chance of the order of one over the root of the
    number of rows. A row with nothing observed has log-likelihood 0.

    References
    ----------
    .. [1] Burda, Grosse and Salakhutdinov (2016), "Importance Weighted Autoencoders", eq. 8.
    .. [2] Owen and Zhou (2000), "Safe and Effective Importance Sampling", sec. 3.
    """
    n_prior = math.ceil(n_draws * PRIOR_SHARE)
    n_posterior = max(1, n_draws - n_prior)
    nodes = fixed_nodes(n_posterior, network.n_components, device, balanced=False)
    with isolated_rng(SEED, device):
        from_prior = network.prior.rsample(n_prior)[:, None]  # (K', 1, k)
    total = n_posterior + n_prior
    bounds = []
    for rows in passes(network, blocks, total, device):
        proposal = checked_posterior(network, rows).widened(WIDENING)
        z = torch.cat(
            [proposal.at(own_noise(nodes, rows), nodes.part), from_prior.expand(-1, rows.n_rows, -1)]
        )
        log_p = network.prior.log_prob(z)
        log_r = torch.logaddexp(
            proposal.log_prob(z) + math.log(n_posterior / total), log_p + math.log(n_prior / total)
        )
        log_likelihood = network.log_likelihood(network.decode(z), rows).sum(0)  # (K, n)
        bound = torch.logsumexp(log_likelihood + log_p - log_r, dim=0) - math.log(total)
        bounds.append(torch.where(rows.present.any(0), bound, 0.0).cpu())
    return torch.cat(bounds)
