"""Reading a user's y: labels, numbers, and which rows have none."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_array, column_or_1d

from skmm._blocks.containers import entries

UNLABELLED = -1  # scikit-learn's code
# what pandas calls labels of one kind -> the data type of an array of them
_KINDS = {
    "string": object,
    "boolean": np.bool_,
    "integer": np.int64,
    "floating": np.float64,
    "mixed-integer-float": np.float64,
}


def read_labels(y: Any, unlabelled: Any = "auto") -> tuple[np.ndarray, np.ndarray]:
    """Read the labels of a classifier.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        NaN, None and pandas.NA mark rows without a label.
    unlabelled : label, None or "auto"
        What else marks them. "auto" is -1, unless the labels are exactly -1 and 1; None is nothing.

    Returns
    -------
    classes : array of shape (n_classes,)
        The labels, sorted.
    codes : float64 array of shape (n_samples,)
        Position of each label among the classes, NaN where there is none.

    Raises
    ------
    ValueError
        If there is not a single label, or labels are of several kinds, or numbers that are no classes.
    """
    values = column_or_1d(_values(y), warn=True)
    labelled = ~_unlabelled_rows(values, unlabelled)
    if not labelled.any():
        raise ValueError(
            "y holds no label of any class: every row is unlabelled (NaN, None, or what the parameter "
            "unlabelled names); label some rows."
        )
    labels = _of_one_kind(values[labelled])
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    classes, positions = np.unique(labels, return_inverse=True)
    codes = np.full(len(values), np.nan)
    codes[labelled] = positions
    return classes, codes


def known_labels(y: Any, unlabelled: Any, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels to compare predictions with, and which rows have one, both of y's length or less.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    unlabelled : label, None or "auto"
        As for :func:`read_labels`; no class is a mark, whatever else y holds.
    classes : array
        Those of ``fit``.

    Returns
    -------
    labels : array of shape (n_labelled,)
    labelled : bool array of shape (n_samples,)
    """
    values = column_or_1d(_values(y))
    code = _mark(unlabelled)
    labelled = ~_unlabelled_rows(values, None if code in classes.tolist() else code)
    return _of_one_kind(values[labelled]), labelled


def label_codes(y: Any, classes: np.ndarray) -> np.ndarray:
    """Position of labels among known classes, (n_samples,).

    Raises
    ------
    ValueError
        If one is none of them.
    """
    values = np.atleast_1d(_values(y))
    codes = np.asarray(pd.Index(classes).get_indexer(pd.Index(values, tupleize_cols=False)))
    if values.ndim != 1 or (codes < 0).any():
        wrong = values[codes < 0].tolist()[0] if values.ndim == 1 else y
        raise ValueError(f"y must hold classes seen in fit, which are {classes.tolist()}, got {wrong!r}.")
    return codes


def read_numbers(y: Any, unlabelled: Any = "auto") -> np.ndarray:
    """Read the targets of a regressor, as a new float64 array of the shape of y; NaN where unknown.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    unlabelled : number, None or "auto"
        What marks unknown numbers beside NaN, None and pandas.NA; None and "auto" are nothing.

    Raises
    ------
    ValueError
        If there is not a single one, or one is infinite.
    """
    values = _values(y)
    if values.dtype == object:  # None and pandas.NA are no numbers
        values = np.where(pd.isna(values), np.nan, values)
    values = check_array(
        values, dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan", copy=True, input_name="y"
    )
    if isinstance(unlabelled, numbers.Real):
        values[values == unlabelled] = np.nan
    if np.isnan(values).all():
        raise ValueError("y holds no number: every entry is missing; give some.")
    return values


def _values(y: Any) -> np.ndarray:
    """Entries of y as an array; of objects where numpy would make numbers or text of something else."""
    if isinstance(y, pd.DataFrame):
        return y.to_numpy()
    if isinstance(y, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        return np.asarray(y, dtype=y.dtype if isinstance(y.dtype, np.dtype) else object)
    return np.array(y, dtype=object) if isinstance(y, list | tuple) else entries(y)


def _unlabelled_rows(values: np.ndarray, unlabelled: Any) -> np.ndarray:
    missing = np.asarray(pd.isna(values))
    code = _mark(unlabelled)
    if code is None:
        return missing
    marked = np.asarray(pd.Series(values).isin([code]))
    if code is not unlabelled and set(pd.unique(values[~missing]).tolist()) == {UNLABELLED, 1}:
        return missing  # the two labels of many a binary problem
    return missing | marked


def _mark(unlabelled: Any) -> Any:
    return UNLABELLED if isinstance(unlabelled, str) and unlabelled == "auto" else unlabelled


def _of_one_kind(labels: np.ndarray) -> np.ndarray:
    """Labels that were objects in the data type that they have."""
    if labels.dtype != object:
        return labels
    kind = pd.api.types.infer_dtype(labels)
    if kind not in _KINDS:
        raise ValueError(
            f"y must hold labels of one kind, text, whole numbers or flags, but they are {kind!r}; turn them "
            "into text, for example."
        )
    return labels.astype(_KINDS[kind])
