"""Fixed points at which expectations over the latent variable are taken."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from skmm._blocks.blocks import Blocks

SEED = 0


@dataclass(frozen=True)
class Nodes:
    """Quasi-random nodes.

    Parameters
    ----------
    noise : Tensor of shape (n_draws, 1, n_components)
        Standard normal.
    part : Tensor of shape (n_draws, 1)
        Uniform on [0, 1): chooses the part of a mixture.
    level : Tensor of shape (n_draws, 1, 1)
        Uniform on (0, 1): the level of the likelihood's quantile, for draws of values.
    """

    noise: Tensor
    part: Tensor
    level: Tensor


def fixed_nodes(n_draws: int, n_components: int, device: torch.device, *, balanced: bool) -> Nodes:
    """Make the nodes: a scrambled Sobol sequence under a fixed seed.

    Parameters
    ----------
    n_draws, n_components : int
    device : device
    balanced : bool
        Give the noise exactly mean 0 and, where ``n_draws`` suffices, identity covariance, so that means
        and variances of linear functions are exact. The nodes are then no longer unbiased, as
        importance sampling needs them to be.
    """
    uniform = SobolEngine(n_components + 2, scramble=True, seed=SEED).draw(n_draws, dtype=torch.float64)
    uniform = uniform.clamp(1e-9, 1 - 1e-9)
    noise = torch.special.ndtri(uniform[:, :n_components])
    if balanced:
        noise = _balance(noise)
    noise, part, level = noise.float(), uniform[:, -2].float(), uniform[:, -1].float()
    return Nodes(
        noise[:, None].to(device),
        part[:, None].to(device),
        level.clamp(1e-6, 1 - 1e-6)[:, None, None].to(device),
    )


def _balance(noise: Tensor) -> Tensor:
    n_draws, n_components = noise.shape
    noise = noise - noise.mean(0)
    if n_draws > n_components:
        covariance = noise.T @ noise / n_draws
        factor = torch.linalg.cholesky(covariance)
        return torch.linalg.solve_triangular(factor, noise.T, upper=False).T
    return noise


def own_noise(nodes: Nodes, rows: Blocks) -> Tensor:
    """Move the noise of the nodes by a shift of each row's own, (n_draws, n, n_components).

    Where all rows share their nodes, they share the nodes' error too, and their mean is no better than a
    single row. The shift follows from the row's observed values alone, without a jump: shifted points are
    folded at the ends of [0, 1], not wrapped, so that rounding of a value moves them by as little.
    """
    generator = torch.Generator().manual_seed(SEED)
    speed = 3 + 6 * torch.rand(nodes.noise.shape[-1], generator=generator, dtype=torch.float64)
    values = torch.where(rows.joint_observed, rows.joint, 0.0).double()
    shift = values.flatten(1).sum(1)[:, None] * speed.to(values.device)  # (n, k)
    moved = (torch.special.ndtr(nodes.noise) + (shift % 1).to(nodes.noise.dtype)) % 1
    folded = 1 - (2 * moved - 1).abs()
    return torch.special.ndtri(folded.clamp(1e-7, 1 - 1e-7))


def rows_per_pass(n_draws: int, width: int) -> int:
    """Rows to take at once, so that a pass holds a bounded number of floats whatever the table."""
    return max(1, 2**23 // (max(1, n_draws) * max(1, width)))
