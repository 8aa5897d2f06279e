"""Priors: densities, draws, and the expert that stands for a prior in a product."""

import numpy as np
import pytest
import torch
from scipy import stats

from skmm._torch import isolated_rng
from skmm.probability.posteriors import POSTERIORS, NormalFamily
from skmm.probability.priors import (
    PRIORS,
    LearnedNormal,
    NormalMixturePrior,
    StandardLaplace,
    StandardNormal,
)


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


def test_standard_normal_density():
    z = torch.randn(4, 5, 3)
    expected = stats.norm.logpdf(z.numpy()).sum(-1)
    np.testing.assert_allclose(StandardNormal(3).log_prob(z), expected, rtol=1e-5)


def test_standard_normal_draws():
    draws = StandardNormal(2).rsample(50_000)
    for component in draws.T:
        assert stats.kstest(component.numpy(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.02


def test_standard_normal_has_nothing_to_learn():
    prior = StandardNormal(2)
    assert not list(prior.parameters())
    assert prior.natural().tolist() == [0.0, 0.0, 1.0, 1.0]


IN_SPACE = [name for name, prior in PRIORS.items() if prior.family != "vmf"]  # with a density over space


@pytest.mark.parametrize("name", IN_SPACE)
def test_density_is_that_of_the_draws(name):
    """The mean of 1 / p(z) over draws inside a box is the volume of the box, if p is their density."""
    prior = PRIORS[name](2)
    with torch.no_grad():
        z = prior.rsample(200_000)
        inside = (z.abs() < 1).all(-1)
        volume = torch.where(inside, (-prior.log_prob(z)).exp(), 0.0).mean().item()
    assert volume == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_says_what_it_goes_with(name):
    prior = PRIORS[name](4)
    assert prior.family in POSTERIORS
    assert prior.rsample(5).shape == (5, 4)
    assert prior.log_prob(prior.rsample(5)).shape == (5,)


def test_standard_laplace_density():
    z = torch.randn(4, 5, 3)
    expected = stats.laplace.logpdf(z.numpy(), scale=0.5**0.5).sum(-1)
    np.testing.assert_allclose(StandardLaplace(3).log_prob(z), expected, rtol=1e-5)


def test_standard_laplace_draws():
    draws = StandardLaplace(2).rsample(50_000)
    for component in draws.T:
        assert stats.kstest(component.numpy(), stats.laplace(scale=0.5**0.5).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.02


def test_learned_normal():
    prior = LearnedNormal(3)
    z = torch.randn(6, 3)
    torch.testing.assert_close(prior.log_prob(z), StandardNormal(3).log_prob(z))
    with torch.no_grad():
        prior.loc.copy_(torch.tensor([0.0, 2.0, -1.0]))
        prior.log_scale.copy_(torch.tensor([0.5, -1.0, 0.0]))
    loc, scale = prior.loc.detach().numpy(), prior.scale.detach().numpy()
    np.testing.assert_allclose(
        prior.log_prob(z).detach(), stats.norm.logpdf(z, loc, scale).sum(-1), rtol=1e-5
    )
    draws = prior.rsample(50_000).detach()
    torch.testing.assert_close(draws.mean(0), prior.loc.detach(), rtol=0, atol=0.03)
    torch.testing.assert_close(draws.std(0), prior.scale.detach(), rtol=0.02, atol=0)
    prior.rsample(3).sum().backward()  # draws have gradients
    assert prior.loc.grad.tolist() == [3.0] * 3


# mixture


def some_mixture(n_parts=3, n_components=2):
    prior = NormalMixturePrior(n_components, n_parts).double()
    with torch.no_grad():
        prior.logits.copy_(torch.randn(n_parts))
        prior.log_scale.copy_(0.4 * torch.randn(n_parts, n_components))
    return prior


def test_mixture_density():
    prior, z = some_mixture(), torch.randn(6, 2, dtype=torch.float64)
    weights, loc, scale = (
        value.detach().numpy() for value in (prior.logits.softmax(0), prior.loc, prior.scale)
    )
    parts = stats.norm.pdf(z[:, None], loc, scale).prod(-1) * weights
    np.testing.assert_allclose(prior.log_prob(z).detach(), np.log(parts.sum(1)), rtol=1e-10)
    np.testing.assert_allclose(
        prior.responsibilities(z).detach(), parts / parts.sum(1, keepdims=True), rtol=1e-10
    )


@pytest.mark.parametrize("n_products", [1, 2])
def test_mixture_times_products_by_integration(n_products):
    """Each product of experts is multiplied by the prior and normalised: on a grid, in two dimensions."""
    prior = some_mixture()
    natural = NormalFamily().natural(torch.randn(n_products, 5, 4, dtype=torch.float64))
    log_weights = None if n_products == 1 else torch.tensor([0.3, 0.7]).double().log()[:, None].expand(2, 5)
    posterior = prior.multiplied(NormalFamily()).posterior(natural, log_weights)
    assert len(posterior.loc) == 3 * n_products
    axis = torch.linspace(-8, 8, 401, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)[:, None]  # (N, 1, 2)
    expected = 0.0
    with torch.no_grad():
        for part in range(n_products):
            weighted_mean, precision = natural[part].chunk(2, dim=-1)
            said = (weighted_mean * z - 0.5 * precision * z.square()).sum(-1)
            density = (prior.log_prob(z) + said).exp()  # (N, 5)
            share = 1.0 if log_weights is None else log_weights[part].exp()
            expected = expected + share * density / (density.sum(0) * (axis[1] - axis[0]) ** 2)
        torch.testing.assert_close(posterior.log_prob(z).exp(), expected, rtol=1e-5, atol=1e-9)


def test_weights_of_the_posterior_are_expected_responsibilities():
    prior = some_mixture()
    natural = NormalFamily().natural(torch.randn(1, 4, 4, dtype=torch.float64))
    posterior = prior.multiplied(NormalFamily()).posterior(natural, None)
    with torch.no_grad():
        expected = prior.responsibilities(posterior.rsample(100_000)).mean(0)
    torch.testing.assert_close(posterior.log_weights.exp().T.detach(), expected, rtol=0, atol=0.005)


def test_mixture_of_one_part_is_a_normal_density():
    prior, z = some_mixture(n_parts=1), torch.randn(6, 2, dtype=torch.float64)
    learned = LearnedNormal(2).double()
    with torch.no_grad():
        learned.loc.copy_(prior.loc[0])
        learned.log_scale.copy_(prior.log_scale[0])
    torch.testing.assert_close(prior.log_prob(z), learned.log_prob(z))
    natural = NormalFamily().natural(torch.randn(1, 3, 4, dtype=torch.float64))
    actual = prior.multiplied(NormalFamily()).posterior(natural, None)
    expected = NormalFamily().posterior(natural + learned.natural(), None)
    torch.testing.assert_close(actual.mean, expected.mean)
    torch.testing.assert_close(actual.stddev, expected.stddev)


def test_mixture_needs_parts():
    with pytest.raises(ValueError, match="n_parts of the prior must be a positive whole number, got 0"):
        NormalMixturePrior(2, n_parts=0)
