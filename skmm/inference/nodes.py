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


class PathNodes:
    """Nodes of whole paths, given out a few steps at a time; earlier ones do not depend on later ones.

    Parameters
    ----------
    n_draws, n_components : int
    balanced : bool
        As for :func:`fixed_nodes`.
    """

    def __init__(self, n_draws: int, n_components: int, *, balanced: bool) -> None:
        self.shape = (n_draws, n_components)
        self.balanced = balanced
        self.generator = torch.Generator().manual_seed(SEED)
        self.level = torch.randperm(n_draws, generator=self.generator, dtype=torch.float32)

    def take(self, n_steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Nodes of the next steps, the same for all sequences.

        Returns
        -------
        noise : Tensor of shape (n_draws, 1, n_steps, n_components)
        part : Tensor of shape (n_draws, 1, n_steps)
        level : Tensor of shape (n_draws, 1, 1, 1)
        """
        noise, part = [], []
        for _ in range(n_steps):  # one by one: torch fills longer tensors in another order
            step = torch.randn(self.shape, generator=self.generator, dtype=torch.float64)
            noise.append(_balance(step) if self.balanced else step)
            part.append(torch.rand(self.shape[0], generator=self.generator, dtype=torch.float32))
        level = (self.level + 0.5) / self.shape[0]
        return (
            torch.stack(noise, dim=1).float()[:, None],
            torch.stack(part, dim=1)[:, None],
            level[:, None, None, None],
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
    single row.
    """
    return shifted(nodes.noise, row_shift(rows, nodes.noise.shape[-1]))


def row_shift(rows: Blocks, n_numbers: int) -> Tensor:
    """Numbers in [0, 1) of each row's own, which follow from its observed values alone, (n, n_numbers)."""
    generator = torch.Generator().manual_seed(SEED)
    speed = 3 + 6 * torch.rand(n_numbers, generator=generator, dtype=torch.float64)
    values = torch.where(rows.joint_observed, rows.joint, 0.0).double()
    return values.flatten(1).sum(1)[:, None] * speed.to(values.device) % 1


def shifted(noise: Tensor, shift: Tensor) -> Tensor:
    """Move standard normal noise (n_draws, 1, n_components) by shifts (n, n_components)."""
    moved = folded(torch.special.ndtr(noise) + shift.to(noise.dtype))
    return torch.special.ndtri(moved.clamp(1e-7, 1 - 1e-7))


def folded(values: Tensor) -> Tensor:
    """Bring numbers back into [0, 1] without a jump, not by wrapping: a row moved a little stays near."""
    return 1 - (2 * (values % 1) - 1).abs()


def rows_per_pass(n_draws: int, width: int) -> int:
    """Rows to take at once, so that a pass holds a bounded number of floats whatever the table.

    So few that a processor's cache holds what one layer leaves for the next: with ten times as many,
    completions took half as long again.
    """
    return max(1, 2**20 // (max(1, n_draws) * max(1, width)))
