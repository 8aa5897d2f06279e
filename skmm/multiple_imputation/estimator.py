"""PooledEstimator: a linear model of incomplete features, by multiple imputation."""

from __future__ import annotations

import copy
import numbers
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.utils import check_consistent_length, column_or_1d, get_tags, resample
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from skmm._blocks.containers import check_table, column_labels, unstacked
from skmm._blocks.modalities import resolve_modalities
from skmm._estimator.atomic import unchanged_on_failure
from skmm._torch import RandomStateLike, as_random_state, draw_seed
from skmm.multiple_imputation.rubin import pool
from skmm.multiple_imputation.variances import bootstrap_variances, closed_form_variances, coefficients

TARGET = "y"  # the modality that holds the target, in the eyes of the imputer


def _predicts_probabilities(pooled: PooledEstimator) -> bool:
    return is_classifier(pooled) and hasattr(pooled.estimator, "predict_proba")


class PooledEstimator(BaseEstimator):
    """A linear model of incomplete features: fitted on several completions, and pooled.

    A model fitted on one completion takes drawn or expected values for measured ones, so that its standard
    errors are too small; with expected values, its coefficients are biased, too. Here the missing entries are
    drawn several times and the model is fitted each time. How much its coefficients differ says what the
    missing entries leave unknown [1]_.

    Parameters
    ----------
    imputer : estimator
        What draws the missing entries: a :class:`skmm.MultimodalVAE`, or anything with ``fit(X, y=None)``
        and ``sample(n_samples, given=X, random_state=...)`` that returns an array of shape
        ``(n_samples, *X.shape)``, or a frame with an outer index level that counts the draws. It is cloned;
        one that is fitted already can be given as a :class:`sklearn.frozen.FrozenEstimator`.
    estimator : estimator
        A regressor or classifier with ``coef_`` and ``intercept_``, such as
        :class:`sklearn.linear_model.LinearRegression`. It is cloned, never fitted itself.
    n_imputations : int, default=20
        Number of completions. 20 to 100 are usual: with fewer, standard errors vary from seed to seed.
    n_imputers : int, default=5
        Number of imputers, each fitted on resampled rows, that share the completions among them; at most
        ``n_imputations``. The draws of a single one are made as if it knew the distribution of the data: its
        own errors are in no interval. With 1, it is fitted on the rows as they are: quicker, but intervals of
        coefficients that have lost much information are too narrow. A frozen one stays as it was fitted.
    include_y : bool, default=True
        Whether the imputer sees y, in further columns behind those of X: y itself, or, of classes, 0 and 1
        for each class but the first. An imputer with a parameter ``modalities`` gets them as a modality "y"
        (with underscores after it, where X has a "y"). Without them, draws know nothing of the relation that
        is to be estimated, and coefficients come out too near to 0 [2]_. A frozen imputer must have been
        fitted on such a table.
    variance : {"auto", "bootstrap"} or callable, default="auto"
        Variances of the coefficients of one completion. "auto" takes the closed form for LinearRegression
        (residuals of equal variance) and for LogisticRegression without a penalty (the inverse of the Fisher
        information), and "bootstrap" for all others: the variance over resampled rows. A callable
        ``f(fitted_estimator, X, y)`` returns them in the shape of ``coef_``, with one more column at the end
        for the intercept.
    n_bootstraps : int, default=100
        Number of resamples for each completion.
    random_state : int, RandomState instance or None, default=None
        Of draws and resamples. The imputer has its own.

    Attributes
    ----------
    coef_ : float array of shape (n_features,) or (n_classes, n_features)
        Pooled coefficients; one row where there are two classes, as scikit-learn's classifiers have it.
    intercept_ : float or array of shape (n_classes,)
        Pooled.
    coef_std_, intercept_std_ : float arrays
        Their standard errors.
    df_ : float array of the shape of ``coef_``
        Degrees of freedom of the t distribution of each coefficient.
    fraction_missing_information_ : float array of the shape of ``coef_``
        Share of what complete data would say of each coefficient that is missing, from 0 to 1.
    pooled_ : skmm.multiple_imputation.PooledResult
        All of this of coefficients and, in the last column, of intercepts.
    estimators_ : list of estimators
        Fitted on each completion.
    imputers_ : list of estimators
        The fitted imputers.
    classes_ : array of shape (n_classes,)
        Labels, where ``estimator`` is a classifier.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : array of shape (n_features,)
        Names seen in ``fit``, where X had string names.

    See Also
    --------
    skmm.multiple_imputation.pool : Pools any estimates.
    MultimodalImputer : One completion, for predictions.

    Notes
    -----
    Degrees of freedom start from those that complete data would leave, which are known of LinearRegression;
    of other models, samples are taken to be large.

    Coefficients are right as far as the imputer's draws are: where it has missed part of a relation, they are
    too near to 0. Take a :class:`skmm.MultimodalVAE` with ``objective="iwae"``, which misses least, and check
    its draws with :func:`skmm.metrics.interval_coverage`.

    Fits to resampled rows stand in for draws of the imputer's parameters from what the data leave possible
    [4]_, which networks do not offer.

    y must be complete. A row without a target helps to impute the others, and is of no further use to the
    coefficients [3]_: fit the imputer on all rows, and give it frozen.

    A penalty pulls coefficients towards 0, and no interval around them says by how much. Give
    ``LogisticRegression(C=np.inf)`` where intervals are what you want.

    References
    ----------
    .. [1] Rubin (1987), "Multiple Imputation for Nonresponse in Surveys", Wiley.
    .. [2] Moons et al. (2006), "Using the outcome for imputation of missing predictor values was preferred",
       Journal of Clinical Epidemiology 59.
    .. [3] von Hippel (2007), "Regression with missing Ys: an improved strategy for analyzing multiply imputed
       data", Sociological Methodology 37.
    .. [4] Rubin and Schenker (1986), "Multiple imputation for interval estimation from simple random samples
       with ignorable nonresponse", Journal of the American Statistical Association 81.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skmm import MultimodalVAE, PooledEstimator
    >>> rng = np.random.RandomState(0)
    >>> X = rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=(200, 3))
    >>> y = X @ [1.0, -1.0, 0.0] + rng.normal(size=200)
    >>> X[:50, 0] = np.nan
    >>> vae = MultimodalVAE(
    ...     2, modalities={"a": [0], "b": [1, 2]}, objective="iwae", max_iter=20, random_state=0
    ... )
    >>> model = PooledEstimator(vae, LinearRegression(), n_imputers=2, random_state=0).fit(X, y)
    >>> low, high = model.confidence_interval(0.95)
    >>> bool(low[0] > 0), bool(high[1] < 0)  # 0 is no possible value of the first two
    (True, True)
    >>> bool(model.fraction_missing_information_[0] > 0)
    True
    """

    _parameter_constraints: dict[str, Any] = {
        "imputer": [HasMethods(["fit", "sample"])],
        "estimator": [HasMethods(["fit", "predict"])],
        "n_imputations": [Interval(numbers.Integral, 2, None, closed="left")],
        "n_imputers": [Interval(numbers.Integral, 1, None, closed="left")],
        "include_y": ["boolean"],
        "variance": [StrOptions({"auto", "bootstrap"}), callable],
        "n_bootstraps": [Interval(numbers.Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        imputer: Any,
        estimator: Any,
        *,
        n_imputations: int = 20,
        n_imputers: int = 5,
        include_y: bool = True,
        variance: Any = "auto",
        n_bootstraps: int = 100,
        random_state: RandomStateLike = None,
    ) -> None:
        self.imputer = imputer
        self.estimator = estimator
        self.n_imputations = n_imputations
        self.n_imputers = n_imputers
        self.include_y = include_y
        self.variance = variance
        self.n_bootstraps = n_bootstraps
        self.random_state = random_state

    # --- fitting ---------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> PooledEstimator:
        """Complete X several times, fit the estimator each time, and pool its coefficients.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Of numbers; categories must be encoded before. NaN (or pandas.NA, or a mask) marks what is
            missing.
        y : array-like of shape (n_samples,)
            Without missing entries.

        Returns
        -------
        self : PooledEstimator

        Raises
        ------
        ValueError
            If y lacks entries, a parameter or X is not as it must be, or there are too few rows. As after
            every error, the estimator stays as it was before.
        TypeError
            If ``estimator`` has no coefficients.
        """
        with unchanged_on_failure(self):
            self._fit(X, y)
        return self

    def _fit(self, X: Any, y: Any) -> None:
        self._validate_params()
        table = check_table(self, X, reset=True)
        target, seen = self._read_target(table, y)
        df_complete = self._df_complete(len(table))
        generator = as_random_state(self.random_state)
        imputer = clone(self.imputer, safe=False)
        self._target_labels = self._announce_target(imputer, table, seen) if self.include_y else ()
        self.imputers_ = self._fit_imputers(imputer, self._beside(table, seen), generator)
        self.estimators_, estimates, variances = [], [], []
        for completed in self._completions(table, seen, self.n_imputations, draw_seed(generator)):
            fitted = clone(self.estimator).fit(completed, target)
            self.estimators_.append(fitted)
            estimates.append(coefficients(fitted))
            variances.append(self._variances(fitted, completed, target, generator))
        self.pooled_ = pool(estimates, variances, df_complete=df_complete)
        self.coef_, self.intercept_ = _parted(self.pooled_.estimate)
        self.coef_std_, self.intercept_std_ = _parted(self.pooled_.std)
        self.df_, _ = _parted(self.pooled_.df)
        self.fraction_missing_information_, _ = _parted(self.pooled_.fraction_missing_information)
        self._seed = draw_seed(generator)  # the same draws for every prediction

    def _fit_imputers(self, imputer: Any, table: Any, generator: np.random.RandomState) -> list[Any]:
        n_imputers = min(self.n_imputers, self.n_imputations)
        tables = (
            table if n_imputers == 1 else resample(table, random_state=generator) for _ in range(n_imputers)
        )
        return [clone(imputer, safe=False).fit(each, None) for each in tables]  # FrozenEstimator wants a y

    def _read_target(self, table: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """The target for the estimator, and as numbers (n_samples, n_columns) for the imputer."""
        if y is None:
            raise ValueError("PooledEstimator requires y to be passed, but the target y is None.")
        target = column_or_1d(y, warn=True)
        check_consistent_length(table, target)
        missing = pd.isna(target)
        if missing.any():
            raise ValueError(
                f"y must be complete, but its entry {int(missing.argmax())} is missing (NaN); drop such rows "
                "from X and y. The imputer can still learn from them: fit it on all rows, and give it as a "
                "sklearn.frozen.FrozenEstimator."
            )
        if not is_classifier(self):
            target = target.astype(np.float64)
        infinite = np.isinf(target) if target.dtype.kind == "f" else np.zeros(len(target), dtype=bool)
        if infinite.any():
            raise ValueError(f"y contains infinity, in entry {int(infinite.argmax())}; correct it.")
        if not is_classifier(self):
            return target, target[:, None]
        check_classification_targets(target)
        self.classes_ = np.unique(target)
        return target, (target[:, None] == self.classes_[1:]).astype(np.float64)

    def _df_complete(self, n_rows: int) -> float:
        """Degrees of freedom that complete data would leave; infinite where they are not known."""
        from sklearn.linear_model import LinearRegression

        if type(self.estimator) is not LinearRegression:
            return np.inf
        n_coefficients = self.n_features_in_ + bool(self.estimator.fit_intercept)
        if n_rows <= n_coefficients:
            raise ValueError(
                f"The standard errors of {n_coefficients} coefficients need more rows than that, but X has "
                f"n_samples={n_rows}; give more rows, or fewer columns."
            )
        return n_rows - n_coefficients

    def _announce_target(self, imputer: Any, table: Any, target: np.ndarray) -> tuple[Hashable, ...]:
        """Find labels for the target's columns, and name them to an imputer that knows modalities."""
        labels = column_labels(table)
        knows_modalities = hasattr(imputer, "get_params") and "modalities" in imputer.get_params(deep=False)
        groups = resolve_modalities(table, imputer.modalities) if knows_modalities else {}
        name = TARGET
        while name in groups or name in labels:
            name += "_"
        added: list[Any] = [name]
        if is_classifier(self) and len(self.classes_) > 2:
            added = [f"{name}={label}" for label in self.classes_[1:]]
        if not isinstance(table, pd.DataFrame):
            added = [len(labels) + j for j in range(target.shape[1])]
        elif isinstance(table.columns, pd.MultiIndex):
            added = [(name, *[label] * (table.columns.nlevels - 1)) for label in added]
        elif not all(isinstance(label, str) for label in labels):  # which may not be mixed with strings
            added = [(name, label) for label in added]
        if knows_modalities:
            given = {group: [labels[j] for j in positions] for group, positions in groups.items()}
            imputer.set_params(modalities=given | {name: added})
        return tuple(added)

    def _beside(self, table: Any, target: np.ndarray) -> Any:
        """Put the target's columns to the right of a table, if the imputer is to see them."""
        if not self._target_labels:
            return table
        if not isinstance(table, pd.DataFrame):
            return np.column_stack([table, target])
        has_levels = isinstance(table.columns, pd.MultiIndex)
        labels = pd.Index(self._target_labels, tupleize_cols=has_levels).set_names(table.columns.names)
        return pd.concat([table, pd.DataFrame(target, index=table.index, columns=labels)], axis=1)

    def _completions(self, table: Any, target: np.ndarray, n_draws: int, seed: int) -> Iterator[Any]:
        """Draw completions of a table, without the target's columns."""
        given, generator = self._beside(table, target), as_random_state(seed)
        for imputer, share in zip(
            self.imputers_, np.array_split(np.arange(n_draws), len(self.imputers_)), strict=True
        ):
            draws = imputer.sample(len(share), given=given, random_state=draw_seed(generator))
            for i in range(len(share)):
                table = unstacked(draws, i)
                own = slice(self.n_features_in_)
                yield table.iloc[:, own] if isinstance(table, pd.DataFrame) else table[:, own]

    def _variances(self, fitted: Any, X: Any, y: np.ndarray, generator: np.random.RandomState) -> np.ndarray:
        """Variances of the coefficients of one completion, in the shape of :func:`coefficients`."""
        if callable(self.variance):
            given = np.asarray(self.variance(fitted, X, y), dtype=np.float64)
            expected = coefficients(fitted).shape
            if given.shape != expected:
                raise ValueError(
                    "variance must return one number for each coefficient, and one for the intercept at the "
                    f"end: an array of shape {expected}, but returned one of shape {given.shape}."
                )
            return given
        found = closed_form_variances(fitted, X, y) if self.variance == "auto" else None
        if found is None:
            classes = self.classes_ if is_classifier(self) else None
            found = bootstrap_variances(self.estimator, X, y, self.n_bootstraps, generator, classes)
        return found

    # --- answers ---------------------------------------------------------------------------------------

    def confidence_interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Confidence intervals of the coefficients.

        Parameters
        ----------
        level : float, default=0.95
            Between 0 and 1.

        Returns
        -------
        low, high : float arrays of the shape of ``coef_``
            Those of the intercept are in the last column of ``pooled_.interval(level)``.
        """
        check_is_fitted(self)
        low, high = self.pooled_.interval(level)
        return _parted(low)[0], _parted(high)[0]

    def predict(self, X: Any) -> np.ndarray:
        """Predict from rows that may lack entries: the mean over completions, each by its own estimator.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        y : array of shape (n_samples,)
            Of a classifier, the most probable label; where it gives no probabilities, the most frequent one.
            The same X gets the same completions every time.
        """
        mean = self._mean_over_completions(X)
        return self.classes_[mean.argmax(axis=1)] if is_classifier(self) else mean

    @available_if(_predicts_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes of rows that may lack entries: the mean over completions.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        probabilities : float array of shape (n_samples, n_classes)
        """
        return self._mean_over_completions(X)

    def _mean_over_completions(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        table = check_table(self, X, reset=False)
        unknown = np.full((len(table), len(self._target_labels)), np.nan)
        completions = self._completions(table, unknown, len(self.estimators_), self._seed)
        answers = [
            self._answer(fitted, completed)
            for fitted, completed in zip(self.estimators_, completions, strict=True)
        ]
        return np.mean(answers, axis=0)

    def _answer(self, fitted: Any, X: Any) -> np.ndarray:
        if _predicts_probabilities(self):
            return fitted.predict_proba(X)
        predicted = fitted.predict(X)
        return predicted[:, None] == self.classes_ if is_classifier(self) else predicted

    def score(self, X: Any, y: Any) -> float:
        """Accuracy of a classifier, coefficient of determination of a regressor.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        float
        """
        from sklearn.metrics import accuracy_score, r2_score

        measure = accuracy_score if is_classifier(self) else r2_score
        return float(measure(y, self.predict(X)))

    def __sklearn_tags__(self) -> Any:
        """Tags: the estimator's, but X may lack entries."""
        tags = super().__sklearn_tags__()
        if hasattr(self.estimator, "__sklearn_tags__") and not isinstance(self.estimator, type):
            inner = copy.deepcopy(get_tags(self.estimator))
            tags.estimator_type = inner.estimator_type
            tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags


def _parted(joint: np.ndarray) -> tuple[np.ndarray, Any]:
    """Coefficients, and intercepts."""
    return joint[..., :-1], joint[..., -1]
