"""Priors of the latent variables.

A prior is a module, made for a number of components, with ``rsample(n)`` -> (n, n_components),
``log_prob(z)`` over the trailing axis, and ``natural()``: the natural parameters of the expert that stands
for it in a product. Where no single expert does, as for a mixture, ``natural()`` is zero, and
``multiplied(family)`` returns a posterior family whose results are those of ``family`` times the prior.
``family`` is the name of the posterior family that the prior goes with: the one in which nothing observed
gives the prior. To add one, write such a module here and name it in ``PRIORS``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skmm.probability.spheres import UniformOnSpheres

LOG_2PI = math.log(2 * math.pi)
LOG_2 = math.log(2)


class StandardNormal(nn.Module):
    """Independent components of mean 0 and variance 1.

    Parameters
    ----------
    n_components : int
    """

    loc: Tensor
    scale: Tensor
    family = "normal"

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(n_components))
        self.register_buffer("scale", torch.ones(n_components))

    def rsample(self, n: int) -> Tensor:
        """Draw n points, (n, n_components)."""
        return torch.randn(n, len(self.loc), device=self.loc.device, dtype=self.loc.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of points (..., n_components)."""
        return -0.5 * (z.square() + LOG_2PI).sum(-1)

    def natural(self) -> Tensor:
        """Precision-weighted mean and precision, (2 * n_components,)."""
        return torch.cat([self.loc, self.scale])


class LearnedNormal(nn.Module):
    """Independent normal components whose means and deviations are learned.

    It starts as the standard normal density. Its own mean and deviations are those of the expert that stands
    for it in products.

    Parameters
    ----------
    n_components : int
    """

    family = "normal"

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(n_components))
        self.log_scale = nn.Parameter(torch.zeros(n_components))

    @property
    def scale(self) -> Tensor:
        """Standard deviations, (n_components,)."""
        return self.log_scale.exp()

    def rsample(self, n: int) -> Tensor:
        """Draw n points with gradients, (n, n_components)."""
        return self.loc + self.scale * torch.randn_like(self.loc.expand(n, -1))

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of points (..., n_components)."""
        return _normal_log_prob(z, self.loc, self.log_scale)

    def natural(self) -> Tensor:
        """Precision-weighted mean and precision, (2 * n_components,)."""
        precision = (-2 * self.log_scale).exp()
        return torch.cat([self.loc * precision, precision])


class StandardLaplace(nn.Module):
    """Independent Laplace components of mean 0 and variance 1, for Laplace posteriors.

    Parameters
    ----------
    n_components : int
    """

    loc: Tensor
    scale: Tensor
    family = "laplace"

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(n_components))
        self.register_buffer("scale", torch.full((n_components,), math.sqrt(0.5)))

    def rsample(self, n: int) -> Tensor:
        """Draw n points, (n, n_components)."""
        size = torch.empty_like(self.loc.expand(n, -1)).exponential_()
        return self.scale * torch.where(torch.rand_like(size) < 0.5, size, -size)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of points (..., n_components)."""
        return -(z.abs() / self.scale + self.scale.log() + LOG_2).sum(-1)

    def natural(self) -> Tensor:
        """Precision-weighted mean and precision, (2 * n_components,)."""
        precision = 0.5 * self.scale**-2
        return torch.cat([self.loc * precision, precision])


class NormalMixturePrior(nn.Module):
    r"""Mixture of normal densities with diagonal covariance, all of it learned: rows form clusters.

    The prior times a product of normal experts is a mixture again, of as many parts, in closed form:

    .. math:: q(z|x) \propto p(z) \prod_m q_m(z|x_m) = \sum_c w_c\, Z_c(x)\, N_c(z|x),

    where :math:`N_c` multiplies part c and the experts, and :math:`Z_c` is what normalises that product. With
    nothing observed this is the prior. Where the fusion rule mixes products, each of them is multiplied by
    the prior and normalised.

    Parameters
    ----------
    n_components : int
    n_parts : int, default=10
        Number of clusters; those that are not needed lose their weight.

    References
    ----------
    .. [1] Dilokthanakul et al. (2016), "Deep Unsupervised Clustering with Gaussian Mixture Variational
       Autoencoders".
    .. [2] Jiang et al. (2017), "Variational Deep Embedding", eq. 5 and 16: a mixture of normal densities as
       prior, and which cluster a row belongs to.
    """

    family = "normal"

    def __init__(self, n_components: int, n_parts: int = 10) -> None:
        super().__init__()
        if n_parts < 1:
            raise ValueError(f"n_parts of the prior must be a positive whole number, got {n_parts!r}.")
        self.logits = nn.Parameter(torch.zeros(n_parts))
        self.loc = nn.Parameter(torch.randn(n_parts, n_components))
        self.log_scale = nn.Parameter(torch.full((n_parts, n_components), math.log(0.5)))

    @property
    def log_weights(self) -> Tensor:
        """Logarithms of the parts' weights, (n_parts,)."""
        return self.logits.log_softmax(0)

    @property
    def scale(self) -> Tensor:
        """Standard deviations of the parts, (n_parts, n_components)."""
        return self.log_scale.exp()

    def rsample(self, n: int) -> Tensor:
        """Draw n points, (n, n_components)."""
        part = torch.multinomial(self.log_weights.exp(), n, replacement=True)
        return self.loc[part] + self.scale[part] * torch.randn_like(self.loc[part])

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of points (..., n_components)."""
        return self._log_joint(z).logsumexp(-1)

    def responsibilities(self, z: Tensor) -> Tensor:
        """Probability of each part at points (..., n_components): (..., n_parts)."""
        return self._log_joint(z).softmax(-1)

    def _log_joint(self, z: Tensor) -> Tensor:
        return self.log_weights + _normal_log_prob(z[..., None, :], self.loc, self.log_scale)

    def natural(self) -> Tensor:
        """Zero: the parts are multiplied by what all experts say together."""
        return self.loc.new_zeros(())

    def multiplied(self, family: Any) -> TimesMixture:
        """Posterior family of what is still to be multiplied by this prior."""
        precision = (-2 * self.log_scale).exp()
        return TimesMixture(family, torch.cat([self.loc * precision, precision], dim=-1), self.log_weights)


@dataclass(frozen=True)
class TimesMixture:
    """Posterior family whose posteriors are products of normal densities and a mixture of normal densities.

    Parameters
    ----------
    family : NormalFamily
    parts : Tensor of shape (n_prior_parts, 2 * n_components)
        Natural parameters of the prior's parts.
    log_prior : Tensor of shape (n_prior_parts,)
        Logarithms of their weights.
    """

    family: Any
    parts: Tensor
    log_prior: Tensor

    def n_raw(self, n_components: int) -> int:
        return self.family.n_raw(n_components)

    def natural(self, raw: Tensor) -> Tensor:
        return self.family.natural(raw)

    def moments(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        return self.family.moments(natural)

    def natural_of(self, loc: Tensor, scale: Tensor) -> Tensor:
        return self.family.natural_of(loc, scale)

    def posterior(self, natural: Tensor, log_weights: Tensor | None) -> Any:
        """Posterior from what all experts say, (n_parts, ..., 2 * n_components).

        It has n_parts * n_prior_parts parts.
        """
        leading = [1] * (natural.ndim - 2)
        parts = self.parts.view(len(self.parts), *leading, -1)
        products = natural[:, None] + parts  # (C, P, ..., 2 * k)
        log_prior = self.log_prior.view(-1, *leading) - _log_normaliser(parts)
        weights = (log_prior + _log_normaliser(products)).log_softmax(1)
        if log_weights is not None:
            weights = weights + log_weights[:, None]
        return self.family.posterior(products.flatten(0, 1), weights.flatten(0, 1))


def _log_normaliser(natural: Tensor) -> Tensor:
    """Logarithm of the integral of exp(natural . (z, -z² / 2)), but for a constant."""
    weighted_mean, precision = natural.chunk(2, dim=-1)
    return 0.5 * (weighted_mean.square() / precision - precision.log()).sum(-1)


def _normal_log_prob(z: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
    return -0.5 * (((z - loc) * (-log_scale).exp()).square() + 2 * log_scale + LOG_2PI).sum(-1)


PRIORS: dict[str, Any] = {
    "normal": StandardNormal,
    "learned_normal": LearnedNormal,
    "mixture": NormalMixturePrior,
    "laplace": StandardLaplace,
    "sphere": UniformOnSpheres,
}
