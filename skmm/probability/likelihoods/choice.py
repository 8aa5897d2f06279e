"""Which likelihood describes which column of a user's table."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmm._blocks.columns import BINARY, CATEGORY, CONTINUOUS, ORDERED, ColumnType, column_to_floats
from skmm._blocks.modalities import excerpt
from skmm.probability.likelihoods.registry import BY_KIND, LIKELIHOODS, declared, likelihood_of, suits

MAX_CODE = 2**53  # beyond, float64 does not hold every whole number

_HELD = {
    CONTINUOUS: "numbers",
    BINARY: "flags",
    CATEGORY: "categories without an order",
    ORDERED: "ordered categories",
}


def choose_likelihoods(
    likelihood: Any,
    groups: Mapping[Hashable, Any],
    labels: Sequence[Hashable],
    types: Sequence[ColumnType],
) -> list[Any]:
    """Find what makes the likelihood of each column.

    Parameters
    ----------
    likelihood : str, callable or dict
        One for all columns, or a dict by modality and by column, of which the column is preferred. What a
        dict leaves out is "auto".
    groups : dict
        Name of each modality -> positions of its columns.
    labels : sequence
        Label of each column; its position where columns have none.
    types : sequence of ColumnType

    Returns
    -------
    list of callables
        One per column; columns of one modality that share theirs are described together.

    Raises
    ------
    ValueError
        If the dict names what is neither a modality nor a column, if a likelihood is unknown, or if it does
        not suit what a column holds.
    """
    by_key: Mapping[Any, Any] = likelihood if isinstance(likelihood, Mapping) else {}
    for key in by_key:
        if key not in groups and key not in labels:
            raise ValueError(
                f"likelihood names {key!r}, which is neither a modality nor a column; X has the modalities "
                f"{excerpt(groups)} and the columns {excerpt(labels)}."
            )
    # what is the name of a column is that of no modality: of a flat table, the user has named none
    by_modality = {key: spec for key, spec in by_key.items() if key not in labels}
    default = "auto" if isinstance(likelihood, Mapping) else likelihood
    makers: list[Any] = [None] * len(labels)
    for name, positions in groups.items():
        for j in map(int, positions):
            label, kind = labels[j], types[j].kind
            own = label in by_key
            spec = by_key[label] if own else by_modality.get(name, default)
            _check_spec(spec, f"column {label!r}" if own else f"modality {name!r}")
            makers[j] = likelihood_of(spec, kind)
            if not suits(makers[j], kind) and not _counts(makers[j], kind):
                raise _unsuitable(spec, label, name, kind)
    return makers


def _counts(maker: Any, kind: str) -> bool:
    """Tell whether numbers or flags are to be read as categories."""
    return bool(declared(maker, "takes_categories", False)) and kind in (CONTINUOUS, BINARY)


def count_categories(
    makers: Sequence[Any],
    types: Sequence[ColumnType],
    labels: Sequence[Hashable],
    table: pd.DataFrame | np.ndarray,
) -> tuple[ColumnType, ...]:
    """Take columns of whole numbers or flags as categories, where their likelihood asks for it.

    Parameters
    ----------
    makers : list of callables
        From :func:`choose_likelihoods`.
    types : sequence of ColumnType
    labels : sequence
    table : DataFrame or float array
        The table of ``fit``.

    Returns
    -------
    tuple of ColumnType

    Raises
    ------
    ValueError
        If such a column holds anything but whole numbers, or nothing at all.
    """
    counted = []
    for j, (maker, column, label) in enumerate(zip(makers, types, labels, strict=True)):
        if _counts(maker, column.kind):
            values = (
                table[:, j] if isinstance(table, np.ndarray) else column_to_floats(table.iloc[:, j], label)
            )
            _check_countable(values, label)
            column = column.counted(values, CATEGORY if suits(maker, CATEGORY) else ORDERED)
        counted.append(column)
    return tuple(counted)


def _check_countable(values: np.ndarray, label: Hashable) -> None:
    known = values[~np.isnan(values)]
    if known.size == 0:
        raise ValueError(
            f"Column {label!r} has not a single category in fit; give it a category type that names its "
            "categories, or drop the column."
        )
    wrong = (known != np.rint(known)) | (np.abs(known) > MAX_CODE)
    if wrong.any():
        raise ValueError(
            f"Column {label!r} holds {known[wrong][0]}: only columns of whole numbers can be read as "
            "categories. Choose a likelihood of numbers for it, such as 'normal', or turn it into a column "
            "of categories, for example with pandas.cut."
        )


def _unsuitable(spec: Any, label: Hashable, name: Hashable, kind: str) -> ValueError:
    fitting = sorted(key for key, maker in LIKELIHOODS.items() if suits(maker, kind))
    message = (
        f"likelihood {spec!r} does not suit column {label!r} of modality {name!r}, which holds "
        f"{_HELD[kind]}. Choose one of {fitting} for it, in a dict by column: "
        f"likelihood={{{label!r}: {BY_KIND[kind]!r}}}."
    )
    if kind == CATEGORY and spec == "ordinal":
        message += (
            " Categories have an order where their type says so: pandas.CategoricalDtype(..., ordered=True)."
        )
    return ValueError(message)


def _check_spec(spec: Any, where: str) -> None:
    if isinstance(spec, str) and spec not in {"auto", *LIKELIHOODS}:
        raise ValueError(
            f"likelihood names {spec!r} for {where}; known are 'auto' and {sorted(LIKELIHOODS)}."
        )
    if not isinstance(spec, str) and not callable(spec):
        raise ValueError(
            f"likelihood of {where} must be a name or a callable f(n_features) -> Module, got {spec!r}."
        )
