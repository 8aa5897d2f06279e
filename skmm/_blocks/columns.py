"""One column of a table: what it holds, its numbers, and numbers back in its data type."""

from __future__ import annotations

import datetime
import reprlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

CONTINUOUS, BINARY, CATEGORY, ORDERED = "continuous", "binary", "category", "ordered"

# text of which more than half of the entries differ, and more than this many, is no category
MAX_FREE_TEXT = 50

_TIMES = (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64, pd.Period)
# float() takes some of these, but to whoever put them there they are not numbers
_NOT_NUMBERS = (str, bytes, complex, np.complexfloating, *_TIMES)


@dataclass(frozen=True)
class ColumnType:
    """What a column held in ``fit``.

    Parameters
    ----------
    kind : {"continuous", "binary", "category", "ordered"}
        Numbers; flags (True, False and missing values only); categories without and with an order.
    dtype : numpy or pandas data type
        Of the column; of the whole array, where columns share one.
    categories : Index or None
        Of category columns: the labels. Inside, a category is its position here.
    """

    kind: str
    dtype: Any
    categories: pd.Index | None = None

    @classmethod
    def of(cls, column: pd.Series, label: Hashable) -> ColumnType:
        """Tell what a column holds.

        Parameters
        ----------
        column : Series
        label : hashable
            Name of the column in error messages.

        Raises
        ------
        ValueError
            If it is a column of categories without a single one, or of free text.
        """
        dtype = column.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            if len(dtype.categories) == 0:
                raise _no_category(label, dtype)
            return cls(ORDERED if dtype.ordered else CATEGORY, dtype, dtype.categories)
        if _is_text(dtype):
            return cls(CATEGORY, dtype, _categories_of_text(column, label))
        if types.is_bool_dtype(dtype):
            return cls(BINARY, dtype)
        if types.is_object_dtype(dtype):
            content = types.infer_dtype(column, skipna=True)
            if content == "string":
                return cls(CATEGORY, dtype, _categories_of_text(column, label))
            return cls(BINARY if content == "boolean" else CONTINUOUS, dtype)
        return cls(CONTINUOUS, dtype)

    @property
    def n_categories(self) -> int:
        """Number of categories; 0 where the column holds numbers or flags."""
        return 0 if self.categories is None else len(self.categories)

    @property
    def holds_labels(self) -> bool:
        """Whether the column's entries are labels that an array of real numbers cannot hold."""
        if self.categories is None:
            return False
        dtype = self.categories.dtype
        return not types.is_numeric_dtype(dtype) or types.is_complex_dtype(dtype)

    def counted(self, numbers: np.ndarray, kind: str) -> ColumnType:
        """The same column of numbers or flags, its distinct values taken as categories.

        Parameters
        ----------
        numbers : float array
            Whole numbers, NaN where missing.
        kind : {"category", "ordered"}
        """
        values = np.unique(numbers[~np.isnan(numbers)])
        label_dtype = bool if self.kind == BINARY else np.int64
        return replace(self, kind=kind, categories=pd.Index(values.astype(label_dtype)))

    def read(self, column: pd.Series, label: Hashable, handle_unknown: str = "error") -> np.ndarray:
        """Numbers of a column as float64, NaN where it has none; categories by their position.

        Parameters
        ----------
        column : Series
        label : hashable
            Name of the column in error messages.
        handle_unknown : {"error", "missing"}
            What to do about categories that ``fit`` has not seen.

        Raises
        ------
        ValueError, TypeError
            If the column holds something else than it did in ``fit``.
        """
        if self.categories is None:
            if isinstance(column.dtype, pd.CategoricalDtype):
                raise ValueError(
                    f"Column {label!r} has type category, but held numbers in fit; turn it back into "
                    f"numbers, for example with X[{label!r}].astype(float)."
                )
            return column_to_floats(column, label)
        if not self.holds_labels and not isinstance(column.dtype, pd.CategoricalDtype):
            values: Any = column_to_floats(column, label)
        else:
            values = column.array
        return _positions(self.categories, values, label, handle_unknown)

    def write(self, numbers: np.ndarray, dtype: Any = None) -> Any:
        """Numbers of a column in a data type, rounded and clipped where it cannot hold them.

        Parameters
        ----------
        numbers : float array
            Without NaN, but for categories, where NaN stays missing.
        dtype : numpy or pandas data type, default=None
            None takes that of ``fit``, and so do labels where ``dtype`` cannot hold them.

        Returns
        -------
        numpy or pandas array
            For a nullable type of pandas, of the numpy type that it stores.
        """
        if dtype is None or not self.fits(dtype):
            dtype = self.dtype
        if self.categories is None:
            return floats_to_dtype(numbers, dtype, self.kind)
        if isinstance(dtype, pd.CategoricalDtype):
            return self._categorical(numbers, dtype)
        labels = self.labels(numbers)
        if types.is_object_dtype(dtype):
            return labels
        if self.holds_labels:
            return pd.array(labels, dtype=dtype)
        return floats_to_dtype(labels.astype(np.float64), dtype, self.kind)

    def _categorical(self, codes: np.ndarray, dtype: pd.CategoricalDtype) -> pd.Categorical:
        """Categories of a type, and behind them those of ``fit`` that it has not."""
        assert self.categories is not None
        positions = _look_up(dtype.categories, self.categories)
        unknown = positions < 0
        if unknown.any():
            positions = np.where(unknown, len(dtype.categories) + unknown.cumsum() - 1, positions)
            added = self.categories[unknown]
            known = dtype.categories.append(added) if len(dtype.categories) else added
            dtype = pd.CategoricalDtype(known, dtype.ordered)
        missing = np.isnan(codes)
        return pd.Categorical.from_codes(
            np.where(missing, -1, positions[np.where(missing, 0, codes).astype(np.intp)]), dtype=dtype
        )

    def fits(self, dtype: Any) -> bool:
        """Tell whether a column of a data type can hold what this one holds."""
        if isinstance(dtype, pd.CategoricalDtype):
            return self.categories is not None
        if _is_text(dtype):
            return self.categories is not None and types.infer_dtype(self.categories) == "string"
        return types.is_object_dtype(dtype) or not self.holds_labels

    def labels(self, codes: np.ndarray) -> np.ndarray:
        """Labels of categories by their positions, as an object array; NaN stays missing."""
        assert self.categories is not None
        missing = np.isnan(codes)
        labels = self.categories.to_numpy(dtype=object)[np.where(missing, 0, codes).astype(np.intp)]
        return np.where(missing, np.nan, labels) if missing.any() else labels


def label_dtype(dtype: np.dtype, columns: Sequence[ColumnType]) -> np.dtype:
    """Floating type that tells the numbers apart that stand for categories: ``dtype``, or float64."""
    for column in columns:
        assert column.categories is not None
        labels = column.categories.to_numpy(dtype=np.float64)
        if (labels.astype(dtype) != labels).any():
            return np.dtype(np.float64)
    return dtype


def _is_text(dtype: Any) -> bool:
    """Tell whether a data type is one of pandas' types of text."""
    return getattr(dtype, "type", None) is str  # those that Arrow stores among them


def _categories_of_text(column: pd.Series, label: Hashable) -> pd.Index:
    known = column.dropna()
    categories = pd.Index(known.unique()).sort_values()
    if len(categories) == 0:
        raise _no_category(label, column.dtype)
    if len(categories) > max(MAX_FREE_TEXT, len(known) / 2):
        raise ValueError(
            f"Column {label!r} holds {len(categories)} different texts in {len(known)} entries, like names "
            "or free text; drop it, or, if these really are categories, say so with "
            f"X[{label!r}].astype('category'). If they are numbers, use pandas.to_numeric."
        )
    return categories


def _no_category(label: Hashable, dtype: Any) -> ValueError:
    return ValueError(
        f"Column {label!r} of type {dtype} has not a single category in fit; give it a category type that "
        "names its categories, or drop the column."
    )


def _positions(categories: pd.Index, values: Any, label: Hashable, handle_unknown: str) -> np.ndarray:
    """Position of each value among the categories, NaN where it is missing."""
    if isinstance(values, pd.Categorical):  # one look-up per category, not per row
        missing = values.codes < 0
        found = _look_up(categories, values.categories)
        codes = np.where(missing, -1, found[values.codes] if len(found) else -1)
    else:
        missing = np.asarray(pd.isna(values))
        try:
            codes = np.where(missing, -1, _look_up(categories, values))
        except TypeError as error:
            raise TypeError(
                f"Column {label!r} holds something that cannot be a category: {error}."
            ) from error
    unknown = (codes < 0) & ~missing
    if unknown.any() and handle_unknown == "error":
        row = int(unknown.argmax())
        value = values[row].item() if isinstance(values[row], np.generic) else values[row]
        shown = reprlib.repr(categories.tolist())
        raise ValueError(
            f"Column {label!r} holds {reprlib.repr(value)} in row {row}, which is none of the "
            f"categories seen in fit ({shown}). Correct it, name every category in the column's type before "
            "fit, or set handle_unknown='missing' to read such entries as missing."
        )
    return np.where(codes < 0, np.nan, codes.astype(np.float64))


def _look_up(categories: pd.Index, values: Any) -> np.ndarray:
    """Position of each value among the categories, -1 where it is none of them."""
    # as objects, which must be equal: an index of dates would find text, one of intervals what lies inside
    known, wanted = (
        pd.Index(np.asarray(each, dtype=object), dtype=object, tupleize_cols=False)
        for each in (categories, values)
    )
    return np.asarray(known.get_indexer(wanted))


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
    if not types.is_object_dtype(dtype) and not _is_text(dtype):
        is_time = isinstance(dtype, pd.PeriodDtype) or getattr(dtype, "kind", "O") in "mM"
        raise ValueError(f"Column {label!r} has type {dtype}, not numbers; {_advice(is_time)}.")
    values = column.to_numpy(dtype=object)
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
        "a column holds numbers, flags, or categories (text, or any column made so with "
        ".astype('category') before fit), not several of these"
    )


def floats_to_dtype(values: np.ndarray, dtype: Any, kind: str) -> np.ndarray:
    """Numbers in the data type of a column, rounded and clipped where it cannot hold them.

    Parameters
    ----------
    values : float array
        Without NaN.
    dtype : numpy or pandas data type
        For a nullable type of pandas, the numpy type that it stores is what comes back.
    kind : str
        Flags ("binary") are rounded to True and False, or 1 and 0, whatever the data type.
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
