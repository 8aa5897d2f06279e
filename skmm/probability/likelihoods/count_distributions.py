"""Poisson and negative binomial probabilities, in float64: in float32 factorials of large counts cancel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special
from torch import Tensor, nn

from skmm.probability.likelihoods.numerics import through_scipy

LARGE_MEAN = 1e3


@dataclass(frozen=True)
class PoissonCounts:
    """Poisson probabilities."""

    log_mean: Tensor

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        return self.log_mean.exp()

    def log_pmf(self, counts: Tensor) -> Tensor:
        return counts * self.log_mean - self.log_mean.exp() - torch.lgamma(counts + 1)

    def sample(self) -> Tensor:
        return torch.poisson(self.log_mean.exp())

    def quantile(self, q: Tensor) -> Tensor:
        return through_scipy(_poisson_quantile, self.log_mean, q, self.mean)


@dataclass(frozen=True)
class NegativeBinomialCounts:
    """Negative binomial probabilities by mean m and total count r: the variance is m + m^2 / r."""

    log_mean: Tensor
    total_count: Tensor

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        return self.mean + self.mean.square() / self.total_count

    def log_pmf(self, counts: Tensor) -> Tensor:
        r = self.total_count
        logits = self.log_mean - r.log()
        coefficient = torch.lgamma(counts + r) - torch.lgamma(r) - torch.lgamma(counts + 1)
        return counts * logits + (counts + r) * nn.functional.logsigmoid(-logits) + coefficient

    def sample(self) -> Tensor:
        unit = torch._standard_gamma(self.total_count.expand_as(self.log_mean))
        return torch.poisson(self.mean * unit / self.total_count)

    def quantile(self, q: Tensor) -> Tensor:
        return through_scipy(_negative_binomial_quantile, self.log_mean, q, self.mean, self.total_count)


def _poisson_quantile(q: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Exact below ``LARGE_MEAN``; beyond, SciPy's search takes ever longer, and an expansion is as good."""
    q, mean = np.broadcast_arrays(q, mean)
    large = mean > LARGE_MEAN
    out = np.empty(mean.shape)
    small_q, small_mean = q[~large], mean[~large]
    out[~large] = _smallest(
        special.pdtrik(small_q, small_mean),
        small_q,
        small_mean,
        small_mean,
        lambda k: special.pdtr(k, small_mean),
    )
    out[large] = _expanded_poisson_quantile(q[large], mean[large])
    return out


def _expanded_poisson_quantile(q: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Cornish and Fisher's expansion, then up or down by single counts: it is off by one at most."""
    normal = special.ndtri(np.clip(q, 1e-300, 1 - 1e-16))
    deviation = np.sqrt(mean)
    root = mean + deviation * normal + (normal**2 - 1) / 6 + (normal - normal**3) / (72 * deviation)
    count = np.maximum(np.ceil(root) - 2, 0.0)
    for _ in range(3):
        count += special.pdtr(count, mean) < q
    return np.where(q > 0, count, 0.0)


def _negative_binomial_quantile(q: np.ndarray, mean: np.ndarray, total: np.ndarray) -> np.ndarray:
    success = total / (total + mean)
    variance = mean + mean**2 / total
    return _smallest(
        special.nbdtrik(q, total, success),
        q,
        mean,
        variance,
        lambda k: special.betainc(total, k + 1, success),
    )


def _smallest(
    root: np.ndarray,
    q: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    distribution_function: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Smallest count whose distribution function reaches q, near the root of the continuous one."""
    # at counts of 1e12, SciPy's search fails now and then, and a normal approximation is as good
    root = np.where(np.isfinite(root), root, mean + np.sqrt(variance) * special.ndtri(q))
    upper = np.maximum(np.ceil(root), 0.0)
    lower = np.maximum(upper - 1, 0.0)
    smallest = np.where(distribution_function(lower) >= q, lower, upper)
    return np.where(
        q > 0, smallest, 0.0
    )  # a level of 0, as of surplus zeros, has a root anywhere in the tail
