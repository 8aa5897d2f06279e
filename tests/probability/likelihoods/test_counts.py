"""Likelihoods of counts: what is special about each."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from skmm.probability.likelihoods.count_distributions import _poisson_quantile
from skmm.probability.likelihoods.counts import (
    COUNTS,
    NegativeBinomial,
    Poisson,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
)

every_count = pytest.mark.parametrize("name", COUNTS)


def everything(values):
    return torch.ones_like(values, dtype=torch.bool)


@torch.no_grad()
def started(likelihood, values):
    likelihood.start(values, everything(values))
    return likelihood


def at_zero(likelihood):
    """The distribution that training starts with."""
    return likelihood(torch.zeros(1, likelihood.n_raw, dtype=torch.float64))


@every_count
def test_probabilities_sum_to_one(make, name):
    likelihood = make(name, n_features=1)
    counts = torch.arange(20_000, dtype=torch.float64)[:, None]
    raw = torch.randn(likelihood.n_raw, dtype=torch.float64).expand(len(counts), -1)
    log_pmf = likelihood(raw).log_prob(counts, everything(counts))
    assert log_pmf.exp().sum().item() == pytest.approx(1, abs=1e-6)


@every_count
def test_the_start_has_the_mean_of_the_rows(make, rows, name):
    values = rows(name, 4, None)
    likelihood = started(COUNTS[name](4).double(), values)
    torch.testing.assert_close(at_zero(likelihood).mean[0], values.mean(0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["zero_inflated_poisson", "zero_inflated_negative_binomial"])
def test_the_start_has_the_zeros_of_the_rows(rows, name):
    values = rows(name, 4, None)
    likelihood = started(COUNTS[name](4).double(), values)
    for j in range(4):
        one, count = torch.zeros(1, 4, dtype=torch.bool), torch.zeros(1, 4, dtype=torch.float64)
        one[0, j] = True
        share = at_zero(likelihood).log_prob(count, one).exp().item()
        # without surplus zeros at all, there is 1 % of them in the beginning
        assert share == pytest.approx((values[:, j] == 0).double().mean().item(), abs=0.02)


def test_the_start_has_the_variance_of_the_rows():
    values = torch.tensor(stats.nbinom(3, 0.2).rvs((5000, 1), random_state=np.random.RandomState(0))).double()
    distribution = at_zero(started(NegativeBinomial(1).double(), values))
    assert distribution.stddev.item() == pytest.approx(values.std().item(), rel=1e-3)


def test_the_start_where_counts_spread_less_than_poissons():
    values = torch.full((50, 1), 7.0)
    values[:10] = 8.0
    distribution = at_zero(started(NegativeBinomial(1).double(), values))
    assert distribution.stddev.item() == pytest.approx(math.sqrt(7.2), rel=0.05)


def test_all_zeros_start_at_half_a_count():
    likelihood = started(Poisson(1), torch.zeros(50, 1))
    assert at_zero(likelihood).mean.item() == pytest.approx(0.01)


def test_the_surplus_of_zeros_is_recovered():
    rng = np.random.RandomState(0)
    values = torch.tensor(rng.poisson(4.0, (20_000, 1)) * (rng.uniform(size=(20_000, 1)) > 0.3)).double()
    likelihood = started(ZeroInflatedPoisson(1).double(), values)
    assert likelihood.gate_offset.sigmoid().item() == pytest.approx(0.3, abs=0.01)
    assert likelihood.offset.exp().item() == pytest.approx(4.0, abs=0.05)
    values = torch.tensor(
        rng.negative_binomial(5, 0.2, (20_000, 1)) * (rng.uniform(size=(20_000, 1)) > 0.3)
    ).double()
    likelihood = started(ZeroInflatedNegativeBinomial(1).double(), values)
    assert likelihood.gate_offset.sigmoid().item() == pytest.approx(0.3, abs=0.02)
    assert likelihood.offset.exp().item() == pytest.approx(20.0, rel=0.03)
    assert likelihood.total_count.item() == pytest.approx(5.0, rel=0.1)


def test_many_failures_make_a_poisson_distribution():
    likelihood = NegativeBinomial(1)
    with torch.no_grad():
        likelihood.log_total_count.fill_(100.0)
    values, raw = torch.arange(6.0)[:, None], torch.full((6, 1), 0.7)
    expected = Poisson(1)(raw).log_prob(values, everything(values))
    torch.testing.assert_close(
        likelihood(raw).log_prob(values, everything(values)), expected, rtol=0, atol=2e-3
    )


def test_a_closed_gate_leaves_the_counts_alone():
    values, raw = torch.arange(6.0)[:, None], torch.full((6, 1), 0.7)
    inflated = ZeroInflatedPoisson(1)(torch.cat([raw, torch.full((6, 1), -60.0)], dim=-1))
    torch.testing.assert_close(
        inflated.log_prob(values, everything(values)), Poisson(1)(raw).log_prob(values, everything(values))
    )


@every_count
@pytest.mark.parametrize("log_mean", [-15.0, -3.0, 0.0, 2.0, 7.0, 14.0])
def test_quantiles_are_the_smallest_counts_that_reach_the_level(make, name, log_mean):
    likelihood = make(name, n_features=1)
    raw = torch.zeros(1, likelihood.n_raw, dtype=torch.float64)
    raw[0, 0] = log_mean
    distribution = likelihood(raw)
    total = likelihood.total_count.detach().numpy() if hasattr(likelihood, "total_count") else None
    mean = distribution.base.mean.numpy()
    base = stats.poisson(mean) if total is None else stats.nbinom(total, total / (total + mean))
    gate = 0.0 if distribution.gate is None else distribution.gate.sigmoid().item()
    for q in (1e-6, 0.03, 0.3, 0.5, 0.9, 0.999, 1 - 1e-6):
        count = distribution.quantile(torch.tensor(q, dtype=torch.float64)).item()
        assert count == round(count)
        assert gate + (1 - gate) * base.cdf(count).item() >= q * (1 - 1e-9)
        if count > 0:
            assert gate + (1 - gate) * base.cdf(count - 1).item() < q * (1 + 1e-9)


@every_count
def test_large_counts_in_single_precision(make, name):
    """Of 1e6: the factorials' logarithms are 1e7, and their difference is of order 1."""
    likelihood = make(name, n_features=1).float()
    values = torch.tensor([[999_000.0], [1_000_000.0], [1_001_000.0]])
    raw = torch.full((3, likelihood.n_raw), 0.0)
    raw[:, 0] = 13.8 - likelihood.offset
    actual = likelihood(raw).log_prob(values, everything(values)).detach()
    mean = likelihood(raw).base.mean.numpy()[:, 0]
    counts = values[:, 0].double().numpy()
    expected = stats.poisson(mean).logpmf(counts)
    if hasattr(likelihood, "total_count"):
        total = likelihood.total_count.item()
        expected = stats.nbinom(total, total / (total + mean)).logpmf(counts)
    if likelihood.n_raw == 2:
        expected = expected + torch.nn.functional.logsigmoid(-likelihood.gate_offset).item()
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("mean", [999.0, 1001.0, 12345.6, 1e6, 1e8])
def test_quantiles_of_large_means_are_exact(mean):
    """Where SciPy's own search takes ever longer."""
    q = np.r_[1e-12, 1e-6, np.linspace(0.001, 0.999, 500), 1 - 1e-6]
    found = _poisson_quantile(q, np.full(q.shape, mean))
    at_most = 1 if mean > 1e7 else 0  # SciPy's distribution function itself ends there
    np.testing.assert_allclose(found, stats.poisson.ppf(q, mean), rtol=0, atol=at_most)


def test_counts_beyond_what_probabilities_can_tell_apart():
    values = torch.tensor([[1e12], [1e13]], dtype=torch.float64)
    with pytest.raises(
        ValueError, match=r"'m' has a 'poisson' .*counts up to 1e.12 only.*'a' holds 1e.13.*'log_normal'"
    ):
        Poisson(1).check(values, torch.ones(2, 1, dtype=torch.bool), "m", ["a"])
