"""Whether draws of what is missing are spread as they should be."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmm._blocks.columns import CONTINUOUS
from skmm._blocks.containers import unstacked
from skmm._torch import RandomStateLike, as_random_state, draw_seed
from skmm.metrics.hiding import Truth, mean_over_hidden
from skmm.metrics.scoring_rules import crps


def interval_coverage(
    estimator: Any,
    X: Any,
    *,
    level: float | Sequence[float] = 0.9,
    hide: str | Sequence[Any] = "modalities",
    fraction: float = 0.2,
    n_samples: int = 100,
    random_state: RandomStateLike = 0,
) -> pd.Series | pd.DataFrame:
    """Share of known entries, hidden from an estimator, that lie in the intervals it draws for them.

    Where it is below ``level``, the estimator is too sure of itself; where it is above, it could say more.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in one,
        as for :func:`completion_error`.
    X : array-like or DataFrame of shape (n_samples, n_features), or sequences
        Rows to complete, none of those that the estimator was fitted on.
    level : float or sequence of float, default=0.9
        Probability of the intervals, between 0 and 1; those of several levels come from the same draws.
    hide : {"modalities", "cells"} or list of modality names, default="modalities"
        What is hidden, as in :func:`completion_error`.
    fraction : float, default=0.2
        Probability that an entry is hidden, for ``hide="cells"``.
    n_samples : int, default=100
        Draws of each hidden entry; at least 2 / (1 - level) - 1. Each draws the whole table once: this is
        also how many times the memory of X is taken.
    random_state : int, RandomState instance or None, default=0
        Chooses the cells, the same as in :func:`completion_error`, and the draws.

    Returns
    -------
    Series or DataFrame
        Share by modality; for several levels, a frame with one row for each. Columns of numbers count,
        counts among them, but flags and categories do not, nor do columns that were constant or never
        observed in ``fit``. NaN for a modality of which nothing that counts could be hidden; with a list
        ``hide``, only the modalities in it.

    Raises
    ------
    ValueError
        If an argument is not as it must be, there are too few draws for a level, or nothing could be hidden.
    TypeError
        If the estimator draws no completions.

    See Also
    --------
    completion_crps : One number for width and coverage together.
    completion_error : Of expected values.

    Notes
    -----
    An interval reaches from the sorted draw of rank (n + 1) (1 - level) / 2 to the one of rank
    (n + 1) (1 + level) / 2, interpolated between neighbours [1]_. To an honest model, the truth is one more
    draw, and each of the n + 1 gaps between and beside n others is equally likely to hold it. So these
    intervals cover ``level`` of all truths, whatever the distribution and however few the draws: exactly
    where the ranks are whole numbers, as with 99 draws for a level of 0.9, and closely elsewhere (of a
    normal, 0.9001 with 100 draws, but 0.909 with 30; numpy's default quantiles, between ranks 1 and n, cover
    0.88 and 0.85). Where values repeat, as those of counts do, and those of integer columns of frames, whose
    draws are rounded, intervals contain their own ends, and cover more.

    Entries of one row are not independent of each other: with few rows, shares vary more than their number
    of entries suggests.

    Columns are told by what they held in ``fit``: the numbers 0 and 1 are numbers, whatever likelihood was
    chosen for them; turn them into bool where they are flags.

    References
    ----------
    .. [1] Hyndman and Fan (1996), "Sample Quantiles in Statistical Packages", The American Statistician 50,
       definition 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skmm import MultimodalVAE
    >>> from skmm.metrics import interval_coverage
    >>> rng = np.random.RandomState(0)
    >>> X = rng.normal(size=(300, 1)) + 0.5 * rng.normal(size=(300, 4))
    >>> vae = MultimodalVAE(2, modalities={"a": [0, 1], "b": [2, 3]}, max_iter=30, random_state=0)
    >>> share = interval_coverage(vae.fit(X[:200]), X[200:], level=[0.5, 0.9])
    >>> share.shape, share.index.tolist(), share.columns.tolist()
    ((2, 2), [0.5, 0.9], ['a', 'b'])
    """
    levels = _check_levels(level)
    widest = levels.max()
    # of two tails, each must hold a whole draw; levels are no binary fractions: 1 - 0.9 is less than 0.1
    _check_n_samples(n_samples, math.ceil(2 / (1 - widest) - 1 - 1e-6), f" for level={widest:.6g}")
    tails = (1 - levels) / 2

    def covered(truth: np.ndarray, draws: np.ndarray) -> np.ndarray:
        low, high = np.quantile(draws, [tails, 1 - tails], axis=0, method="weibull")
        return (low <= truth) & (truth <= high)

    share, names = mean_over_draws(
        estimator, X, covered, hide=hide, fraction=fraction, n_samples=n_samples, random_state=random_state
    )
    if np.ndim(level) == 0:
        return pd.Series(share[0], index=names, name="interval_coverage")
    return pd.DataFrame(share, index=pd.Index(levels, name="level"), columns=names)


def completion_crps(
    estimator: Any,
    X: Any,
    *,
    hide: str | Sequence[Any] = "modalities",
    fraction: float = 0.2,
    n_samples: int = 100,
    random_state: RandomStateLike = 0,
) -> pd.Series:
    """Continuous ranked probability score of draws of entries that are known, but hidden from an estimator.

    One number for how near completions come and how honest their spread is; lower is better. It is lowest, on
    average, for the true distribution of what is hidden given what is not.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted :class:`skmm.MultimodalVAE` or :class:`skmm.MultimodalVRNN`, or a Pipeline that ends in one,
        as for :func:`completion_error`.
    X : array-like or DataFrame of shape (n_samples, n_features), or sequences
        Rows to complete, none of those that the estimator was fitted on.
    hide : {"modalities", "cells"} or list of modality names, default="modalities"
        What is hidden, as in :func:`completion_error`.
    fraction : float, default=0.2
        Probability that an entry is hidden, for ``hide="cells"``.
    n_samples : int, default=100
        Draws of each hidden entry, at least 2. The score is fair: its expectation does not depend on their
        number.
    random_state : int, RandomState instance or None, default=0
        Chooses the cells, the same as in :func:`completion_error`, and the draws.

    Returns
    -------
    Series
        Mean score by modality, in standard deviations of each column in ``fit``: who knows nothing but the
        column's mean and deviation gets about 1 / √π = 0.56 where columns are normal. Columns of numbers
        count, as in :func:`interval_coverage`. NaN for a modality of which nothing that counts could be
        hidden; with a list ``hide``, only the modalities in it.

    Raises
    ------
    ValueError
        If an argument is not as it must be, or nothing could be hidden.
    TypeError
        If the estimator draws no completions.

    See Also
    --------
    crps : The score of single entries, and its source.
    interval_coverage : How much of the truth intervals hold.
    """
    _check_n_samples(n_samples, 2)
    score, names = mean_over_draws(
        estimator, X, crps, hide=hide, fraction=fraction, n_samples=n_samples, random_state=random_state
    )
    return pd.Series(score, index=names, name="completion_crps")


def mean_over_draws(
    estimator: Any,
    X: Any,
    measure: Callable[[np.ndarray, np.ndarray], np.ndarray],
    *,
    hide: Any,
    fraction: float,
    n_samples: int,
    random_state: RandomStateLike,
) -> tuple[np.ndarray, pd.Index]:
    """Average by modality what a measure says of draws of hidden numbers.

    Drawing is what takes time: one call with several measures, stacked, costs hardly more than with one.

    Parameters
    ----------
    estimator, X, hide, fraction, n_samples, random_state
        As of :func:`completion_crps`.
    measure : callable
        ``measure(truth, draws)``, of shapes (n_hidden,) and (n_samples, n_hidden), both in standard
        deviations of their columns in ``fit``, gives an array of shape (..., n_hidden).

    Returns
    -------
    means : float array of shape (..., n_modalities)
    names : Index
        Of the modalities.
    """
    known = Truth.of(estimator, X, "sample")
    generator = as_random_state(random_state)  # the cells come from it first, as those of completion_error

    def of_draws(known: Truth, X: Any, hidden: np.ndarray) -> np.ndarray:
        drawn = known.model.sample(n_samples, given=X, random_state=draw_seed(generator))
        unit = known.layout.deviation[np.nonzero(hidden)[1]]
        # one draw after the other, and only what was hidden: a read table is larger than that
        draws = np.stack([known.read(unstacked(drawn, i))[hidden] / unit for i in range(n_samples)])
        return measure(known.matrix[hidden] / unit, draws)

    return mean_over_hidden(
        known,
        of_draws,
        hide=hide,
        fraction=fraction,
        random_state=generator,
        compared=np.array([kind == CONTINUOUS for kind in known.layout.kinds]),
    )


def _check_levels(level: Any) -> np.ndarray:
    try:
        levels = np.atleast_1d(np.asarray(level, dtype=np.float64))
    except (TypeError, ValueError):
        levels = np.array([np.nan])
    if levels.ndim != 1 or levels.size == 0 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"level must be a number between 0 and 1, or a sequence of such, got {level!r}.")
    return levels


def _check_n_samples(n_samples: Any, least: int, what_for: str = "") -> None:
    is_count = isinstance(n_samples, numbers.Integral) and not isinstance(n_samples, bool)
    if not is_count or n_samples < least:
        raise ValueError(
            f"n_samples must be a whole number of at least {least}{what_for}, got {n_samples!r}."
        )
