"""Known entries, hidden from an estimator: which ones, what it is given instead, and means over them."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmm._blocks.containers import check_table, to_matrix
from skmm._blocks.corruption import blank
from skmm._blocks.layout import Layout
from skmm._blocks.sequences import Steps, opened_by
from skmm._torch import RandomStateLike, as_random_state


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a user's X, and the fitted estimator that is to complete it.

    Parameters
    ----------
    model : estimator
        The one that completes; not the steps of a Pipeline in front of it.
    opened : Steps
        X, as it comes to the model.
    matrix : float array of shape (n_rows of the table, n_features)
        Its numbers; categories by their position, NaN where missing.
    """

    model: Any
    opened: Steps
    matrix: np.ndarray

    @classmethod
    def of(cls, estimator: Any, X: Any, method: str) -> Truth:
        """Read X as an estimator does.

        Parameters
        ----------
        estimator : estimator or Pipeline
        X : array-like, DataFrame or sequences
        method : str
            What the estimator must be able to do.

        Raises
        ------
        TypeError
            If it cannot.
        """
        model = last_step(estimator, method)
        if isinstance(estimator, Pipeline) and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        opened = opened_by(model, X)
        return cls(model, opened, read_numbers(model, opened.table))

    @property
    def layout(self) -> Layout:
        """The model's."""
        return self.model.layout_

    def present(self, names: Iterable[Hashable]) -> np.ndarray:
        """Rows that have a known entry of any of these modalities, (n_rows,)."""
        columns = np.concatenate([self.layout.positions(name) for name in names])
        return np.asarray(self.known[:, columns].any(axis=1))

    def given(self, names: Iterable[Hashable]) -> Any:
        """X in the user's form, lacking all modalities but these."""
        hidden = np.ones(self.matrix.shape, dtype=bool)
        hidden[:, np.concatenate([self.layout.positions(name) for name in names])] = False
        return self.without(hidden)

    @property
    def known(self) -> np.ndarray:
        """Entries that can be hidden and compared, (n_rows, n_features)."""
        return ~np.isnan(self.matrix) & self.layout.informative

    def without(self, hidden: np.ndarray) -> Any:
        """X in the user's form, lacking the entries marked in ``hidden``."""
        return self.opened.join(blank(self.opened.table, hidden))

    def read(self, X: Any) -> np.ndarray:
        """Numbers of what the model made of X, (n_rows, n_features)."""
        return read_numbers(self.model, opened_by(self.model, X).table)


def last_step(estimator: Any, method: str) -> Any:
    """The fitted estimator itself or, of a Pipeline, its last step.

    Raises
    ------
    TypeError
        If it does not complete tables, or lacks the method.
    """
    check_is_fitted(estimator)
    model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(getattr(model, "layout_", None), Layout) or not hasattr(model, method):
        raise TypeError(
            "What is measured here needs an estimator that completes tables, such as MultimodalVAE, or a "
            f"Pipeline whose last step is one; got {model!r}."
        )
    return model


Measure = Callable[[Truth, Any, np.ndarray], np.ndarray]


def read_numbers(model: Any, table: Any) -> np.ndarray:
    """Numbers of a table as the model reads it, as float64; categories by their position."""
    handle_unknown = getattr(model, "handle_unknown", "error")
    checked = check_table(model, table, reset=False)
    matrix = to_matrix(checked, model.layout_.types, handle_unknown=handle_unknown)
    return matrix.astype(np.float64, copy=False)  # the user's own type may be too narrow to compute with


def mean_over_hidden(
    truth: Truth,
    measure: Measure,
    *,
    hide: Any,
    fraction: float,
    random_state: RandomStateLike,
    compared: np.ndarray | None = None,
) -> tuple[np.ndarray, pd.Index]:
    """Hide known entries, some at a time, and average by modality what a measure says of each.

    Parameters
    ----------
    truth : Truth
    measure : callable
        ``measure(truth, X, hidden)``, where X lacks the entries marked in ``hidden``, and perhaps others,
        gives an array of shape (..., n_hidden), in the order of ``truth.matrix[hidden]``.
    hide, fraction, random_state
        As of :func:`skmm.metrics.completion_error`.
    compared : bool array of shape (n_features,), default=None
        Columns that count; None lets all of them. What is hidden does not depend on it.

    Returns
    -------
    means : float array of shape (..., n_modalities)
        NaN for a modality of which nothing could be hidden and compared.
    names : Index
        Of the modalities: all of them, or those in a list ``hide``.

    Raises
    ------
    ValueError
        If an argument is not as it must be, or nothing could be hidden.
    """
    _check_arguments(hide, fraction)
    layout, known = truth.layout, truth.known
    groups = modality_groups(layout, hide)
    if hide == "cells":
        patterns = _cells(known, fraction, random_state)
    else:
        patterns = _modalities(layout, known, truth.opened.lengths, groups)
    shown = [index for group in groups for index in group]
    owner = np.empty(layout.n_features, dtype=np.intp)
    for index, columns in enumerate(layout.columns):
        owner[columns] = index
    total: Any = 0.0
    count = np.zeros(len(layout.names), dtype=int)
    something_hidden = False
    for entries in patterns:
        something_hidden = True
        hidden = entries & known
        chosen = hidden if compared is None else hidden & compared
        if not chosen.any():
            continue
        values = measure(truth, truth.without(entries), chosen)
        of = owner[np.nonzero(chosen)[1]]
        total = total + np.stack([values[..., of == i].sum(axis=-1) for i in range(len(count))], axis=-1)
        count += np.bincount(of, minlength=len(count))
    if not something_hidden:
        raise ValueError(nothing_hidden(layout, hide, fraction))
    if not count.any():
        raise ValueError(_nothing_compared(layout, shown))
    means = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return means[..., shown], pd.Index([layout.names[i] for i in shown], tupleize_cols=False)


def _check_arguments(hide: Any, fraction: float) -> None:
    listed = isinstance(hide, list | tuple)
    if not listed and not (isinstance(hide, str) and hide in ("modalities", "cells")):
        raise ValueError(
            f"hide must be 'modalities' or 'cells', got {hide!r}; to hide some modalities together, give a "
            "list of their names."
        )
    if not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
        raise ValueError(f"fraction must be a number between 0 and 1, got {fraction!r}.")


def modality_groups(layout: Layout, hide: Any) -> list[list[int]]:
    """Positions of the modalities that are hidden together, in the order of the layout.

    Raises
    ------
    ValueError
        If a list ``hide`` names an unknown modality, or leaves none.
    """
    if isinstance(hide, str):
        return [[index] for index in range(len(layout.names))]
    names = list(layout.names)
    unknown = [name for name in hide if name not in names]
    if unknown:
        raise ValueError(f"hide names the unknown modality {unknown[0]!r}; X has {names}.")
    group = [index for index, name in enumerate(names) if name in hide]
    if not 0 < len(group) < len(names):
        raise ValueError(
            f"hide must name at least one modality, and leave one to complete it from; got {hide!r}, and X "
            f"has {names}."
        )
    return [group]


def _modalities(
    layout: Layout, known: np.ndarray, lengths: np.ndarray, groups: Sequence[Sequence[int]]
) -> Iterator[np.ndarray]:
    """Entries to hide, one group of modalities after the other, in whole sequences."""
    starts = np.cumsum(lengths) - lengths
    present = np.stack(
        [np.logical_or.reduceat(known[:, columns].any(axis=1), starts) for columns in layout.columns]
    )  # (M, n)
    for group in groups:
        chosen = present[group].any(axis=0) & np.delete(present, group, axis=0).any(axis=0)
        rows = np.repeat(chosen, lengths)
        if rows.any():
            hidden = np.zeros(known.shape, dtype=bool)
            hidden[np.ix_(rows, np.concatenate([layout.columns[index] for index in group]))] = True
            yield hidden


def _cells(known: np.ndarray, fraction: float, random_state: RandomStateLike) -> Iterator[np.ndarray]:
    """Entries to hide, all at once; every row keeps the known entry that was nearest to staying."""
    draws = as_random_state(random_state).uniform(size=known.shape)
    draws = np.where(known, draws, -1.0)
    hidden = known & (draws < fraction) & (draws < draws.max(axis=1, keepdims=True))
    if hidden.any():
        yield hidden


def nothing_hidden(layout: Layout, hide: Any, fraction: float | None = None) -> str:
    """What to say where none of the rows has what was to be hidden, beside something else."""
    if hide == "cells":
        return (
            f"No entry of X could be hidden with fraction={fraction}: no row has two known entries, or there "
            "are too few of them. Give more rows, or a larger fraction."
        )
    names = list(layout.names)
    if len(names) == 1:
        return (
            f"There is only one modality, {names[0]!r}, so that none can be hidden and completed from the "
            "others; use hide='cells'."
        )
    if hide == "modalities":
        which = f"two of the modalities {names}, so that none can be hidden and completed from another one"
    else:
        which = f"one of {list(hide)} and of another modality, so that nothing can be hidden and completed"
    return (
        f"No row of X has observed entries of {which}; give such rows (in cross-validation, shuffle the "
        "folds), or use hide='cells'."
    )


def _nothing_compared(layout: Layout, shown: Sequence[int]) -> str:
    names: list[Hashable] = [layout.names[index] for index in shown]
    return (
        f"Nothing that was hidden of the modalities {names} is in a column of numbers, which is what this "
        "measure is of; skmm.metrics.completion_error measures flags and categories too."
    )
