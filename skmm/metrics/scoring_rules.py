"""Proper scoring rules: what a predicted distribution is worth, once the value is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from skmm._blocks.columns import ORDERED
from skmm.metrics.concordance import floats


def category_score(probabilities: np.ndarray, codes: np.ndarray, kind: str) -> np.ndarray:
    """Score of predicted probabilities (n_samples, n_categories) against what came, (n_samples,); 0 is best.

    The Brier score; of ordered categories the ranked probability score [1]_, for which a near miss is better
    than a far one. Of two categories, both measure the squared error of the probability.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation", sec. 4.2.
    """
    came = codes[:, None] == np.arange(probabilities.shape[1])
    if kind == ORDERED:
        return np.square(probabilities.cumsum(axis=1) - came.cumsum(axis=1)).sum(axis=1)
    return np.square(probabilities - came).sum(axis=1) / 2


def crps(y_true: Any, draws: Any) -> np.ndarray:
    r"""Continuous ranked probability score of draws: how well they foretell a number; lower is better.

    Of draws that are all the same, it is their absolute error. Of all distributions to draw from, the one
    that the truth comes from gets the lowest score on average [1]_.

    Parameters
    ----------
    y_true : array-like of any shape
        What came. NaN where it is unknown.
    draws : array-like of shape ``(n_draws, *y_true.shape)``
        At least two draws of each predicted distribution.

    Returns
    -------
    float array of the shape of ``y_true``
        In its units. NaN where the truth, or a draw, is NaN. May be negative for single entries, as estimates
        without a bias of what is near 0 must be; means over many entries are not.

    Raises
    ------
    ValueError
        If the shapes do not go together, there are fewer than two draws, or something is infinite.

    Notes
    -----
    The score of a distribution is :math:`E|x - y| - E|x - x'| / 2` (eq. 21 of [1]_, the sign turned), where
    x and x' are independent draws and y is the truth. With m draws, this is

    .. math:: \frac{1}{m} \sum_i |x_i - y| - \frac{1}{2 m (m - 1)} \sum_{i, j} |x_i - x_j|,

    the fair score of [2]_: its expectation is the score of the distribution that the draws come from, however
    few they are. (Division by m² instead would reward draws that are too close together.) The double sum
    takes no more than sorting: of sorted draws, it is :math:`2 \sum_k (2 k - m - 1)\, x_k`.

    References
    ----------
    .. [1] Gneiting and Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation", Journal
       of the American Statistical Association 102, eq. 20 and 21.
    .. [2] Ferro (2014), "Fair scores for ensemble forecasts", Quarterly Journal of the Royal Meteorological
       Society 140.

    Examples
    --------
    >>> from skmm.metrics import crps
    >>> crps([0.0, 3.0], [[-1.0, 0.0], [0.0, 1.0], [1.0, 2.0]])  # three draws of two numbers
    array([0. , 1.33])
    """
    truth, drawn = floats(y_true), floats(draws)
    if drawn.ndim == 0 or drawn.shape[1:] != truth.shape or len(drawn) < 2:
        raise ValueError(
            f"draws must have the shape (n_draws, *y_true.shape), with at least two draws; got {drawn.shape} "
            f"for y_true of shape {truth.shape}."
        )
    for name, values in {"y_true": truth, "draws": drawn}.items():
        if np.isinf(values).any():
            raise ValueError(f"{name} contains infinity; give NaN where a value is unknown.")
    n_draws = len(drawn)
    error = np.sort(drawn - truth, axis=0)
    weights = (2 * np.arange(1, n_draws + 1) - n_draws - 1) / (n_draws * (n_draws - 1))
    return np.abs(error).mean(axis=0) - np.tensordot(weights, error, axes=1)
