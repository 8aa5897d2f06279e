"""MultimodalVRNN and the scikit-learn contract: its own checks, pipelines, searches, folds, copies."""

import copy
import pickle
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmm import CyclicalSchedule, MultimodalVRNN, to_long
from skmm.training.objectives.bounds import ELBO

N_SEQUENCES, N_STEPS, N_FEATURES = 16, 6, 4
MODALITIES = {"left": slice(0, 2), "right": slice(2, None)}
NAMES = ["multimodalvrnn0", "multimodalvrnn1"]


@dataclass(frozen=True)
class Halves:
    """Two modalities, whatever the number of columns; one, where there is only one column."""

    def __call__(self, X):
        n_columns = np.asarray(X).shape[1]
        if n_columns == 1:
            return {"left": [0]}
        return {"left": slice(0, n_columns // 2), "right": slice(n_columns // 2, None)}


def tiny(**parameters):
    """An estimator that fits in a few hundredths of a second."""
    settings = {
        "n_components": 2,
        "hidden_size": 4,
        "hidden_layer_sizes": (8,),
        "max_iter": 3,
        "n_draws": 4,
        "random_state": 0,
    }
    return MultimodalVRNN(**(settings | parameters))


def make_array(n_sequences=N_SEQUENCES, seed=0):
    """Walks that both modalities see; steps, modalities and cells are missing."""
    rng = np.random.RandomState(seed)
    walk = rng.normal(size=(n_sequences, N_STEPS, 2)).cumsum(axis=1)
    values = walk @ rng.normal(size=(2, N_FEATURES)) + 0.3 * rng.normal(size=(*walk.shape[:2], N_FEATURES))
    values = 3 * values + [0, 10, -5, 100]
    values[rng.uniform(size=values.shape) < 0.1] = np.nan
    values[rng.uniform(size=values.shape[:2]) < 0.15, :2] = np.nan
    values[rng.uniform(size=values.shape[:2]) < 0.15] = np.nan
    return values


def make_list(n_sequences=N_SEQUENCES, seed=0):
    """The same, of unequal lengths."""
    lengths = 2 + np.arange(n_sequences) % (N_STEPS - 1)
    return [sequence[:n] for sequence, n in zip(make_array(n_sequences, seed), lengths, strict=True)]


def make_long(n_sequences=N_SEQUENCES, seed=0):
    """The same as a frame whose sequences are not in the order of their labels."""
    labels = pd.Index([f"s{i:02}" for i in reversed(range(n_sequences))], name="who")
    frame = to_long(make_list(n_sequences, seed), labels=labels)
    return frame.set_axis(list("abcd"), axis=1)


CONTAINERS = {"array": make_array, "list": make_list, "long": make_long}


@pytest.fixture(params=CONTAINERS, scope="module")
def container(request):
    return request.param


@pytest.fixture(scope="module")
def fitted(container):
    """Shared, because nothing but fit may change an estimator."""
    return tiny(modalities=MODALITIES).fit(CONTAINERS[container]())


@pytest.fixture
def X(container):
    return CONTAINERS[container]()


RESULTS = {
    "transform": lambda estimator, X: estimator.transform(X),
    "transform_steps": lambda estimator, X: estimator.transform_steps(X),
    "filtered": lambda estimator, X: estimator.transform_steps(X, smooth=False),
    "scale": lambda estimator, X: estimator.posterior_moments(X)[1],
    "inverse_transform": lambda estimator, X: estimator.inverse_transform(
        np.linspace(-2, 2, 12).reshape(2, 3, 2)
    ),
    "predict": lambda estimator, X: estimator.predict(X),
    "predict_std": lambda estimator, X: estimator.predict(X, return_std=True)[1],
    "predict_quantiles": lambda estimator, X: estimator.predict_quantiles(X, 0.9),
    "impute": lambda estimator, X: estimator.impute(X),
    "sample": lambda estimator, X: estimator.sample(3, random_state=3),
    "sample_given": lambda estimator, X: estimator.sample(1, given=X, random_state=3),
    "forecast": lambda estimator, X: estimator.forecast(X, 2),
    "forecast_draws": lambda estimator, X: estimator.forecast(X, 2, n_samples=2, random_state=3),
    "score_samples": lambda estimator, X: estimator.score_samples(X),
    "score": lambda estimator, X: estimator.score(X),
    "step": lambda estimator, X: estimator.step(rows_of(X), estimator.initial_state(2))[0],
}


def rows_of(X):
    """Two rows in the form in which a filter takes them."""
    return X.iloc[:2].reset_index(drop=True) if isinstance(X, pd.DataFrame) else X[0][:2]


def numbers(result):
    """A result of any form, as one array; of lists, their items one below the other."""
    if isinstance(result, list):
        return np.concatenate([numbers(item) for item in result])
    return np.asarray(result, dtype=np.float64)


def assert_same_results(first, second, X):
    for name, call in RESULTS.items():
        np.testing.assert_array_equal(numbers(call(second, X)), numbers(call(first, X)), err_msg=name)


# scikit-learn's checks

CONFIGURATIONS = [
    tiny(),
    # of this size, as MKL rounds products of narrower matrices by where a row stands in them
    tiny(
        fusion="concat",
        transition="lstm",
        recurrence="completed",
        hidden_size=12,
        hidden_layer_sizes=(16,),
    ),
    tiny(
        modalities=Halves(),
        smoothing=False,
        summary="mean",
        fusion="mopoe",
        beta=CyclicalSchedule(n_cycles=2),
        early_stopping=False,
    ),
]


@parametrize_with_checks(CONFIGURATIONS)
def test_checks_of_scikit_learn(estimator, check, numpy_generator_put_back):
    check(estimator)


# in scikit-learn's own test suite, but not in check_estimator
OTHER_CHECKS = [
    "check_param_validation",
    "check_dataframe_column_names_consistency",
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
]


@pytest.mark.parametrize("check", OTHER_CHECKS)
@pytest.mark.parametrize("configuration", [0, 2], ids=["one modality", "two modalities"])
@pytest.mark.filterwarnings("ignore:X .* feature names")  # some mix frames and arrays on purpose
def test_other_checks_of_scikit_learn(check, configuration, numpy_generator_put_back):
    getattr(estimator_checks, check)("MultimodalVRNN", clone(CONFIGURATIONS[configuration]))


def test_tags():
    tags = get_tags(tiny())
    assert tags.input_tags.three_d_array
    assert tags.input_tags.two_d_array
    assert tags.input_tags.allow_nan
    assert not tags.input_tags.sparse
    assert tags.estimator_type is None
    assert not tags.target_tags.required
    assert not get_tags(tiny()).no_validation


# parameters and copies


def test_representation_shows_what_was_changed():
    assert repr(MultimodalVRNN(fusion="moe", n_draws=8)) == "MultimodalVRNN(fusion='moe', n_draws=8)"


def test_clone_keeps_parameters_and_forgets_the_fit(fitted):
    copied = clone(fitted)
    assert copied.get_params() == fitted.get_params()
    assert vars(copied).keys() == copied.get_params(deep=False).keys()


def test_clone_of_an_estimator_with_objects():
    X = make_array()
    estimator = tiny(beta=CyclicalSchedule(n_cycles=3), objective=ELBO(2)).fit(X)
    copied = clone(estimator)
    assert copied.get_params()["beta__n_cycles"] == 3
    assert copied.get_params()["objective__n_draws"] == 2
    assert_same_results(estimator, copied.fit(X), X)


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickle(fitted, X, protocol):
    loaded = pickle.loads(pickle.dumps(fitted, protocol=protocol))
    assert_same_results(fitted, loaded, X)
    assert vars(loaded).keys() == vars(fitted).keys()


def test_state_of_a_filter_can_be_pickled(fitted, X):
    x = rows_of(X)
    _, state = fitted.step(x, fitted.initial_state(2))
    expected, _ = fitted.step(x, state)
    actual, _ = fitted.step(x, pickle.loads(pickle.dumps(state)))
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_joblib(fitted, X, tmp_path, mmap_mode):
    joblib.dump(fitted, tmp_path / "model.joblib")
    assert_same_results(fitted, joblib.load(tmp_path / "model.joblib", mmap_mode=mmap_mode), X)


def test_deepcopy_is_independent(fitted, container, X):
    copied = copy.deepcopy(fitted)
    assert_same_results(fitted, copied, X)
    copied.fit(CONTAINERS[container](seed=1))
    assert not np.array_equal(numbers(copied.transform(X)), numbers(fitted.transform(X)))


# fitted attributes


def test_fitted_attributes():
    estimator = tiny(max_iter=4, early_stopping=True, validation_fraction=0.2).fit(make_array())
    assert {name for name in vars(estimator) if name.endswith("_")} == {
        "module_",
        "completion_",
        "latent_density_",
        "layout_",
        "n_iter_",
        "best_iter_",
        "loss_curve_",
        "reconstruction_curve_",
        "kl_curve_",
        "validation_scores_",
        "n_features_in_",
    }
    assert estimator.n_features_in_ == N_FEATURES
    assert estimator.n_iter_ == len(estimator.loss_curve_) == len(estimator.validation_scores_) == 4
    assert np.isfinite(estimator.loss_curve_ + estimator.validation_scores_).all()
    assert not estimator.module_.training
    assert estimator.get_feature_names_out().tolist() == NAMES


def test_names_of_features_are_remembered(X, fitted, container):
    if container != "long":
        assert not hasattr(fitted, "feature_names_in_")
        return
    assert fitted.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match=r"(?s)feature names.*should match.*order"):
        fitted.predict(X[list("bacd")])


@pytest.mark.parametrize("method", RESULTS)
def test_unfitted_estimators_say_so(method, X):
    with pytest.raises(NotFittedError, match="This MultimodalVRNN instance is not fitted yet"):
        RESULTS[method](tiny(), X)


@pytest.mark.parametrize("method", RESULTS)
def test_nothing_is_written_outside_fit(fitted, X, method):
    attributes = dict(vars(fitted))
    weights = {name: value.clone() for name, value in fitted.module_.state_dict().items()}
    RESULTS[method](fitted, X)
    assert vars(fitted).keys() == attributes.keys()
    assert all(vars(fitted)[name] is value for name, value in attributes.items())
    assert all(torch.equal(value, weights[name]) for name, value in fitted.module_.state_dict().items())
    assert not fitted.module_.training


@pytest.mark.parametrize("method", RESULTS)
def test_parameters_changed_after_fit_do_not_disturb_it(fitted, X, method):
    """They belong to the next fit; summary, n_draws and device alone concern a fitted network."""
    changed = copy.copy(fitted).set_params(
        n_components=7, hidden_size=9, n_layers=2, recurrence="completed", smoothing=False, fusion="wrong"
    )
    expected = numbers(RESULTS[method](fitted, X))
    np.testing.assert_array_equal(numbers(RESULTS[method](changed, X)), expected)


def test_summary_can_be_changed_after_fit(fitted, X):
    mean = numbers(fitted.transform(X))
    last = numbers(copy.copy(fitted).set_params(summary="last").transform(X))
    assert mean.shape == last.shape
    assert not np.allclose(mean, last)


def test_score_is_a_python_float_and_the_mean_over_sequences(fitted, X):
    score, each = fitted.score(X), fitted.score_samples(X)
    assert type(score) is float
    assert each.shape == (N_SEQUENCES,)
    assert each.dtype == np.float32
    assert score == pytest.approx(each.mean(), rel=1e-6)
    assert fitted.score(X, y=np.zeros(N_SEQUENCES)) == score


# randomness


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"fusion": "concat", "transition": "lstm", "recurrence": "completed"},
        {"fusion": "mopoe"},
        {"fusion": "attention"},
        {"smoothing": False, "fusion": "joint"},
    ],
    ids=["poe", "concat", "mopoe", "attention", "joint"],
)
def test_same_seed_same_result_bit_for_bit(parameters):
    X = make_list()
    first, second = (tiny(modalities=MODALITIES, **parameters).fit(X) for _ in range(2))
    assert_same_results(first, second, X)
    assert first.loss_curve_ == second.loss_curve_
    assert_same_results(first, second.fit(X), X)


def test_another_seed_gives_another_result(fitted, X):
    other = clone(fitted).set_params(random_state=1).fit(X)
    assert not np.array_equal(numbers(other.transform(X)), numbers(fitted.transform(X)))


def test_random_state_of_draws(fitted, X):
    for draw in (
        lambda seed: fitted.sample(3, random_state=seed),
        lambda seed: fitted.sample(1, given=X, random_state=seed),
        lambda seed: fitted.forecast(X, 2, n_samples=1, random_state=seed),
    ):
        first = numbers(draw(5))
        np.testing.assert_array_equal(numbers(draw(5)), first)
        assert not np.array_equal(numbers(draw(6)), first)
        assert not np.array_equal(numbers(draw(None)), numbers(draw(None)))


def test_users_default_dtype_changes_nothing(fitted, container):
    X = CONTAINERS[container]()
    torch.set_default_dtype(torch.float64)
    try:
        estimator = clone(fitted).fit(X)
        under_float64 = {name: numbers(call(estimator, X)) for name, call in RESULTS.items()}
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    for name, call in RESULTS.items():
        np.testing.assert_array_equal(under_float64[name], numbers(call(fitted, X)), err_msg=name)


# pipelines


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("summary", ["last", "mean"])
def test_before_a_classifier(name, summary):
    X, y = CONTAINERS[name](), np.arange(N_SEQUENCES) % 2
    pipeline = make_pipeline(tiny(summary=summary), LogisticRegression()).fit(X, y)
    assert pipeline.predict(X).shape == (N_SEQUENCES,)
    assert pipeline.predict_proba(X).shape == (N_SEQUENCES, 2)
    assert pipeline[-1].coef_.shape == (1, 2)
    assert 0 <= pipeline.score(X, y) <= 1


def test_behind_a_scaler_of_tables():
    X, y = make_array()[:, 0], np.arange(N_SEQUENCES) % 2
    X = np.concatenate([X, make_array(seed=1)[:, 0]])
    pipeline = make_pipeline(StandardScaler(), tiny(modalities=Halves()), LogisticRegression())
    assert pipeline.fit(X, np.tile(y, 2)).predict(X).shape == (2 * N_SEQUENCES,)


@pytest.mark.parametrize("transform", ["pandas", "default"])
def test_set_output(fitted, X, container, transform):
    Z = copy.copy(fitted).set_output(transform=transform).transform(X)
    if transform == "default" and container != "long":
        assert type(Z) is np.ndarray
        assert Z.dtype == np.float32
        return
    assert type(Z) is pd.DataFrame
    assert Z.columns.tolist() == NAMES
    assert (Z.dtypes == np.float32).all()
    np.testing.assert_array_equal(Z, fitted.transform(X))
    if container == "long":
        assert Z.index.equals(X.index.get_level_values(0).unique())
        assert Z.index.tolist() == [f"s{i:02}" for i in reversed(range(N_SEQUENCES))]
        assert Z.index.name == "who"
    else:
        assert Z.index.equals(pd.RangeIndex(N_SEQUENCES))


# searches and folds


@pytest.fixture
def two_processes():
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        yield


SEARCHED = {
    "beta__n_cycles": [1, 3],
    "burst_dropout": [0.0, {"left": 0.9}],
    "fusion": ["poe", "concat"],
    "hidden_size": [2, 5],
}


@pytest.mark.parametrize(
    ("parameter", "name"),
    [("beta__n_cycles", "array"), ("burst_dropout", "array"), ("fusion", "list"), ("hidden_size", "list")],
)
def test_grid_search_splits_sequences(name, parameter, two_processes):
    X = CONTAINERS[name]()
    estimator = tiny(modalities=MODALITIES, beta=CyclicalSchedule(n_cycles=2), max_iter=8)
    search = GridSearchCV(estimator, {parameter: SEARCHED[parameter]}, cv=2, error_score="raise").fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) == len(SEARCHED[parameter])  # the parameter arrived
    fold = [[X[i] for i in half] for half in np.array_split(np.arange(N_SEQUENCES), 2)]
    best = clone(estimator).set_params(**search.best_params_)
    expected = [clone(best).fit(fold[1 - i]).score(fold[i]) for i in range(2)]
    assert search.best_score_ == pytest.approx(np.mean(expected), rel=1e-5)
    assert len(search.predict(X)) == N_SEQUENCES


@pytest.mark.parametrize("name", ["array", "list"])
def test_scores_are_the_same_in_other_processes(name, two_processes):
    X = CONTAINERS[name]()
    here, there = (cross_val_score(tiny(), X, cv=2, n_jobs=n_jobs) for n_jobs in (1, 2))
    assert np.isfinite(here).all()
    np.testing.assert_array_equal(there, here)


@dataclass(frozen=True)
class ShareCut:
    """Scorer: which share of the sequences of a fold has lost steps to another fold."""

    lengths: pd.Series

    def __call__(self, estimator, X, y=None):
        steps = estimator.transform_steps(X).groupby(level=0).size()
        return float((steps < self.lengths[steps.index]).mean())


def test_folds_of_a_long_frame():
    """GroupKFold keeps sequences whole, KFold cuts them: its rows are steps."""
    X = make_long()
    labels = X.index.get_level_values(0)
    share_cut = ShareCut(X.groupby(level=0).size())
    whole = cross_val_score(tiny(), X, groups=labels, cv=GroupKFold(3), scoring=share_cut)
    assert whole.tolist() == [0, 0, 0]
    cut = cross_val_score(tiny(), X, cv=KFold(3, shuffle=True, random_state=0), scoring=share_cut)
    assert (cut > 0.5).all()


def test_grid_search_on_a_long_frame():
    X = make_long()
    groups = X.index.get_level_values(0)
    search = GridSearchCV(tiny(), {"n_components": [1, 2]}, cv=GroupKFold(2), error_score="raise")
    search.fit(X, groups=groups)
    assert len(set(search.cv_results_["mean_test_score"])) == 2
    folds = GroupKFold(2).split(X, groups=groups)
    best = tiny(**search.best_params_)
    expected = [clone(best).fit(X.iloc[train]).score(X.iloc[test]) for train, test in folds]
    assert search.best_score_ == pytest.approx(np.mean(expected), rel=1e-6)


# warm start


def test_warm_start_continues():
    X = make_list()
    nothing_hidden = {"modality_dropout": 0.0, "burst_dropout": 0.0, "step_dropout": 0.0}
    estimator = tiny(warm_start=True, max_iter=40, early_stopping=False, **nothing_hidden).fit(X)
    first, *_, last = estimator.loss_curve_
    estimator.fit(X)
    assert abs(estimator.loss_curve_[0] - last) < 0.3 * (first - last)
    cold = clone(estimator).set_params(warm_start=False).fit(X)
    assert cold.loss_curve_[0] == first


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden_size": 5},
        {"n_layers": 2},
        {"transition": "lstm"},
        {"recurrence": "completed"},
        {"smoothing": False},
        {"fusion": "concat"},
    ],
    ids=str,
)
def test_warm_start_with_another_shape(changed):
    X = make_array()
    estimator = tiny(warm_start=True).fit(X)
    before = estimator.transform(X)
    with pytest.raises(ValueError, match="warm_start=True continues with the network of the last fit, but"):
        estimator.set_params(**changed).fit(X)
    np.testing.assert_array_equal(estimator.transform(X), before)
