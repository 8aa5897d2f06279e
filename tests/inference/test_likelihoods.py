"""The importance-sampled bound where the posterior is wrong: ten independent components, known likelihood."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.likelihoods import importance_sampled_bound
from skmm.networks.vae import VAENetwork
from skmm.probability.fusion import FUSIONS, Sizes, build_fusion
from skmm.probability.likelihoods.registry import LIKELIHOODS
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import StandardNormal

N_COMPONENTS, N_ROWS = 10, 500
CPU = torch.device("cpu")


class IdentityFamily(NormalFamily):
    """Encoders return natural parameters as they are."""

    def natural(self, raw):
        return raw


class Encoder(nn.Module):
    """The exact expert of x = z + noise, its precision and mean multiplied by a factor."""

    def __init__(self, variance, factor):
        super().__init__()
        self.variance, self.factor = variance, factor

    def forward(self, x):
        values, missing = x.chunk(2, dim=-1)
        return self.factor * torch.cat([values / self.variance, (1 - missing) / self.variance], dim=-1)


def make_network(factor=1.0, fusion="poe"):
    """One modality of ten features, each the sum of a component and noise."""
    likelihood = LIKELIHOODS["normal"](N_COMPONENTS)
    encoder = Encoder(likelihood.scale.detach().square(), factor)
    with isolated_rng(0):
        rule = build_fusion(fusion, Sizes((2 * N_COMPONENTS,), 2 * N_COMPONENTS, lambda *_: encoder))
    return VAENetwork(
        names=("x",),
        encoders=[encoder] if getattr(rule, "uses_experts", True) else [],
        decoders=[nn.Identity()],
        likelihoods=[likelihood],
        sees_mask=(True,),
        fusion=rule,
        family=IdentityFamily(),
        prior=StandardNormal(N_COMPONENTS),
        weights=(1.0,),
        n_components=N_COMPONENTS,
    )


@pytest.fixture(scope="module")
def blocks():
    generator = torch.Generator().manual_seed(0)
    joint = 2**0.5 * torch.randn(N_ROWS, N_COMPONENTS, generator=generator)
    observed = torch.rand(N_ROWS, N_COMPONENTS, generator=generator) < 0.8
    observed[0] = False
    return Blocks.from_joint(joint, observed, (N_COMPONENTS,))


@pytest.fixture(scope="module")
def exact(blocks):
    deviation = (1 + make_network().likelihoods[0].scale.detach().square()).sqrt().numpy()
    cells = stats.norm.logpdf(blocks.joint.numpy(), scale=deviation)
    return np.where(blocks.joint_observed.numpy(), cells, 0.0).sum(axis=1)


def bound(network, blocks, n_draws):
    return importance_sampled_bound(network, blocks, CPU, n_draws=n_draws).double().numpy()


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 4.0])
# a set encoder makes of features what it has learned, never the exact expert that this model has
@pytest.mark.parametrize("fusion", [name for name in FUSIONS if name != "set"])
def test_many_draws_give_the_likelihood(factor, fusion, blocks, exact):
    """However wrong the posterior."""
    errors = bound(make_network(factor, fusion), blocks.rows(slice(0, 50)), 20_000) - exact[:50]
    assert np.abs(errors).max() < 0.25
    assert abs(errors.mean()) < 0.03


@pytest.mark.parametrize("factor", [1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("n_draws", [16, 64])
def test_mean_is_a_lower_bound(factor, n_draws, blocks, exact):
    """Points that all rows share would err alike in all of them, and lift the mean above the likelihood."""
    errors = bound(make_network(factor), blocks, n_draws)[1:] - exact[1:]
    assert errors.mean() < 2 * errors.std() / len(errors) ** 0.5
    # an unbiased estimate of the likelihood: its mean over rows, whose errors are their own, comes out right
    ratio = np.exp(errors)
    assert ratio.mean() == pytest.approx(1.0, abs=4 * ratio.std() / len(ratio) ** 0.5)


def test_more_draws_tighten_the_bound(blocks, exact):
    means = [bound(make_network(3.0), blocks, n_draws).mean() for n_draws in (2, 8, 32, 128, 1024)]
    assert (np.diff(means) > -0.02).all()  # up to chance
    assert means[0] < means[2] - 0.1
    assert means[2] < means[4] - 0.02
    assert means[4] == pytest.approx(exact.mean(), abs=0.01)


def test_a_row_with_nothing_observed_has_likelihood_one(blocks):
    assert bound(make_network(3.0), blocks, 16)[0] == 0.0


def test_rows_do_not_depend_on_each_other(blocks):
    network = make_network(2.0)
    whole = bound(network, blocks, 16)
    order = torch.randperm(N_ROWS, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(bound(network, blocks.rows(order), 16), whole[order], rtol=1e-5)
    np.testing.assert_allclose(bound(network, blocks.rows(slice(7, 8)), 16), whole[7:8], rtol=1e-5)
    twice = bound(network, blocks.rows(torch.tensor([3, 3])), 16)
    assert twice[0] == twice[1]


def test_is_a_continuous_function_of_the_values(blocks):
    """What rounding does to a value must not show in the result."""
    network = make_network(2.0)
    noise = torch.randn(blocks.joint.shape, generator=torch.Generator().manual_seed(1))
    rounded = Blocks(
        blocks.joint * (1 + 1e-7 * noise), blocks.joint_observed, blocks.present, (N_COMPONENTS,)
    )
    np.testing.assert_allclose(bound(network, rounded, 64), bound(network, blocks, 64), atol=2e-3)


def test_what_stands_under_the_mask_has_no_influence(blocks):
    joint = torch.where(blocks.joint_observed, blocks.joint, 1e30)
    spoiled = Blocks(joint, blocks.joint_observed, blocks.present, (N_COMPONENTS,))
    network = make_network(2.0)
    np.testing.assert_array_equal(bound(network, spoiled, 16), bound(network, blocks, 16))


def test_is_deterministic_and_leaves_the_generators_alone(blocks):
    network = make_network(2.0)
    first = bound(network, blocks, 16)
    with isolated_rng(9):
        before = torch.get_rng_state()
        np.testing.assert_array_equal(bound(network, blocks, 16), first)
        assert torch.equal(torch.get_rng_state(), before)
