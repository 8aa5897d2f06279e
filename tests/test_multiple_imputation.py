"""Multiple imputation: Rubin's rules by hand, closed forms, coverage in simulations, conventions."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import check_random_state
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmm import MultimodalVAE, PooledEstimator
from skmm._blocks.modalities import resolve_modalities
from skmm.multiple_imputation import PooledResult, pool
from skmm.multiple_imputation.variances import bootstrap_variances, closed_form_variances, coefficients

NAN = np.nan


def to_floats(X):
    return (
        X.to_numpy(dtype=float, na_value=NAN) if isinstance(X, pd.DataFrame) else np.asarray(X, dtype=float)
    )


class Gaussian(BaseEstimator):
    """Draws from the exact conditional distribution of a normal; of the one it is told, or of a rough fit."""

    def __init__(self, mean=None, covariance=None):
        self.mean = mean
        self.covariance = covariance

    def fit(self, X, y=None):
        self.seen_ = X
        values = np.ma.masked_invalid(to_floats(X))
        self.mean_ = values.mean(axis=0).filled(0.0) if self.mean is None else self.mean
        self.covariance_ = np.ma.cov(values, rowvar=False).filled(0.0).reshape(values.shape[1], -1)
        if self.covariance is not None:
            self.covariance_ = self.covariance
        return self

    def sample(self, n_samples=1, given=None, random_state=None):
        rng, values = check_random_state(random_state), to_floats(given)
        draws = np.repeat(values[None], n_samples, axis=0)
        for pattern in np.unique(np.isnan(values), axis=0):
            if not pattern.any():
                continue
            rows = (np.isnan(values) == pattern).all(axis=1)
            gain = self.covariance_[np.ix_(pattern, ~pattern)] @ np.linalg.pinv(
                self.covariance_[np.ix_(~pattern, ~pattern)]
            )
            expected = self.mean_[pattern] + (values[np.ix_(rows, ~pattern)] - self.mean_[~pattern]) @ gain.T
            left = (
                self.covariance_[np.ix_(pattern, pattern)]
                - gain @ self.covariance_[np.ix_(~pattern, pattern)]
            )
            noise = rng.multivariate_normal(
                np.zeros(pattern.sum()), left, size=(n_samples, rows.sum()), check_valid="ignore"
            )
            draws[np.ix_(np.arange(n_samples), rows, pattern)] = expected + noise
        if not isinstance(given, pd.DataFrame):
            return draws
        tables = [pd.DataFrame(draw, index=given.index, columns=given.columns) for draw in draws]
        return pd.concat(tables, keys=range(n_samples), names=["draw"])


class Augmentation(Gaussian):
    """Of a normal of which it knows nothing: draws its parameters, too, from what the data leave possible."""

    def sample(self, n_samples=1, given=None, random_state=None):
        rng, n_rows, draws = np.random.RandomState(random_state), len(given), []
        state = Gaussian(self.mean_, self.covariance_).fit(given)
        completed = state.sample(1, given, rng)[0]
        for _ in range(4 * n_samples + 20):
            scatter = np.cov(completed, rowvar=False) * (n_rows - 1)
            state.covariance_ = stats.invwishart.rvs(n_rows - 1, scatter, random_state=rng)
            state.mean_ = rng.multivariate_normal(completed.mean(axis=0), state.covariance_ / n_rows)
            completed = state.sample(1, given, rng)[0]
            draws.append(completed)
        return np.stack(draws[-4 * n_samples :: 4])


class Grouped(Gaussian):
    """One that knows modalities."""

    def __init__(self, modalities=None):
        super().__init__()
        self.modalities = modalities


COEF = np.array([1.0, -0.5, 0.0])
SPREAD = np.array([[1.0, 0.6, 0.3], [0.6, 1.0, 0.0], [0.3, 0.0, 1.0]])


def joint_covariance():
    """Of three features, and y = X @ COEF + noise of variance 1."""
    across = SPREAD @ COEF
    return np.block([[SPREAD, across[:, None]], [across[None], COEF @ across + 1.0]])


def make_data(n_rows=150, seed=0, share=0.3):
    """Of two modalities, each is missing in a share of the rows."""
    rng = np.random.RandomState(seed)
    X = rng.multivariate_normal(np.zeros(3), SPREAD, size=n_rows)
    y = X @ COEF + rng.normal(size=n_rows)
    lot = rng.uniform(size=n_rows)
    X[lot < share, 0] = X[lot > 1 - share, 1:] = NAN
    return X, y


def exact(**parameters):
    """Pools completions from the true distribution."""
    known = Gaussian(np.zeros(4), joint_covariance())
    settings = {"imputer": known, "n_imputations": 10, "n_imputers": 1, "random_state": 0}
    return PooledEstimator(**({"estimator": LinearRegression()} | settings | parameters))


# Rubin's rules


def test_pool_by_hand():
    pooled = pool([1.0, 2.0, 3.0], [0.4, 0.5, 0.6])
    assert pooled.estimate == pytest.approx(2)
    assert pooled.within == pytest.approx(0.5)
    assert pooled.between == pytest.approx(1)
    assert pooled.std**2 == pytest.approx(0.5 + 4 / 3)
    r = 4 / 3 / 0.5  # the relative increase in variance; Rubin (1987), eq. 3.1.6 and 3.1.7
    assert pooled.df == pytest.approx(2 * (1 + 1 / r) ** 2)
    assert pooled.fraction_missing_information == pytest.approx((r + 2 / (pooled.df + 3)) / (r + 1))


def test_small_samples_by_hand():
    """Barnard and Rubin (1999), eq. 3: 12 degrees of freedom, of which share 8/11 of the variance is new."""
    pooled = pool([1.0, 2.0, 3.0], [0.4, 0.5, 0.6], df_complete=12)
    rubin, observed = 2 / (8 / 11) ** 2, 13 / 15 * 12 * 3 / 11
    assert pooled.df == pytest.approx(rubin * observed / (rubin + observed))
    assert pooled.df < min(rubin, 12)
    r = 8 / 3
    assert pooled.fraction_missing_information == pytest.approx((r + 2 / (pooled.df + 3)) / (r + 1))
    assert pool([1.0, 2.0, 3.0], [0.4, 0.5, 0.6], df_complete=1e9).df == pytest.approx(rubin)


def test_intervals():
    # no variance within: 4 degrees of freedom, whose quantile the tables give as 2.776
    pooled = pool([1.0, 2.0, 3.0, 4.0, 5.0], np.zeros(5))
    assert pooled.df == pytest.approx(4)
    low, high = pooled.interval(0.95)
    assert high - 3 == pytest.approx(2.776 * np.sqrt(1.2 * 2.5), rel=1e-3)
    assert low == pytest.approx(6 - high)
    narrow = pooled.interval(0.5)
    assert low < narrow[0] < narrow[1] < high


def test_nothing_missing():
    """Completions that agree: what complete data say."""
    pooled = pool(np.full((5, 2), 3.0), np.full((5, 2), 4.0))
    np.testing.assert_allclose(pooled.std, 2)
    assert np.isinf(pooled.df).all()
    np.testing.assert_array_equal(pooled.fraction_missing_information, 0)
    np.testing.assert_allclose(pooled.interval(0.95)[1], 3 + 2 * 1.959964, rtol=1e-6)
    small = pool(np.full((5, 2), 3.0), np.full((5, 2), 4.0), df_complete=7)
    np.testing.assert_allclose(small.df, 7 * 8 / 10)
    certain = pool([1.0, 1.0], [0.0, 0.0])
    assert certain.std == 0
    assert certain.interval() == (1, 1)


def test_arrays_are_pooled_entry_by_entry():
    rng = np.random.RandomState(0)
    estimates, variances = rng.normal(size=(6, 2, 3)), rng.uniform(size=(6, 2, 3))
    pooled = pool(estimates.tolist(), variances, df_complete=20)
    for i, j in np.ndindex(2, 3):
        one = pool(estimates[:, i, j], variances[:, i, j], df_complete=20)
        for name in ("estimate", "std", "df", "within", "between", "fraction_missing_information"):
            assert getattr(pooled, name)[i, j] == pytest.approx(getattr(one, name))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1.0], [1.0]), {}, r"at least two imputations; got \(1,\) and \(1,\)"),
        ((1.0, 1.0), {}, r"one shape .* got \(\) and \(\)"),
        (([1.0, 2.0], [1.0, 2.0, 3.0]), {}, r"got \(2,\) and \(3,\)"),
        (([1.0, NAN], [1.0, 1.0]), {}, "must be finite"),
        (([1.0, 2.0], [1.0, np.inf]), {}, "must be finite"),
        (([1.0, 2.0], [1.0, -0.1]), {}, "variances must be at least 0, got -0.1"),
        (([1.0, 2.0], [1.0, 1.0]), {"df_complete": 0}, "df_complete must be a positive number, got 0"),
        (([1.0, 2.0], [1.0, 1.0]), {"df_complete": NAN}, "df_complete must be a positive number, got nan"),
    ],
)
def test_wrong_estimates(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        pool(*arguments, **options)


@pytest.mark.parametrize("level", [0, 1, 95, "95 %"])
def test_wrong_levels(level):
    with pytest.raises(ValueError, match="level must be a number between 0 and 1, got"):
        pool([1.0, 2.0], [1.0, 1.0]).interval(level)


# variances of one completion


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_variances_of_least_squares(fit_intercept):
    X, y = make_data(40, share=0.0)
    X = X * [1, 1e3, 1e-3] + [0, 5, 2]
    fitted = LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    design = np.column_stack([X, np.ones(40)]) if fit_intercept else X
    noise = np.square(y - fitted.predict(X)).sum() / (40 - design.shape[1])
    expected = noise * np.diag(np.linalg.inv(design.T @ design))
    found = closed_form_variances(fitted, pd.DataFrame(X), y)
    assert found.shape == coefficients(fitted).shape
    np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-6)
    assert fit_intercept or found[-1] == 0


def maximum_likelihood(**parameters):
    return LogisticRegression(C=np.inf, solver="newton-cholesky", **parameters)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_variances_of_logistic_regression(n_classes, fit_intercept):
    """By the coefficients less those of the last class, whose information can be inverted."""
    X, y = make_data(200, share=0.0)
    X = X * [1, 100, 0.01] + [0, 2000, 0.1]
    target = np.digitize(y, [0.0] if n_classes == 2 else [-0.7, 0.7])
    fitted = maximum_likelihood(fit_intercept=fit_intercept).fit(X, target)
    design = np.column_stack([X, np.ones(200)]) if fit_intercept else X
    p = fitted.predict_proba(X)[:, :-1]
    weights = [np.diag(row) - np.outer(row, row) for row in p]
    information = sum(np.kron(w, np.outer(x, x)) for w, x in zip(weights, design, strict=True))
    covariance = np.linalg.inv(information)
    if n_classes == 3:  # to three sets that sum to 0
        centred = np.eye(3)[:, :2] - 1 / 3
        to_sets = np.kron(centred, np.eye(design.shape[1]))
        covariance = to_sets @ covariance @ to_sets.T
    expected = np.diag(covariance).reshape(-1, design.shape[1])
    found = closed_form_variances(fitted, X, target)
    assert found.shape == coefficients(fitted).shape
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, rtol=1e-6)
    assert fit_intercept or (found[:, -1] == 0).all()


def test_variances_far_from_the_origin():
    """Years, or seconds since 1970: the intercept's variance grows, those of coefficients stay."""
    X, y = make_data(200, share=0.0)
    for estimator, target in ((LinearRegression(), y), (maximum_likelihood(), y > 0)):
        fitted = estimator.fit(X, target)
        near = closed_form_variances(fitted, X, target)
        fitted.intercept_ = fitted.intercept_ - 1e6 * fitted.coef_.sum()  # fits would lose digits
        far = closed_form_variances(fitted, X + 1e6, target)
        np.testing.assert_allclose(far[..., :-1], near[..., :-1], rtol=1e-4)
        assert (far[..., -1] > 1e9 * near[..., -1]).all()


def test_no_closed_form():
    X, y = make_data(60, share=0.0)
    for estimator in (LinearRegression(positive=True), Ridge()):
        assert closed_form_variances(estimator.fit(X, y), X, y) is None
    weighted = maximum_likelihood(class_weight="balanced")
    for estimator in (LogisticRegression(), weighted):
        assert closed_form_variances(estimator.fit(X, y > 0), X, y > 0) is None


def test_bootstrap_agrees_with_the_closed_form():
    X, y = make_data(300, share=0.0)
    for estimator, target, classes in (
        (LinearRegression(), y, None),
        (maximum_likelihood(), y > 0, np.array([False, True])),
    ):
        expected = closed_form_variances(estimator.fit(X, target), X, target)
        found = bootstrap_variances(estimator, X, target, 200, np.random.RandomState(0), classes)
        np.testing.assert_allclose(found, expected, rtol=0.4)


def test_no_resample_lacks_a_class():
    X, y = make_data(30, share=0.0)
    target = np.where(np.arange(30) == 7, "rare", np.where(y > 0, "up", "down"))
    found = bootstrap_variances(
        LogisticRegression(), X, target, 5, np.random.RandomState(0), np.unique(target)
    )
    assert found.shape == (3, 4)


@pytest.mark.parametrize(
    "estimator", [SGDRegressor(random_state=0), Ridge(), RidgeClassifier(), Perceptron(fit_intercept=False)]
)
def test_coefficients_with_the_intercept_at_the_end(estimator):
    X, y = make_data(60, share=0.0)
    fitted = estimator.fit(X, np.sign(y) if is_classifier(estimator) else y)
    joint = coefficients(fitted)
    np.testing.assert_array_equal(joint[..., :-1], fitted.coef_)
    np.testing.assert_array_equal(np.ravel(joint[..., -1]), np.ravel(fitted.intercept_))


# what pooling is for


@pytest.fixture(scope="module")
def simulated():
    """Fits to 60 data sets of which 30 % is missing, and intervals from single completions of each."""
    found = {"pooled": [], "without y": [], "complete": [], "means": [], "one draw": []}
    for seed in range(60):
        X, y = make_data(seed=seed)
        model = exact(imputer=Augmentation(), n_imputations=8, random_state=seed).fit(X, y)
        found["pooled"].append(model)
        blind = exact(imputer=Gaussian(np.zeros(3), SPREAD), include_y=False, random_state=seed)
        found["without y"].append(blind.fit(X, y))
        completions = {
            "complete": make_data(seed=seed, share=0.0)[0],
            "means": np.where(np.isnan(X), np.nanmean(X, axis=0), X),
            "one draw": model.imputers_[0].sample(1, np.column_stack([X, y]), seed)[0, :, :3],
        }
        for name, completed in completions.items():
            found[name].append(single_fit(completed, y))
    return found


def single_fit(X, y):
    """What a fit to one table says, as if nothing had been missing."""
    fitted = LinearRegression().fit(X, y)
    variance = closed_form_variances(fitted, X, y)
    return pool([coefficients(fitted)] * 2, [variance] * 2, df_complete=len(X) - 4)


def coverage(fits, level):
    """Share of true coefficients in their intervals."""
    intervals = [getattr(fit, "pooled_", fit).interval(level) for fit in fits]
    return np.mean([(low[:3] < COEF) & (high[:3] > COEF) for low, high in intervals])


def test_intervals_cover_the_truth(simulated):
    """As many as those of the complete data do: by chance, not exactly their level."""
    coefs = [fit.coef_ for fit in simulated["pooled"]]
    np.testing.assert_allclose(np.mean(coefs, axis=0), COEF, atol=0.05)
    for level, tolerance in {0.5: 0.1, 0.9: 0.05, 0.95: 0.05}.items():
        share = coverage(simulated["pooled"], level)
        assert share == pytest.approx(coverage(simulated["complete"], level), abs=tolerance)
        for rival in ("means", "one draw"):
            assert coverage(simulated[rival], level) < share - 0.05


def test_standard_errors_are_those_of_the_estimates(simulated):
    fits = simulated["pooled"]
    actual = np.std([fit.coef_ for fit in fits], axis=0)
    stated = np.sqrt(np.mean([fit.coef_std_**2 for fit in fits], axis=0))
    np.testing.assert_allclose(stated, actual, rtol=0.25)


def test_an_imputer_that_knows_more_than_the_data_is_covered_too():
    fits = [exact(random_state=seed).fit(*make_data(seed=seed)) for seed in range(40)]
    np.testing.assert_allclose(np.mean([fit.coef_ for fit in fits], axis=0), COEF, atol=0.05)
    assert coverage(fits, 0.95) >= 0.94


def test_without_y_coefficients_are_too_near_to_zero(simulated):
    coef = np.mean([fit.coef_ for fit in simulated["without y"]], axis=0)
    assert (np.abs(coef[:2]) < 0.85 * np.abs(COEF[:2])).all()


def test_more_is_missing_more_information_is_missing():
    few, many = (exact(n_imputations=50).fit(*make_data(400, share=share)) for share in (0.1, 0.5))
    assert (few.fraction_missing_information_ < many.fraction_missing_information_).all()
    assert (few.df_ > many.df_).all()
    assert (few.coef_std_ < many.coef_std_).all()


# the estimator


def test_pooled_attributes():
    X, y = make_data()
    model = exact().fit(X, y)
    assert isinstance(model.pooled_, PooledResult)
    joint = [coefficients(fitted) for fitted in model.estimators_]
    np.testing.assert_allclose(model.pooled_.between, np.var(joint, axis=0, ddof=1))
    np.testing.assert_allclose(model.coef_, np.mean(joint, axis=0)[:3])
    assert model.intercept_ == pytest.approx(np.mean(joint, axis=0)[3])
    for name in ("coef_std_", "df_", "fraction_missing_information_"):
        assert getattr(model, name).shape == (3,)
    assert (model.df_ < 150 - 4).all()
    low, high = model.confidence_interval(0.9)
    np.testing.assert_allclose((low + high) / 2, model.coef_)
    np.testing.assert_allclose(high - low, 2 * stats.t.ppf(0.95, model.df_) * model.coef_std_)
    assert model.pooled_.interval(0.9)[0].shape == (4,)


def test_complete_data_give_the_ordinary_answer():
    X, y = make_data(share=0.0)
    model, plain = exact().fit(X, y), LinearRegression().fit(X, y)
    np.testing.assert_allclose(model.coef_, plain.coef_)
    np.testing.assert_allclose(model.coef_std_**2, closed_form_variances(plain, X, y)[:3])
    np.testing.assert_allclose(model.fraction_missing_information_, 0, atol=0.02)
    np.testing.assert_allclose(model.predict(X), plain.predict(X))


def test_same_seed_same_result():
    X, y = make_data()
    first, again, other = (exact(random_state=seed).fit(X, y) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert (first.coef_ != other.coef_).all()
    np.testing.assert_array_equal(first.predict(X), first.predict(X))


def test_predictions_are_means_over_what_is_missing():
    X, y = make_data(400)
    new, _ = make_data(50, seed=1)
    model = exact(n_imputations=300).fit(X, y)
    features = Gaussian(np.zeros(3), SPREAD).fit(new)
    expected = features.sample(4000, new, 0).mean(axis=0) @ model.coef_ + model.intercept_
    np.testing.assert_allclose(model.predict(new), expected, atol=0.25)
    complete = np.nan_to_num(new)
    np.testing.assert_allclose(model.predict(complete), complete @ model.coef_ + model.intercept_)
    assert model.score(X, y) > 0.2


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifiers(n_classes):
    X, y = make_data(300)
    target = np.array(["low", "mid", "top"])[np.digitize(y, [0.0] if n_classes == 2 else [-0.7, 0.7])]
    model = exact(imputer=Gaussian(), estimator=maximum_likelihood(), n_imputations=5).fit(X, target)
    assert is_classifier(model)
    n_sets = 1 if n_classes == 2 else 3
    assert model.coef_.shape == model.df_.shape == model.confidence_interval()[0].shape == (n_sets, 3)
    assert model.intercept_.shape == model.intercept_std_.shape == (n_sets,)
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (300, n_classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(X), model.classes_[probabilities.argmax(axis=1)])
    assert model.score(X, target) > 1.3 / n_classes
    # the imputer has seen 0 and 1 for each class but the first
    indicators = model.imputers_[0].seen_[:, 3:]
    np.testing.assert_array_equal(indicators, target[:, None] == model.classes_[1:])


def test_classifiers_without_probabilities_vote():
    X, y = make_data()
    model = PooledEstimator(Gaussian(), RidgeClassifier(), n_imputations=3, n_bootstraps=3, random_state=0)
    model.fit(X, y > 0)
    assert not hasattr(model, "predict_proba")
    assert hasattr(PooledEstimator(Gaussian(), LogisticRegression()), "predict_proba")
    assert not hasattr(PooledEstimator(Gaussian(), LinearRegression()), "predict_proba")
    complete = np.nan_to_num(X)
    votes = np.mean([fitted.predict(complete) for fitted in model.estimators_], axis=0)
    np.testing.assert_array_equal(model.predict(complete), votes > 0.5)


def test_several_imputers():
    """Each sees resampled rows, and draws its share; what they do not agree on makes intervals wider."""
    X, y = make_data()
    settings = {"n_imputations": 11, "random_state": 0}
    model = PooledEstimator(Gaussian(), LinearRegression(), n_imputers=4, **settings).fit(X, y)
    assert len(model.imputers_) == 4
    assert len(model.estimators_) == 11
    rows = np.column_stack([X, y])
    for imputer in model.imputers_:
        assert 50 < len(np.unique(imputer.seen_[:, 3])) < 120
        assert np.isin(imputer.seen_[:, 3], y).all()
    whole = PooledEstimator(Gaussian(), LinearRegression(), n_imputers=1, **settings).fit(X, y)
    np.testing.assert_array_equal(whole.imputers_[0].seen_, rows)
    few = PooledEstimator(Gaussian(), LinearRegression(), n_imputers=4, n_imputations=3).fit(X, y)
    assert len(few.imputers_) == 3
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    frame = pd.DataFrame(X, columns=list("abc"), index=range(7, 157))
    np.testing.assert_allclose(clone(model).fit(frame, y).coef_, model.coef_)


def test_intervals_that_contain_the_errors_of_the_imputer():
    """Where a feature is missing in most rows, and the imputer has learned its relations from few."""
    found = {1: [], 10: []}
    for seed in range(40):
        X, y = make_data(100, seed=seed, share=0.5)
        X[:, 1:] = make_data(100, seed=seed, share=0.0)[0][:, 1:]
        for n_imputers, fits in found.items():
            model = exact(imputer=Gaussian(), n_imputers=n_imputers, random_state=seed)
            fits.append(model.fit(X, y))
    assert coverage(found[10], 0.9) == pytest.approx(0.9, abs=0.05)
    assert coverage(found[1], 0.9) < 0.8


def test_other_models_are_bootstrapped():
    X, y = make_data()
    settings = {"n_imputations": 4, "random_state": 0}
    ridge = PooledEstimator(Gaussian(), Ridge(alpha=1e-6), n_bootstraps=60, **settings).fit(X, y)
    plain = PooledEstimator(Gaussian(), LinearRegression(), **settings).fit(X, y)
    np.testing.assert_allclose(ridge.coef_, plain.coef_, rtol=1e-4)
    np.testing.assert_allclose(ridge.coef_std_, plain.coef_std_, rtol=0.4)
    forced = plain.set_params(variance="bootstrap", n_bootstraps=60).fit(X, y)
    np.testing.assert_allclose(forced.pooled_.within, ridge.pooled_.within, rtol=1e-3)


def test_variances_of_the_user():
    X, y = make_data()

    def constant(fitted, completed, target):
        assert not np.isnan(completed).any()
        np.testing.assert_array_equal(target, y)
        return np.array([1.0, 2.0, 3.0, 4.0])

    model = exact(variance=constant).fit(X, y)
    np.testing.assert_array_equal(model.pooled_.within, [1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"an array of shape \(4,\), but returned one of shape \(3,\)"):
        exact(variance=lambda *arguments: np.ones(3)).fit(X, y)


# containers, and what the imputer sees

CONTAINERS = {
    "array": np.asarray,
    "float32": lambda X: X.astype(np.float32),
    "list": np.ndarray.tolist,
    "tensor": torch.tensor,
    "masked": np.ma.masked_invalid,
    "frame": lambda X: pd.DataFrame(X, columns=list("abc"), index=range(7, 7 + len(X))),
    "nullable": lambda X: pd.DataFrame(X, columns=list("abc")).convert_dtypes(),
    "positions": pd.DataFrame,
    "levels": lambda X: pd.DataFrame(
        X, columns=pd.MultiIndex.from_tuples([("l", "a"), ("l", "b"), ("r", "c")], names=["side", "name"])
    ),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container(name):
    values, y = make_data()
    X = CONTAINERS[name](values)
    before = copy.deepcopy(X)
    model, plain = exact().fit(X, y), exact().fit(values, y)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-5)
    np.testing.assert_allclose(model.coef_std_, plain.coef_std_, rtol=1e-5)
    np.testing.assert_allclose(model.predict(X), plain.predict(values), rtol=1e-4)
    assert model.n_features_in_ == 3
    assert hasattr(model, "feature_names_in_") == (name in ("frame", "nullable"))
    if isinstance(X, pd.DataFrame):
        pd.testing.assert_frame_equal(X, before)
        assert model.imputers_[0].seen_.index.equals(X.index)
        assert model.imputers_[0].seen_.columns.names == X.columns.names
        assert isinstance(model.imputers_[0].seen_.columns, type(pd.Index([(1, 2)]))) == (name == "levels")


@pytest.mark.parametrize("name", ["list", "series", "column", "nullable", "whole numbers"])
def test_targets(name):
    X, y = make_data()
    y = np.rint(10 * y)
    given = {
        "list": y.tolist(),
        "series": pd.Series(y, index=range(9, 159)),
        "nullable": pd.Series(y).astype("Int64"),
        "whole numbers": y.astype(int),
        "column": pd.Series(y, name="price"),
    }[name]
    np.testing.assert_allclose(exact().fit(X, given).coef_, exact().fit(X, y).coef_)


GROUPS = {
    "none": None,
    "dict": {"left": ["b", "a"], "right": ["c"]},
    "positions": {"left": [0, 1], "right": [-1]},
    "slices": {"left": slice(0, 2), "right": slice(2, None)},
    "callable": lambda X: {"left": [0, 1], "right": [X.shape[1] - 1]},
}


@pytest.mark.parametrize("is_frame", [False, True])
@pytest.mark.parametrize("name", GROUPS)
def test_the_target_is_a_modality_of_its_own(name, is_frame):
    X, y = make_data()
    if is_frame:
        X = pd.DataFrame(X, columns=list("abc"))
    elif name == "dict":
        return
    groups = resolve_modalities(X, GROUPS[name])
    imputer = Grouped(GROUPS[name])
    model = exact(imputer=imputer, n_imputations=2).fit(X, y)
    seen = model.imputers_[0].seen_
    found = resolve_modalities(seen, model.imputers_[0].modalities)
    assert list(found) == [*groups, "y"]
    for group, columns in groups.items():
        assert found[group].tolist() == columns.tolist()
    assert found["y"].tolist() == [3]
    np.testing.assert_array_equal(np.asarray(seen)[:, 3], y)
    assert imputer.modalities is GROUPS[name]  # the user's is not changed


@pytest.mark.parametrize("n_classes", [2, 4])
def test_modality_of_classes(n_classes):
    X, y = make_data()
    X = pd.DataFrame(X, columns=pd.MultiIndex.from_tuples([("y", "a"), ("y", "b"), ("r", "c")]))
    target = np.digitize(y, [0.0] if n_classes == 2 else [-1.0, 0.0, 1.0])
    model = PooledEstimator(Grouped(), LogisticRegression(), n_imputations=2, n_bootstraps=2, random_state=0)
    model.fit(X, target)
    found = resolve_modalities(model.imputers_[0].seen_, model.imputers_[0].modalities)
    assert list(found) == ["y", "r", "y_"]  # X has a "y"
    labels = [("y_", "y_")] if n_classes == 2 else [("y_", f"y_={k}") for k in (1, 2, 3)]
    assert list(model.imputers_[0].seen_.columns[3:]) == labels
    model.predict(X)


def test_columns_called_y():
    X, y = make_data()
    frame = pd.DataFrame(X, columns=["x", "y", "y_"])
    model = exact().fit(frame, y)
    assert model.imputers_[0].seen_.columns.tolist() == ["x", "y", "y_", "y__"]
    assert model.feature_names_in_.tolist() == ["x", "y", "y_"]


def test_names_are_checked():
    X, y = make_data()
    frame = pd.DataFrame(X, columns=list("abc"))
    model = exact().fit(frame, y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b", "a", "c"]])


# scikit-learn's conventions


@parametrize_with_checks(
    [
        PooledEstimator(Gaussian(), LinearRegression(), n_imputations=2, random_state=0),
        PooledEstimator(Gaussian(), LogisticRegression(), n_imputations=2, n_bootstraps=2, random_state=0),
    ]
)
def test_checks_of_scikit_learn(estimator, check, numpy_generator_put_back):
    check(estimator)


def test_parameters():
    model = exact()
    assert is_regressor(model)
    copied = clone(model).set_params(
        n_imputations=3, estimator__fit_intercept=False, imputer__mean=np.ones(4)
    )
    assert copied.get_params()["estimator__fit_intercept"] is False
    assert model.estimator.fit_intercept
    X, y = make_data()
    copied.fit(X, y)
    assert copied.intercept_ == 0
    assert copied.intercept_std_ == 0
    assert len(copied.estimators_) == 3
    np.testing.assert_array_equal(copied.imputers_[0].mean_, 1)
    assert not hasattr(copied.imputer, "mean_")
    assert not hasattr(copied.estimator, "coef_")
    again = pickle.loads(pickle.dumps(copied))
    np.testing.assert_array_equal(again.predict(X), copied.predict(X))


def test_what_is_set_after_fit_changes_no_prediction():
    X, y = make_data()
    model = exact().fit(X, y)
    expected = model.predict(X)
    model.set_params(n_imputations=3, include_y=False, random_state=5)
    np.testing.assert_array_equal(model.predict(X), expected)


def test_search():
    X, y = make_data()
    model = PooledEstimator(Gaussian(), Ridge(), n_imputations=2, n_bootstraps=2, random_state=0)
    search = GridSearchCV(model, {"estimator__alpha": [1e-3, 1e6]}, cv=2, error_score="raise").fit(X, y)
    assert search.best_index_ == 0


@pytest.mark.parametrize("include_y", [True, False])
def test_an_imputer_that_is_fitted_already(include_y):
    X, y = make_data()
    extra, _ = make_data(seed=1)  # rows without a target
    table = np.column_stack([X, y]) if include_y else X
    more = np.column_stack([extra, np.full(150, NAN)]) if include_y else extra
    imputer = Grouped().fit(np.concatenate([table, more]))
    model = PooledEstimator(
        FrozenEstimator(imputer), LinearRegression(), include_y=include_y, n_imputations=2
    )
    model.fit(X, y)
    assert model.imputers_[0].seen_.shape[0] == 300
    assert imputer.modalities is None


# messages


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_imputations": 1}, ValueError, "The 'n_imputations' parameter of PooledEstimator must be"),
        ({"variance": "robust"}, ValueError, "The 'variance' parameter of PooledEstimator must be"),
        ({"n_bootstraps": 1}, ValueError, "The 'n_bootstraps' parameter"),
        ({"n_imputers": 0}, ValueError, "The 'n_imputers' parameter"),
        ({"include_y": "yes"}, ValueError, "The 'include_y' parameter"),
        (
            {"imputer": LinearRegression()},
            ValueError,
            "The 'imputer' parameter .* implementing 'fit' and 'sample'",
        ),
        (
            {"estimator": DecisionTreeRegressor(random_state=0)},
            TypeError,
            "must have coef_ and intercept_ .* got DecisionTree",
        ),
    ],
)
def test_wrong_parameters(parameters, error, message):
    X, y = make_data()
    model = exact().fit(X, y)
    before = dict(model.__dict__)
    with pytest.raises(error, match=message):
        model.set_params(**parameters).fit(X, y)
    fitted = {name: value for name, value in model.__dict__.items() if name.endswith("_")}
    assert all(before[name] is value for name, value in fitted.items())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (NAN, r"y must be complete, but its entry 4 is missing \(NaN\); drop such rows"),
        (np.inf, "y contains infinity, in entry 4"),
    ],
)
def test_targets_that_are_no_numbers(entry, message):
    X, y = make_data()
    y[4] = entry
    with pytest.raises(ValueError, match=message):
        exact().fit(X, y)


@pytest.mark.parametrize("missing", [None, NAN, pd.NA])
def test_labels_that_are_missing(missing):
    X, y = make_data()
    target = np.where(y > 0, "up", "down").astype(object)
    target[2] = missing
    model = PooledEstimator(Gaussian(), LogisticRegression())
    with pytest.raises(ValueError, match="y must be complete, but its entry 2 is missing"):
        model.fit(X, target)
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.fit(X, None)


def test_too_few_rows():
    X, y = make_data(4)
    with pytest.raises(
        ValueError, match=r"errors of 4 coefficients need more rows .* n_samples=4; give more"
    ):
        exact().fit(X, y)


def test_unfitted():
    X, _ = make_data()
    for method in ("predict", "confidence_interval"):
        with pytest.raises(NotFittedError):
            getattr(exact(), method)(X)


# with a real network


def test_a_small_network():
    """Half of one modality is missing, most often where y is large."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 1)) + 0.5 * rng.normal(size=(300, 3))
    y = X @ [1.0, -1.0, 0.0] + 0.5 * rng.normal(size=300)
    frame = pd.DataFrame(X, columns=pd.MultiIndex.from_tuples([("a", "p"), ("b", "q"), ("b", "r")]))
    full = LinearRegression().fit(X, y)
    frame.loc[rng.uniform(size=300) < 0.8 * (y > 0), ("a", "p")] = NAN
    vae = MultimodalVAE(4, hidden_layer_sizes=(32,), objective="iwae", max_iter=80, random_state=0)
    model = exact(imputer=vae).fit(frame, y)
    assert model.imputers_[0].layout_.names == ("a", "b", "y")
    np.testing.assert_allclose(model.coef_, full.coef_, atol=0.2)
    low, high = model.confidence_interval(0.99)
    assert ((low < [1, -1, 0]) & (high > [1, -1, 0])).all()
    means = frame.fillna(frame.mean())
    assert (
        np.abs(model.coef_ - full.coef_).max()
        < np.abs(LinearRegression().fit(means, y).coef_ - full.coef_).max()
    )
    assert model.fraction_missing_information_[0] > 0.05
    assert model.score(frame, y) > 0.3
