"""Points of von Mises-Fisher densities, as a smooth function of standard normal noise and the parameters.

Noise, divided by its length, is uniform on the sphere. It is moved towards the mean direction along great
circles, as far as makes its angle to that direction distributed as it should be: the quantile, under the von
Mises-Fisher density, of its level under the uniform one. Without concentration nothing moves. No rejection,
and the same noise always gives the same point.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

N_CELLS = 128  # of the angle's range
MIN_CONCENTRATION = 1e-6  # below, points are those of the uniform density


def transported(noise: Tensor, natural: Tensor, index: Tensor | None) -> Tensor:
    r"""Move points of the uniform density to points of von Mises-Fisher densities.

    Gradients are those of the exact map: along a line of constant level,
    :math:`f\,d\varphi = du - \partial_\kappa F\,d\kappa`.

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
    .. [2] Figurnov, Mohamed and Mnih (2018), "Implicit Reparameterization Gradients", eq. 5.
    """
    size = natural.shape[-1]
    none = natural.square().sum(-1, keepdim=True) < MIN_CONCENTRATION**2
    anywhere = torch.zeros_like(natural)
    anywhere[..., 0] = MIN_CONCENTRATION
    natural = torch.where(none, anywhere, natural)
    concentration = natural.square().sum(-1).sqrt()  # (C, ..., S)
    direction = natural / concentration[..., None]
    with torch.no_grad():
        warp = _warp(concentration, size)
        tables = _Tables(concentration, warp, size)
        uniform = _Tables(concentration.new_zeros(1), warp.new_ones(1), size)
        where = _positions(concentration, index)
    if index is not None:
        chosen = index[..., None].expand(-1, *concentration.shape[1:])
        concentration, warp = concentration.gather(0, chosen), warp.gather(0, chosen)
        direction = direction.gather(0, chosen[..., None].expand(-1, *direction.shape[1:]))

    point = noise / noise.square().sum(-1, keepdim=True).sqrt()
    along = (point * direction).sum(-1)
    across = point - along[..., None] * direction
    height = across.square().sum(-1).clamp_min(1e-30).sqrt()
    angle = torch.atan2(height, along)  # of the uniform point
    with torch.no_grad():
        level, density = uniform.level(angle)
        found, slope, change = tables.quantile(level, where.expand(level.shape))
    # as if found had been computed smoothly: its value, and its gradients
    moved = ((angle - angle.detach()) * density - change * (concentration - concentration.detach())) / slope
    cosine, sine = _unwarped(found + moved, warp)
    return cosine[..., None] * direction + sine[..., None] * across / height[..., None]


def _warp(concentration: Tensor, size: int) -> Tensor:
    """What Wood's change of variable leaves of angles near 0: from 1, which is all, to 0."""
    b = (size - 1) / (2 * concentration + (4 * concentration.square() + (size - 1) ** 2).sqrt())
    return 2 * b / (1 + b)


def _unwarped(angle: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle that a warped one stands for."""
    below = rest + 2 * (1 - rest) * (angle / 2).cos().square()
    cosine = 1 - 2 * rest * (angle / 2).sin().square() / below
    return cosine, (rest * (2 - rest)).sqrt() * angle.sin() / below


def _positions(concentration: Tensor, index: Tensor | None) -> Tensor:
    """Number of the table that each draw needs, which broadcasts against (n_draws, ..., S)."""
    numbers = torch.arange(concentration.numel(), device=concentration.device).view(concentration.shape)
    if index is None:
        return numbers
    return numbers.gather(0, index[..., None].expand(-1, *concentration.shape[1:]))


class _Tables:
    """Distribution functions of the warped angle to the mean direction, one per concentration.

    Within a cell the density is taken to be linear, with the mass of Simpson's rule.

    Parameters
    ----------
    concentration, warp : Tensor
    size : int
        Numbers of the sphere.
    """

    def __init__(self, concentration: Tensor, rest: Tensor, size: int) -> None:
        steps = torch.arange(2 * N_CELLS + 1, device=rest.device, dtype=rest.dtype)
        half = steps * (math.pi / (4 * N_CELLS))  # half the angle
        rest, concentration = rest.reshape(-1, 1), concentration.reshape(-1, 1)
        below = rest + 2 * (1 - rest) * half.cos().square()
        fall = 2 * rest * half.sin().square() / below  # one minus the cosine
        exponent = -(size - 1) * below.log() - concentration * fall
        sine = (2 * half).sin().clamp_min(0.0)
        density = (exponent - exponent.amax(1, keepdim=True)).exp() * sine ** (size - 2)
        self.width = math.pi / N_CELLS
        mass = _simpson(density)
        total = mass.sum(1, keepdim=True)
        self.mass = mass / total
        self.edges = torch.nn.functional.pad(self.mass.cumsum(1), (1, 0))
        self.density = density[:, ::2]  # unnormalised: cells have their mass
        # derivative of the distribution function with respect to the concentration
        change = _simpson(density * -fall) / total
        self.mean_fall = -change.sum(1, keepdim=True)
        self.change = torch.nn.functional.pad((change + self.mean_fall * self.mass).cumsum(1), (1, 0))
        self.fall = fall[:, ::2]

    def level(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Distribution function and density at angles, of the only table there is."""
        cell = (angle / self.width).long().clamp(0, N_CELLS - 1)
        at = angle / self.width - cell
        a, b, mass = self.density[0][cell], self.density[0][cell + 1], self.mass[0][cell]
        share = (a + 0.5 * (b - a) * at) * at / (0.5 * (a + b))
        return self.edges[0][cell] + mass * share, mass * (a + (b - a) * at) / (0.5 * (a + b) * self.width)

    def quantile(self, level: Tensor, where: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Angles of given levels, the density there, and the distribution function's derivative there.

        Parameters
        ----------
        level : Tensor
        where : int64 Tensor of the same shape
            Number of the table.
        """
        edges = self.edges.flatten()
        first = where * (N_CELLS + 1)
        cell = torch.zeros_like(where)
        step = 2 ** (N_CELLS - 1).bit_length()
        while step := step // 2:  # the last cell that begins at or below the level
            beyond = (cell + step).clamp_max(N_CELLS)
            cell = torch.where((cell + step < N_CELLS) & (edges[first + beyond] <= level), beyond, cell)
        here = first + cell
        a, b = self.density.flatten()[here], self.density.flatten()[here + 1]
        mass = self.mass.flatten()[where * N_CELLS + cell]
        share = ((level - edges[here]) / mass).clamp(0.0, 1.0)
        rise = share * 0.5 * (a + b)
        at = (2 * rise / (a + (a.square() + 2 * (b - a) * rise).clamp_min(0.0).sqrt())).nan_to_num(0.5)
        slope = mass * (a + (b - a) * at) / (0.5 * (a + b) * self.width)
        fall = self.fall.flatten()
        halfway = fall[here] + 0.5 * at * (fall[here + 1] - fall[here])
        change = self.change.flatten()[here] + mass * share * (self.mean_fall.flatten()[where] - halfway)
        return (cell + at) * self.width, slope, change


def _simpson(values: Tensor) -> Tensor:
    """Integrals over the cells, but for a constant factor, from values at edges and middles."""
    return values[:, :-2:2] + 4 * values[:, 1::2] + values[:, 2::2]
