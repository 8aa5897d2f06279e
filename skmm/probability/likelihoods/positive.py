"""Likelihoods of positive numbers: log-normal and gamma."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from scipy import special
from torch import Tensor, nn

from skmm.probability.likelihoods.contract import Independent, Likelihood
from skmm.probability.likelihoods.numerics import (
    NOISE_FLOOR,
    between,
    into,
    marginal_moments,
    through_scipy,
)

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
TINY = 1e-37  # what float32 rounds to 0 has a logarithm all the same
MOST_LOG = 40.0  # beyond, the square of a number overflows in float32
MOST_LOG_MEAN = 20.0  # of gamma: 5e8 standard deviations
LEAST_CONCENTRATION, MOST_CONCENTRATION = 1e-2, 1e4  # a coefficient of variation of 10 and of 0.01


def _exp(x: Tensor) -> Tensor:
    """Exponential function that stays positive and has a finite square."""
    return x.clamp(-80.0, MOST_LOG).exp()


@dataclass(frozen=True)
class IndependentLogNormal(Independent):
    """Features with normal logarithms of mean ``loc`` and deviation ``scale``, independent of each other."""

    loc: Tensor
    scale: Tensor

    @property
    def mean(self) -> Tensor:
        return _exp(self.loc + self.scale.square() / 2)

    @property
    def stddev(self) -> Tensor:
        variance = self.scale.square()
        # log of sqrt(exp(variance) - 1), which itself may overflow
        log_ratio = (variance + (-torch.expm1(-variance)).log()) / 2
        return _exp(self.loc + variance / 2 + log_ratio)

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        log_values = torch.where(observed, values, 1.0).clamp_min(TINY).log()
        squared = (torch.where(observed, log_values - self.loc, 0.0) / self.scale).square()
        return -((0.5 * squared + (log_values + self.scale.log() + HALF_LOG_2PI)) * observed).sum(-1)

    def sample(self) -> Tensor:
        return _exp(self.loc + self.scale * torch.randn_like(self.loc))

    def quantile(self, q: Tensor) -> Tensor:
        return _exp(self.loc + self.scale * torch.special.ndtri(q))


@dataclass(frozen=True)
class IndependentGamma(Independent):
    """Features with gamma distributions, independent of each other, by concentration and mean."""

    concentration: Tensor
    log_mean: Tensor

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def stddev(self) -> Tensor:
        return self.mean / self.concentration.sqrt()

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        log_values = torch.where(observed, values, 1.0).clamp_min(TINY).log()
        ratio = torch.where(observed, log_values - self.log_mean, 0.0)
        # a log a - log gamma(a) - a: terms of 1e5 cancel
        a = self.concentration.double()
        constant = (torch.xlogy(a, a) - torch.lgamma(a) - a).to(ratio.dtype)
        log_density = self.concentration * (ratio - ratio.expm1()) + (constant - log_values)
        return (log_density * observed).sum(-1)

    def sample(self) -> Tensor:
        unit = torch._standard_gamma(self.concentration.expand_as(self.log_mean))
        return (self.mean * unit / self.concentration).clamp_min(TINY)

    def quantile(self, q: Tensor) -> Tensor:
        unit = through_scipy(special.gammaincinv, self.log_mean, self.concentration, q)
        return (self.mean * unit / self.concentration).clamp_min(TINY)


class Positive(Likelihood):
    """What likelihoods of positive numbers share: the encoder sees standardised logarithms.

    Parameters
    ----------
    n_features : int
    """

    kinds = frozenset({"continuous"})
    scaling = "scale"
    centre: Tensor
    spread: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("centre", torch.zeros(n_features))  # of the logarithms of the training rows
        self.register_buffer("spread", torch.ones(n_features))

    def start(self, values: Tensor, observed: Tensor) -> None:
        logs = torch.where(observed, values, 1.0).clamp_min(TINY).log()
        centre, spread = marginal_moments(logs, observed)
        self.centre.copy_(centre)
        self.spread.copy_(spread)

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        logs = torch.where(observed, values, 1.0).clamp_min(TINY).log()
        return torch.where(observed, (logs - self.centre) / self.spread, 0.0)

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        remedy = (
            "Correct the values, or use likelihood='normal'. Where 0 means none at all, keep a column of "
            "flags for that, and put NaN here."
        )
        self.reject(values, observed & (values <= 0), modality, labels, "numbers above 0", remedy)


class LogNormal(Positive):
    """Logarithms with normal noise, one learned scale per feature: error in proportion to the value.

    Parameters
    ----------
    n_features : int
    """

    name = "log_normal"

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.log_scale = nn.Parameter(torch.zeros(n_features))

    @property
    def scale(self) -> Tensor:
        """Standard deviation of the noise of the logarithm, (n_features,)."""
        return self.spread * (NOISE_FLOOR + self.log_scale.exp())

    def forward(self, raw: Tensor) -> IndependentLogNormal:
        return IndependentLogNormal(self.centre + self.spread * raw, self.scale)


class Gamma(Positive):
    """Gamma noise with one learned concentration per feature; the decoder gives the logarithm of the mean.

    Parameters
    ----------
    n_features : int
    """

    name = "gamma"
    offset: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("offset", torch.zeros(n_features))  # logarithm of the mean of the training rows
        self.log_concentration = nn.Parameter(torch.zeros(n_features))

    @property
    def concentration(self) -> Tensor:
        """One over the square of the coefficient of variation, (n_features,)."""
        return between(self.log_concentration, LEAST_CONCENTRATION, MOST_CONCENTRATION)

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Match the mean, and the mean logarithm as closely as the approximation of [1]_ does.

        References
        ----------
        .. [1] Minka (2002), "Estimating a Gamma distribution".
        """
        super().start(values, observed)
        mean = marginal_moments(torch.where(observed, values, 1.0).clamp_min(TINY), observed)[0]
        log_mean = torch.where(observed.any(0), mean, 1.0).log()
        gap = (log_mean - self.centre.double()).clamp_min(1e-6)
        concentration = (3 - gap + ((gap - 3).square() + 24 * gap).sqrt()) / (12 * gap)
        self.offset.copy_(log_mean)
        self.log_concentration.copy_(into(concentration, LEAST_CONCENTRATION, MOST_CONCENTRATION))

    def forward(self, raw: Tensor) -> IndependentGamma:
        log_mean = (raw + self.offset).clamp(-MOST_LOG_MEAN, MOST_LOG_MEAN)
        return IndependentGamma(self.concentration, log_mean)


POSITIVE = {"log_normal": LogNormal, "gamma": Gamma}
