"""Least squares over weights of a simplex, against a general minimiser."""

import numpy as np
import pytest
import torch
from scipy import optimize

from skmm.inference.simplex import least_on_simplex


def least(quadratic, linear):
    def value(w):
        return w @ quadratic @ w - 2 * linear @ w

    n = len(linear)
    return optimize.minimize(
        value,
        np.ones(n) / n,
        jac=lambda w: 2 * (quadratic @ w - linear),
        method="SLSQP",
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    ).x


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_against_a_general_minimiser(n):
    rng = np.random.RandomState(n)
    supports = set()
    for _ in range(40):
        errors = rng.normal(size=(n, 30)) * rng.uniform(0.5, 2, size=(n, 1)) + 2 * rng.normal(size=30)
        quadratic, linear = errors @ errors.T, 10 * rng.normal(size=n)
        w = least_on_simplex(torch.tensor(quadratic), torch.tensor(linear)).numpy()
        assert (w >= 0).all()
        assert w.sum() == pytest.approx(1)
        np.testing.assert_allclose(w, least(quadratic, linear), atol=1e-4)
        supports.add(int((w > 0).sum()))
    assert supports == set(range(1, n + 1))  # corners, edges and inside


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_scale_does_not_matter(scale):
    quadratic = torch.tensor([[2.0, 0.5, 1.0], [0.5, 1.0, 0.2], [1.0, 0.2, 1.5]], dtype=torch.float64)
    linear = torch.tensor([0.1, 0.0, 0.2], dtype=torch.float64)
    expected = least_on_simplex(quadratic, linear)
    torch.testing.assert_close(
        least_on_simplex(scale * quadratic, scale * linear), expected, rtol=1e-6, atol=1e-8
    )


def test_models_that_agree():
    """Any weights are right: some are given."""
    ones = torch.ones(3, 3, dtype=torch.float64)
    for quadratic in (ones, 0 * ones):
        w = least_on_simplex(quadratic, quadratic[0])
        assert (w >= 0).all()
        assert float(w.sum()) == pytest.approx(1)
