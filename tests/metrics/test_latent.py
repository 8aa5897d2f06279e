"""Clustering accuracy against all assignments, probes against classifiers fitted by hand."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import skmm
from skmm._blocks.containers import check_table, column_types, to_matrix
from skmm._blocks.layout import Layout
from skmm._blocks.modalities import resolve_modalities
from skmm.metrics import clustering_accuracy, latent_clustering_accuracy, linear_probe

MODALITIES = {"a": [0], "b": [1], "c": [2, 3]}


@pytest.mark.parametrize("n_clusters", [2, 3, 5])
def test_clusters_against_all_assignments(n_clusters):
    rng = np.random.RandomState(n_clusters)
    y, clusters = rng.randint(3, size=40), rng.randint(n_clusters, size=40)
    longer = max(3, n_clusters)
    best = max(np.mean(np.array(names)[clusters] == y) for names in permutations(range(longer)))
    assert clustering_accuracy(y, clusters) == pytest.approx(best)
    assert clustering_accuracy(np.array(list("abc"))[y], 10 - clusters) == pytest.approx(best)


def test_greedy_matching_would_be_wrong():
    """Cluster 0 has most of class a, but the total is larger if it takes b."""
    y = ["a"] * 9 + ["b"] * 4
    clusters = [0] * 5 + [1] * 4 + [0] * 4
    assert clustering_accuracy(y, clusters) == pytest.approx(8 / 13)


def test_one_cluster_is_one_class():
    assert clustering_accuracy([0, 0, 1], [4, 4, 4]) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clustering_accuracy([0, 0, 1], [4, 4])


class Copier(BaseEstimator):
    """Its latent variables are the values, and 0 for what is missing."""

    def __init__(self, modalities=None):
        self.modalities = modalities

    def fit(self, X, y=None):
        table = check_table(self, X, reset=True)
        types = column_types(X, table)
        groups = resolve_modalities(X, self.modalities)
        self.layout_ = Layout.fit(X, to_matrix(table, types), groups, types, ["standard"] * len(types))
        return self

    def transform(self, X):
        return np.nan_to_num(np.asarray(X, dtype=float))


def make_classes(n_rows=150, seed=0):
    """Three classes; a tells the first from the others, b the second, c nothing."""
    rng = np.random.RandomState(seed)
    y = rng.randint(3, size=n_rows)
    X = rng.normal(size=(n_rows, 4)) * 0.3
    X[:, 0] += 2 * (y == 0)
    X[:, 1] += 2 * (y == 1)
    return X, y


@pytest.fixture(scope="module")
def copier():
    return Copier(MODALITIES).fit(make_classes()[0])


def test_kmeans_of_the_latent_variables(copier):
    X, y = make_classes()
    expected = clustering_accuracy(y, KMeans(3, n_init=10, random_state=1).fit_predict(X))
    assert 0.95 < expected
    assert latent_clustering_accuracy(copier, X, y) == pytest.approx(expected)
    other = GaussianMixture(2, random_state=0)
    expected = clustering_accuracy(y, GaussianMixture(2, random_state=0).fit_predict(X))
    assert latent_clustering_accuracy(copier, X, y, clusterer=other) == pytest.approx(expected)
    assert not hasattr(other, "means_")


def test_probe_of_each_subset(copier):
    X, y = make_classes()
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    found = linear_probe(copier, X, y)
    assert found.index.tolist() == ["a", "b", "c", "a + b", "a + c", "b + c", "a + b + c"]
    for subset in found.index:
        columns = [column for name in subset.split(" + ") for column in MODALITIES[name]]
        seen = np.zeros_like(X)
        seen[:, columns] = X[:, columns]
        assert found[subset] == pytest.approx(cross_val_score(probe, seen, y).mean())
    assert found["c"] < 0.5 < found["a"] < 0.8 < found["a + b"]


def test_subsets_and_probes_of_the_user(copier):
    X, y = make_classes()
    assert linear_probe(copier, X, y, subsets="single").index.tolist() == ["a", "b", "c"]
    probe = DecisionTreeClassifier(max_depth=2, random_state=0)
    found = linear_probe(copier, X, y, subsets=[["b", "a"]], probe=probe, cv=3)
    expected = cross_val_score(probe, X * [1, 1, 0, 0], y, cv=3).mean()
    assert found.to_dict() == {"b + a": pytest.approx(expected)}
    assert not hasattr(probe, "tree_")


def test_rows_without_a_modality_do_not_count_for_it(copier):
    X, y = make_classes()
    gone = np.arange(150) % 3 == 0
    X[gone, 0] = np.nan
    found = linear_probe(copier, X, y, subsets=[["a"], ["a", "b"]])
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    Z = X * [1, 0, 0, 0]
    assert found["a"] == pytest.approx(cross_val_score(probe, Z[~gone], y[~gone]).mean())
    Z = np.nan_to_num(X * [1, 1, 0, 0])
    assert found["a + b"] == pytest.approx(cross_val_score(probe, Z, y).mean())
    X[:, 0] = np.nan
    assert np.isnan(linear_probe(copier, X, y, subsets=[["a"]])["a"])
    assert np.isnan(linear_probe(copier, X, y, subsets=[["a"]], test=(X, y))["a"])


def test_on_test_rows(copier):
    X, y = make_classes()
    new, y_new = make_classes(70, seed=1)
    new[:10, 0] = np.nan
    found = linear_probe(copier, X, y, test=(new, y_new), subsets=[["a"]])
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X * [1, 0, 0, 0], y)
    assert found["a"] == pytest.approx(probe.score((new * [1, 0, 0, 0])[10:], y_new[10:]))


def test_pipeline_is_measured_in_front_of_its_last_step(copier):
    X, y = make_classes()
    negative = FunctionTransformer(np.negative)
    pipeline = make_pipeline(negative, Copier(MODALITIES)).fit(X)
    expected = linear_probe(Copier(MODALITIES).fit(-X), -X, y)
    np.testing.assert_array_equal(linear_probe(pipeline, X, y), expected)
    assert latent_clustering_accuracy(pipeline, X, y) == pytest.approx(
        latent_clustering_accuracy(copier, -X, y)
    )


@pytest.mark.parametrize("subsets", ["both", [], [["a"], []], ["a"], [["a", "d"]]])
def test_wrong_subsets(copier, subsets):
    with pytest.raises(ValueError, match="subsets must"):
        linear_probe(copier, *make_classes(), subsets=subsets)


def test_too_many_subsets():
    X = np.random.RandomState(0).normal(size=(20, 11))
    copier = Copier({str(j): [j] for j in range(11)}).fit(X)
    with pytest.raises(ValueError, match=r"subsets='all' of 11 modalities are too many; give 'single'"):
        linear_probe(copier, X, np.arange(20) % 2)
    assert len(linear_probe(copier, X, np.arange(20) % 2, subsets="single", cv=2)) == 11


def test_lengths_must_agree(copier):
    X, y = make_classes()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        linear_probe(copier, X, y[1:])


def test_a_trained_model():
    """Classes that only a and b together tell; latent variables of complete rows know them."""
    X, y = make_classes(200)
    vae = skmm.MultimodalVAE(
        2, modalities=MODALITIES, hidden_layer_sizes=(8,), max_iter=40, completion="network", random_state=0
    ).fit(X)
    found = linear_probe(vae, X, y, test=make_classes(100, seed=1), cv=3)
    assert found["a + b + c"] > 0.9
    assert found["c"] < 0.5
