"""One column of a table: what it holds, its numbers, and numbers back in its data type."""

from __future__ import annotations

import datetime
import reprlib
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

CONTINUOUS, BINARY = "continuous", "binary"

_TIMES = (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64, pd.Period)
# float() takes some of these, but to whoever put them there they are not numbers
_NOT_NUMBERS = (str, bytes, complex, np.complexfloating, *_TIMES)


def column_kind(column: pd.Series) -> str:
    """Type of a column: "binary" for flags (True, False and missing values only), else "continuous"."""
    is_flag = types.is_bool_dtype(column.dtype) or (
        types.is_object_dtype(column.dtype) and types.infer_dtype(column, skipna=True) == "boolean"
    )
    return BINARY if is_flag else CONTINUOUS


def column_to_floats(column: pd.Series, label: Hashable) -> np.ndarray:
    """Numbers of a column as float64, NaN where it has none.

    Parameters
    ----------
    column : Series
    label : hashable
        Name of the column in error messages.

    Raises
    ------
    ValueError, TypeError
        If the column holds anything but numbers, flags and missing values.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.SparseDtype):
        raise TypeError(
            f"Sparse data is not supported: column {label!r} has type {dtype}; use X.sparse.to_dense() first."
        )
    if types.is_complex_dtype(dtype):
        raise ValueError(
            f"Complex data not supported: column {label!r} has type {dtype}; give real and imaginary parts a "
            "column each."
        )
    if types.is_numeric_dtype(dtype):  # flags and pandas' nullable types among them
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if not types.is_object_dtype(dtype):
        is_time = isinstance(dtype, pd.PeriodDtype) or getattr(dtype, "kind", "O") in "mM"
        raise ValueError(f"Column {label!r} has type {dtype}, not numbers; {_advice(is_time)}.")
    values = column.to_numpy()
    known = ~pd.isna(values)
    floats = np.full(len(values), np.nan)
    floats[known] = [_to_float(value, label) for value in values[known]]
    return floats


def _to_float(value: Any, label: Hashable) -> float:
    reason: Exception | str = f"it is of type {type(value).__name__}"
    if not isinstance(value, _NOT_NUMBERS):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError) as error:
            reason = error
    advice = _advice(isinstance(value, _TIMES))
    message = f"Column {label!r} holds {reprlib.repr(value)}, which is not a number ({reason}); {advice}."
    raise (TypeError if isinstance(reason, TypeError) else ValueError)(message)


def _advice(is_time: bool) -> str:
    if is_time:
        return "turn times into numbers first, for example into days since a date of your choice"
    return (
        "encode it as numbers first, for example with sklearn.preprocessing.OneHotEncoder or OrdinalEncoder, "
        "or drop the column"
    )


def floats_to_dtype(values: np.ndarray, dtype: Any, kind: str) -> np.ndarray:
    """Numbers in the data type of a column, rounded and clipped where it cannot hold them.

    Parameters
    ----------
    values : float array
        Without NaN.
    dtype : numpy or pandas data type
        For a nullable type of pandas, the numpy type that it stores is what comes back.
    kind : {"continuous", "binary"}
        Flags are rounded to True and False, or 1 and 0, whatever the data type.
    """
    storage = np.dtype(getattr(dtype, "numpy_dtype", dtype))
    if kind == BINARY or storage.kind == "b":
        return (values >= 0.5).astype(storage)
    if storage.kind == "O":
        return values.astype(object)
    limits = np.iinfo(storage) if storage.kind in "iu" else np.finfo(storage)
    highest = float(limits.max)
    if highest > limits.max:  # float64 has no 2**63 - 1, and 2**63 is one too many
        highest = float(np.nextafter(highest, 0.0))
    whole = np.rint(values) if storage.kind in "iu" else values
    return np.clip(whole, float(limits.min), highest).astype(storage)
