"""Correlated noise: densities and conditionals are those of SciPy's multivariate normal distribution."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from skmm.probability.likelihoods.low_rank import LowRankNormal

MASKS = torch.tensor(list(itertools.product([False, True], repeat=4)))


def covariance_of(likelihood):
    factor, scale = likelihood.factor.detach().numpy(), likelihood.scale.detach().numpy()
    return np.diag(scale**2) + factor @ factor.T


@pytest.fixture
def likelihood():
    likelihood = LowRankNormal(4, rank=2).double()
    with torch.no_grad():
        likelihood.log_scale.normal_(std=0.5)
        likelihood.factor.normal_()
    return likelihood


def test_log_prob_under_every_mask(likelihood):
    covariance = covariance_of(likelihood)
    loc = torch.randn(3, 16, 4, dtype=torch.float64)
    values = torch.randn(16, 4, dtype=torch.float64)
    actual = likelihood(loc).log_prob(values, MASKS)
    for k, (row, mask) in itertools.product(range(3), enumerate(MASKS.numpy())):
        expected = 0.0
        if mask.any():
            marginal = stats.multivariate_normal(loc[k, row, mask], covariance[np.ix_(mask, mask)])
            expected = marginal.logpdf(values[row, mask])
        np.testing.assert_allclose(actual[k, row].item(), expected, rtol=1e-10, atol=1e-12)


def conditional(covariance, loc, values, mask):
    """Mean and covariance of the features that are not observed, by the textbook's formula."""
    weights = covariance[np.ix_(~mask, mask)] @ np.linalg.inv(covariance[np.ix_(mask, mask)])
    mean = loc[~mask] + weights @ (values[mask] - loc[mask])
    return mean, covariance[np.ix_(~mask, ~mask)] - weights @ covariance[np.ix_(mask, ~mask)]


def test_given_under_every_mask(likelihood):
    covariance = covariance_of(likelihood)
    loc = torch.randn(3, 16, 4, dtype=torch.float64)
    values = torch.randn(16, 4, dtype=torch.float64)
    given = likelihood(loc).given(values, MASKS)
    mean, stddev = given.mean.detach().numpy(), given.stddev.detach().numpy()
    quantile = given.quantile(torch.tensor(0.9, dtype=torch.float64)).detach().numpy()
    rest = torch.randn(16, 4, dtype=torch.float64)
    density = given.log_prob(rest, ~MASKS).detach().numpy()
    assert mean.shape == stddev.shape == (3, 16, 4)
    for k, (row, mask) in itertools.product(range(3), enumerate(MASKS.numpy()[:-1])):
        expected, spread = conditional(covariance, loc[k, row].numpy(), values[row].numpy(), mask)
        np.testing.assert_allclose(mean[k, row, ~mask], expected, rtol=1e-10)
        np.testing.assert_allclose(stddev[k, row, ~mask], np.sqrt(np.diag(spread)), rtol=1e-10)
        np.testing.assert_allclose(
            quantile[k, row, ~mask], stats.norm(expected, np.sqrt(np.diag(spread))).ppf(0.9)
        )
        joint = stats.multivariate_normal(expected, spread).logpdf(rest[row, ~mask])
        np.testing.assert_allclose(density[k, row], joint, rtol=1e-10)


def test_draws_given_some_features(likelihood):
    """They follow the conditional distribution jointly."""
    mask = np.array([True, False, False, True])
    loc, values = torch.randn(4, dtype=torch.float64), torch.randn(1, 4, dtype=torch.float64)
    given = likelihood(loc.expand(20_000, 1, 4)).given(values, torch.tensor(mask)[None])
    draws = given.sample().detach().numpy()[:, 0, ~mask]
    mean, covariance = conditional(covariance_of(likelihood), loc.numpy(), values[0].numpy(), mask)
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.04)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.06)


def test_draws_are_correlated(likelihood):
    draws = likelihood(torch.zeros(50_000, 4, dtype=torch.float64)).sample().detach().numpy()
    np.testing.assert_allclose(np.cov(draws.T), covariance_of(likelihood), atol=0.15)


def test_conditioning_in_two_steps_is_conditioning_at_once(likelihood):
    loc, values = torch.randn(3, 5, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    first, second = torch.tensor([True, False, False, False]), torch.tensor([False, False, True, False])
    stepwise = likelihood(loc).given(values, first.expand(5, 4)).given(values, second.expand(5, 4))
    at_once = likelihood(loc).given(values, (first | second).expand(5, 4))
    torch.testing.assert_close(stepwise.mean, at_once.mean)
    torch.testing.assert_close(stepwise.stddev, at_once.stddev)


@pytest.mark.parametrize("strength", [1.0, 100.0, 1e4])
def test_single_precision_copes_with_strong_correlation(strength):
    """Also of noise at its floor, where a Cholesky factor in float32 would fail."""
    likelihood = LowRankNormal(20).double()
    with torch.no_grad():
        likelihood.log_scale.fill_(-100.0)
        likelihood.factor.normal_(std=strength)
    loc = torch.zeros(2, 6, 20, dtype=torch.float64)
    values = likelihood(loc[0]).sample().detach().float()
    observed = torch.rand(6, 20) < 0.7
    expected = likelihood(loc).log_prob(values.double(), observed)
    likelihood.float()
    actual = likelihood(loc.float()).log_prob(values, observed)
    # what is left of values of about ``strength`` is rounded to their last digit
    torch.testing.assert_close(
        actual.double(), expected, rtol=1e-3, atol=0.05 + (1e-6 * strength / 0.01) ** 2 * 20
    )
    leaves = list(likelihood.parameters())
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(actual.sum(), leaves))


def test_nan_parameters_give_nan_not_an_error(likelihood):
    """Training then says which part of the network is at fault."""
    with torch.no_grad():
        likelihood.factor.fill_(torch.nan)
    log_prob = likelihood(torch.zeros(2, 4, dtype=torch.float64)).log_prob(
        torch.zeros(2, 4).double(), MASKS[-2:]
    )
    assert log_prob.isnan().all()


@pytest.mark.parametrize(("n_features", "rank"), [(1, 1), (2, 1), (5, 2), (16, 8), (100, 8)])
def test_rank(n_features, rank):
    assert LowRankNormal(n_features).factor.shape == (n_features, rank)


def test_the_start_is_nearly_uncorrelated(likelihood):
    fresh = LowRankNormal(30)
    assert fresh.factor.abs().max() > 0
    torch.testing.assert_close(fresh(torch.zeros(1, 30)).stddev, torch.ones(1, 30), rtol=0, atol=0.2)
