"""Rubin's rules: from estimates on several completions of the same data to one, with its uncertainty."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True, eq=False)
class PooledResult:
    """Estimates from several completions of the same data, pooled: what :func:`pool` returns.

    All arrays have the shape of one completion's estimates.

    Parameters
    ----------
    estimate : float array
        Mean over the completions.
    std : float array
        Standard error: the root of the total variance, ``within + (1 + 1 / n_imputations) * between``.
    df : float array
        Degrees of freedom of the t distribution that ``(estimate - truth) / std`` has, approximately.
    within : float array
        Mean of the variances: what complete data would leave unknown.
    between : float array
        Variance of the estimates among completions: what the missing entries add to it.
    fraction_missing_information : float array
        Share of the information about each quantity that is missing with the missing entries, from 0 to 1.
    """

    estimate: np.ndarray
    std: np.ndarray
    df: np.ndarray
    within: np.ndarray
    between: np.ndarray
    fraction_missing_information: np.ndarray

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Confidence intervals.

        Parameters
        ----------
        level : float, default=0.95
            Between 0 and 1.

        Returns
        -------
        low, high : float arrays

        Raises
        ------
        ValueError
            If ``level`` is not between 0 and 1.
        """
        if not isinstance(level, numbers.Real) or not 0 < level < 1:
            raise ValueError(f"level must be a number between 0 and 1, got {level!r}.")
        reach = stats.t.ppf((1 + level) / 2, self.df) * self.std
        return self.estimate - reach, self.estimate + reach


def pool(estimates: Any, variances: Any, *, df_complete: float = np.inf) -> PooledResult:
    """Pool estimates from several completions of the same data by Rubin's rules.

    Parameters
    ----------
    estimates : array-like of shape (n_imputations, ...)
        Of the same quantities, from each completion.
    variances : array-like of the same shape
        Their squared standard errors, each as if its completion were the data.
    df_complete : float, default=inf
        Degrees of freedom that the estimates would have with complete data, such as the number of rows less
        the number of coefficients in a linear regression. The default is right for large samples.

    Returns
    -------
    PooledResult

    Raises
    ------
    ValueError
        If the shapes differ, there are fewer than two completions, something is not finite, a variance is
        negative, or ``df_complete`` is not positive.

    See Also
    --------
    skmm.PooledEstimator : Completes, fits and pools.

    Notes
    -----
    With m estimates, their mean, the mean U of their variances, and the variance B among them, the total
    variance is T = U + (1 + 1/m) B ([1]_, eq. 3.1.2 to 3.1.5). With λ = (1 + 1/m) B / T, there are
    1 / (1/ν + 1/ν') degrees of freedom [2]_, where ν = (m - 1) / λ² and, with d for ``df_complete``,
    ν' = (1 - λ) d (d + 1) / (d + 3); where d is infinite, these are Rubin's ν. The fraction of missing
    information is λ + (1 - λ) 2 / (df + 3) ([1]_, eq. 3.1.10).

    References
    ----------
    .. [1] Rubin (1987), "Multiple Imputation for Nonresponse in Surveys", Wiley.
    .. [2] Barnard and Rubin (1999), "Small-sample degrees of freedom with multiple imputation",
       Biometrika 86.

    Examples
    --------
    >>> from skmm.multiple_imputation import pool
    >>> pooled = pool([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
    >>> float(pooled.estimate), float(pooled.std**2)  # 0.5 + (1 + 1/3) * 1
    (2.0, 1.83)
    """
    values, squares = (np.asarray(given, dtype=np.float64) for given in (estimates, variances))
    if values.shape != squares.shape or values.ndim == 0 or len(values) < 2:
        raise ValueError(
            "estimates and variances must have one shape (n_imputations, ...), with at least two "
            f"imputations; got {values.shape} and {squares.shape}."
        )
    if not (np.isfinite(values).all() and np.isfinite(squares).all()):
        raise ValueError("estimates and variances must be finite; leave out what could not be estimated.")
    if (squares < 0).any():
        raise ValueError(f"variances must be at least 0, got {squares.min():.6g}; give squared deviations.")
    if not isinstance(df_complete, numbers.Real) or not df_complete > 0:
        raise ValueError(f"df_complete must be a positive number, got {df_complete!r}.")
    n_imputations = len(values)
    within, between = squares.mean(axis=0), values.var(axis=0, ddof=1)
    added = (1 + 1 / n_imputations) * between
    total = within + added
    share = np.divide(added, total, out=np.zeros_like(total), where=total > 0)
    with np.errstate(divide="ignore"):  # reciprocals are 0 where degrees of freedom are infinite
        reciprocal = np.square(share) / (n_imputations - 1)
        if np.isfinite(df_complete):
            reciprocal += (df_complete + 3) / ((1 - share) * df_complete * (df_complete + 1))
        df = 1 / reciprocal
    return PooledResult(
        estimate=values.mean(axis=0),
        std=np.sqrt(total),
        df=df,
        within=within,
        between=between,
        fraction_missing_information=share + (1 - share) * 2 / (df + 3),
    )
