"""What latent variables tell of classes that they were not trained on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_consistent_length, column_or_1d

from skmm._torch import RandomStateLike, as_random_state
from skmm.metrics.hiding import Truth

MAX_SUBSETS = 1023  # of modalities: those of ten


def clustering_accuracy(y_true: Any, y_pred: Any) -> float:
    """Share of rows whose cluster is that of their class, clusters being named as suits best.

    Each cluster is matched to at most one class, and each class to at most one cluster, by the Hungarian
    method [1]_: rows of clusters, or classes, that are left over count as wrong.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Classes and clusters, under any names.

    Returns
    -------
    float
        From 0 to 1.

    References
    ----------
    .. [1] Kuhn (1955), "The Hungarian Method for the Assignment Problem", Naval Research Logistics 2.

    Examples
    --------
    >>> from skmm.metrics import clustering_accuracy
    >>> clustering_accuracy(["a", "a", "b", "b"], [1, 1, 0, 1])
    0.75
    """
    y_true, y_pred = column_or_1d(y_true), column_or_1d(y_pred)
    check_consistent_length(y_true, y_pred)
    from sklearn.metrics.cluster import contingency_matrix

    counts = contingency_matrix(y_true, y_pred)
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(y_true))


def latent_clustering_accuracy(
    estimator: Any, X: Any, y: Any, *, clusterer: Any = None, random_state: RandomStateLike = 0
) -> float:
    """Accuracy of clusters of latent variables: whether rows of one class lie together.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Fitted, with ``transform``.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Gaps are allowed.
    y : array-like of shape (n_samples,)
        Class of each row.
    clusterer : estimator or None, default=None
        With ``fit_predict``; None takes k-means, with as many clusters as there are classes.
    random_state : int, RandomState instance or None, default=0
        Of k-means.

    Returns
    -------
    float
        See :func:`clustering_accuracy`.

    See Also
    --------
    linear_probe : Whether classes can be told apart by someone who knows them.
    """
    y = column_or_1d(y)
    if clusterer is None:
        from sklearn.cluster import KMeans

        seed = as_random_state(random_state).randint(2**31 - 1)
        clusterer = KMeans(len(np.unique(y)), n_init=10, random_state=seed)
    return clustering_accuracy(y, clone(clusterer).fit_predict(np.asarray(estimator.transform(X))))


def linear_probe(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    test: tuple[Any, Any] | None = None,
    subsets: str | Sequence[Sequence[Hashable]] = "all",
    probe: Any = None,
    cv: Any = 5,
) -> pd.Series:
    """Accuracy of a linear classifier of the latent variables, given each subset of the modalities.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted :class:`skmm.MultimodalVAE`, or a Pipeline that ends in one; measured in front of that last
        step.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows to train the probe on. Gaps are allowed; rows with nothing of a subset do not count for it.
    y : array-like of shape (n_samples,)
        Class of each row.
    test : tuple (X, y) or None, default=None
        Rows to test the probe on. None cross-validates within X.
    subsets : {"all", "single"} or list of lists of modality names, default="all"
        Which modalities are given: every subset but the empty one, each alone, or those of a list.
    probe : classifier or None, default=None
        None takes a logistic regression of standardised variables.
    cv : int or splitter, default=5
        How to cross-validate, as everywhere in scikit-learn.

    Returns
    -------
    Series
        Share of rows that are classified rightly, by subset, its names with plus signs between them. The
        probe of a subset is trained on what the estimator makes of that subset. NaN where a subset is in no
        row.

    Raises
    ------
    ValueError
        If an argument is not as it must be.
    TypeError
        If the estimator has no latent variables.

    References
    ----------
    .. [1] Alain and Bengio (2016), "Understanding Intermediate Layers Using Linear Classifier Probes".
    .. [2] Sutter, Daunhawer and Vogt (2021), "Generalized Multimodal ELBO", sec. 4.1.
    """
    truth, y = Truth.of(estimator, X, "transform"), column_or_1d(y)
    check_consistent_length(truth.matrix, y)
    if test is not None:
        held_out, y_test = Truth.of(estimator, test[0], "transform"), column_or_1d(test[1])
        check_consistent_length(held_out.matrix, y_test)
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    if probe is None:
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    found = {}
    for names in _subsets(subsets, truth.layout.names):
        Z, rows = _latent(truth, names)
        accuracy = np.nan
        if test is None and rows.any():
            accuracy = cross_val_score(clone(probe), Z[rows], y[rows], cv=cv).mean()
        elif test is not None:
            new, new_rows = _latent(held_out, names)
            if rows.any() and new_rows.any():
                accuracy = clone(probe).fit(Z[rows], y[rows]).score(new[new_rows], y_test[new_rows])
        found[" + ".join(map(str, names))] = float(accuracy)
    return pd.Series(found, name="linear_probe")


def _latent(truth: Truth, names: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Latent variables given some modalities, and the rows that have any of them."""
    return np.asarray(truth.model.transform(truth.given(names))), truth.present(names)


def _subsets(subsets: Any, names: Sequence[Hashable]) -> list[tuple[Hashable, ...]]:
    if isinstance(subsets, str) and subsets == "single":
        return [(name,) for name in names]
    if isinstance(subsets, str) and subsets == "all":
        if 2 ** len(names) - 1 > MAX_SUBSETS:
            raise ValueError(
                f"subsets='all' of {len(names)} modalities are too many; give 'single', or a list of subsets."
            )
        return [subset for size in range(len(names)) for subset in combinations(names, size + 1)]
    if isinstance(subsets, str) or not subsets:
        raise ValueError(
            f"subsets must be 'all', 'single' or a list of lists of modalities, got {subsets!r}."
        )
    for subset in subsets:
        unknown = [name for name in subset if name not in names]
        if isinstance(subset, str) or unknown or not subset:
            raise ValueError(
                f"subsets must hold lists of modalities, of which X has {list(names)}; got {subset!r}."
            )
    return [tuple(subset) for subset in subsets]
