"""MultimodalImputer: containers, indicators, names, pipelines and searches."""

import copy
import pickle
import re
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmm.impute import MultimodalImputer
from skmm.vae import MultimodalVAE

N_ROWS = 40
FLAT = ["pitch", "power", "x", "y", "z"]
FEATURES = [("audio", "pitch"), ("audio", "power"), ("video", "x"), ("video", "y"), ("video", "z")]
LACKING = [0, 1, 2, 4]  # "y" is always known


@dataclass(frozen=True)
class Halves:
    """Two modalities, whatever the number of columns; one, where there is only one column."""

    def __call__(self, X):
        n_columns = np.asarray(X).shape[1]
        if n_columns == 1:
            return {"left": [0]}
        return {"left": slice(0, n_columns // 2), "right": slice(n_columns // 2, None)}


class Means(BaseEstimator):
    """Completes arrays with column means, checks nothing, and remembers what it was given."""

    def fit(self, *arguments):
        self.arguments_ = arguments
        self.means_ = np.nanmean(arguments[0], axis=0)

    def impute(self, X):
        return np.where(np.isnan(X), self.means_, X)


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
    rng = np.random.RandomState(seed)
    factors = rng.normal(size=(n_rows, 2))
    values = factors @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(n_rows, 5))
    values = 3 * values + [0, 10, -5, 100, 0]
    values[: n_rows // 5, :2] = np.nan
    values[rng.uniform(size=n_rows) < 0.2, 4] = np.nan
    values[n_rows - 1, 2] = np.nan
    columns = pd.MultiIndex.from_tuples(FEATURES, names=["modality", "feature"])
    return pd.DataFrame(values, columns=columns, index=[f"row{i}" for i in range(n_rows)])


@pytest.fixture
def table():
    return make_table()


@pytest.fixture
def flat(table):
    return table.set_axis(FLAT, axis=1)


@pytest.fixture
def target(table):
    return (table[("video", "y")] > 100).to_numpy()


@pytest.fixture(scope="module")
def fitted():
    """Shared, because nothing but fit may change a transformer."""
    return MultimodalImputer(tiny(), add_indicator=True).fit(make_table())


@pytest.fixture
def two_processes():
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        yield


# scikit-learn's checks

CONFIGURATIONS = [
    MultimodalImputer(tiny()),
    MultimodalImputer(tiny(modalities=Halves(), max_iter=3)),
    MultimodalImputer(tiny(max_iter=3), add_indicator=True),
]


@parametrize_with_checks(CONFIGURATIONS)
def test_checks_of_scikit_learn(estimator, check, numpy_generator_put_back):
    check(estimator)


# In scikit-learn's own test suite, but not in check_estimator. The two for pandas output are left out: they
# take for granted that a frame becomes an array where set_output says nothing.
OTHER_CHECKS = [
    "check_param_validation",
    "check_dataframe_column_names_consistency",
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_polars",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
]


@pytest.mark.parametrize("check", OTHER_CHECKS)
@pytest.mark.parametrize("configuration", [0, 2], ids=["plain", "indicators"])
@pytest.mark.filterwarnings("ignore:X .* feature names")  # some mix frames and arrays on purpose
def test_other_checks_of_scikit_learn(check, configuration, numpy_generator_put_back):
    getattr(estimator_checks, check)("MultimodalImputer", clone(CONFIGURATIONS[configuration]))


# completion


def test_the_table_that_the_estimator_completes(table):
    imputer = MultimodalImputer(tiny())
    expected = tiny().fit(table).impute(table)
    pd.testing.assert_frame_equal(imputer.fit(table).transform(table), expected, check_exact=True)
    pd.testing.assert_frame_equal(imputer.fit_transform(table), expected, check_exact=True)
    assert not expected.isna().any(axis=None)


def test_observed_entries_are_bit_identical(fitted, table):
    completed = fitted.transform(table)
    observed = table.notna().to_numpy()
    before, after = table.to_numpy(), completed.iloc[:, :5].to_numpy()
    assert (before[observed].view(np.int64) == after[observed].view(np.int64)).all()
    assert np.isfinite(after).all()


def test_new_rows_and_rows_without_anything(fitted):
    new = make_table(6, seed=1)
    new.iloc[2] = np.nan
    pd.testing.assert_frame_equal(fitted.transform(new).iloc[:, :5], fitted.estimator_.impute(new))
    one = fitted.transform(new.iloc[[2]])
    assert one.index.tolist() == ["row2"]
    assert np.isfinite(one.iloc[:, :5]).all(axis=None)
    assert one.iloc[0, 5:].tolist() == [True] * len(LACKING)


def holding(dtype):
    def make(table):
        return table.to_numpy().astype(dtype)

    return make


def masked(table):
    values = table.to_numpy()
    return np.ma.masked_array(np.nan_to_num(values, nan=-1e6), mask=np.isnan(values))


def masked_whole_numbers(table):
    values = table.to_numpy()
    return np.ma.masked_array(np.nan_to_num(values).round().astype(np.int32), mask=np.isnan(values))


CONTAINERS = {
    "float64": holding(np.float64),
    "float32": holding(np.float32),
    "float16": holding(np.float16),
    "fortran": lambda table: np.asfortranarray(table.to_numpy()),
    "objects": lambda table: np.where(table.isna(), None, table.to_numpy().astype(object)),
    "pandas.NA": lambda table: np.where(table.isna(), pd.NA, table.to_numpy().astype(object)),
    "list": lambda table: table.to_numpy().tolist(),
    "list with None": lambda table: [
        [None if v != v else v for v in row] for row in table.to_numpy().tolist()
    ],
    "masked": masked,
    "masked integers": masked_whole_numbers,
    "tensor": lambda table: torch.tensor(table.to_numpy(), dtype=torch.float32),
    "bfloat16": lambda table: torch.tensor(table.to_numpy(), dtype=torch.bfloat16),
    "frame": lambda table: table,
    "nullable": lambda table: table.convert_dtypes(),
    "frame of objects": lambda table: table.astype(object).where(table.notna(), None),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_comes_back_with_indicators(table, container):
    X = CONTAINERS[container](table)
    before = copy.deepcopy(X)
    plain = MultimodalImputer(tiny()).fit(X).transform(X)
    marked = MultimodalImputer(tiny(), add_indicator=True).fit(X).transform(X)
    for completed in (plain, marked):
        assert type(completed) is (np.ndarray if isinstance(X, list) else type(X))
    if isinstance(X, pd.DataFrame):
        assert plain.dtypes.equals(X.dtypes)
        assert marked.dtypes.tolist() == [*X.dtypes, *[np.dtype(bool)] * len(LACKING)]
        pd.testing.assert_frame_equal(marked.iloc[:, :5], plain)
        pd.testing.assert_frame_equal(X, before)
        plain, marked, X = (frame.to_numpy() for frame in (plain, marked, X))
    else:
        assert plain.dtype == marked.dtype == getattr(X, "dtype", np.float64)
        assert str(X) == str(before)
    if isinstance(X, torch.Tensor):
        plain, marked, X = (tensor.double().numpy() for tensor in (plain, marked, X))
    assert plain.shape == table.shape
    assert not pd.isna(plain).any()
    assert not np.ma.getmaskarray(marked).any()
    np.testing.assert_array_equal(marked[:, :5], plain)
    np.testing.assert_array_equal(marked[:, 5:].astype(float), table.isna().to_numpy()[:, LACKING])
    observed = table.notna().to_numpy()
    np.testing.assert_array_equal(plain[observed], np.asarray(X)[observed].astype(plain.dtype))


@pytest.mark.parametrize("container", ["float64", "masked", "tensor", "frame", "nullable"])
def test_results_are_not_the_callers_memory(table, container):
    X = CONTAINERS[container](table.fillna(0.0))
    imputer = MultimodalImputer(tiny()).fit(X)
    completed, before = imputer.transform(X), copy.deepcopy(X)
    if isinstance(X, pd.DataFrame):
        completed.iloc[:, :] = 7.0
        pd.testing.assert_frame_equal(X, before)
    else:
        completed[:] = 7
        assert str(X) == str(before)


def test_whole_numbers_and_flags_stay_what_they_are(table):
    mixed = pd.DataFrame(
        {
            "count": pd.array([1, 2, None, 4] * 10, dtype="Int64"),
            "flag": pd.array([True, None, False, True] * 10, dtype="boolean"),
            "sure": [True, False] * 20,
            "x": table.iloc[:, 3].to_numpy(),
        }
    )
    completed = MultimodalImputer(tiny(), add_indicator=True).fit_transform(mixed)
    assert completed.columns.tolist() == [*mixed.columns, "missingindicator_count", "missingindicator_flag"]
    assert completed.dtypes.tolist() == [*mixed.dtypes, np.dtype(bool), np.dtype(bool)]
    assert not completed.isna().any(axis=None)


def test_indicators_among_objects_are_numbers(table):
    X = CONTAINERS["objects"](table)
    marked = MultimodalImputer(tiny(), add_indicator=True).fit_transform(X)
    assert {type(value) for value in marked[:, 5:].ravel()} == {int}


def test_duplicated_rows_keep_their_index(table):
    twice = table.set_axis([0] * N_ROWS)
    completed = MultimodalImputer(tiny(), add_indicator=True).fit_transform(twice)
    assert completed.index.tolist() == [0] * N_ROWS
    assert completed.columns.names == ["modality", "feature"]


# indicators


def test_indicators_are_those_of_scikit_learn(flat):
    reference = SimpleImputer(add_indicator=True).set_output(transform="pandas").fit(flat)
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(flat)
    assert imputer.indicator_features_.tolist() == reference.indicator_.features_.tolist() == LACKING
    assert imputer.get_feature_names_out().tolist() == reference.get_feature_names_out().tolist()
    expected, completed = reference.transform(flat), imputer.transform(flat)
    assert completed.columns.tolist() == expected.columns.tolist()
    assert completed.dtypes.iloc[5:].tolist() == [np.dtype(bool)] * len(LACKING)
    np.testing.assert_array_equal(completed.iloc[:, 5:], expected.iloc[:, 5:])
    array = MultimodalImputer(tiny(), add_indicator=True).fit_transform(flat.to_numpy())
    np.testing.assert_array_equal(array[:, 5:], expected.iloc[:, 5:])


def test_indicators_belong_to_the_modality_of_their_feature(fitted, table):
    completed = fitted.transform(table)
    added = [
        (modality, f"missingindicator_{FEATURES[j][1]}") for j in LACKING for modality in [FEATURES[j][0]]
    ]
    assert completed.columns.tolist() == [*FEATURES, *added]
    assert completed.columns.names == table.columns.names
    assert completed["audio"].columns.tolist() == [
        "pitch",
        "power",
        "missingindicator_pitch",
        "missingindicator_power",
    ]
    vae = tiny().fit(completed)
    assert vae.layout_.names == ("audio", "video")
    assert vae.layout_.sizes == (4, 5)


def test_columns_of_three_levels(table):
    table.columns = pd.MultiIndex.from_tuples([("m", *feature) for feature in FEATURES])
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(table)
    assert imputer.transform(table).columns[5] == ("m", "audio", "missingindicator_pitch")
    assert imputer.get_feature_names_out()[[0, 5]].tolist() == [
        "m__audio__pitch",
        "m__audio__missingindicator_pitch",
    ]


@pytest.mark.parametrize("labels", [range(5), pd.date_range("2024", periods=5)], ids=["numbers", "dates"])
def test_labels_that_are_no_strings(table, labels, target):
    """A frame with labels of which only some are strings is what the next step would refuse."""
    X = table.set_axis(labels, axis=1)
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(X)
    completed = imputer.transform(X)
    assert completed.columns.tolist() == [*X.columns, *[("missingindicator", X.columns[j]) for j in LACKING]]
    assert completed.columns.nlevels == 1
    np.testing.assert_array_equal(completed[("missingindicator", X.columns[4])], X.iloc[:, 4].isna())
    assert imputer.get_feature_names_out()[4:6].tolist() == ["x4", "missingindicator_x0"]
    assert (
        make_pipeline(imputer, StandardScaler(), LogisticRegression()).fit(X, target).score(X, target) > 0.5
    )


def test_features_complete_in_fit_get_no_indicator(flat):
    flat.columns.name = "feature"
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(flat)
    flat.loc["row3", "y"] = np.nan
    completed = imputer.transform(flat)
    assert completed.columns.tolist() == imputer.get_feature_names_out().tolist()
    assert completed.columns.name == "feature"
    assert "missingindicator_y" not in completed
    assert np.isfinite(completed.loc["row3", "y"])


def test_features_complete_in_transform_keep_their_indicator(flat):
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(flat)
    completed = imputer.transform(flat.fillna(1.0))
    pd.testing.assert_frame_equal(completed.iloc[:, :5], flat.fillna(1.0))
    assert completed.shape[1] == 5 + len(LACKING)
    assert not completed.iloc[:, 5:].any(axis=None)


def test_complete_tables_have_no_indicators(flat):
    full = flat.fillna(0.0)
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(full)
    assert imputer.indicator_features_.tolist() == []
    pd.testing.assert_frame_equal(imputer.transform(full), full)


def test_features_without_any_value_have_an_indicator(flat):
    flat["y"] = np.nan
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(flat)
    completed = imputer.transform(flat)
    assert completed["missingindicator_y"].all()
    assert np.isfinite(completed["y"]).all()


def test_not_a_number_inside_a_nullable_column_is_missing(flat):
    """Results of computations may hold it beside NA."""
    values = flat["y"].to_numpy().copy()
    values[3] = np.nan
    known = np.arange(N_ROWS) != 5
    flat["y"] = pd.arrays.FloatingArray(values, ~known)
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(flat)
    completed = imputer.transform(flat)
    assert np.flatnonzero(completed["missingindicator_y"]).tolist() == [3, 5]
    assert np.isfinite(completed["y"].to_numpy(dtype=float)).all()


def test_indicators_that_would_take_a_label_twice(flat):
    taken = flat.rename(columns={"y": "missingindicator_x"})
    imputer = MultimodalImputer(tiny(), add_indicator=True)
    with pytest.raises(ValueError, match="'missingindicator_x', but X has one; rename it, or set add_ind"):
        imputer.fit(taken)
    assert not hasattr(imputer, "n_features_in_")
    assert imputer.set_params(add_indicator=False).fit_transform(taken).columns.equals(taken.columns)


def test_parameters_changed_after_fit_belong_to_the_next_one(fitted, table):
    changed = copy.deepcopy(fitted).set_params(add_indicator=False, estimator=None)
    pd.testing.assert_frame_equal(changed.transform(table), fitted.transform(table))
    assert changed.get_feature_names_out().tolist() == fitted.get_feature_names_out().tolist()


# names and set_output


def test_names_of_arrays(table):
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(table.to_numpy())
    indicators = [f"missingindicator_x{j}" for j in LACKING]
    assert imputer.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3", "x4", *indicators]
    named = imputer.get_feature_names_out(FLAT)
    assert named.tolist() == FLAT + [f"missingindicator_{FLAT[j]}" for j in LACKING]
    assert named.dtype == object
    assert imputer.n_features_in_ == 5
    assert not hasattr(imputer, "feature_names_in_")
    with pytest.raises(ValueError, match="input_features should have length equal"):
        imputer.get_feature_names_out(["a"])


def test_names_of_frames(flat):
    imputer = MultimodalImputer(tiny()).fit(flat)
    assert imputer.feature_names_in_.tolist() == imputer.get_feature_names_out().tolist() == FLAT
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        imputer.get_feature_names_out(FLAT[::-1])
    assert not hasattr(imputer.fit(flat.to_numpy()), "feature_names_in_")


NAMES = ["audio__pitch", "audio__power", "video__x", "video__y", "video__z"]
INDICATOR_NAMES = [
    "audio__missingindicator_pitch",
    "audio__missingindicator_power",
    "video__missingindicator_x",
    "video__missingindicator_z",
]


def test_names_of_several_levels_are_joined(fitted, table):
    assert fitted.get_feature_names_out().tolist() == NAMES + INDICATOR_NAMES
    assert MultimodalImputer(tiny()).fit(table).get_feature_names_out().tolist() == NAMES
    fitted.get_feature_names_out()[0] = "mine"
    assert fitted.get_feature_names_out()[0] == "audio__pitch"
    assert fitted.get_feature_names_out().dtype == object
    given = fitted.get_feature_names_out(FLAT).tolist()
    assert given == FLAT + [f"missingindicator_{FLAT[j]}" for j in LACKING]
    refitted = copy.deepcopy(fitted).fit(table.to_numpy())
    assert refitted.get_feature_names_out()[0] == "x0"


def test_set_output_names_columns_as_the_modalities_prefix_reads_them(fitted, table):
    imputer = copy.deepcopy(fitted).set_output(transform="pandas")
    completed, columns = imputer.transform(table), table.columns
    assert completed.columns.tolist() == NAMES + INDICATOR_NAMES
    assert completed.index.equals(table.index)
    np.testing.assert_array_equal(completed, fitted.transform(table))
    assert tiny(modalities="prefix").fit(completed).layout_.names == ("audio", "video")
    assert table.columns.equals(columns)
    assert imputer.set_output(transform="default").transform(table).columns.nlevels == 2


@pytest.mark.parametrize("container", ["float64", "float32", "masked", "tensor", "list"])
def test_set_output_makes_frames_of_everything(table, container):
    X = CONTAINERS[container](table)
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(X)
    expected = imputer.transform(X)
    framed = imputer.set_output(transform="pandas").transform(X)
    assert isinstance(framed, pd.DataFrame)
    assert framed.columns.tolist() == imputer.get_feature_names_out().tolist()
    np.testing.assert_array_equal(framed.to_numpy(), np.asarray(expected))


def test_fitted_without_names(table, flat):
    """What comes out is in the container of what went in, unless set_output says otherwise."""
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(table.to_numpy())
    with pytest.warns(
        UserWarning, match="X has feature names, but MultimodalVAE was fitted without"
    ) as caught:
        completed = imputer.transform(flat)
    assert len(caught) == 1
    assert completed.columns.tolist() == [*FLAT, *[f"missingindicator_{FLAT[j]}" for j in LACKING]]
    np.testing.assert_array_equal(completed, imputer.transform(table.to_numpy()))
    with pytest.warns(UserWarning, match="X has feature names, but MultimodalVAE was fitted without"):
        renamed = imputer.set_output(transform="pandas").transform(flat)
    assert renamed.columns.tolist() == imputer.get_feature_names_out().tolist()
    np.testing.assert_array_equal(renamed, completed)


# in other estimators


@pytest.mark.parametrize("add_indicator", [False, True])
@pytest.mark.parametrize("levels", [1, 2])
def test_in_a_pipeline(table, flat, target, levels, add_indicator):
    X = table if levels == 2 else flat
    pipeline = make_pipeline(
        MultimodalImputer(tiny(), add_indicator=add_indicator), StandardScaler(), LogisticRegression()
    ).fit(X, target)
    completed = tiny().fit(X).impute(X)
    if add_indicator:
        flags = X.isna().iloc[:, LACKING]
        completed = np.hstack([completed, flags])
    by_hand = make_pipeline(StandardScaler(), LogisticRegression()).fit(np.asarray(completed), target)
    np.testing.assert_allclose(
        pipeline.predict_proba(X), by_hand.predict_proba(np.asarray(completed)), rtol=1e-6, atol=1e-9
    )


def test_names_go_through_a_pipeline(table):
    pipeline = make_pipeline(MultimodalImputer(tiny()), StandardScaler()).set_output(transform="pandas")
    scaled = pipeline.fit_transform(table)
    assert scaled.columns.tolist() == pipeline.get_feature_names_out().tolist() == NAMES
    assert scaled.index.equals(table.index)


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_in_a_column_transformer(flat, output):
    steps = ColumnTransformer(
        [
            ("audio", MultimodalImputer(tiny(), add_indicator=True), ["pitch", "power"]),
            ("video", MultimodalImputer(tiny()), ["x", "y", "z"]),
        ]
    ).set_output(transform=output)
    completed = steps.fit_transform(flat)
    names = [
        "audio__pitch",
        "audio__power",
        "audio__missingindicator_pitch",
        "audio__missingindicator_power",
        "video__x",
        "video__y",
        "video__z",
    ]
    assert steps.get_feature_names_out().tolist() == names
    expected = [
        tiny().fit(flat[["pitch", "power"]]).impute(flat[["pitch", "power"]]),
        flat[["pitch", "power"]].isna(),
        tiny().fit(flat[["x", "y", "z"]]).impute(flat[["x", "y", "z"]]),
    ]
    np.testing.assert_array_equal(np.asarray(completed, dtype=float), np.hstack(expected).astype(float))
    if output == "pandas":
        assert completed.columns.tolist() == names
        assert completed.index.equals(flat.index)


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_in_a_feature_union(flat, output):
    union = FeatureUnion([("completed", MultimodalImputer(tiny())), ("latent", tiny())])
    joined = union.set_output(transform=output).fit_transform(flat)
    assert union.get_feature_names_out().tolist() == [
        *[f"completed__{name}" for name in FLAT],
        "latent__multimodalvae0",
        "latent__multimodalvae1",
    ]
    np.testing.assert_array_equal(np.asarray(joined)[:, :5], tiny().fit(flat).impute(flat))
    np.testing.assert_array_equal(np.asarray(joined)[:, 5:], tiny().fit(flat).transform(flat))


def test_grid_search_reaches_the_estimator(table, target, two_processes):
    pipeline = make_pipeline(MultimodalImputer(tiny()), StandardScaler(), LogisticRegression())
    grid = {
        "multimodalimputer__estimator__n_components": [1, 3],
        "multimodalimputer__add_indicator": [False, True],
    }
    search = GridSearchCV(
        pipeline, grid, scoring="neg_log_loss", cv=KFold(2, shuffle=True, random_state=0), error_score="raise"
    ).fit(table, target)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) == 4  # the parameters arrived
    best = search.best_estimator_[0]
    assert best.estimator_.n_components == search.best_params_["multimodalimputer__estimator__n_components"]
    here = clone(search).set_params(n_jobs=1).fit(table, target)
    np.testing.assert_array_equal(here.cv_results_["mean_test_score"], scores)


def test_estimators_themselves_can_be_searched(table, target):
    pipeline = Pipeline(
        [("impute", MultimodalImputer(tiny())), ("classify", LogisticRegression(max_iter=1000))]
    )
    search = GridSearchCV(pipeline, {"impute__estimator": [Means(), tiny()]}, cv=2, error_score="raise")
    assert np.isfinite(search.fit(table.to_numpy(), target).cv_results_["mean_test_score"]).all()


def test_held_out_rows_take_no_part_in_the_fit(table, target):
    """A column mean moves with every row that is let in."""
    X, seen = table.to_numpy(), []

    def remember(pipeline, X, y):
        (given,) = pipeline[0].estimator_.arguments_
        seen.append(given)
        return 0.0

    folds = KFold(4)
    pipeline = make_pipeline(MultimodalImputer(Means()), LogisticRegression(max_iter=1000))
    cross_val_score(pipeline, X, target, cv=folds, scoring=remember, error_score="raise")
    for given, (training, _) in zip(seen, folds.split(X), strict=True):
        np.testing.assert_array_equal(given, X[training])


# the estimator


def test_targets_are_ignored_whatever_they_are(table, fitted):
    for y in (["some", None], object(), np.full(N_ROWS, np.nan)):
        imputer = MultimodalImputer(tiny(), add_indicator=True)
        pd.testing.assert_frame_equal(imputer.fit_transform(table, y), fitted.transform(table))
    assert len(MultimodalImputer(Means()).fit(table.to_numpy(), range(3)).estimator_.arguments_) == 1


def test_without_an_estimator_it_is_the_vae(table, monkeypatch):
    imputer = MultimodalImputer()
    assert get_tags(imputer).input_tags == get_tags(MultimodalVAE()).input_tags
    monkeypatch.setattr("skmm.impute.MultimodalVAE", tiny)  # the real one would take its 3000 steps
    imputer.fit(table)
    assert imputer.estimator is None
    assert type(imputer.estimator_) is MultimodalVAE


def test_the_estimator_given_is_not_fitted(table):
    estimator = tiny()
    imputer = MultimodalImputer(estimator).fit(table)
    assert imputer.estimator is estimator
    assert imputer.estimator_ is not estimator
    assert not hasattr(estimator, "module_")


class Plain:
    """Not of scikit-learn at all."""

    fit, impute = Means.fit, Means.impute


@pytest.mark.parametrize("estimator", [Means(), Plain()], ids=["BaseEstimator", "no BaseEstimator"])
def test_anything_that_imputes(table, estimator):
    X = table.to_numpy()
    imputer = MultimodalImputer(estimator, add_indicator=True).fit(X)
    reference = SimpleImputer(add_indicator=True).fit_transform(X)
    np.testing.assert_allclose(imputer.transform(X), reference)
    assert not vars(estimator)
    with pytest.raises(ValueError, match="X has 4 features, but MultimodalImputer is expecting 5"):
        imputer.transform(X[:, :4])
    assert get_tags(imputer).input_tags.allow_nan


@pytest.mark.parametrize(
    "estimator",
    [StandardScaler(), make_pipeline(StandardScaler(), tiny()), "vae", 3, MultimodalVAE],
    ids=["scaler", "pipeline", "text", "number", "class"],
)
def test_estimators_that_cannot_impute(table, estimator):
    imputer = MultimodalImputer(estimator)
    get_tags(imputer)
    with pytest.raises(TypeError, match="estimator"):
        imputer.fit(table)
    assert list(vars(imputer)) == ["estimator", "add_indicator"]


def test_classes_are_told_how_to_become_objects(table):
    with pytest.raises(TypeError, match=re.escape("write estimator=MultimodalVAE().")):
        MultimodalImputer(MultimodalVAE).fit(table)


def test_tags(fitted):
    tags = get_tags(fitted)
    assert tags.input_tags.allow_nan
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    inner = Means()
    inner_tags = get_tags(inner)
    inner_tags.input_tags.string = inner_tags.input_tags.positive_only = True
    inner.__sklearn_tags__ = lambda: inner_tags
    tags = get_tags(MultimodalImputer(inner))
    assert tags.input_tags.string
    assert tags.input_tags.positive_only
    assert tags.input_tags.allow_nan
    assert not inner_tags.input_tags.allow_nan  # copied


# what is wrong with X


def test_complaints_about_columns(fitted, table, flat):
    with pytest.raises(ValueError, match="they stand in another order"):
        fitted.transform(table.iloc[:, ::-1])
    with pytest.raises(ValueError, match="1 missing"):
        fitted.transform(table.iloc[:, :4])
    with pytest.raises(ValueError, match="X has 4 features, but MultimodalVAE is expecting 5"):
        fitted.transform(table.to_numpy()[:, :4])
    with pytest.raises(ValueError, match=r"(?s)feature names.*should match"):
        MultimodalImputer(tiny()).fit(flat).transform(flat[FLAT[::-1]])


def test_complaints_about_values(fitted, table):
    table.iloc[3, 1] = np.inf
    for call in (fitted.transform, MultimodalImputer(tiny()).fit):
        with pytest.raises(ValueError, match=r"infinity: column \('audio', 'power'\)"):
            call(table)


def test_unfitted_imputers_say_so(table):
    for call in (lambda imputer: imputer.transform(table), lambda imputer: imputer.get_feature_names_out()):
        with pytest.raises(NotFittedError, match="This MultimodalImputer instance is not fitted yet"):
            call(MultimodalImputer(tiny()))


@pytest.mark.parametrize("wrong", ["infinity", "parameter of the estimator", "parameter", "label"])
def test_fit_that_fails_leaves_everything_as_it_was(table, flat, wrong):
    imputer = MultimodalImputer(tiny(), add_indicator=True).fit(table)
    before, state = imputer.transform(table), dict(vars(imputer))
    X = flat.copy()
    if wrong == "infinity":
        X.iloc[0, 3] = np.inf
    if wrong == "label":
        X.columns = ["pitch", "missingindicator_pitch", "x", "y", "z"]
    changes = {
        "parameter of the estimator": {"estimator__n_components": 0},
        "parameter": {"add_indicator": "yes"},
    }
    for name, value in changes.get(wrong, {}).items():
        imputer.set_params(**{name: value})
        state["add_indicator"] = imputer.add_indicator
    with pytest.raises(ValueError, match=r"infinity|n_components|add_indicator"):
        imputer.fit(X)
    assert vars(imputer).keys() == state.keys()
    assert all(vars(imputer)[name] is value for name, value in state.items())
    pd.testing.assert_frame_equal(imputer.transform(table), before)


# copies


def test_nothing_is_written_outside_fit(fitted, table):
    before, inner = dict(vars(fitted)), dict(vars(fitted.estimator_))
    fitted.transform(table)
    fitted.get_feature_names_out()
    assert vars(fitted) == before
    assert all(vars(fitted.estimator_)[name] is value for name, value in inner.items())


def test_clone_keeps_parameters_and_forgets_the_fit(fitted, table):
    copied = clone(fitted)
    assert copied.get_params()["estimator__max_iter"] == 4
    assert copied.add_indicator
    assert copied.estimator is not fitted.estimator
    assert list(vars(copied)) == ["estimator", "add_indicator"]
    pd.testing.assert_frame_equal(copied.fit_transform(table), fitted.transform(table))


def test_copies_complete_alike(fitted, table, tmp_path):
    joblib.dump(fitted, tmp_path / "imputer.joblib")
    copies = [
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        joblib.load(tmp_path / "imputer.joblib", mmap_mode="r"),
    ]
    for copied in copies:
        pd.testing.assert_frame_equal(copied.transform(table), fitted.transform(table), check_exact=True)
        assert copied.get_feature_names_out().tolist() == fitted.get_feature_names_out().tolist()


def test_representations(fitted):
    assert (
        repr(MultimodalImputer(MultimodalVAE(3)))
        == "MultimodalImputer(estimator=MultimodalVAE(n_components=3))"
    )
    assert repr(MultimodalImputer()) == "MultimodalImputer()"
    assert "MultimodalVAE" in fitted._repr_html_()
