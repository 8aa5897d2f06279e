"""The conditional log-likelihood: a normal density, whose answer is known, in rows, gaps and sequences."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmm import MultimodalVAE, MultimodalVRNN
from skmm._blocks.containers import check_table, column_types, to_matrix
from skmm._blocks.layout import Layout
from skmm._blocks.modalities import resolve_modalities
from skmm.metrics import conditional_log_likelihood

MODALITIES = {"a": [0, 1], "b": [2], "c": [3, 4]}
NAMES = pd.MultiIndex.from_tuples([("a", "p"), ("a", "q"), ("b", "r"), ("c", "s"), ("c", "t")])
MEAN = np.array([0.0, 1.0, -2.0, 3.0, 0.5])
_FACTOR = np.random.RandomState(0).normal(size=(5, 5))
COVARIANCE = _FACTOR @ _FACTOR.T + 0.2 * np.eye(5)


def log_density(row):
    seen = ~np.isnan(row)
    if not seen.any():
        return 0.0
    return stats.multivariate_normal(MEAN[seen], COVARIANCE[np.ix_(seen, seen)]).logpdf(row[seen])


def conditional_log_density(row, hidden):
    """By the Schur complement; of what is known of both parts."""
    known = ~np.isnan(row)
    h, o = hidden & known, ~hidden & known
    gain = COVARIANCE[np.ix_(h, o)] @ np.linalg.inv(COVARIANCE[np.ix_(o, o)])
    mean = MEAN[h] + gain @ (row[o] - MEAN[o])
    return stats.multivariate_normal(mean, COVARIANCE[np.ix_(h, h)] - gain @ COVARIANCE[np.ix_(o, h)]).logpdf(
        row[h]
    )


class Normal(BaseEstimator):
    """A model that knows the density of every subset of the columns."""

    def __init__(self, modalities=None):
        self.modalities = modalities

    def fit(self, X, y=None):
        table = check_table(self, X, reset=True)
        types = column_types(X, table)
        groups = resolve_modalities(X, self.modalities)
        self.layout_ = Layout.fit(X, to_matrix(table, types), groups, types, ["standard"] * len(types))
        return self

    def score_samples(self, X):
        return np.array([log_density(row) for row in np.asarray(X, dtype=float)])


def make_rows(n_rows=40, *, gaps=True):
    rng = np.random.RandomState(1)
    X = rng.multivariate_normal(MEAN, COVARIANCE, size=n_rows)
    if gaps:
        X[rng.uniform(size=X.shape) < 0.15] = np.nan
        X[:3, :2] = X[3:5, 2:] = X[5] = np.nan
    return X


@pytest.fixture(scope="module")
def normal():
    return Normal(MODALITIES).fit(make_rows())


def expected_mean(X, columns):
    hidden = np.isin(np.arange(5), columns)
    rows = [row for row in X if not (np.isnan(row[hidden]).all() or np.isnan(row[~hidden]).all())]
    return np.mean([conditional_log_density(row, hidden) for row in rows])


@pytest.mark.parametrize("gaps", [False, True])
def test_of_each_modality(normal, gaps):
    X = make_rows(gaps=gaps)
    found = conditional_log_likelihood(normal, X)
    assert found.name == "conditional_log_likelihood"
    assert found.to_dict() == {
        name: pytest.approx(expected_mean(X, columns)) for name, columns in MODALITIES.items()
    }


def test_of_several_together(normal):
    X = make_rows()
    found = conditional_log_likelihood(normal, X, hide=["c", "a"])
    assert found.to_dict() == {"a + c": pytest.approx(expected_mean(X, [0, 1, 3, 4]))}
    found = conditional_log_likelihood(normal, X, hide=["b"])
    assert found.to_dict() == {"b": pytest.approx(expected_mean(X, [2]))}


def test_frames():
    X = pd.DataFrame(make_rows(), columns=NAMES)
    found = conditional_log_likelihood(Normal().fit(X), X)
    expected = conditional_log_likelihood(Normal(MODALITIES).fit(X.to_numpy()), X.to_numpy())
    pd.testing.assert_series_equal(found, expected)


def test_modality_that_is_nowhere_beside_another_one(normal):
    X = make_rows(gaps=False)
    X[:, 2] = np.nan
    found = conditional_log_likelihood(normal, X)
    assert np.isnan(found["b"])
    assert found["a"] == pytest.approx(expected_mean(X, [0, 1]))


def test_pipeline_is_measured_in_front_of_its_last_step():
    X = make_rows()
    pipeline = make_pipeline(FunctionTransformer(np.negative), Normal(MODALITIES)).fit(X)
    expected = conditional_log_likelihood(Normal(MODALITIES).fit(X), -X)
    pd.testing.assert_series_equal(conditional_log_likelihood(pipeline, X), expected)


@pytest.mark.parametrize(
    ("hide", "message"),
    [
        ("cells", "hide must be 'modalities' or a list"),
        (["d"], "unknown modality 'd'"),
        (["a", "b", "c"], "leave one to complete it from"),
    ],
)
def test_wrong_arguments(normal, hide, message):
    with pytest.raises(ValueError, match=message):
        conditional_log_likelihood(normal, make_rows(), hide=hide)


def test_nothing_to_measure(normal):
    X = make_rows(gaps=False)
    X[:20, 2:] = X[20:, :3] = np.nan
    with pytest.raises(ValueError, match=r"No row of X has observed entries of two of the modalities"):
        conditional_log_likelihood(normal, X)
    with pytest.raises(ValueError, match=r"No row of X has observed entries of one of \['c'\]"):
        conditional_log_likelihood(normal, X, hide=["c"])
    with pytest.raises(ValueError, match="only one modality, 'all'"):
        conditional_log_likelihood(Normal({"all": slice(None)}).fit(X), X)
    with pytest.raises(TypeError, match="completes tables"):
        conditional_log_likelihood(PCA(1).fit(np.eye(3)), np.eye(3))


# of trained models


@pytest.fixture(scope="module")
def linear():
    """A linear decoder: every density of what is observed is normal, and follows from its weights."""
    return MultimodalVAE(
        2,
        modalities=MODALITIES,
        hidden_layer_sizes=(),
        dropout=0.0,
        max_iter=60,
        completion="network",
        random_state=0,
    ).fit(make_rows(200, gaps=False))


def exact_conditional(vae, X, name):
    """Mean over rows, from the network's own weights."""
    with torch.no_grad():
        corners = torch.cat([torch.zeros(1, 2), torch.eye(2)])
        decoded = vae.module_.decode(corners)
        location = torch.cat([d.mean for d in decoded], dim=-1).double().numpy()
        noise = torch.cat([d.stddev for d in decoded], dim=-1).double().numpy()[0]
    layout = vae.layout_
    loadings = (location[1:] - location[0]).T
    mean = location[0] * layout.scale + layout.location
    covariance = (loadings @ loadings.T + np.diag(noise**2)) * np.outer(layout.scale, layout.scale)
    hidden = np.isin(np.arange(5), MODALITIES[name])
    both = stats.multivariate_normal(mean, covariance).logpdf(X)
    rest = stats.multivariate_normal(mean[~hidden], covariance[np.ix_(~hidden, ~hidden)])
    return np.mean(both - rest.logpdf(X[:, ~hidden]))


def test_of_a_trained_model(linear):
    """The error of importance weights vanishes with their number."""
    X = make_rows(100, gaps=False)
    exact = np.array([exact_conditional(linear, X, name) for name in MODALITIES])
    found = conditional_log_likelihood(linear.set_params(n_draws=2000), X)
    np.testing.assert_allclose(found, exact, atol=0.02)
    rough = conditional_log_likelihood(linear.set_params(n_draws=8), X)
    assert np.abs(rough - exact).max() > np.abs(found - exact).max()


def test_of_sequences():
    """Sequence by sequence, a modality is hidden in all its steps; sequences without it do not count."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(6, 4, 3))
    X[0, :, 0] = np.nan
    X[1, :2, 0] = np.nan
    modalities = {"a": [0], "b": [1, 2]}
    model = MultimodalVRNN(
        2, modalities=modalities, hidden_size=4, hidden_layer_sizes=(4,), max_iter=1, random_state=0
    ).fit(X)
    rest = X.copy()
    rest[..., 0] = np.nan
    expected = (model.score_samples(X) - model.score_samples(rest))[1:].mean()
    assert conditional_log_likelihood(model, X)["a"] == pytest.approx(expected, rel=1e-5)
