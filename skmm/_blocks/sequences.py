"""Sequences of the user, read as one table of all their steps, and given back in the same form."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api.types import infer_dtype
from scipy import sparse
from torch import Tensor

from skmm._blocks.containers import entries, table_shape
from skmm._blocks.items import concatenate, dimensions, read_items
from skmm._blocks.modalities import excerpt
from skmm._blocks.times import continued

TABLE, ARRAY, LIST, LONG = "table", "array", "list", "long"
LEVELS = ("sequence", "time")
TIMES = (pd.DatetimeIndex, pd.PeriodIndex, pd.TimedeltaIndex)


@dataclass(frozen=True, eq=False)
class Steps:
    """All steps of some sequences, one below the other in one table, and the way back.

    Parameters
    ----------
    form : {"table", "array", "list", "long"}
        What the user gave: a plain table, whose rows are sequences of one step; a three-dimensional array;
        a list of tables; a frame with index (sequence, time).
    table : array-like, Tensor or DataFrame of shape (n_steps of all sequences, n_features)
        Steps of the first sequence in the order of time, then those of the second, and so on. May share
        memory with the user's data, and must not be written to.
    counts : int array of shape (n_sequences,) or None
        Number of steps of each sequence; None where each row of the table is a sequence.
    index : MultiIndex or None
        Of a long frame, in the user's order of rows.
    order : int array or None
        Of a long frame whose rows are not in the order of ``table``: the user's row of each of its rows.
    indices : tuple of Index or None
        Of a list of frames: the index of each.
    """

    form: str
    table: Any
    counts: np.ndarray | None = None
    index: pd.MultiIndex | None = None
    order: np.ndarray | None = None
    indices: tuple[pd.Index, ...] | None = None

    @classmethod
    def of(cls, X: Any) -> Steps:
        """Read sequences in any form; what is no sequence is left to :func:`check_table`.

        Raises
        ------
        ValueError, TypeError
            If X holds sequences, but not as they must be.
        """
        if isinstance(X, pd.DataFrame):
            return cls._of_long(X) if isinstance(X.index, pd.MultiIndex) else cls.of_table(X)
        if isinstance(X, list | tuple) or _is_array_of_objects(X):
            return cls._of_list(X)
        if dimensions(X) < 3 or _is_sparse(X):
            return cls.of_table(X)
        return cls._of_array(X if isinstance(X, np.ndarray | Tensor) else entries(X))

    @classmethod
    def of_table(cls, X: Any) -> Steps:
        """Take X for a plain table, whatever it is."""
        return cls(TABLE, X)

    @classmethod
    def of_items(cls, items: Mapping[int, Any]) -> Steps:
        """Read the tables of a list, by their position in it."""
        parts = read_items(items)
        indices = tuple(part.index for part in parts) if isinstance(parts[0], pd.DataFrame) else None
        for position, index in zip(items, indices or (), strict=False):
            if isinstance(index, TIMES) and not (index.is_monotonic_increasing and index.is_unique):
                raise ValueError(
                    f"The times of item {position} of X do not increase from row to row; sort them with "
                    ".sort_index(), and drop or average rows of the same time."
                )
        counts = np.array([len(part) for part in parts], dtype=np.intp)
        return cls(LIST, concatenate(parts), counts, indices=indices)

    @classmethod
    def _of_list(cls, X: Any) -> Steps:
        if len(X) == 0:
            raise ValueError("X is an empty list; give it at least one sequence.")
        depths = [dimensions(item) for item in X]
        if max(depths) < 2:
            lengths = [len(item) for item in X] if min(depths) == 1 else [0]
            other = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
            if other is not None:
                raise ValueError(
                    f"X is a list of one-dimensional items, of {lengths[0]} entries (item 0) and of "
                    f"{lengths[other]} (item {other}). The rows of a table need one length; sequences are "
                    "tables of shape (n_steps, n_features), with reshape(-1, 1) if they have one feature."
                )
            return cls.of_table(X)
        steps = cls.of_items(dict(enumerate(X)))
        nested = all(isinstance(each, list | tuple) for each in (X, *X))
        is_array = nested and (steps.lengths == steps.lengths[0]).all()
        return replace(steps, form=ARRAY) if is_array else steps

    @classmethod
    def _of_array(cls, X: Any) -> Steps:
        if X.ndim != 3:
            raise ValueError(
                "X must be a table, or sequences in an array of shape (n_sequences, n_steps, n_features); "
                f"got {type(X).__name__} of shape {tuple(X.shape)}."
            )
        n_sequences, n_steps, n_features = X.shape
        if n_steps == 0:
            raise ValueError(
                f"The sequences of X have no steps (shape {tuple(X.shape)}); give them at least one."
            )
        # sizes in full: of an array without entries, none can be left out
        table = X.reshape(n_sequences * n_steps, n_features)
        return cls(ARRAY, table, np.full(n_sequences, n_steps))

    @classmethod
    def _of_long(cls, X: pd.DataFrame) -> Steps:
        index = X.index
        if index.nlevels != 2:
            raise ValueError(
                f"The index of X has {index.nlevels} levels ({excerpt(index.names)}), but that of sequences "
                "must have two, (sequence, time); put the others into columns, or drop them."
            )
        for level, kind in enumerate(LEVELS):
            missing = index.get_level_values(level).isna()
            if missing.any():
                raise ValueError(
                    f"Row {int(missing.argmax())} of X has no {kind}: {_level(index, level)} is missing "
                    "there; fill it in, or drop the row."
                )
        sequence, labels = index.get_level_values(0).factorize()
        rank = _rank(index)
        order = np.lexsort((rank, sequence))
        pairs = np.stack([sequence, rank])[:, order]
        repeated = (pairs[:, 1:] == pairs[:, :-1]).all(axis=0)
        if repeated.any():
            label, time = map(_plain, index[order[int(repeated.argmax())]])
            raise ValueError(
                f"Sequence {label!r} of X has several rows for time {time!r}; drop or average all but one, "
                "for example with X.groupby(level=[0, 1]).mean()."
            )
        _check_text(index, sequence, order)
        counts = np.bincount(sequence, minlength=len(labels))
        if (order == np.arange(len(order))).all():
            return cls(LONG, X, counts, index=index)
        return cls(LONG, X.iloc[order], counts, index=index, order=order)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of steps of each sequence, (n_sequences,)."""
        return np.ones(table_shape(self.table)[0], dtype=np.intp) if self.counts is None else self.counts

    @property
    def labels(self) -> pd.Index | None:
        """Of a long frame, the label of each sequence, in the order of ``lengths``; None elsewhere."""
        return self.index.get_level_values(0).unique() if self.index is not None else None

    @property
    def form_of_new(self) -> Form:
        """What it takes to give new sequences in the form of these."""
        return Form(self.form, LEVELS if self.index is None else tuple(self.index.names))

    def join(self, table: Any) -> Any:
        """Put results, one row per row of :attr:`table`, in the user's form.

        Parameters
        ----------
        table : array, Tensor or DataFrame
            Of any columns and data types.

        Returns
        -------
        array, Tensor, list or DataFrame
            Of a plain table, the table itself. Of an array, one of shape (n_sequences, n_steps, n_columns); a
            frame becomes a long one, as no array holds it. Of a list, a list of tables, frames among them
            with the index of the user's. Of a long frame, one with the user's rows in the user's order.
        """
        if self.form == TABLE:
            return table
        if self.form == LIST:
            parts = cut(table, self.lengths)
            if isinstance(table, pd.DataFrame):
                indices = self.indices or [pd.RangeIndex(n) for n in self.lengths.tolist()]
                parts = [part.set_axis(index, axis=0) for part, index in zip(parts, indices, strict=True)]
            return parts
        if self.form == ARRAY and not isinstance(table, pd.DataFrame):
            n_steps = self.lengths[0] if len(self.lengths) else 1
            return table.reshape(len(self.lengths), int(n_steps), table.shape[1])
        frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(entries(table))
        index = _counted_index(self.lengths) if self.index is None else self.index
        if self.order is not None:
            frame = frame.iloc[np.argsort(self.order)]
        return frame.set_axis(index, axis=0)

    def ahead(self, n_steps: int) -> Steps:
        """Make a template for further steps of every sequence.

        Parameters
        ----------
        n_steps : int
            Number of further steps.

        Returns
        -------
        Steps
            Of ``n_steps`` steps each, in the same form, with times that continue those there are. Its table
            has the columns and data types of this one; what it holds means nothing.

        Raises
        ------
        ValueError
            If ``n_steps`` is not a whole number of at least 1, or times cannot be continued.
        """
        if not isinstance(n_steps, Integral) or isinstance(n_steps, bool) or n_steps < 1:
            raise ValueError(f"n_steps must be a whole number of at least 1, got {n_steps!r}.")
        n_steps, n_sequences = int(n_steps), len(self.lengths)
        counts, first = np.full(n_sequences, n_steps), np.zeros(n_sequences * n_steps, dtype=np.intp)
        if isinstance(self.table, pd.DataFrame):
            table = self.table.iloc[first].reset_index(drop=True)
            template = Steps(LONG if self.form == TABLE else self.form, table, counts)
            return self._continue_times(template, n_steps)
        source = self.table if hasattr(self.table, "shape") else entries(self.table)
        return Steps(ARRAY if self.form == TABLE else self.form, source[first], counts)

    def _continue_times(self, template: Steps, n_steps: int) -> Steps:
        """Index of further steps of frames."""
        if self.form == TABLE:
            labels = self.table.index
            names = [LEVELS[0] if labels.name is None else labels.name, LEVELS[1]]
            if names[0] == LEVELS[1]:
                names[1] = "step"
            times: Any = np.tile(np.arange(1, n_steps + 1), len(labels))
            return replace(template, index=_index(labels, n_steps, times, names))
        if self.form == LIST:
            assert self.indices is not None
            further = continued(self.indices, n_steps)
            if further is None:  # no times: the steps are counted on
                indices = [pd.RangeIndex(n, n + n_steps) for n in self.lengths.tolist()]
            else:
                indices = [further[i * n_steps : (i + 1) * n_steps] for i in range(len(self.lengths))]
            named = [new.rename(old.name) for new, old in zip(indices, self.indices, strict=True)]
            return replace(template, indices=tuple(named))
        assert self.index is not None
        if len(self.lengths) == 0:
            return replace(template, index=self.index)
        index = self.index if self.order is None else self.index[self.order]
        times = [part.get_level_values(1) for part in cut(index, self.lengths)]
        further = continued(times, n_steps)
        if further is None:
            raise ValueError(
                f"The times of X ({_level(index, 1)}) are of type {times[0].dtype}, and cannot be continued; "
                "use numbers, dates, durations or periods."
            )
        assert self.labels is not None
        return replace(template, index=_index(self.labels, n_steps, further, self.index.names))


@dataclass(frozen=True)
class Form:
    """What ``fit`` got its sequences in: enough to give new ones in the same form.

    Parameters
    ----------
    kind : {"table", "array", "list", "long"}
        As of :class:`Steps`.
    names : tuple
        Of the levels of a long frame's index.
    """

    kind: str
    names: tuple[Hashable, ...] = LEVELS

    def join_new(self, table: Any, n_sequences: int, n_steps: int) -> Any:
        """Put new steps, those of the first sequence first, in the form of ``fit``.

        Parameters
        ----------
        table : array, Tensor or DataFrame of shape (n_sequences * n_steps, n_columns)

        Returns
        -------
        array, Tensor, list or DataFrame
            As by :meth:`Steps.join`; sequences and steps are counted from 0. More steps than one in the form
            of a plain table make an array of three dimensions, or a long frame.
        """
        if self.kind == TABLE and n_steps == 1:
            return table
        lengths = np.full(n_sequences, n_steps)
        kind = ARRAY if self.kind == TABLE else self.kind
        index = _counted_index(lengths, self.names) if kind == LONG else None
        return Steps(kind, table, lengths, index=index).join(table)


def opened_by(estimator: Any, X: Any) -> Steps:
    """X as an estimator reads it: as one table of its rows, or of all steps of its sequences."""
    return getattr(estimator, "_open", Steps.of_table)(X)


def is_sequences(X: Any) -> bool:
    """Tell whether X is a three-dimensional array, or a list of tables, some of which may be None."""
    if isinstance(X, list | tuple) or _is_array_of_objects(X):
        return any(dimensions(item) >= 2 for item in X)
    return dimensions(X) == 3 and not _is_sparse(X)


def cut(table: Any, lengths: Sequence[int] | np.ndarray) -> list[Any]:
    """Cut a table into consecutive parts; frames are copied."""
    ends = np.cumsum(lengths).tolist()
    bounds = [slice(*pair) for pair in pairwise([0, *ends])]
    if isinstance(table, pd.DataFrame):
        return [table.iloc[part].copy() for part in bounds]
    return [table[part] for part in bounds]


def _is_array_of_objects(X: Any) -> bool:
    return isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype == object


def _is_sparse(X: Any) -> bool:
    return sparse.issparse(X) or (isinstance(X, Tensor) and X.layout != torch.strided)


def _index(
    labels: pd.Index, n_steps: int | np.ndarray, times: Any, names: Sequence[Hashable]
) -> pd.MultiIndex:
    """Index (sequence, time) of sequences, one after the other."""
    return pd.MultiIndex.from_arrays([labels.repeat(n_steps), times], names=names)


def _counted_index(lengths: np.ndarray, names: Sequence[Hashable] = LEVELS) -> pd.MultiIndex:
    """Index of sequences and steps that have no labels."""
    steps = np.concatenate([np.arange(0), *map(np.arange, lengths.tolist())])
    return _index(pd.RangeIndex(len(lengths)), lengths, steps, names)


def _level(index: pd.MultiIndex, level: int) -> str:
    """Name a level, for error messages."""
    name = index.names[level]
    return f"index level {level}" if name is None else f"index level {name!r}"


def _plain(label: Hashable) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _rank(index: pd.MultiIndex) -> np.ndarray:
    """Position of the time of each row among all times."""
    times = index.get_level_values(1)
    if isinstance(times.dtype, pd.CategoricalDtype):
        if times.dtype.ordered:
            return np.asarray(times.codes)
        times = times.astype(times.dtype.categories.dtype)
    codes, distinct = times.factorize()
    try:
        order = distinct.argsort()
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"The times of X ({_level(index, 1)}) cannot be put in order: {error}. Give times of one type."
        ) from error
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return rank[codes]


def _check_text(index: pd.MultiIndex, sequence: np.ndarray, order: np.ndarray) -> None:
    """Refuse to sort by text, in which "10" comes before "2"."""
    times = index.get_level_values(1)
    if isinstance(times.dtype, pd.CategoricalDtype):
        times = times if times.dtype.ordered else times.categories
    if infer_dtype(times) == "string" and (order != np.argsort(sequence, kind="stable")).any():
        raise ValueError(
            f"The times of X ({_level(index, 1)}) are text, and the rows are not in the order of the "
            "alphabet, so their order in time is unknown; give numbers, dates, or an ordered category."
        )
