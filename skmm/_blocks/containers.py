"""User containers to numbers and back: arrays, frames, masked arrays, tensors, lists of rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api import types
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from torch import Tensor

from skmm._blocks.columns import BINARY, CONTINUOUS, column_kind, column_to_floats, floats_to_dtype


@dataclass(frozen=True)
class Container:
    """What a table came in: enough to give results back in the same form.

    Parameters
    ----------
    form : {"array", "frame", "masked", "tensor"}
    dtypes : tuple
        Data type of each column; of the whole array, repeated, where columns share one.
    kinds : tuple of str
        What each column holds: "binary" for flags, "continuous" for every other number.
    columns : Index or None
        Labels, where the table is a frame.
    """

    form: str
    dtypes: tuple[Any, ...]
    kinds: tuple[str, ...]
    columns: pd.Index | None = None

    @classmethod
    def of(cls, X: Any) -> Container:
        """Describe a user's table."""
        if isinstance(X, pd.DataFrame):
            return cls(
                "frame", tuple(X.dtypes), tuple(column_kind(column) for _, column in X.items()), X.columns
            )
        array = entries(X)
        if isinstance(X, list | tuple):  # rows of Python numbers have no type of their own to keep
            dtype = np.dtype(np.float64)
        else:
            dtype = X.dtype if isinstance(X, np.ma.MaskedArray) else array.dtype
        if types.is_object_dtype(dtype):
            kinds = [column_kind(pd.Series(column, dtype=object)) for column in array.T]
        else:
            kinds = [BINARY if types.is_bool_dtype(dtype) else CONTINUOUS] * array.shape[1]
        form = (
            "tensor" if isinstance(X, Tensor) else "masked" if isinstance(X, np.ma.MaskedArray) else "array"
        )
        return cls(form, (dtype,) * array.shape[1], tuple(kinds))

    def wrap(self, matrix: np.ndarray, index: pd.Index | None = None, device: Any = None) -> Any:
        """Put an (n_samples, n_features) matrix into a container of this form, keeping its data type."""
        if self.form == "frame":
            return pd.DataFrame(matrix, index=index, columns=self.columns, copy=False)
        if self.form == "tensor":
            return torch.tensor(matrix, device=device)
        return np.ma.masked_array(matrix) if self.form == "masked" else matrix

    def restore(self, matrix: np.ndarray, index: pd.Index | None = None) -> Any:
        """As :meth:`wrap`, but in the data types of the columns."""
        if self.form == "frame":
            assert self.columns is not None
            columns = [
                pd.array(floats_to_dtype(values, dtype, kind), dtype=dtype)
                for values, dtype, kind in zip(matrix.T, self.dtypes, self.kinds, strict=True)
            ]
            return frame_of(columns, pd.RangeIndex(len(matrix)) if index is None else index, self.columns)
        out = np.empty(matrix.shape, dtype=self.dtypes[0])
        _put(out, np.ones(matrix.shape, dtype=bool), matrix, self.kinds)
        return self.wrap(out)


def entries(X: Any) -> np.ndarray:
    """Entries of a table that is not a frame, as an array; NaN where a mask hides them.

    May share memory with X.
    """
    if sparse.issparse(X):
        raise TypeError("Sparse data was passed, but dense data is required; use .toarray() first.")
    if isinstance(X, Tensor):
        X = X.detach().cpu()
        return (X.float() if X.dtype == torch.bfloat16 else X).numpy()  # numpy has no bfloat16
    if isinstance(X, np.ma.MaskedArray):
        # whole numbers and flags have no NaN; of what numpy cannot compute with, a mask may hide anything
        roomy = {"b": np.float64, "i": np.float64, "u": np.float64, "f": X.dtype, "c": X.dtype}
        return np.ma.filled(X.astype(roomy.get(X.dtype.kind, object)), np.nan)
    if isinstance(X, list | tuple):
        array = np.asarray(X)
        if array.dtype.kind in "biu":
            return array.astype(np.float64)
        if array.dtype.kind in "fc":
            return array
        objects = np.array(X, dtype=object)  # numpy makes text of everything where one entry is text
        return np.where(pd.isna(objects), np.nan, objects)
    return X if isinstance(X, np.ndarray) else np.asarray(X)


def table_shape(X: Any) -> tuple[int, int]:
    """Numbers of rows and columns; ValueError where X has not two dimensions."""
    shape = tuple(X.shape) if hasattr(X, "shape") else entries(X).shape
    if len(shape) != 2:
        raise ValueError(
            f"X must be a table of shape (n_samples, n_features), got {type(X).__name__} of shape {shape}."
        )
    return shape


def column_labels(X: Any) -> tuple[Hashable, ...]:
    """Label of each column of a frame; the position where there are none."""
    return tuple(X.columns) if isinstance(X, pd.DataFrame) else tuple(range(table_shape(X)[1]))


def row_index(X: Any) -> pd.Index | None:
    """Index of a frame, None for everything else."""
    return X.index if isinstance(X, pd.DataFrame) else None


def wrap_like(X: Any, matrix: np.ndarray) -> Any:
    """Put a matrix into the container of X, with its index and columns, or on its device."""
    device = X.device if isinstance(X, Tensor) else None
    return Container.of(X).wrap(matrix, row_index(X), device)


def fill(X: Any, missing: np.ndarray, matrix: np.ndarray, kinds: Sequence[str]) -> Any:
    """Return a copy of X with its missing entries replaced, and every other entry untouched.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
    missing : bool array of shape (n_samples, n_features)
    matrix : array of shape (n_samples, n_features)
        Values to take where ``missing``.
    kinds : sequence of str
        What each column holds: "binary" or "continuous".

    Returns
    -------
    array, Tensor or DataFrame
        A new object of the kind, index, columns and data types of X.
    """
    if isinstance(X, pd.DataFrame):
        columns = [column.array for _, column in X.items()]
        for j in np.flatnonzero(missing.any(axis=0)).tolist():
            rows, columns[j] = missing[:, j], columns[j].copy()
            columns[j][rows] = floats_to_dtype(matrix[rows, j], columns[j].dtype, kinds[j])
        return frame_of(columns, X.index, X.columns)
    if isinstance(X, np.ma.MaskedArray):
        return np.ma.masked_array(fill(np.ma.getdata(X), missing, matrix, kinds))
    if isinstance(X, Tensor):
        return torch.tensor(fill(entries(X), missing, matrix, kinds), dtype=X.dtype, device=X.device)
    out = np.array(entries(X), dtype=np.float64 if isinstance(X, list | tuple) else None)
    _put(out, missing, matrix, kinds)
    return out


def _put(out: np.ndarray, where: np.ndarray, matrix: np.ndarray, kinds: Sequence[str]) -> None:
    """Write numbers into an array, in its own data type."""
    for kind in set(kinds):
        chosen = where & (np.array(kinds) == kind)
        out[chosen] = floats_to_dtype(matrix[chosen], out.dtype, kind)


def frame_of(columns: Sequence[Any], index: pd.Index, labels: pd.Index) -> pd.DataFrame:
    """Make a frame of arrays, one per column, at once: inserting columns one by one is slow."""
    frame = pd.DataFrame(dict(enumerate(columns)), index=index)
    frame.columns = labels
    return frame


def stack(tables: Sequence[Any], *, level: str, keys: Sequence[Any]) -> Any:
    """Stack tables of one kind along a new first axis; frames get an outer index level instead."""
    first = tables[0]
    if isinstance(first, pd.DataFrame):
        return pd.concat(tables, keys=keys, names=[level])
    if isinstance(first, Tensor):
        return torch.stack(list(tables))
    return np.ma.stack(tables) if isinstance(first, np.ma.MaskedArray) else np.stack(tables)


def to_matrix(estimator: Any, X: Any, *, reset: bool) -> np.ndarray:
    """Check X as scikit-learn does and turn it into a matrix of floats in which NaN means missing.

    Parameters
    ----------
    estimator : estimator
        Given ``n_features_in_`` and ``feature_names_in_`` where ``reset``, checked against them elsewhere.
    X : array-like or DataFrame of shape (n_samples, n_features)
    reset : bool
        True in ``fit``.

    Returns
    -------
    float32 or float64 array of shape (n_samples, n_features)
        May share memory with X, and must not be written to.

    Raises
    ------
    ValueError, TypeError
        If X is not a two-dimensional table of finite numbers and missing values, or if its columns are
        not those seen in ``fit``.
    """
    checks = {
        "dtype": [np.float64, np.float32],
        "ensure_all_finite": False,  # checked below, where columns have names
        "ensure_min_samples": 2 if reset else 1,
    }
    if isinstance(X, pd.DataFrame):
        _check_labels(X.columns)
        # names are checked on the frame itself: its values may be of types that scikit-learn refuses
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        matrix = check_array(_frame_to_matrix(X), input_name="X", estimator=estimator, **checks)
    else:
        matrix = validate_data(estimator, _readable(X), reset=reset, **checks)
    _check_finite(matrix, column_labels(X))
    return matrix


def _readable(X: Any) -> Any:
    """Turn what scikit-learn would misread into an array of the same numbers."""
    if sparse.issparse(X) or not isinstance(X, list | tuple | Mapping | np.ndarray | Tensor):
        return X  # scikit-learn knows it, or refuses it
    tables = isinstance(X, list | tuple) and len(X) > 0 and all(getattr(x, "ndim", 0) == 2 for x in X)
    if tables or isinstance(X, Mapping):
        raise TypeError(
            f"X is a {type(X).__name__} of separate tables; put them side by side first, with "
            "skmm.stack_modalities({'audio': A, 'video': B})."
        )
    array = entries(X)
    if array.dtype.kind in "biufc" or array.ndim != 2:
        return array
    return _frame_to_matrix(pd.DataFrame(array.astype(object), dtype=object))


def _frame_to_matrix(frame: pd.DataFrame) -> np.ndarray:
    matrix = np.empty(frame.shape, dtype=np.float64)
    for position, (label, column) in enumerate(frame.items()):
        matrix[:, position] = column_to_floats(column, label)
    return matrix


def _check_labels(labels: pd.Index) -> None:
    if not labels.is_unique:
        raise ValueError(
            f"X has several columns labelled {labels[labels.duplicated()][0]!r}; rename or drop all but one."
        )


def _check_finite(matrix: np.ndarray, labels: Sequence[Hashable]) -> None:
    infinite = np.isinf(matrix)
    if infinite.any():
        row, column = np.argwhere(infinite)[0].tolist()
        raise ValueError(
            f"Input X contains infinity: column {labels[column]!r} holds {matrix[row, column]} in row {row}. "
            "Correct it, or put NaN if the value is unknown."
        )
