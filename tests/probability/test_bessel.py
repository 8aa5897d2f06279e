"""Bessel functions against SciPy, and their derivatives against formulas."""

import numpy as np
import pytest
import torch
from scipy import special

from skmm.probability.bessel import log_bessel

ARGUMENTS = np.concatenate([[1e-6, 1e-3], np.logspace(-2, 4, 61)])


@pytest.mark.parametrize("size", [2, 3, 4, 5, 10, 27, 50])
class TestAgainstSciPy:
    def test_values(self, size):
        order = size / 2 - 1
        log_value, ratio = log_bessel(torch.tensor(ARGUMENTS**2), order)
        scaled, above = special.ive(order, ARGUMENTS), special.ive(order + 1, ARGUMENTS)
        # where SciPy's do not underflow
        told = (scaled > 1e-290) & (above > 1e-290)
        assert told.sum() > 40
        expected = np.log(scaled[told]) + ARGUMENTS[told] - order * np.log(ARGUMENTS[told])
        np.testing.assert_allclose(log_value.numpy()[told], expected, rtol=0, atol=1e-7)
        np.testing.assert_allclose(
            ratio.numpy()[told], above[told] / scaled[told] / ARGUMENTS[told], rtol=1e-9
        )

    def test_at_zero(self, size):
        """The first term of the power series."""
        order = size / 2 - 1
        squared = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        log_value, ratio = log_bessel(squared, order)
        expected = -order * np.log(2) - special.gammaln(order + 1)
        assert log_value.item() == pytest.approx(expected, abs=1e-7)
        assert ratio.item() == pytest.approx(1 / size, rel=1e-9)
        (slope,) = torch.autograd.grad(ratio, squared)
        assert slope.item() == pytest.approx(-1 / (size**2 * (size + 2)), rel=1e-6)

    def test_derivatives(self, size):
        """That of the logarithm by differences; that of the ratio from Bessel's equation."""
        squared = torch.tensor(ARGUMENTS[ARGUMENTS > 0.3] ** 2, requires_grad=True)
        log_value, ratio = log_bessel(squared, size / 2 - 1)
        (of_log,) = torch.autograd.grad(log_value.sum(), squared, retain_graph=True)
        (of_ratio,) = torch.autograd.grad(ratio.sum(), squared)
        step = 1e-3 * squared.detach()
        up, down = (log_bessel(squared.detach() + move, size / 2 - 1)[0] for move in (step, -step))
        torch.testing.assert_close(of_log, (up - down) / (2 * step), rtol=1e-5, atol=0)
        expected = (1 - size * ratio - squared * ratio**2) / (2 * squared)
        torch.testing.assert_close(of_ratio, expected.detach(), rtol=1e-4, atol=0)
