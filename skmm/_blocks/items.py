"""The tables of a list: read one by one, checked against each other, put one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api.types import union_categoricals
from torch import Tensor

from skmm._blocks.containers import entries, frame_of
from skmm._blocks.modalities import excerpt


def dimensions(X: Any) -> int:
    """Number of dimensions; of nested lists, by the first entry of each."""
    if isinstance(X, list | tuple):
        return 1 + (dimensions(X[0]) if X else 0)
    return len(getattr(X, "shape", ()))


def read_items(items: Mapping[int, Any]) -> list[Any]:
    """Read the tables of a list, by their position in it.

    Returns
    -------
    list of array, of Tensor or of DataFrame
        All of one kind, with the same columns, and at least one row each. Share memory with the items.

    Raises
    ------
    ValueError, TypeError
        If an item is no table, or they do not agree.
    """
    tables = {position: _read_item(position, item) for position, item in items.items()}
    (first, table), *others = tables.items()
    for position, other in others:
        if _kind(other) != _kind(table):
            raise ValueError(
                f"The items of a list must be of one kind, but item {first} of X is {_kind(table)} and item "
                f"{position} is {_kind(other)}; convert them first."
            )
        if isinstance(table, pd.DataFrame):
            _check_same_columns(first, table.columns, position, other.columns)
        elif other.shape[1] != table.shape[1]:
            raise ValueError(
                f"All sequences must have the same features, but item {first} of X has {table.shape[1]} and "
                f"item {position} has {other.shape[1]}; put NaN where a feature was not measured."
            )
    return list(tables.values())


def concatenate(tables: Sequence[Any]) -> Any:
    """Put tables as :func:`read_items` returns them one below the other, frames with a new index."""
    first = tables[0]
    if isinstance(first, pd.DataFrame):
        if all(table.dtypes.equals(first.dtypes) for table in tables):
            return pd.concat(tables, ignore_index=True)
        columns = [_concatenate_column([table.iloc[:, j] for table in tables]) for j in range(first.shape[1])]
        return frame_of(columns, pd.RangeIndex(sum(map(len, tables))), first.columns)
    if isinstance(first, Tensor):
        return torch.cat(list(tables))
    kinds = {table.dtype.kind for table in tables}
    if len(kinds) > 1 and not kinds <= set("biufc"):  # or numpy would make text of the numbers
        tables = [table.astype(object) for table in tables]
    is_masked = any(isinstance(table, np.ma.MaskedArray) for table in tables)
    return np.ma.concatenate(tables) if is_masked else np.concatenate(tables)


def _kind(table: Any) -> str:
    if isinstance(table, pd.DataFrame):
        return "a DataFrame"
    return "a Tensor" if isinstance(table, Tensor) else "an array"


def _read_item(position: int, item: Any) -> Any:
    is_list = isinstance(item, list | tuple)
    n_dimensions = dimensions(item)
    if n_dimensions != 2 and not (is_list and len(item) == 0):
        raise ValueError(
            "The items of a list of sequences must be tables of shape (n_steps, n_features), but item "
            f"{position} of X has {n_dimensions} dimension(s)"
            + ("; of one feature, give item.reshape(-1, 1)." if n_dimensions == 1 else ".")
        )
    if len(item) == 0 if is_list else item.shape[0] == 0:
        raise ValueError(f"Sequence {position} of X has no steps; leave it out, or give it at least one.")
    if isinstance(item, pd.DataFrame | Tensor | np.ndarray):
        return item
    try:
        array = entries(item)
    except ValueError as error:
        raise ValueError(
            f"Item {position} of X is no table, as its rows differ in length: {error}"
        ) from error
    return _without_objects(array) if is_list else array


def _without_objects(array: np.ndarray) -> np.ndarray:
    """Numbers of a list with None among them; as it is where it holds more than numbers."""
    if array.dtype != object or any(isinstance(entry, str | bytes) for entry in array.flat):
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return array


def _check_same_columns(first: int, expected: pd.Index, position: int, columns: pd.Index) -> None:
    if columns.equals(expected):
        return
    missing = expected.difference(columns, sort=False)
    unknown = columns.difference(expected, sort=False)
    problems = [f"lacks {excerpt(missing)}"] * (len(missing) > 0)
    problems += [f"has {excerpt(unknown)} besides"] * (len(unknown) > 0)
    found = " and ".join(problems) or f"has them in another order ({excerpt(columns)})"
    raise ValueError(
        f"All sequences must have the same columns, but item {position} of X {found}, compared to item "
        f"{first}; put NaN where a feature was not measured."
    )


def _concatenate_column(parts: Sequence[pd.Series]) -> Any:
    """One column of several frames, whatever its data type in each."""
    known = [part.notna().any() for part in parts]
    dtypes = {part.dtype for part, is_known in zip(parts, known, strict=True) if is_known}
    if len(dtypes) > 1 and all(isinstance(dtype, pd.CategoricalDtype) for dtype in dtypes):
        same_labels = len({dtype.categories.dtype for dtype in dtypes}) == 1
        if same_labels and not any(dtype.ordered for dtype in dtypes):
            filled = [part.array for part, is_known in zip(parts, known, strict=True) if is_known]
            dtypes = {union_categoricals(filled).dtype}
            parts = [
                part.astype(*dtypes) if is_known else part
                for part, is_known in zip(parts, known, strict=True)
            ]
    if len(dtypes) == 1:
        (dtype,) = dtypes
        if not (isinstance(dtype, np.dtype) and dtype.kind in "biu"):  # which have no missing entries
            # where nothing was measured, a column may be of any type
            parts = [
                part if is_known else pd.Series([None] * len(part), dtype=dtype)
                for part, is_known in zip(parts, known, strict=True)
            ]
    return pd.concat(parts, ignore_index=True).array
