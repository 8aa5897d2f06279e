"""What fusion rules learn where the decoders are known: how near they come to the exact posterior."""

import pytest
import torch
from torch import nn

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.networks.dense import Dense
from skmm.networks.vae import VAENetwork
from skmm.probability.fusion import Sizes, build_fusion
from skmm.probability.likelihoods.registry import LIKELIHOODS
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import StandardNormal
from skmm.training.loop import fit_network
from skmm.training.objectives.bounds import ELBO
from skmm.training.schedules import ConstantSchedule

SIZES = (1, 1)  # two modalities of one feature each
BOTH, FIRST, SECOND = (True, True), (True, False), (False, True)
GRID = torch.linspace(-6.0, 6.0, 2401)[:, None]


class Distance(nn.Module):
    """About |z|: how far, not in which direction."""

    def forward(self, z):
        return (z.square() + 0.05).sqrt()


class Direction(nn.Module):
    """About the sign of z: in which direction, not how far."""

    def forward(self, z):
        return (3 * z).tanh()


COPIES = (nn.Identity(), nn.Identity()), 0.5  # both say the same, with noise of their own
PARTS = (Distance(), Direction()), 0.3  # only together they tell where z is


def dense(n_in, n_out):
    return Dense(n_in, n_out, (32, 32), "silu", 0.0)


def make_network(model, rule):
    decoders, noise = model
    likelihoods = [LIKELIHOODS["normal"](1) for _ in SIZES]
    for likelihood in likelihoods:
        likelihood.requires_grad_(requires_grad=False).log_scale.fill_(0.0)
        likelihood.log_scale.add_((noise / likelihood.scale).log())
    family = NormalFamily()
    rule = build_fusion(rule, Sizes((2, 2), family.n_raw(1), dense))
    return VAENetwork(
        names=("a", "b"),
        encoders=[dense(2, family.n_raw(1)) for _ in SIZES] if getattr(rule, "uses_experts", True) else [],
        decoders=decoders,
        likelihoods=likelihoods,
        sees_mask=(True, True),
        fusion=rule,
        family=family,
        prior=StandardNormal(1),
        weights=(1.0, 1.0),
        n_components=1,
    )


def draw(model, n, patterns):
    """Rows of the model, of which every one lacks what its pattern says."""
    decoders, noise = model
    z = torch.randn(n, 1)
    joint = torch.cat([decoder(z) + noise * torch.randn(n, 1) for decoder in decoders], dim=1)
    return Blocks.from_joint(joint, torch.tensor(patterns).repeat(n // len(patterns), 1), SIZES)


def trained(model, rule, max_iter):
    with isolated_rng(0):
        network = make_network(model, rule)
        fit_network(
            network,
            ELBO(),
            draw(model, 4500, (BOTH, FIRST, SECOND)),
            validate=None,
            corruption=lambda inputs: inputs,
            beta=ConstantSchedule(1.0),
            batch_size=250,
            max_iter=max_iter,
            learning_rate=5e-3,
            weight_decay=0.0,
            n_iter_no_change=max_iter,
            tol=0.0,
            verbose=0,
        )
    return network.eval()


@torch.no_grad()
def errors(model, network, pattern):
    """Error of the posterior's mean and deviation, and its divergence from the exact one, over new rows."""
    with isolated_rng(1):
        blocks = draw(model, 500, (pattern,))
        latent = network.infer(blocks, 500)
    z = GRID[:, None].expand(-1, blocks.n_rows, -1)
    log_joint = network.log_likelihood(network.decode(z), blocks).sum(0) + network.prior.log_prob(z)
    weights = log_joint.softmax(0)[..., None]
    mean = (weights * z).sum(0)
    stddev = (weights * (z - mean).square()).sum(0).sqrt()
    evidence = log_joint.logsumexp(0) + (GRID[1] - GRID[0]).log()
    bound = network.log_likelihood(network.decode(latent.z), blocks).sum(0).mean(0) - latent.kl
    return (
        ((latent.posterior.mean - mean) / stddev).abs().mean().item(),
        (latent.posterior.stddev / stddev).log().abs().mean().item(),
        (evidence - bound).mean().item(),
    )


@pytest.mark.parametrize("rule", ["poe", "gpoe", "joint", "attention"])
def test_modalities_that_each_tell_all_they_know(rule):
    """The exact posterior is a product of experts, also where they say the same: all rules find it."""
    network = trained(COPIES, rule, max_iter=20)
    for pattern in (BOTH, FIRST, SECOND):
        mean, stddev, divergence = errors(COPIES, network, pattern)
        assert mean < 0.1
        assert stddev < 0.06
        assert divergence < 0.01


def test_modalities_that_only_together_tell():
    """A product cannot tell the direction from one and the distance from the other, whatever its powers."""
    mean, _, divergence = errors(PARTS, trained(PARTS, "poe", max_iter=40), BOTH)
    for rule in ("joint", "attention"):
        network = trained(PARTS, rule, max_iter=40)
        its_mean, its_stddev, its_divergence = errors(PARTS, network, BOTH)
        assert its_mean < 0.5 * mean
        assert its_divergence < 0.4 * divergence
        assert its_stddev < 0.3
