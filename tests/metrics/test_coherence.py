"""Coherence: estimators that are right with a known probability, classifiers that see what they should."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skmm
from skmm._blocks.containers import check_table, column_types, stack, to_matrix
from skmm._blocks.layout import Layout
from skmm._blocks.modalities import resolve_modalities
from skmm.metrics import cross_coherence, joint_coherence

NAMES = pd.MultiIndex.from_tuples([("a", "p"), ("a", "q"), ("b", "r"), ("c", "s")])
MODALITIES = {"a": [0, 1], "b": [2], "c": [3]}
N_CLASSES = 4
ERRORS = {"a": 0.1, "b": 0.3, "c": 0.5}


class Shower(BaseEstimator):
    """Every value is a class. Each modality shows the row's with a known probability, and otherwise another.

    The row's class is that of its first observed value; 0 where nothing is observed.
    """

    def __init__(self, modalities=None):
        self.modalities = modalities

    def fit(self, X, y=None):
        table = check_table(self, X, reset=True)
        types = column_types(X, table)
        groups = resolve_modalities(X, self.modalities)
        self.layout_ = Layout.fit(X, to_matrix(table, types), groups, types, ["standard"] * len(types))
        return self

    def _show(self, y, rng):
        shown = np.empty((len(y), 4))
        for name, columns in MODALITIES.items():
            wrong = rng.uniform(size=len(y)) < ERRORS[name]
            other = (y + rng.randint(1, N_CLASSES, size=len(y))) % N_CLASSES
            shown[:, columns] = np.where(wrong, other, y)[:, None]
        return shown

    def _classes(self, matrix):
        first = np.argmax(~np.isnan(matrix), axis=1)
        return np.nan_to_num(matrix[np.arange(len(matrix)), first]).astype(int)

    def sample(self, n_samples=1, given=None, random_state=None):
        rng = np.random.RandomState(random_state)
        if given is None:
            return self.layout_.restore(self._show(rng.randint(N_CLASSES, size=n_samples), rng))
        matrix = to_matrix(check_table(self, given, reset=False), self.layout_.types)
        y = self._classes(matrix)
        tables = [self.layout_.complete(given, matrix, self._show(y, rng)) for _ in range(n_samples)]
        return stack(tables, level="draw", keys=range(n_samples))

    def predict(self, X):
        """Without errors, but of c always the class that comes after."""
        matrix = to_matrix(check_table(self, X, reset=False), self.layout_.types)
        y = self._classes(matrix)
        return self.layout_.wrap(np.stack([y, y, y, (y + 1) % N_CLASSES], axis=1).astype(float), X)


class Reader:
    """Classifier: the class is the first value. Keeps what it was given."""

    def predict(self, X):
        self.seen = X
        return np.asarray(X)[:, 0].round().astype(int)


def readers(names="abc"):
    return {name: Reader() for name in names}


def make_rows(n_rows=4000):
    y = np.random.RandomState(0).randint(N_CLASSES, size=n_rows)
    return pd.DataFrame(np.repeat(y[:, None], 4, axis=1).astype(float), columns=NAMES), y


@pytest.fixture(scope="module")
def shower():
    return Shower().fit(make_rows()[0])


def agreement(*errors):
    """Probability that independent modalities show the same class."""
    wrong = np.prod(errors) / (N_CLASSES - 1) ** (len(errors) - 1)
    return np.prod(1 - np.array(errors)) + wrong


def test_joint_coherence_in_closed_form(shower):
    n = 20_000
    for names in ("ab", "ac", "abc"):
        expected = agreement(*[ERRORS[name] for name in names])
        found = joint_coherence(shower, readers(names), n_samples=n)
        assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))


def test_cross_coherence_in_closed_form(shower):
    X, y = make_rows()
    found = cross_coherence(shower, X, y, readers())
    for name, error in ERRORS.items():
        assert found[name] == pytest.approx(1 - error, abs=4 * np.sqrt(error * (1 - error) / len(y)))
    found = cross_coherence(shower, X, y, readers("bc"), given=["a"], n_samples=3)
    assert found.index.tolist() == ["b", "c"]
    assert found["c"] == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(3 * len(y)))


def test_from_each_other_modality(shower):
    X, y = make_rows()
    found = cross_coherence(shower, X, y, readers("ac"), given="each")
    assert found.index.tolist() == ["a", "b", "c"]
    assert found.columns.tolist() == ["a", "c"]
    assert np.isnan(found.loc["a", "a"])
    assert np.isnan(found.loc["c", "c"])
    expected = [[np.nan, 0.5], [0.9, 0.5], [0.9, np.nan]]
    np.testing.assert_allclose(found, expected, atol=4 * 0.5 / np.sqrt(len(y)))


def test_expected_values_instead_of_draws(shower):
    found = cross_coherence(shower, *make_rows(50), readers(), n_samples=None)
    assert found.to_dict() == {"a": 1, "b": 1, "c": 0}


def test_only_what_is_given_is_known(shower):
    """The first observed value tells the class: here a would mislead, but b is what is given."""
    X, y = make_rows(50)
    X["a"] = (X["a"] + 1) % N_CLASSES
    assert cross_coherence(shower, X, y, readers("a"), given=["b"], n_samples=None)["a"] == 1
    assert cross_coherence(shower, X, y, readers("b"), given=["a"], n_samples=None)["b"] == 0


def test_rows_without_what_is_given_do_not_count(shower):
    X, y = make_rows(60)
    X.iloc[:30, :2] = np.nan
    y = np.where(np.arange(60) < 30, -1, y)  # they would be wrong
    found = cross_coherence(shower, X, y, readers("b"), given=["a"], n_samples=None)
    assert found["b"] == 1
    X.iloc[:, :2] = np.nan
    assert np.isnan(cross_coherence(shower, X, y, readers("b"), given=["a"], n_samples=None)["b"])


def test_classifiers_see_their_modality_as_it_is_in_a_frame(shower):
    X, y = make_rows(30)
    classifiers = readers()
    cross_coherence(shower, X, y, classifiers)
    pd.testing.assert_index_equal(classifiers["a"].seen.columns, X["a"].columns)
    joint_coherence(shower, classifiers, n_samples=10)
    pd.testing.assert_index_equal(classifiers["a"].seen.columns, X["a"].columns)
    assert classifiers["c"].seen.shape == (10, 1)


def test_arrays():
    X, y = make_rows(200)
    as_array = Shower(MODALITIES).fit(X.to_numpy())
    classifiers = readers()
    found = cross_coherence(as_array, X.to_numpy(), y, classifiers)
    pd.testing.assert_series_equal(found, cross_coherence(Shower().fit(X), X, y, readers()))
    assert isinstance(classifiers["a"].seen, np.ndarray)
    assert classifiers["a"].seen.shape == (200, 2)
    assert joint_coherence(as_array, readers()) == joint_coherence(Shower().fit(X), readers())


def test_flat_frames_keep_their_names():
    X, y = make_rows(20)
    X.columns = ["a__p", "a__q", "b__r", "c__s"]
    classifiers = readers("a")
    cross_coherence(Shower("prefix").fit(X), X, y, classifiers)
    assert classifiers["a"].seen.columns.tolist() == ["a__p", "a__q"]


def test_random_state(shower):
    X, y = make_rows(100)
    first, again, other = (cross_coherence(shower, X, y, readers(), random_state=seed) for seed in (0, 0, 1))
    pd.testing.assert_series_equal(first, again)
    assert not first.equals(other)
    assert joint_coherence(shower, readers(), n_samples=99) == joint_coherence(
        shower, readers(), n_samples=99
    )


def test_pipeline_is_measured_in_front_of_its_last_step():
    X, y = make_rows(100)
    shift = FunctionTransformer(lambda X: (X + 1) % N_CLASSES)
    pipeline = make_pipeline(shift, Shower()).fit(X)
    found = cross_coherence(pipeline, X, (y + 1) % N_CLASSES, readers("ab"), n_samples=None)
    assert found.to_dict() == {"a": 1, "b": 1}
    assert joint_coherence(pipeline, readers()) == joint_coherence(pipeline[-1], readers())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classifiers": {}}, "classifiers must be a dict of at least 1"),
        ({"classifiers": [Reader()]}, "classifiers must be a dict"),
        ({"classifiers": {"d": Reader()}}, "classifiers names the unknown modality 'd'"),
        ({"classifiers": {"a": 3}}, "classifier of modality 'a' has no predict"),
        ({"given": "all"}, "given must be 'others', 'each' or a list"),
        ({"given": []}, "given must be 'others', 'each' or a list"),
        ({"given": ["d"]}, "given names the unknown modality 'd'"),
        ({"given": ["a", "b", "c"]}, "names all modalities that classifiers are for"),
        ({"n_samples": 0}, "n_samples must be a positive whole number"),
        ({"y": [0, 1]}, "inconsistent numbers of samples"),
    ],
)
def test_wrong_arguments(shower, arguments, message):
    X, y = make_rows(10)
    with pytest.raises(ValueError, match=message):
        cross_coherence(shower, **{"X": X, "y": y, "classifiers": readers()} | arguments)


def test_wrong_arguments_of_new_rows(shower):
    with pytest.raises(ValueError, match="at least 2 modalities"):
        joint_coherence(shower, readers("a"))
    with pytest.raises(ValueError, match="n_samples must be"):
        joint_coherence(shower, readers(), n_samples=True)
    with pytest.raises(TypeError, match="completes tables"):
        joint_coherence(PCA(1).fit(np.eye(3)), readers())
    single = Shower({"all": slice(None)}).fit(make_rows(5)[0].to_numpy())
    with pytest.raises(ValueError, match="only one modality, 'all'"):
        cross_coherence(single, *make_rows(5), {"all": Reader()})


def test_a_trained_model():
    """Of three classes that either modality tells: completed rightly, where an untrained model guesses."""
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=300)
    X = np.eye(3)[y][:, [0, 1, 2, 1, 2, 0]] * 4 + 0.5 * rng.normal(size=(300, 6))
    modalities = {"left": [0, 1, 2], "right": [3, 4, 5]}
    train, test = slice(0, 200), slice(200, 300)
    classifiers = {
        name: NearestCentroid().fit(X[train, columns], y[train]) for name, columns in modalities.items()
    }
    vae = skmm.MultimodalVAE(
        2, modalities=modalities, hidden_layer_sizes=(16,), max_iter=50, completion="network", random_state=0
    )
    trained = vae.fit(X[train])
    untrained = clone(vae).set_params(max_iter=1, learning_rate_init=1e-9).fit(X[train])
    cross = [cross_coherence(model, X[test], y[test], classifiers) for model in (trained, untrained)]
    assert cross[0].min() > 0.9
    assert cross[1].max() < 0.6
    joint = [joint_coherence(model, classifiers) for model in (trained, untrained)]
    assert joint[0] > joint[1] + 0.2
