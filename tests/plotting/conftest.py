"""Displays without a screen, figures closed again, and fitted estimators to draw."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from sklearn.base import BaseEstimator

import skmm
from skmm._blocks.containers import check_table, column_types, to_matrix
from skmm._blocks.layout import Layout
from skmm._blocks.modalities import resolve_modalities
from skmm.datasets import MOTION_MODALITIES, make_motions


@pytest.fixture(autouse=True)
def figures_are_closed() -> Iterator[None]:
    """Leave no figure behind: matplotlib warns of many."""
    yield
    plt.close("all")


def make_copies(n_rows: int, seed: int) -> pd.DataFrame:
    """Two modalities that hold nearly the same, and one that has nothing to do with them."""
    rng = np.random.RandomState(seed)
    source, other = rng.normal(size=(2, n_rows, 2))
    copy = source * [3.0, -0.5] + 0.05 * rng.normal(size=(n_rows, 2)) * [3.0, 0.5]
    tables = {"source": source, "copy": copy + 10.0, "other": other}
    return skmm.stack_modalities(
        {name: pd.DataFrame(table, columns=["u", "v"]) for name, table in tables.items()}
    )


@pytest.fixture(scope="session")
def copies() -> tuple[skmm.MultimodalVAE, pd.DataFrame]:
    """An estimator of tables, and rows that it has not seen."""
    vae = skmm.MultimodalVAE(4, max_iter=40, beta=1.0, hidden_layer_sizes=(), random_state=0)
    return vae.fit(make_copies(600, 0)), make_copies(400, 1)


@pytest.fixture(scope="session")
def motions() -> tuple[skmm.MultimodalVRNN, np.ndarray]:
    """An estimator of sequences, and sequences with gaps."""
    X, _ = make_motions(24, 10, random_state=0)
    X[:8, 3:7, 3:] = np.nan
    vrnn = skmm.MultimodalVRNN(3, modalities=MOTION_MODALITIES, max_iter=3, random_state=0)
    return vrnn.fit(X), X


class Gaussian(BaseEstimator):
    """Knows the covariance of all columns, whose means are 0, and so the exact answers."""

    def __init__(self, covariance: np.ndarray) -> None:
        self.covariance = covariance

    def fit(self, X: pd.DataFrame, y: None = None) -> Gaussian:
        table = check_table(self, X, reset=True)
        types = column_types(X, table)
        matrix = to_matrix(table, types)
        self.layout_ = Layout.fit(X, matrix, resolve_modalities(X), types, ["standard"] * X.shape[1])
        return self

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Conditional means of all columns, also of those that are given."""
        return X.fillna(0.0) * 0.0 + self._told(X, X.to_numpy())

    def sample(self, n_samples: int, given: pd.DataFrame, random_state: int) -> pd.DataFrame:
        """Conditional draws: those of the joint distribution, moved by what is known (Matheron's rule)."""
        rng = np.random.RandomState(random_state)
        draws = {}
        for draw in range(n_samples):
            joint = rng.multivariate_normal(np.zeros(given.shape[1]), self.covariance, size=len(given))
            draws[draw] = given.fillna(pd.DataFrame(joint, given.index, given.columns))
            draws[draw] += self._told(given, given.to_numpy() - joint) * given.isna()
        return pd.concat(draws, names=["draw"])

    def _told(self, X: pd.DataFrame, values: np.ndarray) -> np.ndarray:
        """What values of the columns that are known tell of all columns."""
        told = np.zeros(X.shape)
        patterns, pattern_of = np.unique(X.notna().to_numpy(), axis=0, return_inverse=True)
        for index, seen in enumerate(patterns):
            rows = pattern_of == index
            weights = np.linalg.lstsq(self.covariance[np.ix_(seen, seen)], self.covariance[seen], rcond=None)[
                0
            ]
            told[rows] = values[np.ix_(rows, seen)] @ weights
        return told


@pytest.fixture(scope="session")
def exact_gaussian() -> type[Gaussian]:
    """An estimator of which it is known what its pictures must show."""
    return Gaussian


def make_mixed(n_rows: int, seed: int) -> pd.DataFrame:
    """Numbers, whole numbers, a flag, categories, ordered categories and text."""
    rng = np.random.RandomState(seed)
    z = rng.normal(size=n_rows)
    return skmm.stack_modalities(
        {
            "numbers": pd.DataFrame({"size": z, "count": rng.poisson(np.exp(0.5 * z)).astype(float)}),
            "answers": pd.DataFrame(
                {
                    "flag": pd.array(z > 0, dtype="boolean"),
                    "colour": pd.Categorical.from_codes((z > 0) * 1 + (z > 1), ["red", "green", "blue"]),
                    "grade": pd.Categorical.from_codes((z > -1) * 1 + (z > 1), list("abc"), ordered=True),
                    "town": np.where(z > 0.3, "Upper Little Wallop", "Basingstoke").astype(object),
                }
            ),
        }
    )


@pytest.fixture(scope="session")
def mixed() -> tuple[skmm.MultimodalVAE, pd.DataFrame]:
    """An estimator of columns of all types, and rows of which a modality is missing here and there."""
    X = make_mixed(300, 1)
    X.loc[:99, "numbers"] = np.nan
    for column in X["answers"]:
        X.loc[200:, ("answers", column)] = X["answers", column].iloc[200:].mask(np.ones(100, dtype=bool))
    return skmm.MultimodalVAE(3, max_iter=15, random_state=0).fit(make_mixed(300, 0)), X
