"""Likelihoods of any number: normal, with noise that varies or is correlated, Student's t, Laplace."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy import special
from torch import Tensor, nn

from skmm._blocks.masks import as_numbers, masked
from skmm.probability.likelihoods.contract import Independent, LearnedScale, Likelihood
from skmm.probability.likelihoods.low_rank import LowRankNormal
from skmm.probability.likelihoods.numerics import (
    NOISE_FLOOR,
    between,
    into,
    marginal_quantile,
    through_scipy,
)

LOG_2PI = math.log(2 * math.pi)
LEAST_DF, MOST_DF = 2.1, 1e3  # a variance exists above 2; far below 1000, a t distribution is a normal one
LEAST_START = 0.05  # scale in standardised units at which training starts at least
MOST_LOG_RATIO = 5.0  # of a scale that depends on the latent variable to the one at raw = 0


@dataclass(frozen=True)
class IndependentNormal(Independent):
    """Normal features, independent of each other."""

    loc: Tensor
    scale: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale.expand_as(self.loc)

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        deviation = masked(values - self.loc, observed)
        constant = self.scale.log() + 0.5 * LOG_2PI
        known = as_numbers(observed, constant.dtype)
        if self.scale.ndim == 1:  # the same for all rows: sums over features are products
            return -0.5 * (deviation.square() @ self.scale**-2) - known @ constant
        return -((0.5 * (deviation / self.scale).square() + constant) * known).sum(-1)

    def sample(self) -> Tensor:
        return self.loc + self.scale * torch.randn_like(self.loc)

    def quantile(self, q: Tensor) -> Tensor:
        return self.loc + self.scale * torch.special.ndtri(q)


@dataclass(frozen=True)
class IndependentStudentT(Independent):
    """Features with Student's t distributions, independent of each other."""

    df: Tensor
    loc: Tensor
    scale: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return (self.scale * (self.df / (self.df - 2)).sqrt()).expand_as(self.loc)

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        squared = (masked(values - self.loc, observed) / self.scale).square()
        half = self.df.double() / 2  # the logarithms of two large factorials cancel in float32
        constant = torch.lgamma(half + 0.5) - torch.lgamma(half) - 0.5 * (2 * math.pi * half).log()
        constant = constant.to(squared.dtype) - self.scale.log()
        return ((constant - (self.df + 1) / 2 * (squared / self.df).log1p()) * observed).sum(-1)

    def sample(self) -> Tensor:
        return torch.distributions.StudentT(self.df, self.loc, self.scale, validate_args=False).sample()

    def quantile(self, q: Tensor) -> Tensor:
        return self.loc + self.scale * through_scipy(special.stdtrit, self.loc, self.df, q)


@dataclass(frozen=True)
class IndependentLaplace(Independent):
    """Features with Laplace distributions, independent of each other."""

    loc: Tensor
    scale: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return (math.sqrt(2) * self.scale).expand_as(self.loc)

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        distance = masked(values - self.loc, observed).abs() / self.scale
        return -((distance + (2 * self.scale).log()) * observed).sum(-1)

    def sample(self) -> Tensor:
        up, down = torch.empty_like(self.loc).exponential_(), torch.empty_like(self.loc).exponential_()
        return self.loc + self.scale * (up - down)

    def quantile(self, q: Tensor) -> Tensor:
        tail = torch.minimum(q, 1 - q)
        return self.loc - self.scale * torch.sign(q - 0.5) * (2 * tail).log()


class Normal(LearnedScale):
    """Normal noise with one learned scale per feature.

    Parameters
    ----------
    n_features : int
    """

    name = "normal"
    is_real = True

    def forward(self, raw: Tensor) -> IndependentNormal:
        return IndependentNormal(raw, self.scale)


class HeteroscedasticNormal(Likelihood):
    """Normal noise whose scale depends on the latent variable, within bounds.

    Parameters
    ----------
    n_features : int
    """

    name = "heteroscedastic_normal"
    is_real = True

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.n_raw = 2 * n_features

    def forward(self, raw: Tensor) -> IndependentNormal:
        loc, log_scale = raw.chunk(2, dim=-1)
        bounded = MOST_LOG_RATIO * (log_scale / MOST_LOG_RATIO).tanh()
        return IndependentNormal(loc, NOISE_FLOOR + bounded.exp())


class StudentT(LearnedScale):
    """Student's t noise: outliers have a bounded pull. One learned scale and tail per feature.

    Parameters
    ----------
    n_features : int
    """

    name = "student_t"
    is_real = True
    offset: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("offset", torch.zeros(n_features))
        self.log_df = nn.Parameter(torch.zeros(n_features))

    @property
    def df(self) -> Tensor:
        """Degrees of freedom, (n_features,)."""
        return between(self.log_df, LEAST_DF, MOST_DF)

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Match the median and the quartiles; the tails make up for what is left of the deviation, 1."""
        first, median, third = (marginal_quantile(values, observed, q) for q in (0.25, 0.5, 0.75))
        half = (third - first).double() / 2
        squared_scale = (half / 0.6745).square().clamp_max(0.95)
        df = (2 / (1 - squared_scale)).clamp(3.0, 30.0)
        scale = half / through_scipy(lambda df: special.stdtrit(df, 0.75), df, df)
        self.offset.copy_(median)
        self.log_df.copy_(into(df, LEAST_DF, MOST_DF))
        self.log_scale.copy_((scale - NOISE_FLOOR).clamp_min(LEAST_START).log())

    def forward(self, raw: Tensor) -> IndependentStudentT:
        return IndependentStudentT(self.df, raw + self.offset, self.scale)


class Laplace(LearnedScale):
    """Laplace noise with one learned scale per feature: the decoder learns medians.

    Parameters
    ----------
    n_features : int
    """

    name = "laplace"
    is_real = True
    offset: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("offset", torch.zeros(n_features))

    def start(self, values: Tensor, observed: Tensor) -> None:
        median = marginal_quantile(values, observed, 0.5)
        distance = torch.where(observed, values - median, 0.0).abs().sum(0) / observed.sum(0).clamp_min(1)
        self.offset.copy_(median)
        self.log_scale.copy_((distance - NOISE_FLOOR).clamp_min(LEAST_START).log())

    def forward(self, raw: Tensor) -> IndependentLaplace:
        return IndependentLaplace(raw + self.offset, self.scale)


CONTINUOUS = {
    "normal": Normal,
    "heteroscedastic_normal": HeteroscedasticNormal,
    "low_rank_normal": LowRankNormal,
    "student_t": StudentT,
    "laplace": Laplace,
}
