"""Measures of how well an estimator fills in what is missing: hide what is known, complete it, compare."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmm._blocks.columns import ORDERED
from skmm._blocks.containers import check_table, to_matrix
from skmm._blocks.corruption import blank
from skmm._blocks.layout import Layout
from skmm._torch import RandomStateLike, as_random_state


def completion_error(
    estimator: Any,
    X: Any,
    *,
    hide: str = "modalities",
    fraction: float = 0.2,
    random_state: RandomStateLike = 0,
) -> pd.Series:
    """Error with which an estimator completes entries that are known, but hidden from it.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted :class:`skmm.MultimodalVAE`, or a Pipeline that ends in one. Errors are taken in front of
        that last step: what the steps before it filled in counts as known.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows to complete, preferably none of those that the estimator was fitted on.
    hide : {"modalities", "cells"}, default="modalities"
        "modalities" hides one modality after the other, in every row that has observed entries of it and of
        another one. "cells" hides single entries of all modalities at once, and no row's last one.
    fraction : float, default=0.2
        Probability that an entry is hidden, for ``hide="cells"``.
    random_state : int, RandomState instance or None, default=0
        Chooses the cells. The default hides the same cells in every call with as many rows, so that
        estimators can be compared.

    Returns
    -------
    Series
        Root of the mean squared error by modality, over all entries that were hidden, in units in which
        completion by the column's mean, or by its frequencies, gets about 1, so that columns of all units
        and types count alike. Of numbers, and of the probabilities of flags, the squared error over the
        variance in ``fit``; of categories the Brier score, and of ordered ones the ranked probability score,
        over what the frequencies in ``fit`` get. NaN for a modality of which nothing could be hidden.
        Columns that were constant or never observed in ``fit`` are left out.

    Raises
    ------
    ValueError
        If an argument is not as it must be, or nothing could be hidden.
    TypeError
        If the estimator completes nothing.

    See Also
    --------
    skmm.scorers.CompletionScorer : The same for searches and cross-validation.
    """
    if hide not in ("modalities", "cells"):
        raise ValueError(f"hide must be 'modalities' or 'cells', got {hide!r}.")
    if not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
        raise ValueError(f"fraction must be a number between 0 and 1, got {fraction!r}.")
    model, table = _last_step(estimator, X)
    layout = model.layout_
    matrix = _numbers(model, table)
    known = ~np.isnan(matrix) & layout.informative
    squared, count = np.zeros(len(layout.names)), np.zeros(len(layout.names), dtype=int)
    patterns = _modalities(layout, known) if hide == "modalities" else _cells(known, fraction, random_state)
    for hidden in patterns:
        compared = hidden & known
        error = np.where(compared, _squared_error(model, blank(table, hidden), matrix), 0.0)
        for index, columns in enumerate(layout.columns):
            squared[index] += error[:, columns].sum()
            count[index] += compared[:, columns].sum()
    if not count.any():
        raise ValueError(_nothing_hidden(layout, hide, fraction))
    mean = np.divide(squared, count, out=np.full(len(count), np.nan), where=count > 0)
    return pd.Series(
        np.sqrt(mean), index=pd.Index(layout.names, tupleize_cols=False), name="completion_error"
    )


def _last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """The estimator that completes, and X as it comes to it."""
    check_is_fitted(estimator)
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = estimator[:-1].transform(X)
        estimator = estimator[-1]
    if not isinstance(getattr(estimator, "layout_", None), Layout) or not hasattr(estimator, "predict"):
        raise TypeError(
            "The completion error needs an estimator that completes tables, such as MultimodalVAE, or a "
            f"Pipeline whose last step is one; got {estimator!r}."
        )
    return estimator, X


def _numbers(model: Any, table: Any) -> np.ndarray:
    """Numbers of a table as the model reads it; categories by their position."""
    handle_unknown = getattr(model, "handle_unknown", "error")
    return to_matrix(
        check_table(model, table, reset=False), model.layout_.types, handle_unknown=handle_unknown
    )


def category_score(probabilities: np.ndarray, codes: np.ndarray, kind: str) -> np.ndarray:
    """Score of predicted probabilities (n_samples, n_categories) against what came, (n_samples,); 0 is best.

    The Brier score; of ordered categories the ranked probability score [1]_, for which a near miss is better
    than a far one. Of two categories, both measure the squared error of the probability.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation", sec. 4.2.
    """
    came = codes[:, None] == np.arange(probabilities.shape[1])
    if kind == ORDERED:
        return np.square(probabilities.cumsum(axis=1) - came.cumsum(axis=1)).sum(axis=1)
    return np.square(probabilities - came).sum(axis=1) / 2


def _squared_error(model: Any, table: Any, truth: np.ndarray) -> np.ndarray:
    """Squared error of every entry, in units of what is known without the row, (n_samples, n_features)."""
    layout = model.layout_
    squared = np.square((_numbers(model, model.predict(table)) - truth) / layout.deviation)
    categories = [j for j, column in enumerate(layout.types) if column.n_categories]
    if categories:
        probabilities = model.predict_category_proba(table)
        labels = list(probabilities.columns)
        has_levels = probabilities.columns.nlevels > 2
        owners = [label[:-1] if has_levels else label[0] for label in labels]
        for j in categories:
            chosen = [position for position, owner in enumerate(owners) if owner == layout.labels[j]]
            score = category_score(probabilities.to_numpy()[:, chosen], truth[:, j], layout.types[j].kind)
            squared[:, j] = score / layout.deviation[j] ** 2
    return squared


def _modalities(layout: Layout, known: np.ndarray) -> Iterator[np.ndarray]:
    """Entries to hide, one modality after the other."""
    present = np.stack([known[:, columns].any(axis=1) for columns in layout.columns])  # (M, n)
    for index, columns in enumerate(layout.columns):
        rows = present[index] & np.delete(present, index, axis=0).any(axis=0)
        if rows.any():
            hidden = np.zeros(known.shape, dtype=bool)
            hidden[np.ix_(rows, columns)] = True
            yield hidden


def _cells(known: np.ndarray, fraction: float, random_state: RandomStateLike) -> Iterator[np.ndarray]:
    """Entries to hide, all at once; every row keeps the known entry that was nearest to staying."""
    draws = as_random_state(random_state).uniform(size=known.shape)
    draws = np.where(known, draws, -1.0)
    hidden = known & (draws < fraction) & (draws < draws.max(axis=1, keepdims=True))
    if hidden.any():
        yield hidden


def _nothing_hidden(layout: Layout, hide: str, fraction: float) -> str:
    if hide == "cells":
        return (
            f"No entry of X could be hidden with fraction={fraction}: no row has two known entries, or there "
            "are too few of them. Give more rows, or a larger fraction."
        )
    if len(layout.names) == 1:
        return (
            f"There is only one modality, {layout.names[0]!r}, so that none can be hidden and completed from "
            "the others; use hide='cells'."
        )
    return (
        f"No row of X has observed entries of two of the modalities {list(layout.names)}, so that none can "
        "be hidden and completed from another one; give such rows (in cross-validation, shuffle the folds), "
        "or use hide='cells'."
    )
