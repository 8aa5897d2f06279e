"""Taking away what was observed: dropout of modalities and cells in training, hiding for the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skmm._blocks.blocks import Blocks, per_feature
from skmm._blocks.containers import entries, frame_of, table_shape
from skmm._blocks.masks import random_mask
from skmm._blocks.modalities import excerpt, resolve_modalities
from skmm._blocks.sequences import Steps


@dataclass(frozen=True)
class Dropout:
    """Hide observed entries from the encoders, row by row: ``Blocks -> Blocks``.

    Only the masks change. A row never loses its last observed modality: where all would go, the one
    that was nearest to staying stays.

    Parameters
    ----------
    modality_rates : tuple of float
        Probability that a modality of a row is hidden, one per modality.
    cell_rates : tuple of float
        Probability that a single cell is hidden, one per modality.
    """

    modality_rates: tuple[float, ...]
    cell_rates: tuple[float, ...]

    def __call__(self, blocks: Blocks) -> Blocks:
        """Draw which entries to hide, from torch's current generator."""
        observed = blocks.joint_observed
        if any(self.cell_rates):
            observed = observed & self._kept_cells(blocks)
        if any(self.modality_rates):
            observed = observed & self._kept_modalities(blocks)
        if observed is blocks.joint_observed:
            return blocks
        return never_emptied(blocks, observed)

    def _kept_cells(self, blocks: Blocks) -> Tensor:
        rate = torch.tensor(self.cell_rates, device=blocks.joint.device, dtype=torch.float32)
        return random_mask(blocks.joint.shape, per_feature(rate, blocks.sizes, dim=0), rate.device)

    def _kept_modalities(self, blocks: Blocks) -> Tensor:
        rate = torch.tensor(self.modality_rates, device=blocks.joint.device, dtype=torch.float32)
        rate = rate[:, None]  # (M, 1)
        present = blocks.row_present  # (M, n)
        # how far each modality is from being dropped; uniform on [0, 1) among those that are
        margin = torch.rand(present.shape, device=rate.device, dtype=torch.float32)
        kept = margin >= rate
        relative = torch.where(present, margin / rate.clamp_min(1e-12), -1.0)
        survivor = relative == relative.amax(0)
        none_left = ~(kept & present).any(0)
        kept = kept | (none_left & survivor)
        kept = per_feature(kept.T, blocks.sizes, dim=1)  # (n, D)
        return kept if blocks.joint.ndim == 2 else kept[:, None]


def never_emptied(blocks: Blocks, observed: Tensor) -> Blocks:
    """Hide what is not in ``observed``; but rows of which nothing would be left keep everything."""
    corrupted = Blocks.from_joint(blocks.joint, observed, blocks.sizes)
    emptied = ~corrupted.row_present.any(0)
    if emptied.device.type == "cpu" and not emptied.any():  # elsewhere, a look would stop the queue
        return corrupted
    observed = observed | (emptied.view(-1, *[1] * (observed.ndim - 1)) & blocks.joint_observed)
    return Blocks.from_joint(blocks.joint, observed, blocks.sizes)


def blank(X: Any, hidden: np.ndarray) -> Any:
    """Return a copy of a table in which the entries marked in ``hidden`` are missing.

    Columns that cannot hold a missing value are converted: boolean and integer columns of a frame to
    pandas' nullable types, arrays of numbers to float64 and arrays of text to objects.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
    hidden : bool array of shape (n_samples, n_features)

    Returns
    -------
    array, Tensor or DataFrame
        A new object of the kind of ``X``.
    """
    if isinstance(X, pd.DataFrame):
        columns = [column.array for _, column in X.items()]
        for j in np.flatnonzero(hidden.any(axis=0)).tolist():
            columns[j] = _with_room(X.iloc[:, j]).mask(hidden[:, j]).array
        return frame_of(columns, X.index, X.columns)
    if isinstance(X, Tensor):
        tensor = X.detach() if X.is_floating_point() else X.detach().to(torch.float64)
        return tensor.masked_fill(torch.as_tensor(hidden, device=tensor.device), torch.nan)
    if isinstance(X, np.ma.MaskedArray):
        return np.ma.masked_array(X, mask=hidden, copy=True)  # on top of the mask it has
    array = entries(X)
    roomy: dict[str, Any] = dict.fromkeys("biu", np.float64) | {"f": array.dtype, "O": object, "U": object}
    if array.dtype.kind not in roomy:
        raise TypeError(
            f"X has type {array.dtype}, which cannot hold a missing value; turn it into numbers first."
        )
    numbers = isinstance(X, list | tuple) and not any(isinstance(entry, str) for entry in array.flat)
    array = array.astype(np.float64 if numbers else roomy[array.dtype.kind])
    array[hidden] = np.nan
    return array


def _with_room(column: pd.Series) -> pd.Series:
    """Give a column that cannot hold a missing value a type that can."""
    is_tight = isinstance(column.dtype, np.dtype) and column.dtype.kind in "biu"
    return column.convert_dtypes() if is_tight else column


Modalities = str | Mapping[str, Any] | Callable[..., Any] | None


def _blank_modalities(X: Any, names: Any, modalities: Modalities, *, keep_named: bool) -> Any:
    # of a frame, every row is treated alike: no need to ask whose step it is
    steps = Steps.of_table(X) if isinstance(X, pd.DataFrame) else Steps.of(X)
    groups = resolve_modalities(steps.table, modalities)
    is_single = isinstance(names, str) or not isinstance(names, Iterable)
    named = [names] if is_single else list(names)
    unknown = [name for name in named if name not in groups]
    if unknown:
        raise ValueError(f"Unknown modality {unknown[0]!r}; X has {excerpt(groups)}.")
    hidden = np.zeros(table_shape(steps.table), dtype=bool)
    for name, columns in groups.items():
        hidden[:, columns] = (name in named) != keep_named
    return steps.join(blank(steps.table, hidden))


def hide(X: Any, names: Sequence[str] | str, *, modalities: Modalities = None) -> Any:
    """Return a copy of X in which the named modalities are missing.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features), or sequences
        Sequences may be an array of shape (n_sequences, n_steps, n_features), or a list of tables.
    names : str or list of str
        Modalities to blank.
    modalities : None, "prefix" or dict, default=None
        How the columns form modalities, as in :class:`skmm.MultimodalVAE`; None takes the first level
        of MultiIndex columns.

    Returns
    -------
    array, Tensor, DataFrame or list
        A new object of the form of X; X is not changed.

    Raises
    ------
    ValueError
        If a name is not a modality of X.

    See Also
    --------
    keep : The opposite: blank all modalities but the named ones.

    Examples
    --------
    >>> import pandas as pd, skmm
    >>> X = skmm.stack_modalities({"audio": [[1.0, 2.0]], "text": [[3.0]]})
    >>> skmm.hide(X, "audio").isna().to_numpy()
    array([[ True,  True, False]])
    """
    return _blank_modalities(X, names, modalities, keep_named=False)


def keep(X: Any, names: Sequence[str] | str, *, modalities: Modalities = None) -> Any:
    """Return a copy of X in which all modalities but the named ones are missing.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features), or sequences
        Sequences may be an array of shape (n_sequences, n_steps, n_features), or a list of tables.
    names : str or list of str
        Modalities to keep.
    modalities : None, "prefix" or dict, default=None
        As for :func:`hide`.

    Returns
    -------
    array, Tensor, DataFrame or list
        A new object of the form of X; X is not changed.

    Raises
    ------
    ValueError
        If a name is not a modality of X.
    """
    return _blank_modalities(X, names, modalities, keep_named=True)
