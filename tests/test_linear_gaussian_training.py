"""Training with the defaults: how close it comes to the exact answers of a linear-Gaussian model."""

import numpy as np
import pytest
from scipy import stats

import skmm
from skmm.datasets import remove_modalities

MODALITIES = {"a": slice(0, 6), "b": slice(6, 10), "c": slice(10, 15)}
N_FEATURES, N_LATENT = 15, 3
HIDDEN = 0.25  # share of modalities that training rows lack

pytestmark = pytest.mark.slow


class LinearGaussian:
    """Exact answers from the joint normal density of all features."""

    def __init__(self, seed):
        self.rng = np.random.RandomState(seed)
        self.loadings = 0.8 * self.rng.normal(size=(N_FEATURES, N_LATENT))
        self.scale = self.rng.uniform(0.3, 0.9, N_FEATURES)
        self.mean = 2 * self.rng.normal(size=N_FEATURES)
        self.covariance = self.loadings @ self.loadings.T + np.diag(self.scale**2)

    def draw(self, n):
        z = self.rng.normal(size=(n, N_LATENT))
        return self.mean + z @ self.loadings.T + self.scale * self.rng.normal(size=(n, N_FEATURES))

    def log_likelihood(self, X):
        """Of the observed entries of each row."""
        total = np.zeros(len(X))
        for i, row in enumerate(X):
            seen = ~np.isnan(row)
            covariance = self.covariance[np.ix_(seen, seen)]
            total[i] = stats.multivariate_normal(self.mean[seen], covariance).logpdf(row[seen])
        return total

    def complete(self, X):
        """Conditional mean and deviation of features that all rows of X lack."""
        seen = ~np.isnan(X[0])
        gain = np.linalg.solve(self.covariance[np.ix_(seen, seen)], self.covariance[seen]).T
        conditional = self.covariance - gain @ self.covariance[seen]
        return self.mean + (X[:, seen] - self.mean[seen]) @ gain.T, np.diag(conditional)[~seen] ** 0.5


@pytest.fixture(scope="module")
def truth():
    return LinearGaussian(0)


@pytest.fixture(scope="module")
def model(truth):
    X = remove_modalities(truth.draw(3000), HIDDEN, modalities=MODALITIES, random_state=0)
    return skmm.MultimodalVAE(modalities=MODALITIES, random_state=0).fit(X)


@pytest.fixture(scope="module")
def X_test(truth, model):
    return truth.draw(1500)


@pytest.mark.parametrize("hidden", [0.0, HIDDEN])
def test_likelihood_of_held_out_rows(truth, model, X_test, hidden):
    rows = remove_modalities(X_test, hidden, modalities=MODALITIES, random_state=1)
    exact = truth.log_likelihood(rows).mean()
    assert exact - 0.03 * abs(exact) < model.score(rows) < exact + 0.05


@pytest.mark.parametrize("modality", MODALITIES)
def test_completion(truth, model, X_test, modality):
    """Nearly as good as by the exact conditional mean, with a deviation that is nearly that of the errors."""
    columns = MODALITIES[modality]
    rows = skmm.hide(X_test, modality, modalities=MODALITIES)
    mean, deviation = truth.complete(rows)
    predicted, predicted_std = model.predict(rows, return_std=True)
    errors = [np.sqrt(np.mean(np.square((X_test - table)[:, columns]))) for table in (predicted, mean)]
    assert errors[0] < 1.04 * errors[1]
    assert np.mean(predicted_std[:, columns] / deviation) == pytest.approx(1.0, abs=0.1)


def test_draws_cover(truth, model, X_test):
    """Intervals of draws hold what was hidden as often as they should."""
    for modality, columns in MODALITIES.items():
        rows = skmm.hide(X_test[:500], modality, modalities=MODALITIES)
        low, high = model.predict_quantiles(rows, [0.05, 0.95])
        inside = (low < X_test[:500]) & (X_test[:500] < high)
        assert inside[:, columns].mean() == pytest.approx(0.9, abs=0.05)
