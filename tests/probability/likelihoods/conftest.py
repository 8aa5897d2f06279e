"""A likelihood of every kind, started on rows of about the kind it is for."""

import pytest
import torch

from skmm._torch import isolated_rng
from skmm.probability.likelihoods.registry import LIKELIHOODS

N_CATEGORIES = [3, 2, 5, 2]


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


def training_rows(name, n_features, n_categories, n_rows=400):
    """Values as they are inside, (n_rows, n_features): each column has a distribution of its own."""
    maker = LIKELIHOODS[name]
    column = torch.arange(n_features, dtype=torch.float64)
    if maker.takes_categories:
        sizes = torch.tensor(n_categories)
        return (torch.rand(n_rows, n_features).double() ** 1.5 * sizes).floor()
    if name == "bernoulli":
        return (torch.rand(n_rows, n_features) < (column + 1) / (n_features + 1)).double()
    normal = torch.randn(n_rows, n_features, dtype=torch.float64)
    if name == "continuous_bernoulli":  # densities that fall, are flat, and rise
        logit = 3 * (column - 1)
        level = torch.rand(n_rows, n_features, dtype=torch.float64)
        return (1 + level * logit.expm1()).log() / torch.where(logit == 0, 1.0, logit) + level * (logit == 0)
    if maker.scaling is None:
        rate = torch.exp(0.7 * column + 0.6 * normal)
        return torch.poisson(rate) * (torch.rand(n_rows, n_features) < 0.8)
    if maker.scaling == "scale":
        values = torch.exp(0.5 * column + (0.2 + 0.2 * column) * normal)
        return values / values.std(0)
    values = normal * (1 + 0.1 * column * normal.abs())
    return (values - values.mean(0)) / values.std(0)


@pytest.fixture
def rows():
    return training_rows


@pytest.fixture
def make():
    """Makes a likelihood in double precision, started and with parameters that differ between features."""

    def make(name, n_features=4, n_categories=N_CATEGORIES, perturb=0.3):
        maker = LIKELIHOODS[name]
        n_categories = n_categories[:n_features]
        likelihood = maker(n_categories if maker.takes_categories else n_features).double()
        values = training_rows(name, n_features, n_categories)
        with torch.no_grad():
            likelihood.start(values, torch.rand(values.shape) < 0.8)
            for parameter in likelihood.parameters():
                parameter.add_(perturb * torch.randn_like(parameter))
        return likelihood

    return make
