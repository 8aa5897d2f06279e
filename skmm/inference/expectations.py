"""Expected values, deviations and quantiles of every entry given the observed ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks
from skmm.inference.importance import fixed_points, take
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
    """Mean and standard deviation of every statistic given what is observed, both (n, n_statistics).

    A number is its own statistic; of a category, there is one indicator variable per category. By the laws
    of total expectation and variance over points of the posterior.
    """
    nodes = fixed_nodes(n_draws, network.n_components, device, balanced=True)
    means, deviations = [], []
    for rows in passes(network, blocks, n_draws, device):
        z, weights = _points(network, rows, nodes, device)
        distributions = predictive(network, rows, z)
        loc = torch.cat([distribution.mean for distribution in distributions], dim=-1)  # (K, n, D)
        scale = torch.cat([distribution.stddev for distribution in distributions], dim=-1)
        weights = weights[..., None]
        # in float64: a float32 sum over draws depends on where in the pass a row stands
        mean = (weights * loc).sum(0, dtype=torch.float64)
        spread = scale.square() + (loc - mean.to(loc.dtype)).square()
        means.append(mean.float().cpu())
        deviations.append((weights * spread).sum(0, dtype=torch.float64).sqrt().float().cpu())
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
    # the smallest draw with at least a share q of the draws at or below it: a value that counts can take
    rank = (q * n_draws).ceil().long().clamp(1, n_draws).to(device) - 1
    quantiles = []
    for rows in passes(network, blocks, n_draws, device):
        z, weights = _points(network, rows, nodes, device)
        if network.importance_weighted:
            z = take(z, _spread_evenly(weights))
        distributions = predictive(network, rows, z)
        draws = torch.cat([distribution.quantile(nodes.level) for distribution in distributions], dim=-1)
        quantiles.append(draws.sort(dim=0).values[rank].cpu())
    return torch.cat(quantiles, dim=1)


@torch.no_grad()
def decoded_mean(network: Any, z: Tensor, device: torch.device) -> Tensor:
    """Expected statistics at latent points (n, n_components): (n, n_statistics)."""
    step = rows_per_pass(1, network.width)
    return torch.cat(
        [
            torch.cat([distribution.mean for distribution in network.decode(part.to(device))], dim=-1).cpu()
            for part in z.split(step)
        ]
    )


@torch.no_grad()
def summary(network: Any, mean: Tensor, stddev: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Value of every entry and its deviation, both (n, n_features), from the moments of the statistics."""
    pieces = [
        likelihood.summary(loc, scale)
        for likelihood, loc, scale in zip(
            network.likelihoods,
            mean.to(device).split(network.n_statistics, dim=-1),
            stddev.to(device).split(network.n_statistics, dim=-1),
            strict=True,
        )
    ]
    values, deviations = zip(*pieces, strict=True)
    return torch.cat(values, dim=-1).cpu(), torch.cat(deviations, dim=-1).cpu()


def _points(network: Any, rows: Blocks, nodes: Nodes, device: torch.device) -> tuple[Tensor, Tensor]:
    """Points of each row's posterior, (K, n, k), and their weights, (K, n) or (K, 1), which sum to 1.

    Where training made the posterior a proposal, the points are weighted by what was observed; elsewhere
    they count alike. (Weights are no cure for a posterior that is merely imprecise: on real tables hardly
    a point of 64 would be left.)
    """
    posterior = checked_posterior(network, rows)
    n_draws = len(nodes.noise)
    if network.importance_weighted:
        z, log_weights = fixed_points(network, rows, posterior, n_draws, device)
        return z, log_weights.softmax(0, dtype=torch.float64).to(z.dtype)
    z = posterior.at(nodes.noise, nodes.part)
    return z, z.new_full((n_draws, 1), 1 / n_draws)


def _spread_evenly(weights: Tensor) -> Tensor:
    """Index (K, n) in which each of K points stands as often as its weight says."""
    n_draws = len(weights)
    levels = (torch.arange(n_draws, device=weights.device, dtype=weights.dtype) + 0.5) / n_draws
    upper = weights.cumsum(0).T.contiguous()  # (n, K)
    index = torch.searchsorted(upper, levels.expand(len(upper), -1).contiguous())
    return index.clamp_max(n_draws - 1).T


def predictive(network: Any, rows: Blocks, z: Tensor) -> list[Any]:
    """Distribution of each modality at points of each row, given the modality's own observed features."""
    return [
        distribution.given(values, observed)
        for distribution, values, observed in zip(network.decode(z), rows.values, rows.observed, strict=True)
    ]
