"""Tables of every type of column, with gaps in each, through every method; and exact answers for them."""

import pickle

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_index_equal
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skmm
from skmm import MultimodalVAE
from skmm.metrics import completion_error
from skmm.probability.fusion import FUSIONS
from skmm.probability.likelihoods.choice import choose_likelihoods
from skmm.probability.likelihoods.registry import LIKELIHOODS, build_likelihood

NAN = np.nan
SIZE = pd.CategoricalDtype(["small", "medium", "large"], ordered=True)
MODALITIES = {
    "person": ["age", "smoker", "city", "size", "income"],
    "visit": ["visits", "cost", "reason", "urgent", "note"],
    "lab": ["level", "ratio", "batch", "wave"],
}
LIKELIHOOD = {
    "visits": "poisson",
    "cost": "gamma",
    "income": "log_normal",
    "level": "student_t",
    "batch": "categorical",
}


def make_table(n_rows=200, seed=0, missing=0.15):
    """One latent variable behind fourteen columns of fourteen kinds, with gaps in each, and empty rows."""
    rng = np.random.RandomState(seed)
    z = rng.normal(size=n_rows)

    def noisy(scale=0.5):
        return z + scale * rng.normal(size=n_rows)

    frame = pd.DataFrame(
        {
            "age": pd.array(np.round(40 + 10 * noisy()), dtype="Int64"),
            "smoker": pd.array(noisy() > 0.5, dtype="boolean"),
            "city": pd.Series(np.array(["Oslo", "Rome", "Wien"])[np.digitize(noisy(), [-0.5, 0.5])]),
            "size": pd.Categorical.from_codes(np.digitize(noisy(), [-0.5, 0.5]), dtype=SIZE),
            "income": np.exp(2 + 0.5 * noisy()),
            "visits": pd.array(rng.poisson(np.exp(0.5 + 0.5 * z)), dtype="UInt8"),
            "cost": pd.array(rng.gamma(4, np.exp(z / 2)), dtype="Float64"),
            # "never" is declared, but does not occur
            "reason": pd.Categorical(np.where(noisy() > 0, "pain", "check"), ["check", "never", "pain"]),
            "urgent": np.where(noisy() > 0, True, False).astype(object),
            "note": pd.array(np.where(noisy() > 0, "x", "y"), dtype="string"),
            "level": noisy().astype(np.float32),
            "ratio": noisy(),
            "batch": np.digitize(noisy(), [-1, 0, 1]).astype(float) + 10,
            "wave": pd.Categorical(np.digitize(noisy(), [0]) + 2020),
        }
    )
    hidden = rng.uniform(size=frame.shape) < missing
    hidden[0] = True
    table = skmm._blocks.corruption.blank(frame, hidden)
    table.index = pd.Index([f"row{i}" for i in range(n_rows)], name="who")
    return table


def make(**parameters):
    settings = {
        "n_components": 3,
        "modalities": MODALITIES,
        "likelihood": LIKELIHOOD,
        "hidden_layer_sizes": (16,),
        "max_iter": 40,
        "n_draws": 16,
        "random_state": 0,
    }
    return MultimodalVAE(**(settings | parameters))


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.fixture(scope="module")
def fitted(table):
    return make().fit(table)


def assert_same_types(actual, expected):
    assert actual.dtypes.to_dict() == expected.dtypes.to_dict()
    assert_index_equal(actual.columns, expected.columns)


class TestEveryMethod:
    def test_every_column_has_gaps(self, table):
        assert table.isna().any().all()
        assert len(set(map(str, table.dtypes))) >= 9

    def test_fit_does_not_change_the_table(self, table):
        before = table.copy(deep=True)
        make(max_iter=2).fit(table)
        assert_frame_equal(table, before)

    def test_transform(self, fitted, table):
        features = fitted.transform(table)
        assert features.shape == (len(table), 3)
        assert np.isfinite(features).all()
        np.testing.assert_allclose(features[0], 0, atol=1e-6)  # nothing observed

    def test_impute(self, fitted, table):
        completed = fitted.impute(table)
        assert_same_types(completed, table)
        assert_index_equal(completed.index, table.index)
        assert not completed.isna().any().any()
        for label in table:
            known = table[label].notna()
            assert completed.loc[known, label].tolist() == table.loc[known, label].tolist()
        assert set(completed["city"]) <= {"Oslo", "Rome", "Wien"}
        assert set(completed["batch"]) <= {10.0, 11.0, 12.0, 13.0}

    def test_predict(self, fitted, table):
        mean, std = fitted.predict(table, return_std=True)
        for label in table:
            if label in ("city", "size", "reason", "note", "wave"):
                assert mean[label].dtype == table[label].dtype
                assert mean[label].notna().all()
            else:
                assert mean[label].dtype == np.float32
        assert std.dtypes.eq(np.float32).all()
        assert (std.to_numpy() > 0).all()
        assert mean["smoker"].between(0, 1).all()
        assert set(mean["batch"]) <= {10.0, 11.0, 12.0, 13.0}
        assert set(mean["wave"]) <= {2020, 2021}

    def test_probabilities(self, fitted, table):
        p = fitted.predict_category_proba(table)
        labels = ["smoker", "city", "size", "reason", "urgent", "note", "batch", "wave"]
        assert p.columns.unique(0).tolist() == labels
        assert p.columns.names == ["column", "category"]
        assert_index_equal(p.index, table.index)
        assert p["size"].columns.tolist() == ["small", "medium", "large"]
        assert p["batch"].columns.tolist() == [10, 11, 12, 13]
        assert p["smoker"].columns.tolist() == [False, True]
        mean, std = fitted.predict(table, return_std=True)
        for label in labels:
            np.testing.assert_allclose(p[label].sum(axis=1), 1, rtol=1e-5)
            if label in ("smoker", "urgent"):
                np.testing.assert_allclose(p[label][True], mean[label], rtol=1e-5)
            else:
                assert p[label].idxmax(axis=1).tolist() == mean[label].tolist()
                highest = p[label].max(axis=1)
                np.testing.assert_allclose(std[label], np.sqrt(highest * (1 - highest)), rtol=1e-3, atol=1e-3)
        assert p["reason"]["never"].max() < 0.1

    def test_quantiles(self, fitted, table):
        quantiles = fitted.predict_quantiles(table, (0.05, 0.5, 0.95))
        low, median, high = (quantiles.loc[q] for q in (0.05, 0.5, 0.95))
        assert quantiles["size"].dtype == SIZE
        assert (low["size"] <= median["size"]).all()
        assert (median["size"] <= high["size"]).all()
        for label in ("city", "reason", "note", "batch", "wave"):  # without an order
            assert quantiles[label].isna().all()
        for label in ("age", "income", "visits", "cost", "level", "ratio"):
            assert (low[label] < high[label]).all()
        assert (quantiles["visits"] == quantiles["visits"].round()).all()
        assert (quantiles[["cost", "income"]].to_numpy() > 0).all()
        assert set(quantiles["smoker"]) <= {0.0, 1.0}

    def test_new_rows(self, fitted, table):
        rows = fitted.sample(500, random_state=0)
        assert_same_types(rows, table)
        assert not rows.isna().any().any()
        assert set(rows["city"]) == {"Oslo", "Rome", "Wien"}
        assert set(rows["batch"]) == {10.0, 11.0, 12.0, 13.0}
        assert rows["income"].gt(0).all()
        # the one latent variable is behind all of them
        assert (
            rows.loc[rows["size"] == "large", "age"].mean()
            > rows.loc[rows["size"] == "small", "age"].mean() + 5
        )

    def test_drawn_completions(self, fitted, table):
        draws = fitted.sample(3, given=table, random_state=0)
        assert_same_types(draws, table)
        assert draws.index.names == ["draw", "who"]
        for k in range(3):
            for label in table:
                known = table[label].notna()
                assert draws.loc[k].loc[known, label].tolist() == table.loc[known, label].tolist()
        assert not draws.isna().any().any()

    def test_inverse_transform(self, fitted, table):
        decoded = fitted.inverse_transform(np.zeros((2, 3)))
        assert decoded["city"].dtype == table["city"].dtype
        assert decoded["age"].dtype == np.float32

    def test_score(self, fitted, table):
        scores = fitted.score_samples(table)
        assert np.isfinite(scores).all()
        assert scores[0] == 0
        assert isinstance(fitted.score(table), float)

    def test_pickle(self, fitted, table):
        other = pickle.loads(pickle.dumps(fitted))
        assert_frame_equal(other.impute(table), fitted.impute(table))
        assert other.score(table) == fitted.score(table)

    def test_completion_error(self, fitted, table):
        errors = completion_error(fitted, table)
        assert errors.index.tolist() == list(MODALITIES)
        assert errors.between(0.05, 1).all()

    def test_training_pays(self, fitted, table):
        """Hidden entries of held-out rows are completed better than by the most frequent or mean value."""
        test = make_table(300, seed=1, missing=0.0).iloc[1:]
        p = fitted.predict_category_proba(skmm.hide(test, "person", modalities=MODALITIES))
        for label in ("city", "size"):
            truth = test[label].astype(str)
            right = (p[label].idxmax(axis=1).astype(str) == truth).mean()
            assert right > truth.value_counts(normalize=True).max() + 0.1

    def test_grid_search(self, table):
        grid = {"fusion": ["poe", "attention"], "likelihood": [LIKELIHOOD, "auto"]}
        search = GridSearchCV(make(max_iter=3), grid, cv=KFold(2, shuffle=True, random_state=0), n_jobs=2)
        search.fit(table)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert_same_types(search.best_estimator_.impute(table), table)

    def test_in_a_pipeline(self, table):
        target = np.arange(len(table)) % 2
        numbers = skmm.MultimodalImputer(make(max_iter=3))
        pipeline = make_pipeline(numbers, OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
        assert 0 <= pipeline.fit(table, target).score(table, target) <= 1
        assert make_pipeline(make(max_iter=3), StandardScaler()).fit_transform(table).shape == (len(table), 3)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_takes_every_type(table, fusion):
    vae = make(fusion=fusion, max_iter=5).fit(table)
    completed = vae.impute(table)
    assert_same_types(completed, table)
    assert not completed.isna().any().any()
    assert np.isfinite(vae.score(table))


POSITIVE = np.exp(np.random.RandomState(0).normal(size=(60, 3)))
COUNTS = np.random.RandomState(0).poisson(3.0, size=(60, 3)).astype(float)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_through_every_method(name):
    positive = LIKELIHOODS[name].scaling == "scale"
    X = POSITIVE.copy() if positive else COUNTS.copy()
    if name == "bernoulli":
        X = (X > 2).astype(float)
    if name == "continuous_bernoulli":
        X = X / X.max()
    X[:20, 0] = X[20:40, 1:] = NAN
    vae = MultimodalVAE(
        2,
        modalities={"a": [0], "b": [1, 2]},
        likelihood=name,
        max_iter=5,
        hidden_layer_sizes=(8,),
        random_state=0,
    ).fit(X)
    completed = vae.impute(X)
    assert np.isfinite(completed).all()
    np.testing.assert_array_equal(completed[~np.isnan(X)], X[~np.isnan(X)])
    mean, std = vae.predict(X, return_std=True)
    low, high = vae.predict_quantiles(X, (0.1, 0.9))
    assert np.isfinite(mean).all()
    assert (std > 0).all()
    if LIKELIHOODS[name].takes_categories and name == "categorical":
        assert np.isnan(low).all()
    else:
        assert (low <= high).all()
    rows = vae.sample(100, random_state=0)
    assert np.isfinite(rows).all()
    if positive:
        assert (rows > 0).all()
    if name == "continuous_bernoulli":
        assert (rows >= 0).all()
        assert (rows <= 1).all()
    elif LIKELIHOODS[name].scaling is None:
        assert (rows == np.rint(rows)).all()
        assert (rows >= 0).all()
    assert np.isfinite(vae.score_samples(X)).all()
    assert np.isfinite(vae.transform(X)).all()
    other = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(other.predict(X), mean)


# --- which likelihood for which column ---------------------------------------------------------------------


def chosen(vae, table):
    vae = vae.fit(table)
    layout = vae.layout_
    groups = dict(zip(layout.names, layout.columns, strict=True))
    makers = choose_likelihoods(vae.likelihood, groups, layout.labels, layout.types)
    names = {maker: name for name, maker in LIKELIHOODS.items()}
    return dict(zip(layout.labels, (names[maker] for maker in makers), strict=True))


def test_auto_goes_by_the_type_of_a_column(table):
    types = chosen(make(likelihood="auto", max_iter=1), table)
    assert {label for label, name in types.items() if name == "bernoulli"} == {"smoker", "urgent"}
    assert {label for label, name in types.items() if name == "categorical"} == {
        "city",
        "reason",
        "note",
        "wave",
    }
    assert {label for label, name in types.items() if name == "ordinal"} == {"size"}
    assert set(types.values()) == {"normal", "bernoulli", "categorical", "ordinal"}


def test_a_column_is_preferred_to_its_modality(table):
    numbers = table[["age", "income", "level", "ratio"]]
    vae = MultimodalVAE(
        1,
        modalities={"a": ["age", "income"], "b": ["level", "ratio"]},
        likelihood={"a": "laplace", "income": "gamma", "ratio": "student_t"},
        max_iter=1,
        random_state=0,
    )
    assert chosen(vae, numbers) == {
        "age": "laplace",
        "income": "gamma",
        "level": "normal",
        "ratio": "student_t",
    }


def test_columns_of_an_array_are_named_by_position():
    vae = MultimodalVAE(1, modalities={"a": [0], "b": [1, 2]}, likelihood={2: "poisson"}, max_iter=1)
    assert chosen(vae, COUNTS) == {0: "normal", 1: "normal", 2: "poisson"}


def test_columns_of_one_likelihood_are_described_together():
    normal, poisson = LIKELIHOODS["normal"], LIKELIHOODS["poisson"]
    likelihood = build_likelihood([normal, poisson, normal], [0, 0, 0])
    assert len(likelihood.parts) == 2
    assert type(build_likelihood([poisson, poisson], [0, 0])) is poisson


WRONG = {
    "negative counts": (
        {"visits": "poisson"},
        "visits",
        -1.0,
        r"'visit' .*'poisson'.*column 'visits' holds -1",
    ),
    "broken counts": (
        {"visits": "negative_binomial"},
        "visits",
        0.5,
        r"'negative_binomial'.*column 'visits' holds 0\.5",
    ),
    "zero-inflated counts": (
        {"visits": "zero_inflated_poisson"},
        "visits",
        -2.0,
        r"'zero_inflated_poisson'.*'visits' holds -2",
    ),
    "zero under log_normal": ({"income": "log_normal"}, "income", 0.0, r"'log_normal'.*'income' holds 0"),
    "negative under gamma": ({"cost": "gamma"}, "cost", -3.5, r"'gamma'.*'cost' holds -3\.5"),
    "flags": ({"ratio": "bernoulli"}, "ratio", 0.5, r"'bernoulli'.*'ratio' holds 0\.5"),
    "category of fractions": ({"ratio": "categorical"}, "ratio", 0.5, "'ratio' holds .*whole numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_values_outside_the_support(table, name):
    likelihood, column, value, message = WRONG[name]
    spoiled = table.assign(ratio=table["ratio"].gt(0).astype(float)).astype({"visits": float})
    if name != "category of fractions":
        fitted = make(likelihood=likelihood, max_iter=1).fit(spoiled)
    spoiled.iloc[5, spoiled.columns.get_loc(column)] = value
    with pytest.raises(ValueError, match=message):
        make(likelihood=likelihood, max_iter=1).fit(spoiled)
    if name != "category of fractions":
        for method in ("transform", "predict", "impute", "score", "predict_quantiles"):
            with pytest.raises(ValueError, match=message):
                getattr(fitted, method)(spoiled)


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        (
            "normal",
            "'normal' does not suit column 'city' of modality 'person', .* categories without an order",
        ),
        (
            {"city": "poisson"},
            r"'poisson' does not suit column 'city' .*likelihood=\{'city': 'categorical'\}",
        ),
        ({"city": "ordinal"}, "'ordinal' does not suit column 'city' .*ordered=True"),
        ({"size": "bernoulli"}, "'bernoulli' does not suit column 'size' .* ordered categories"),
        ({"smoker": "gamma"}, "'gamma' does not suit column 'smoker' .* flags"),
        ({"persom": "normal"}, "likelihood names 'persom', which is neither a modality nor a column; X has"),
        ({"age": "poison"}, "likelihood names 'poison' for column 'age'; known are 'auto' and"),
        ({"lab": "gauss"}, "likelihood names 'gauss' for modality 'lab'; known are 'auto' and"),
        ({"age": 3}, "likelihood of column 'age' must be a name or a callable"),
    ],
)
def test_likelihoods_that_cannot_be(table, likelihood, message):
    vae = make(likelihood=likelihood)
    with pytest.raises(ValueError, match=message):
        vae.fit(table)
    assert not hasattr(vae, "n_features_in_")


def test_a_column_without_a_single_category(table):
    for empty in (
        pd.Categorical([None] * len(table)),
        pd.array([None] * len(table), dtype="string"),
    ):
        with pytest.raises(ValueError, match=r"Column 'city' .*not a single category in fit"):
            make().fit(table.assign(city=empty))
    with pytest.raises(ValueError, match="Column 'batch' has not a single category in fit"):
        make().fit(table.assign(batch=NAN))


def test_dates_are_refused_with_advice(table):
    with pytest.raises(ValueError, match=r"Column 'age' has type datetime.*days since"):
        make().fit(table.assign(age=pd.Timestamp("2020-01-01")))


class TestUnknownCategories:
    def test_are_an_error_that_says_what_to_do(self, fitted, table):
        other = table.assign(city=table["city"].where(table["city"] != "Rome", "Bern"))
        for method in ("transform", "predict", "impute", "score", "predict_category_proba"):
            with pytest.raises(ValueError, match=r"'city' holds 'Bern' in row .*handle_unknown='missing'"):
                getattr(fitted, method)(other)
        with pytest.raises(ValueError, match=r"'batch' holds 99\.0 in row 3"):
            fitted.predict(table.assign(batch=[NAN, NAN, NAN, 99.0] + [NAN] * (len(table) - 4)))

    def test_are_missing_on_request(self, table):
        vae = make(handle_unknown="missing", max_iter=3).fit(table)
        other = table.assign(city=table["city"].where(table["city"] != "Rome", "Bern"))
        without = table.assign(city=table["city"].where(table["city"] != "Rome"))
        np.testing.assert_array_equal(vae.transform(other), vae.transform(without))
        completed, expected = vae.impute(other), vae.impute(without)
        unknown = other["city"] == "Bern"
        assert_frame_equal(completed[~unknown], expected[~unknown])
        assert set(completed.loc[unknown, "city"]) == {"Bern"}  # what the user has is never overwritten

    def test_declared_ones_are_known(self, fitted, table):
        other = table.assign(reason=pd.Categorical(["never"] * len(table), table["reason"].dtype.categories))
        assert np.isfinite(fitted.score(other))
        assert set(fitted.impute(other)["reason"]) == {"never"}


def test_numbers_by_whatever_holds_them(table):
    """Objects, categories and numbers with the same content give the same answers."""
    text = pd.DataFrame(
        {"a": table["city"].astype(object), "b": table["ratio"].astype(object), "c": table["age"]}
    )
    plain = pd.DataFrame({"a": table["city"].astype("category"), "b": table["ratio"], "c": table["age"]})
    settings = {"n_components": 2, "max_iter": 5, "random_state": 0}
    first, second = MultimodalVAE(**settings).fit(text), MultimodalVAE(**settings).fit(plain)
    np.testing.assert_array_equal(first.transform(text), second.transform(plain))
    np.testing.assert_array_equal(first.transform(plain), second.transform(text))
    array = text.to_numpy(dtype=object)
    third = MultimodalVAE(**settings).fit(array)
    np.testing.assert_array_equal(third.transform(array), second.transform(plain))
    completed = third.impute(array)
    assert completed.dtype == object
    assert not pd.isna(completed).any()
    assert completed[~pd.isna(array)].tolist() == array[~pd.isna(array)].tolist()
    assert set(third.sample(50, random_state=0)[:, 0]) <= {"Oslo", "Rome", "Wien"}


def test_a_category_never_observed():
    """It has a type, so it is no error: nothing is known of it, and every category is as likely."""
    X = pd.DataFrame({"x": np.arange(20.0), "c": pd.Categorical([None] * 20, ["u", "v"])})
    vae = MultimodalVAE(1, max_iter=2, random_state=0).fit(X)
    np.testing.assert_allclose(vae.predict_category_proba(X), 0.5)
    assert set(vae.impute(X)["c"]) == {"u"}
    assert vae.impute(X)["c"].dtype == X["c"].dtype


def test_tables_without_categories_have_no_probabilities():
    vae = MultimodalVAE(1, max_iter=1, random_state=0).fit(COUNTS)
    with pytest.raises(ValueError, match="No column of X holds categories or flags"):
        vae.predict_category_proba(COUNTS)


def test_probabilities_of_columns_of_several_levels(table):
    X = skmm.stack_modalities({"a": table[["city", "ratio"]], "b": table[["smoker"]]})
    p = MultimodalVAE(1, max_iter=1, random_state=0).fit(X).predict_category_proba(X)
    assert p.columns.tolist() == [
        ("a", "city", "Oslo"),
        ("a", "city", "Rome"),
        ("a", "city", "Wien"),
        ("b", "smoker", False),
        ("b", "smoker", True),
    ]


@pytest.mark.parametrize(
    "likelihood", ["auto", LIKELIHOOD | {"level": "normal"}, LIKELIHOOD | {"income": "gamma"}]
)
def test_warm_start_with_another_likelihood(table, likelihood):
    """The network's parameters may have the same shapes, but the columns would be scaled in another way."""
    vae = make(warm_start=True, max_iter=2).fit(table)
    before = vae.predict(table)
    with pytest.raises(ValueError, match=r"warm_start=True .* but likelihood was changed since"):
        vae.set_params(likelihood=likelihood).fit(table)
    assert_frame_equal(vae.predict(table), before)
    assert vae.set_params(likelihood=dict(LIKELIHOOD)).fit(table).n_iter_ == 2


def test_warm_start_with_other_modalities(table):
    vae = make(warm_start=True, max_iter=2).fit(table)
    with pytest.raises(ValueError, match=r"warm_start=True .* but modalities was changed since"):
        vae.set_params(modalities=None, likelihood=LIKELIHOOD).fit(table)


def test_what_to_do_about_unknown_categories_is_checked_after_fit_too(table):
    vae = make(max_iter=1).fit(table).set_params(handle_unknown="ignore")
    with pytest.raises(ValueError, match="handle_unknown must be 'error' or 'missing', got 'ignore'"):
        vae.transform(table)


def test_nullable_floats_that_hold_nan_are_completed_beside_categories():
    values = pd.arrays.FloatingArray(np.r_[NAN, np.arange(19.0)], np.zeros(20, dtype=bool))
    X = pd.DataFrame({"a": values, "b": ["u", "v"] * 10})
    completed = MultimodalVAE(1, max_iter=1, random_state=0).fit(X).impute(X)
    assert np.isfinite(completed["a"].to_numpy(dtype=float)).all()


def test_a_key_that_names_a_column_names_no_modality():
    """The only modality of a flat table has a name that the user never gave."""
    X = pd.DataFrame({"x": np.exp(np.arange(10.0) / 5), "y": np.linspace(-1, 1, 10)})
    assert chosen(MultimodalVAE(1, likelihood={"x": "log_normal"}, max_iter=1), X) == {
        "x": "log_normal",
        "y": "normal",
    }
    vae = MultimodalVAE(1, modalities={"x": ["y"], "y": ["x"]}, likelihood={"x": "gamma"}, max_iter=1)
    assert chosen(vae, X) == {"x": "gamma", "y": "normal"}


def test_columns_of_very_different_numbers_of_categories_are_padded_apart():
    categorical = LIKELIHOODS["categorical"]
    likelihood = build_likelihood([categorical] * 5, [2, 300, 5, 2, 200])
    assert [part.n_categories for part in likelihood.parts] == [(2, 5, 2), (300, 200)]
    assert likelihood.input_sizes == (2, 300, 5, 2, 200)
    assert type(build_likelihood([categorical] * 3, [2, 3, 8])) is categorical


@pytest.mark.parametrize("objective", ["elbo", "iwae"])
@pytest.mark.parametrize("fusion", ["poe", "mopoe", "joint"])
def test_every_objective_takes_every_type(table, objective, fusion):
    vae = make(objective=objective, fusion=fusion, max_iter=3).fit(table)
    assert_same_types(vae.impute(table), table)
    assert_same_types(vae.sample(2, given=table, random_state=0), table)
    np.testing.assert_allclose(vae.predict_category_proba(table)["city"].sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(vae.score(table))


@pytest.mark.gpu
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_type_on_a_gpu(table, fusion):
    vae = make(device="cuda", fusion=fusion, max_iter=3).fit(table)
    on_cpu = pickle.loads(pickle.dumps(vae)).set_params(device="cpu")
    assert_same_types(vae.impute(table), table)
    assert_same_types(vae.sample(2, given=table, random_state=0), table)
    assert_same_types(vae.sample(5, random_state=0), table)
    np.testing.assert_allclose(
        vae.predict_category_proba(table), on_cpu.predict_category_proba(table), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(vae.score(table), on_cpu.score(table), rtol=1e-3)
    quantiles = vae.predict_quantiles(table)[["age", "income", "visits", "cost", "level"]]
    assert quantiles.notna().all().all()
    assert vae.inverse_transform(np.zeros((2, 3)))["city"].notna().all()


@pytest.mark.gpu
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_on_a_gpu(name):
    X = POSITIVE if LIKELIHOODS[name].scaling == "scale" else COUNTS
    X = (X > 2).astype(float) if name == "bernoulli" else X
    settings = {"likelihood": name, "max_iter": 3, "hidden_layer_sizes": (8,), "random_state": 0}
    vae = MultimodalVAE(2, device="cuda", **settings).fit(X)
    on_cpu = pickle.loads(pickle.dumps(vae)).set_params(device="cpu")
    np.testing.assert_allclose(vae.predict(X), on_cpu.predict(X), rtol=1e-2, atol=1e-3)
    assert np.isfinite(vae.sample(10, random_state=0)).all()
    assert np.isfinite(vae.score(X))
    vae.predict_quantiles(X)
