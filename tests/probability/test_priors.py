"""Priors: densities, draws, and the expert that stands for a prior in a product."""

import numpy as np
import pytest
import torch
from scipy import stats

from skmm._torch import isolated_rng
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import PRIORS, StandardNormal


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


@pytest.mark.parametrize("name", PRIORS)
def test_density_is_that_of_the_draws(name):
    """The mean of 1 / p(z) over draws inside a box is the volume of the box, if p is their density."""
    prior = PRIORS[name](2)
    with torch.no_grad():
        z = prior.rsample(200_000)
        inside = (z.abs() < 1).all(-1)
        volume = torch.where(inside, (-prior.log_prob(z)).exp(), 0.0).mean().item()
    assert volume == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize("name", PRIORS)
def test_expert_of_the_prior_alone_is_the_prior(name):
    prior = PRIORS[name](2)
    z = torch.randn(20, 1, 2)
    posterior = NormalFamily().posterior(prior.natural()[None, None], None)
    torch.testing.assert_close(posterior.log_prob(z)[:, 0], prior.log_prob(z)[:, 0])
