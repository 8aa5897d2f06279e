"""Likelihoods of counts: Poisson and negative binomial, with and without surplus zeros."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skmm.probability.likelihoods.contract import Independent, Likelihood
from skmm.probability.likelihoods.count_distributions import NegativeBinomialCounts, PoissonCounts
from skmm.probability.likelihoods.numerics import between, into, marginal_moments

LEAST_LOG_MEAN, MOST_LOG_MEAN = -20.0, 30.0
MOST = 1e12  # where neighbouring counts can be told apart in float64 probabilities, and means are not clamped
LEAST_TOTAL, MOST_TOTAL = 1e-2, 1e4  # beyond, a negative binomial distribution is a Poisson distribution
LEAST_GATE, MOST_GATE = 0.01, 0.99  # share of surplus zeros at which training starts


@dataclass(frozen=True)
class IndependentCounts(Independent):
    """Counts, independent of each other, with surplus zeros if there is a gate.

    Parameters
    ----------
    base : PoissonCounts or NegativeBinomialCounts
    gate : Tensor of shape (..., n_features) or None
        Log-odds of a surplus zero.
    dtype : dtype
        Of results.
    """

    base: PoissonCounts | NegativeBinomialCounts
    gate: Tensor | None
    dtype: torch.dtype

    @property
    def mean(self) -> Tensor:
        mean = self.base.mean
        return (mean if self.gate is None else (-self.gate).sigmoid() * mean).to(self.dtype)

    @property
    def stddev(self) -> Tensor:
        variance = self.base.variance
        if self.gate is not None:
            surplus = self.gate.sigmoid() * self.base.mean.square()
            variance = (-self.gate).sigmoid() * (variance + surplus)
        return variance.sqrt().to(self.dtype)

    def log_prob(self, values: Tensor, observed: Tensor) -> Tensor:
        counts = torch.where(observed, values, 0.0).double()
        log_pmf = self.base.log_pmf(counts)
        if self.gate is not None:
            with_surplus = torch.where(counts == 0, torch.logaddexp(self.gate, log_pmf), log_pmf)
            log_pmf = with_surplus + nn.functional.logsigmoid(-self.gate)
        return (log_pmf * observed).sum(-1).to(self.dtype)

    def sample(self) -> Tensor:
        counts = self.base.sample()
        if self.gate is not None:
            counts = torch.where(torch.rand_like(self.gate) < self.gate.sigmoid(), 0.0, counts)
        return counts.to(self.dtype)

    def quantile(self, q: Tensor) -> Tensor:
        q = q.double()
        if self.gate is not None:
            q = (1 - (1 - q) / (-self.gate).sigmoid()).clamp_min(0.0)
        return self.base.quantile(q).to(self.dtype)


class Poisson(Likelihood):
    """Poisson counts; the decoder gives the logarithm of the mean. The encoder sees logarithms.

    Parameters
    ----------
    n_features : int
    """

    name = "poisson"
    scaling = None
    offset: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("offset", torch.zeros(n_features))  # logarithm of the mean of the training rows
        self.register_buffer("centre", torch.zeros(n_features))  # of log1p of the training rows
        self.register_buffer("spread", torch.ones(n_features))

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Match the mean; half a count stands in for none."""
        centre, spread = marginal_moments(torch.where(observed, values, 0.0).log1p(), observed)
        self.centre.copy_(centre)
        self.spread.copy_(spread)
        self.offset.copy_(_mean(values, observed).log())

    def features(self, values: Tensor, observed: Tensor) -> Tensor:
        logs = torch.where(observed, values, 0.0).log1p()
        return torch.where(observed, (logs - self.centre) / self.spread, 0.0)

    def check(self, values: Tensor, observed: Tensor, modality: Hashable, labels: Sequence[Hashable]) -> None:
        whole = "whole numbers of at least 0"
        remedy = "Correct the values, or use likelihood='normal'."
        self.reject(values, observed & (values < 0), modality, labels, whole, remedy)
        remedy = "Round the values first, or use another likelihood such as 'normal'."
        self.reject(values, observed & (values != values.round()), modality, labels, whole, remedy)
        remedy = "Use a likelihood of large numbers, such as 'log_normal' or 'normal'."
        self.reject(values, observed & (values > MOST), modality, labels, f"counts up to {MOST:.0e}", remedy)

    def forward(self, raw: Tensor) -> IndependentCounts:
        return IndependentCounts(self._counts(self._log_mean(raw)), None, raw.dtype)

    def _counts(self, log_mean: Tensor) -> PoissonCounts | NegativeBinomialCounts:
        """Distribution of the counts without surplus zeros."""
        return PoissonCounts(log_mean)

    def _log_mean(self, raw: Tensor) -> Tensor:
        return (raw.double() + self.offset).clamp(LEAST_LOG_MEAN, MOST_LOG_MEAN)


class NegativeBinomial(Poisson):
    """Counts that vary more than Poisson's, with one learned total count per feature.

    Parameters
    ----------
    n_features : int
    """

    name = "negative_binomial"

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.log_total_count = nn.Parameter(torch.zeros(n_features))

    @property
    def total_count(self) -> Tensor:
        """Squared mean over the variance in excess of the mean, (n_features,), in float64."""
        return between(self.log_total_count.double(), LEAST_TOTAL, MOST_TOTAL)

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Match mean and variance."""
        super().start(values, observed)
        self._start_total_count(values, observed)

    def _start_total_count(self, values: Tensor, observed: Tensor) -> None:
        self.log_total_count.copy_(into(_total_count(values, observed), LEAST_TOTAL, MOST_TOTAL))

    def _counts(self, log_mean: Tensor) -> NegativeBinomialCounts:
        return NegativeBinomialCounts(log_mean, self.total_count)


class ZeroInflated(Poisson):
    """Counts, some of them replaced by zeros; the decoder also gives the log-odds of that.

    Parameters
    ----------
    n_features : int
    """

    gate_offset: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.n_raw = 2 * n_features
        self.register_buffer("gate_offset", torch.full((n_features,), math.log(LEAST_GATE)))

    def start(self, values: Tensor, observed: Tensor) -> None:
        """Match the mean and the share of zeros, beside what the counts match without surplus zeros."""
        super().start(values, observed)
        gate = _surplus_zeros(values, observed, self._counts)
        self.gate_offset.copy_(gate.logit())
        self.offset.sub_((1 - gate).log())

    def forward(self, raw: Tensor) -> IndependentCounts:
        log_mean, gate = raw.double().chunk(2, dim=-1)
        return IndependentCounts(self._counts(self._log_mean(log_mean)), gate + self.gate_offset, raw.dtype)


class ZeroInflatedPoisson(ZeroInflated):
    """Poisson counts, some of them replaced by zeros; the decoder also gives the log-odds of that.

    Parameters
    ----------
    n_features : int
    """

    name = "zero_inflated_poisson"


class ZeroInflatedNegativeBinomial(ZeroInflated, NegativeBinomial):
    """Negative binomial counts, some of them replaced by zeros; the decoder also gives the log-odds of that.

    Parameters
    ----------
    n_features : int
    """

    name = "zero_inflated_negative_binomial"

    def _start_total_count(self, values: Tensor, observed: Tensor) -> None:
        """From the counts that are no zeros, surplus or not."""
        super()._start_total_count(values, observed & (values > 0))


def _mean(values: Tensor, observed: Tensor) -> Tensor:
    """Mean count of each column, above 0, in float64; 1 where nothing was observed."""
    count = observed.sum(0)
    total = torch.where(observed, values, 0.0).double().sum(0)
    return torch.where(count > 0, total.clamp_min(0.5) / count.clamp_min(1), 1.0)


def _total_count(values: Tensor, observed: Tensor) -> Tensor:
    """Total count that gives the variance of each column's observed entries, from 0.1 to 100."""
    mean, stddev = marginal_moments(values, observed)
    return (mean.square() / (stddev.square() - mean).clamp_min(1e-6)).clamp(0.1, 100.0)


def _surplus_zeros(
    values: Tensor, observed: Tensor, counts: Callable[[Tensor], PoissonCounts | NegativeBinomialCounts]
) -> Tensor:
    """Share of surplus zeros, per column, that explains the zeros at the mean that was observed.

    Parameters
    ----------
    values, observed : Tensor of shape (n, n_features)
    counts : callable
        Maps the logarithm of the mean of the counts without surplus zeros to their distribution.
    """
    mean = _mean(values, observed)
    zeros = (observed & (values == 0)).sum(0) / observed.sum(0).clamp_min(1)
    low, high = torch.full_like(mean, LEAST_GATE), torch.full_like(mean, MOST_GATE)
    for _ in range(50):  # the more surplus zeros, the more zeros, at the same mean: bisection
        gate = (low + high) / 2
        zero_probability = counts((mean / (1 - gate)).log()).log_pmf(torch.zeros_like(mean)).exp()
        expected = gate + (1 - gate) * zero_probability
        low, high = torch.where(expected < zeros, gate, low), torch.where(expected < zeros, high, gate)
    return (low + high) / 2


COUNTS = {
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "zero_inflated_poisson": ZeroInflatedPoisson,
    "zero_inflated_negative_binomial": ZeroInflatedNegativeBinomial,
}
