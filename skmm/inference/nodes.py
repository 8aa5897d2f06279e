"""Fixed points at which expectations over the latent variable are taken, the same for every row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

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


def rows_per_pass(n_draws: int, width: int) -> int:
    """Rows to take at once, so that a pass holds a bounded number of floats whatever the table."""
    return max(1, 2**23 // (max(1, n_draws) * max(1, width)))
