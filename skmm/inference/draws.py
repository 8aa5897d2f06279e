"""Random draws: new rows, and completions of rows given what is observed of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm.inference.expectations import checked_posterior, passes, predictive
from skmm.inference.importance import resampled_points
from skmm.inference.nodes import rows_per_pass

N_CANDIDATES = 512  # points of a row from which its draws are resampled, where points are weighted


@torch.no_grad()
def draw_rows(network: Any, n: int, device: torch.device) -> Tensor:
    """Draw new rows: latent points from the prior, values from the likelihood, (n, n_features)."""
    z = network.prior.rsample(n)
    draws = []
    for part in z.split(rows_per_pass(1, network.width)):
        draws.append(torch.cat([d.sample() for d in network.decode(part.to(device))], dim=-1).cpu())
    return torch.cat(draws)


@torch.no_grad()
def draw_completions(network: Any, blocks: Blocks, n_draws: int, device: torch.device) -> Tensor:
    """Draw every entry given the observed ones, jointly within a row, (n_draws, n, n_features).

    Observed entries are drawn anew, as another measurement of the same row would come out; who completes
    a table keeps what was observed.
    """
    draws = []
    n_points = max(n_draws, N_CANDIDATES) if network.importance_weighted else n_draws
    for rows in passes(network, blocks, n_points, device):
        posterior = checked_posterior(network, rows)
        if network.importance_weighted:
            z = resampled_points(network, rows, posterior, n_draws, n_points)
        else:
            z = posterior.rsample(n_draws)
        values = [distribution.sample() for distribution in predictive(network, rows, z)]
        draws.append(torch.cat(values, dim=-1).cpu())
    return torch.cat(draws, dim=1)
