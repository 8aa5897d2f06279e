"""Small data sets of several modalities, and the removal of modalities from a complete one."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.utils import Bunch, check_scalar
from torch import Tensor

from skmm._blocks.corruption import blank
from skmm._blocks.modalities import resolve_modalities
from skmm._torch import RandomStateLike, as_random_state

SPIRAL_MODALITIES = {"first": slice(0, 2), "second": slice(2, 4)}
"""Features of each modality of :func:`make_spirals`, to be given as ``modalities``."""

# how the second spiral follows from the first: half the sum and half the difference of x and y,
# which is a rotation by -45 degrees and a scaling by 1 / sqrt(2)
_SPIRAL_MIXING = np.array([[0.5, 0.5], [-0.5, 0.5]])

# rows and columns of the 8 x 8 image that each view sees
_DIGIT_VIEWS: dict[str, dict[str, tuple[slice, slice]]] = {
    "quadrants": {
        "top_left": np.s_[:4, :4],
        "top_right": np.s_[:4, 4:],
        "bottom_left": np.s_[4:, :4],
        "bottom_right": np.s_[4:, 4:],
    },
    "halves": {"top": np.s_[:4, :], "bottom": np.s_[4:, :]},
}


def make_spirals(
    n_samples: int = 1000,
    n_steps: int = 50,
    *,
    noise: float = 0.25,
    shuffle: bool = True,
    random_state: RandomStateLike = None,
) -> np.ndarray:
    """Draw pairs of noisy spirals: sequences of two modalities, two features each.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of sequences.
    n_steps : int, default=50
        Number of time steps of each; a sequence always makes two turns.
    noise : float, default=0.25
        Standard deviation of the normal noise on every value.
    shuffle : bool, default=True
        Whether to shuffle the sequences. They are independent draws, so this matters only to whoever
        wants them in the order of the generator that [1]_ uses.
    random_state : int, RandomState instance or None, default=None
        An int gives the same data on every call; None gives new data.

    Returns
    -------
    ndarray of shape (n_samples, n_steps, 4)
        Features x and y of the first modality, then of the second; ``SPIRAL_MODALITIES`` names them.

    See Also
    --------
    make_quadratic_sinusoidal : A table instead of sequences.

    Notes
    -----
    With t from 0 to 4π, an amplitude A per sequence, uniform between 0.5 and 1.5, and ε the noise:

    - first: x = A t cos t + ε, y = A t sin t + ε;
    - second: half the sum and half the difference, (x + y) / 2 + ε and (y - x) / 2 + ε, of the first
      modality as observed, noise included.

    So the mean squared error per value of predicting the second modality from the first cannot be below
    ``noise ** 2``. In the other direction it is ``2 / 3 * noise ** 2`` for who knows the amplitude, and
    ``2 * noise ** 2`` for who inverts step by step without making use of the dynamics.

    References
    ----------
    .. [1] sathya-ml/multimodal-vrnn-vae, ``generate_spirals_dataset``.

    Examples
    --------
    >>> from skmm.datasets import SPIRAL_MODALITIES, make_spirals
    >>> X = make_spirals(n_samples=100, n_steps=20, random_state=0)
    >>> X.shape
    (100, 20, 4)
    >>> X[:, :, SPIRAL_MODALITIES["second"]].shape
    (100, 20, 2)
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    check_scalar(n_steps, "n_steps", Integral, min_val=1)
    check_scalar(noise, "noise", Real, min_val=0)
    rng = as_random_state(random_state)
    t = np.linspace(0.0, 4.0 * np.pi, n_steps)
    radius = rng.uniform(0.5, 1.5, size=(n_samples, 1)) * t  # (n, T)
    first = np.stack([radius * np.cos(t), radius * np.sin(t)], axis=-1)  # (n, T, 2)
    first += rng.normal(0.0, noise, size=first.shape)
    second = first @ _SPIRAL_MIXING.T + rng.normal(0.0, noise, size=first.shape)
    X = np.concatenate([first, second], axis=-1)
    return X[rng.permutation(n_samples)] if shuffle else X


def make_quadratic_sinusoidal(
    n_samples: int = 1000,
    *,
    noise: float = 0.1,
    shuffle: bool = True,
    random_state: RandomStateLike = None,
) -> pd.DataFrame:
    """Draw points on a parabola and a sinusoid: a table of two modalities, two features each.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    noise : float, default=0.1
        Standard deviation of the normal noise on every feature but the first.
    shuffle : bool, default=True
        Whether to shuffle the rows; otherwise they are sorted by ("first", "x").
    random_state : int, RandomState instance or None, default=None
        An int gives the same data on every call; None gives new data.

    Returns
    -------
    DataFrame of shape (n_samples, 4)
        With columns ("first", "x"), ("first", "y"), ("second", "x") and ("second", "y").

    See Also
    --------
    make_spirals : Sequences instead of a table.

    Notes
    -----
    With x₁ in equal steps from -1 to 1 and ε the noise:

    - first: x₁, and y₁ = x₁² + ε;
    - second: x₂ = y₁ + ε, and y₂ = sin(2π x₁) + y₁ / 2 + ε.

    The mean squared error per value of predicting the second modality from the first cannot be below
    ``noise ** 2``. In the other direction several x₁ explain one point of the second modality, so that
    their mean explains none of them well: draws are to be judged there, not predictions.

    References
    ----------
    .. [1] sathya-ml/multimodal-vrnn-vae, ``generate_quadratic_sinusoidal_dataset``.

    Examples
    --------
    >>> from skmm.datasets import make_quadratic_sinusoidal
    >>> make_quadratic_sinusoidal(n_samples=3, noise=0.0, shuffle=False).round(2)
    modality first      second
    feature      x    y      x    y
    0         -1.0  1.0    1.0  0.5
    1          0.0  0.0    0.0  0.0
    2          1.0  1.0    1.0  0.5
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    check_scalar(noise, "noise", Real, min_val=0)
    rng = as_random_state(random_state)
    x1 = np.linspace(-1.0, 1.0, n_samples)
    y1 = x1**2 + rng.normal(0.0, noise, size=n_samples)
    x2 = y1 + rng.normal(0.0, noise, size=n_samples)
    y2 = np.sin(2.0 * np.pi * x1) + 0.5 * y1 + rng.normal(0.0, noise, size=n_samples)
    X = np.stack([x1, y1, x2, y2], axis=1)
    if shuffle:
        X = X[rng.permutation(n_samples)]
    columns = pd.MultiIndex.from_product([["first", "second"], ["x", "y"]], names=["modality", "feature"])
    return pd.DataFrame(X, columns=columns)


def load_digit_views(
    views: str = "quadrants", *, return_X_y: bool = False
) -> Bunch | tuple[pd.DataFrame, np.ndarray]:
    """Load scikit-learn's handwritten digits, each image cut into views that serve as modalities.

    Nothing is downloaded: these are the 1797 images of 8 x 8 pixels of
    :func:`sklearn.datasets.load_digits`.

    Parameters
    ----------
    views : {"quadrants", "halves"}, default="quadrants"
        "quadrants" gives top_left, top_right, bottom_left and bottom_right, 16 pixels each; "halves"
        gives top and bottom, 32 pixels each.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch
        With attributes

        data : DataFrame of shape (1797, 64)
            Grey values from 0 to 16. Columns are (view, pixel), a pixel being named by its row and
            column in the image, as in ("top_left", "r0c3").
        target : int ndarray of shape (1797,)
            The digit.
        target_names : ndarray of shape (10,)
            All the digits.
        images : ndarray of shape (1797, 8, 8)
            The images before they were cut.
        DESCR : str
            A short description.
    (data, target) : tuple if ``return_X_y``
        The first two of these.

    Raises
    ------
    ValueError
        If ``views`` is not one of the above.

    Examples
    --------
    >>> from skmm.datasets import load_digit_views
    >>> X, y = load_digit_views("halves", return_X_y=True)
    >>> X.shape, list(X.columns.unique("modality"))
    ((1797, 64), ['top', 'bottom'])
    >>> X["top"].columns[:3].tolist()
    ['r0c0', 'r0c1', 'r0c2']
    """
    if not isinstance(views, str) or views not in _DIGIT_VIEWS:
        raise ValueError(f"views must be one of {list(_DIGIT_VIEWS)}, got {views!r}.")
    digits = load_digits()
    position = np.arange(64).reshape(8, 8)
    pixels = {view: position[window].ravel() for view, window in _DIGIT_VIEWS[views].items()}
    columns = pd.MultiIndex.from_tuples(
        [(view, f"r{pixel // 8}c{pixel % 8}") for view, seen in pixels.items() for pixel in seen],
        names=["modality", "feature"],
    )
    data = pd.DataFrame(digits.data[:, np.concatenate(list(pixels.values()))], columns=columns)
    if return_X_y:
        return data, digits.target
    return Bunch(
        data=data,
        target=digits.target,
        target_names=digits.target_names,
        images=digits.images,
        DESCR=f"scikit-learn's digits (1797 images of 8 x 8 pixels) cut into {views}: {', '.join(pixels)}.",
    )


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
