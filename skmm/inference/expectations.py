"""Expected values, deviations and quantiles of every entry given the observed ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from skmm._blocks.blocks import SequenceBlocks
from skmm.inference.importance import take
from skmm.inference.nodes import rows_per_pass
from skmm.inference.points import Piece, assemble, at_mean, at_nodes, sequence_passes


@torch.no_grad()
def latent_moments(
    network: Any, blocks: Any, device: torch.device, *, smooth: bool = True
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the latent variable, both (n, n_components).

    Along sequences, at each step given that the steps before are at their means.
    """
    moments = [
        (piece.position, torch.stack([piece.posterior.mean, piece.posterior.stddev]))
        for piece in at_mean(network, blocks, device, smooth=smooth)
    ]
    loc, scale = assemble(moments)
    return loc, scale


@torch.no_grad()
def part_probabilities(network: Any, blocks: Any, device: torch.device, *, n_draws: int) -> Tensor:
    """Probability of each part of a mixture prior given what is observed, (n, n_parts)."""
    shares = [
        (piece.position, piece.average(network.prior.responsibilities(piece.code)))
        for piece in at_nodes(network, blocks, device, n_draws, balanced=False)
    ]
    return assemble(shares)


@torch.no_grad()
def predictive_moments(
    network: Any, blocks: Any, device: torch.device, *, n_draws: int, smooth: bool = True
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every statistic given what is observed, both (n, n_statistics).

    A number is its own statistic; of a category, there is one indicator variable per category. By the laws
    of total expectation and variance over points of the posterior.
    """
    moments = []
    for piece in at_nodes(network, blocks, device, n_draws, balanced=True, smooth=smooth):
        distributions = predictive(network, piece)
        loc = torch.cat([distribution.mean for distribution in distributions], dim=-1)  # (K, n, D)
        scale = torch.cat([distribution.stddev for distribution in distributions], dim=-1)
        mean = piece.average(loc)
        spread = piece.average(scale.square() + (loc - mean.to(loc.dtype)).square())
        moments.append((piece.position, torch.stack([mean, spread.sqrt()]).float()))
    mean, stddev = assemble(moments)
    return mean, stddev


@torch.no_grad()
def predictive_quantiles(
    network: Any, blocks: Any, device: torch.device, *, q: Tensor, n_draws: int
) -> Tensor:
    """Quantiles of every entry given the observed ones, (n_quantiles, n, n_features).

    Those of ``n_draws`` draws per entry, at nodes that all rows share, so that a row's quantiles do not
    depend on its neighbours.
    """
    # the smallest draw with at least a share q of the draws at or below it: a value that counts can take
    rank = (q * n_draws).ceil().long().clamp(1, n_draws).to(device) - 1
    quantiles = []
    for piece in at_nodes(network, blocks, device, n_draws, balanced=False):
        if piece.weights is not None:
            piece = replace(piece, code=take(piece.code, _spread_evenly(piece.weights)))
        draws = torch.cat(
            [distribution.quantile(piece.level) for distribution in predictive(network, piece)], dim=-1
        )
        quantiles.append((piece.position, draws.sort(dim=0).values[rank]))
    return assemble(quantiles)


@torch.no_grad()
def decoded_mean(network: Any, z: Tensor, device: torch.device) -> Tensor:
    """Expected statistics at points of the shared latent variables (n, n_shared): (n, n_statistics)."""
    found = []
    for part in z.split(rows_per_pass(1, network.width)):
        distributions = network.decode(network.with_private(part.to(device)))
        found.append(torch.cat([distribution.mean for distribution in distributions], dim=-1).cpu())
    return torch.cat(found)


@torch.no_grad()
def decoded_path(network: Any, points: SequenceBlocks, device: torch.device) -> Tensor:
    """Expected statistics along latent paths, given as sequences of n_components features."""
    found = []
    for rows, index, n_steps in sequence_passes(network, points, 1, device):
        code = network.follow(rows.joint)  # (n, n_steps, n_code)
        mean = [
            torch.cat([distribution.mean for distribution in network.decode(part)], dim=-1).cpu()
            for part in code.split(n_steps, dim=1)
        ]
        found.append((points.positions(index), torch.cat(mean, dim=1)))
    return assemble(found)


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


def _spread_evenly(weights: Tensor) -> Tensor:
    """Index (K, n) in which each of K points stands as often as its weight says."""
    n_draws = len(weights)
    levels = (torch.arange(n_draws, device=weights.device, dtype=weights.dtype) + 0.5) / n_draws
    upper = weights.cumsum(0).T.contiguous()  # (n, K)
    index = torch.searchsorted(upper, levels.expand(len(upper), -1).contiguous())
    return index.clamp_max(n_draws - 1).T


def predictive(network: Any, piece: Piece) -> list[Any]:
    """Distribution of each modality at points of each row, given the modality's own observed features."""
    return [
        distribution.given(values, observed)
        for distribution, values, observed in zip(
            network.decode(piece.code), piece.rows.values, piece.rows.observed, strict=True
        )
    ]
