"""Separate tables, one per modality, put side by side in one frame."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from skmm._blocks.containers import entries


def stack_modalities(modalities: Mapping[Any, Any]) -> pd.DataFrame:
    """Put separate tables, one per modality, side by side in one frame.

    Tables are aligned on their index: a row that a modality lacks becomes NaN there. Tables without an
    index (arrays) must all have the same number of rows, which are taken to belong together.

    Parameters
    ----------
    modalities : dict
        Name of each modality -> DataFrame, Series or array-like of shape (n_samples_of_modality, n_features).
        A one-dimensional array is one feature.

    Returns
    -------
    DataFrame of shape (n_samples, n_features)
        With MultiIndex columns (modality, feature), as :class:`skmm.MultimodalVAE` reads them by default.
        Rows are in the order in which they first appear.

    Raises
    ------
    ValueError
        If nothing is given, a table has no column, an index holds a label twice, or tables without an
        index differ in length or are mixed with tables whose index is not that of their rows.

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
    """
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(
            f"modalities must be a dict of at least one table, name -> table, got {modalities!r}."
        )
    frames = {name: _as_frame(name, table) for name, table in modalities.items()}
    for name, table in modalities.items():
        if not isinstance(table, pd.DataFrame | pd.Series):
            _check_same_rows(name, frames)
    index = next(iter(frames.values())).index
    for frame in frames.values():
        index = index.append(frame.index.difference(index, sort=False))
    # one table at a time: pd.concat would sort an index that differs
    return pd.concat({name: frame.reindex(index) for name, frame in frames.items()}, axis=1)


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
