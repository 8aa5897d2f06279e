"""Which columns of a table form which modality."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import pandas as pd

from skmm._blocks.containers import column_labels

SINGLE = "x"  # name of the only modality, where the user names none


def resolve_modalities(X: Any, modalities: Any = None) -> dict[Hashable, np.ndarray]:
    """Find the columns of each modality.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
    modalities : None, "prefix", dict or callable
        None takes the first level of MultiIndex columns, and one modality where there is none. "prefix"
        cuts column names at the first double underscore. A dict maps names to column labels, positions,
        slices, bool masks, or a callable that is given X and returns one of these. A callable in place
        of the dict is given X and returns the dict. Of MultiIndex columns, a label may name the first
        level alone. Whole numbers are labels where the columns are labelled by whole numbers, otherwise
        positions; in slices they are always positions.

    Returns
    -------
    dict
        Name -> integer positions of its columns, in the order given.

    Raises
    ------
    ValueError
        If a modality has no column, two share one, a column is in none, or a label is unknown.
    """
    labels = column_labels(X)
    if callable(modalities):
        modalities = modalities(X)
    if modalities is None:
        has_levels = isinstance(X, pd.DataFrame) and isinstance(X.columns, pd.MultiIndex)
        return _group(X.columns.get_level_values(0) if has_levels else [SINGLE] * len(labels))
    if isinstance(modalities, str) and modalities == "prefix":
        return _group(_prefix(label) for label in labels)
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(
            "modalities must be None, 'prefix', a dict of at least one name -> columns, or a callable that "
            f"returns such a dict, got {modalities!r}."
        )
    groups = {name: _positions(X, labels, name, columns) for name, columns in modalities.items()}
    _check_partition(labels, groups)
    return groups


def _group(names: Iterable[Hashable]) -> dict[Hashable, np.ndarray]:
    """Positions of each name, in the order in which the names first appear."""
    groups: dict[Hashable, list[int]] = {}
    for position, name in enumerate(names):
        groups.setdefault(name, []).append(position)
    return {name: np.array(positions) for name, positions in groups.items()}


def _prefix(label: Hashable) -> str:
    prefix, separator, _ = label.partition("__") if isinstance(label, str) else ("", "", "")
    if not (prefix and separator):
        raise ValueError(
            f"modalities='prefix' needs column names like 'audio__pitch'; {label!r} has no such prefix. "
            "Give a DataFrame (inside a Pipeline: .set_output(transform='pandas') on the step before)."
        )
    return prefix


def _check_partition(labels: Sequence[Hashable], groups: Mapping[Hashable, np.ndarray]) -> None:
    owner: dict[int, Hashable] = {}
    for name, positions in groups.items():
        for position in positions.tolist():
            if position in owner:
                raise ValueError(
                    f"Column {labels[position]!r} is in modality {owner[position]!r} and again in modality "
                    f"{name!r}; every column belongs to one modality, once."
                )
            owner[position] = name
    left_over = [label for position, label in enumerate(labels) if position not in owner]
    if left_over:
        raise ValueError(
            f"{len(left_over)} column(s) belong to no modality, the first is {left_over[0]!r}; add them to "
            "`modalities` or drop them from X."
        )


def _positions(X: Any, labels: Sequence[Hashable], name: Hashable, columns: Any) -> np.ndarray:
    """Integer positions of one modality's columns."""
    everything = np.arange(len(labels))
    if callable(columns):
        columns = columns(X)
    if isinstance(columns, slice):
        positions = everything[_positional(X, name, columns)]
    else:
        wanted = _listed(X, name, columns)
        if wanted and all(isinstance(value, bool | np.bool_) for value in wanted):
            positions = everything[_mask(labels, name, wanted)]
        else:
            found = [np.atleast_1d(everything[_locate(X, labels, name, value)]) for value in wanted]
            positions = np.concatenate([everything[:0], *found])
    if positions.size == 0:
        raise ValueError(f"Modality {name!r} has no columns; leave it out of `modalities` or give it some.")
    return positions


def _positional(X: Any, name: Hashable, columns: slice) -> slice:
    """Turn a slice between labels, ends included as pandas has it, into one between positions."""
    bounds = [bound for bound in (columns.start, columns.stop) if bound is not None]
    if all(isinstance(bound, int | np.integer) for bound in bounds):
        return columns
    if not isinstance(X, pd.DataFrame):
        raise ValueError(f"Modality {name!r} asks for {columns}, but X has no column names; use positions.")
    try:
        for bound in bounds:
            X.columns.get_loc(bound)  # of sorted labels, pandas takes unknown bounds too
        return X.columns.slice_indexer(columns.start, columns.stop, columns.step)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"Modality {name!r} asks for {columns}, which does not fit the columns of X "
            f"({excerpt(X.columns)}): {error}."
        ) from error


def _listed(X: Any, name: Hashable, columns: Any) -> list[Any]:
    """Columns asked for, one by one; a single one may stand for a list of one."""
    if isinstance(columns, Set):
        raise ValueError(f"The columns of modality {name!r} are a set, which has no order; give a list.")
    is_label = isinstance(columns, tuple) and isinstance(X, pd.DataFrame) and columns in X.columns
    is_single = is_label or isinstance(columns, str) or not isinstance(columns, Iterable)
    return [columns] if is_single else list(columns)


def _mask(labels: Sequence[Hashable], name: Hashable, chosen: list[bool]) -> np.ndarray:
    if len(chosen) != len(labels):
        raise ValueError(
            f"The mask of modality {name!r} has {len(chosen)} entries, but X has {len(labels)} columns; give "
            "one entry per column."
        )
    return np.array(chosen, dtype=bool)


def _locate(X: Any, labels: Sequence[Hashable], name: Hashable, value: Any) -> Any:
    """Position of a label; a slice or a mask where it names the first level of MultiIndex columns."""
    is_frame = isinstance(X, pd.DataFrame)
    if is_frame:
        try:
            return X.columns.get_loc(value)
        except (KeyError, TypeError, pd.errors.InvalidIndexError):
            pass  # no label: a position, perhaps
    if isinstance(value, int | np.integer) and not (is_frame and "integer" in X.columns.inferred_type):
        if -len(labels) <= value < len(labels):
            return int(value)
        raise ValueError(f"Modality {name!r} asks for column {value}, but X has {len(labels)} columns.")
    known = f"X has {excerpt(labels)}" if is_frame else "X has no column names, use positions"
    raise ValueError(f"Modality {name!r} asks for column {value!r}, which is not in X; {known}.")


def excerpt(labels: Iterable[Hashable]) -> str:
    """Name the first few labels, for error messages."""
    shown = [repr(label) for label in labels]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
