"""The network for sequences: a linear-Gaussian state-space model by hand, and what every set-up must keep."""

import math

import pytest
import torch
from torch import nn

from skmm._blocks.blocks import Blocks, SequenceBlocks
from skmm._torch import isolated_rng
from skmm.inference.particles import particle_bound
from skmm.networks.dense import Dense
from skmm.networks.evidence import JoinedInference, ProductInference
from skmm.networks.fused import FusedWalk
from skmm.networks.recurrence import TRANSITIONS, BackwardSummary, build_transition
from skmm.networks.vrnn import VRNNNetwork
from skmm.probability.fusion import Sizes, build_fusion
from skmm.probability.likelihoods.continuous import Normal
from skmm.probability.posteriors import NormalFamily

CPU = torch.device("cpu")
FAMILY = NormalFamily(relative=False)
K = 3
SIZES = (2, 1)


def dense(n_in, n_out):
    return Dense(n_in, n_out, (5,), "silu", 0.0)


def make_network(
    fusion="poe",
    transition="gru",
    *,
    n_layers=1,
    smoothing=True,
    completes_inputs=False,
    smoothing_dropout=0.0,
):
    """A network whose weights are all random, the zeros of the start among them."""
    n_raw, n_hidden = FAMILY.n_raw(K), 4
    n_seen = [2 * size for size in SIZES]
    joined = fusion.startswith("concat")
    n_expert = n_hidden if joined else n_raw
    with isolated_rng(0):
        if joined:
            combine = JoinedInference(
                FAMILY,
                len(SIZES),
                n_expert,
                n_hidden,
                n_hidden if smoothing else 0,
                n_raw,
                tokens=fusion == "concat",
                dense=dense,
            )
        else:
            combine = ProductInference(nn.Linear(n_hidden, n_raw) if smoothing else None)
        network = VRNNNetwork(
            names=["a", "b"],
            encoders=[dense(n, n_expert) for n in n_seen],
            decoders=[dense(K + n_hidden, size) for size in SIZES],
            likelihoods=[Normal(size) for size in SIZES],
            sees_mask=[True, True],
            fusion=None if joined else build_fusion(fusion, Sizes(tuple(n_seen), n_raw, dense)),
            family=FAMILY,
            weights=[1.0, 1.0],
            n_components=K,
            transition=TRANSITIONS[transition](K + completes_inputs * sum(SIZES), n_hidden, n_layers),
            prior_head=nn.Linear(n_hidden, n_raw),
            combine=combine,
            backward=BackwardSummary(sum(n_seen), n_hidden, n_layers) if smoothing else None,
            smoothing_dropout=smoothing_dropout,
            completes_inputs=completes_inputs,
        )
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.5)
    return network.eval()


@pytest.fixture
def blocks():
    """Six sequences: complete; without a modality; gaps at the start, in the middle, at the end; empty."""
    with isolated_rng(1):
        joint = torch.randn(6, 8, 3)
    observed = torch.ones(6, 8, 3, dtype=torch.bool)
    observed[1, :, 2] = False
    observed[2, :3] = False
    observed[3, 3:6] = False
    observed[4, 5:] = False
    observed[5] = False
    return Blocks.from_joint(joint, observed, SIZES)


EVERY = [
    {},
    {"transition": "lstm", "n_layers": 2},
    {"fusion": "mopoe"},
    {"fusion": "moe"},
    {"fusion": "concat"},
    {"fusion": "concat_zeros", "n_layers": 2},
    {"completes_inputs": True},
    {"fusion": "concat", "completes_inputs": True, "transition": "lstm"},
    {"smoothing": False},
]
every_network = pytest.mark.parametrize("how", EVERY, ids=str)


def same(one, other, tolerance=1e-5):
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


class TestSteps:
    @every_network
    def test_nothing_observed_then_or_later_leaves_the_prior(self, how, blocks):
        network = make_network(**how)
        with isolated_rng(0):
            path = network.infer(blocks, 5)
        empty = ~blocks.present.any(0)
        after = empty.flip(1).cumprod(1).flip(1).bool()  # and nothing later
        assert after.sum() == 3 + 8
        for what in ("mean", "stddev"):
            posterior, prior = getattr(path.posterior, what), getattr(path.prior, what)
            same(posterior[:, after], prior[:, after])
            assert (posterior - prior).abs()[:, ~empty].amax(-1).min() > 1e-4
        same(path.kl[5], torch.zeros(()))
        assert (path.kl[:5] > 1e-3).all()

    @every_network
    def test_gaps_know_of_the_future_where_the_network_smooths(self, how, blocks):
        network = make_network(**how)
        with isolated_rng(0):
            smoothed, filtered = network.infer(blocks, 2), network.infer(blocks, 2, smooth=False)
        gap = (slice(None), 3, slice(3, 6))
        same(filtered.posterior.mean[gap], filtered.prior.mean[gap])
        differs = (smoothed.posterior.mean[gap] - smoothed.prior.mean[gap]).abs().min()
        assert (differs > 1e-4) == how.get("smoothing", True)

    @every_network
    def test_a_walk_may_be_interrupted(self, how, blocks):
        network = make_network(**how)
        evidence = network.evidence(blocks, smooth=True)
        with isolated_rng(0):
            noise, part = torch.randn(2, 6, 8, K), torch.rand(2, 6, 8)
        whole = network.walk(evidence, noise, part, blocks)
        state, codes = None, []
        for index in (slice(0, 3), slice(3, 4), slice(4, 8)):
            piece = network.walk(
                evidence.steps(index), noise[:, :, index], part[:, :, index], blocks.steps(index), state
            )
            state = piece.state
            codes.append(piece.code)
        same(torch.cat(codes, dim=2), whole.code)

    @every_network
    def test_divergence_is_that_of_the_draws(self, how, blocks):
        """In closed form or not: the mean of log q - log p over many draws."""
        network = make_network(**how)
        with isolated_rng(0), torch.no_grad():
            path = network.infer(blocks, 20_000)
        ratio = path.log_q - path.log_p
        error = ratio.std(0) / len(ratio) ** 0.5
        assert ((ratio.mean(0) - path.kl).abs() <= 5 * error + 1e-4).all()

    def test_draws_have_the_moments_of_the_posterior(self, blocks):
        network = make_network()
        with isolated_rng(0), torch.no_grad():
            path = network.infer(blocks, 20_000)
        first = path.z[:, :, 0]
        same(first.mean(0), path.posterior.mean[0, :, 0], 0.05)
        same(first.std(0), path.posterior.stddev[0, :, 0], 0.05)

    def test_smoothing_dropout_acts_in_training_only(self, blocks):
        network = make_network(smoothing_dropout=0.5)
        zero = torch.zeros(1, 6, 8, K), torch.zeros(1, 6, 8)

        def gap(smooth):
            with isolated_rng(3):
                evidence = network.evidence(blocks, smooth=smooth)
            return network.walk(evidence, *zero, blocks).posterior.mean[0, :, 0]

        smoothed, filtered = gap(True), gap(False)
        same(gap(True), smoothed)
        mixed = []
        network.train()
        with isolated_rng(0):
            for _ in range(30):
                evidence = network.evidence(blocks, smooth=True)
                found = network.walk(evidence, *zero, blocks).posterior.mean[0, :5, 0]
                is_filtered = (found - filtered[:5]).abs().amax(-1) < 1e-6
                is_smoothed = (found - smoothed[:5]).abs().amax(-1) < 1e-6
                assert (is_filtered ^ is_smoothed).all()
                mixed.append(is_filtered)
        assert 0.35 < torch.stack(mixed).float().mean() < 0.65

    def test_completed_inputs_are_the_observed_values(self, blocks):
        """What is observed goes into the recurrence as it is, what is not as the decoder expects it."""
        network = make_network(completes_inputs=True)
        given = []
        step = network.transition.step
        network.transition.step = lambda state, u: given.append(u) or step(state, u)
        path = network.mean_path(blocks)
        inputs = torch.stack(given, dim=1)[..., K:]
        expected = torch.cat([d.mean[0] for d in network.decode(path.code)], dim=-1)
        same(inputs, torch.where(blocks.joint_observed, blocks.joint, expected))

    def test_gradients_reach_every_parameter(self, blocks):
        for how in EVERY:
            network = make_network(**how).train()
            with isolated_rng(0):
                path = network.infer(blocks, 1)
            log_likelihood = network.log_likelihood(network.decode(path.code), blocks)
            (log_likelihood.sum() - path.kl.sum()).backward()
            for name, parameter in network.named_parameters():
                assert parameter.grad is not None, (how, name)
                assert parameter.grad.isfinite().all(), (how, name)
                assert parameter.grad.abs().sum() > 0 or "token" in name, (how, name)


class TestBackwardSummary:
    def test_runs_from_the_last_step_seen_to_the_first(self):
        with isolated_rng(0):
            summary = BackwardSummary(2, 3, 1)
            inputs = torch.randn(1, 5, 2)
        seen = torch.tensor([[True, False, True, False, False]])
        found, told = summary([inputs], seen)
        assert told.tolist() == [[True, True, True, False, False]]
        expected, _ = summary.recurrence(inputs[:, :3].flip(1))
        same(found[:, :3], expected.flip(1))

    def test_empty_steps_behind_the_last_change_nothing(self):
        with isolated_rng(0):
            summary = BackwardSummary(2, 3, 2)
            inputs = torch.randn(4, 9, 2)
        seen = torch.rand(4, 9, generator=torch.Generator().manual_seed(0)) < 0.5
        seen[:, 6:] = False
        whole, _ = summary([inputs], seen)
        short, told = summary([inputs[:, :6]], seen[:, :6])
        same(whole[:, :6][told], short[told])


# --- a linear-Gaussian state-space model ------------------------------------------------------------------

DECAY, PROCESS, LOADING, NOISE = 0.8, 0.6, 1.5, 0.5


class Shift(nn.Module):
    """The state is the latent variable of the step before."""

    def initial(self, n):
        return (torch.zeros(n, 1),)

    def output(self, state):
        return state[0]

    def step(self, state, u):
        return (u,)


def linear_gaussian():
    """z_t = 0.8 z_{t-1} + 0.6 e, and x_t = 1.5 z_t + 0.5 e, with the exact expert of each step."""
    with isolated_rng(0):
        encoder = nn.Linear(2, 2)  # value and missing indicator
        decoder, prior_head = nn.Linear(2, 1), nn.Linear(1, 2)
    precision = (LOADING / NOISE) ** 2
    with torch.no_grad():
        encoder.weight.zero_()
        encoder.weight[0, 0] = 1 / LOADING
        encoder.bias.copy_(torch.tensor([0.0, math.log(precision)]))
        decoder.weight.copy_(torch.tensor([[LOADING, 0.0]]))
        decoder.bias.zero_()
        prior_head.weight.copy_(torch.tensor([[DECAY], [0.0]]))
        prior_head.bias.copy_(torch.tensor([0.0, -2 * math.log(PROCESS)]))
    likelihood = Normal(1)
    with torch.no_grad():
        likelihood.log_scale.fill_(math.log(NOISE - 0.01))
    return VRNNNetwork(
        names=["x"],
        encoders=[encoder],
        decoders=[decoder],
        likelihoods=[likelihood],
        sees_mask=[True],
        fusion=build_fusion("poe", Sizes((2,), 2, dense)),
        family=FAMILY,
        weights=[1.0],
        n_components=1,
        transition=Shift(),
        prior_head=prior_head,
        combine=ProductInference(None),
        backward=None,
        smoothing_dropout=0.0,
        completes_inputs=False,
    ).eval()


@pytest.fixture(scope="module")
def linear_data():
    """Forty sequences drawn from the model, a third of the entries missing."""
    n, n_steps = 40, 12
    with isolated_rng(0):
        z, steps = torch.zeros(n, 1), []
        for _ in range(n_steps):
            z = DECAY * z + PROCESS * torch.randn(n, 1)
            steps.append(LOADING * z + NOISE * torch.randn(n, 1))
        observed = torch.rand(n, n_steps, 1) < 2 / 3
    return Blocks.from_joint(torch.stack(steps, dim=1), observed, (1,))


def covariance(n_steps):
    """Of the observations."""
    variance, of_z = 0.0, torch.zeros(n_steps, n_steps)
    for t in range(n_steps):
        variance = DECAY**2 * variance + PROCESS**2
        for later in range(t, n_steps):
            of_z[t, later] = of_z[later, t] = DECAY ** (later - t) * variance
    return LOADING**2 * of_z + NOISE**2 * torch.eye(n_steps)


def exact_log_likelihood(blocks):
    found = []
    for values, observed in zip(blocks.joint[..., 0], blocks.joint_observed[..., 0], strict=True):
        part = covariance(len(values))[observed][:, observed]
        normal = torch.distributions.MultivariateNormal(torch.zeros(len(part)), part)
        found.append(normal.log_prob(values[observed]))
    return torch.stack(found)


def as_sequences(blocks):
    n, n_steps, n_features = blocks.joint.shape
    table = Blocks(
        blocks.joint.reshape(-1, n_features),
        blocks.joint_observed.reshape(-1, n_features),
        blocks.present.reshape(len(blocks.sizes), -1),
        blocks.sizes,
    )
    return SequenceBlocks.from_table(table, torch.full((n,), n_steps))


class TestParticles:
    def test_bound_closes_in_on_the_exact_likelihood(self, linear_data):
        network, exact = linear_gaussian(), exact_log_likelihood(linear_data)
        gaps = []
        for n_draws in (4, 32, 512):
            bound = particle_bound(network, as_sequences(linear_data), CPU, n_draws=n_draws)
            gaps.append(float((exact - bound).mean()))
        error = 3 * float((exact - bound).std()) / len(exact) ** 0.5
        assert gaps[0] > gaps[1] > gaps[2] - error
        assert gaps[0] > 0.1
        assert abs(gaps[2]) < error + 0.01
        assert error < 0.1

    def test_estimate_of_the_likelihood_is_unbiased(self, linear_data):
        """Each sequence has points of its own: the mean ratio over many copies with other noise is one."""
        network = linear_gaussian()
        one = linear_data.rows(slice(0, 1))
        with isolated_rng(0):  # what is observed moves the points
            jitter = 0.1 * torch.randn(4000, *one.joint.shape[1:])
        copies = Blocks.from_joint(one.joint + jitter, one.joint_observed.expand(4000, -1, -1), one.sizes)
        exact = exact_log_likelihood(copies)
        ratio = (particle_bound(network, as_sequences(copies), CPU, n_draws=8) - exact).exp()
        assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * float(ratio.std()) / 4000**0.5)
        assert float(ratio.std()) > 0.1

    def test_empty_steps_and_sequences(self, linear_data):
        network = linear_gaussian()
        bound = particle_bound(network, as_sequences(linear_data), CPU, n_draws=16)
        padded = Blocks.from_joint(
            torch.nn.functional.pad(linear_data.joint, (0, 0, 0, 5), value=3.0),
            torch.nn.functional.pad(linear_data.joint_observed, (0, 0, 0, 5)),
            linear_data.sizes,
        )
        same(particle_bound(network, as_sequences(padded), CPU, n_draws=16), bound)
        empty = Blocks.from_joint(linear_data.joint, torch.zeros_like(linear_data.joint_observed), (1,))
        assert (particle_bound(network, as_sequences(empty), CPU, n_draws=16) == 0).all()

    @pytest.mark.parametrize("n_draws", [1, 2, 9])
    def test_few_particles_do(self, n_draws, linear_data):
        bound = particle_bound(linear_gaussian(), as_sequences(linear_data), CPU, n_draws=n_draws)
        assert bound.isfinite().all()
        assert bound.mean() < exact_log_likelihood(linear_data).mean()


def test_posterior_of_a_step_is_the_exact_product(linear_data):
    network = linear_gaussian()
    with isolated_rng(0):
        path = network.infer(linear_data, 3)
    before = torch.nn.functional.pad(path.z, (0, 0, 1, 0))[:, :, :-1]  # z_{t-1}
    precision = torch.where(linear_data.joint_observed, (LOADING / NOISE) ** 2, 0.0) + PROCESS**-2
    weighted = torch.where(linear_data.joint_observed, linear_data.joint * LOADING / NOISE**2, 0.0)
    expected = (weighted + DECAY * before / PROCESS**2) / precision
    same(path.posterior.mean, expected)
    same(path.posterior.stddev, precision.rsqrt().expand_as(expected))


def test_follow_gives_what_decoders_saw(blocks):
    for how in EVERY:
        if how.get("completes_inputs"):
            continue  # the values that the recurrence saw are not known any more
        network = make_network(**how)
        path = network.mean_path(blocks)
        same(network.follow(path.z[0]), path.code[0])


class TestFusedWalk:
    """The walk with the backward pass written out is the walk."""

    @staticmethod
    def loss_and_gradients(network, blocks, fused, monkeypatch):
        if not fused:
            monkeypatch.setattr(VRNNNetwork, "_is_common", lambda *_: False)
        network.zero_grad()
        with isolated_rng(2):
            path = network.infer(blocks, 1)
        log_likelihood = network.log_likelihood(network.decode(path.code), blocks)
        loss = log_likelihood.sum() - 0.3 * path.kl.sum() + sum(state.square().sum() for state in path.state)
        loss.backward()
        return path, loss, {name: p.grad.clone() for name, p in network.named_parameters()}

    @pytest.mark.parametrize("scale", [1.0, 30.0])  # the latter reaches the limits of the precision
    def test_same_results_and_gradients(self, blocks, scale, monkeypatch):
        network = make_network().double()  # rounding grows along a path that is sure of itself
        with torch.no_grad():
            network.prior_head.weight *= scale
        blocks = Blocks.from_joint(blocks.joint.double(), blocks.joint_observed, blocks.sizes)
        path, loss, gradients = self.loss_and_gradients(network, blocks, True, monkeypatch)
        plain, plain_loss, plain_gradients = self.loss_and_gradients(network, blocks, False, monkeypatch)
        same(loss, plain_loss, 1e-9)
        for one, other in ((path.z, plain.z), (path.hidden, plain.hidden), (path.state[0], plain.state[0])):
            same(one, other, 1e-9)
        for name, gradient in gradients.items():
            size = plain_gradients[name].abs().max()
            assert size > 0
            assert (gradient - plain_gradients[name]).abs().max() < 1e-9 * size, name

    def test_is_taken_for_what_it_is_made_for_only(self, blocks):
        for how in EVERY:
            network = make_network(**how)
            evidence = network.evidence(blocks, smooth=True)
            assert network._is_common(evidence, 1) == (how in ({}, {"smoothing": False}))
            assert not network._is_common(evidence, 2)

    def test_gradients_in_double_precision(self):
        """Against finite differences."""
        with isolated_rng(0):
            shapes = [(3, 2, 4), (3, 2, 2), (2, 5), (19, 5), (19,), (15, 2), (15,)]
            said, *rest = [0.5 * torch.randn(shape, dtype=torch.float64) for shape in shapes]
        arguments = [said.abs(), *rest]
        for i, argument in enumerate(arguments):
            argument.requires_grad_(i != 1)  # noise has none
        assert torch.autograd.gradcheck(FusedWalk.apply, arguments)


class Wide(Shift):
    """A state of as many numbers as there are latent variables."""

    def __init__(self, n_inputs, n_hidden, n_layers):
        super().__init__()
        self.size = n_inputs

    def initial(self, n):
        return (torch.zeros(n, self.size),)


class TestBuildTransition:
    def test_users_own(self):
        assert isinstance(build_transition(Wide, 3, 3, 1), Wide)
        assert isinstance(build_transition(lambda *sizes: Wide(*sizes), 3, 3, 1), Wide)

    @pytest.mark.parametrize("name", TRANSITIONS)
    @pytest.mark.parametrize("n_layers", [1, 3])
    def test_registered(self, name, n_layers):
        with isolated_rng(0):
            made = build_transition(name, 3, 5, n_layers)
        state = made.step(made.initial(4), torch.ones(4, 3))
        assert made.output(state).shape == (4, 5)
        assert all(part.shape == (4, 5) for part in state)

    def test_wrong_ones(self):
        with pytest.raises(TypeError, match=r"transition must return a torch Module with methods initial"):
            build_transition(lambda *sizes: None, 3, 3, 1)
        with pytest.raises(ValueError, match=r"must have shape \(n, 4\), as hidden_size says, .* \(2, 3\)"):
            build_transition(Wide, 3, 4, 1)
