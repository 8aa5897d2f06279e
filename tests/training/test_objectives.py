"""Objectives: bounds against the exact likelihood of a linear-Gaussian model, weights, sums and means."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from torch import nn

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.nodes import fixed_nodes
from skmm.networks.vae import Latent, VAENetwork
from skmm.probability.fusion import FUSIONS, Sizes, build_fusion
from skmm.probability.likelihoods.registry import LIKELIHOODS
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import StandardNormal
from skmm.training.objectives import ELBO, IWAE, OBJECTIVES

N_COMPONENTS, SIZES = 2, (3, 2)
# every feature loads on one component, so that posteriors of any cells have diagonal covariance
LOADINGS = torch.tensor([[1.5, 0.0], [0.0, -1.0], [0.7, 0.0], [0.0, 2.0], [-0.8, 0.0]])
INTERCEPT = torch.tensor([0.5, -1.0, 0.0, 2.0, 0.3])

every_objective = pytest.mark.parametrize("name", OBJECTIVES)


class IdentityFamily(NormalFamily):
    """Encoders return natural parameters as they are."""

    def natural(self, raw):
        return raw


class ExactEncoder(nn.Module):
    """What the observed features of one modality say about the latent variable; off by a factor if wanted."""

    def __init__(self, loadings, intercept, scale, wrong):
        super().__init__()
        self.loadings, self.intercept, self.scale, self.wrong = loadings, intercept, scale, wrong

    def forward(self, x):
        values, missing = x.chunk(2, dim=-1)
        precision = (1 - missing) / self.scale**2
        weighted_mean = (precision * (values - self.intercept)) @ self.loadings
        return torch.cat([self.wrong * weighted_mean, self.wrong * precision @ self.loadings**2], dim=-1)


class SumOfEncoders(nn.Module):
    """What all modalities say, in one network."""

    def __init__(self, encoders):
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, x):
        parts = x.split([2 * size for size in SIZES], dim=-1)
        return sum(encoder(part) for encoder, part in zip(self.encoders, parts, strict=True))


class FixedNoise(VAENetwork):
    """Draws latent points at nodes that all rows and all calls share."""

    def infer(self, blocks, n_draws):
        posterior = self.posterior(blocks)
        nodes = fixed_nodes(n_draws, N_COMPONENTS, torch.device("cpu"), balanced=False)
        part = nodes.part.expand(-1, blocks.n_rows)
        return Latent(posterior.at(nodes.noise, part), posterior, self.prior)


def linear_gaussian(*, wrong=1.0, fusion="poe", weights=(1.0, 1.0), cls=VAENetwork):
    likelihoods = [LIKELIHOODS["normal"](size) for size in SIZES]
    encoders, decoders = [], []
    for loadings, intercept, likelihood in zip(
        LOADINGS.split(SIZES), INTERCEPT.split(SIZES), likelihoods, strict=True
    ):
        decoder = nn.Linear(N_COMPONENTS, len(loadings))
        with torch.no_grad():
            likelihood.log_scale.copy_(torch.linspace(-1.0, -0.3, len(loadings)))
            decoder.weight.copy_(loadings)
            decoder.bias.copy_(intercept)
        decoders.append(decoder)
        encoders.append(ExactEncoder(loadings, intercept, likelihood.scale.detach(), wrong))
    sizes = Sizes(tuple(2 * size for size in SIZES), 2 * N_COMPONENTS, lambda *_: SumOfEncoders(encoders))
    rule = build_fusion(fusion, sizes)
    return cls(
        names=("a", "b"),
        encoders=encoders if getattr(rule, "uses_experts", True) else [],
        decoders=decoders,
        likelihoods=likelihoods,
        sees_mask=(True, True),
        fusion=rule,
        family=IdentityFamily(),
        prior=StandardNormal(N_COMPONENTS),
        weights=weights,
        n_components=N_COMPONENTS,
    ).requires_grad_(requires_grad=False)


def noise_scale(network):
    return torch.cat([likelihood.scale for likelihood in network.likelihoods])


def exact_log_likelihood(network, blocks):
    """Of the observed entries of each row."""
    covariance = (LOADINGS @ LOADINGS.T + noise_scale(network).square().diag()).double().numpy()
    rows = []
    for values, seen in zip(blocks.joint.double().numpy(), blocks.joint_observed.numpy(), strict=True):
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
def blocks():
    """Rows of the model: all observed, without a, without b, without single cells, and empty."""
    z = torch.randn(12, N_COMPONENTS)
    joint = z @ LOADINGS.T + INTERCEPT + noise_scale(linear_gaussian()) * torch.randn(12, 5)
    observed = torch.ones(12, 5, dtype=torch.bool)
    observed[3:5, :3] = False
    observed[5:7, 3:] = False
    observed[7, [0, 4]] = False
    observed[8, [1, 2, 3]] = False
    observed[9] = False
    return Blocks.from_joint(joint, observed, SIZES)


def make(name, n_draws=None):
    objective = OBJECTIVES[name]()
    if n_draws is not None and "n_draws" in objective.get_params():
        objective.set_params(n_draws=n_draws)
    return objective


def bounds(objective, network, inputs, targets=None, n=200):
    """Mean of many evaluations of the bound, and its standard error."""
    targets = inputs if targets is None else targets
    values = torch.stack([objective(network, inputs, targets, 1.0).bound for _ in range(n)]).double()
    return values.mean().item(), (values.std() / n**0.5).item()


def is_bound(name):
    return make(name)(linear_gaussian(), some_rows(), some_rows(), 1.0).bound is not None


def some_rows():
    return Blocks.from_joint(torch.zeros(2, 5), torch.ones(2, 5, dtype=torch.bool), SIZES)


@every_objective
class TestBounds:
    @pytest.mark.parametrize("fusion", FUSIONS)
    @pytest.mark.parametrize("wrong", [1.0, 0.3, 3.0])
    @pytest.mark.parametrize("n_draws", [1, 5])
    def test_never_above_the_likelihood(self, name, fusion, wrong, n_draws, blocks):
        network = linear_gaussian(fusion=fusion, wrong=wrong)
        if not is_bound(name):
            pytest.skip("not a bound")
        mean, error = bounds(make(name, n_draws), network, blocks)
        assert mean <= exact_log_likelihood(network, blocks).mean() + 4 * error

    def test_never_above_the_likelihood_where_inputs_are_hidden(self, name, blocks):
        """Encoders that see less than is scored give a looser bound of what is scored."""
        if not is_bound(name):
            pytest.skip("not a bound")
        hidden = Blocks.from_joint(
            blocks.joint, blocks.joint_observed & torch.tensor([True] * 3 + [False] * 2), SIZES
        )
        network = linear_gaussian()
        exact = exact_log_likelihood(network, blocks).mean()
        mean, _ = bounds(make(name), network, hidden, blocks)
        assert mean < exact - 0.1
        assert mean > exact - 20

    @pytest.mark.parametrize("fusion", ["poe", "gpoe", "joint", "attention"])
    def test_tight_for_the_exact_posterior(self, name, fusion, blocks):
        """Evidence bounds are then equal to the evidence."""
        if not is_bound(name) or name == "unimodal_elbo":  # the bounds given one modality stay loose
            pytest.skip("not a bound, or a loose one")
        network = linear_gaussian(fusion=fusion)
        mean, error = bounds(make(name, 100), network, blocks)
        assert mean == pytest.approx(exact_log_likelihood(network, blocks).mean(), abs=4 * error + 1e-4)
        assert error < 0.01


def test_importance_weights_of_the_exact_posterior_do_not_vary(blocks):
    """A single draw is then enough, whichever it is."""
    network = linear_gaussian()
    for seed in range(3):
        with isolated_rng(seed):
            bound = IWAE(n_draws=1)(network, blocks, blocks, 1.0).bound.item()
        assert bound == pytest.approx(exact_log_likelihood(network, blocks).mean(), abs=1e-4)


@pytest.mark.parametrize("wrong", [0.3, 3.0])
def test_importance_weights_tighten_the_bound(wrong, blocks):
    network = linear_gaussian(wrong=wrong)
    exact = exact_log_likelihood(network, blocks).mean()
    elbo, _ = bounds(ELBO(n_draws=100), network, blocks)
    one, error = bounds(IWAE(n_draws=1), network, blocks, n=2000)
    few, _ = bounds(IWAE(n_draws=10), network, blocks)
    many, _ = bounds(IWAE(n_draws=1000), network, blocks, n=20)
    assert one == pytest.approx(elbo, abs=4 * error)  # with one draw they are the same
    assert elbo + 0.1 < few < many < exact
    assert many > exact - 0.3 * (exact - elbo)


def test_elbo_of_a_wrong_posterior_in_closed_form(blocks):
    """The evidence less the divergence of the posterior used from the exact one."""
    wrong, exact = linear_gaussian(wrong=3.0), linear_gaussian()
    divergence = torch.distributions.kl_divergence(
        torch.distributions.Normal(wrong.posterior(blocks).mean, wrong.posterior(blocks).stddev),
        torch.distributions.Normal(exact.posterior(blocks).mean, exact.posterior(blocks).stddev),
    ).sum(-1)
    expected = (exact_log_likelihood(exact, blocks) - divergence.numpy()).mean()
    mean, error = bounds(ELBO(n_draws=100), wrong, blocks)
    assert mean == pytest.approx(expected, abs=4 * error)


# terms


@every_objective
@pytest.mark.parametrize("fusion", FUSIONS)
class TestTerms:
    def test_beta_and_weights_enter_the_loss_but_never_the_bound(self, name, fusion, blocks):
        objective = make(name, 4)
        plain = objective(linear_gaussian(fusion=fusion, wrong=0.5, cls=FixedNoise), blocks, blocks, 1.0)
        weighted = linear_gaussian(fusion=fusion, wrong=0.5, weights=(3.0, 0.5), cls=FixedNoise)
        losses = {plain.loss.item()}
        for beta in (0.0, 0.25, 1.0):
            terms = objective(weighted, blocks, blocks, beta)
            losses.add(terms.loss.item())
            for field in ("bound", "reconstruction", "kl"):
                torch.testing.assert_close(getattr(terms, field), getattr(plain, field), rtol=0, atol=0)
        assert len(losses) == 4

    def test_loss_is_the_negative_bound_where_nothing_is_weighted(self, name, fusion, blocks):
        terms = make(name, 4)(linear_gaussian(fusion=fusion, wrong=0.5), blocks, blocks, 1.0)
        if terms.bound is not None:
            torch.testing.assert_close(terms.loss, -terms.bound)

    def test_sums_over_features_and_means_over_rows(self, name, fusion, blocks):
        """Every term of a batch is the mean of those of its rows: the batch size does not matter."""
        objective, network = make(name, 4), linear_gaussian(fusion=fusion, wrong=0.5, cls=FixedNoise)
        network.modality_weights.copy_(torch.tensor([2.0, 0.5]))
        whole = objective(network, blocks, blocks, 0.3)
        twice = blocks.rows(torch.arange(12).repeat(2))
        single = [blocks.rows(slice(row, row + 1)) for row in range(12)]
        single_terms = [objective(network, row, row, 0.3) for row in single]
        for field in ("loss", "bound", "reconstruction", "kl"):
            expected = getattr(whole, field)
            torch.testing.assert_close(getattr(objective(network, twice, twice, 0.3), field), expected)
            torch.testing.assert_close(
                torch.stack([getattr(t, field) for t in single_terms]).mean(0), expected
            )

    def test_shapes_and_gradients(self, name, fusion, blocks):
        network = linear_gaussian(fusion=fusion).requires_grad_()
        terms = make(name)(network, blocks, blocks, 1.0)
        assert terms.loss.shape == ()
        assert terms.loss.requires_grad
        assert terms.reconstruction.shape == (2,)
        assert terms.kl.ndim == 1
        # what is only reported must not keep the graph alive
        assert not terms.reconstruction.requires_grad
        assert not terms.kl.requires_grad
        assert terms.bound is None or (terms.bound.shape == () and not terms.bound.requires_grad)


@every_objective
def test_rows_with_nothing_observed_cost_nothing(name, blocks):
    terms = make(name, 8)(linear_gaussian(), blocks.rows(slice(9, 10)), blocks.rows(slice(9, 10)), 1.0)
    assert terms.reconstruction.tolist() == [0.0, 0.0]
    assert terms.loss.item() == pytest.approx(0.0, abs=1e-5)


@every_objective
def test_targets_are_scored_where_the_encoders_saw_nothing(name, blocks):
    """Otherwise decoding one modality from another would never be trained."""
    hidden = Blocks.from_joint(blocks.joint, torch.zeros_like(blocks.joint_observed), SIZES)
    complete = blocks.rows(slice(0, 3))
    terms = make(name, 8)(linear_gaussian(), hidden.rows(slice(0, 3)), complete, 1.0)
    assert (terms.reconstruction < -1).all()


@every_objective
def test_parameters_can_be_searched(name):
    objective = make(name, 7)
    assert clone(objective).get_params() == objective.get_params()


# the formulas, by hand


def by_hand(network, blocks, n_draws):
    latent = network.infer(blocks, n_draws)
    log_likelihood = []
    for m, loadings in enumerate(LOADINGS.split(SIZES)):
        normal = torch.distributions.Normal(
            latent.z @ loadings.T + INTERCEPT.split(SIZES)[m], network.likelihoods[m].scale
        )
        log_likelihood.append((normal.log_prob(blocks.values[m]) * blocks.observed[m]).sum(-1))
    q = torch.distributions.Normal(latent.posterior.mean, latent.posterior.stddev)
    p = torch.distributions.Normal(torch.zeros(N_COMPONENTS), torch.ones(N_COMPONENTS))
    log_ratio = (p.log_prob(latent.z) - q.log_prob(latent.z)).sum(-1)
    kl = torch.distributions.kl_divergence(q, p).sum(-1)
    return *log_likelihood, log_ratio, kl


def test_elbo(blocks):
    network = linear_gaussian(wrong=0.5, weights=(2.0, 0.5), cls=FixedNoise)
    first, second, _, kl = by_hand(network, blocks, 4)
    terms = ELBO(n_draws=4)(network, blocks, blocks, 0.3)
    torch.testing.assert_close(terms.loss, 0.3 * kl.mean() - 2.0 * first.mean() - 0.5 * second.mean())
    torch.testing.assert_close(terms.bound, first.mean() + second.mean() - kl.mean())
    torch.testing.assert_close(terms.reconstruction, torch.stack([first.mean(), second.mean()]))
    torch.testing.assert_close(terms.kl, kl.mean()[None])


def test_iwae(blocks):
    network = linear_gaussian(wrong=0.5, weights=(2.0, 0.5), cls=FixedNoise)
    first, second, log_ratio, _ = by_hand(network, blocks, 4)
    terms = IWAE(n_draws=4)(network, blocks, blocks, 0.3)
    weights = 2.0 * first + 0.5 * second + 0.3 * log_ratio
    torch.testing.assert_close(terms.loss, -weights.double().exp().mean(0).log().mean().float())
    weights = first + second + log_ratio
    torch.testing.assert_close(terms.bound, weights.double().exp().mean(0).log().mean().float())
    torch.testing.assert_close(terms.reconstruction, torch.stack([first.mean(), second.mean()]))
    torch.testing.assert_close(terms.kl, -log_ratio.mean()[None])
