"""Measures of completions and predictions: hide what is known and complete it, or compare sequences."""

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
from skmm._blocks.sequences import opened_by
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
        A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in one.
        Errors are taken in front of that last step: what the steps before it filled in counts as known.
    X : array-like or DataFrame of shape (n_samples, n_features), or sequences
        Rows to complete, preferably none of those that the estimator was fitted on.
    hide : {"modalities", "cells"}, default="modalities"
        "modalities" hides one modality after the other, in every row that has observed entries of it and of
        another one; of sequences, in the whole sequence. "cells" hides single entries of all modalities at
        once, and no row's last one.
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
    model, X = _last_step(estimator, X)
    layout = model.layout_
    opened = opened_by(model, X)
    matrix = _numbers(model, opened.table)
    known = ~np.isnan(matrix) & layout.informative
    squared, count = np.zeros(len(layout.names)), np.zeros(len(layout.names), dtype=int)
    if hide == "modalities":
        patterns = _modalities(layout, known, opened.lengths)
    else:
        patterns = _cells(known, fraction, random_state)
    for hidden in patterns:
        compared = hidden & known
        squared_error = _squared_error(model, opened.join(blank(opened.table, hidden)), matrix)
        error = np.where(compared, squared_error, 0.0)
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


def _squared_error(model: Any, X: Any, truth: np.ndarray) -> np.ndarray:
    """Squared error of every entry, in units of what is known without the row, (n_samples, n_features)."""
    layout = model.layout_
    squared = np.square(
        (_numbers(model, opened_by(model, model.predict(X)).table) - truth) / layout.deviation
    )
    categories = [j for j, column in enumerate(layout.types) if column.n_categories]
    if categories:
        probabilities = opened_by(model, model.predict_category_proba(X)).table
        labels = list(probabilities.columns)
        has_levels = probabilities.columns.nlevels > 2
        owners = [label[:-1] if has_levels else label[0] for label in labels]
        for j in categories:
            chosen = [position for position, owner in enumerate(owners) if owner == layout.labels[j]]
            score = category_score(probabilities.to_numpy()[:, chosen], truth[:, j], layout.types[j].kind)
            squared[:, j] = score / layout.deviation[j] ** 2
    return squared


def _modalities(layout: Layout, known: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Entries to hide, one modality after the other, in whole sequences."""
    starts = np.cumsum(lengths) - lengths
    present = np.stack(
        [np.logical_or.reduceat(known[:, columns].any(axis=1), starts) for columns in layout.columns]
    )  # (M, n)
    for index, columns in enumerate(layout.columns):
        chosen = present[index] & np.delete(present, index, axis=0).any(axis=0)
        rows = np.repeat(chosen, lengths)
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


def concordance_correlation(y_true: Any, y_pred: Any, *, average: str = "sequences") -> float:
    """Lin's concordance correlation coefficient: how nearly predictions equal the truth.

    As defined in [1]_.

    Unlike Pearson's correlation, it also takes off for predictions that are too high, too low, or of another
    spread. 1 for equality, 0 for no relation, -1 for the opposite deviations from a common mean.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_steps,), (n_samples, n_steps) or (n_samples, n_steps, 1), or list
        Truth and predictions: one sequence, or several. A list of 1-D arrays, or of arrays of shape
        (n_steps, 1), may have sequences of unequal lengths. Pairs with NaN in either are left out.
    average : {"sequences", "pooled"}, default="sequences"
        For several sequences, "sequences" takes the mean of their coefficients, as is usual for ratings of
        emotions [2]_; a sequence of which fewer than two pairs are left counts for nothing. "pooled" takes
        one coefficient over the steps of all sequences, which also rewards to know how the sequences differ.

    Returns
    -------
    float
        From -1 to 1.

    Raises
    ------
    ValueError
        If ``y_true`` and ``y_pred`` differ in shape, contain infinity, or have nowhere two pairs in one
        sequence; or if ``average`` is not one of the above.

    Notes
    -----
    With means μ, variances σ² and the covariance σ₁₂, all of them divided by the number of pairs,

    2 σ₁₂ / (σ₁² + σ₂² + (μ₁ - μ₂)²).

    It is 0 where only one of the two is constant, and where both are, at different values. Where both are
    constant at the same value, the fraction is 0 / 0; they are equal, which counts as 1.

    References
    ----------
    .. [1] Lin (1989), "A Concordance Correlation Coefficient to Evaluate Reproducibility", Biometrics 45.
    .. [2] Ong et al. (2021), "Modeling Emotion in Complex Stories: the Stanford Emotional Narratives
       Dataset", IEEE Transactions on Affective Computing 12.

    Examples
    --------
    >>> from skmm.metrics import concordance_correlation
    >>> concordance_correlation([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    >>> concordance_correlation([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])  # Pearson's correlation would be 1
    0.571
    """
    if average not in ("sequences", "pooled"):
        raise ValueError(f"average must be 'sequences' or 'pooled', got {average!r}.")
    truth, predicted = _sequences(y_true, "y_true"), _sequences(y_pred, "y_pred")
    if len(truth) != len(predicted):
        raise ValueError(f"y_true has {len(truth)} sequences, but y_pred has {len(predicted)}; give pairs.")
    pairs = []
    for index, (first, second) in enumerate(zip(truth, predicted, strict=True)):
        if len(first) != len(second):
            raise ValueError(
                f"Sequence {index} has {len(first)} steps in y_true, but {len(second)} in y_pred; give pairs."
            )
        pair = np.stack([first, second])
        pairs.append(pair[:, ~np.isnan(pair).any(axis=0)])
    if average == "pooled" and pairs:
        pairs = [np.concatenate(pairs, axis=1)]
    pairs = [pair for pair in pairs if pair.shape[1] >= 2]
    if not pairs:
        raise ValueError(
            "No sequence has two steps known in both y_true and y_pred; give longer ones, or "
            "average='pooled', or, for one long sequence, 1-D arrays."
        )
    return float(np.mean([_concordance(*pair) for pair in pairs]))


def _sequences(y: Any, name: str) -> list[np.ndarray]:
    """The sequences in y, 1-D floats each."""
    several = isinstance(y, list | tuple) or (isinstance(y, np.ndarray) and y.dtype == object)
    if several and any(np.ndim(sequence) > 0 for sequence in y):
        sequences = [_floats(sequence) for sequence in y]
    else:
        y = _floats(y)
        sequences = [y] if y.ndim < 2 else list(y)
    found = []
    for sequence in sequences:
        if sequence.ndim == 2 and sequence.shape[1] == 1:
            sequence = sequence[:, 0]
        if sequence.ndim != 1:
            raise ValueError(
                f"{name} must be one sequence of numbers or several, but one of its sequences has the shape "
                f"{sequence.shape}; give the shape (n_steps,) or (n_steps, 1)."
            )
        if np.isinf(sequence).any():
            raise ValueError(f"{name} contains infinity; give NaN where a value is unknown.")
        found.append(sequence)
    return found


def _floats(values: Any) -> np.ndarray:
    if isinstance(values, pd.Series | pd.DataFrame):
        return values.to_numpy(dtype=float, na_value=np.nan)
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)


def _concordance(first: np.ndarray, second: np.ndarray) -> float:
    """The coefficient of two 1-D arrays without gaps."""
    first_mean, second_mean = first.mean(), second.mean()
    first, second = first - first_mean, second - second_mean
    spread = np.mean(first**2) + np.mean(second**2) + (first_mean - second_mean) ** 2
    if spread == 0:
        return 1.0
    return float(2.0 * np.mean(first * second) / spread)
