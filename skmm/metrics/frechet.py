"""The Fréchet distance: how far two samples are apart, by their means and covariances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import check_array

from skmm._torch import RandomStateLike
from skmm.metrics.hiding import Truth, read_numbers


def frechet_distance(X: Any, Y: Any) -> float:
    r"""Squared Fréchet distance between normal densities that have the moments of two samples.

    .. math:: \|\mu_1 - \mu_2\|^2 + \mathrm{tr}\big(\Sigma_1 + \Sigma_2
              - 2 (\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2})^{1/2}\big)

    Of features of an image classifier, this is the "FID" [2]_.

    Parameters
    ----------
    X, Y : array-like of shape (n_samples, n_features) and (m_samples, n_features)
        Features of both samples, at least two rows each.

    Returns
    -------
    float
        At least 0, which is for equal means and covariances; in squared units of the features.

    Raises
    ------
    ValueError
        If the samples differ in their number of features, have fewer than two rows, or hold NaN.

    Notes
    -----
    Covariances are divided by n - 1. With :math:`\Sigma = R^T R`, the trace of the root is the sum of the
    singular values of :math:`R_1 R_2^T`: no root of a product that rounding has made asymmetric or
    indefinite, also where there are fewer rows than features.

    Small samples are farther apart than what they come from. Two of the same normal density, with d
    independent features of variance 1, are expected at about (1 / n + 1 / m) (d + d (d + 1) / 4): compare at
    equal numbers of rows.

    References
    ----------
    .. [1] Dowson and Landau (1982), "The Fréchet Distance Between Multivariate Normal Distributions",
       Journal of Multivariate Analysis 12.
    .. [2] Heusel et al. (2017), "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
       Equilibrium", eq. 6.

    Examples
    --------
    >>> from skmm.metrics import frechet_distance
    >>> frechet_distance([[0.0], [2.0]], [[3.0], [7.0]])  # (5 - 1)² + (2√2 - √2)²
    18.0
    """
    samples = []
    for name, values in (("X", X), ("Y", Y)):
        samples.append(check_array(values, dtype=np.float64, ensure_min_samples=2, input_name=name))
    if samples[0].shape[1] != samples[1].shape[1]:
        raise ValueError(
            f"X has {samples[0].shape[1]} features, but Y has {samples[1].shape[1]}; give the same ones."
        )
    means = [values.mean(axis=0) for values in samples]
    roots: list[Any] = [
        np.linalg.qr((values - mean) / np.sqrt(len(values) - 1), mode="r")
        for values, mean in zip(samples, means, strict=True)
    ]
    singular = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False)
    traces = sum(np.square(root).sum() for root in roots)
    distance = np.square(means[0] - means[1]).sum() + traces - 2 * singular.sum()
    return max(0.0, float(distance))


def sample_distance(
    estimator: Any,
    X: Any,
    *,
    features: Callable[[Any], Any] | None = None,
    n_samples: int | None = None,
    random_state: RandomStateLike = 0,
) -> float:
    """Fréchet distance of an estimator's new rows from given ones.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted :class:`skmm.MultimodalVAE`, or a Pipeline that ends in one; measured in front of that last
        step.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows, preferably none of those that the estimator was fitted on.
    features : callable or None, default=None
        ``features(rows)`` of X and of new rows gives arrays (n_samples, n_features) to compare: the
        ``transform`` of a fitted PCA, for example, or what a classifier of images computes before its last
        layer. Rows of which it gives NaN are left out. None takes all columns but those of categories, in
        standard deviations of ``fit``, and of X those rows that are complete.
    n_samples : int or None, default=None
        Number of new rows; None takes as many as there are rows of X to compare with.
    random_state : int, RandomState instance or None, default=0
        Of the new rows.

    Returns
    -------
    float
        See :func:`frechet_distance`.

    Raises
    ------
    ValueError
        If fewer than two rows of X can be compared, or ``features`` returns something else.
    TypeError
        If the estimator draws no rows.
    """
    truth = Truth.of(estimator, X, "sample")

    def own_features(table: Any) -> np.ndarray:
        layout = truth.layout
        numbers = [
            j for j, kind in enumerate(layout.types) if layout.informative[j] and not kind.n_categories
        ]
        return read_numbers(truth.model, table)[:, numbers] / layout.deviation[numbers]

    describe = own_features if features is None else features
    known = _complete(describe(truth.opened.table))
    if len(known) < 2:
        raise ValueError(
            f"Only {len(known)} rows of X have all features, and two are needed; give complete rows, or "
            "features that can be computed of incomplete ones."
        )
    rows = truth.model.sample(len(known) if n_samples is None else n_samples, random_state=random_state)
    return frechet_distance(known, _complete(describe(rows)))


def _complete(features: Any) -> np.ndarray:
    """Rows without NaN, of shape (n, n_features)."""
    values = np.asarray(features, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"features must return (n_samples, n_features) numbers, got shape {values.shape}.")
    return values[~np.isnan(values).any(axis=1)]
