"""A mixture prior in a model that is linear and normal within each part: exact posterior and likelihood."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.expectations import part_probabilities, predictive_moments
from skmm.inference.likelihoods import importance_sampled_bound
from skmm.networks.vae import VAENetwork
from skmm.probability.fusion import FUSIONS
from skmm.probability.likelihoods.numerics import NOISE_FLOOR
from skmm.probability.likelihoods.registry import LIKELIHOODS
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import NormalMixturePrior
from skmm.training.objectives.bounds import ELBO, IWAE

CPU = torch.device("cpu")
N_ROWS, N_PARTS, NOISE = 300, 3, 0.6
SIZES = (2, 1)


class Exact(NormalFamily):
    """What an encoder returns are natural parameters."""

    def n_raw(self, n_components):
        return n_components + n_components**2

    def natural(self, raw):
        return raw


class Encoder(nn.Module):
    """The exact expert of features that each tell one component, or a multiple of it."""

    def __init__(self, component, n_features, factor):
        super().__init__()
        self.component, self.n_features, self.factor = component, n_features, factor

    def forward(self, x):
        values, missing = x.chunk(2, dim=-1)
        said = torch.zeros(*x.shape[:-1], 4)
        said[..., self.component] = values.sum(-1) / NOISE**2
        said[..., 2 + self.component] = (1 - missing).sum(-1) / NOISE**2
        return self.factor * said


class Copies(nn.Module):
    """Every feature of a modality is the same component."""

    def __init__(self, component, n_features):
        super().__init__()
        self.component, self.n_features = component, n_features

    def forward(self, z):
        return z[..., self.component, None].expand(*z.shape[:-1], self.n_features)


def make_network(factor=1.0, fusion="poe"):
    likelihoods = [LIKELIHOODS["normal"](size) for size in SIZES]
    for likelihood in likelihoods:
        likelihood.requires_grad_(requires_grad=False)
        likelihood.log_scale.fill_(math.log(NOISE - NOISE_FLOOR))
    with isolated_rng(0):
        prior = NormalMixturePrior(2, N_PARTS)
    with torch.no_grad():
        prior.loc.copy_(torch.tensor([[-2.0, 0.0], [1.5, 1.5], [0.5, -2.0]]))
        prior.log_scale.copy_(torch.tensor([[-0.5, 0.0], [-1.0, -0.7], [0.1, -0.4]]))
        prior.logits.copy_(torch.tensor([0.5, 0.0, -0.4]))
    return VAENetwork(
        names=("a", "b"),
        encoders=[Encoder(component, size, factor) for component, size in enumerate(SIZES)],
        decoders=[Copies(component, size) for component, size in enumerate(SIZES)],
        likelihoods=likelihoods,
        sees_mask=(True, True),
        fusion=FUSIONS[fusion],
        family=Exact(),
        prior=prior,
        weights=(1.0, 1.0),
        n_components=2,
    ).eval()


@pytest.fixture(scope="module")
def blocks():
    network = make_network()
    with isolated_rng(1), torch.no_grad():
        z = network.prior.rsample(N_ROWS)
        joint = torch.cat([decoder(z) for decoder in network.decoders], dim=1)
        joint = joint + NOISE * torch.randn(N_ROWS, 3)
        observed = torch.rand(N_ROWS, 3) < 0.7
    observed[0] = False
    return Blocks.from_joint(joint, observed, SIZES)


@pytest.fixture(scope="module")
def parts(blocks):
    """Logarithm of weight times density of what is observed, of each part, by SciPy, (n, n_parts)."""
    prior = make_network().prior
    matrix = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    log_weights, loc, scale = (
        p.detach().double().numpy() for p in (prior.log_weights, prior.loc, prior.scale)
    )
    found = np.tile(log_weights, (N_ROWS, 1))
    for row in range(N_ROWS):
        seen = blocks.joint_observed[row].numpy()
        for part in range(N_PARTS):
            if seen.any():
                covariance = matrix @ np.diag(scale[part] ** 2) @ matrix.T + NOISE**2 * np.eye(3)
                density = stats.multivariate_normal(
                    (matrix @ loc[part])[seen], covariance[np.ix_(seen, seen)]
                )
                found[row, part] += density.logpdf(blocks.joint[row].double().numpy()[seen])
    return found


@pytest.fixture(scope="module")
def exact(parts):
    return np.logaddexp.reduce(parts, axis=1)


@torch.no_grad()
def bounds(network, blocks, n_draws):
    """Bound and its standard error; fresh copies of all rows as draws."""
    with isolated_rng(2):
        latent = network.infer(blocks, n_draws)
    log_likelihood = network.log_likelihood(network.decode(latent.code), blocks).sum(0)
    values = log_likelihood + latent.log_p - latent.log_q
    return values.mean(0).double().numpy(), (values.std(0) / n_draws**0.5).double().numpy()


def test_the_posterior_is_exact(blocks, exact):
    """Then every single draw gives the likelihood itself."""
    bound, error = bounds(make_network(), blocks, 50)
    np.testing.assert_allclose(bound, exact, atol=1e-3)
    assert error.max() < 1e-3


def test_weights_of_the_posterior_are_the_parts_probabilities(blocks, parts, exact):
    expected = np.exp(parts - exact[:, None])
    network = make_network()
    with torch.no_grad():
        weights = network.posterior(blocks).log_weights.exp().T
    np.testing.assert_allclose(weights, expected, atol=1e-4)
    np.testing.assert_allclose(part_probabilities(network, blocks, CPU, n_draws=512), expected, atol=0.03)
    np.testing.assert_allclose(weights[0], network.prior.log_weights.exp().detach(), rtol=1e-5)


@pytest.mark.parametrize("factor", [0.3, 3.0])
@pytest.mark.parametrize("fusion", ["poe", "moe", "mopoe", "wasserstein", "hellinger"])
def test_the_bound_is_below_the_likelihood(factor, fusion, blocks, exact):
    bound, error = bounds(make_network(factor, fusion), blocks, 400)
    assert (bound < exact + 4.5 * error + 1e-3).all()
    assert (exact - bound)[1:].mean() > 0.05  # and these posteriors are not exact


@pytest.mark.parametrize("objective", [ELBO(n_draws=50), IWAE(n_draws=50)])
@pytest.mark.parametrize("fusion", ["poe", "moe"])
def test_objectives_are_bounds(objective, fusion, blocks, exact):
    for factor in (1.0, 0.3):
        with isolated_rng(0), torch.no_grad():
            bound = objective(make_network(factor, fusion), blocks, blocks, 1.0).bound.item()
        if (fusion, factor) == ("poe", 1.0):
            assert bound == pytest.approx(exact.mean(), abs=1e-3)
        else:
            assert bound < exact.mean() - (0.01 if isinstance(objective, ELBO) else 1e-4)


@pytest.mark.parametrize("fusion", ["poe", "mopoe"])
def test_many_points_give_the_likelihood(fusion, blocks, exact):
    bound = importance_sampled_bound(make_network(0.5, fusion), blocks, CPU, n_draws=4000).numpy()
    np.testing.assert_allclose(bound[1:], exact[1:], atol=0.1)
    assert bound[0] == 0.0


def test_completions_are_exact(blocks, parts, exact):
    """Means of the components by parts, each by its own regression, weighted."""
    network = make_network()
    mean, _ = predictive_moments(network, blocks, CPU, n_draws=2048)
    prior, said = network.prior, np.zeros((N_ROWS, 2, 2))  # precision-weighted mean, precision
    joint, seen = blocks.joint.double().numpy(), blocks.joint_observed.numpy()
    for feature, component in enumerate((0, 0, 1)):
        said[:, component, 0] += np.where(seen[:, feature], joint[:, feature], 0) / NOISE**2
        said[:, component, 1] += seen[:, feature] / NOISE**2
    precision = prior.scale.detach().double().numpy() ** -2  # (P, k)
    loc = (said[:, None, :, 0] + precision * prior.loc.detach().numpy()) / (said[:, None, :, 1] + precision)
    expected = (np.exp(parts - exact[:, None])[..., None] * loc).sum(1)  # (n, k)
    np.testing.assert_allclose(mean[:, [0, 2]], expected, atol=0.06)


def test_training_finds_the_weights(blocks, exact):
    """With the exact posterior, the bound's gradients to the prior are those of the likelihood."""
    network = make_network()
    prior = network.prior
    joint, seen = blocks.joint.double(), blocks.joint_observed
    weights, loc, scale = prior.log_weights.double(), prior.loc.double(), prior.scale.double()
    matrix = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    total = 0.0
    for row in range(N_ROWS):
        index = seen[row].nonzero()[:, 0]
        if len(index):
            densities = [
                torch.distributions.MultivariateNormal(
                    (matrix @ loc[c])[index],
                    (matrix @ scale[c].square().diag() @ matrix.T + NOISE**2 * torch.eye(3))[index][:, index],
                ).log_prob(joint[row, index])
                for c in range(N_PARTS)
            ]
            total = total + (weights + torch.stack(densities)).logsumexp(0) / N_ROWS
    expected = torch.autograd.grad(-total, list(prior.parameters()))
    found = []
    for seed in range(20):
        with isolated_rng(seed):
            loss = ELBO(n_draws=20)(network, blocks, blocks, 1.0).loss
        found.append(torch.autograd.grad(loss, list(prior.parameters())))
    for truth, *draws in zip(expected, *found, strict=True):
        draws = torch.stack(draws)
        error = (draws.mean(0) - truth).abs()
        assert (error < 4.5 * draws.std(0) / len(draws) ** 0.5 + 1e-4).all()
