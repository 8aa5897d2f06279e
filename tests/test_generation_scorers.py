"""Scorers of classes, likelihoods and new rows: the numbers of their measures, and objects of searches."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import NearestCentroid

from skmm import MultimodalVAE
from skmm.metrics import (
    conditional_log_likelihood,
    cross_coherence,
    joint_coherence,
    latent_clustering_accuracy,
    linear_probe,
    sample_distance,
)
from skmm.scorers import (
    ConditionalLikelihoodScorer,
    CrossCoherenceScorer,
    JointCoherenceScorer,
    LatentClusteringScorer,
    LinearProbeScorer,
    SampleDistanceScorer,
)

MODALITIES = {"left": [0, 1, 2], "right": [3, 4, 5]}


def make_classes(n_rows=120, seed=0):
    """Three classes that either modality tells."""
    rng = np.random.RandomState(seed)
    y = np.arange(n_rows) % 3
    return np.eye(3)[y][:, [0, 1, 2, 1, 2, 0]] * 4 + 0.5 * rng.normal(size=(n_rows, 6)), y


def make_vae(**parameters):
    settings = {
        "n_components": 2,
        "modalities": MODALITIES,
        "hidden_layer_sizes": (8,),
        "max_iter": 3,
        "completion": "network",
        "n_draws": 16,
        "random_state": 0,
    }
    return MultimodalVAE(**settings | parameters)


X, Y = make_classes()
CLASSIFIERS = {name: NearestCentroid().fit(X[:, columns], Y) for name, columns in MODALITIES.items()}


def first_columns(rows):
    return rows[:, :2]


SCORERS = {
    "likelihood": (
        ConditionalLikelihoodScorer(["left"]),
        lambda vae, X, y: conditional_log_likelihood(vae, X, hide=["left"]).mean(),
    ),
    "joint": (
        JointCoherenceScorer(CLASSIFIERS, n_samples=50, random_state=1),
        lambda vae, X, y: joint_coherence(vae, CLASSIFIERS, n_samples=50, random_state=1),
    ),
    "cross": (
        CrossCoherenceScorer(CLASSIFIERS, given="each", n_samples=2, random_state=1),
        lambda vae, X, y: np.nanmean(
            cross_coherence(vae, X, y, CLASSIFIERS, given="each", n_samples=2, random_state=1).to_numpy()
        ),
    ),
    "distance": (
        SampleDistanceScorer(first_columns, n_samples=40, random_state=1),
        lambda vae, X, y: -sample_distance(vae, X, features=first_columns, n_samples=40, random_state=1),
    ),
    "clusters": (
        LatentClusteringScorer(KMeans(3, n_init=1, random_state=0)),
        lambda vae, X, y: latent_clustering_accuracy(
            vae, X, y, clusterer=KMeans(3, n_init=1, random_state=0)
        ),
    ),
    "probe": (
        LinearProbeScorer("single", NearestCentroid(), cv=3),
        lambda vae, X, y: linear_probe(vae, X, y, subsets="single", probe=NearestCentroid(), cv=3).mean(),
    ),
}
NEED_CLASSES = ("cross", "clusters", "probe")


@pytest.fixture(scope="module")
def fitted():
    return make_vae().fit(X)


@pytest.mark.parametrize("name", SCORERS)
def test_number_is_that_of_the_measure(name, fitted):
    scorer, measure = SCORERS[name]
    found = scorer(fitted, X, Y)
    assert type(found) is float
    assert found == pytest.approx(measure(fitted, X, Y))


@pytest.mark.parametrize("name", SCORERS)
def test_ordinary_objects(name, fitted):
    scorer, _ = SCORERS[name]
    copies = [clone(scorer), pickle.loads(pickle.dumps(scorer))]
    for copy in copies:
        assert copy.get_params().keys() == scorer.get_params().keys()
        assert copy(fitted, X, Y) == scorer(fitted, X, Y)


def test_all_at_once_in_cross_validation():
    scoring = {name: scorer for name, (scorer, _) in SCORERS.items()}
    results = cross_validate(make_vae(), X, Y, cv=2, scoring=scoring, error_score="raise")
    for name in SCORERS:
        assert np.isfinite(results[f"test_{name}"]).all()


@pytest.mark.parametrize("name", NEED_CLASSES)
def test_classes_are_needed(name, fitted):
    with pytest.raises(ValueError, match=r"Scorer compares with the classes of the rows; give them as y"):
        SCORERS[name][0](fitted, X)


@pytest.mark.parametrize("name", [name for name in SCORERS if name not in NEED_CLASSES])
def test_classes_are_not_needed(name, fitted):
    scorer, _ = SCORERS[name]
    assert scorer(fitted, X) == scorer(fitted, X, Y)


@pytest.fixture(scope="module")
def learned():
    return make_vae(max_iter=60, batch_size=40, latent_density=GaussianMixture(3)).fit(X)


@pytest.mark.parametrize("name", ["likelihood", "joint", "cross", "distance"])
def test_a_model_that_has_learned_scores_higher(name, learned):
    untrained = make_vae(max_iter=1, learning_rate_init=1e-9).fit(X)
    scorer, _ = SCORERS[name]
    assert scorer(learned, *make_classes(seed=1)) > scorer(untrained, *make_classes(seed=1))


@pytest.mark.parametrize("name", NEED_CLASSES)
def test_true_classes_score_higher_than_shuffled_ones(name, learned):
    scorer, _ = SCORERS[name]
    assert scorer(learned, X, Y) > 0.9
    assert scorer(learned, X, np.random.RandomState(0).permutation(Y)) < 0.6


def test_searches_copy_the_classifiers_as_they_are():
    scoring = CrossCoherenceScorer(CLASSIFIERS)
    grid = {"learning_rate_init": [1e-9, 0.01]}
    search = GridSearchCV(
        make_vae(max_iter=60, batch_size=40), grid, cv=2, scoring=scoring, error_score="raise"
    )
    search = clone(search).fit(X, Y)
    assert search.best_index_ == 1
    assert search.best_score_ > 0.6
    assert search.score(X, Y) == scoring(search.best_estimator_, X, Y)
