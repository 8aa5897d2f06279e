"""Scores of draws: the closed form of a normal, the naive double sum, no bias, gaps and containers."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from skmm.metrics import crps


def of_a_normal(y, loc=0.0, scale=1.0):
    """Gneiting and Raftery (2007), sec. 4.2, the sign turned."""
    z = (y - loc) / scale
    return scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


def by_pairs(y, draws):
    """Ferro (2014), with the double sum written out."""
    m = len(draws)
    apart = np.abs(draws[:, None] - draws[None]).sum(axis=(0, 1))
    return np.abs(draws - y).mean(axis=0) - apart / (2 * m * (m - 1))


def test_by_hand():
    # distances from 1: 1, 0, 3; between the draws: 1, 3, 4, each twice
    assert crps(1.0, [0.0, 1.0, 4.0]) == pytest.approx(4 / 3 - 16 / 12)
    assert crps(5.0, [2.0, 2.0]) == pytest.approx(3)  # a certain value: the absolute error


@pytest.mark.parametrize("n_draws", [2, 3, 20])
def test_against_the_double_sum(n_draws):
    rng = np.random.RandomState(0)
    y, draws = rng.normal(size=(4, 3)), 2 * rng.normal(size=(n_draws, 4, 3)) + 1
    np.testing.assert_allclose(crps(y, draws), by_pairs(y, draws), rtol=1e-12, atol=1e-14)
    far = crps(y + 1e6, draws + 1e6)  # differences first, so that the unit's origin costs no digits
    np.testing.assert_allclose(far, by_pairs(y, draws), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("y", [-2.0, 0.0, 0.7, 4.0])
def test_of_many_draws_of_a_normal(y):
    draws = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000, loc=1, scale=3)  # spread evenly: no noise
    assert crps(y, draws) == pytest.approx(of_a_normal(y, 1, 3), rel=1e-3)


@pytest.mark.parametrize("n_draws", [2, 5])
def test_few_draws_have_no_bias(n_draws):
    rng = np.random.RandomState(0)
    draws = rng.normal(1, 3, size=(n_draws, 100_000))
    scores = crps(np.full(100_000, 2.0), draws)
    assert scores.mean() == pytest.approx(of_a_normal(2.0, 1, 3), abs=4 * scores.std() / np.sqrt(100_000))


def test_the_true_distribution_is_best():
    rng = np.random.RandomState(0)
    y, noise = rng.normal(size=20_000), rng.normal(size=(10, 20_000))
    right = crps(y, noise).mean()
    assert right < min(crps(y, other).mean() for other in (0.7 * noise, 1.4 * noise, noise + 0.3))


def test_order_of_draws_does_not_matter_and_data_are_not_changed():
    rng = np.random.RandomState(0)
    y, draws = rng.normal(size=5), rng.normal(size=(7, 5))
    before = draws.copy()
    np.testing.assert_allclose(crps(y, draws[::-1]), crps(y, draws))
    np.testing.assert_array_equal(draws, before)


def test_nan_stays_where_it_is():
    draws = np.array([[0.0, 0.0, np.nan], [1.0, 2.0, 3.0]])
    scores = crps([0.0, np.nan, 1.0], draws)
    assert np.isnan(scores).tolist() == [False, True, True]
    assert scores[0] == pytest.approx(crps(0.0, [0.0, 1.0]))


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(np.ndarray.tolist, id="list"),
        pytest.param(torch.tensor, id="tensor"),
        pytest.param(pd.DataFrame, id="frame"),
        pytest.param(lambda a: pd.DataFrame(a).convert_dtypes(), id="nullable"),
        pytest.param(np.ma.masked_invalid, id="masked"),
    ],
)
def test_containers(convert):
    rng = np.random.RandomState(0)
    y, draws = rng.normal(size=4), rng.normal(size=(6, 4))
    draws[2, 1] = np.nan
    np.testing.assert_allclose(crps(y, convert(draws)), crps(y, draws))


@pytest.mark.parametrize(
    ("y", "draws", "message"),
    [
        ([1.0, 2.0], [[1.0, 2.0]], r"at least two draws; got \(1, 2\) for y_true of shape \(2,\)"),
        ([1.0, 2.0], [1.0, 2.0], r"the shape \(n_draws, \*y_true.shape\).* got \(2,\)"),
        (1.0, 1.0, r"got \(\) for y_true of shape \(\)"),
        ([[1.0, 2.0]], np.zeros((3, 2, 1)), r"got \(3, 2, 1\) for y_true of shape \(1, 2\)"),
        ([np.inf], np.zeros((3, 1)), "y_true contains infinity; give NaN"),
        ([0.0], [[0.0], [-np.inf]], "draws contains infinity"),
    ],
)
def test_wrong_arguments(y, draws, message):
    with pytest.raises(ValueError, match=message):
        crps(y, draws)
