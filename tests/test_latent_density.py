"""New rows from a density fitted to posterior draws, instead of from the prior."""

import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, clone
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

import skmm
from skmm._estimator.latent_density import draw_points

MODALITIES = {"a": [0, 1], "b": [2, 3, 4]}


def two_clusters(n_rows=200, seed=0):
    """Rows that are near one of two points, and nowhere in between; a fifth of the modalities is missing."""
    rng = np.random.RandomState(seed)
    side = rng.choice([-1.0, 1.0], size=(n_rows, 1))
    X = side * [3, 3, 3, -3, 3] + 0.3 * rng.normal(size=(n_rows, 5))
    for columns in MODALITIES.values():
        X[np.ix_(rng.uniform(size=n_rows) < 0.2, columns)] = np.nan
    return X


def make_vae(**parameters):
    settings = {
        "n_components": 2,
        "modalities": MODALITIES,
        "hidden_layer_sizes": (16,),
        "max_iter": 60,
        "batch_size": 100,
        "completion": "network",
        "early_stopping": False,
        "random_state": 0,
    }
    return skmm.MultimodalVAE(**settings | parameters)


def energy_distance(X, Y):
    """Of two samples: 2 E|X - Y| - E|X - X'| - E|Y - Y'|; 0 for equal distributions."""
    return 2 * cdist(X, Y).mean() - cdist(X, X).mean() - cdist(Y, Y).mean()


@pytest.fixture(scope="module")
def mixture():
    return make_vae(latent_density=GaussianMixture(2)).fit(two_clusters())


@pytest.fixture(scope="module")
def plain():
    return make_vae().fit(two_clusters())


@pytest.mark.parametrize("density", [GaussianMixture(2), KernelDensity(bandwidth=0.1)])
def test_rows_of_two_clusters_come_closer_than_from_the_prior(density, plain):
    new = two_clusters(1000, seed=1)
    new = new[~np.isnan(new).any(axis=1)]
    from_prior = plain.sample(600, random_state=0)
    from_density = make_vae(latent_density=density).fit(two_clusters()).sample(600, random_state=0)
    prior, fitted = (energy_distance(rows, new) for rows in (from_prior, from_density))
    assert fitted < 0.25 * prior
    between = [np.mean(np.abs(rows[:, 0]) < 1) for rows in (from_prior, from_density, new)]
    assert between[2] == 0
    assert between[1] < 0.05 < 0.1 < between[0]


def test_only_new_rows_depend_on_it(mixture, plain):
    X = two_clusters()
    assert plain.latent_density_ is None
    np.testing.assert_array_equal(mixture.transform(X), plain.transform(X))
    np.testing.assert_array_equal(mixture.score_samples(X), plain.score_samples(X))
    drawn = [vae.sample(2, given=X, random_state=0) for vae in (mixture, plain)]
    np.testing.assert_array_equal(*drawn)


class Recorder(BaseEstimator):
    """Keeps what it is fitted to, and gives it back."""

    def __init__(self, result=None):
        self.result = result

    def fit(self, Z, y=None):
        self.points_ = Z
        return self

    def sample(self, n, random_state=None):
        return self.points_[:n] if self.result is None else self.result


def test_it_sees_draws_of_the_posterior_of_every_row():
    """By moments: of the draws and of the mixture of all rows' posteriors."""
    X = two_clusters(400)
    seen = X[~np.isnan(X).all(axis=1)]  # of the others the posterior is the prior, which tells nothing
    assert len(seen) < len(X)
    vae = make_vae(latent_density=Recorder()).fit(X)
    points = vae.latent_density_.points_
    assert points.shape == (20 * len(seen), 2)
    loc, scale = vae.posterior_moments(seen)
    np.testing.assert_allclose(points.mean(0), loc.mean(0), atol=4 * scale.mean() / np.sqrt(len(points)))
    expected = np.cov(loc.T, bias=True) + np.diag(np.square(scale).mean(0))
    np.testing.assert_allclose(np.cov(points.T), expected, atol=0.02)
    # and row by row: of incomplete rows, whose posteriors are wider, as many draws as of the others
    noise = (points.reshape(20, len(seen), 2) - loc) / scale
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    assert stats.kstest(noise[:, np.isnan(seen).any(axis=1)].ravel(), "norm").pvalue > 0.01


@pytest.mark.parametrize(("n_rows", "n_draws"), [(60, 20), (3000, 4), (10_001, 1)])
def test_number_of_draws(n_rows, n_draws):
    X = np.random.RandomState(0).normal(size=(n_rows, 5))
    vae = make_vae(latent_density=Recorder(), max_iter=1, hidden_layer_sizes=(2,)).fit(X)
    assert len(vae.latent_density_.points_) == n_draws * n_rows


@pytest.mark.parametrize("density", [GaussianMixture(2), KernelDensity(bandwidth=0.1)])
class TestRandomState:
    def test_fit_is_reproducible(self, density):
        X = two_clusters(100)
        first, second = (make_vae(latent_density=density, max_iter=2).fit(X) for _ in range(2))
        np.testing.assert_array_equal(first.sample(9, random_state=3), second.sample(9, random_state=3))

    def test_sample(self, density):
        vae = make_vae(latent_density=density, max_iter=2).fit(two_clusters(100))
        first = vae.sample(9, random_state=3)
        np.testing.assert_array_equal(first, vae.sample(9, random_state=3))
        others = [vae.sample(9, random_state=seed) for seed in (4, None, None)]
        assert all(not np.allclose(first, other) for other in others)
        assert not np.allclose(others[1], others[2])


def test_a_state_of_its_own_is_kept():
    vae = make_vae(latent_density=GaussianMixture(2, random_state=7), max_iter=1).fit(two_clusters(50))
    assert vae.latent_density_.random_state == 7
    rows = [vae.sample(5, random_state=seed) for seed in (0, 1)]
    assert not np.allclose(*rows)  # sampling goes by the argument all the same


def test_parts_of_a_mixture_come_in_any_order(mixture):
    """GaussianMixture gives all of its first part first."""
    side = mixture.sample(400, random_state=0)[:, 0] > 0
    n_changes = (side[1:] != side[:-1]).sum()
    assert abs(n_changes - 200) < 4 * np.sqrt(100)


def test_the_users_object_is_not_fitted(mixture):
    assert not hasattr(mixture.latent_density, "weights_")
    copy = clone(mixture)
    assert not hasattr(copy, "latent_density_")
    assert copy.latent_density.n_components == 2


def test_pickle(mixture):
    again = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(again.sample(20, random_state=1), mixture.sample(20, random_state=1))


def test_frames_come_back_as_they_were():
    X = pd.DataFrame(two_clusters(60), columns=pd.MultiIndex.from_product([["a"], list("pqrst")]))
    rows = make_vae(modalities=None, latent_density=GaussianMixture(1), max_iter=1).fit(X).sample(3)
    pd.testing.assert_index_equal(rows.columns, X.columns)


class MeanDistance:
    """Scorer: the distance of new rows from the test rows."""

    def __call__(self, estimator, X, y=None):
        complete = X[~np.isnan(X).any(axis=1)]
        return -energy_distance(estimator.sample(300, random_state=0), complete)


def test_search_over_its_parameters():
    X = two_clusters(200)
    search = GridSearchCV(
        make_vae(latent_density=GaussianMixture()),
        {"latent_density__n_components": [1, 2]},
        cv=2,
        scoring=MeanDistance(),
        error_score="raise",
    ).fit(X)
    assert search.best_params_ == {"latent_density__n_components": 2}
    assert search.best_estimator_.latent_density_.n_components == 2


def test_private_latent_variables_are_drawn_too():
    vae = make_vae(latent_density=GaussianMixture(2), n_private={"a": 1}, max_iter=2).fit(two_clusters(50))
    assert vae.latent_density_.means_.shape == (2, 3)
    assert vae.sample(4, random_state=0).shape == (4, 5)


def test_points_lie_on_the_spheres_of_the_prior():
    vae = make_vae(
        n_components=4, prior="sphere", posterior="vmf", latent_density=GaussianMixture(2), max_iter=2
    ).fit(two_clusters(50))
    points = draw_points(vae.latent_density_, vae.module_, 100, 0).unflatten(1, (-1, vae.module_.prior.size))
    np.testing.assert_allclose(points.norm(dim=-1), 1, rtol=1e-5)
    assert vae.sample(4, random_state=0).shape == (4, 5)


def test_posterior_points_that_are_weighted():
    """Under an importance-weighted bound, draws are resampled."""
    vae = make_vae(latent_density=GaussianMixture(2), objective="iwae", max_iter=3).fit(two_clusters(50))
    assert vae.sample(4, random_state=0).shape == (4, 5)


@pytest.mark.parametrize("value", ["mixture", 3, object()])
def test_objects_without_fit_and_sample(value):
    with pytest.raises(
        ValueError, match=r"'latent_density' parameter of MultimodalVAE must be .*'fit'.*'sample'"
    ):
        make_vae(latent_density=value).fit(two_clusters(50))


@pytest.mark.parametrize(
    "result", [np.zeros((3, 1)), np.zeros(3), np.full((3, 2), np.nan)], ids=["narrow", "flat", "nan"]
)
def test_densities_that_give_something_else(result):
    vae = make_vae(latent_density=Recorder(result), max_iter=1).fit(two_clusters(50))
    with pytest.raises(
        ValueError, match=r"latent_density, a Recorder, was asked for 3 finite points of 2 numbers"
    ):
        vae.sample(3)


def test_a_failing_density_leaves_the_estimator_as_it_was(mixture):
    vae = clone(mixture).set_params(max_iter=1).fit(two_clusters(50))
    before = vae.latent_density_
    vae.set_params(latent_density=GaussianMixture(10**6))
    with pytest.raises(ValueError, match="n_components"):
        vae.fit(two_clusters(50))
    assert vae.latent_density_ is before


def test_points_are_those_of_the_density():
    """Means and covariances of many draws."""
    rng = np.random.RandomState(0)
    Z = rng.normal(size=(500, 2)) @ [[1.0, 0.5], [0.0, 0.3]] + [1.0, -2.0]
    density = GaussianMixture(1, random_state=0).fit(Z)
    points = draw_points(density, SimpleNamespace(n_components=2, prior=None), 40_000, 0).numpy()
    np.testing.assert_allclose(points.mean(0), density.means_[0], atol=0.03)
    np.testing.assert_allclose(np.cov(points.T), density.covariances_[0], atol=0.03)
