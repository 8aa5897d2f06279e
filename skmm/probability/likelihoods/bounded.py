"""Likelihood of numbers from 0 to 1, such as grey values of images: continuous Bernoulli."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skmm.probability.likelihoods.contract import NUMBERS, Independent, Likelihood
from skmm.probability.likelihoods.numerics import marginal_moments

MOST_LOGIT = 200.0  # of either sign: a mean of 0.005, and a deviation of as much
MOST_START = 30.0  # logit at which training starts: constant columns must not run ahead
SMALL = 0.25  # half a logit below which power series are used
TINY_LOGIT = 1e-3  # below which quantiles are
N_NEWTON = 8


# power series in h^2 of f(h) / h, where f(h) = coth(h) - 1 / h, of the derivative of f, and of its integral
# log(sinh(h) / h), over h^2
MEAN = (1 / 3, -1 / 45, 2 / 945, -1 / 4725, 2 / 93555)
VARIANCE = (1 / 3, -1 / 15, 2 / 189, -1 / 675, 2 / 10395)
LOG_RATIO = (1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775)


def _series(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    total = torch.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def _half_langevin(half: Tensor) -> Tensor:
    """Mean less one half, of half a logit: (coth h - 1 / h) / 2."""
    series = half * _series(MEAN, half.square())
    large = torch.where(half.abs() < SMALL, 1.0, half)
    return 0.5 * torch.where(half.abs() < SMALL, series, 1 / large.tanh() - 1 / large)


def _variance(half: Tensor) -> Tensor:
    """Variance, of half a logit: (1 / h^2 - 1 / sinh(h)^2) / 4."""
    series = _series(VARIANCE, half.square())
    large = torch.where(half.abs() < SMALL, 1.0, half.abs())
    over_sinh = 2 * (-large).exp() / -(-2 * large).expm1()
    return 0.25 * torch.where(half.abs() < SMALL, series, large**-2 - over_sinh.square())


def _log_normaliser(half: Tensor) -> Tensor:
    """Logarithm of the integral of exp(2 h x) over x from 0 to 1."""
    size = half.abs()
    series = half.square() * _series(LOG_RATIO, half.square())
    large = torch.where(size < SMALL, 1.0, size)
    return half + torch.where(size < SMALL, series, large + ((-(-2 * large).expm1()) / (2 * large)).log())


@dataclass(frozen=True)
class IndependentContinuousBernoulli(Independent):
    r"""Features from 0 to 1 whose density is an exponential function, independent of each other.

    .. math:: p(x) = \frac{\eta}{e^\eta - 1} \, e^{\eta x}
    """

    logits: Tensor

    @property
    def mean(self) -> Tensor:
        return 0.5 + _half_langevin(self.logits / 2)

    @property
    def stddev(self) -> Tensor:
        return _variance(self.logits / 2).sqrt()

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        values = torch.where(observed, values, 0.0)
        return ((values * self.logits - _log_normaliser(self.logits / 2)) * observed).sum(-1)

    def sample(self) -> Tensor:
        return self.quantile(torch.rand_like(self.logits))

    def quantile(self, q: Tensor) -> Tensor:
        q, logits = torch.broadcast_tensors(q, self.logits)
        falling = -logits.abs()  # of rising densities it is one less the quantile from above
        q = torch.where(logits > 0, 1 - q, q)
        variance = q * (1 - q)
        series = q + falling * variance * (0.5 + falling * (1 - 2 * q) / 6)
        tiny = falling > -TINY_LOGIT
        large = torch.where(tiny, -1.0, falling)
        found = torch.where(tiny, series, (q * large.expm1()).log1p() / large).clamp(0.0, 1.0)
        return torch.where(logits > 0, 1 - found, found)


class ContinuousBernoulli(Likelihood):
    """Numbers from 0 to 1, such as grey values: Bernoulli's cross-entropy, made a density.

    Training with the cross-entropy alone, as of flags, gives no density of numbers between 0 and 1, and makes
    dark and light alike.

    Parameters
    ----------
    n_features : int

    References
    ----------
    .. [1] Loaiza-Ganem and Cunningham (2019), "The continuous Bernoulli: fixing a pervasive error in
       variational autoencoders", eq. 6 to 9.
    """

    name = "continuous_bernoulli"
    kinds = NUMBERS
    scaling = None
    centre: Tensor
    spread: Tensor
    offset: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(n_features))
        self.register_buffer("offset", torch.zeros(n_features))

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Match the mean, by Newton's method, with a row of one half added to those there are."""
        centre, spread = marginal_moments(values, observed)
        self.centre.copy_(centre)
        self.spread.copy_(spread)
        total = torch.where(observed, values, 0.0).double().sum(0)
        wanted = ((total + 0.5) / (observed.sum(0) + 1) - 0.5).clamp(-0.5, 0.5)
        half = 6 * wanted
        for _ in range(N_NEWTON):
            step = (_half_langevin(half) - wanted) / (2 * _variance(half))
            half = (half - step).clamp(-MOST_START / 2, MOST_START / 2)
        self.offset.copy_(2 * half)

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        return torch.where(observed, (values - self.centre) / self.spread, 0.0)

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        wrong = observed & ~((values >= 0) & (values <= 1))
        remedy = "Divide by the largest possible value, or use likelihood='normal'."
        self.reject(values, wrong, modality, labels, "numbers from 0 to 1", remedy)

    def forward(self, raw: Tensor) -> IndependentContinuousBernoulli:
        return IndependentContinuousBernoulli((raw + self.offset).clamp(-MOST_LOGIT, MOST_LOGIT))


BOUNDED = {"continuous_bernoulli": ContinuousBernoulli}
