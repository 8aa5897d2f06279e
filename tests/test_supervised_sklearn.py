"""Estimators of labels: the scikit-learn contract."""

import inspect
import pickle
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmm import MultimodalVAE, MultimodalVAEClassifier, MultimodalVAERegressor

ESTIMATORS = [MultimodalVAEClassifier, MultimodalVAERegressor]
TINY = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 4, "n_draws": 16, "random_state": 0}


@dataclass(frozen=True)
class Halves:
    """Two modalities, whatever the number of columns; one, where there is only one column."""

    def __call__(self, X):
        n_columns = np.asarray(X).shape[1]
        if n_columns == 1:
            return {"left": [0]}
        return {"left": slice(0, n_columns // 2), "right": slice(n_columns // 2, None)}


CHECKED = TINY | {"max_iter": 30, "completion": "network"}  # the checks ask for some accuracy
MIXTURE = {"modalities": Halves(), "fusion": "moe", "label_dropout": 0.5, "early_stopping": False}
WEIGHTED = {"modalities": Halves(), "objective": "iwae"}
CONFIGURATIONS = [
    MultimodalVAEClassifier(**CHECKED),
    MultimodalVAEClassifier(**CHECKED, **MIXTURE),
    MultimodalVAEClassifier(**CHECKED, **WEIGHTED),
    MultimodalVAERegressor(**CHECKED | {"completion": "stacked"}),
    MultimodalVAERegressor(**CHECKED, **MIXTURE | {"fusion": "joint"}),
]


@parametrize_with_checks(CONFIGURATIONS)
def test_checks_of_scikit_learn(estimator, check, numpy_generator_put_back):
    check(estimator)


OTHER_CHECKS = [
    "check_param_validation",
    "check_dataframe_column_names_consistency",
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
    "check_inplace_ensure_writeable",
]


@pytest.mark.parametrize("check", OTHER_CHECKS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:X .* feature names")  # some mix frames and arrays on purpose
def test_other_checks_of_scikit_learn(estimator, check, numpy_generator_put_back):
    getattr(estimator_checks, check)(estimator.__name__, estimator(**TINY))


def make_table(n_rows=60, seed=0):
    """Two modalities, y, and some of everything missing."""
    rng = np.random.RandomState(seed)
    factor = rng.normal(size=n_rows)
    values = factor[:, None] * [2, -1, 3, 1] + 0.3 * rng.normal(size=(n_rows, 4))
    values[rng.uniform(size=n_rows) < 0.2, :2] = np.nan
    columns = ["audio__pitch", "audio__power", "video__x", "video__y"]
    X = pd.DataFrame(values, columns=columns, index=[f"row{i}" for i in range(n_rows)])
    return X, factor


def target_of(estimator, factor):
    return np.where(factor > 0, "high", "low") if is_classifier(estimator) else 10 * factor


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_parameters_are_those_of_the_vae_and_three_more(estimator):
    """Written out once more, because scikit-learn reads signatures; defaults must stay the same."""
    own = inspect.signature(estimator.__init__).parameters
    of_vae = inspect.signature(MultimodalVAE.__init__).parameters
    assert set(own) - set(of_vae) == {"label_weight", "label_dropout", "unlabelled"}
    for name, parameter in of_vae.items():
        assert own[name].default == parameter.default, name
    assert estimator(n_components=3, beta=0.7, tol=0.5).get_params()["tol"] == 0.5


def test_kinds_and_tags():
    assert is_classifier(MultimodalVAEClassifier())
    assert is_regressor(MultimodalVAERegressor())
    for estimator in ESTIMATORS:
        tags = get_tags(estimator())
        assert tags.target_tags.required
        assert tags.input_tags.allow_nan
    assert get_tags(MultimodalVAERegressor()).target_tags.multi_output


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_grid_search_over_labels_and_network(estimator):
    X, factor = make_table()
    search = GridSearchCV(
        estimator(**TINY, modalities="prefix"),
        {"label_weight": [1.0, 20.0], "n_components": [1, 2]},
        cv=2,
        n_jobs=2,
        error_score="raise",
    )
    search.fit(X, target_of(estimator(), factor))
    assert len(search.cv_results_["params"]) == 4
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_score_ == scores.max()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_pipeline_is_the_estimator_on_scaled_columns(estimator):
    X, factor = make_table()
    y = target_of(estimator(), factor)
    scaler = StandardScaler().set_output(transform="pandas")
    pipeline = make_pipeline(scaler, estimator(**TINY, modalities="prefix")).fit(X, y)
    alone = estimator(**TINY, modalities="prefix").fit(clone(scaler).fit_transform(X), y)
    np.testing.assert_array_equal(pipeline.predict(X), alone.predict(clone(scaler).fit_transform(X)))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_copies_say_the_same(estimator):
    X, factor = make_table()
    fitted = estimator(**TINY, modalities="prefix").fit(X, target_of(estimator(), factor))
    loaded = pickle.loads(pickle.dumps(fitted))
    again = clone(fitted).fit(X, target_of(estimator(), factor))
    for other in (loaded, again):
        np.testing.assert_array_equal(other.predict(X), fitted.predict(X))
        np.testing.assert_array_equal(other.transform(X), fitted.transform(X))
    assert [name for name in vars(clone(fitted)) if name.endswith("_")] == []


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_n_features_in_counts_the_columns_of_X(estimator):
    X, factor = make_table()
    fitted = estimator(**TINY, modalities="prefix").fit(X, target_of(estimator(), factor))
    assert fitted.n_features_in_ == 4
    assert fitted.feature_names_in_.tolist() == X.columns.tolist()
    assert fitted.layout_.names == ("audio", "video")
    assert fitted.reconstruction_curve_.columns.tolist() == ["audio", "video", "y"]


def test_feature_names_of_latent_variables():
    X, factor = make_table()
    classifier = MultimodalVAEClassifier(**TINY).set_output(transform="pandas").fit(X, factor > 0)
    features = classifier.transform(X)
    assert features.columns.tolist() == ["multimodalvaeclassifier0", "multimodalvaeclassifier1"]
    assert features.index.equals(X.index)


def test_cross_validation_skips_unlabelled_rows_in_its_scores():
    X, factor = make_table()
    y = np.where(np.arange(60) % 3 == 0, -1, factor > 0)
    scores = cross_val_score(MultimodalVAEClassifier(**CHECKED, label_weight=50), X, y, cv=3)
    assert (scores > 0.7).all()  # unlabelled rows, a third, would count as wrong


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("method", ["predict", "transform", "impute", "sample"])
def test_unfitted_estimators_say_so(estimator, method):
    X, _ = make_table()
    argument = 1 if method == "sample" else X
    with pytest.raises(NotFittedError, match=f"This {estimator.__name__} instance is not fitted yet"):
        getattr(estimator(), method)(argument)
    with pytest.raises(NotFittedError):
        estimator().vae_  # noqa: B018


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_html_representation_of_a_fitted_estimator(estimator):
    X, factor = make_table()
    fitted = estimator(**TINY).fit(X, target_of(estimator(), factor))
    assert estimator.__name__ in fitted._repr_html_()
