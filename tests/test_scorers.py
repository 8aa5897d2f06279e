"""The completion error and its scorer: against estimators whose errors are known, and in real searches."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmm import MultimodalVAE, hide
from skmm._blocks.columns import ColumnType
from skmm._blocks.containers import check_table, column_types, to_matrix
from skmm._blocks.layout import Layout
from skmm._blocks.modalities import resolve_modalities
from skmm.metrics import category_score, completion_error
from skmm.scorers import CompletionScorer, completion_scorer

NAN = np.nan


def learn_layout(estimator, X, scaling):
    table = check_table(estimator, X, reset=True)
    types = column_types(X, table)
    groups = resolve_modalities(X, estimator.modalities)
    how = [scaling if kind.kind == "continuous" else None for kind in types]
    return Layout.fit(X, to_matrix(table, types), groups, types, how)


class Oracle(BaseEstimator):
    """Knows the truth, and misses it by a known number of standard deviations wherever an entry is hidden.

    Of numbers and flags. With ``scaling``, columns of numbers are treated as other likelihoods would.
    """

    def __init__(self, truth=None, errors=None, modalities=None, scaling="standard"):
        self.truth = truth
        self.errors = errors
        self.modalities = modalities
        self.scaling = scaling

    def fit(self, X, y=None):
        self.layout_ = learn_layout(self, X, self.scaling)
        self.asked_ = []
        return self

    def predict(self, X):
        missing = np.isnan(to_matrix(check_table(self, X, reset=False), self.layout_.types))
        self.asked_.append(missing)
        errors = np.empty(len(self.layout_.deviation))
        for columns, error in zip(self.layout_.columns, self.errors, strict=True):
            errors[columns] = error
        wrong = np.asarray(self.truth, dtype=float) + missing * errors * self.layout_.deviation
        return pd.DataFrame(wrong, index=X.index, columns=X.columns) if isinstance(X, pd.DataFrame) else wrong


def make_truth(n_rows=30, seed=0):
    """Two columns of audio and three of video, in very different units."""
    rng = np.random.RandomState(seed)
    names = [("audio", "a"), ("audio", "b"), ("video", "x"), ("video", "y"), ("video", "z")]
    values = rng.normal(size=(n_rows, 5)) * [1, 1e4, 1e-3, 7, 1]
    return pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(names))


@pytest.fixture
def truth():
    return make_truth()


# the measure


def test_error_of_each_modality_in_standard_deviations(truth):
    oracle = Oracle(truth, errors=[0.5, 2.0]).fit(truth)
    errors = completion_error(oracle, truth)
    assert errors.index.tolist() == ["audio", "video"]
    np.testing.assert_allclose(errors, [0.5, 2.0])


def test_each_modality_is_hidden_in_turn(truth):
    oracle = Oracle(truth, errors=[0, 0]).fit(truth)
    completion_error(oracle, truth)
    without_audio, without_video = oracle.asked_
    assert (without_audio == np.isnan(hide(truth, "audio").to_numpy())).all()
    assert (without_video == np.isnan(hide(truth, "video").to_numpy())).all()


def test_rows_count_only_if_something_else_is_observed(truth):
    X = truth.copy()
    X.iloc[0, 2:] = NAN  # audio alone
    X.iloc[1, :2] = NAN  # video alone
    X.iloc[2] = NAN
    X.iloc[3, [1, 2, 3]] = NAN  # one column of each
    oracle = Oracle(truth, errors=[1, 1]).fit(truth)
    np.testing.assert_allclose(completion_error(oracle, X), [1, 1])
    without_audio, without_video = oracle.asked_
    assert not without_audio[0, :2].any()
    assert not without_video[1, 2:].any()
    assert without_audio[3, :2].all()
    assert without_video[3, 2:].all()


def test_mean_square_is_over_entries_not_over_columns_or_rows():
    """Nine entries missed by 1 and one by 7 deviations: the root of (9 + 49) / 10."""
    values = np.column_stack([np.tile([-1.0, 1.0], 5), np.tile([-1.0, 1.0], 5), np.arange(10.0)])
    X = values.copy()
    X[1:, 1] = NAN
    truth = values + np.array([1.0, 7.0, 0.0])
    oracle = Oracle(truth, errors=[0, 0], modalities={"a": [0, 1], "b": [2]}).fit(values)
    assert completion_error(oracle, X)["a"] == pytest.approx(np.sqrt((10 * 1 + 49) / 11))


def test_what_was_missing_before_is_not_compared(truth):
    X = truth.mask(np.random.RandomState(0).uniform(size=truth.shape) < 0.3)
    wrong_where_unknown = truth.where(X.notna(), 1e9)
    oracle = Oracle(wrong_where_unknown, errors=[0.25, 0]).fit(truth)
    np.testing.assert_allclose(completion_error(oracle, X), [0.25, 0], atol=1e-12)


def test_units_do_not_matter(truth):
    error = np.array([3.0, 1e4, 1e-3, 7, 1])
    one = completion_error(Oracle(truth + error, errors=[0, 0]).fit(truth), truth)
    units = np.array([1e6, 1e-6, 50, 1, 1])
    other = completion_error(Oracle((truth + error) * units, errors=[0, 0]).fit(truth * units), truth * units)
    np.testing.assert_allclose(one, other)


def test_units_are_those_of_fit(truth):
    oracle = Oracle(truth, errors=[1, 1]).fit(truth)
    few = truth.iloc[:4]
    np.testing.assert_allclose(completion_error(oracle.set_params(truth=few), few), [1, 1])


def test_flags_count_by_their_probability():
    X = pd.DataFrame({"on": [True, False, True, False], "x": [0.0, 1.0, 2.0, 3.0]})
    probability = X.assign(on=[0.9, 0.1, 0.9, 0.5])
    oracle = Oracle(probability, errors=[0, 0], modalities={"flag": ["on"], "number": ["x"]}).fit(X)
    errors = completion_error(oracle, X)
    assert errors["flag"] == pytest.approx(np.sqrt((3 * 0.1**2 + 0.5**2) / 4) / 0.5)
    assert errors["number"] == pytest.approx(0)


@pytest.mark.parametrize("scaling", ["standard", "scale", None])
def test_units_do_not_depend_on_what_the_network_sees(truth, scaling):
    """Counts are not scaled, and are measured in standard deviations all the same."""
    oracle = Oracle(truth, errors=[0.5, 2.0], scaling=scaling).fit(truth)
    np.testing.assert_allclose(completion_error(oracle, truth), [0.5, 2.0])


class Teller(BaseEstimator):
    """Says the same of every row, whatever it is asked."""

    def __init__(self, answer=None, modalities=None, handle_unknown="error", shares=None):
        self.answer = answer
        self.shares = shares
        self.modalities = modalities
        self.handle_unknown = handle_unknown

    def fit(self, X, y=None):
        self.layout_ = learn_layout(self, X, "standard")
        return self

    def predict(self, X):
        return self.layout_.wrap(np.array([self.answer] * len(X), dtype=float), X)

    def predict_category_proba(self, X):
        """All of it on the answer, unless ``shares`` says otherwise for a column."""
        probabilities = {
            j: np.tile(
                (self.shares or {}).get(j, np.eye(column.n_categories)[int(self.answer[j])]), (len(X), 1)
            )
            for j, column in enumerate(self.layout_.types)
            if column.n_categories
        }
        return self.layout_.probability_frame(probabilities, None)


SHOP = pd.DataFrame(
    {
        "size": pd.Categorical(["S", "M", "L", "L", None], categories=["S", "M", "L", "XL"], ordered=True),
        "town": pd.Series(["Rome", "Oslo", "Rome", None, "Rome"], dtype=object),
        "price": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
)
SHOP_GROUPS = {"what": ["size"], "where": ["town"], "price": ["price"]}


# squared, of the frequencies in SHOP: of S, M, L, L at or below each size, and of Rome and Oslo
SIZE_SCORE, TOWN_SCORE = 1 / 4 * 3 / 4 + 1 / 2 * 1 / 2, 3 / 4 * 1 / 4


def test_categories_count_by_their_probabilities():
    """In units of what the frequencies get, and by how far a miss is where they have an order."""
    model = Teller(answer=[2, 1, 3.0], modalities=SHOP_GROUPS).fit(SHOP)  # L, Rome
    errors = completion_error(model, SHOP)
    # S is two sizes away from L, M one; one of four towns is wrong
    expected = np.sqrt([(2 + 1) / 4 / SIZE_SCORE, 1 / 4 / TOWN_SCORE])
    np.testing.assert_allclose(errors[["what", "where"]], expected)
    assert errors["price"] == pytest.approx(1)  # the mean, and so a standard deviation
    together = completion_error(
        Teller(answer=[2, 1, 3.0], modalities={"a": ["size", "town"], "b": ["price"]}).fit(SHOP), SHOP
    )
    assert together["a"] == pytest.approx(np.sqrt(np.square(expected).mean()))
    assert completion_scorer(model, SHOP) == pytest.approx(-errors.mean())


def test_frequencies_get_the_error_of_a_mean():
    """So that columns of all types count alike, and likelihoods of one column can be compared."""
    shares = {0: [1 / 4, 1 / 4, 1 / 2, 0], 1: [1 / 4, 3 / 4]}
    model = Teller(answer=[2, 1, 3.0], modalities=SHOP_GROUPS, shares=shares).fit(SHOP)
    np.testing.assert_allclose(completion_error(model, SHOP), 1)


SHOPS = {
    "frame": SHOP,
    "string": SHOP.astype({"town": "string"}),
    "category": SHOP.astype({"town": "category"}),
    "array": SHOP.astype({"size": object}).to_numpy(),
    "list": SHOP.astype({"size": object}).to_numpy().tolist(),
    "masked": np.ma.masked_array(SHOP.astype({"size": object}).to_numpy(), mask=SHOP.isna().to_numpy()),
}


@pytest.mark.parametrize("what", ["modalities", "cells"])
@pytest.mark.parametrize("name", SHOPS)
def test_categories_in_every_container(name, what):
    X = SHOPS[name]
    groups = {"what": [0], "where": [1], "price": [2]}
    order = 2 if isinstance(X, pd.DataFrame) else 0  # L; without a type, categories are sorted
    model = Teller(answer=[order, 1, 3.0], modalities=groups).fit(X)
    errors = completion_error(model, X, hide=what, fraction=0.5)
    if what == "modalities":
        # without a type, sizes have no order: half of them are wrong, of which 1/4, 1/4 and 1/2 are expected
        size = 3 / 4 / SIZE_SCORE if isinstance(X, pd.DataFrame) else 1 / 2 / (1 - 3 / 8) * 2
        np.testing.assert_allclose(errors, [np.sqrt(size), np.sqrt(1 / 4 / TOWN_SCORE), 1])
    again = completion_error(
        Teller(answer=[2, 1, 3.0], modalities=groups).fit(SHOP), SHOP, hide=what, fraction=0.5
    )
    if isinstance(X, pd.DataFrame):
        np.testing.assert_allclose(errors, again)


def test_categories_of_other_types_later():
    model = Teller(answer=[2, 1, 3.0], modalities=SHOP_GROUPS).fit(SHOP)
    expected = completion_error(model, SHOP)
    later = SHOP.assign(
        size=SHOP["size"].cat.reorder_categories(["L", "XL", "S", "M"], ordered=False),
        town=SHOP["town"].astype("category"),
    )
    pd.testing.assert_series_equal(completion_error(model, later), expected)
    pd.testing.assert_series_equal(completion_error(model, later.astype({"size": object})), expected)


def test_categories_that_fit_has_not_seen_are_not_compared():
    model = Teller(answer=[2, 1, 3.0], modalities=SHOP_GROUPS).fit(SHOP)
    new = SHOP.assign(town=["Rome", "Lima", "Oslo", "Rome", "Lima"])
    with pytest.raises(ValueError, match="Column 'town' holds 'Lima' in row 1"):
        completion_error(model, new)
    errors = completion_error(model.set_params(handle_unknown="missing"), new)
    assert errors["where"] == pytest.approx(np.sqrt(1 / 3 / TOWN_SCORE))


def test_columns_that_say_nothing_are_left_out(truth):
    """A constant is completed without an error, and would make a modality look better than it is."""
    fitted = truth.copy()
    fitted.iloc[:, 2] = 5.0
    fitted.iloc[:, 3] = NAN
    oracle = Oracle(truth, errors=[1, 1]).fit(fitted)
    wrong = oracle.truth.copy()
    wrong.iloc[:, 2] = 1e9
    np.testing.assert_allclose(completion_error(oracle.set_params(truth=wrong), fitted), [1, 1])


def test_a_constant_does_not_count_as_something_else_observed(truth):
    fitted = truth.copy()
    fitted.iloc[:, :2] = 5.0
    oracle = Oracle(truth, errors=[1, 1]).fit(fitted)
    with pytest.raises(ValueError, match="No row of X has observed entries of two of the modalities"):
        completion_error(oracle, fitted)


def test_a_modality_that_cannot_be_hidden_is_nan(truth):
    X = truth.copy()
    X.iloc[:, 2:] = NAN
    oracle = Oracle(truth, errors=[0.5, 2.0, 1.0], modalities={"a": [0], "b": [1], "video": [2, 3, 4]}).fit(
        truth
    )
    errors = completion_error(oracle, X)
    np.testing.assert_allclose(errors[["a", "b"]], [0.5, 2.0])
    assert np.isnan(errors["video"])
    assert completion_scorer(oracle, X) == pytest.approx(-1.25)


CONTAINERS = {
    "frame": lambda values: pd.DataFrame(values, columns=list("abcde")),
    "array": np.asarray,
    "list": np.ndarray.tolist,
    "tensor": torch.tensor,
    "masked": np.ma.masked_invalid,
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("what", ["modalities", "cells"])
def test_every_container(truth, container, what):
    values = truth.to_numpy(copy=True)
    values[values > 1.5] = NAN
    X = CONTAINERS[container](values)
    oracle = Oracle(truth.to_numpy(), errors=[0.5, 2.0], modalities={"a": slice(0, 2), "b": slice(2, 5)}).fit(
        X
    )
    np.testing.assert_allclose(completion_error(oracle, X, hide=what), [0.5, 2.0])


def test_data_are_not_changed(truth):
    X = truth.copy()
    oracle = Oracle(truth, errors=[1, 1]).fit(X)
    completion_error(oracle, X)
    completion_error(oracle, X, hide="cells")
    pd.testing.assert_frame_equal(X, truth)


# cells


def test_cells(truth):
    X = truth.mask(np.random.RandomState(1).uniform(size=truth.shape) < 0.5)
    oracle = Oracle(truth, errors=[0.5, 2.0]).fit(truth)
    np.testing.assert_allclose(completion_error(oracle, X, hide="cells", fraction=0.9), [0.5, 2.0])
    (missing,) = oracle.asked_
    known = X.notna().to_numpy()
    assert missing[~known].all()
    assert (~missing)[known.any(axis=1)].any(axis=1).all()  # no row lost its last entry


def test_fraction_of_cells():
    truth = make_truth(2000)
    oracle = Oracle(truth, errors=[1, 1]).fit(truth)
    completion_error(oracle, truth, hide="cells", fraction=0.3)
    assert oracle.asked_[0].mean() == pytest.approx(0.3, abs=0.015)


def test_cells_are_the_same_every_time(truth):
    oracle = Oracle(truth, errors=[1, 1]).fit(truth)
    for random_state in (0, 0, 1):
        completion_error(oracle, truth, hide="cells", random_state=random_state)
    first, second, other = oracle.asked_
    assert (first == second).all()
    assert (first != other).any()


def test_one_modality_needs_cells(truth):
    flat = truth.to_numpy()
    oracle = Oracle(flat, errors=[1.5]).fit(flat)
    with pytest.raises(ValueError, match=r"only one modality, 'x', .*use hide='cells'"):
        completion_error(oracle, flat)
    assert CompletionScorer(hide="cells")(oracle, flat) == pytest.approx(-1.5)


# messages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hide": "rows"}, "hide must be 'modalities' or 'cells', got 'rows'"),
        ({"hide": "cells", "fraction": 0}, "fraction must be a number between 0 and 1, got 0"),
        ({"hide": "cells", "fraction": 1.0}, "fraction must be a number between 0 and 1, got 1.0"),
        ({"hide": "cells", "fraction": "half"}, "fraction must be a number between 0 and 1, got 'half'"),
        (
            {"hide": "cells", "fraction": 1e-9},
            r"No entry of X could be hidden with fraction=1e-09.*larger fraction",
        ),
    ],
)
def test_wrong_arguments(truth, arguments, message):
    oracle = Oracle(truth, errors=[1, 1]).fit(truth)
    with pytest.raises(ValueError, match=message):
        completion_error(oracle, truth, **arguments)
    with pytest.raises(ValueError, match=message):
        CompletionScorer(**arguments)(oracle, truth)


def test_no_row_with_two_modalities(truth):
    X = truth.copy()
    X.iloc[::2, :2] = NAN
    X.iloc[1::2, 2:] = NAN
    oracle = Oracle(truth, errors=[1, 1]).fit(X)
    with pytest.raises(ValueError, match=r"two of the modalities \['audio', 'video'\].*or use hide='cells'"):
        completion_error(oracle, X)


@pytest.mark.parametrize("pipeline", [False, True])
def test_estimators_that_complete_nothing(truth, pipeline):
    estimator = make_pipeline(StandardScaler(), PCA(2)) if pipeline else PCA(2)
    with pytest.raises(TypeError, match=r"completes tables, such as MultimodalVAE.*; got PCA"):
        completion_scorer(estimator.fit(truth.to_numpy()), truth.to_numpy())


@pytest.mark.parametrize("pipeline", [False, True])
def test_unfitted_estimators(truth, pipeline):
    estimator = make_pipeline(StandardScaler(), MultimodalVAE()) if pipeline else MultimodalVAE()
    with pytest.raises(NotFittedError):
        completion_scorer(estimator, truth)


# the scorer as an object


def test_higher_is_better(truth):
    good, bad = (Oracle(truth, errors=[error, error]).fit(truth) for error in (0.1, 0.9))
    assert completion_scorer(bad, truth) == pytest.approx(-0.9)
    assert completion_scorer(good, truth) == pytest.approx(-0.1)
    assert type(completion_scorer(good, truth)) is float


def test_scorer_is_an_ordinary_object():
    scorer = CompletionScorer(hide="cells", fraction=0.5)
    assert repr(scorer) == "CompletionScorer(fraction=0.5, hide='cells')"
    assert repr(completion_scorer) == "CompletionScorer()"
    assert clone(scorer).get_params() == scorer.get_params()
    assert pickle.loads(pickle.dumps(scorer)).get_params() == scorer.get_params()


# in pipelines and searches


def make_vae(**parameters):
    settings = {
        "n_components": 2,
        "hidden_layer_sizes": (8,),
        "max_iter": 4,
        "n_draws": 16,
        "random_state": 0,
    }
    return MultimodalVAE(**(settings | parameters))


def make_related(n_rows=80, seed=0):
    """Both modalities say the same, and much: the second is completed from the first almost without error."""
    rng = np.random.RandomState(seed)
    factor = rng.normal(size=(n_rows, 1))
    values = factor * [1, 2, 100, -1, 0.5] + 0.1 * rng.normal(size=(n_rows, 5)) * [1, 2, 100, 1, 0.5]
    return pd.DataFrame(values, columns=make_truth(2).columns)


def test_pipeline_is_measured_in_front_of_its_last_step():
    X = make_related().to_numpy()
    modalities = {"a": [0, 1], "b": [2, 3, 4]}
    pipeline = make_pipeline(StandardScaler(), make_vae(modalities=modalities)).fit(X)
    expected = completion_error(pipeline[-1], pipeline[0].transform(X))
    pd.testing.assert_series_equal(completion_error(pipeline, X), expected)
    alone = make_pipeline(make_vae(modalities=modalities)).fit(X)
    np.testing.assert_allclose(completion_error(alone, X), expected, rtol=1e-3)


def test_steps_before_may_change_the_columns():
    X = make_related().to_numpy()
    keep_four = FunctionTransformer(np.delete, kw_args={"obj": 0, "axis": 1})
    pipeline = make_pipeline(keep_four, make_vae(modalities={"a": [0], "b": [1, 2, 3]})).fit(X)
    assert completion_error(pipeline, X).index.tolist() == ["a", "b"]


def test_a_trained_model_beats_an_untrained_one():
    X = make_related()
    X.iloc[::5, :2] = NAN
    X.iloc[1::5, 2:] = NAN
    network = {"completion": "network"}  # a linear model beside it would complete well at once
    untrained = make_vae(max_iter=1, learning_rate_init=1e-9, batch_size=80, **network).fit(X)
    trained = make_vae(max_iter=100, learning_rate_init=0.01, batch_size=20, **network).fit(X)
    new = make_related(seed=1)
    assert completion_error(untrained, new).between(0.8, 1.3).all()  # as good as the mean of each column
    assert completion_error(trained, new).max() < 0.5
    assert completion_error(trained, new, hide="cells").max() < 0.5


def test_search_finds_the_better_model():
    X = make_related().to_numpy()
    pipeline = make_pipeline(
        StandardScaler(),
        make_vae(
            modalities={"a": [0, 1], "b": [2, 3, 4]}, max_iter=60, batch_size=20, learning_rate_init=0.01
        ),
    )
    grid = {"multimodalvae__learning_rate_init": [1e-9, 0.01]}
    search = GridSearchCV(pipeline, grid, cv=2, scoring=completion_scorer, error_score="raise").fit(X)
    assert search.best_index_ == 1
    assert -0.7 < search.best_score_ < 0
    assert completion_error(search.best_estimator_, X).max() < 0.7


def test_options_of_the_scorer_in_a_search():
    X = make_related()
    search = GridSearchCV(make_vae(), {"n_components": [1, 2]}, cv=2, scoring=CompletionScorer())
    search = clone(search).set_params(scoring__hide="cells", scoring__fraction=0.4, n_jobs=2).fit(X)
    expected = CompletionScorer("cells", 0.4)(search.best_estimator_, X)
    assert search.score(X) == expected


def test_several_scorers_at_once():
    scoring = {"modalities": completion_scorer, "cells": CompletionScorer(hide="cells")}
    results = cross_validate(make_vae(), make_related(), cv=2, scoring=scoring, error_score="raise")
    assert (results["test_modalities"] < 0).all()
    assert (results["test_cells"] < 0).all()


def test_with_metadata_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            make_vae(), make_related(), cv=2, scoring=completion_scorer, error_score="raise"
        )
    assert (scores < 0).all()


def make_shops(n_rows=80, seed=0):
    """Text, an order and a number that say the same."""
    rng = np.random.RandomState(seed)
    level = rng.randint(3, size=n_rows)
    X = pd.DataFrame(
        {
            ("what", "size"): pd.Categorical.from_codes(level, ["S", "M", "L"], ordered=True),
            ("where", "town"): np.array(["Bonn", "Oslo", "Rome"])[level],
            ("where", "price"): level + 0.1 * rng.normal(size=n_rows),
        }
    )
    return X.set_axis(pd.MultiIndex.from_tuples(X.columns), axis=1)


@pytest.mark.parametrize("what", ["modalities", "cells"])
def test_a_trained_model_of_categories(what):
    trained = make_vae(max_iter=60, learning_rate_init=0.02, batch_size=20).fit(make_shops())
    untrained = make_vae(max_iter=1, learning_rate_init=1e-9, batch_size=80).fit(make_shops())
    new = make_shops(seed=1)
    errors = completion_error(trained, new, hide=what)
    assert errors.index.tolist() == ["what", "where"]
    assert errors.max() < 0.7 < completion_error(untrained, new, hide=what).min()


def test_search_over_tables_with_categories():
    search = GridSearchCV(
        make_vae(max_iter=40, batch_size=20),
        {"learning_rate_init": [1e-9, 0.02]},
        cv=2,
        scoring=completion_scorer,
        error_score="raise",
    ).fit(make_shops())
    assert search.best_index_ == 1


# scores of categories


@pytest.mark.parametrize("kind", ["category", "ordered"])
@pytest.mark.parametrize("share", [[0.2, 0.5, 0.3], [0.0, 1.0, 0.0], [0.3, 0.7]])
def test_frequencies_score_what_errors_are_measured_in(kind, share):
    rng = np.random.RandomState(0)
    codes = rng.choice(len(share), p=share, size=500).astype(float)[:, None]
    types = [ColumnType(kind, object, pd.Index(list("abc")[: len(share)]))]
    layout = Layout.fit(codes, codes, {"x": np.array([0])}, types, [None])
    frequencies = np.bincount(codes[:, 0].astype(int), minlength=len(share)) / 500
    scores = category_score(np.tile(frequencies, (500, 1)), codes[:, 0], kind)
    assert layout.deviation[0] ** 2 == pytest.approx(scores.mean() or 1.0)


def test_of_two_categories_both_scores_are_the_squared_error_of_the_probability():
    p = np.array([[0.8, 0.2], [0.1, 0.9]])
    for kind in ("category", "ordered"):
        np.testing.assert_allclose(category_score(p, np.array([0.0, 0.0]), kind), [0.2**2, 0.9**2])


def test_a_near_miss_is_better_only_where_there_is_an_order():
    p = np.eye(3)
    np.testing.assert_allclose(category_score(p, np.zeros(3), "ordered"), [0, 1, 2])
    np.testing.assert_allclose(category_score(p, np.zeros(3), "category"), [0, 1, 1])
