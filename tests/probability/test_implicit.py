"""Gradients of draws from a mixture of normal densities, to its weights too, against closed forms."""

import pytest
import torch

from skmm._torch import isolated_rng
from skmm.probability.implicit import with_gradients
from skmm.probability.posteriors import NormalMixture

N_BATCHES, N_DRAWS = 40, 2500


@pytest.fixture
def parameters():
    with isolated_rng(0):
        loc, logits = torch.randn(3, 2, 3).double(), torch.randn(3, 2).double()
        scale = torch.rand(3, 2, 3).double() + 0.4
    return [parameter.requires_grad_() for parameter in (loc, scale, logits)]


def test_gradients_of_expectations(parameters):
    """Of the second moments, which are known: all entries, within four standard errors."""
    loc, scale, logits = parameters
    log_weights = logits.log_softmax(0)
    coefficients = torch.tensor([[1.0, -0.7, 0.4], [0.3, 0.9, -0.5], [-0.2, 0.6, 0.8]], dtype=torch.float64)
    second = loc[..., None] * loc[..., None, :] + scale.square().diag_embed()  # (C, rows, k, k)
    exact = (log_weights.exp() * (second * coefficients).sum((-1, -2))).sum(0)
    expected = torch.autograd.grad(exact.sum(), parameters, retain_graph=True)
    batches = []
    with isolated_rng(1):
        for _ in range(N_BATCHES):
            z = NormalMixture(loc, scale, log_weights).rsample(N_DRAWS)
            estimate = ((z @ coefficients) * z).sum(-1).mean(0)
            batches.append(torch.autograd.grad(estimate.sum(), parameters, retain_graph=True))
    for truth, *found in zip(expected, *batches, strict=True):
        found = torch.stack(found)
        error = (found.mean(0) - truth).abs()
        assert (error < 4.5 * found.std(0) / len(found) ** 0.5).all()
        assert error.max() < 0.1 * truth.abs().max()


def test_one_component_is_the_quotient_of_distribution_function_and_density(parameters):
    """At a point z, dz / d weight = -dF / d weight / f."""
    loc, scale, logits = (
        parameter[..., :1] if parameter.ndim == 3 else parameter for parameter in parameters
    )
    log_weights = logits.log_softmax(0)
    z = torch.tensor([[[0.3], [-1.1]], [[1.7], [0.2]]], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(with_gradients(z, loc, scale, log_weights).sum(), log_weights)
    parts = torch.distributions.Normal(loc.detach(), scale.detach())
    weights = log_weights.detach().exp()
    level, density = parts.cdf(z[:, None])[..., 0], parts.log_prob(z[:, None]).exp()[..., 0]  # (K, C, rows)
    # weights are normalised inside: to move one moves all others
    mixed, share = (weights * density).sum(1, keepdim=True), weights * level
    expected = -(share - weights * share.sum(1, keepdim=True)) / mixed
    torch.testing.assert_close(gradient, expected.sum(0))


def test_points_are_left_as_they_are(parameters):
    loc, scale, logits = parameters
    with isolated_rng(0):
        z = torch.randn(5, 2, 3)
    torch.testing.assert_close(
        with_gradients(z, loc, scale, logits.log_softmax(0)).detach(), z, rtol=0, atol=1e-12
    )


def test_parts_far_from_a_point_give_no_gradient_and_no_nan():
    loc = torch.tensor([-1e3, 0.0, 1e3])[:, None, None].requires_grad_()
    logits = torch.zeros(3, 1, requires_grad=True)
    z = with_gradients(torch.tensor([[[0.4]], [[500.0]]]), loc, torch.ones(3, 1, 1), logits.log_softmax(0))
    of_loc, of_logits = torch.autograd.grad(z[0].sum(), [loc, logits], retain_graph=True)
    torch.testing.assert_close(of_loc.flatten(), torch.tensor([0.0, 1.0, 0.0]))
    assert of_logits.isfinite().all()
    assert torch.autograd.grad(z[1].sum(), logits)[0].isfinite().all()  # between parts, where none is
