"""Separate tables, one per modality, put side by side in one frame."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from skmm._blocks.containers import entries
from skmm._blocks.items import dimensions
from skmm._blocks.sequences import Steps, is_sequences


def stack_modalities(modalities: Mapping[Any, Any]) -> Any:
    """Put separate tables, one per modality, side by side in one frame; or sequences, in one frame each.

    Tables are aligned on their index: a row that a modality lacks becomes NaN there. Tables without an
    index (arrays) must all have the same number of rows, which are taken to belong together. Frames with an
    index (sequence, time) are aligned on both, into a frame with that index.

    Sequences in arrays and lists are put together in the order in which they are given, and step by step:
    all modalities of a sequence must have the same number of steps.

    Parameters
    ----------
    modalities : dict
        Name of each modality -> DataFrame, Series or array-like of shape (n_samples_of_modality, n_features).
        A one-dimensional array is one feature. Or, for every modality: sequences, in an array of shape
        (n_sequences, n_steps, n_features) or a list of tables (n_steps, n_features), where None stands for
        a sequence that lacks the modality.

    Returns
    -------
    DataFrame of shape (n_samples, n_features), or list of DataFrame of shape (n_steps, n_features)
        With MultiIndex columns (modality, feature), as :class:`skmm.MultimodalVAE` reads them by default.
        Rows are in the order in which they first appear. Of sequences a list, one frame each, whose index
        counts the steps from 0, or is that of the frames that were given.

    Raises
    ------
    ValueError
        If nothing is given, a table has no column, an index holds a label twice, or tables without an
        index differ in length or are mixed with tables whose index is not that of their rows. If sequences
        are mixed with tables, differ in number between modalities, or in their steps or index.

    Examples
    --------
    >>> import pandas as pd, skmm
    >>> audio = pd.DataFrame({"pitch": [1.0, 2.0]}, index=["ann", "bob"])
    >>> text = pd.DataFrame({"length": [3.0, 4.0]}, index=["bob", "eve"])
    >>> skmm.stack_modalities({"audio": audio, "text": text})
        audio   text
        pitch length
    ann   1.0    NaN
    bob   2.0    3.0
    eve   NaN    4.0

    Sequences, of which the second was not filmed:

    >>> sound = [[[0.1], [0.2]], [[0.3], [0.4], [0.5]]]
    >>> skmm.stack_modalities({"sound": sound, "film": [[[1.0], [2.0]], None]})[1]
      sound film
          0    0
    0   0.3  NaN
    1   0.4  NaN
    2   0.5  NaN
    """
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(
            f"modalities must be a dict of at least one table, name -> table, got {modalities!r}."
        )
    if any(is_sequences(table) for table in modalities.values()):
        return _stack_sequences(modalities)
    frames = {name: _as_frame(name, table) for name, table in modalities.items()}
    for name, table in modalities.items():
        if not isinstance(table, pd.DataFrame | pd.Series):
            _check_same_rows(name, frames)
    index = next(iter(frames.values())).index
    for frame in frames.values():
        index = index.append(frame.index.difference(index, sort=False))
    # one table at a time: pd.concat would sort an index that differs
    return pd.concat({name: frame.reindex(index) for name, frame in frames.items()}, axis=1)


def _stack_sequences(modalities: Mapping[Any, Any]) -> list[pd.DataFrame]:
    """Sequences matched by their position, and their steps by theirs."""
    parts = {name: _sequences(name, value, modalities) for name, value in modalities.items()}
    first = next(iter(modalities))
    n_sequences = len(modalities[first])
    for name, value in modalities.items():
        if len(value) != n_sequences:
            raise ValueError(
                f"Modality {first!r} has {n_sequences} sequences, but modality {name!r} has {len(value)}; "
                "give every modality of every sequence, or None in a list where a sequence lacks it."
            )
    indices = [
        _common_index(sequence, {name: given[sequence] for name, (_, given) in parts.items()})
        for sequence in range(n_sequences)
    ]
    lengths = np.array([len(index) for index in indices], dtype=np.intp)
    frames = {}
    for name, (table, given) in parts.items():
        here = np.repeat(np.array([index is not None for index in given], dtype=bool), lengths)
        rows = np.full(len(here), -1)  # no row of the table
        rows[here] = np.arange(len(table))
        frames[name] = table.reindex(rows).reset_index(drop=True)
    steps = Steps("list", pd.concat(frames, axis=1), lengths, indices=tuple(indices))
    return steps.join(steps.table)


def _sequences(
    name: Hashable, value: Any, modalities: Mapping[Any, Any]
) -> tuple[pd.DataFrame, list[pd.Index | None]]:
    """All steps of a modality in one frame, and the index of each of its sequences; None where it lacks."""
    if not is_sequences(value):
        other = next(name for name, each in modalities.items() if is_sequences(each))
        raise ValueError(_no_sequences(name, value, other))
    try:
        if dimensions(value) == 3 and not isinstance(value, list | tuple):
            steps = Steps.of(value)
            present = list(range(len(value)))
        else:
            present = [position for position, item in enumerate(value) if item is not None]
            steps = Steps.of_items({position: value[position] for position in present})
    except (TypeError, ValueError) as error:
        raise type(error)(f"Modality {name!r}: {error}") from error
    given: list[pd.Index | None] = [None] * len(value)
    indices = steps.indices or map(pd.RangeIndex, steps.lengths.tolist())
    for position, index in zip(present, indices, strict=True):
        given[position] = index
    return _as_frame(name, steps.table), given


def _no_sequences(name: Hashable, value: Any, other: Hashable) -> str:
    """Say why a modality cannot be put beside sequences."""
    if isinstance(value, list | tuple) and len(value) and all(item is None for item in value):
        return f"Modality {name!r} is None in all sequences; leave it out."
    advice = "give all as sequences, in an array of three dimensions or a list of tables"
    if isinstance(value, pd.DataFrame | pd.Series):
        advice = "give all as frames with index (sequence, time), which skmm.to_long makes of sequences"
    return (
        f"Modality {name!r} is no sequences, but modality {other!r} is; {advice} (of one feature, with shape "
        "(n_steps, 1))."
    )


def _common_index(sequence: int, given: Mapping[Any, pd.Index | None]) -> pd.Index:
    """Index of a sequence, the same in all modalities that it has."""
    known = {name: index for name, index in given.items() if index is not None}
    if not known:
        raise ValueError(f"Sequence {sequence} is None in all modalities; leave it out.")
    # of arrays, and of frames without an index of their own, it only counts the steps
    first = next((name for name, index in known.items() if not _is_count(index)), next(iter(known)))
    for name, index in known.items():
        if len(index) != len(known[first]):
            raise ValueError(
                f"Sequence {sequence} has {len(known[first])} steps in modality {first!r}, but {len(index)} "
                f"in modality {name!r}; bring them to one number of steps, for example with "
                "skmm.resample_steps, or match them by their times, as frames with index (sequence, time)."
            )
        if not _is_count(index) and not index.equals(known[first]):
            raise ValueError(
                f"The index of sequence {sequence} in modality {name!r} is not that in modality {first!r}; "
                "give frames with index (sequence, time), which are matched by it (skmm.to_long makes them), "
                "or drop the index with reset_index(drop=True) to match them step by step."
            )
    return known[first]


def _is_count(index: pd.Index) -> bool:
    return index.equals(pd.RangeIndex(len(index)))


def _check_same_rows(unlabelled: Hashable, frames: Mapping[Any, pd.DataFrame]) -> None:
    """Rows without labels can only be matched by position, and only where that is unambiguous."""
    rows = frames[unlabelled].index
    for name, frame in frames.items():
        if not frame.index.equals(rows):
            raise ValueError(
                f"Modality {unlabelled!r} has {len(rows)} rows and no index, so its rows cannot be matched "
                f"with the {len(frame)} rows of modality {name!r}; give DataFrames with an index that says "
                "which rows belong together."
            )


def _as_frame(name: Hashable, table: Any) -> pd.DataFrame:
    if isinstance(table, pd.Series):
        table = table.to_frame()
    if not isinstance(table, pd.DataFrame):
        array = entries(table)
        if array.ndim not in (1, 2):
            raise ValueError(f"Modality {name!r} must have one or two dimensions, got shape {array.shape}.")
        table = pd.DataFrame(array)
    if table.shape[1] == 0:
        raise ValueError(f"Modality {name!r} has no columns; leave it out or give it some.")
    if isinstance(table.columns, pd.MultiIndex):
        raise ValueError(
            f"Modality {name!r} has columns of several levels; give each modality as a plain table."
        )
    if not table.index.is_unique:
        label = table.index[table.index.duplicated()][0]
        raise ValueError(
            f"The index of modality {name!r} holds {label!r} more than once, so its rows cannot be matched; "
            "give every row a label of its own, for example with reset_index(drop=True)."
        )
    return table
