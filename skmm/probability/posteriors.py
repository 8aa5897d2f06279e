"""Posterior families of the latent variables.

A family is a stateless object that knows its natural parameters, which add up where densities multiply:

``n_raw(n_components)``
    how many numbers an encoder must return,
``natural(raw)``
    an expert's natural parameters, from the encoder's output,
``posterior(natural, log_weights)``
    a posterior, always allowed to be a mixture, from parameters (n_parts, ..., n_natural).

To add one, write such a class here and name it in ``POSTERIORS``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skmm.probability.priors import StandardNormal

LOG_2PI = math.log(2 * math.pi)
MAX_LOG_PRECISION = 10.0  # of one expert: a scale of 0.7 % of the prior's


@dataclass(frozen=True)
class NormalMixture:
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
    def mean(self) -> Tensor:
        """Mean, (..., n_components)."""
        if self.log_weights is None:
            return self.loc[0]
        return (self.log_weights.exp()[..., None] * self.loc).sum(0)

    @property
    def stddev(self) -> Tensor:
        """Standard deviation of each component, (..., n_components)."""
        if self.log_weights is None:
            return self.scale[0]
        second = self.scale.square() + (self.loc - self.mean).square()
        return (self.log_weights.exp()[..., None] * second).sum(0).sqrt()

    def rsample(self, n_draws: int) -> Tensor:
        """Draw points with gradients to ``loc`` and ``scale``, (n_draws, ..., n_components).

        The parts are drawn systematically: each gives its share of the draws, up to one.
        """
        shape = (n_draws, *self.loc.shape[1:])
        noise = torch.randn(shape, device=self.loc.device, dtype=self.loc.dtype)
        if self.log_weights is None:
            return self.loc + self.scale * noise
        steps = torch.arange(n_draws, device=noise.device).view(-1, *[1] * (noise.ndim - 2))
        shift = torch.rand(self.loc.shape[1:-1], device=noise.device, dtype=noise.dtype)
        return self.at(noise, (steps + shift) / n_draws)

    def at(self, noise: Tensor, part: Tensor) -> Tensor:
        """Map standard normal noise (n_draws, ..., n_components) to points of the posterior.

        Parameters
        ----------
        noise : Tensor of shape (n_draws, ..., n_components)
        part : Tensor of shape (n_draws, ...)
            Numbers in [0, 1) that choose the part of the mixture.
        """
        if self.log_weights is None:
            return self.loc + self.scale * noise
        # in an order that the parts' own places settle: the same points whatever order the modalities have
        order = self.loc[..., 0].argsort(dim=0, stable=True)  # (C, ...)
        weights = self.log_weights.exp().gather(0, order)
        index = (part[:, None] >= weights.cumsum(0)[:-1]).sum(1)  # (K, ...)
        # rounding of the sum must not choose a part without weight
        index = torch.minimum(index, (weights > 0).long().cumsum(0).argmax(0))
        index = order.gather(0, index.expand(-1, *order.shape[1:]))
        index = index[..., None].expand(-1, *self.loc.shape[1:])
        return self.loc.gather(0, index) + self.scale.gather(0, index) * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of points (n_draws, ..., n_components): (n_draws, ...)."""
        if self.log_weights is None:
            return _normal_log_prob(z, self.loc, self.scale)
        parts = _normal_log_prob(z[:, None], self.loc, self.scale)  # (K, C, ...)
        return torch.logsumexp(parts + self.log_weights, dim=1)

    def kl(self, prior: nn.Module | NormalMixture) -> Tensor | None:
        """Kullback-Leibler divergence from the prior, (...,); None where it has no closed form."""
        if self.log_weights is not None:
            return None
        loc, scale = self.loc[0], self.scale[0]
        if isinstance(prior, StandardNormal):
            return 0.5 * (loc.square() + scale.square() - 1 - 2 * scale.log()).sum(-1)
        if isinstance(prior, NormalMixture) and prior.log_weights is None:
            ratio = scale / prior.scale[0]
            distance = (loc - prior.loc[0]) / prior.scale[0]
            return 0.5 * (distance.square() + ratio.square() - 1 - 2 * ratio.log()).sum(-1)
        return None

    def widened(self, factor: float) -> NormalMixture:
        """The same mixture with every standard deviation multiplied."""
        return replace(self, scale=self.scale * factor)

    def rows(self, index: slice | int) -> NormalMixture:
        """Take some rows, or the one draw of a mixture that has an axis of draws."""
        weights = None if self.log_weights is None else self.log_weights[:, index]
        return NormalMixture(self.loc[:, index], self.scale[:, index], weights)


def _normal_log_prob(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    return -0.5 * (((z - loc) / scale).square() + 2 * scale.log() + LOG_2PI).sum(-1)


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

    def posterior(self, natural: Tensor, log_weights: Tensor | None) -> NormalMixture:
        """Posterior from natural parameters (n_parts, ..., 2 * n_components)."""
        weighted_mean, precision = natural.chunk(2, dim=-1)
        return NormalMixture(weighted_mean / precision, precision.rsqrt(), log_weights)


POSTERIORS: dict[str, Any] = {"normal": NormalFamily}
POSTERIORS_OF_STEPS: dict[str, Any] = {"normal": partial(NormalFamily, relative=False)}
