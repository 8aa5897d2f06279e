"""The Fréchet distance: closed forms, SciPy's matrix root, singular covariances, rows of estimators."""

import numpy as np
import pandas as pd
import pytest
from scipy import linalg
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmm import MultimodalVAE
from skmm.metrics import frechet_distance, sample_distance


def with_moments(mean, covariance, n=50, seed=0):
    """A sample whose mean and covariance, divided by n - 1, are exactly these."""
    Z = np.random.RandomState(seed).normal(size=(n, len(mean)))
    Z -= Z.mean(axis=0)
    Z = np.linalg.solve(np.linalg.cholesky(np.cov(Z.T).reshape(len(mean), -1)), Z.T).T
    return Z @ np.linalg.cholesky(covariance).T + mean


def covariance_like(seed, d=4):
    A = np.random.RandomState(seed).normal(size=(d, d))
    return A @ A.T + 0.1 * np.eye(d)


def test_one_feature():
    """(μ₁ - μ₂)² + (σ₁ - σ₂)²."""
    X, Y = with_moments([1.0], [[4.0]]), with_moments([-2.0], [[9.0]], seed=1)
    assert frechet_distance(X, Y) == pytest.approx(9 + 1)


def test_independent_features():
    X = with_moments([0.0, 1.0, 5.0], np.diag([1.0, 4.0, 0.25]))
    Y = with_moments([0.0, 0.0, 5.0], np.diag([9.0, 4.0, 1.0]), n=70, seed=1)
    assert frechet_distance(X, Y) == pytest.approx(1 + 4 + 0.25)


def test_any_covariances_against_scipy():
    first, second = covariance_like(0), covariance_like(1)
    means = np.random.RandomState(2).normal(size=(2, 4))
    root = linalg.sqrtm(first @ second)
    assert np.abs(root.imag).max() < 1e-8
    expected = np.square(means[0] - means[1]).sum() + np.trace(first + second - 2 * root.real)
    X, Y = with_moments(means[0], first), with_moments(means[1], second, n=30, seed=1)
    assert frechet_distance(X, Y) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(Y, X) == pytest.approx(expected, rel=1e-10)


def test_linear_maps():
    """It is a squared distance of units: orthogonal maps and shifts change nothing, factors count squared."""
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)) + 1
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    expected = frechet_distance(X, Y)
    assert frechet_distance(X @ rotation + 7, Y @ rotation + 7) == pytest.approx(expected)
    assert frechet_distance(1e-3 * X, 1e-3 * Y) == pytest.approx(1e-6 * expected)


def test_equal_samples_and_constants():
    X = np.random.RandomState(0).normal(size=(20, 3))
    assert frechet_distance(X, X[::-1]) == pytest.approx(0, abs=1e-12)
    X[:, 1] = 5  # a covariance without an inverse
    assert frechet_distance(X, X + np.array([0, 2, 0])) == pytest.approx(4)
    assert frechet_distance(X, np.zeros((2, 3))) == pytest.approx(
        25 + np.cov(X.T).trace() + (X.mean(0)[[0, 2]] ** 2).sum()
    )


def test_fewer_rows_than_features():
    """Covariances of rank 4 and 2, of 30 features; against the root of the symmetric form, by eigenvalues."""
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(5, 30)), rng.normal(size=(3, 30))
    value, vector = np.linalg.eigh(np.cov(X.T))
    root = (vector * np.sqrt(value.clip(0))) @ vector.T
    inner = np.linalg.eigvalsh(root @ np.cov(Y.T) @ root).clip(0)
    expected = np.square(X.mean(0) - Y.mean(0)).sum() + np.cov(X.T).trace() + np.cov(Y.T).trace()
    expected -= 2 * np.sqrt(inner).sum()
    assert frechet_distance(X, Y) == pytest.approx(expected, rel=1e-6)


def test_expected_distance_of_samples_of_one_density():
    """As the notes say, (1 / n + 1 / m) (d + d (d + 1) / 4)."""
    rng, d = np.random.RandomState(0), 5
    found = [frechet_distance(rng.normal(size=(400, d)), rng.normal(size=(600, d))) for _ in range(200)]
    expected = (1 / 400 + 1 / 600) * (d + d * (d + 1) / 4)
    assert np.mean(found) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 1)), "X has 2 features, but Y has 1"),
        (np.zeros((1, 2)), np.zeros((3, 2)), "minimum of 2 is required"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), "Input X contains NaN"),
    ],
)
def test_wrong_samples(X, Y, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(X, Y)


# of estimators


def make_table(n_rows=120):
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        rng.normal(size=(n_rows, 3)) * [1, 100, 5] + 7,
        columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "z")]),
    )
    X["b", "town"] = np.array(["Oslo", "Rome"])[rng.randint(2, size=n_rows)]
    X.iloc[::10, 2] = np.nan
    return X


@pytest.fixture(scope="module")
def fitted():
    return MultimodalVAE(2, hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(make_table())


def test_default_features_are_numbers_in_deviations_of_fit(fitted):
    X = make_table()
    complete = X.dropna()
    deviation = X.std(ddof=0, numeric_only=True).to_numpy()
    drawn = fitted.sample(len(complete), random_state=0)
    expected = frechet_distance(*(table.iloc[:, :3].to_numpy() / deviation for table in (complete, drawn)))
    assert sample_distance(fitted, X) == pytest.approx(expected, rel=1e-4)
    assert sample_distance(fitted, X, random_state=1) != pytest.approx(expected)
    drawn = fitted.sample(30, random_state=0)
    expected = frechet_distance(*(table.iloc[:, :3].to_numpy() / deviation for table in (complete, drawn)))
    assert sample_distance(fitted, X, n_samples=30) == pytest.approx(expected, rel=1e-4)


def first_column(X):
    return X["a"][["x"]]


def test_features_of_the_user(fitted):
    X = make_table()
    drawn = fitted.sample(len(X), random_state=0)
    expected = frechet_distance(X["a"][["x"]], drawn["a"][["x"]])
    assert sample_distance(fitted, X, features=first_column) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"features must return .* got shape \(120,\)"):
        sample_distance(fitted, X, features=lambda X: X["a", "x"])


def test_pipeline_is_measured_in_front_of_its_last_step():
    X = np.random.RandomState(0).normal(size=(60, 4))
    model = MultimodalVAE(1, hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), PCA(3), model).fit(X)
    assert sample_distance(pipeline, X) == sample_distance(pipeline[-1], pipeline[:-1].transform(X))


def test_what_cannot_be_measured(fitted):
    with pytest.raises(ValueError, match="Only 0 rows of X have all features"):
        sample_distance(fitted, make_table().iloc[[0, 10]])
    with pytest.raises(TypeError, match="completes tables"):
        sample_distance(PCA(1).fit(np.eye(3)), np.eye(3))
