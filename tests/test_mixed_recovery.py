"""Training on flags, categories, ordered categories and counts: how near it comes to the exact predictive."""

import numpy as np
import pandas as pd
import pytest

import skmm
from benchmarks.mixed_types import SIZES, Truth, codes_of, recovery
from skmm.datasets import remove_modalities

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def truth():
    return Truth(1)


@pytest.fixture(scope="module")
def fitted(truth):
    train = remove_modalities(truth.draw(3000), 0.3, random_state=1)
    return skmm.MultimodalVAE(5, likelihood={"counts": "poisson"}, beta=1.0, random_state=1).fit(train)


@pytest.fixture(scope="module")
def test_rows(truth, fitted):
    return truth.draw(600)


def test_predictions_come_near_the_exact_ones(fitted, truth, test_rows):
    """Of the way from the marginal frequencies to the exact predictive, in log-loss of hidden modalities."""
    table = recovery(fitted, truth, test_rows)
    assert (table["exact"] < table["model"] + 0.005).all()  # nothing is better than exact, but for chance
    least = pd.Series({"flags": 0.85, "choices": 0.9, "grades": 0.9, "counts": 0.7})
    assert (table["share"] > least).all(), table


def test_score_comes_near_the_exact_likelihood_from_below(fitted, truth, test_rows):
    exact, score = truth.score(test_rows), fitted.score(test_rows)
    assert exact - 0.5 < score < exact + 0.05


def test_expected_counts_are_the_exact_ones(fitted, truth, test_rows):
    """And so are their deviations: what the rates leave open, and Poisson noise on top."""
    weight = np.exp(truth.log_posterior(test_rows, [name for name in SIZES if name != "counts"]))
    rates = truth.probabilities("counts", truth.nodes)[..., 0]
    mean = weight @ rates
    deviation = np.sqrt(weight @ (rates + rates**2) - mean**2)
    predicted, std = fitted.predict(skmm.hide(test_rows, "counts"), return_std=True)
    error = (predicted["counts"].to_numpy() - mean) / deviation
    assert np.sqrt(np.square(error).mean()) < 0.2
    ratio = std["counts"].to_numpy() / deviation
    assert 0.9 < np.median(ratio) < 1.1


def test_the_reference_itself_is_right(truth):
    """Frequencies of a large draw are those of the marginal predictive."""
    rows = truth.draw(20_000)
    prior = np.exp(truth.log_prior)
    for name in ("flags", "choices", "grades"):
        p = np.einsum("nck,n->ck", truth.probabilities(name, truth.nodes), prior)
        frequencies = [np.bincount(column, minlength=p.shape[1]) for column in codes_of(rows, name).T]
        share = np.stack(frequencies) / len(rows)
        assert np.abs(share - p).max() < 5 * np.sqrt(0.25 / 20_000)
    rate = truth.probabilities("counts", truth.nodes)[..., 0].T @ prior
    np.testing.assert_allclose(rows["counts"].to_numpy(dtype=float).mean(0), rate, rtol=0.05)
