"""Posteriors: mixtures of normal densities against brute force, SciPy and torch.distributions."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from skmm._torch import isolated_rng
from skmm.probability.posteriors import (
    POSTERIORS,
    LaplaceFamily,
    LaplaceMixture,
    NormalFamily,
    NormalMixture,
)
from skmm.probability.priors import PRIORS, LearnedNormal, StandardLaplace, StandardNormal

N_PARTS, N_ROWS, N_COMPONENTS = 4, 3, 2


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


@pytest.fixture
def parameters():
    loc = torch.randn(N_PARTS, N_ROWS, N_COMPONENTS, dtype=torch.float64)
    scale = torch.rand(N_PARTS, N_ROWS, N_COMPONENTS, dtype=torch.float64) + 0.3
    weights = torch.rand(N_PARTS, N_ROWS, dtype=torch.float64)
    weights[0, 0] = weights[3, 1] = weights[1, 2] = weights[2, 2] = 0.0  # first, last, in the middle
    return loc, scale, weights / weights.sum(0)


@pytest.fixture
def mixture(parameters):
    loc, scale, weights = parameters
    return NormalMixture(loc, scale, weights.log())


@pytest.fixture
def single(parameters):
    loc, scale, _ = parameters
    return NormalMixture(loc[:1], scale[:1])


class TestMixture:
    def test_log_prob(self, mixture, parameters):
        z = torch.randn(6, N_ROWS, N_COMPONENTS, dtype=torch.float64)
        loc, scale, weights = (parameter.numpy() for parameter in parameters)
        log_parts = stats.norm(loc, scale).logpdf(z.numpy()[:, None]).sum(-1)  # (6, parts, rows)
        expected = special.logsumexp(log_parts, b=weights, axis=1)
        np.testing.assert_allclose(mixture.log_prob(z), expected, rtol=1e-12)

    def test_moments_by_integration(self, mixture):
        """One row and component at a time, on a fine grid."""
        grid = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
        for row in range(N_ROWS):
            for component in range(N_COMPONENTS):
                marginal = NormalMixture(
                    mixture.loc[:, row : row + 1, component : component + 1],
                    mixture.scale[:, row : row + 1, component : component + 1],
                    mixture.log_weights[:, row : row + 1],
                )
                density = marginal.log_prob(grid[:, None, None])[:, 0].exp()
                mean = torch.trapezoid(density * grid, grid)
                variance = torch.trapezoid(density * (grid - mean) ** 2, grid)
                torch.testing.assert_close(mixture.mean[row, component], mean)
                torch.testing.assert_close(mixture.stddev[row, component], variance.sqrt())

    def test_rsample_moments(self, mixture):
        draws = mixture.rsample(100_000)
        torch.testing.assert_close(draws.mean(0), mixture.mean, rtol=0, atol=0.015)
        torch.testing.assert_close(draws.std(0), mixture.stddev, rtol=0.01, atol=0)

    def test_parts_without_weight_give_no_gradient(self, mixture):
        loc = mixture.loc.clone().requires_grad_()
        with_gradient = NormalMixture(loc, mixture.scale, mixture.log_weights)
        with_gradient.rsample(64).sum().backward()
        assert loc.grad[0, 0].tolist() == [0.0, 0.0]
        assert (loc.grad[mixture.log_weights > -torch.inf] > 0).all()
        z = torch.randn(5, N_ROWS, N_COMPONENTS, dtype=torch.float64)
        (gradient,) = torch.autograd.grad(with_gradient.log_prob(z).sum(), loc)
        assert gradient.isfinite().all()
        assert (gradient[mixture.log_weights == -torch.inf] == 0).all()

    def test_at_chooses_parts_by_their_weights(self, mixture, parameters):
        """The part whose share of [0, 1) holds the number, in the order of their places, with plain loops."""
        loc, scale, weights = parameters
        noise = torch.randn(50, N_ROWS, N_COMPONENTS, dtype=torch.float64)
        part = torch.rand(50, N_ROWS, dtype=torch.float64)
        z = mixture.at(noise, part)
        for draw in range(50):
            for row in range(N_ROWS):
                order = np.argsort(loc[:, row, 0].numpy())
                shares = np.cumsum(weights[order, row].numpy())
                chosen = order[np.searchsorted(shares, part[draw, row].item(), side="right")]
                assert weights[chosen, row] > 0
                expected = loc[chosen, row] + scale[chosen, row] * noise[draw, row]
                torch.testing.assert_close(z[draw, row], expected)

    @pytest.mark.parametrize("number", [0.0, 0.25, 0.5, 1 - 2**-24, 1.0])
    def test_at_never_takes_a_part_without_weight(self, number):
        """Neither at the ends nor at the border between parts, whatever rounding does to the sums."""
        weights = torch.tensor([0.0, 0.25, 0.0, 0.25, 0.5, 0.0, 0.0])
        mixture = NormalMixture(torch.arange(7.0)[:, None, None], torch.ones(7, 1, 1), weights.log()[:, None])
        z = mixture.at(torch.zeros(1, 1, 1), torch.full((1, 1), number))
        assert weights[int(z.item())] > 0

    def test_at_does_not_depend_on_the_order_of_the_parts(self, mixture):
        noise = torch.randn(50, N_ROWS, N_COMPONENTS, dtype=torch.float64)
        part = torch.rand(50, N_ROWS, dtype=torch.float64)
        other = NormalMixture(mixture.loc.flip(0), mixture.scale.flip(0), mixture.log_weights.flip(0))
        torch.testing.assert_close(other.at(noise, part), mixture.at(noise, part))

    def test_nodes_are_shared_by_rows(self, mixture):
        """Noise and part of shape (n_draws, 1, ...) serve every row."""
        noise = torch.randn(8, 1, N_COMPONENTS, dtype=torch.float64)
        part = torch.rand(8, 1, dtype=torch.float64)
        expected = mixture.at(noise.expand(-1, N_ROWS, -1), part.expand(-1, N_ROWS))
        torch.testing.assert_close(mixture.at(noise, part), expected)

    def test_draws_are_shared_out_exactly(self):
        """Systematic sampling: 16 draws from weights of 1/2, 1/8, 0 and 3/8 are 8, 2, 0 and 6."""
        weights = torch.tensor([0.5, 0.125, 0.0, 0.375]).expand(5, 4).T
        loc = torch.arange(4.0)[:, None, None].expand(4, 5, 1) * 100
        draws = NormalMixture(loc, torch.full((4, 5, 1), 1e-3), weights.log()).rsample(16)  # (16, 5, 1)
        counts = torch.stack([(draws / 100).round().eq(part).sum((0, 2)) for part in range(4)])
        assert counts.tolist() == [[8] * 5, [2] * 5, [0] * 5, [6] * 5]

    def test_single_draws_choose_parts_by_chance(self):
        weights = torch.tensor([[0.7], [0.3]])
        loc = torch.tensor([0.0, 100.0])[:, None, None]
        rows = NormalMixture(
            loc.expand(2, 10_000, 1), torch.full((2, 10_000, 1), 0.1), weights.log().expand(2, 10_000)
        )
        share = (rows.rsample(1) > 50).float().mean().item()
        assert abs(share - 0.3) < 4 * math.sqrt(0.21 / 10_000)

    def test_rows(self, mixture):
        z = torch.randn(6, N_ROWS, N_COMPONENTS, dtype=torch.float64)
        some = mixture.rows(slice(1, 3))
        torch.testing.assert_close(some.mean, mixture.mean[1:3])
        torch.testing.assert_close(some.log_prob(z[:, 1:3]), mixture.log_prob(z)[:, 1:3])

    def test_widened(self, mixture):
        wide = mixture.widened(2.0)
        torch.testing.assert_close(wide.mean, mixture.mean)
        torch.testing.assert_close(wide.scale, 2 * mixture.scale)
        assert wide.log_weights is mixture.log_weights

    def test_divergence_has_no_closed_form(self, mixture):
        assert mixture.kl(StandardNormal(N_COMPONENTS)) is None


class TestSinglePart:
    def test_is_a_mixture_with_one_weight(self, single, parameters):
        loc, scale, _ = parameters
        weighted = NormalMixture(loc[:1], scale[:1], torch.zeros(1, N_ROWS, dtype=torch.float64))
        z = torch.randn(6, N_ROWS, N_COMPONENTS, dtype=torch.float64)
        part = torch.rand(6, N_ROWS, dtype=torch.float64)
        torch.testing.assert_close(single.mean, weighted.mean)
        torch.testing.assert_close(single.stddev, weighted.stddev)
        torch.testing.assert_close(single.log_prob(z), weighted.log_prob(z))
        torch.testing.assert_close(single.at(z, part), weighted.at(z, part))
        torch.testing.assert_close(single.rows(slice(0, 1)).mean, single.mean[:1])

    def test_kl_is_that_of_torch(self, single):
        normal = torch.distributions.Normal(single.loc[0], single.scale[0])
        standard = torch.distributions.Normal(torch.zeros_like(normal.loc), torch.ones_like(normal.scale))
        expected = torch.distributions.kl_divergence(normal, standard).sum(-1)
        torch.testing.assert_close(single.kl(StandardNormal(N_COMPONENTS)), expected)

    def test_kl_is_the_mean_log_ratio(self, single):
        prior = StandardNormal(N_COMPONENTS).double()
        z = single.rsample(200_000)
        ratio = single.log_prob(z) - prior.log_prob(z)
        error = (ratio.mean(0) - single.kl(prior)).abs()
        assert (error < 4 * ratio.std(0) / math.sqrt(len(z))).all()

    def test_kl_of_another_prior_is_not_guessed(self, single):
        class Other(torch.nn.Module):
            pass

        assert single.kl(Other()) is None

    def test_rsample(self, single):
        draws = single.rsample(100_000)
        torch.testing.assert_close(draws.mean(0), single.loc[0], rtol=0, atol=0.015)
        torch.testing.assert_close(draws.std(0), single.scale[0], rtol=0.01, atol=0)

    def test_rsample_is_reparametrised(self, single):
        loc, scale = single.loc.clone().requires_grad_(), single.scale.clone().requires_grad_()
        with isolated_rng(3):
            draws = NormalMixture(loc, scale).rsample(5)
        draws.sum().backward()
        torch.testing.assert_close(loc.grad[0], torch.full_like(loc[0], 5.0))
        torch.testing.assert_close(scale.grad[0], ((draws.detach() - single.loc) / single.scale).sum(0))


# a learned normal prior, and Laplace densities


def test_kl_from_a_learned_normal_is_that_of_torch(single):
    prior = LearnedNormal(N_COMPONENTS).double()
    with torch.no_grad():
        prior.loc.copy_(torch.tensor([0.5, -2.0]))
        prior.log_scale.copy_(torch.tensor([0.3, -1.0]))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(single.loc[0], single.scale[0]),
        torch.distributions.Normal(prior.loc, prior.scale),
    )
    torch.testing.assert_close(single.kl(prior), expected.sum(-1))


class TestLaplace:
    @pytest.fixture
    def laplace(self, parameters):
        loc, scale, weights = parameters
        return LaplaceMixture(loc, scale, weights.log())

    @pytest.fixture
    def single(self, laplace):
        return LaplaceMixture(laplace.loc[:1], laplace.scale[:1])

    def test_log_prob(self, laplace, parameters):
        z = torch.randn(6, N_ROWS, N_COMPONENTS, dtype=torch.float64)
        loc, scale, weights = (parameter.numpy() for parameter in parameters)
        log_parts = stats.laplace(loc, scale).logpdf(z.numpy()[:, None]).sum(-1)
        np.testing.assert_allclose(
            laplace.log_prob(z), special.logsumexp(log_parts, b=weights, axis=1), rtol=1e-12
        )

    def test_moments_are_those_of_draws(self, laplace):
        draws = laplace.rsample(100_000)
        torch.testing.assert_close(draws.mean(0), laplace.mean, rtol=0, atol=0.02)
        torch.testing.assert_close(draws.std(0), laplace.stddev, rtol=0.02, atol=0)

    def test_noise_becomes_quantiles(self, single):
        """The point of standard normal noise has the same level, far out in the tails too."""
        noise = torch.tensor([-8.0, -2.0, -1e-3, 0.5, 3.0, 8.0], dtype=torch.float64)
        z = single.at(noise[:, None, None].expand(-1, N_ROWS, N_COMPONENTS), noise[:, None])
        theirs = stats.laplace(single.loc[0].numpy(), single.scale[0].numpy())
        upper = (noise > 0).numpy()
        level, tail = stats.norm.cdf(noise)[:, None, None], stats.norm.sf(noise)[:, None, None]
        np.testing.assert_allclose(theirs.cdf(z)[~upper] / level[~upper], 1, rtol=1e-9)
        np.testing.assert_allclose(theirs.sf(z)[upper] / tail[upper], 1, rtol=1e-9)

    def test_kl_is_that_of_torch(self, single):
        prior, other = (
            StandardLaplace(N_COMPONENTS).double(),
            LaplaceMixture(single.loc + 1, 2 * single.scale),
        )
        ours = torch.distributions.Laplace(single.loc[0], single.scale[0])
        for against, theirs in [
            (prior, torch.distributions.Laplace(prior.loc, prior.scale)),
            (other, torch.distributions.Laplace(other.loc[0], other.scale[0])),
        ]:
            expected = torch.distributions.kl_divergence(ours, theirs).sum(-1)
            torch.testing.assert_close(single.kl(against), expected)
        assert single.kl(StandardNormal(N_COMPONENTS)) is None

    def test_mixture_has_no_closed_divergence(self, laplace):
        assert laplace.kl(StandardLaplace(N_COMPONENTS)) is None

    def test_widened(self, laplace):
        torch.testing.assert_close(
            laplace.widened(3.0).stddev[1], laplace.widened(1.0).rows(1).widened(3.0).stddev
        )
        torch.testing.assert_close(laplace.widened(2.0).scale, 2 * laplace.scale)

    def test_family_fuses_moments(self):
        """Natural parameters are those of normal densities of the same mean and variance."""
        loc, scale = torch.tensor([0.3, -1.0]), torch.tensor([0.5, 2.0])
        posterior = LaplaceFamily().posterior(NormalFamily().natural_of(loc, scale)[None, None], None)
        torch.testing.assert_close(posterior.mean[0], loc)
        torch.testing.assert_close(posterior.stddev[0], scale)
        torch.testing.assert_close(posterior.natural[0, 0], NormalFamily().natural_of(loc, scale))


# families, whatever their parametrisation

PAIRS = [(name, prior) for name in POSTERIORS for prior, made in PRIORS.items() if made.family == name]


@pytest.mark.parametrize(("name", "prior"), PAIRS)
def test_nothing_said_is_the_prior(name, prior):
    prior = PRIORS[prior](4)
    family = POSTERIORS[name]()
    if hasattr(prior, "multiplied"):
        family = prior.multiplied(family)
    nothing = torch.zeros(1, 3, family.natural(torch.zeros(family.n_raw(4))).shape[-1])
    posterior = family.posterior(nothing + prior.natural(), None)
    z = prior.rsample(20)[:, None].expand(-1, 3, -1)
    torch.testing.assert_close(posterior.log_prob(z), prior.log_prob(z), rtol=1e-4, atol=1e-4)
    divergence = posterior.kl(prior)
    if divergence is not None:
        torch.testing.assert_close(divergence, torch.zeros(3), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", POSTERIORS)
class TestFamilies:
    def natural_prior(self, name, n_components):
        return next(PRIORS[prior] for family, prior in PAIRS if family == name)(n_components).natural()

    def test_every_output_of_an_encoder_is_an_expert(self, name):
        """Any raw numbers, times the prior, give a density no wider than the prior."""
        family, prior = POSTERIORS[name](), self.natural_prior(name, 3)
        raw = 5 * torch.randn(100, 7, family.n_raw(3))
        posterior = family.posterior((family.natural(raw) + prior)[None], None)
        assert posterior.mean.shape == (100, 7, 3)
        assert posterior.mean.isfinite().all()
        assert (posterior.stddev > 0).all()
        assert (posterior.stddev <= 1).all()

    def test_encoders_reach_every_mean(self, name):
        """An expert can say anything: raw numbers for it exist, and gradients lead there."""
        family, prior = POSTERIORS[name](), self.natural_prior(name, 2)
        target = torch.tensor([-0.7, 0.5])
        raw = torch.zeros(family.n_raw(2), requires_grad=True)
        optimizer = torch.optim.LBFGS([raw], max_iter=500, line_search_fn="strong_wolfe")

        def posterior():
            return family.posterior((family.natural(raw) + prior)[None, None], None)

        def closure():
            optimizer.zero_grad()
            loss = (posterior().mean - target).square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        torch.testing.assert_close(posterior().mean[0].detach(), target, rtol=0, atol=1e-3)

    def test_what_every_posterior_can_do(self, name):
        """Detached, cut into rows, its parts alone, its natural parameters back: the same density."""
        family = POSTERIORS[name]()
        natural = family.natural(torch.randn(3, 5, family.n_raw(4))) + self.natural_prior(name, 4)
        log_weights = torch.tensor([[0.2, 1.0, 0.0, 0.5, 0.3]]).log()
        log_weights = torch.cat([log_weights, (1 - log_weights.exp()).log(), torch.full((1, 5), -torch.inf)])
        natural.requires_grad_()
        posterior = family.posterior(natural, log_weights)
        with torch.no_grad():
            z = posterior.rsample(6)
        expected = posterior.log_prob(z)
        detached = posterior.detached().log_prob(z)
        assert expected.requires_grad
        assert not detached.requires_grad
        torch.testing.assert_close(detached, expected)
        again = family.posterior(posterior.natural, posterior.log_weights)
        torch.testing.assert_close(again.log_prob(z), expected, rtol=1e-4, atol=1e-4)
        for index in (slice(1, 3), torch.tensor([4, 0])):
            torch.testing.assert_close(posterior.rows(index).log_prob(z[:, index]), expected[:, index])
        heaviest = posterior.heaviest_part()
        assert heaviest.log_weights is None
        part = torch.tensor([1, 0, 1, 0, 1])
        torch.testing.assert_close(heaviest.natural[0], posterior.natural[part, torch.arange(5)])
        chosen = posterior.only(torch.tensor([2, 0, 1, 1, 2]))
        assert chosen.log_weights is None
        torch.testing.assert_close(chosen.part_mean[0], posterior.part_mean[[2, 0, 1, 1, 2], torch.arange(5)])
        torch.testing.assert_close(posterior.widened(1.0).log_prob(z), expected)
        assert (heaviest.widened(1.3).stddev > heaviest.stddev).all()


def test_encoders_reach_every_deviation():
    target = torch.tensor([-2.0, 0.5])
    for family in (NormalFamily(), LaplaceFamily(), NormalFamily(relative=False)):
        raw = torch.zeros(family.n_raw(2), requires_grad=True)
        optimizer = torch.optim.LBFGS([raw], max_iter=500, line_search_fn="strong_wolfe")
        prior = StandardNormal(2).natural()

        def posterior(family=family, raw=raw, prior=prior):
            return family.posterior((family.natural(raw) + prior)[None, None], None)

        def closure(optimizer=optimizer, posterior=posterior):
            optimizer.zero_grad()
            loss = (posterior().mean - target).square().sum() + (posterior().stddev - 0.4).square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        torch.testing.assert_close(posterior().mean[0].detach(), target, rtol=0, atol=1e-3)
        torch.testing.assert_close(posterior().stddev[0].detach(), torch.full((2,), 0.4), rtol=0, atol=1e-3)


def test_normal_family_multiplies_densities():
    """The sum of natural parameters is the product of the densities, up to a constant."""
    loc, scale = torch.tensor([[0.3, -1.0], [2.0, 0.5]]), torch.tensor([[0.5, 2.0], [1.5, 0.7]])
    natural = torch.cat([loc / scale**2, scale**-2], dim=-1).sum(0)
    product = NormalFamily().posterior(natural[None, None], None)
    z = torch.randn(50, 1, 2)
    log_factors = torch.distributions.Normal(loc, scale).log_prob(z).sum((1, 2))
    difference = product.log_prob(z)[:, 0] - log_factors
    torch.testing.assert_close(difference, difference[:1].expand(50), rtol=0, atol=1e-4)
