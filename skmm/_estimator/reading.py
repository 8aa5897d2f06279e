"""Reading a user's X: the table, its numbers, and what networks compute on."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skmm._blocks.blocks import Blocks
from skmm._blocks.containers import check_table, row_slices, to_matrix
from skmm._blocks.layout import Layout
from skmm._blocks.sequences import Steps
from skmm.probability.likelihoods.contract import Likelihood


@dataclass(frozen=True)
class Targets:
    """A user's y, as ``fit`` has read it: one more table beside X.

    Parameters
    ----------
    layout : Layout
    matrix : float array of shape (n_samples, n_targets)
        NaN where unknown.
    makers : tuple of callables
        What makes the likelihood of each column.
    """

    layout: Layout
    matrix: np.ndarray
    makers: tuple[Any, ...]


@dataclass(frozen=True)
class Reading:
    """A user's X, as it was read.

    Parameters
    ----------
    opened : Steps
        The table of its rows, or of its steps, and the way back.
    matrix : array of real numbers of shape (n_rows of the table, n_features)
        In the user's units and order; NaN where missing. Of the user's type, perhaps in the user's memory.
    blocks : Blocks or SequenceBlocks
    """

    opened: Steps
    matrix: np.ndarray
    blocks: Any


class ReadingMixin:
    """How fitted estimators read X; estimators of sequences open and cut it otherwise.

    It needs ``module_``, ``layout_`` and the parameter ``handle_unknown``.
    """

    module_: Any
    layout_: Layout
    handle_unknown: str

    def _read_matrix(self, X: Any) -> np.ndarray:
        if not hasattr(self, "feature_names_in_"):  # otherwise scikit-learn checks the names
            self.layout_.check_columns(X)
        if self.handle_unknown not in ("error", "missing"):
            raise ValueError(f"handle_unknown must be 'error' or 'missing', got {self.handle_unknown!r}.")
        table = check_table(self, X, reset=False)
        return to_matrix(table, self.layout_.types, handle_unknown=self.handle_unknown)

    def _open(self, X: Any) -> Steps:
        """Turn X into the one table that everything is read from, and keep the way back."""
        return Steps.of_table(X)

    def _cut(self, rows: Blocks, opened: Steps) -> Any:
        """Turn rows of the table into what networks compute on."""
        return rows

    def _read(self, X: Any) -> Reading:
        check_is_fitted(self, "module_")
        opened = self._open(X)
        matrix = self._read_matrix(opened.table)
        check_support(self.module_, self.layout_, matrix)
        return Reading(opened, matrix, self._cut(self.layout_.read(matrix), opened))


def check_count(value: Any, parameter: str) -> None:
    """Raise ValueError if a parameter is not a positive whole number."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{parameter} must be a positive whole number, got {value!r}.")


def check_levels(q: Any) -> np.ndarray:
    """Levels of quantiles, as an array; raise ValueError if they are none."""
    try:
        levels = np.atleast_1d(np.asarray(q, dtype=np.float64))
    except (TypeError, ValueError):
        levels = np.array([np.nan])
    if levels.ndim != 1 or levels.size == 0 or not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"q must hold numbers from 0 to 1, got {q!r}.")
    return levels


def check_support(network: Any, layout: Layout, matrix: np.ndarray) -> None:
    """Raise ValueError where a likelihood has no density."""
    likelihoods = network.likelihoods[: len(layout.names)]  # those of X; of targets, `fit` alone reads any
    for name, likelihood, columns in zip(layout.names, likelihoods, layout.columns, strict=True):
        if getattr(type(likelihood), "check", None) is Likelihood.check:  # any number will do
            continue
        for rows in row_slices(matrix.shape):
            values = torch.from_numpy(matrix[rows][:, columns].astype(np.float64))
            observed = ~values.isnan() & torch.from_numpy(layout.informative[columns])
            likelihood.check(values, observed, name, [layout.labels[j] for j in columns])
