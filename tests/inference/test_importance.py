"""Weighted points: exact answers from a posterior that is wrong."""

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats
from torch import nn

from skmm import IWAE, MultimodalVAE
from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.draws import draw_completions
from skmm.inference.expectations import predictive_moments, predictive_quantiles
from skmm.inference.importance import MIN_EFFECTIVE, WeightedPoints
from skmm.networks.vae import VAENetwork
from skmm.probability.fusion import FUSIONS
from skmm.probability.likelihoods.registry import LIKELIHOODS
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import StandardNormal

CPU = torch.device("cpu")
VARIANCE = 0.25  # of the noise


class IdentityFamily(NormalFamily):
    """Encoders return natural parameters as they are."""

    def natural(self, raw):
        return raw


class Encoder(nn.Module):
    """The exact expert of x = z + noise, off by a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        values, missing = x.chunk(2, dim=-1)
        return self.factor * torch.cat([values, 1 - missing], dim=-1) / VARIANCE


def make_network(factor, *, importance_weighted):
    likelihood = LIKELIHOODS["normal"](2)
    with torch.no_grad():
        likelihood.log_scale.fill_(float(np.log(VARIANCE**0.5 - 0.01)))
    network = VAENetwork(
        names=("x",),
        encoders=[Encoder(factor)],
        decoders=[nn.Identity()],
        likelihoods=[likelihood],
        sees_mask=(True,),
        fusion=FUSIONS["poe"],
        family=IdentityFamily(),
        prior=StandardNormal(2),
        weights=(1.0,),
        n_components=2,
    )
    network.importance_weighted = importance_weighted
    return network.eval()


@pytest.fixture(scope="module")
def blocks():
    joint = torch.tensor([[1.0, -0.5], [0.7, 0.0], [0.0, 0.0]])
    observed = torch.tensor([[True, True], [True, False], [False, False]])
    return Blocks.from_joint(joint, observed, (2,))


@pytest.fixture(scope="module")
def exact(blocks):
    """Mean and deviation of another measurement given the one observed."""
    observed = blocks.joint_observed.numpy()
    mean = np.where(observed, blocks.joint.numpy() / (1 + VARIANCE), 0.0)
    return mean, np.sqrt(np.where(observed, VARIANCE / (1 + VARIANCE), 1.0) + VARIANCE)


FACTORS = [0.2, 1.0, 3.0]


@pytest.mark.parametrize("factor", FACTORS)
def test_expectations(factor, blocks, exact):
    network = make_network(factor, importance_weighted=True)
    mean, std = predictive_moments(network, blocks, CPU, n_draws=8192)
    np.testing.assert_allclose(mean, exact[0], atol=0.03)
    np.testing.assert_allclose(std, exact[1], rtol=0.03)
    q = torch.tensor([0.1, 0.5, 0.9])
    quantiles = predictive_quantiles(network, blocks, CPU, q=q, n_draws=8192)
    expected = stats.norm.ppf(q.numpy()[:, None, None], *exact)
    np.testing.assert_allclose(quantiles, expected, atol=0.06)


@pytest.mark.parametrize("factor", FACTORS)
def test_draws(factor, blocks, exact):
    network = make_network(factor, importance_weighted=True)
    with isolated_rng(0):
        draws = draw_completions(network, blocks, 8192, CPU).numpy()
    np.testing.assert_allclose(draws.mean(0), exact[0], atol=0.05)
    np.testing.assert_allclose(draws.std(0), exact[1], rtol=0.05)


def test_few_draws_are_resampled_from_many_points(blocks, exact):
    network = make_network(3.0, importance_weighted=True)
    with isolated_rng(0):
        draws = np.stack([draw_completions(network, blocks, 1, CPU)[0].numpy() for _ in range(2000)])
    np.testing.assert_allclose(draws.mean(0), exact[0], atol=0.08)
    np.testing.assert_allclose(draws.std(0), exact[1], rtol=0.08)


@pytest.mark.parametrize("factor", [0.2, 3.0])
def test_without_weights_the_wrong_posterior_shows(factor, blocks, exact):
    network = make_network(factor, importance_weighted=False)
    mean, _ = predictive_moments(network, blocks, CPU, n_draws=1024)
    assert np.abs(mean.numpy() - exact[0]).max() > 0.1


@pytest.mark.parametrize(("objective", "weighted"), [("elbo", False), ("iwae", True), (IWAE(3), True)])
def test_the_objective_decides(objective, weighted):
    X = np.random.RandomState(0).normal(size=(20, 3))
    estimator = MultimodalVAE(2, objective=objective, hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    assert estimator.fit(X).module_.importance_weighted is weighted


def test_a_row_does_not_depend_on_its_neighbours(blocks):
    network = make_network(0.2, importance_weighted=True)
    together, _ = predictive_moments(network, blocks, CPU, n_draws=64)
    apart = [predictive_moments(network, blocks.rows(slice(i, i + 1)), CPU, n_draws=64)[0] for i in range(3)]
    np.testing.assert_allclose(together, torch.cat(apart), atol=1e-6)


def weighted(log_weights, log_start):
    return WeightedPoints(
        torch.zeros(len(log_weights), 1, 2), *map(torch.as_tensor, (log_weights, log_start))
    )


def test_exact_weights_where_enough_points_keep_one():
    log_weights = np.random.RandomState(0).normal(size=(64, 3))
    shares = weighted(log_weights, np.zeros((64, 3))).shares()
    np.testing.assert_allclose(shares, special.softmax(log_weights, axis=0), rtol=1e-12)


def test_elsewhere_they_are_on_the_way_from_the_posterior_as_far_as_enough_points_keep_one():
    rng = np.random.RandomState(0)
    start, exact = rng.normal(scale=0.1, size=(64, 2)), rng.normal(scale=(0.5, 300.0), size=(64, 2))

    def on_the_way(t):
        return special.softmax((1 - t) * start[:, 1] + t * exact[:, 1])

    t = optimize.brentq(lambda t: 1 / np.square(on_the_way(t)).sum() - MIN_EFFECTIVE, 0, 0.1)
    shares = weighted(exact, start).shares().numpy()
    np.testing.assert_allclose(shares[:, 1], on_the_way(t), rtol=1e-4)
    np.testing.assert_allclose(shares[:, 0], special.softmax(exact[:, 0]))  # the other row is left alone


def test_a_point_that_is_impossible_has_no_weight():
    log_weights = np.array([[0.0], [-np.inf], [0.0], [-2000.0]] * 16)
    shares = weighted(log_weights, np.zeros((64, 1))).shares().numpy()
    np.testing.assert_allclose(shares, np.exp(log_weights) / 32)


@pytest.mark.parametrize("n_draws", [1, 2, 5])
def test_few_points(n_draws):
    shares = weighted(np.arange(n_draws)[:, None] * 1000.0, np.zeros((n_draws, 1))).shares().numpy()
    assert np.isfinite(shares).all()
    assert shares.sum() == pytest.approx(1)
