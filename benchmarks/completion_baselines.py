"""Other methods of the benchmark of completion: what fills missing entries of a standardised table.

All are given the same: a training table with gaps, and tables to complete. What has a strength of
regularisation chooses it by hiding, from 20 % of the training rows, what the benchmark hides from test rows.
"""

# ruff: noqa: D102  Method says once what its methods do

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge, RidgeCV
from sklearn.model_selection import train_test_split

from benchmarks.completion_data import Circumstances, Method, by_pattern, error, hidden_in_turn

FEWEST_ROWS = 20  # on which a regression for one pattern is fitted
WIDE = 40  # columns, above which what takes too long is cut down


# --- scikit-learn's imputers ---------------------------------------------------------------------------


class Imputer(Method):
    """An imputer of scikit-learn."""

    def __init__(self, imputer: Any) -> None:
        self.imputer = imputer

    def fit(self, X: np.ndarray) -> Self:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # rounds are limited on purpose
            self.imputer.set_params(keep_empty_features=True).fit(X)
        return self

    def complete(self, X: np.ndarray) -> np.ndarray:
        return self.imputer.transform(X)


class Chained(Imputer):
    """IterativeImputer: regression of each column on all others, over and over.

    What it fills in is kept within what was observed of the column, without which columns that are nearly
    alike, and missing together, drive one another to infinity. Wide tables get fewer rounds.
    """

    def __init__(
        self, regressor: BaseEstimator, at: Circumstances, *, rounds: int, rounds_if_wide: int
    ) -> None:
        super().__init__(IterativeImputer(regressor, random_state=at.seed))
        self.rounds, self.rounds_if_wide = rounds, rounds_if_wide

    def fit(self, X: np.ndarray) -> Self:
        rounds = self.rounds_if_wide if X.shape[1] > WIDE else self.rounds
        within = {"min_value": np.nanmin(X, axis=0), "max_value": np.nanmax(X, axis=0)}
        self.imputer.set_params(max_iter=rounds, **within)
        return super().fit(X)


class ChainedTrees(Chained):
    """Chained regressions by ExtraTreesRegressor, which is missForest but for the kind of trees.

    On wide tables a split looks at few columns: without this, and also with ``n_nearest_features=20`` in its
    place, the trees lean on what was filled in beside the target, and are worse than the mean on quarters of
    digits, and slower.
    """

    def __init__(self, at: Circumstances) -> None:
        trees = ExtraTreesRegressor(50, min_samples_leaf=2, n_jobs=at.jobs, random_state=at.seed)
        super().__init__(trees, at, rounds=10, rounds_if_wide=3)

    def fit(self, X: np.ndarray) -> Self:
        if X.shape[1] > WIDE:
            self.imputer.estimator.set_params(max_features="sqrt")
        return super().fit(X)


# --- a regression for each pattern ---------------------------------------------------------------------


class PerPattern(Method):
    """Regression, for each set of observed columns, of the others on these.

    It is fitted, when the pattern is first met, on the training rows that are complete in the observed
    columns and have the target. Where these are fewer than 20, it is fitted on all that have the target,
    with zero, which is the mean, for missing predictors.
    """

    def __init__(self, regressor: BaseEstimator) -> None:
        self.regressor = regressor

    def fit(self, X: np.ndarray) -> Self:
        self.X, self.known = np.nan_to_num(X), ~np.isnan(X)
        self.fitted: dict[bytes, list[tuple[np.ndarray, Any]]] = {}
        return self

    def complete(self, X: np.ndarray) -> np.ndarray:
        completed = np.nan_to_num(X)
        for missing, rows in by_pattern(X):
            if missing.all() or not missing.any():
                continue
            key = missing.tobytes()
            if key not in self.fitted:
                self.fitted[key] = list(self._regressions(missing))
            for columns, regressor in self.fitted[key]:
                predicted = regressor.predict(X[rows][:, ~missing])
                completed[np.ix_(rows, columns)] = predicted.reshape(len(rows), len(columns))
        return completed

    def _regressions(self, missing: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
        """Targets that the same training rows have go together."""
        targets = np.flatnonzero(missing)
        _, which = np.unique(self.known[:, targets], axis=1, return_inverse=True)
        for group in range(which.max() + 1):
            columns = targets[which == group]
            rows = self.known[:, columns[0]]
            complete = rows & self.known[:, ~missing].all(axis=1)
            rows = complete if complete.sum() >= FEWEST_ROWS else rows
            y = self.X[np.ix_(rows, columns)]
            y = y[:, 0] if len(columns) == 1 else y
            yield columns, clone(self.regressor).fit(self.X[rows][:, ~missing], y)


class PerColumn(Method):
    """Regression of each column on all others, for cells missing at random, where hardly two rows are alike.

    Predictors are the other columns, zero, which is the mean, where missing, and beside them where they are
    missing. It is fitted on the rows that have the target; others are missing as often as in the test.
    """

    def __init__(self, regressor: BaseEstimator) -> None:
        self.regressor = regressor

    def fit(self, X: np.ndarray) -> Self:
        self.fitted = []
        for j in range(X.shape[1]):
            rows = ~np.isnan(X[:, j])
            self.fitted.append(clone(self.regressor).fit(self._predictors(X[rows], j), X[rows, j]))
        return self

    def complete(self, X: np.ndarray) -> np.ndarray:
        completed = X.copy()
        for j, regressor in enumerate(self.fitted):
            rows = np.isnan(X[:, j])
            if rows.any():
                completed[rows, j] = regressor.predict(self._predictors(X[rows], j))
        return completed

    @staticmethod
    def _predictors(X: np.ndarray, target: int) -> np.ndarray:
        others = np.delete(X, target, axis=1)
        return np.hstack([np.nan_to_num(others), np.isnan(others)])


def regression(regressor: BaseEstimator, at: Circumstances) -> Method:
    """Regression of what is missing on what is observed."""
    return PerColumn(regressor) if at.hide == "cells" else PerPattern(regressor)


# --- models of the whole table, regularised ------------------------------------------------------------


class Regularised(Method):
    """A model whose strength of regularisation is chosen on a fifth of the training rows.

    Fits go from the greatest strength to the least, each from where the last one ended. The last fit, on all
    rows, goes the same way as far as the strength that was best.
    """

    strengths: Sequence[float]

    def __init__(self, at: Circumstances) -> None:
        self.at = at

    @abstractmethod
    def start(self, X: np.ndarray) -> None:
        """Begin anew."""

    @abstractmethod
    def fit_on(self, X: np.ndarray, strength: float) -> None:
        """Fit with this strength from where the model is."""

    def fit(self, X: np.ndarray) -> Self:
        rng = np.random.RandomState(self.at.seed)
        kept, held = train_test_split(X, test_size=0.2, random_state=rng)
        hidden = hidden_in_turn(held, self.at.modalities, self.at.hide, rng)
        errors = []
        self.start(kept)
        for strength in self.strengths:
            self.fit_on(kept, strength)
            errors.append(error(self, held, hidden))
        self.start(X)
        for strength in self.strengths[: int(np.argmin(errors)) + 1]:
            self.fit_on(X, strength)
        self.strength, self.errors = strength, errors
        return self


class Gaussian(Regularised):
    """Conditional mean under a Gaussian with full covariance, fitted by EM.

    After each maximisation, the covariance S becomes (1 - strength) S + strength diag(S): this is the mode
    of the posterior under an inverse Wishart prior whose scale is proportional to diag(S).
    """

    strengths = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.005, 0.001)
    max_iter = 100
    tol = 1e-3  # largest change of a covariance, where variances are about 1

    def start(self, X: np.ndarray) -> None:
        self.mean, self.covariance = np.nanmean(X, axis=0), np.diag(np.nanvar(X, axis=0) + 1e-6)

    def fit_on(self, X: np.ndarray, strength: float) -> None:
        for _ in range(self.max_iter):
            before = self.covariance
            self._step(X, strength)
            if np.abs(self.covariance - before).max() < self.tol:
                break

    def _step(self, X: np.ndarray, strength: float) -> None:
        completed, spread = self._expected(X)
        self.mean = completed.mean(axis=0)
        centred = completed - self.mean
        covariance = (centred.T @ centred + spread) / len(X)
        variances = np.diag(covariance)
        self.covariance = (1 - strength) * covariance + np.diag(strength * variances + 1e-6)

    def complete(self, X: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(X), self._expected(X)[0], X)

    def _expected(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional means of the rows, and the sum of their conditional covariances.

        Both by way of the precision P: what is missing has, given the rest, the covariance inv(P_mm) and the
        mean μ_m - inv(P_mm) P_mo (x_o - μ_o), so that what must be inverted is small where little is missing.
        """
        precision = np.linalg.inv(self.covariance)
        centred = np.nan_to_num(X - self.mean)
        pull = centred @ precision
        spread = np.zeros_like(precision)
        for missing, rows in by_pattern(X):
            columns = np.flatnonzero(missing)
            within = np.ix_(columns, columns)
            conditional = np.linalg.inv(precision[within])
            centred[np.ix_(rows, columns)] = -pull[np.ix_(rows, columns)] @ conditional
            spread[within] += len(rows) * conditional
        return centred + self.mean, spread


class SoftImpute(Regularised):
    """Completion by a matrix of low rank: iterated singular value decompositions with shrunken values.

    Training minimises half the squared error of the observed entries plus λ times the sum of the singular
    values of the completed matrix Z [1]_. With Z = U D V', this is the least, over all A B' = Z, of the same
    with λ (|A|² + |B|²) / 2 in place of it, where B = V sqrt(D). A new row x therefore gets the factor a that
    minimises |x_o - B_o a|² + λ |a|² over its observed columns, a ridge regression, and is completed by B a.
    On training rows, this gives what training has given. λ is the strength, times the norm of the table with
    zeros for gaps, above which Z is zero.

    References
    ----------
    .. [1] Mazumder, Hastie and Tibshirani (2010), "Spectral Regularization Algorithms for Learning Large
       Incomplete Matrices", JMLR 11.
    """

    strengths = (0.7, 0.5, 0.35, 0.25, 0.17, 0.12, 0.08, 0.055, 0.035, 0.02, 0.01)
    max_iter = 500
    tol = 1e-6  # square of the relative change of Z

    def start(self, X: np.ndarray) -> None:
        self.low_rank = np.zeros(X.shape)
        self.norm = np.linalg.norm(np.nan_to_num(X), 2)

    def fit_on(self, X: np.ndarray, strength: float) -> None:
        self.penalty = strength * self.norm
        for _ in range(self.max_iter):
            before = self.low_rank
            self._step(np.where(np.isnan(X), before, X))
            if np.square(self.low_rank - before).sum() <= self.tol * np.square(before).sum():
                break

    def _step(self, filled: np.ndarray) -> None:
        """Shrink singular values, by way of the smaller product of the matrix with itself."""
        squared, right = np.linalg.eigh(filled.T @ filled)
        singular = np.sqrt(np.maximum(squared, 0))
        kept = singular > self.penalty
        right, singular = right[:, kept], singular[kept]
        shrunken = singular - self.penalty
        self.low_rank = (filled @ right) * (shrunken / singular) @ right.T
        self.basis = right * np.sqrt(shrunken)  # B

    def complete(self, X: np.ndarray) -> np.ndarray:
        completed = X.copy()
        for missing, rows in by_pattern(X):
            basis = self.basis[~missing]
            gram = basis.T @ basis + self.penalty * np.eye(basis.shape[1])
            factors = np.linalg.solve(gram, basis.T @ X[rows][:, ~missing].T)  # (rank, n_rows)
            completed[np.ix_(rows, np.flatnonzero(missing))] = (self.basis[missing] @ factors).T
        return completed


# --- all of them ---------------------------------------------------------------------------------------


def mean(at: Circumstances) -> Method:
    return Imputer(SimpleImputer())


def knn(at: Circumstances) -> Method:
    """Ten neighbours of a row, by the columns that both have; near ones count more."""
    return Imputer(KNNImputer(n_neighbors=10, weights="distance"))


def chained_ridge(at: Circumstances) -> Method:
    return Chained(BayesianRidge(), at, rounds=30, rounds_if_wide=10)


def ridge(at: Circumstances) -> Method:
    """The penalty by leaving one out."""
    return regression(RidgeCV(np.logspace(-2, 4, 13)), at)


def extra_trees(at: Circumstances) -> Method:
    trees = ExtraTreesRegressor(100, n_jobs=at.jobs, random_state=at.seed)
    wide_cells = at.hide == "cells" and sum(map(len, at.modalities.values())) > WIDE
    # a forest for each of so many columns: a split looks at a third of them, to save time
    return regression(trees.set_params(max_features=1 / 3) if wide_cells else trees, at)


BASELINES: dict[str, Callable[[Circumstances], Method]] = {
    "mean": mean,
    "kNN": knn,
    "chained-ridge": chained_ridge,
    "chained-trees": ChainedTrees,
    "EM-Gaussian": Gaussian,
    "soft-impute": SoftImpute,
    "ridge": ridge,
    "extra-trees": extra_trees,
}
