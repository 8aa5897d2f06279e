"""Likelihoods of any number and of positive ones: what is special about each."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from skmm.probability.likelihoods.continuous import HeteroscedasticNormal, Laplace, Normal, StudentT
from skmm.probability.likelihoods.positive import Gamma, LogNormal


def everything(values):
    return torch.ones_like(values, dtype=torch.bool)


@torch.no_grad()
def started(likelihood, values):
    likelihood.start(values, everything(values))
    return likelihood


def test_normal_noise_does_not_shrink_to_nothing():
    """A feature that can be copied must not drive the density to infinity."""
    likelihood = Normal(1)
    with torch.no_grad():
        likelihood.log_scale.fill_(-100.0)
    assert likelihood.scale.item() > 1e-4
    assert likelihood(torch.zeros(1, 1)).log_prob(torch.zeros(1, 1), torch.tensor([[True]])).item() < 10


def test_normal_starts_as_it_is_made():
    """Its columns are standardised: there is nothing to learn from them."""
    likelihood = started(Normal(2), torch.randn(50, 2) * 3)
    assert [*likelihood.state_dict()] == ["log_scale"]
    assert likelihood.log_scale.tolist() == [0.0, 0.0]


def test_heteroscedastic_noise_follows_the_decoder_within_bounds():
    raw = torch.tensor([[0.0, -1e4], [0.0, -1.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1e4]])
    stddev = HeteroscedasticNormal(1)(raw).stddev[:, 0]
    expected = [0.01 + math.exp(5 * math.tanh(x / 5)) for x in raw[:, 1].tolist()]
    np.testing.assert_allclose(stddev, expected, rtol=1e-5)


class TestStudentT:
    def test_start_at_median_and_quartiles(self):
        values = torch.tensor(stats.t(4, 0.5, 0.6).rvs((20_000, 1), random_state=np.random.RandomState(0)))
        likelihood = started(StudentT(1).double(), values)
        distribution = likelihood(torch.zeros(1, 1, dtype=torch.float64))
        for q in (0.25, 0.5, 0.75):
            expected = np.quantile(values, q)
            np.testing.assert_allclose(distribution.quantile(torch.tensor(q)).item(), expected, atol=0.02)

    def test_start_is_not_moved_by_outliers(self):
        values = torch.randn(1000, 1)
        values[:20] = 1e6
        values = (values - values.mean()) / values.std()
        likelihood = started(StudentT(1), values)
        assert likelihood.offset.item() == pytest.approx(values.median().item())
        assert likelihood.scale.item() < 0.07
        assert 2.1 < likelihood.df.item() < 3.5

    def test_many_degrees_of_freedom_are_normal(self):
        likelihood = StudentT(1)
        with torch.no_grad():
            likelihood.log_df.fill_(50.0)
        values = torch.linspace(-3, 3, 7)[:, None]
        expected = stats.norm(0, 1.01).logpdf(values[:, 0])
        actual = likelihood(torch.zeros(7, 1)).log_prob(values, everything(values)).detach()
        np.testing.assert_allclose(actual, expected, atol=0.02)

    def test_an_outlier_pulls_with_bounded_force(self):
        raw = torch.zeros(2, 1, requires_grad=True)
        values = torch.tensor([[3.0], [1e6]])
        StudentT(1)(raw).log_prob(values, everything(values)).sum().backward()
        assert abs(raw.grad[1].item()) < abs(raw.grad[0].item())


def test_laplace_starts_at_the_likeliest_parameters():
    values = torch.randn(1001, 2).exp()
    likelihood = started(Laplace(2), values)
    loc, scale = zip(*(stats.laplace.fit(values[:, j].numpy()) for j in range(2)), strict=True)
    np.testing.assert_allclose(likelihood.offset, loc, rtol=1e-5)
    np.testing.assert_allclose(likelihood.scale.detach(), scale, rtol=1e-5)


def test_log_normal_is_a_normal_distribution_of_logarithms():
    values = (3 + 0.2 * torch.randn(500, 2, dtype=torch.float64)).exp()
    likelihood = started(LogNormal(2).double(), values)
    logs = values.log()
    normal, raw = Normal(2).double(), torch.randn(500, 2, dtype=torch.float64)
    standardised = (logs - logs.mean(0)) / logs.std(0, correction=0)
    torch.testing.assert_close(likelihood.features(values, everything(values)), standardised)
    expected = normal(raw).log_prob(standardised, everything(values)) - (
        logs.std(0, correction=0).log() + logs
    ).sum(-1)
    torch.testing.assert_close(likelihood(raw).log_prob(values, everything(values)), expected)


class TestGamma:
    def test_start_is_close_to_the_likeliest_parameters(self):
        rng = np.random.RandomState(0)
        for concentration in (0.3, 1.0, 8.0, 300.0):
            values = rng.gamma(concentration, 2.0, (5000, 1))
            likelihood = started(Gamma(1).double(), torch.tensor(values))
            expected, _, _ = stats.gamma.fit(values, floc=0)
            np.testing.assert_allclose(likelihood.concentration.item(), expected, rtol=0.02)
            mean = likelihood(torch.zeros(1, 1, dtype=torch.float64)).mean.item()
            np.testing.assert_allclose(mean, values.mean(), rtol=1e-5)

    def test_the_coefficient_of_variation_has_a_floor(self):
        likelihood = Gamma(1)
        with torch.no_grad():
            likelihood.log_concentration.fill_(1e3)
        distribution = likelihood(torch.ones(1, 1))
        assert (distribution.stddev / distribution.mean).item() == pytest.approx(0.01, rel=1e-4)

    def test_single_precision_at_the_floor(self):
        """Where terms of 1e5 cancel."""
        likelihood = Gamma(1)
        with torch.no_grad():
            likelihood.log_concentration.fill_(1e3)
        values = 100 * torch.tensor([[0.97], [1.0], [1.001], [1.03]])
        actual = likelihood(torch.full((4, 1), math.log(100))).log_prob(values, everything(values))
        expected = stats.gamma(1e4, scale=1e-2).logpdf(values[:, 0].double())
        np.testing.assert_allclose(actual.detach(), expected, atol=5e-3)


@pytest.mark.parametrize("maker", [LogNormal, Gamma])
def test_values_that_single_precision_rounds_to_zero_are_positive_all_the_same(maker):
    likelihood = maker(1)
    values = torch.tensor([[0.0], [1e-45], [1.0]])
    assert likelihood.features(values, everything(values)).isfinite().all()
    assert likelihood(torch.zeros(3, 1)).log_prob(values, everything(values)).isfinite().all()
    assert all(value.isfinite().all() for value in started(likelihood, values).state_dict().values())
