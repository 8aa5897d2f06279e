"""User containers to numbers and back: arrays, frames, masked arrays, tensors, lists of rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_bool_dtype, is_float_dtype, is_object_dtype
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from torch import Tensor

from skmm._blocks.columns import BINARY, CONTINUOUS, ColumnType, floats_to_dtype, label_dtype

ENTRIES_TOGETHER = 2**16  # of a table, that are read at a time: few enough for a processor's cache


@dataclass(frozen=True)
class Container:
    """What a table came in: enough to give results back in the same form.

    Parameters
    ----------
    form : {"array", "frame", "masked", "tensor"}
    columns : Index or None
        Labels, where the table is a frame.
    dtypes : tuple or None
        Data type of each column, where the table is a frame.
    """

    form: str
    columns: pd.Index | None = None
    dtypes: tuple[Any, ...] | None = None

    @classmethod
    def of(cls, X: Any) -> Container:
        """Describe a user's table."""
        if isinstance(X, pd.DataFrame):
            return cls("frame", X.columns, tuple(X.dtypes))
        if isinstance(X, Tensor):
            return cls("tensor")
        return cls("masked" if isinstance(X, np.ma.MaskedArray) else "array")

    def wrap(
        self,
        matrix: np.ndarray,
        types: Sequence[ColumnType] = (),
        index: pd.Index | None = None,
        device: Any = None,
    ) -> Any:
        """Put results (n_samples, n_features) into a container of this form, as the type of the matrix.

        Parameters
        ----------
        matrix : float array
        types : sequence of ColumnType
            Where given, category columns hold positions, and come out as labels; NaN stays missing.
        index : Index or None
            Of a frame.
        device : device or None
            Of a tensor.
        """
        labelled = [j for j, kind in enumerate(types) if kind.categories is not None]
        if self.form == "frame":
            if not labelled:
                return pd.DataFrame(matrix, index=index, columns=self.columns, copy=False)
            assert self.columns is not None
            assert self.dtypes is not None
            columns: list[Any] = list(matrix.T)
            for j in labelled:
                # of a category type, or a column of text; numbers that stand for categories stay numbers
                if isinstance(self.dtypes[j], pd.CategoricalDtype) or types[j].holds_labels:
                    columns[j] = types[j].write(matrix[:, j], self.dtypes[j])
                else:
                    dtype = label_dtype(matrix.dtype, [types[j]])
                    columns[j] = types[j].labels(matrix[:, j]).astype(dtype)
            return frame_of(columns, pd.RangeIndex(len(matrix)) if index is None else index, self.columns)
        if any(types[j].holds_labels for j in labelled):
            if self.form == "tensor":
                raise _no_tensor(types)
            matrix = matrix.astype(object)
        elif labelled:
            matrix = matrix.astype(label_dtype(matrix.dtype, [types[j] for j in labelled]))
        for j in labelled:
            matrix[:, j] = types[j].labels(matrix[:, j].astype(np.float64))
        if self.form == "tensor":
            return torch.tensor(matrix, device=device)
        return np.ma.masked_array(matrix) if self.form == "masked" else matrix

    def restore(self, matrix: np.ndarray, types: Sequence[ColumnType]) -> Any:
        """As :meth:`wrap`, but in the data types of the columns."""
        if self.form == "frame":
            assert self.columns is not None
            columns = [
                pd.array(kind.write(values), dtype=kind.dtype)
                for values, kind in zip(matrix.T, types, strict=True)
            ]
            return frame_of(columns, pd.RangeIndex(len(matrix)), self.columns)
        out = np.empty(matrix.shape, dtype=_array_dtype(types[0].dtype, types))
        _put(out, np.ones(matrix.shape, dtype=bool), matrix, types)
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


def absent(X: Any) -> np.ndarray:
    """Where a table has no entry, (n_samples, n_features)."""
    if not isinstance(X, pd.DataFrame):
        return np.asarray(pd.isna(entries(X)))
    missing = np.empty(X.shape, dtype=bool)
    for position, (_, column) in enumerate(X.items()):
        if is_float_dtype(column.dtype):  # nullable ones may hold NaN, which is not NA to all of pandas
            missing[:, position] = np.isnan(column.to_numpy(dtype=np.float64, na_value=np.nan))
        else:
            missing[:, position] = column.isna()
    return missing


def row_slices(shape: tuple[int, ...]) -> Iterator[slice]:
    """Cut the rows of a table into parts of which a few copies cost no memory worth mentioning.

    A table may be a memory-mapped file that is larger than the memory.
    """
    n_rows, n_columns = shape
    n_together = max(1, ENTRIES_TOGETHER // max(1, n_columns))
    for start in range(0, n_rows, n_together):
        yield slice(start, start + n_together)


def row_index(X: Any) -> pd.Index | None:
    """Index of a frame, None for everything else."""
    return X.index if isinstance(X, pd.DataFrame) else None


def wrap_like(X: Any, matrix: np.ndarray, types: Sequence[ColumnType] = ()) -> Any:
    """Put a matrix into the container of X, with its index and columns, or on its device."""
    device = X.device if isinstance(X, Tensor) else None
    return Container.of(X).wrap(matrix, types, row_index(X), device)


def fill(X: Any, missing: np.ndarray, matrix: np.ndarray, types: Sequence[ColumnType]) -> Any:
    """Return a copy of X with its missing entries replaced, and every other entry untouched.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
    missing : bool array of shape (n_samples, n_features)
    matrix : array of shape (n_samples, n_features)
        Values to take where ``missing``; of categories, their positions.
    types : sequence of ColumnType
        What each column holds.

    Returns
    -------
    array, Tensor or DataFrame
        A new object of the kind, index, columns and data types of X.
    """
    if isinstance(X, pd.DataFrame):
        columns = [column.array for _, column in X.items()]
        for j in np.flatnonzero(missing.any(axis=0)).tolist():
            columns[j] = _filled(columns[j], missing[:, j], matrix[:, j], types[j])
        return frame_of(columns, X.index, X.columns)
    if isinstance(X, np.ma.MaskedArray):
        return np.ma.masked_array(fill(np.ma.getdata(X), missing, matrix, types))
    if isinstance(X, Tensor):
        if any(kind.holds_labels for kind in types):
            raise _no_tensor(types)
        return torch.tensor(fill(entries(X), missing, matrix, types), dtype=X.dtype, device=X.device)
    source = entries(X)
    is_list = isinstance(X, list | tuple)
    out = np.array(source, dtype=_array_dtype(np.float64 if is_list else source.dtype, types))
    _put(out, missing, matrix, types)
    return out


def _filled(column: Any, missing: np.ndarray, numbers: np.ndarray, kind: ColumnType) -> Any:
    """Column of a frame with its missing entries replaced."""
    if not kind.fits(column.dtype):
        if missing.all():  # its type, then, says nothing
            return pd.array(kind.write(numbers), dtype=kind.dtype)
        column = pd.array(column, dtype=object)  # what fit has not seen, beside labels
    values = kind.write(numbers[missing], column.dtype)
    if isinstance(column, pd.Categorical) and isinstance(values, pd.Categorical):
        column = column.set_categories(values.categories)
    column = column.copy()
    column[missing] = values
    return column


def _array_dtype(dtype: Any, types: Sequence[ColumnType]) -> Any:
    """Data type that holds all columns of an array."""
    holds_labels = any(kind.holds_labels for kind in types)
    return object if holds_labels else dtype


def _no_tensor(types: Sequence[ColumnType]) -> TypeError:
    column = next(j for j, kind in enumerate(types) if kind.holds_labels)
    return TypeError(
        f"A tensor cannot hold the categories of column {column}; give a DataFrame, or an array of objects."
    )


def _put(out: np.ndarray, where: np.ndarray, matrix: np.ndarray, types: Sequence[ColumnType]) -> None:
    """Write numbers into an array, in its own data type."""
    plain = np.array([kind.categories is None for kind in types])
    for kind in {column.kind for column in types if column.categories is None}:  # of a kind, all at once
        of_kind = plain & np.array([column.kind == kind for column in types])
        for rows in row_slices(out.shape):
            chosen = where[rows] & of_kind
            out[rows][chosen] = floats_to_dtype(matrix[rows][chosen], out.dtype, kind)
    for j in np.flatnonzero(~plain & where.any(axis=0)).tolist():
        wanted = where[:, j]
        out[wanted, j] = types[j].write(matrix[wanted, j], out.dtype)


def frame_of(columns: Sequence[Any], index: pd.Index, labels: pd.Index) -> pd.DataFrame:
    """Make a frame of arrays, one per column, at once: inserting columns one by one is slow."""
    # only a Series keeps objects what they are: pandas would make text of them, or dates
    kept = [
        pd.Series(column, dtype=object) if is_object_dtype(column.dtype) else column for column in columns
    ]
    frame = pd.DataFrame(dict(enumerate(kept)), index=pd.RangeIndex(len(index)))
    frame.index, frame.columns = index, labels
    return frame


def stack(tables: Sequence[Any], *, level: str, keys: Sequence[Any]) -> Any:
    """Stack tables of one kind along a new first axis; frames get an outer index level instead.

    Lists, such as sequences of unequal lengths, stand in a list.
    """
    first = tables[0]
    if isinstance(first, list):
        return list(tables)
    if isinstance(first, pd.DataFrame):
        return pd.concat(tables, keys=keys, names=[level])
    if isinstance(first, Tensor):
        return torch.stack(list(tables))
    return np.ma.stack(tables) if isinstance(first, np.ma.MaskedArray) else np.stack(tables)


def unstacked(stacked: Any, n: int) -> Any:
    """Take the n-th of the tables that :func:`stack` has put under keys from 0 on."""
    return stacked.loc[n] if isinstance(stacked, pd.DataFrame) else stacked[n]


def check_table(estimator: Any, X: Any, *, reset: bool) -> pd.DataFrame | np.ndarray:
    """Check X as scikit-learn does.

    Parameters
    ----------
    estimator : estimator
        Given ``n_features_in_`` and ``feature_names_in_`` where ``reset``, checked against them elsewhere.
    X : array-like or DataFrame of shape (n_samples, n_features)
    reset : bool
        True in ``fit``.

    Returns
    -------
    DataFrame or array of shape (n_samples, n_features)
        A frame as it is; anything else as an array of real numbers, or as a frame of objects where it holds
        more than numbers. May share memory with X, and must not be written to.

    Raises
    ------
    ValueError, TypeError
        If X is not a two-dimensional table, or if its columns are not those seen in ``fit``.
    """
    checks = {
        "dtype": [np.float64, np.float32],
        "ensure_all_finite": False,  # checked in to_matrix, where columns have names
        "ensure_min_samples": 2 if reset else 1,
    }
    if isinstance(X, pd.DataFrame):
        _check_labels(X.columns)
        # names are checked on the frame itself: its values may be of types that scikit-learn refuses
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        check_array(np.broadcast_to(0.0, X.shape), input_name="X", estimator=estimator, **checks)
        return X
    readable = _readable(X)
    if (
        isinstance(readable, np.ndarray)
        and not isinstance(readable, np.matrix)
        and readable.dtype.kind != "c"
    ):
        validate_data(estimator, np.broadcast_to(0.0, readable.shape), reset=reset, **checks)
        if readable.dtype.kind in "biuf":  # whole numbers and half precision too: not copied as a whole
            return readable
        return pd.DataFrame(readable.astype(object), dtype=object)
    return validate_data(estimator, readable, reset=reset, **checks)


def column_types(X: Any, table: pd.DataFrame | np.ndarray) -> tuple[ColumnType, ...]:
    """Tell what the columns of X hold, given what :func:`check_table` made of it."""
    if isinstance(X, pd.DataFrame):
        return tuple(ColumnType.of(column, label) for label, column in X.items())
    is_list = isinstance(X, list | tuple)
    if is_list:  # rows of Python numbers have no type of their own to keep
        dtype: Any = np.dtype(np.float64)
    else:
        dtype = X.dtype if isinstance(X, np.ma.MaskedArray) else entries(X).dtype
    if isinstance(table, pd.DataFrame):
        found = [ColumnType.of(column, label) for label, column in table.items()]
        dtype = _array_dtype(dtype, found)
        if not is_list or is_object_dtype(dtype):
            return tuple(replace(kind, dtype=dtype) for kind in found)
    return (ColumnType(BINARY if is_bool_dtype(dtype) else CONTINUOUS, dtype),) * table.shape[1]


def to_matrix(
    table: pd.DataFrame | np.ndarray, types: Sequence[ColumnType], *, handle_unknown: str = "error"
) -> np.ndarray:
    """Turn a checked table into a matrix of numbers in which NaN means missing.

    Parameters
    ----------
    table : DataFrame or array of real numbers
        What :func:`check_table` returned.
    types : sequence of ColumnType
        What each column held in ``fit``. Of categories, the matrix holds their positions.
    handle_unknown : {"error", "missing"}
        What to do about categories that ``fit`` has not seen.

    Returns
    -------
    array of real numbers of shape (n_samples, n_features)
        May share memory with the table, and must not be written to.

    Raises
    ------
    ValueError, TypeError
        If a column holds something else than in ``fit``, or infinity.
    """
    if not any(kind.n_categories for kind in types) and _is_one_array(table):
        matrix, labels = np.asarray(table), column_labels(table)  # of a frame too, without a copy
    else:
        frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(table, copy=False)
        matrix, labels = np.empty(frame.shape, dtype=np.float64), tuple(frame.columns)
        for position, ((label, column), kind) in enumerate(zip(frame.items(), types, strict=True)):
            matrix[:, position] = kind.read(column, label, handle_unknown)
    _check_finite(matrix, labels)
    return matrix


def _is_one_array(table: pd.DataFrame | np.ndarray) -> bool:
    """Tell whether all columns hold real numbers of the same type of numpy's."""
    if isinstance(table, np.ndarray):
        return True
    first = table.dtypes.iloc[0]
    return isinstance(first, np.dtype) and first.kind in "biuf" and bool((table.dtypes == first).all())


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
    return entries(X)


def _check_labels(labels: pd.Index) -> None:
    if not labels.is_unique:
        raise ValueError(
            f"X has several columns labelled {labels[labels.duplicated()][0]!r}; rename or drop all but one."
        )


def _check_finite(matrix: np.ndarray, labels: Sequence[Hashable]) -> None:
    for rows in row_slices(matrix.shape):
        infinite = np.isinf(matrix[rows])
        if infinite.any():
            row, column = np.argwhere(infinite)[0].tolist()
            row += rows.start
            raise ValueError(
                f"Input X contains infinity: column {labels[column]!r} holds {matrix[row, column]} in row "
                f"{row}. Correct it, or put NaN if the value is unknown."
            )
