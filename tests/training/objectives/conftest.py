"""A linear-Gaussian model whose likelihoods and posteriors are known, as a network; in double precision."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.nodes import fixed_nodes
from skmm.networks.vae import Latent, VAENetwork
from skmm.probability.fusion import Sizes, build_fusion
from skmm.probability.likelihoods.registry import LIKELIHOODS
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import StandardNormal

N_COMPONENTS, SIZES = 2, (3, 2, 2)
# every feature loads on one component, so that posteriors of any cells have diagonal covariance
LOADINGS = torch.tensor(
    [[1.5, 0.0], [0.0, -1.0], [0.7, 0.0], [0.0, 2.0], [-0.8, 0.0], [0.6, 0.0], [0.0, 0.9]],
    dtype=torch.float64,
)
INTERCEPT = torch.tensor([0.5, -1.0, 0.0, 2.0, 0.3, -0.4, 1.0], dtype=torch.float64)


class IdentityFamily(NormalFamily):
    """Encoders return natural parameters as they are."""

    def natural(self, raw):
        return raw


class ExactEncoder(nn.Module):
    """What the observed features of one modality say about the latent variable; off by a factor if wanted.

    ``offset`` is added to the natural parameters: gradients with respect to it show how the posterior learns.
    """

    def __init__(self, loadings, intercept, scale, wrong):
        super().__init__()
        self.loadings, self.intercept, self.scale, self.wrong = loadings, intercept, scale, wrong
        self.offset = nn.Parameter(torch.zeros(2 * N_COMPONENTS, dtype=torch.float64))

    def forward(self, x):
        values, missing = x.chunk(2, dim=-1)
        precision = (1 - missing) / self.scale**2
        weighted_mean = (precision * (values - self.intercept)) @ self.loadings
        natural = torch.cat([weighted_mean, precision @ self.loadings**2], dim=-1)
        return self.wrong * natural + self.offset


class SumOfEncoders(nn.Module):
    """What all modalities say, in one network."""

    def __init__(self, encoders):
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, x):
        parts = x.split([2 * size for size in SIZES], dim=-1)
        return sum(encoder(part) for encoder, part in zip(self.encoders, parts, strict=True))


class FixedNoise(VAENetwork):
    """Draws latent points at nodes that all rows, parts and calls share."""

    def infer(self, blocks, n_draws):
        posterior = self.posterior(blocks)
        nodes = fixed_nodes(n_draws, N_COMPONENTS, torch.device("cpu"), balanced=False)
        part = nodes.part.expand(-1, blocks.n_rows)
        return Latent(posterior.at(nodes.noise.double(), part), posterior, self.prior)

    def infer_parts(self, posterior, part, row, n_draws):
        noise = fixed_nodes(n_draws, N_COMPONENTS, torch.device("cpu"), balanced=False).noise.double()
        z = posterior.loc[part, row] + posterior.scale[part, row] * noise
        return Latent(z, posterior.rows(row), self.prior)


def make_network(*, wrong=1.0, fusion="poe", weights=(1.0, 1.0, 1.0), cls=VAENetwork):
    likelihoods = [LIKELIHOODS["normal"](size) for size in SIZES]
    encoders, decoders = [], []
    for loadings, intercept, likelihood in zip(
        LOADINGS.split(SIZES), INTERCEPT.split(SIZES), likelihoods, strict=True
    ):
        decoder = nn.Linear(N_COMPONENTS, len(loadings))
        likelihood.double()
        with torch.no_grad():
            likelihood.log_scale.copy_(torch.linspace(-1.0, -0.3, len(loadings)))
            decoder.double().weight.copy_(loadings)
            decoder.bias.copy_(intercept)
        decoders.append(decoder)
        encoders.append(ExactEncoder(loadings, intercept, likelihood.scale.detach(), wrong))
    sizes = Sizes(tuple(2 * size for size in SIZES), 2 * N_COMPONENTS, lambda *_: SumOfEncoders(encoders))
    rule = build_fusion(fusion, sizes)
    network = cls(
        names=("a", "b", "c"),
        encoders=encoders if getattr(rule, "uses_experts", True) else [],
        decoders=decoders,
        likelihoods=likelihoods,
        sees_mask=(True, True, True),
        fusion=rule,
        family=IdentityFamily(),
        prior=StandardNormal(N_COMPONENTS),
        weights=weights,
        n_components=N_COMPONENTS,
    )
    return network.double().requires_grad_(requires_grad=False)


def log_likelihood_of_rows(network, blocks):
    noise = torch.cat([likelihood.scale for likelihood in network.likelihoods])
    covariance = (LOADINGS @ LOADINGS.T + noise.square().diag()).numpy()
    rows = []
    for values, seen in zip(blocks.joint.numpy(), blocks.joint_observed.numpy(), strict=True):
        if not seen.any():
            rows.append(0.0)
            continue
        normal = stats.multivariate_normal(INTERCEPT.numpy()[seen], covariance[np.ix_(seen, seen)])
        rows.append(normal.logpdf(values[seen]))
    return np.array(rows)


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


@pytest.fixture
def linear_gaussian():
    """Makes the network; ``wrong`` is a factor on what encoders say, 1 for the exact posterior."""
    return make_network


@pytest.fixture
def fixed_noise():
    """Class of a network that draws the same points in every call."""
    return FixedNoise


@pytest.fixture
def exact_log_likelihood():
    """Of the observed entries of each row, from the joint normal density."""
    return log_likelihood_of_rows


@pytest.fixture
def blocks():
    """Rows of the model: all observed, without some modalities, without single cells, and empty."""
    network = make_network()
    noise = torch.cat([likelihood.scale for likelihood in network.likelihoods])
    z = torch.randn(12, N_COMPONENTS, dtype=torch.float64)
    joint = z @ LOADINGS.T + INTERCEPT + noise * torch.randn(12, 7, dtype=torch.float64)
    observed = torch.ones(12, 7, dtype=torch.bool)
    observed[3:5, :3] = False
    observed[5:7, 3:5] = False
    observed[7, [0, 4, 6]] = False
    observed[8, [1, 2, 3]] = False
    observed[8, 5:] = False
    observed[9] = False
    observed[10, 3:] = False
    observed[11, :5] = False
    return Blocks.from_joint(joint, observed, SIZES)


@pytest.fixture
def hidden(blocks):
    """The rows as encoders see them under dropout: some without modalities, and one without any."""
    observed = blocks.joint_observed.clone()
    observed[0, :3] = False
    observed[1, 3:] = False
    observed[2] = False
    observed[3, 3:5] = False
    return Blocks.from_joint(blocks.joint, observed, SIZES)
