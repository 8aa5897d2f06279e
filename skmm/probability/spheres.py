"""Latent variables on spheres: von Mises-Fisher posteriors, and the uniform prior.

A point is a tuple of unit vectors: ``n_components`` numbers are cut into spheres of ``size`` numbers each, so
that ``size`` 2 is a circle and 3 the surface of a ball. Densities are those with respect to the area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from skmm.probability.bessel import log_bessel
from skmm.probability.mixtures import Mixture
from skmm.probability.sphere_transport import transported

LOG_2PI = math.log(2 * math.pi)
MAX_SIZE = 5  # of the spheres that n_components is cut into by default
FEW = 1e-6  # squared concentration below which a quotient of small numbers is replaced by its limit


def sphere_size(n_components: int, size: int | None = None) -> int:
    """Numbers of each sphere: what is given, or the largest divisor of ``n_components`` from 2 to 5.

    Raises
    ------
    ValueError
        If ``n_components`` cannot be cut into spheres of that size, or of any.
    """
    if size is None:
        sizes = [size for size in range(2, MAX_SIZE + 1) if n_components % size == 0]
        if not sizes:
            raise ValueError(
                f"posterior='vmf' and prior='sphere' cut n_components={n_components} into spheres of 2 to "
                f"{MAX_SIZE} numbers each; choose a multiple of 2, 3, 4 or 5, or give both a `size`."
            )
        return sizes[-1]
    if size < 2 or n_components % size:
        raise ValueError(
            f"size={size} of the spheres must be at least 2 and a divisor of n_components={n_components}."
        )
    return size


def log_normaliser(squared: Tensor, size: int) -> tuple[Tensor, Tensor]:
    r"""Logarithm of the integral of exp(natural . z) over the sphere, and what makes its mean.

    .. math:: \log \Big( (2\pi)^{m/2} \, \kappa^{1 - m/2} I_{m/2-1}(\kappa) \Big), \quad
              \frac{I_{m/2}(\kappa)}{\kappa I_{m/2-1}(\kappa)}

    Parameters
    ----------
    squared : Tensor
        Square of the concentration :math:`\kappa`, the length of the natural parameters.
    size : int
        Numbers of the sphere, m.

    Returns
    -------
    log_normaliser, shrinkage : float64 Tensors
        The mean is ``shrinkage * natural``.

    References
    ----------
    .. [1] Banerjee et al. (2005), "Clustering on the Unit Hypersphere using von Mises-Fisher Distributions",
       eq. 2.2 and 2.5.
    """
    log_value, ratio = log_bessel(squared.double(), size / 2 - 1)
    return log_value + size / 2 * LOG_2PI, ratio


@dataclass(frozen=True)
class VonMisesFisherMixture(Mixture):
    r"""Mixture of products of von Mises-Fisher densities; of one part, where nothing is mixed.

    .. math:: \log q(z) = \sum_s \eta_s \cdot z_s - \log Z(\|\eta_s\|)

    Parameters
    ----------
    eta : Tensor of shape (n_parts, ..., n_components)
        Natural parameters: mean directions times concentrations, sphere by sphere.
    size : int
        Numbers of each sphere.
    log_weights : Tensor of shape (n_parts, ...) or None
        Logarithm of the weights, -inf for parts that do not count. None where there is one part.
    """

    eta: Tensor
    size: int
    log_weights: Tensor | None = None

    @property
    def natural(self) -> Tensor:
        return self.eta

    @property
    def part_mean(self) -> Tensor:
        _, shrinkage = log_normaliser(self._squared, self.size)
        return (shrinkage[..., None] * self._spheres).flatten(-2).to(self.eta.dtype)

    @property
    def part_variance(self) -> Tensor:
        squared = self._squared
        _, shrinkage = log_normaliser(squared, self.size)
        tiny = squared < FEW
        safe = torch.where(tiny, 1.0, squared)
        along = (1 - self.size * shrinkage - safe * shrinkage.square()) / safe
        along = torch.where(tiny, -2 / (self.size**2 * (self.size + 2)), along)
        variance = shrinkage[..., None] + along[..., None] * self._spheres.square()
        return variance.flatten(-2).to(self.eta.dtype)

    @property
    def _spheres(self) -> Tensor:
        """Natural parameters of each sphere, (n_parts, ..., n_spheres, size), in float64."""
        return self.eta.double().unflatten(-1, (-1, self.size))

    @property
    def _squared(self) -> Tensor:
        """Squared concentration of each sphere, (n_parts, ..., n_spheres)."""
        return self._spheres.square().sum(-1)

    def _moved(self, noise: Tensor, index: Tensor | None) -> Tensor:
        spheres = noise.double().unflatten(-1, (-1, self.size))
        return transported(spheres, self._spheres, index).flatten(-2).to(self.eta.dtype)

    def _log_prob_of_parts(self, z: Tensor) -> Tensor:
        constant, _ = log_normaliser(self._squared, self.size)
        return ((self.eta.double() * z.double()).sum(-1) - constant.sum(-1)).to(self.eta.dtype)

    def kl(self, prior: Any) -> Tensor | None:
        """Kullback-Leibler divergence from the prior, (...,); None where it has no closed form."""
        if self.log_weights is not None:
            return None
        if isinstance(prior, UniformOnSpheres) and prior.size == self.size:
            other = torch.zeros_like(self._spheres[0])
        elif isinstance(prior, VonMisesFisherMixture) and prior.log_weights is None:
            other = prior._spheres[0]
        else:
            return None
        constant, shrinkage = log_normaliser(self._squared[0], self.size)
        prior_constant, _ = log_normaliser(other.square().sum(-1), self.size)
        mean = shrinkage[..., None] * self._spheres[0]
        expected = ((self._spheres[0] - other) * mean).sum(-1)
        return (expected - constant + prior_constant).sum(-1).to(self.eta.dtype)

    def entropy(self) -> Tensor | None:
        """Differential entropy, (...,); None where it has no closed form."""
        if self.log_weights is not None:
            return None
        constant, shrinkage = log_normaliser(self._squared[0], self.size)
        return (constant - shrinkage * self._squared[0]).sum(-1).to(self.eta.dtype)

    def widened(self, factor: float) -> VonMisesFisherMixture:
        """The same mixture with concentrations divided by the square of a factor."""
        return replace(self, eta=self.eta / factor**2)


class VonMisesFisherFamily:
    """Products of von Mises-Fisher densities on spheres; multiplied, their natural parameters add up.

    There is no centre for posteriors to collapse to, and nothing observed is the uniform density,
    ``prior="sphere"``. ``n_components`` is the number of all coordinates. The posterior's mean, which
    ``transform`` returns, lies inside the spheres, the further the surer the row is.

    Parameters
    ----------
    size : int or None, default=None
        Numbers of each sphere: 2 for circles, 3 for surfaces of balls. None takes the largest divisor of
        ``n_components`` from 2 to 5.

    References
    ----------
    .. [1] Davidson et al. (2018), "Hyperspherical Variational Auto-Encoders", eq. 8 to 10.
    .. [2] Davidson, Tomczak and Gavves (2019), "Increasing Expressivity of a Hyperspherical VAE": products of
       spheres.
    """

    name = "vmf"

    def __init__(self, size: int | None = None) -> None:
        self.size = size

    def n_raw(self, n_components: int) -> int:
        """One number per coordinate.

        Raises
        ------
        ValueError
            If ``n_components`` cannot be cut into spheres.
        """
        self.sphere_size(n_components)
        return n_components

    def sphere_size(self, n_components: int) -> int:
        """Numbers of each sphere."""
        return sphere_size(n_components, self.size)

    def natural(self, raw: Tensor) -> Tensor:
        """Expert's natural parameters, (..., n_components): along raw, growing with the cube of its length.

        Concentrations of thousands are then within reach of an encoder, and none is out of it.
        """
        spheres = raw.unflatten(-1, (-1, sphere_size(raw.shape[-1], self.size)))
        return (spheres * (1 + spheres.square().sum(-1, keepdim=True))).flatten(-2)

    def posterior(self, natural: Tensor, log_weights: Tensor | None) -> VonMisesFisherMixture:
        """Posterior from natural parameters (n_parts, ..., n_components)."""
        return VonMisesFisherMixture(natural, sphere_size(natural.shape[-1], self.size), log_weights)


class UniformOnSpheres(nn.Module):
    """Uniform density on a product of spheres, for von Mises-Fisher posteriors.

    Parameters
    ----------
    n_components : int
        Number of all coordinates.
    size : int or None, default=None
        Numbers of each sphere, as for :class:`VonMisesFisherFamily`.
    """

    zero: Tensor
    family = "vmf"

    def __init__(self, n_components: int, size: int | None = None) -> None:
        super().__init__()
        self.size = sphere_size(n_components, size)
        self.register_buffer("zero", torch.zeros(n_components))

    def rsample(self, n: int) -> Tensor:
        """Draw n points, (n, n_components)."""
        return self.nearest(torch.randn_like(self.zero.expand(n, -1)))

    def nearest(self, z: Tensor) -> Tensor:
        """The points on the spheres that are nearest to any points (..., n_components)."""
        return nn.functional.normalize(z.unflatten(-1, (-1, self.size)), dim=-1).flatten(-2)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of points (..., n_components), which is the same everywhere."""
        log_area = math.log(2) + self.size / 2 * math.log(math.pi) - math.lgamma(self.size / 2)
        return z.new_full(z.shape[:-1], -log_area * (len(self.zero) // self.size))

    def natural(self) -> Tensor:
        """No concentration, (n_components,)."""
        return self.zero
