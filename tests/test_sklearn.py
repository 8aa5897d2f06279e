"""The scikit-learn contract: its own checks, pipelines, searches, pickling, reproducibility."""

import copy
import pickle
import warnings
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skmm import CyclicalSchedule, MultimodalVAE
from skmm._torch import isolated_rng
from skmm.probability.fusion import FUSIONS
from skmm.scorers import completion_scorer
from skmm.training.objectives.bounds import ELBO

N_ROWS = 60


@dataclass(
    frozen=True
)  # and not a function: its address would make the tests' names differ between processes
class Halves:
    """Two modalities, whatever the number of columns; one, where there is only one column."""

    def __call__(self, X):
        n_columns = np.asarray(X).shape[1]
        if n_columns == 1:
            return {"left": [0]}
        return {"left": slice(0, n_columns // 2), "right": slice(n_columns // 2, None)}


@dataclass(frozen=True)
class ReluNet:
    """Factory of encoders and decoders."""

    def __call__(self, n_in, n_out):
        return nn.Sequential(nn.Linear(n_in, 8), nn.ReLU(), nn.Linear(8, n_out))


def tiny(**parameters):
    """An estimator that fits in a few hundredths of a second."""
    settings = {
        "n_components": 2,
        "hidden_layer_sizes": (8,),
        "max_iter": 4,
        "n_draws": 16,
        "random_state": 0,
    }
    return MultimodalVAE(**(settings | parameters))


def make_table(n_rows=N_ROWS, seed=0):
    """Two modalities that share two latent factors; modalities and cells are missing."""
    rng = np.random.RandomState(seed)
    factors = rng.normal(size=(n_rows, 2))
    values = factors @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(n_rows, 5))
    values = 3 * values + [0, 10, -5, 100, 0]
    values[rng.uniform(size=values.shape) < 0.1] = np.nan
    values[rng.uniform(size=n_rows) < 0.2, :2] = np.nan
    values[rng.uniform(size=n_rows) < 0.2, 2:] = np.nan
    columns = pd.MultiIndex.from_tuples(
        [("audio", "pitch"), ("audio", "power"), ("video", "x"), ("video", "y"), ("video", "z")]
    )
    return pd.DataFrame(values, columns=columns, index=[f"row{i}" for i in range(n_rows)])


@pytest.fixture
def table():
    return make_table()


@pytest.fixture(scope="module")
def fitted():
    """Shared, because nothing but fit may change an estimator."""
    return tiny().fit(make_table())


RESULTS = {
    "transform": lambda estimator, X: estimator.transform(X),
    "posterior_moments": lambda estimator, X: np.stack(estimator.posterior_moments(X)),
    "inverse_transform": lambda estimator, X: estimator.inverse_transform(
        np.linspace(-2, 2, 8).reshape(4, 2)
    ),
    "predict": lambda estimator, X: estimator.predict(X),
    "predict_std": lambda estimator, X: estimator.predict(X, return_std=True)[1],
    "predict_quantiles": lambda estimator, X: estimator.predict_quantiles(X),
    "impute": lambda estimator, X: estimator.impute(X),
    "sample": lambda estimator, X: estimator.sample(5, random_state=3),
    "sample_given": lambda estimator, X: estimator.sample(2, given=X, random_state=3),
    "score_samples": lambda estimator, X: estimator.score_samples(X),
    "score": lambda estimator, X: estimator.score(X),
}


def results(estimator, X):
    """Every public result as an array."""
    return {name: np.asarray(call(estimator, X)) for name, call in RESULTS.items()}


def assert_same_results(first, second, X, **tolerance):
    for name, expected in results(first, X).items():
        actual = np.asarray(RESULTS[name](second, X))
        if tolerance:
            np.testing.assert_allclose(actual, expected, err_msg=name, **tolerance)
        else:
            np.testing.assert_array_equal(actual, expected, err_msg=name)


# scikit-learn's checks

CONFIGURATIONS = [
    tiny(),
    tiny(
        modalities=Halves(),
        beta=CyclicalSchedule(n_cycles=2),
        dropout=0.2,
        cell_dropout=0.3,
        modality_dropout=0.5,
        early_stopping=False,
    ),
    tiny(modalities=Halves(), objective="iwae", max_iter=3),
    tiny(encoders={"x": ReluNet()}, decoders={"x": ReluNet()}, early_stopping=False),
    *[tiny(modalities=Halves(), fusion=fusion, max_iter=3) for fusion in FUSIONS],
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
@pytest.mark.parametrize("configuration", [0, 1], ids=["one modality", "two modalities"])
@pytest.mark.filterwarnings("ignore:X .* feature names")  # some mix frames and arrays on purpose
def test_other_checks_of_scikit_learn(check, configuration, numpy_generator_put_back):
    getattr(estimator_checks, check)("MultimodalVAE", clone(CONFIGURATIONS[configuration]))


# parameters


def test_representation_shows_what_was_changed():
    assert repr(MultimodalVAE(fusion="moe", n_draws=8)) == "MultimodalVAE(fusion='moe', n_draws=8)"


def test_html_representation_of_a_fitted_estimator(fitted):
    assert "MultimodalVAE" in fitted._repr_html_()


def test_clone_keeps_parameters_and_forgets_the_fit(fitted):
    copied = clone(fitted)
    assert copied.get_params() == fitted.get_params()
    assert [name for name in vars(copied) if name.endswith("_")] == []


def test_clone_of_an_estimator_with_objects(table):
    with isolated_rng(0):
        module = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
    estimator = tiny(beta=CyclicalSchedule(n_cycles=3), encoders={"audio": module}, objective=ELBO(2)).fit(
        table
    )
    copied = clone(estimator)
    assert copied.get_params()["beta__n_cycles"] == 3
    assert_same_results(estimator, copied.fit(table), table)


def test_users_objects_are_not_trained(table):
    with isolated_rng(0):
        torch_module = nn.Linear(2, 4)
    before = torch_module.weight.detach().clone()
    schedule, objective = CyclicalSchedule(), ELBO()
    tiny(encoders={"audio": torch_module}, beta=schedule, objective=objective).fit(table)
    assert torch.equal(torch_module.weight, before)
    assert vars(schedule) == vars(CyclicalSchedule())
    assert vars(objective) == vars(ELBO())


def test_parameters_changed_after_fit_do_not_disturb_it(table):
    """They belong to the next fit; n_draws and device alone concern what a fitted network is asked."""
    estimator = tiny().fit(table)
    before = results(estimator, table)
    estimator.set_params(n_components=7, hidden_layer_sizes="wrong", likelihood="bernoulli", random_state=9)
    for name, expected in before.items():
        np.testing.assert_array_equal(np.asarray(RESULTS[name](estimator, table)), expected, err_msg=name)
    assert list(estimator.get_feature_names_out()) == ["multimodalvae0", "multimodalvae1"]


def test_n_draws_can_be_raised_after_fit(table):
    estimator = tiny(n_draws=2).fit(table)
    rough = estimator.score(table)
    assert estimator.set_params(n_draws=256).score(table) > rough


# fitted attributes


def test_fitted_attributes(table):
    estimator = tiny(max_iter=4, early_stopping=True, validation_fraction=0.2).fit(table)
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
    assert isinstance(estimator.module_, nn.Module)
    assert not estimator.module_.training
    assert estimator.layout_.names == ("audio", "video")
    assert estimator.n_features_in_ == 5
    assert estimator.n_iter_ == len(estimator.loss_curve_) == len(estimator.validation_scores_) == 4
    assert 1 <= estimator.best_iter_ <= 4
    assert np.isfinite(estimator.loss_curve_ + estimator.validation_scores_).all()


def test_without_early_stopping_there_are_no_validation_scores(table):
    assert tiny(early_stopping=False).fit(table).validation_scores_ is None


def test_string_names_are_remembered(table):
    flat = table.set_axis(["a", "b", "c", "d", "e"], axis=1)
    estimator = tiny().fit(flat)
    assert estimator.feature_names_in_.tolist() == ["a", "b", "c", "d", "e"]
    with pytest.raises(ValueError, match=r"(?s)feature names.*should match.*order"):
        estimator.transform(flat[["b", "a", "c", "d", "e"]])
    assert not hasattr(estimator.fit(flat.to_numpy()), "feature_names_in_")


def test_columns_of_several_levels_are_compared_too(fitted, table):
    with pytest.raises(ValueError, match="they stand in another order"):
        fitted.predict(table.iloc[:, ::-1])
    with pytest.raises(ValueError, match=r"1 missing \(\('video', 'z'\)\)"):
        fitted.predict(table.iloc[:, :4])


def test_output_names(fitted):
    assert fitted.get_feature_names_out().tolist() == ["multimodalvae0", "multimodalvae1"]


@pytest.mark.parametrize("method", RESULTS)
def test_unfitted_estimators_say_so(method, table):
    with pytest.raises(NotFittedError, match="This MultimodalVAE instance is not fitted yet"):
        RESULTS[method](tiny(), table)


def test_unfitted_estimators_have_no_output_names():
    with pytest.raises(NotFittedError):
        tiny().get_feature_names_out()


@pytest.mark.parametrize("method", RESULTS)
def test_nothing_is_written_outside_fit(fitted, table, method):
    attributes = dict(vars(fitted))
    weights = {name: value.clone() for name, value in fitted.module_.state_dict().items()}
    RESULTS[method](fitted, table)
    assert vars(fitted).keys() == attributes.keys()
    assert all(vars(fitted)[name] is value for name, value in attributes.items())
    assert all(torch.equal(value, weights[name]) for name, value in fitted.module_.state_dict().items())
    assert not fitted.module_.training


def test_score_is_a_python_float_and_the_mean_over_rows(fitted, table):
    score = fitted.score(table)
    assert type(score) is float
    assert score == pytest.approx(fitted.score_samples(table).mean(), rel=1e-6)
    assert fitted.score(table, y=np.zeros(len(table))) == score


# randomness


@pytest.mark.parametrize(
    "parameters",
    [{}, {"fusion": "mopoe", "objective": "iwae"}, {"fusion": "attention"}, {"fusion": "joint"}],
    ids=["poe", "mopoe", "attention", "joint"],
)
def test_same_seed_same_result_bit_for_bit(table, parameters):
    first, second = tiny(**parameters).fit(table), tiny(**parameters).fit(table)
    assert_same_results(first, second, table)
    assert first.loss_curve_ == second.loss_curve_
    first.fit(table)
    assert_same_results(first, second, table)


def test_another_seed_gives_another_result(fitted, table):
    other = tiny(random_state=1).fit(table)
    assert not np.array_equal(other.transform(table), fitted.transform(table))


def test_no_seed_gives_another_result_each_time(fitted, table):
    first, second = tiny(random_state=None).fit(table), tiny(random_state=None).fit(table)
    assert not np.array_equal(first.transform(table), second.transform(table))
    assert not np.array_equal(fitted.sample(3), fitted.sample(3))


def test_random_state_instances_advance(table):
    """As in scikit-learn: an instance gives every fit something else, and is the same again if made anew."""
    estimator = tiny(random_state=np.random.RandomState(0))
    one = estimator.fit(table).transform(table)
    two = estimator.fit(table).transform(table)
    assert not np.array_equal(one, two)
    again = tiny(random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(again.fit(table).transform(table), one)
    np.testing.assert_array_equal(again.fit(table).transform(table), two)


def test_random_state_of_sample(fitted, table):
    rng = np.random.RandomState(0)
    one, two = fitted.sample(3, random_state=rng), fitted.sample(3, random_state=rng)
    assert not one.equals(two)
    assert one.equals(fitted.sample(3, random_state=np.random.RandomState(0)))
    assert fitted.sample(2, given=table, random_state=5).equals(fitted.sample(2, given=table, random_state=5))


@pytest.mark.parametrize("random_state", [None, 0])
def test_global_generators_are_neither_read_nor_moved(table, random_state):
    """The guard in conftest.py sees a move; a reader would give another result from another state."""
    scores = []
    for seed in (1, 2):
        numpy_state, torch_state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        try:
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            expected = np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()  # noqa: NPY002
            estimator = tiny(random_state=random_state).fit(table)
            estimator.sample(4, given=table, random_state=random_state)
            scores.append(estimator.score(table))
            assert (np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()) == expected  # noqa: NPY002
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            torch.set_rng_state(torch_state)
    assert (scores[0] == scores[1]) == (random_state is not None)


def test_users_default_dtype_changes_nothing(fitted, table):
    torch.set_default_dtype(torch.float64)
    try:
        estimator = tiny().fit(table)
        under_float64 = results(estimator, table)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    for name, expected in results(fitted, table).items():
        np.testing.assert_array_equal(under_float64[name], expected, err_msg=name)
        assert under_float64[name].dtype == expected.dtype, name


# copies


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickle(fitted, table, protocol):
    loaded = pickle.loads(pickle.dumps(fitted, protocol=protocol))
    assert_same_results(fitted, loaded, table)
    assert loaded.layout_.names == fitted.layout_.names
    assert vars(loaded).keys() == vars(fitted).keys()


def test_pickle_of_an_unfitted_estimator():
    assert pickle.loads(pickle.dumps(tiny(fusion="moe"))).get_params() == tiny(fusion="moe").get_params()


def test_pickle_of_another_major_torch_warns(fitted):
    state = fitted.__getstate__() | {"_torch_version": "1.13.0"}
    with pytest.warns(UserWarning, match="pickled with torch 1.13.0 and is loaded with torch"):
        MultimodalVAE().__setstate__(state)


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_joblib(fitted, table, tmp_path, mmap_mode):
    joblib.dump(fitted, tmp_path / "model.joblib")
    assert_same_results(fitted, joblib.load(tmp_path / "model.joblib", mmap_mode=mmap_mode), table)


def test_deepcopy_is_independent(fitted, table):
    copied = copy.deepcopy(fitted)
    assert_same_results(fitted, copied, table)
    copied.fit(make_table(seed=1))
    assert not np.array_equal(copied.transform(table), fitted.transform(table))


# pipelines and searches


def test_set_output(fitted, table):
    Z = copy.deepcopy(fitted).set_output(transform="pandas").transform(table)
    assert Z.columns.tolist() == ["multimodalvae0", "multimodalvae1"]
    assert Z.index.equals(table.index)
    assert (Z.dtypes == np.float32).all()
    np.testing.assert_array_equal(Z, fitted.transform(table))
    back = fitted.inverse_transform(Z)
    assert back.index.equals(table.index)
    assert back.columns.equals(table.columns)


@pytest.mark.parametrize("scaler", [StandardScaler, MinMaxScaler])
def test_between_other_steps(table, scaler):
    X, y = table.to_numpy(), np.arange(N_ROWS) % 2
    pipeline = make_pipeline(scaler(), tiny(modalities=Halves()), LogisticRegression()).fit(X, y)
    assert pipeline.predict(X).shape == (N_ROWS,)
    assert pipeline.predict_proba(X[:3]).shape == (3, 2)


def test_last_step(table):
    pipeline = make_pipeline(StandardScaler(), tiny()).fit(table.to_numpy())
    Z = pipeline.transform(table.to_numpy())
    assert pipeline.inverse_transform(Z).shape == table.shape
    assert type(pipeline.score(table.to_numpy())) is float


def test_column_transformer_names_the_modalities(table):
    flat = table.set_axis([feature for _, feature in table.columns], axis=1)
    scale = ColumnTransformer(
        [("audio", StandardScaler(), ["pitch", "power"]), ("video", MinMaxScaler(), ["x", "y", "z"])]
    ).set_output(transform="pandas")
    pipeline = make_pipeline(scale, tiny(modalities="prefix")).fit(flat)
    assert pipeline[-1].layout_.names == ("audio", "video")
    assert pipeline.predict(flat).columns.tolist() == [
        "audio__pitch",
        "audio__power",
        "video__x",
        "video__y",
        "video__z",
    ]


def test_column_transformer_without_names_says_what_to_do(table):
    scale = ColumnTransformer([("audio", StandardScaler(), [0, 1]), ("video", StandardScaler(), [2, 3, 4])])
    with pytest.raises(ValueError, match=r"set_output\(transform='pandas'\) on the step before"):
        make_pipeline(scale, tiny(modalities="prefix")).fit(table.to_numpy())


@pytest.fixture
def two_processes():
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        yield


SEARCHED = {
    "beta": [0.5, 1.0],
    "modality_dropout": [0.0, {"audio": 0.5}],
    "fusion": list(FUSIONS),
    "n_components": [1, 3],
    "beta__n_cycles": [1, 3],
    "objective__n_draws": [1, 3],
}


@pytest.mark.parametrize("parameter", SEARCHED)
def test_grid_search(table, parameter, two_processes):
    objects = {"beta": CyclicalSchedule(n_cycles=2), "objective": ELBO()}
    estimator = tiny(**objects if "__" in parameter else {})
    search = GridSearchCV(estimator, {parameter: SEARCHED[parameter]}, cv=2, error_score="raise").fit(table)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) == len(SEARCHED[parameter])  # the parameter arrived
    assert search.best_params_[parameter] in SEARCHED[parameter]
    assert search.predict(table).shape == table.shape


def test_randomized_search(table, two_processes):
    distributions = {
        "beta": stats.uniform(0.1, 1),
        "modality_dropout": stats.uniform(0, 0.5),
        "n_components": stats.randint(1, 4),
        "fusion": list(FUSIONS),
    }
    search = RandomizedSearchCV(tiny(), distributions, n_iter=3, cv=2, random_state=0, error_score="raise")
    assert np.isfinite(search.fit(table).best_score_)


@pytest.mark.parametrize("scoring", [None, completion_scorer], ids=["score", "completion"])
def test_scores_are_the_same_in_other_processes(table, scoring, two_processes):
    here = cross_val_score(tiny(), table, cv=2, scoring=scoring, n_jobs=1)
    there = cross_val_score(tiny(), table, cv=2, scoring=scoring, n_jobs=2)
    assert np.isfinite(here).all()
    np.testing.assert_array_equal(there, here)


# warm start


def test_warm_start_continues(table):
    estimator = tiny(max_iter=40, learning_rate_init=0.01, early_stopping=False)
    lost = []
    for seed in range(5):  # a single epoch's loss is noisy
        warm = clone(estimator).set_params(warm_start=True, random_state=seed).fit(table)
        first, *_, last = warm.loss_curve_
        warm.fit(table)
        assert warm.n_iter_ == 40
        lost.append((warm.loss_curve_[0] - last) / (first - last))
    assert abs(np.mean(lost)) < 0.2
    cold = estimator.fit(table)
    first = cold.loss_curve_[0]
    assert cold.fit(table).loss_curve_[0] == first


def test_warm_start_keeps_units_and_columns(table):
    estimator = tiny(warm_start=True).fit(table)
    layout = estimator.layout_
    assert estimator.fit(table * 100).layout_ is layout
    with pytest.raises(ValueError, match="columns"):
        estimator.fit(table.iloc[:, :4])


def test_warm_start_takes_new_modality_weights(table):
    estimator = tiny(warm_start=True, early_stopping=False).fit(table)
    estimator.set_params(modality_weights={"audio": 0, "video": 0}, beta=0).fit(table)
    assert estimator.loss_curve_ == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "changed",
    [
        {"n_components": 3},
        {"hidden_layer_sizes": (9,)},
        {"hidden_layer_sizes": ()},
        {"fusion": "gpoe"},
        {"fusion": "joint"},
        {"decoders": {"audio": ReluNet()}},
    ],
    ids=str,
)
def test_warm_start_with_another_shape(table, changed):
    estimator = tiny(warm_start=True).fit(table)
    before = results(estimator, table)
    with pytest.raises(ValueError, match="warm_start=True continues with the network of the last fit, but"):
        estimator.set_params(**changed).fit(table)
    for name, expected in before.items():
        np.testing.assert_array_equal(np.asarray(RESULTS[name](estimator, table)), expected, err_msg=name)


# fits that fail


class Broken(nn.Module):
    """Encoder that fails in training, and only there."""

    def __init__(self, n_in, n_out, how):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.how = how

    def forward(self, x):
        if self.training and self.how == "interrupt":
            raise KeyboardInterrupt
        return self.linear(x) * torch.nan if self.training else self.linear(x)


def interrupted(n_in, n_out):
    return Broken(n_in, n_out, "interrupt")


def not_a_number(n_in, n_out):
    return Broken(n_in, n_out, "nan")


FAILURES = {
    "inf": ({}, ValueError, "infinity"),
    "interrupt": ({"encoders": {"audio": interrupted}}, KeyboardInterrupt, None),
    "nan": ({"encoders": {"video": not_a_number}}, FloatingPointError, "loss became nan in epoch 1"),
    "parameter": ({"n_components": 0}, ValueError, "The 'n_components' parameter of MultimodalVAE must be"),
    "names": (
        {"likelihood": {"smell": "normal"}},
        ValueError,
        "likelihood names 'smell', which is neither a modality nor a column",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("warm_start", [False, True])
def test_fit_that_fails_leaves_everything_as_it_was(table, failure, warm_start):
    parameters, error, message = FAILURES[failure]
    wrong = table.copy()
    if failure == "inf":
        wrong.iloc[3, 1] = np.inf

    estimator = tiny(warm_start=warm_start, **parameters)
    with pytest.raises(error, match=message):
        estimator.fit(wrong)
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    assert [name for name in vars(estimator) if name.endswith("_")] == []

    estimator = tiny(warm_start=warm_start).fit(table)
    before, attributes = results(estimator, table), dict(vars(estimator))
    estimator.set_params(**parameters)
    if warm_start and {"encoders", "likelihood"} & parameters.keys():  # another network does not even start
        error, message = ValueError, "warm_start"
    with pytest.raises(error, match=message):
        estimator.fit(wrong)
    for name, expected in before.items():
        np.testing.assert_array_equal(np.asarray(RESULTS[name](estimator, table)), expected, err_msg=name)
    fitted_names = [name for name in attributes if name.endswith("_")]
    assert all(vars(estimator)[name] is attributes[name] for name in fitted_names)


class LaterInterrupted(nn.Linear):
    """Encoder during whose training the user presses Ctrl-C, in the third epoch of two batches each."""

    n_calls = 0

    def forward(self, x):
        self.n_calls += self.training
        if self.training and self.n_calls > 4:
            raise KeyboardInterrupt
        return super().forward(x)


def test_interrupt_in_a_later_epoch_keeps_the_best_so_far(table):
    estimator = tiny(
        encoders={"audio": LaterInterrupted}, max_iter=5, batch_size=N_ROWS // 2, early_stopping=False
    )
    with pytest.warns(UserWarning, match="Training was interrupted in epoch 3 of 5"):
        estimator.fit(table)
    assert estimator.n_iter_ == 2
    assert np.isfinite(estimator.transform(table)).all()


# on a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("fusion", FUSIONS)
def test_fitted_on_a_gpu_predicts_the_same_on_the_cpu(table, fusion):
    on_gpu = tiny(device="cuda", fusion=fusion).fit(table)
    assert next(on_gpu.module_.parameters()).device.type == "cuda"
    loaded = pickle.loads(pickle.dumps(on_gpu))
    assert next(on_gpu.module_.parameters()).device.type == "cuda"
    assert next(loaded.module_.parameters()).device.type == "cpu"
    loaded.set_params(device="cpu")
    for name in set(RESULTS) - {"sample", "sample_given"}:
        np.testing.assert_allclose(
            np.asarray(RESULTS[name](loaded, table)),
            np.asarray(RESULTS[name](on_gpu, table)),
            rtol=1e-3,
            atol=1e-3,
            err_msg=name,
        )
    assert np.isfinite(on_gpu.sample(3, given=table, random_state=0)).all().all()


@pytest.mark.gpu
def test_gpu_fits_are_reproducible_and_leave_its_generator_alone(table):
    first, second = tiny(device="cuda").fit(table), tiny(device="cuda").fit(table)
    np.testing.assert_allclose(first.transform(table), second.transform(table), rtol=1e-4, atol=1e-5)
    assert first.sample(3, random_state=0).equals(first.sample(3, random_state=0))


@pytest.mark.gpu
def test_automatic_device(table):
    estimator = tiny(device="auto").fit(table)
    assert next(estimator.module_.parameters()).device.type == "cuda"
    assert estimator.device == "auto"


@pytest.mark.gpu
def test_gpu_that_does_not_exist(table):
    n_devices = torch.cuda.device_count()
    with pytest.raises(ValueError, match=rf"device='cuda:{n_devices}' was asked for, but this machine has"):
        tiny(device=f"cuda:{n_devices}").fit(table)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_estimators_from_a_gpu_warn_once_per_call_and_use_the_cpu(fitted, table):
    estimator = copy.deepcopy(fitted).set_params(device="cuda")
    with pytest.warns(
        UserWarning, match="fitted with device='cuda', but torch finds no CUDA device"
    ) as caught:
        predicted = estimator.predict(table)
    assert len(caught) == 1
    assert predicted.equals(fitted.predict(table))


def test_automatic_device_falls_back_on_the_cpu(fitted, table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator = copy.deepcopy(fitted).set_params(device="auto")
        np.testing.assert_allclose(estimator.transform(table), fitted.transform(table), rtol=1e-4, atol=1e-4)
