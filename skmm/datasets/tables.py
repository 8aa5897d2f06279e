"""Small tables of several modalities."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.utils import Bunch, check_scalar

from skmm._torch import RandomStateLike, as_random_state

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
