"""The network of MultimodalVAE: what encoders see, what decoders are asked, which densities are summed."""

import pytest
import torch
from torch import nn

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.networks.dense import Dense
from skmm.networks.vae import Latent, VAENetwork
from skmm.probability.fusion import FUSIONS, Sizes, build_fusion, product_of_experts
from skmm.probability.likelihoods.registry import LIKELIHOODS
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import StandardNormal

NAMES, SIZES, N_COMPONENTS, N_ROWS = ("a", "b"), (3, 2), 2, 6


class IdentityFamily(NormalFamily):
    """Encoders return natural parameters as they are."""

    def natural(self, raw):
        return raw


class Recorder(nn.Module):
    """Passes its input on, and keeps it."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.inputs = []

    def forward(self, x):
        self.inputs.append(x.detach().clone())
        return self.module(x)


class Constant(nn.Module):
    """The same numbers for every row."""

    def __init__(self, *numbers):
        super().__init__()
        self.register_buffer("numbers", torch.tensor(numbers))

    def forward(self, x):
        return self.numbers.expand(len(x), -1)


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


def dense(n_in, n_out):
    return Dense(n_in, n_out, (), "silu", 0.0)


def make_network(*, fusion="poe", family=None, sees_mask=(True, True), encoders=None, decoders=None):
    family = family or NormalFamily()
    sizes = Sizes(tuple(2 * size for size in SIZES), family.n_raw(N_COMPONENTS), dense)
    rule = build_fusion(fusion, sizes)
    if isinstance(rule, nn.Module):  # as training may leave it: nothing is neutral, nothing zero
        with torch.no_grad():
            for parameter in rule.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    if not getattr(rule, "uses_experts", True):
        encoders = []
    if encoders is None:
        widths = [size * (1 + seen) for size, seen in zip(SIZES, sees_mask, strict=True)]
        encoders = [dense(width, family.n_raw(N_COMPONENTS)) for width in widths]
    if decoders is None:
        decoders = [dense(N_COMPONENTS, size) for size in SIZES]
    return VAENetwork(
        names=NAMES,
        encoders=encoders,
        decoders=decoders,
        likelihoods=[LIKELIHOODS["normal"](size) for size in SIZES],
        sees_mask=sees_mask,
        fusion=rule,
        family=family,
        prior=StandardNormal(N_COMPONENTS),
        weights=[1.0, 1.0],
        n_components=N_COMPONENTS,
    )


@pytest.fixture
def blocks():
    observed = torch.ones(N_ROWS, 5, dtype=torch.bool)
    observed[1, :3] = False  # lacks a
    observed[2, 3:] = False  # lacks b
    observed[3] = False
    observed[4, 1] = False  # lacks a cell
    return Blocks.from_joint(torch.randn(N_ROWS, 5), observed, SIZES)


def spoil(blocks, garbage):
    joint = torch.where(blocks.joint_observed, blocks.joint, garbage)
    return Blocks(joint, blocks.joint_observed, blocks.present, blocks.sizes)


# encoders and fusion


def test_encoders_see_values_and_where_they_are_missing(blocks):
    encoders = [Recorder(dense(6, 4)), Recorder(dense(2, 4))]
    network = make_network(encoders=encoders, sees_mask=(True, False))
    network.experts(spoil(blocks, 1e30))
    observed = blocks.observed[0]
    (seen,) = encoders[0].inputs
    torch.testing.assert_close(seen[:, :3], blocks.values[0] * observed, rtol=0, atol=0)
    torch.testing.assert_close(seen[:, 3:], 1.0 - observed.float(), rtol=0, atol=0)
    (seen,) = encoders[1].inputs  # one that was not made for masks: only rows that have the modality
    present = blocks.present[1]
    expected = (blocks.values[1] * blocks.observed[1])[present]
    torch.testing.assert_close(seen, expected, rtol=0, atol=0)
    assert 0 < len(seen) < len(present)


def test_experts_hold_what_the_encoders_saw_and_returned(blocks):
    """Whether or not an encoder is shown where values are missing, a fusion rule is."""
    encoders = [Recorder(dense(6, 4)), Recorder(dense(2, 4))]
    network = make_network(encoders=encoders, sees_mask=(True, False))
    experts = network.experts(spoil(blocks, 1e30))
    assert len(experts.inputs) == 2
    for seen, values, observed in zip(experts.inputs, blocks.values, blocks.observed, strict=True):
        expected = torch.cat([values * observed, 1.0 - observed.float()], dim=1)
        torch.testing.assert_close(seen, expected, rtol=0, atol=0)
    torch.testing.assert_close(experts.raw[0], encoders[0].module(experts.inputs[0]))
    present = blocks.present[1]
    torch.testing.assert_close(experts.raw[1][present], encoders[1].module(experts.inputs[1][present, :2]))
    torch.testing.assert_close(experts.natural, network.family.natural(experts.raw), rtol=0, atol=0)


def test_rule_that_does_without_experts(blocks):
    """Nothing is made that the rule would not look at, and nothing else is lost."""
    network = make_network(fusion="joint")
    experts = network.experts(blocks)
    assert experts.natural is None
    assert experts.raw is None
    expected = make_network().experts(blocks)
    for seen, as_with_encoders in zip(experts.inputs, expected.inputs, strict=True):
        torch.testing.assert_close(seen, as_with_encoders, rtol=0, atol=0)
    torch.testing.assert_close(experts.prior, expected.prior, rtol=0, atol=0)


class Normalising(torch.nn.Module):
    """Divides by zero where nothing was observed, as users' networks may."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = torch.nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.linear(x) / x.norm(dim=-1, keepdim=True)


def test_users_encoder_that_fails_on_absent_rows_has_finite_gradients(blocks):
    network = make_network(encoders=[Normalising(3, 4), Normalising(2, 4)], sees_mask=(False, False))
    posterior = network.posterior(blocks)
    assert posterior.mean.isfinite().all()
    (posterior.mean.sum() + posterior.stddev.sum()).backward()
    for parameter in network.encoders.parameters():
        assert parameter.grad.isfinite().all()


def test_modality_that_no_row_has(blocks):
    network = make_network(sees_mask=(True, False), encoders=[dense(6, 4), Normalising(2, 4)])
    observed = blocks.joint_observed.clone()
    observed[:, 3:] = False
    without = Blocks.from_joint(blocks.joint, observed, SIZES)
    assert network.posterior(without).mean.isfinite().all()


def test_posterior_is_the_fusion_of_experts(blocks):
    network = make_network(
        family=IdentityFamily(), encoders=[Constant(2.0, 0.0, 3.0, 0.0), Constant(-1.0, 4.0, 1.0, 1.0)]
    )
    experts = network.experts(blocks)
    assert experts.natural.shape == (2, N_ROWS, 4)
    assert experts.prior.tolist() == [0.0, 0.0, 1.0, 1.0]
    posterior = network.posterior(blocks)
    both, only_b, only_a, none = posterior.mean[[0, 1, 2, 3]].tolist()
    assert both == pytest.approx([1 / 5, 2.0])
    assert only_b == pytest.approx([-1 / 2, 2.0])
    assert only_a == pytest.approx([2 / 4, 0.0])
    assert none == [0.0, 0.0]
    torch.testing.assert_close(posterior.stddev[:4, 0], torch.tensor([1 / 5, 1 / 2, 1 / 4, 1.0]).sqrt())


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("garbage", [1e30, -1e30])
def test_what_stands_under_the_mask_has_no_influence(blocks, fusion, garbage):
    """On the latent variable, on the density, and on any gradient."""
    network = make_network(fusion=fusion)

    def results(blocks):
        network.zero_grad()
        with isolated_rng(1):
            latent = network.infer(blocks, 3)
        log_likelihood = network.log_likelihood(network.decode(latent.z), blocks)
        (log_likelihood.sum() + latent.kl.sum()).backward()
        return (
            latent.z,
            log_likelihood,
            latent.kl,
            *(parameter.grad.clone() for parameter in network.parameters()),
        )

    for actual, expected in zip(results(spoil(blocks, garbage)), results(blocks), strict=True):
        assert expected.isfinite().all()
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_nothing_observed_leaves_the_prior(blocks, fusion):
    network = make_network(fusion=fusion)
    torch.testing.assert_close(network.posterior(blocks).mean[3], torch.zeros(2))
    torch.testing.assert_close(network.posterior(blocks).stddev[3], torch.ones(2))
    torch.testing.assert_close(network.infer(blocks, 2).kl[3], torch.zeros(()))


# latent


@pytest.mark.parametrize("fusion", FUSIONS)
def test_latent_points_come_from_the_posterior_with_their_densities(blocks, fusion):
    network = make_network(fusion=fusion)
    latent = network.infer(blocks, 20_000)
    posterior = network.posterior(blocks)
    assert latent.z.shape == (20_000, N_ROWS, N_COMPONENTS)
    torch.testing.assert_close(latent.z.mean(0), posterior.mean, rtol=0, atol=0.05)
    torch.testing.assert_close(latent.z.std(0), posterior.stddev, rtol=0.05, atol=0)
    torch.testing.assert_close(latent.log_q, posterior.log_prob(latent.z))
    standard = torch.distributions.Normal(0.0, 1.0).log_prob(latent.z).sum(-1)
    torch.testing.assert_close(latent.log_p, standard)
    # in closed form for a product, from the points for a mixture: the same up to chance
    torch.testing.assert_close(latent.kl, (latent.log_q - standard).mean(0), rtol=0, atol=0.05)


def test_divergence_is_exact_where_it_can_be(blocks):
    latent = make_network().infer(blocks, 1)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(latent.posterior.mean, latent.posterior.stddev),
        torch.distributions.Normal(torch.zeros(N_COMPONENTS), torch.ones(N_COMPONENTS)),
    ).sum(-1)
    torch.testing.assert_close(latent.kl, expected)


def test_densities_are_computed_once_and_when_asked_for(blocks):
    class Counting(StandardNormal):
        calls = 0

        def log_prob(self, z):
            self.calls += 1
            return super().log_prob(z)

    network = make_network()
    prior = Counting(N_COMPONENTS)
    latent = Latent(torch.randn(3, N_ROWS, N_COMPONENTS), network.posterior(blocks), prior)
    assert prior.calls == 0
    assert latent.log_p is latent.log_p
    assert prior.calls == 1


# decoders


@pytest.mark.parametrize("leading", [(4,), (3, 4), (2, 3, 4)])
def test_decoders_are_given_rows_only(leading):
    decoders = [Recorder(Dense(N_COMPONENTS, size, (8,), "silu", 0.0)) for size in SIZES]
    network = make_network(decoders=decoders)
    z = torch.randn(*leading, N_COMPONENTS)
    distributions = network.decode(z)
    for decoder, distribution, size in zip(decoders, distributions, SIZES, strict=True):
        torch.testing.assert_close(decoder.inputs[0], z.reshape(-1, N_COMPONENTS))
        assert distribution.mean.shape == (*leading, size)
        torch.testing.assert_close(distribution.mean, decoder.module(z))


def test_log_likelihood_sums_over_what_is_observed(blocks):
    network = make_network()
    z = torch.randn(3, N_ROWS, N_COMPONENTS)
    distributions = network.decode(z)
    log_likelihood = network.log_likelihood(distributions, blocks)
    assert log_likelihood.shape == (2, 3, N_ROWS)
    for m in range(2):
        scale = network.likelihoods[m].scale
        cells = torch.distributions.Normal(distributions[m].mean, scale).log_prob(blocks.values[m])
        torch.testing.assert_close(log_likelihood[m], (cells * blocks.observed[m]).sum(-1))
    assert (log_likelihood[0, :, 1] == 0).all()
    assert (log_likelihood[:, :, 3] == 0).all()


# diagnosis


class TestCulprit:
    def test_nothing_wrong(self, blocks):
        assert make_network().culprit(blocks).startswith("no single part of the network")

    @pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
    def test_encoder(self, blocks, wrong):
        encoders = [Constant(0.0, 0.0, 1.0, 1.0), Constant(0.0, wrong, 1.0, 1.0)]
        network = make_network(family=IdentityFamily(), encoders=encoders)
        assert network.culprit(blocks) == "the encoder of modality 'b' returned NaN or infinite numbers"

    @pytest.mark.parametrize("fusion", FUSIONS)
    def test_fusion_with_parameters(self, blocks, fusion):
        network = make_network(fusion=fusion)
        assert network.culprit(blocks).startswith("no single part of the network")
        if isinstance(network.fusion, nn.Module):
            with torch.no_grad():
                next(network.fusion.parameters()).fill_(torch.nan)
            assert network.culprit(blocks) == "the fusion of the modalities returned NaN or infinite numbers"

    def test_encoder_of_an_absent_modality_is_not_to_blame(self, blocks):
        encoders = [Constant(0.0, 0.0, 1.0, 1.0), Constant(0.0, torch.nan, 1.0, 1.0)]
        network = make_network(family=IdentityFamily(), encoders=encoders)
        rows = blocks.rows(slice(2, 4))  # without b
        assert network.culprit(rows).startswith("no single part of the network")

    def test_fusion(self, blocks):
        encoders = [Constant(0.0, 0.0, -2.0, 1.0), Constant(0.0, 0.0, 1.0, 1.0)]  # a negative precision
        network = make_network(family=IdentityFamily(), encoders=encoders)
        assert network.culprit(blocks) == "the fusion of the modalities returned NaN or infinite numbers"

    def test_decoder(self, blocks):
        decoders = [Constant(0.0, 0.0, 0.0), Constant(torch.inf, 0.0)]
        network = make_network(decoders=decoders)
        assert network.culprit(blocks) == "the decoder of modality 'b' returned NaN or infinite numbers"

    def test_noise(self, blocks):
        network = make_network()
        with torch.no_grad():
            network.likelihoods[0].log_scale.fill_(torch.nan)
        assert network.culprit(blocks) == "the decoder of modality 'a' returned NaN or infinite numbers"


def test_everything_learned_is_registered():
    """Fusion modules and likelihoods are trained with the network; weights of modalities are not."""

    class Powers(nn.Module):
        def __init__(self):
            super().__init__()
            self.power = nn.Parameter(torch.ones(()))

        def forward(self, blocks, experts, present):
            return product_of_experts(blocks, experts, present)

    network = make_network()
    network.fusion = Powers()
    names = {name for name, _ in network.named_parameters()}
    assert {"fusion.power", "likelihoods.0.log_scale", "likelihoods.1.log_scale"} <= names
    assert {name.split(".")[0] for name in names} == {"fusion", "likelihoods", "encoders", "decoders"}
    assert network.modality_weights.tolist() == [1.0, 1.0]
