"""Gradients that leave out, or reparameterise, what is noise: the same expectation, and less of it."""

import pytest
import torch

from skmm.training.objectives.bounds import ELBO, IWAE, MMVAE
from skmm.training.objectives.subsets import MVAE, PowersetELBO, UnimodalELBO

N_COPIES, N_CHUNKS = 150, 40


def gradients(objective, network, blocks, beta=1.0):
    """Of the loss, with respect to all that shapes the posterior; and to the decoders."""
    network.requires_grad_()
    loss = objective(network, blocks, blocks, beta).loss
    posterior = [encoder.offset for encoder in network.encoders]
    decoders = [parameter for decoder in network.decoders for parameter in decoder.parameters()]
    found = torch.autograd.grad(loss, [*posterior, *decoders])
    return (
        torch.cat([gradient.flatten() for gradient in found[: len(posterior)]]),
        torch.cat([gradient.flatten() for gradient in found[len(posterior) :]]),
    )


def many(objective, network, blocks, beta):
    """Gradients of each chunk, means over copies of the rows, (n_chunks, n_parameters), of both kinds."""
    rows = blocks.rows(torch.arange(blocks.n_rows).repeat(N_COPIES))
    pairs = [gradients(objective, network, rows, beta) for _ in range(N_CHUNKS)]
    return [torch.stack(kind) for kind in zip(*pairs, strict=True)]


def assert_same_expectation(first, second):
    used = first.any(0)  # not what belongs to modalities that no row has
    assert torch.equal(used, second.any(0))
    first, second = first[:, used], second[:, used]
    z = (first.mean(0) - second.mean(0)) / ((first.var(0) + second.var(0)) / N_CHUNKS).sqrt()
    # one in fifty parameters may be two standard errors off; none five, nor all of them a little
    assert z.abs().max() < 5
    assert z.square().mean() < 2.5


def noise(values):
    return values.var(0).mean().sqrt().item()


@pytest.fixture
def complete(blocks):
    return blocks.rows(slice(0, 8))


STL = {
    "elbo": (ELBO(2, gradient="stl"), ELBO(2), "poe"),
    "elbo of a mixture": (ELBO(2, gradient="stl"), ELBO(2), "moe"),
    "unimodal": (UnimodalELBO(gradient="stl"), UnimodalELBO(), "poe"),
    "mvae": (MVAE(gradient="stl"), MVAE(), "poe"),
    "powerset": (PowersetELBO(gradient="stl"), PowersetELBO(), "poe"),
    "mmvae": (MMVAE(2, bound="elbo", gradient="stl"), MMVAE(2, bound="elbo"), "moe"),
    "iwae, one draw": (IWAE(1, gradient="stl"), IWAE(1), "poe"),
}


@pytest.mark.parametrize("beta", [1.0, 0.4])
@pytest.mark.parametrize("name", STL)
def test_expectation_of_sticking_the_landing(name, beta, linear_gaussian, complete):
    stl, plain, fusion = STL[name]
    network = linear_gaussian(wrong=0.6, fusion=fusion)
    for first, second in zip(
        many(stl, network, complete, beta), many(plain, network, complete, beta), strict=True
    ):
        assert_same_expectation(first, second)


@pytest.mark.parametrize(
    "objective", [ELBO(gradient="stl"), IWAE(5, gradient="stl"), IWAE(5, gradient="dreg")], ids=repr
)
def test_gradient_at_the_exact_posterior_is_zero_whatever_is_drawn(objective, linear_gaussian, complete):
    """The landing sticks: there, the plain gradient is noise, and this one has none."""
    network = linear_gaussian()
    plain = objective.__class__(objective.n_draws)
    for _ in range(3):
        of_posterior, of_decoders = gradients(objective, network, complete)
        assert of_posterior.abs().max() < 1e-10
        assert of_decoders.abs().max() > 1e-2
        assert gradients(plain, network, complete)[0].abs().max() > 1e-2


@pytest.mark.parametrize("beta", [1.0, 0.4])
@pytest.mark.parametrize("n_draws", [1, 8])
def test_expectation_of_double_reparameterisation(n_draws, beta, linear_gaussian, complete):
    network = linear_gaussian(wrong=0.6)
    dreg = many(IWAE(n_draws, gradient="dreg"), network, complete, beta)
    plain = many(IWAE(n_draws), network, complete, beta)
    for first, second in zip(dreg, plain, strict=True):
        assert_same_expectation(first, second)
    assert noise(dreg[0]) < 0.8 * noise(plain[0])


def test_sticking_the_landing_is_biased_for_several_weighted_draws(linear_gaussian, complete):
    """As documented; this is also what tells that the tests above could fail."""
    network = linear_gaussian(wrong=0.6)
    stl, plain = (many(IWAE(8, gradient=g), network, complete, 1.0)[0] for g in ("stl", "plain"))
    with pytest.raises(AssertionError):
        assert_same_expectation(stl, plain)


@pytest.mark.parametrize("bound", ["looser", "tighter"])
def test_double_reparameterisation_of_strata(bound, linear_gaussian, blocks):
    """Exact in rows that have a single modality; elsewhere close."""
    network = linear_gaussian(wrong=0.6, fusion="moe")

    def both(rows):
        return (
            many(MMVAE(4, bound=bound, gradient=gradient), network, rows, 1.0)
            for gradient in ("dreg", "plain")
        )

    for dreg, plain in zip(*both(blocks.rows(slice(10, 12))), strict=True):
        assert_same_expectation(dreg, plain)
    (dreg, of_decoders), (plain, plain_of_decoders) = both(blocks.rows(slice(0, 3)))
    assert_same_expectation(of_decoders, plain_of_decoders)
    assert (dreg.mean(0) - plain.mean(0)).norm() < 0.2 * plain.mean(0).norm()


@pytest.mark.parametrize("gradient", ["plain", "stl", "dreg"])
def test_values_do_not_depend_on_the_gradient(gradient, linear_gaussian, fixed_noise, complete):
    network = linear_gaussian(wrong=0.6, cls=fixed_noise, weights=(2.0, 0.5, 1.0))
    expected = IWAE(4)(network, complete, complete, 0.3)
    terms = IWAE(4, gradient=gradient)(network.requires_grad_(), complete, complete, 0.3)
    for field in ("loss", "reconstruction", "kl", "bound"):
        torch.testing.assert_close(getattr(terms, field), getattr(expected, field), check_stride=False)
