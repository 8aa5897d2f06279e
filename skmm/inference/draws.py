"""Random draws: new rows, and completions of rows given what is observed of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm.inference.expectations import predictive
from skmm.inference.nodes import rows_per_pass
from skmm.inference.points import assemble, at_random


@torch.no_grad()
def draw_rows(network: Any, z: Tensor, device: torch.device) -> Tensor:
    """Draw new rows at latent points (n, n_components) from the likelihood, (n, n_features)."""
    draws = []
    for part in z.split(rows_per_pass(1, network.width)):
        draws.append(torch.cat([d.sample() for d in network.decode(part.to(device))], dim=-1).cpu())
    return torch.cat(draws)


@torch.no_grad()
def draw_paths(network: Any, n: int, n_steps: int, device: torch.device) -> Tensor:
    """Draw new sequences: completions of sequences of which nothing is known, (n * n_steps, n_features)."""
    sizes = tuple(likelihood.n_features for likelihood in network.likelihoods)
    values = torch.zeros(n * n_steps, sum(sizes))
    table = Blocks.from_joint(values, torch.zeros_like(values, dtype=torch.bool), sizes)
    blocks = SequenceBlocks.from_table(table, torch.full((n,), n_steps))
    return draw_completions(network, blocks, 1, device)[0]


@torch.no_grad()
def draw_completions(network: Any, blocks: Any, n_draws: int, device: torch.device) -> Tensor:
    """Draw every entry given the observed ones, jointly within a row, (n_draws, n, n_features).

    Observed entries are drawn anew, as another measurement of the same row would come out; who completes
    a table keeps what was observed.
    """
    draws = []
    for piece in at_random(network, blocks, device, n_draws):
        values = [distribution.sample() for distribution in predictive(network, piece)]
        draws.append((piece.position, torch.cat(values, dim=-1)))
    return assemble(draws)
