"""Log-likelihood of the observed entries, by importance sampling."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm.inference.importance import fixed_points
from skmm.inference.points import assemble, at_nodes, checked_posterior, passes


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
    bounds = []
    for rows, _ in passes(network, blocks, n_draws, device):
        posterior = checked_posterior(network, rows)
        log_weights = fixed_points(network, rows, posterior, n_draws, device).log_weights
        bound = torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))
        bounds.append(torch.where(rows.present.any(0), bound, 0.0).cpu())
    return torch.cat(bounds)


@torch.no_grad()
def predictive_log_likelihood(
    network: Any, blocks: Blocks, wanted: Tensor, device: torch.device, *, n_draws: int
) -> Tensor:
    r"""Log-density of some entries given the observed ones, in standardised units, (n,).

    .. math:: \log \sum_k w_k\, p(x_{wanted}|z_k), \quad z_k \sim q(z|x_{obs} \setminus x_{wanted})

    Parameters
    ----------
    network : Module
    blocks : Blocks
    wanted : bool Tensor of shape (n_features,)
        Features to predict, hidden from the posterior; where a row lacks them, they count nothing.
    device : device
    n_draws : int
        Number of points, K.
    """
    hidden = Blocks.from_joint(blocks.joint, blocks.joint_observed & ~wanted, blocks.sizes)
    truth = Blocks.from_joint(blocks.joint, blocks.joint_observed & wanted, blocks.sizes)
    found = []
    for piece in at_nodes(network, hidden, device, n_draws, balanced=False):
        targets = truth.rows(piece.position).to(device)
        log_likelihood = network.log_likelihood(network.decode(piece.code), targets).sum(0).double()
        if piece.weights is None:
            log_weights = log_likelihood.new_tensor(-math.log(len(log_likelihood)))
        else:
            log_weights = piece.weights.log()
        found.append((piece.position, (log_weights + log_likelihood).logsumexp(0)[:, None]))
    return assemble(found)[:, 0]
