"""Points of von Mises-Fisher densities, as a smooth function of standard normal noise and the parameters.

Noise, divided by its length, is uniform on the sphere. It is moved towards the mean direction along great
circles, as far as makes its angle to that direction distributed as it should be: the quantile, under the von
Mises-Fisher density, of its level under the uniform one. Without concentration nothing moves. No rejection,
and the same noise always gives the same point.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

MIN_CONCENTRATION = 1e-6  # below, points are those of the uniform density
N_ROWS, N_COLUMNS = 128, 512  # cells of the table of quantiles
N_FINE = 8  # cells of the integration in each of them
MIN_WARP = 1e-7  # stands for 0, an infinite concentration


def transported(noise: Tensor, natural: Tensor, index: Tensor | None) -> Tensor:
    r"""Move points of the uniform density to points of von Mises-Fisher densities.

    Parameters
    ----------
    noise : float64 Tensor of shape (n_draws, ..., m)
        Standard normal.
    natural : float64 Tensor of shape (n_parts, ..., m)
        Mean directions times concentrations.
    index : int64 Tensor of shape (n_draws, ...) without the axes of spheres and of m, or None
        Which part each draw is of; None: the first axis, of length 1 or n_draws, goes with the draws.

    Returns
    -------
    Tensor of shape (n_draws, ..., m)
        Unit vectors.

    References
    ----------
    .. [1] Wood (1994), "Simulation of the von Mises Fisher Distribution": the change of variable that makes
       the density of the angle nearly that of the uniform distribution, whatever the concentration.
    """
    if index is not None:
        chosen = index[..., None, None].expand(-1, *natural.shape[1:])
        natural = natural.gather(0, chosen)
    none = natural.square().sum(-1, keepdim=True) < MIN_CONCENTRATION**2
    anywhere = torch.zeros_like(natural)
    anywhere[..., 0] = MIN_CONCENTRATION
    natural = torch.where(none, anywhere, natural)
    concentration = natural.square().sum(-1).sqrt()  # (K, ..., S)
    direction = natural / concentration[..., None]

    point = noise / noise.square().sum(-1, keepdim=True).sqrt()
    along = (point * direction).sum(-1)
    across = point - along[..., None] * direction
    height = across.square().sum(-1).clamp_min(1e-30).sqrt()
    left = torch.atan2(height, -along)  # of a half turn, between the uniform point and the direction
    rest = _warp(concentration, natural.shape[-1])
    cosine, sine = _unwarped(_moved(_stretched(left), rest, natural.shape[-1]), rest)
    return cosine[..., None] * direction + sine[..., None] * across / height[..., None]


def _warp(concentration: Tensor, size: int) -> Tensor:
    """What Wood's change of variable leaves of angles near 0: from 1, which is all, to 0."""
    b = (size - 1) / (2 * concentration + (4 * concentration.square() + (size - 1) ** 2).sqrt())
    return 2 * b / (1 + b)


def _concentration(rest: Tensor, size: int) -> Tensor:
    """The concentration whose warp is given."""
    b = rest / (2 - rest)
    return (size - 1) * (1 - b.square()) / (4 * b)


def _unwarped(angle: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle that a warped one stands for."""
    below = rest + 2 * (1 - rest) * (angle / 2).cos().square()
    cosine = 1 - 2 * rest * (angle / 2).sin().square() / below
    return cosine, (rest * (2 - rest)).sqrt() * angle.sin() / below


def _moved(point: Tensor, rest: Tensor, size: int) -> Tensor:
    """Warped angle of the same level as a point of the uniform density, with gradients to both.

    Warped, it depends on the concentration so little that a table serves for all: cubic interpolation
    (Catmull and Rom) between quantiles at its nodes.
    """
    table = _quantiles(size, point.device)
    column, across = _weights(point * N_COLUMNS, N_COLUMNS)
    row, along = _weights(rest * N_ROWS, N_ROWS)
    beside = torch.arange(4, device=point.device)
    near = (row[..., None, None] + beside[:, None]) * (N_COLUMNS + 3) + column[..., None, None] + beside
    return ((table[near] * across[..., None, :]).sum(-1) * along).sum(-1)


def _weights(position: Tensor, n_cells: int) -> tuple[Tensor, Tensor]:
    """Cell in which a position falls, and the weights of the four nodes around it, (..., 4)."""
    cell = position.detach().long().clamp(0, n_cells - 1)
    t = position - cell
    s = 1 - t
    weights = [-t * s * s, 2 - t * t * (5 - 3 * t), 2 - s * s * (5 - 3 * s), -s * t * t]
    return cell, 0.5 * torch.stack(weights, dim=-1)


def _stretched(left: Tensor) -> Tensor:
    """Place from 0 to 1 of an angle given by what it leaves of a half turn.

    Quantiles of large concentrations grow with the logarithm of what is left: here they are smooth.
    """
    return 1 - 1 / (1 - (left / math.pi).log())


def _left(place: Tensor) -> Tensor:
    """What an angle leaves of a half turn, from its place."""
    return math.pi * (1 - 1 / (1 - place)).exp()


@lru_cache(maxsize=16)
def _quantiles(size: int, device: torch.device) -> Tensor:
    """Table of warped angles, by warp and place of the uniform point; a node beyond each end; flat."""
    rest = torch.linspace(0.0, 1.0, N_ROWS + 1, dtype=torch.float64).clamp_min(MIN_WARP)[:, None]
    place = torch.linspace(0.0, 1.0, 2 * N_FINE * N_COLUMNS + 1, dtype=torch.float64)
    left = _left(place)
    below = rest + 2 * (1 - rest) * (left / 2).sin().square()
    fall = 2 * rest * (left / 2).cos().square() / below  # one minus the cosine
    exponent = -(size - 1) * below.log() - _concentration(rest, size) * fall
    stretch = (left / (1 - place).square()).nan_to_num(0.0)
    density = (exponent - exponent.amax(1, keepdim=True)).exp() * left.sin() ** (size - 2) * stretch
    uniform = density[-1:]
    lower, level = _same_level(uniform, density)
    upper, _ = _same_level(uniform.flip(1), density.flip(1))
    found = torch.where(level < 0.5, lower, 1 - upper.flip(1))  # each tail by its own sums
    table = math.pi - _left(found)
    table = torch.cat([_beyond(table)[:, None], table, _beyond(table.flip(1))[:, None]], dim=1)
    return torch.cat([_beyond(table.T)[None], table, _beyond(table.flip(0).T)[None]]).flatten().to(device)


def _same_level(uniform: Tensor, density: Tensor) -> tuple[Tensor, Tensor]:
    """Places where densities (n, nodes and middles) have the level of the uniform one, and this level."""
    level = _cumulated(uniform)[:, ::N_FINE].expand(len(density), -1).contiguous()
    edges = _cumulated(density)
    cell = (torch.searchsorted(edges, level, right=True) - 1).clamp(0, edges.shape[1] - 2)
    first, mass = edges.gather(1, cell), edges.diff(dim=1).gather(1, cell)
    a, b = density[:, ::2].gather(1, cell), density[:, ::2].gather(1, cell + 1)  # linear within a cell
    rise = ((level - first) / mass).nan_to_num(0.0).clamp(0.0, 1.0) * 0.5 * (a + b)
    at = (2 * rise / (a + (a.square() + 2 * (b - a) * rise).clamp_min(0.0).sqrt())).nan_to_num(0.5)
    return (cell + at) / (N_FINE * N_COLUMNS), level


def _cumulated(density: Tensor) -> Tensor:
    """Distribution function at the nodes, by Simpson's rule from values at nodes and middles."""
    mass = density[:, :-2:2] + 4 * density[:, 1::2] + density[:, 2::2]
    total = torch.nn.functional.pad(mass.cumsum(1), (1, 0))
    return total / total[:, -1:]


def _beyond(rows: Tensor) -> Tensor:
    """Continue rows by a node before their first, along a parabola."""
    return 3 * rows[:, 0] - 3 * rows[:, 1] + rows[:, 2]
