"""Von Mises-Fisher posteriors: against SciPy, integration and closed forms; the uniform prior on spheres."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from skmm._torch import isolated_rng
from skmm.probability.spheres import (
    UniformOnSpheres,
    VonMisesFisherFamily,
    VonMisesFisherMixture,
    log_normaliser,
    sphere_size,
)

CASES = [(size, kappa) for size in (2, 3, 5, 20, 50) for kappa in (0.0, 0.3, 4.0, 60.0, 1e4)]
every_case = pytest.mark.parametrize(("size", "kappa"), CASES)


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


def direction_of(size):
    direction = torch.randn(size, dtype=torch.float64)
    return direction / direction.norm()


def single(size, kappa):
    """One sphere of one row."""
    return VonMisesFisherMixture((kappa * direction_of(size))[None, None], size)


def angle_distribution(size, kappa):
    """Distribution function of the angle to the mean direction, by the trapezoidal rule."""
    upper = math.pi if kappa < 20 else min(math.pi, 12 / math.sqrt(kappa) * (1 + size / 20))
    angle = np.linspace(0, upper, 100_001)
    level = integrate.cumulative_trapezoid(
        np.sin(angle) ** (size - 2) * np.exp(kappa * (np.cos(angle) - 1)), angle, initial=0
    )
    return lambda found: np.interp(found, angle, level / level[-1])


# densities


@every_case
def test_normaliser(size, kappa):
    log_value, _ = log_normaliser(torch.tensor(kappa**2, dtype=torch.float64), size)
    if kappa == 0:
        expected = math.log(2) + size / 2 * math.log(math.pi) - special.gammaln(size / 2)  # the area
    else:
        expected = (
            size / 2 * math.log(2 * math.pi)
            - (size / 2 - 1) * math.log(kappa)
            + math.log(special.ive(size / 2 - 1, kappa))
            + kappa
        )
    assert log_value.item() == pytest.approx(expected, abs=1e-7, rel=1e-10)


@pytest.mark.parametrize("size", [2, 3, 5, 20])
@pytest.mark.parametrize("kappa", [0.3, 4.0, 60.0, 1e3])
def test_density_and_entropy_are_those_of_scipy(size, kappa):
    posterior = single(size, kappa)
    theirs = stats.vonmises_fisher(posterior.eta[0, 0].numpy() / kappa, kappa)
    z = theirs.rvs(20, random_state=0).reshape(20, size)
    np.testing.assert_allclose(
        posterior.log_prob(torch.tensor(z)[:, None])[:, 0], theirs.logpdf(z), atol=1e-6
    )
    assert posterior.entropy().item() == pytest.approx(theirs.entropy(), abs=1e-6)


@every_case
def test_divergence_from_the_uniform_density(size, kappa):
    """The difference of entropies; SciPy's where it has one."""
    posterior, prior = single(size, kappa), UniformOnSpheres(size, size=size)
    divergence = posterior.kl(prior).item()
    log_area = -prior.log_prob(torch.zeros(1, size)).item()
    assert divergence == pytest.approx(log_area - posterior.entropy().item(), abs=1e-5)
    if kappa == 0:
        assert divergence == pytest.approx(0, abs=1e-7)
    else:
        bessel, above = special.ive(size / 2 - 1, kappa), special.ive(size / 2, kappa)
        expected = (
            kappa * above / bessel
            - kappa
            - math.log(bessel)
            + (size / 2 - 1) * math.log(kappa)
            - size / 2 * math.log(2 * math.pi)
            + log_area
        )
        assert divergence == pytest.approx(expected, abs=1e-5)


def test_divergence_from_another_one_is_the_mean_log_ratio():
    q, p = (VonMisesFisherMixture(scale * torch.randn(1, 3, 6, dtype=torch.float64), 3) for scale in (3, 2))
    z = q.rsample(100_000)
    ratio = q.log_prob(z) - p.log_prob(z)
    error = (ratio.mean(0) - q.kl(p)).abs()
    assert (error < 4 * ratio.std(0) / math.sqrt(len(z))).all()
    torch.testing.assert_close(q.kl(q), torch.zeros(3, dtype=torch.float64))


def test_divergence_is_not_guessed():
    q = VonMisesFisherMixture(torch.randn(1, 3, 6), 3)
    assert q.kl(UniformOnSpheres(6, size=2)) is None
    assert q.kl(torch.nn.Identity()) is None
    mixture = VonMisesFisherMixture(torch.randn(2, 3, 6), 3, torch.full((2, 3), -math.log(2)))
    assert mixture.kl(UniformOnSpheres(6, size=3)) is None
    assert mixture.entropy() is None


@pytest.mark.parametrize("kappa", [0.0, 1e-4, 0.5, 8.0, 300.0])
def test_moments_by_integration(kappa):
    """On the circle and on the surface of a ball."""
    angle = np.linspace(0, math.pi, 200_001)
    for size in (2, 3):
        posterior = single(size, kappa)
        direction = posterior.eta[0, 0] / kappa if kappa else torch.zeros(size, dtype=torch.float64)
        weights = np.sin(angle) ** (size - 2) * np.exp(kappa * (np.cos(angle) - 1))
        along = np.trapezoid(weights * np.cos(angle), angle) / np.trapezoid(weights, angle)
        square = np.trapezoid(weights * np.cos(angle) ** 2, angle) / np.trapezoid(weights, angle)
        torch.testing.assert_close(posterior.mean[0], along * direction, rtol=1e-7, atol=1e-9)
        second = square * direction**2 + (1 - square) / (size - 1) * (1 - direction**2)
        variance = (second - (along * direction) ** 2) if kappa else torch.full_like(direction, 1 / size)
        torch.testing.assert_close(posterior.stddev[0] ** 2, variance, rtol=1e-5, atol=1e-9)


# draws


@every_case
def test_draws_have_the_density(size, kappa):
    """Angles to the mean direction by Kolmogorov and Smirnov; around it, every direction alike."""
    posterior = single(size, kappa)
    z = posterior.rsample(20_000)[:, 0]
    torch.testing.assert_close(z.norm(dim=-1), torch.ones_like(z[:, 0]))
    direction = posterior.eta[0, 0] / kappa if kappa else direction_of(size)
    cosine = (z @ direction).clamp(-1, 1)
    across = z - cosine[:, None] * direction
    angle = torch.atan2(across.norm(dim=-1), cosine)
    assert stats.kstest(angle.numpy(), angle_distribution(size, kappa)).pvalue > 1e-3
    if size > 2:
        # the angle around the axis, to a direction across it, is that on a sphere of one dimension less
        other = direction_of(size)
        other = other - (other @ direction) * direction
        around = across @ other / (other.norm() * across.norm(dim=-1))
        assert (
            stats.kstest(around.clamp(-1, 1).arccos().numpy(), angle_distribution(size - 1, 0)).pvalue > 1e-3
        )
        assert abs(stats.spearmanr(around.numpy(), angle.numpy()).statistic) < 0.03


@pytest.mark.parametrize(("size", "kappa"), [(2, 3.0), (3, 40.0), (5, 2.0), (5, 1e3), (12, 20.0)])
def test_gradients_of_points_agree_with_differences(size, kappa):
    eta = torch.randn(1, 5, 2 * size, dtype=torch.float64)
    eta = (eta * kappa / size**0.5).requires_grad_()
    noise = torch.randn(40, 5, 2 * size, dtype=torch.float64)
    coefficients = torch.randn_like(noise)

    def function(eta):
        return (VonMisesFisherMixture(eta, size).at(noise, noise[..., 0]) * coefficients).sum()

    (gradient,) = torch.autograd.grad(function(eta), eta)
    for _ in range(3):
        move = torch.randn_like(eta)
        with torch.no_grad():
            step = 1e-4 * kappa
            slope = (function(eta + step * move) - function(eta - step * move)) / (2 * step)
        assert (gradient * move).sum().item() == pytest.approx(slope.item(), rel=2e-3, abs=1e-3 / kappa)


def test_gradients_of_densities_and_divergences():
    """By finite differences, at nothing said too."""
    eta = torch.randn(1, 4, 6, dtype=torch.float64) * torch.tensor([0.0, 0.1, 3.0, 50.0])[:, None]
    eta.requires_grad_()
    z = UniformOnSpheres(6, size=3).double().rsample(4)[None]
    prior = UniformOnSpheres(6, size=3)
    checked = torch.autograd.gradcheck(
        lambda eta: (
            VonMisesFisherMixture(eta, 3).log_prob(z),
            VonMisesFisherMixture(eta, 3).kl(prior),
            VonMisesFisherMixture(eta, 3).mean,
        ),
        eta,
        rtol=1e-4,
        atol=1e-6,
    )
    assert checked


def test_gradient_of_the_mean_of_draws_is_that_of_the_mean():
    eta = torch.tensor([[[2.0, -1.0, 0.5], [0.1, 0.0, 0.2]]], dtype=torch.float64, requires_grad=True)
    posterior = VonMisesFisherMixture(eta, 3)
    coefficients = torch.tensor([1.0, -0.5, 0.3], dtype=torch.float64)
    exact = torch.autograd.grad((posterior.mean @ coefficients).sum(), eta)[0]
    found = torch.stack(
        [
            torch.autograd.grad((posterior.rsample(2000).mean(0) @ coefficients).sum(), eta)[0]
            for _ in range(20)
        ]
    )
    assert ((found.mean(0) - exact).abs() < 4.5 * found.std(0) / 20**0.5).all()


def test_nothing_said_is_the_uniform_density_and_gives_no_nan():
    eta = torch.zeros(1, 3, 4, requires_grad=True)
    posterior, prior = VonMisesFisherMixture(eta, 2), UniformOnSpheres(4, size=2)
    z = posterior.rsample(50)
    torch.testing.assert_close(posterior.log_prob(z), prior.log_prob(z))
    noise = torch.randn(50, 3, 4)
    expected = torch.nn.functional.normalize(noise.unflatten(-1, (2, 2)), dim=-1).flatten(-2)
    torch.testing.assert_close(posterior.at(noise, noise[..., 0]), expected, rtol=0, atol=1e-5)
    outputs = [z, posterior.log_prob(z), posterior.kl(prior), posterior.mean, posterior.stddev]
    (gradient,) = torch.autograd.grad(sum(output.sum() for output in outputs), eta)
    assert gradient.isfinite().all()


def test_points_turn_with_the_noise_and_the_parameters():
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    eta, noise = 5 * torch.randn(1, 6, 4, dtype=torch.float64), torch.randn(8, 6, 4, dtype=torch.float64)
    points = VonMisesFisherMixture(eta, 4).at(noise, noise[..., 0])
    turned = VonMisesFisherMixture(eta @ rotation, 4).at(noise @ rotation, noise[..., 0])
    torch.testing.assert_close(turned, points @ rotation)


def test_noise_at_the_poles():
    """Noise exactly along, and against, the mean direction stays there; the most extreme noise is no NaN."""
    eta = torch.tensor([[[7.0, 0.0, 0.0]]], dtype=torch.float64, requires_grad=True)
    noise = torch.tensor([[[1.0, 0.0, 0.0]], [[-1.0, 0.0, 0.0]], [[-9.0, 1e-12, 0.0]]], dtype=torch.float64)
    z = VonMisesFisherMixture(eta, 3).at(noise, noise[..., 0])
    torch.testing.assert_close(z[:2], noise[:2], rtol=0, atol=1e-9)
    assert z.isfinite().all()
    assert torch.autograd.grad(z.sum(), eta)[0].isfinite().all()


def test_mixture_chooses_parts_by_their_weights():
    eta = 400 * torch.eye(3, dtype=torch.float64)[:, None].repeat(1, 2, 1)
    weights = torch.tensor([[0.5, 0.0], [0.25, 0.0], [0.25, 1.0]], dtype=torch.float64)
    mixture = VonMisesFisherMixture(eta, 3, weights.log())
    nearest = mixture.rsample(16).argmax(-1)  # systematic: exactly in proportion
    counts = torch.stack([(nearest == part).sum(0) for part in range(3)])
    assert counts.tolist() == [[8, 0], [4, 0], [4, 16]]
    # the same points as of each part alone
    noise, part = torch.randn(30, 2, 3, dtype=torch.float64), torch.rand(30, 2, dtype=torch.float64)
    points = mixture.at(noise, part)
    alone = torch.stack([VonMisesFisherMixture(eta[[c]], 3).at(noise, part) for c in range(3)])
    expected = alone.gather(0, points.argmax(-1)[None, ..., None].expand(1, -1, -1, 3))[0]
    torch.testing.assert_close(points, expected)


def test_mixture_of_densities():
    eta = torch.randn(3, 4, 6, dtype=torch.float64)
    weights = torch.rand(3, 4, dtype=torch.float64)
    weights /= weights.sum(0)
    mixture = VonMisesFisherMixture(eta, 3, weights.log())
    z = UniformOnSpheres(6, size=3).double().rsample(20).view(5, 4, 6)
    parts = torch.stack([VonMisesFisherMixture(eta[[c]], 3).log_prob(z).exp() for c in range(3)])
    torch.testing.assert_close(mixture.log_prob(z), (weights[:, None] * parts).sum(0).log())
    draws = mixture.rsample(50_000)
    torch.testing.assert_close(draws.mean(0), mixture.mean, rtol=0, atol=0.02)
    torch.testing.assert_close(draws.std(0), mixture.stddev, rtol=0.02, atol=0)


def test_widened_divides_concentrations():
    posterior = single(5, 8.0)
    torch.testing.assert_close(posterior.widened(2.0).eta, posterior.eta / 4)


# the family, and the prior


def test_family_multiplies_densities():
    family = VonMisesFisherFamily()
    natural = family.natural(torch.randn(2, 6, dtype=torch.float64))
    product = family.posterior(natural.sum(0)[None, None], None)
    factors = family.posterior(natural[None], None)
    z = UniformOnSpheres(6).double().rsample(50)
    difference = product.log_prob(z[:, None])[:, 0] - factors.log_prob(z[:, None].expand(-1, 2, -1)).sum(1)
    torch.testing.assert_close(difference, difference[:1].expand(50))


@pytest.mark.parametrize("concentration", [1e-3, 1.0, 1e3])
def test_encoders_reach_every_concentration(concentration):
    raw = torch.tensor([0.6, 0.8]) * torch.logspace(-4, 2, 2001)[:, None]
    reached = VonMisesFisherFamily().natural(raw).norm(dim=-1)
    assert (reached.diff() > 0).all()
    assert reached[0] < concentration < reached[-1]


@pytest.mark.parametrize(
    ("n_components", "size"), [(2, 2), (3, 3), (4, 4), (5, 5), (6, 3), (8, 4), (9, 3), (10, 5), (14, 2)]
)
def test_spheres_by_default(n_components, size):
    assert sphere_size(n_components) == size
    assert UniformOnSpheres(n_components).size == size
    natural = torch.zeros(1, 1, n_components)
    assert VonMisesFisherFamily().posterior(natural, None).size == size


@pytest.mark.parametrize("n_components", [1, 7, 11, 49])
def test_numbers_that_make_no_spheres(n_components):
    with pytest.raises(ValueError, match=f"n_components={n_components} into spheres"):
        VonMisesFisherFamily().n_raw(n_components)


@pytest.mark.parametrize("size", [1, 4, 0])
def test_sizes_that_do_not_divide(size):
    with pytest.raises(ValueError, match=f"size={size} of the spheres must be at least 2 and a divisor"):
        VonMisesFisherFamily(size).n_raw(10)


def test_uniform_draws():
    prior = UniformOnSpheres(8, size=4)
    z = prior.rsample(20_000)
    for sphere in z.unflatten(-1, (2, 4)).unbind(-2):
        torch.testing.assert_close(sphere.norm(dim=-1), torch.ones(len(z)))
        assert stats.kstest(sphere[:, 0].arccos().numpy(), angle_distribution(4, 0)).pvalue > 1e-3
    assert prior.log_prob(z[:3]).tolist() == pytest.approx([-2 * math.log(2 * math.pi**2)] * 3)
    assert prior.natural().tolist() == [0.0] * 8
