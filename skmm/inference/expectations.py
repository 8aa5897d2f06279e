"""Expected values, deviations and quantiles of every entry given the observed ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm.inference.nodes import Nodes, fixed_nodes, rows_per_pass


def passes(network: Any, blocks: Blocks, n_draws: int, device: torch.device) -> Iterator[Blocks]:
    """Cut blocks into passes of bounded memory, on the device."""
    step = rows_per_pass(n_draws, network.width)
    for start in range(0, blocks.n_rows, step):
        yield blocks.rows(slice(start, start + step)).to(device)


def checked_posterior(network: Any, blocks: Blocks) -> Any:
    """Posterior of the rows; raise ValueError if the network returns NaN or infinite numbers."""
    posterior = network.posterior(blocks)
    if not (posterior.mean.isfinite().all() and posterior.stddev.isfinite().all()):
        raise ValueError(
            f"No finite posterior: {network.culprit(blocks)}. Look for extreme values in X, and check your "
            "own encoders, if any."
        )
    return posterior


@torch.no_grad()
def latent_moments(network: Any, blocks: Blocks, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the latent variable, both (n, n_components)."""
    moments = []
    for rows in passes(network, blocks, 1, device):
        posterior = checked_posterior(network, rows)
        moments.append(torch.stack([posterior.mean, posterior.stddev]).cpu())
    loc, scale = torch.cat(moments, dim=1)
    return loc, scale


@torch.no_grad()
def predictive_moments(
    network: Any, blocks: Blocks, device: torch.device, *, n_draws: int
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every entry given the observed ones, both (n, n_features).

    By the laws of total expectation and variance over fixed nodes of the posterior.
    """
    nodes = fixed_nodes(n_draws, network.n_components, device, balanced=True)
    means, deviations = [], []
    for rows in passes(network, blocks, n_draws, device):
        distributions = _predictive(network, rows, nodes)
        loc = torch.cat([distribution.mean for distribution in distributions], dim=-1)  # (K, n, D)
        within = torch.cat([distribution.stddev for distribution in distributions], dim=-1).square().mean(0)
        # in float64: a float32 sum over draws depends on where in the pass a row stands
        means.append(loc.mean(0, dtype=torch.float64).float().cpu())
        deviations.append((within + loc.var(0, correction=0)).sqrt().cpu())
    return torch.cat(means), torch.cat(deviations)


@torch.no_grad()
def predictive_quantiles(
    network: Any,
    blocks: Blocks,
    q: Tensor,
    device: torch.device,
    *,
    n_draws: int,
) -> Tensor:
    """Quantiles of every entry given the observed ones, (n_quantiles, n, n_features).

    Those of ``n_draws`` draws per entry, at nodes that all rows share, so that a row's quantiles do not
    depend on its neighbours.
    """
    nodes = fixed_nodes(n_draws, network.n_components, device, balanced=False)
    quantiles = []
    for rows in passes(network, blocks, n_draws, device):
        distributions = _predictive(network, rows, nodes)
        draws = torch.cat([distribution.quantile(nodes.level) for distribution in distributions], dim=-1)
        quantiles.append(torch.quantile(draws, q.to(draws), dim=0).cpu())
    return torch.cat(quantiles, dim=1)


@torch.no_grad()
def decoded_mean(network: Any, z: Tensor, device: torch.device) -> Tensor:
    """Expected features at latent points (n, n_components): (n, n_features)."""
    step = rows_per_pass(1, network.width)
    return torch.cat(
        [
            torch.cat([distribution.mean for distribution in network.decode(part.to(device))], dim=-1).cpu()
            for part in z.split(step)
        ]
    )


def _predictive(network: Any, rows: Blocks, nodes: Nodes) -> list[Any]:
    """Distribution of each modality at the nodes of each row's posterior, given its own observed features."""
    z = checked_posterior(network, rows).at(nodes.noise, nodes.part)  # (K, n, k)
    return [
        distribution.given(values, observed)
        for distribution, values, observed in zip(network.decode(z), rows.values, rows.observed, strict=True)
    ]
