"""The removal of modalities from a complete table."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from skmm._blocks.corruption import blank
from skmm._blocks.modalities import resolve_modalities
from skmm._torch import RandomStateLike, as_random_state


def remove_modalities(
    X: Any,
    fraction: float,
    *,
    modalities: Any = None,
    keep_one: bool = True,
    random_state: RandomStateLike = None,
) -> Any:
    """Return a copy of X in which whole modalities of randomly chosen rows are missing.

    Every modality of every row is removed with the same probability, whatever the values: missing
    completely at random.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
    fraction : float
        Probability, from 0 to 1, that a row loses a modality.
    modalities : None, "prefix", dict or callable, default=None
        How the columns form modalities, as in :class:`skmm.MultimodalVAE`; None takes the first level
        of MultiIndex columns.
    keep_one : bool, default=True
        Whether a row that would lose all its data keeps one modality, chosen at random among those in
        which it has any. The share really removed is then below ``fraction``.
    random_state : int, RandomState instance or None, default=None
        An int removes the same modalities on every call.

    Returns
    -------
    array or DataFrame of shape (n_samples, n_features)
        A new object of the kind of X; X is not changed. Columns that cannot hold a missing value are
        converted, as by :func:`skmm.hide`.

    Raises
    ------
    ValueError
        If ``fraction`` is not between 0 and 1, or ``modalities`` does not fit X.

    See Also
    --------
    skmm.hide : Removes named modalities from all rows.

    Examples
    --------
    >>> from skmm.datasets import make_quadratic_sinusoidal, remove_modalities
    >>> X = make_quadratic_sinusoidal(n_samples=1000, random_state=0)
    >>> X_missing = remove_modalities(X, 0.3, random_state=0)
    >>> bool((X_missing.isna().mean() > 0.2).all())
    True
    >>> bool(X_missing.isna().all(axis=1).any())
    False
    """
    if not (isinstance(fraction, Real) and 0 <= fraction <= 1):
        raise ValueError(f"fraction={fraction!r} is no probability; give a number from 0 to 1, such as 0.3.")
    groups = resolve_modalities(X, modalities)
    observed = _observed(X)
    present = np.stack([observed[:, columns].any(axis=1) for columns in groups.values()], axis=1)  # (n, M)
    rng = as_random_state(random_state)
    removed = rng.uniform(size=present.shape) < fraction
    if keep_one:
        survivor = np.where(present, rng.uniform(size=present.shape), -1.0).argmax(axis=1)  # (n,)
        emptied = ~(present & ~removed).any(axis=1)
        removed[emptied, survivor[emptied]] = False
    hidden = np.zeros(observed.shape, dtype=bool)
    for modality, columns in enumerate(groups.values()):
        hidden[:, columns] = removed[:, [modality]]
    return blank(X, hidden)


def _observed(X: Any) -> np.ndarray:
    """Tell where a table holds a value: a bool array of shape (n_samples, n_features)."""
    if isinstance(X, pd.DataFrame):
        return X.notna().to_numpy()
    if isinstance(X, Tensor):
        X = X.detach().cpu().numpy()
    return ~(np.ma.getmaskarray(X) | pd.isna(np.ma.getdata(X)))
