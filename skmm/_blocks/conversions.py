"""Sequences from one form to another: ragged lists, long frames, windows, other numbers of steps."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from torch import Tensor

from skmm._blocks.columns import column_to_floats
from skmm._blocks.containers import Container, absent, entries, table_shape
from skmm._blocks.sequences import ARRAY, LEVELS, LIST, LONG, TABLE, Steps, cut


def to_ragged(X: Any) -> list[Any]:
    """Turn sequences into a list of tables, one per sequence, of their own lengths.

    A list is what cross-validation splits into sequences; the rows of a long frame, which are steps, it
    would split within sequences.

    Parameters
    ----------
    X : array of shape (n_sequences, n_steps, n_features), list of tables, or DataFrame
        A DataFrame must have an index (sequence, time).

    Returns
    -------
    list of array, of Tensor or of DataFrame
        Tables of shape (n_steps, n_features), copies of the entries of X. Those of an array or a list are
        without the steps at their end in which nothing is observed (padding); of a sequence without a single
        observed entry, the first step stays. Those of a DataFrame have all their steps, even unobserved
        ones, in the order of time, and the time as index; sequences are in the order in which they first
        appear. Columns have the same data type in all frames of a list.

    Raises
    ------
    ValueError, TypeError
        If X holds no sequences, or not as they must be.

    See Also
    --------
    to_long : The other way.

    Examples
    --------
    >>> import numpy as np, skmm
    >>> X = np.array([[[1.0], [2.0], [np.nan]], [[3.0], [np.nan], [4.0]]])
    >>> [len(sequence) for sequence in skmm.to_ragged(X)]
    [2, 3]
    """
    steps = _sequences(X)
    parts = _parts(steps)
    if steps.form == LONG:
        return parts
    observed = ~absent(steps.table).all(axis=1)
    lengths = [np.flatnonzero(seen).max(initial=0) + 1 for seen in cut(observed, steps.lengths)]
    return [cut(part, [length])[0] for part, length in zip(parts, lengths, strict=True)]


def to_long(X: Any, labels: Iterable[Any] | None = None) -> pd.DataFrame:
    """Turn sequences into one frame with index (sequence, time), the steps of each below those of the last.

    Parameters
    ----------
    X : array of shape (n_sequences, n_steps, n_features), or list of tables
    labels : array-like of shape (n_sequences,), default=None
        Name of each sequence, each another; an Index gives its own name to the level. None counts the
        sequences from 0.

    Returns
    -------
    DataFrame of shape (n_steps of all sequences, n_features)
        The time is the index of each frame, where X is a list of frames; elsewhere, steps are counted from 0.
        skmm reads such a frame in the order of time, whatever the order of its rows. Padding is kept; leave
        it out with ``to_long(to_ragged(X))``.

    Raises
    ------
    ValueError, TypeError
        If X holds no sequences, a time comes twice in a sequence, or ``labels`` are not one for each
        sequence.

    See Also
    --------
    to_ragged : The other way.

    Examples
    --------
    >>> import skmm
    >>> skmm.to_long([[[1.0], [2.0]], [[3.0]]], labels=["ann", "bob"])
                     0
    sequence time
    ann      0     1.0
             1     2.0
    bob      0     3.0
    """
    steps = _sequences(X)
    if steps.form == LONG:
        raise ValueError("X is a frame with index (sequence, time) already.")
    n_sequences = len(steps.lengths)
    names = pd.RangeIndex(n_sequences) if labels is None else pd.Index(labels, tupleize_cols=False)
    if len(names) != n_sequences:
        raise ValueError(f"labels must be one for each of {n_sequences} sequences, got {len(names)}.")
    if not names.is_unique:
        raise ValueError(f"labels must differ, but {names[names.duplicated()][0]!r} comes more than once.")
    times = list(steps.indices or [pd.RangeIndex(n) for n in steps.lengths.tolist()])
    for position, index in enumerate(times):
        if index.nlevels > 1:
            raise ValueError(
                f"The index of item {position} of X has {index.nlevels} levels, but must have one, the time; "
                "put the others into columns, or drop them."
            )
    time = times[0].append(times[1:]) if times else pd.RangeIndex(0)
    index = pd.MultiIndex.from_arrays(
        [names.repeat(steps.lengths), time],
        names=[
            default if name is None else name
            for name, default in zip((names.name, time.name), LEVELS, strict=True)
        ],
    )
    table = steps.table if isinstance(steps.table, pd.DataFrame) else pd.DataFrame(entries(steps.table))
    frame = table.set_axis(index, axis=0).copy()
    Steps.of(frame)  # refuses what cannot be read as sequences
    return frame


def to_windows(X: Any, n_steps: int, *, stride: int | None = None) -> list[Any]:
    """Cut long sequences into windows, to train on.

    Windows start at the first step and then every ``stride`` steps, up to the first that reaches the last
    step of its sequence, where it is cut off: every step is in some window, no window lies within another,
    and the last one of each sequence may be shorter than ``n_steps``. None crosses from one sequence into the
    next.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_steps, n_features), or sequences
        One long record, whose rows are steps. Or sequences: an array of shape (n_sequences, n_steps,
        n_features), a list of tables, or a DataFrame with index (sequence, time).
    n_steps : int
        Number of steps of a window.
    stride : int, default=None
        Number of steps from the start of one window to that of the next, at most ``n_steps``. None takes
        ``n_steps``: windows do not overlap.

    Returns
    -------
    list of array, of Tensor or of DataFrame
        Tables of shape (at most n_steps, n_features), copies of the entries of X; windows of the first
        sequence, then those of the second, and so on. Frames keep the times as their index.

    Raises
    ------
    ValueError, TypeError
        If ``n_steps`` or ``stride`` is not as it must be, or X neither a table nor sequences.

    Examples
    --------
    >>> import numpy as np, skmm
    >>> [window.ravel().tolist() for window in skmm.to_windows(np.arange(5).reshape(-1, 1), 2)]
    [[0, 1], [2, 3], [4]]
    >>> [window.ravel().tolist() for window in skmm.to_windows(np.arange(5).reshape(-1, 1), 3, stride=1)]
    [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    """
    n_steps = _whole("n_steps", n_steps)
    stride = n_steps if stride is None else _whole("stride", stride)
    if stride > n_steps:
        raise ValueError(
            f"stride must be at most n_steps={n_steps}, got {stride}: steps between windows would be "
            "left out."
        )
    windows = []
    for part in _parts(_record_or_sequences(X)):
        starts = range(0, max(len(part) - n_steps + stride, 1), stride)
        rows = part.iloc if isinstance(part, pd.DataFrame) else part
        windows += [_copy(rows[start : start + n_steps]) for start in starts]
    return windows


def resample_steps(X: Any, n_steps: int | Iterable[int]) -> Any:
    """Bring sequences of numbers to another number of steps.

    To fewer steps by averaging: the sequence is cut into ``n_steps`` bins of equal length, each the mean of
    the observed entries of the steps in it, by the share of the step that lies in the bin; NaN where none is
    observed. To more steps by repeating: step i of the new ones is step ``floor(i * old / new)`` of the old.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_steps, n_features), or sequences
        One record, whose rows are steps. Or sequences, in an array of shape (n_sequences, n_steps,
        n_features) or a list of tables.
    n_steps : int or array-like of int of shape (n_sequences,)
        New number of steps, of all sequences or of each.

    Returns
    -------
    array, Tensor, DataFrame or list
        Of a record, a table of ``n_steps`` rows; of an array and a single number of steps, an array; of
        everything else, a list of tables. Numbers are float32 where X is, otherwise float64; frames count
        their steps from 0.

    Raises
    ------
    ValueError, TypeError
        If ``n_steps`` is not as it must be, or X holds something else than numbers.

    Notes
    -----
    Steps are taken to be equally far apart. For frames with time stamps, pandas has
    ``X.groupby(level=0).resample("1min", level=1).mean()``.

    Examples
    --------
    >>> import numpy as np, skmm
    >>> skmm.resample_steps(np.array([[1.0], [2.0], [3.0]]), 2).ravel()
    array([1.33333333, 2.66666667])
    """
    if isinstance(X, pd.DataFrame) and isinstance(X.index, pd.MultiIndex):
        raise ValueError(
            "X is a frame with index (sequence, time); resample it by its times, for example with "
            "X.groupby(level=0).resample('1min', level=1).mean(), or give skmm.to_ragged(X)."
        )
    steps = _record_or_sequences(X)
    counts = _new_counts(n_steps, len(steps.lengths))
    matrix, is_single = _numbers(steps.table)
    parts = [_resampled(part, n) for part, n in zip(cut(matrix, steps.lengths), counts, strict=True)]
    resampled = np.concatenate([matrix[:0], *parts]).astype(np.float32 if is_single else np.float64)
    device = steps.table.device if isinstance(steps.table, Tensor) else None
    table = Container.of(steps.table).wrap(resampled, index=pd.RangeIndex(len(resampled)), device=device)
    if isinstance(table, np.ma.MaskedArray):
        table = np.ma.masked_invalid(table)
    form = LIST if steps.form == ARRAY and not isinstance(n_steps, Integral) else steps.form
    return Steps(form, table, np.array(counts, dtype=np.intp)).join(table)


def _sequences(X: Any) -> Steps:
    """Read sequences, and nothing else."""
    steps = Steps.of(X)
    if steps.form == TABLE:
        shape = getattr(X, "shape", None)
        raise ValueError(
            "X must be sequences: an array of shape (n_sequences, n_steps, n_features), a list of tables, or "
            f"a DataFrame with index (sequence, time); got {type(X).__name__}"
            + ("." if shape is None else f" of shape {tuple(shape)}; of one sequence, give [X].")
        )
    return steps


def _record_or_sequences(X: Any) -> Steps:
    """Read sequences, and a plain table as a single one: its rows are steps."""
    steps = Steps.of(X)
    if steps.form != TABLE:
        return steps
    table = X if isinstance(X, pd.DataFrame | np.ndarray | Tensor) else entries(X)
    n_steps = table_shape(table)[0]
    if n_steps == 0:
        raise ValueError("X has no rows, so there are no steps.")
    return Steps(TABLE, table, np.array([n_steps]))


def _parts(steps: Steps) -> list[Any]:
    """The sequences as copies, frames with their times as index."""
    parts = [_copy(part) for part in cut(steps.table, steps.lengths)]
    if steps.indices is not None:
        return [part.set_axis(index, axis=0) for part, index in zip(parts, steps.indices, strict=True)]
    return [part.droplevel(0) for part in parts] if steps.form == LONG else parts


def _copy(table: Any) -> Any:
    return table.detach().clone() if isinstance(table, Tensor) else table.copy()


def _whole(parameter: str, value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{parameter} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def _new_counts(n_steps: Any, n_sequences: int) -> list[int]:
    if not isinstance(n_steps, Iterable) or isinstance(n_steps, str):
        return [_whole("n_steps", n_steps)] * n_sequences
    counts = [_whole(f"n_steps of sequence {position}", n) for position, n in enumerate(n_steps)]
    if len(counts) != n_sequences:
        raise ValueError(
            f"n_steps must be a whole number, or one for each of {n_sequences} sequence(s); got "
            f"{len(counts)}."
        )
    return counts


def _numbers(table: Any) -> tuple[np.ndarray, bool]:
    """Numbers of a table, NaN where it has none, and whether all of them are of single precision."""
    if not isinstance(table, pd.DataFrame):
        array = entries(table)
        if array.dtype.kind in "biuf":
            return array.astype(np.float64), array.dtype == np.float32
        table = pd.DataFrame(array)
    matrix = np.empty(table.shape)
    for position, (label, column) in enumerate(table.items()):
        matrix[:, position] = column_to_floats(column, label)
    return matrix, all(dtype == np.float32 for dtype in table.dtypes)


def _resampled(values: np.ndarray, n_steps: int) -> np.ndarray:
    old = len(values)
    if n_steps >= old:
        return values[np.arange(n_steps) * old // n_steps]
    # in units in which steps and bins have whole lengths, cut wherever a step or a bin ends
    cuts = np.union1d(np.arange(old + 1) * n_steps, np.arange(n_steps + 1) * old)
    entries_of = (cuts[:-1] // old, cuts[:-1] // n_steps)
    shares = sparse.csr_array((np.diff(cuts).astype(np.float64), entries_of), shape=(n_steps, old))
    observed = ~np.isnan(values)
    total = shares @ np.where(observed, values, 0.0)
    share = shares @ observed.astype(np.float64)
    return np.divide(total, share, out=np.full(total.shape, np.nan), where=share > 0)
