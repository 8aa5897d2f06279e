"""Posterior families of the latent variables.

A family is a stateless object that knows its natural parameters, which add up where densities multiply:

``n_raw(n_components)``
    how many numbers an encoder must return,
``natural(raw)``
    an expert's natural parameters, from the encoder's output,
``posterior(natural, log_weights)``
    a posterior, always allowed to be a mixture, from parameters (n_parts, ..., n_natural); see
    :class:`skmm.probability.mixtures.Mixture` for what it must be able to do.

A family may have ``moments(natural)`` and ``natural_of(loc, scale)``, which fusion rules that pool means and
deviations need, and a ``name``, which the priors that go with it give as their ``family``. To add one, write
such a class here and name it in ``POSTERIORS``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skmm.probability.implicit import with_gradients
from skmm.probability.mixtures import Mixture
from skmm.probability.priors import LearnedNormal, StandardLaplace, StandardNormal
from skmm.probability.spheres import VonMisesFisherFamily

LOG_2PI = math.log(2 * math.pi)
LOG_2 = math.log(2)
MAX_LOG_PRECISION = 10.0  # of one expert: a scale of 0.7 % of the prior's


@dataclass(frozen=True)
class NormalMixture(Mixture):
    """Mixture of normal densities with diagonal covariance; of one part, where nothing is mixed.

    Parameters
    ----------
    loc, scale : Tensor of shape (n_parts, ..., n_components)
        Mean and standard deviation of each part.
    log_weights : Tensor of shape (n_parts, ...) or None
        Logarithm of the weights, -inf for parts that do not count. None where there is one part.
    """

    loc: Tensor
    scale: Tensor
    log_weights: Tensor | None = None

    @property
    def part_mean(self) -> Tensor:
        return self.loc

    @property
    def part_variance(self) -> Tensor:
        return self.scale.square()

    @property
    def natural(self) -> Tensor:
        precision = self.scale**-2
        return torch.cat([self.loc * precision, precision], dim=-1)

    @property
    def stddev(self) -> Tensor:
        return self.scale[0] if self.log_weights is None else super().stddev

    def at(self, noise: Tensor, part: Tensor) -> Tensor:
        z = super().at(noise, part)
        if self.log_weights is None or not self.log_weights.requires_grad:
            return z
        # weights that are learned need gradients too, and choosing a part gives them none
        return with_gradients(z, self.loc, self.scale, self.log_weights)

    def _moved(self, noise: Tensor, index: Tensor | None) -> Tensor:
        parts = self._taken(index)
        return parts.loc + parts.scale * noise

    def _log_prob_of_parts(self, z: Tensor) -> Tensor:
        return -0.5 * (((z - self.loc) / self.scale).square() + 2 * self.scale.log() + LOG_2PI).sum(-1)

    def kl(self, prior: nn.Module | NormalMixture) -> Tensor | None:
        """Kullback-Leibler divergence from the prior, (...,); None where it has no closed form."""
        if self.log_weights is not None:
            return None
        loc, scale = self.loc[0], self.scale[0]
        if isinstance(prior, StandardNormal):
            return 0.5 * (loc.square() + scale.square() - 1 - 2 * scale.log()).sum(-1)
        if isinstance(prior, LearnedNormal):
            return _divergence(loc, scale, prior.loc, prior.scale)
        if isinstance(prior, NormalMixture) and prior.log_weights is None:
            return _divergence(loc, scale, prior.loc[0], prior.scale[0])
        return None

    def widened(self, factor: float) -> NormalMixture:
        """The same mixture with every standard deviation multiplied."""
        return replace(self, scale=self.scale * factor)


def _divergence(loc: Tensor, scale: Tensor, prior_loc: Tensor, prior_scale: Tensor) -> Tensor:
    ratio = scale / prior_scale
    distance = (loc - prior_loc) / prior_scale
    return 0.5 * (distance.square() + ratio.square() - 1 - 2 * ratio.log()).sum(-1)


@dataclass(frozen=True)
class LaplaceMixture(Mixture):
    """Mixture of Laplace densities with independent components; of one part, where nothing is mixed.

    Parameters
    ----------
    loc, scale : Tensor of shape (n_parts, ..., n_components)
        Mean of each part, and its mean absolute deviation.
    log_weights : Tensor of shape (n_parts, ...) or None
        Logarithm of the weights, -inf for parts that do not count. None where there is one part.
    """

    loc: Tensor
    scale: Tensor
    log_weights: Tensor | None = None

    @property
    def part_mean(self) -> Tensor:
        return self.loc

    @property
    def part_variance(self) -> Tensor:
        return 2 * self.scale.square()

    @property
    def natural(self) -> Tensor:
        precision = 1 / self.part_variance
        return torch.cat([self.loc * precision, precision], dim=-1)

    def _moved(self, noise: Tensor, index: Tensor | None) -> Tensor:
        parts = self._taken(index)
        # the quantile of the noise's level, from the tail on the same side, where nothing is rounded away
        return parts.loc - parts.scale * noise.sign() * (LOG_2 + torch.special.log_ndtr(-noise.abs()))

    def _log_prob_of_parts(self, z: Tensor) -> Tensor:
        return -((z - self.loc).abs() / self.scale + self.scale.log() + LOG_2).sum(-1)

    def kl(self, prior: nn.Module | LaplaceMixture) -> Tensor | None:
        """Kullback-Leibler divergence from the prior, (...,); None where it has no closed form."""
        if self.log_weights is not None:
            return None
        if isinstance(prior, StandardLaplace):
            other = LaplaceMixture(prior.loc[None], prior.scale[None])
        elif isinstance(prior, LaplaceMixture) and prior.log_weights is None:
            other = prior
        else:
            return None
        distance = (self.loc[0] - other.loc[0]).abs()
        ratio = self.scale[0] / other.scale[0]
        expected = distance / other.scale[0] + ratio * (-distance / self.scale[0]).exp()
        return (expected - ratio.log() - 1).sum(-1)

    def widened(self, factor: float) -> LaplaceMixture:
        """The same mixture with every deviation multiplied."""
        return replace(self, scale=self.scale * factor)


class NormalFamily:
    """Normal densities with diagonal covariance.

    Natural parameters are the precision-weighted mean and the precision: of a product of normal
    densities, both are the sums over its factors.

    Parameters
    ----------
    relative : bool, default=True
        Whether encoders return each mean in units of its standard deviation, or the mean itself; beside it
        the logarithm of the precision. Of tables, means themselves would let training sharpen an expert
        without touching its mean, and overfit images (completion error .95 against .84 on digits);
        precision-weighted means learn slowly. Along sequences, whose steps are told far more precisely by the
        steps before and after, means themselves learn faster.
    """

    name = "normal"

    def __init__(self, relative: bool = True) -> None:
        self.relative = relative

    def n_raw(self, n_components: int) -> int:
        """Two numbers per component."""
        return 2 * n_components

    def natural(self, raw: Tensor) -> Tensor:
        """Expert's natural parameters, (..., 2 * n_components)."""
        mean, log_precision = raw.chunk(2, dim=-1)
        log_precision = log_precision.clamp(-MAX_LOG_PRECISION, MAX_LOG_PRECISION)
        if self.relative:
            root = (0.5 * log_precision).exp()
            return torch.cat([mean * root, root.square()], dim=-1)
        precision = log_precision.exp()
        return torch.cat([mean * precision, precision], dim=-1)

    def moments(self, natural: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, both (..., n_components), of natural parameters."""
        weighted_mean, precision = natural.chunk(2, dim=-1)
        return weighted_mean / precision, precision.rsqrt()

    def natural_of(self, loc: Tensor, scale: Tensor) -> Tensor:
        """Natural parameters of mean and standard deviation, (..., 2 * n_components)."""
        precision = scale**-2
        return torch.cat([loc * precision, precision], dim=-1)

    def posterior(self, natural: Tensor, log_weights: Tensor | None) -> Mixture:
        """Posterior from natural parameters (n_parts, ..., 2 * n_components)."""
        loc, scale = self.moments(natural)
        return NormalMixture(loc, scale, log_weights)


class LaplaceFamily(NormalFamily):
    """Laplace densities with independent components: a sharp peak and heavy tails.

    A product of Laplace densities is none. Experts are therefore fused as normal densities of the same mean
    and variance, and what comes out, each part of it, is the Laplace density of the fused mean and variance.
    With nothing observed this is the standard Laplace prior, ``prior="laplace"``.

    Parameters
    ----------
    relative : bool, default=True
        As for :class:`NormalFamily`.

    References
    ----------
    .. [1] Shi et al. (2019), "Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative
       Models", sec. 4: Laplace posteriors and prior.
    """

    name = "laplace"

    def posterior(self, natural: Tensor, log_weights: Tensor | None) -> Mixture:
        """Posterior from natural parameters (n_parts, ..., 2 * n_components)."""
        loc, stddev = self.moments(natural)
        return LaplaceMixture(loc, stddev * math.sqrt(0.5), log_weights)


POSTERIORS: dict[str, Any] = {"normal": NormalFamily, "laplace": LaplaceFamily, "vmf": VonMisesFisherFamily}
POSTERIORS_OF_STEPS: dict[str, Any] = {"normal": partial(NormalFamily, relative=False)}
